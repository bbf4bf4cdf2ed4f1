"""What every process shows of itself, and the file that it leaves at its end."""

import platform
import shutil
from functools import partial
from importlib import metadata
from pathlib import Path

from prometheus_client import REGISTRY, write_to_textfile

from infra.metrics.stages import BUILD_INFO, DISK_FREE
from infra.settings import MetricsSettings


def show_process(data_dir: Path) -> None:
    """Show what runs, and what is free where the data is, looked up at each scrape."""
    BUILD_INFO.labels(metadata.version("kandle"), platform.python_version()).set(1)
    DISK_FREE.labels(str(data_dir)).set_function(partial(_free_bytes, data_dir.absolute()))


def _free_bytes(path: Path) -> float:
    """Free on the file system of a path that may not be there yet."""
    there = next(each for each in (path, *path.parents) if each.exists())
    return float(shutil.disk_usage(there).free)


def write_last(settings: MetricsSettings) -> None:
    """Leave the last values in the configured file, for whoever adds up: nobody can scrape us any more.

    Raises:
        OSError: The file cannot be written.
    """
    if settings.last_file is not None:
        write_to_textfile(str(settings.last_file), REGISTRY)
