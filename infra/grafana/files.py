"""The files that Grafana reads."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from infra.grafana.dashboard import Dashboard

FOLDER: Final = Path(__file__).parent / "dashboards"


def files_of(dashboards: Iterable[Dashboard]) -> dict[str, str]:
    """Names and contents of the files."""
    return {
        f"{each.uid}.json": json.dumps(each.to_json(), indent=2, ensure_ascii=False) + "\n"
        for each in dashboards
    }
