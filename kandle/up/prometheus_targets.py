"""Where a Prometheus beside `kandle up` finds the stages, whose ports are other ones in each run.

infra/prometheus/local.yml reads the file, and reads it again when it changes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

NAME: Final = "prometheus/targets.json"
"""In the data directory."""


def write_targets(data_dir: Path, ports: Mapping[str, int]) -> None:
    """Say on which port of this machine each stage serves metrics.

    The file is replaced as a whole: Prometheus never sees half of it.

    Args:
        data_dir: Of the run.
        ports: By stage.

    Raises:
        OSError: The file cannot be written.
    """
    targets = [
        {"targets": [f"127.0.0.1:{port}"], "labels": {"stage": stage}} for stage, port in ports.items()
    ]
    file = data_dir / NAME
    file.parent.mkdir(exist_ok=True)
    draft = file.with_suffix(".draft")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(targets), indent=2) + b"\n")
    draft.replace(file)


def remove_targets(data_dir: Path) -> None:
    """Let Prometheus forget the stages of a run that has ended."""
    (data_dir / NAME).unlink(missing_ok=True)
