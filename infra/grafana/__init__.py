"""What Grafana is given: data sources, and dashboards that are written in Python and kept as JSON.

`boards/` says what is shown, one file a dashboard; `python -m infra.grafana` makes `dashboards/*.json` of it,
which Grafana reads. The JSON is committed: a checkout is all that Grafana needs. A test says when it is old.
"""
