"""The Dockerfile copies what exists, as a user without rights, and installs what the lock says."""

import json
import re
import runpy
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.compose_file import ROOT, services

DOCKERFILE = (ROOT / "Dockerfile").read_text()
STAGES = DOCKERFILE.split("\nFROM ")[1:]
LOCK = (ROOT / "requirements.lock").read_text()


@pytest.fixture(scope="module")
def locked() -> dict[str, Any]:
    """The script that the builder runs."""
    return runpy.run_path(str(ROOT / "infra/docker/locked.py"))


def copied() -> list[str]:
    found = re.findall(r"^COPY (?!--from)(?:--\S+ )*(.+) \S+$", DOCKERFILE, re.MULTILINE)
    return [source for line in found for source in line.split()]


def test_what_is_copied_exists_and_passes_the_ignore_file() -> None:
    lines = (ROOT / ".dockerignore").read_text().split()
    let_in = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert "*" in lines
    for source in copied():
        assert (ROOT / source).exists(), source
        assert source.partition("/")[0] in let_in, source
    assert let_in == {source.partition("/")[0] for source in copied()}


def test_every_package_of_ours_is_in_the_image() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert packages <= set(copied())
    assert {project["project"]["readme"], *project["project"]["license-files"]} <= set(copied())


def test_the_image_that_runs_has_no_compiler_and_no_rights() -> None:
    builder, last = STAGES
    assert builder.startswith("${PYTHON_IMAGE} AS builder")
    assert last.startswith("${PYTHON_IMAGE}\n")
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.\d+\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)
    assert "gcc" in builder
    assert "apt-get" not in last
    assert re.findall(r"^USER (.*)$", last, re.MULTILINE) == ["10001:10001"]
    assert last.index("USER 10001") > last.rindex("RUN ")
    assert "org.opencontainers.image.licenses" in last
    # The user of the kernels has them for the processor that they were made for.
    assert "NUMBA_CPU_NAME=generic" in builder
    assert "NUMBA_CPU_NAME=generic" in last


def test_the_ports_of_the_image_are_those_that_compose_uses() -> None:
    assert re.findall(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE) == ["9100 8765"]
    assert "KANDLE_METRICS__PORT=9100" in DOCKERFILE
    tmpfs = " ".join(services("kandle")["process"]["tmpfs"])
    folders = dict(re.findall(r"(NUMBA_CACHE_DIR|KANDLE_DATA_DIR)=(\S+)", STAGES[1]))
    assert {f"/{path.split('/')[1]}" for path in folders.values()} == {"/tmp", "/var"}
    assert "/tmp:" in tmpfs
    assert f"{folders['KANDLE_DATA_DIR']}:" in tmpfs


def test_the_entrypoint_copies_the_kernels_names_the_process_and_becomes_it(tmp_path: Path) -> None:
    kernels, program = tmp_path / "image", tmp_path / "bin" / "kandle"
    kernels.mkdir()
    (kernels / "one.nbi").write_text("compiled")
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@" "$KANDLE_SINK__INSTANCE_ID" "$KANDLE_PROCESSORS__INSTANCE_ID"\n')
    program.chmod(0o755)
    script = tmp_path / "entrypoint.sh"
    text = (ROOT / "infra/docker/entrypoint.sh").read_text()
    script.write_text(text.replace("/opt/kandle/kernels", str(kernels)))
    environment = {
        "PATH": f"{program.parent}:/usr/bin:/bin",
        "NUMBA_CACHE_DIR": str(tmp_path / "cache"),
        "KANDLE_SINK__INSTANCE_ID": "mine",
    }
    for _ in range(2):
        answer = subprocess.run(
            ["sh", str(script), "sink", "--only", "cache"],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
    assert answer.stdout.split()[:4] == ["sink", "--only", "cache", "mine"]
    assert answer.stdout.split()[4] == subprocess.check_output(["uname", "-n"], text=True).strip()
    assert (tmp_path / "cache" / "one.nbi").read_text() == "compiled"
    assert not (tmp_path / "cache" / "image").exists()


def test_of_the_lock_only_what_pip_has_resolved_is_taken_with_its_hashes(locked: dict[str, Any]) -> None:
    report = json.dumps({"install": [{"metadata": {"name": name}} for name in ("NumPy", "confluent_kafka")]})
    text = locked["chosen"](LOCK, report)
    assert set(re.findall(r"^(\S+)==", text, re.MULTILINE)) == {"confluent-kafka", "numpy"}
    assert text.count("--hash=sha256:") > 20
    assert "# via" in text
    with pytest.raises(KeyError, match="left-pad"):
        locked["chosen"](LOCK, json.dumps({"install": [{"metadata": {"name": "left_pad"}}]}))


def test_pip_is_asked_for_the_requirements_under_the_pins_of_the_lock(locked: dict[str, Any]) -> None:
    project = (ROOT / "pyproject.toml").read_text()
    table = tomllib.loads(project)["project"]
    wanted = locked["wanted"](project, ["cache"])
    assert wanted == [*table["dependencies"], *table["optional-dependencies"]["cache"]]
    with pytest.raises(KeyError):
        locked["wanted"](project, ["no-such-extra"])
    (extras,) = re.findall(r"^ARG EXTRAS=(.*)$", DOCKERFILE, re.MULTILINE)
    assert locked["wanted"](project, extras.split(","))
    pins = locked["pins"](LOCK)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[^\s;]+(\s*;.+)?", pin) for pin in pins)
    assert {"numba", "faust-streaming"} <= {pin.partition("==")[0] for pin in pins}
