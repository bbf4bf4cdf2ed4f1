"""The file by which Prometheus finds the stages of `kandle up`."""

import json
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from kandle.up.prometheus_targets import NAME, remove_targets, write_targets

LOCAL = Path(__file__).parents[2] / "infra" / "prometheus" / "local.yml"


def test_each_stage_is_a_target_with_its_name(tmp_path: Path) -> None:
    write_targets(tmp_path, {"sink": 4711, "serve": 4712})
    write_targets(tmp_path, {"sink": 4713})
    assert json.loads((tmp_path / NAME).read_text()) == [
        {"targets": ["127.0.0.1:4713"], "labels": {"stage": "sink"}}
    ]
    assert [file.name for file in (tmp_path / "prometheus").iterdir()] == ["targets.json"]


def test_a_run_that_has_ended_leaves_no_targets(tmp_path: Path) -> None:
    write_targets(tmp_path, {"sink": 4711})
    remove_targets(tmp_path)
    remove_targets(tmp_path)
    assert not (tmp_path / NAME).exists()


def test_the_local_configuration_reads_the_file_of_the_usual_directory() -> None:
    (job,) = yaml.safe_load(LOCAL.read_text())["scrape_configs"]
    (file,) = job["file_sd_configs"][0]["files"]
    assert (LOCAL.parent / file).resolve() == LOCAL.parents[2] / "var" / NAME
