"""REST under /api/v1: what is stored, and how the pipeline stands."""
