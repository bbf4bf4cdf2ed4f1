"""`python -m infra.grafana`: makes `dashboards/*.json` of `boards/`."""

from pathlib import Path

from infra.grafana.boards import DASHBOARDS
from infra.grafana.files import FOLDER, files_of


def main() -> None:
    """Write every dashboard, and remove files that are of none."""
    files = files_of(DASHBOARDS)
    for old in FOLDER.glob("*.json"):
        if old.name not in files:
            old.unlink()
    for name, text in files.items():
        Path(FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
