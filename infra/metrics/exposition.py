"""How the values leave the process: over HTTP, and in a file at its end."""

from prometheus_client import REGISTRY, start_http_server, write_to_textfile

from infra.settings import MetricsSettings


def serve(settings: MetricsSettings) -> None:
    """Answer scrapes on the configured port; port 0 serves none.

    Raises:
        OSError: The port is taken.
    """
    if settings.port:
        start_http_server(settings.port, settings.host)


def write_last(settings: MetricsSettings) -> None:
    """Leave the last values in the configured file, for whoever adds up: nobody can scrape us any more.

    Raises:
        OSError: The file cannot be written.
    """
    if settings.last_file is not None:
        write_to_textfile(str(settings.last_file), REGISTRY)
