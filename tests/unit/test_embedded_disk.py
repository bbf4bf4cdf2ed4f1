"""Room on the disk, logs that stay small, free ports, the lock of a directory."""

import asyncio
import socket
from pathlib import Path

import pytest

from infra.embedded.directory_lock import DirectoryLock, holder_pid, is_held
from infra.embedded.disk import MIB, DiskBudget, used_bytes
from infra.embedded.endpoints import Endpoints, EndpointsFile
from infra.embedded.errors import DirectoryLockedError, DiskFullError
from infra.embedded.kafka import server_properties
from infra.embedded.ports import free_ports, is_listening
from infra.embedded.stage_log import KEPT, StageLog
from infra.embedded.supervisor import Supervisor
from schemas.errors import ConfigurationError


def test_a_disk_with_too_little_left_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DiskFullError, match="are needed"):
        DiskBudget(tmp_path, budget_bytes=MIB, min_free_bytes=1 << 60).check()


def test_data_beyond_the_budget_are_an_error(tmp_path: Path) -> None:
    budget = DiskBudget(tmp_path, budget_bytes=2 * MIB, min_free_bytes=0)
    (tmp_path / "some").write_bytes(b"x" * MIB)
    budget.check()
    (tmp_path / "more").write_bytes(b"x" * 2 * MIB)
    with pytest.raises(DiskFullError, match="more than its budget of 2 MiB"):
        budget.check()


def test_holes_in_files_do_not_count(tmp_path: Path) -> None:
    with (tmp_path / "index").open("wb") as file:
        file.truncate(100 * MIB)
    assert used_bytes(tmp_path) < MIB


async def test_a_run_does_not_start_on_a_full_disk(tmp_path: Path) -> None:
    full = DiskBudget(tmp_path, budget_bytes=MIB, min_free_bytes=1 << 60)
    with pytest.raises(DiskFullError):
        await Supervisor(tmp_path, disk=full).__aenter__()
    assert not is_held(tmp_path)


async def test_a_run_ends_when_its_data_outgrow_the_budget(tmp_path: Path) -> None:
    budget = DiskBudget(tmp_path, budget_bytes=MIB, min_free_bytes=0)
    async with Supervisor(tmp_path, disk=budget, housekeeping_s=0.02) as supervisor:
        (tmp_path / "more").write_bytes(b"x" * 2 * MIB)
        with pytest.raises(DiskFullError):
            await asyncio.wait_for(supervisor.until_failure(), 5)


def test_retention_keeps_the_hot_partitions_within_the_budget() -> None:
    text = server_properties("log", 1, 2, budget_bytes=1600 * MIB)
    values = dict(line.split("=", 1) for line in text.splitlines())
    assert int(values["log.retention.bytes"]) == 100 * MIB
    assert int(values["log.segment.bytes"]) == 25 * MIB


def test_a_log_that_grew_too_long_is_moved_aside_under_its_writer(tmp_path: Path) -> None:
    log = StageLog.of(tmp_path, "stage")
    with log.open() as writer:
        writer.write(b"old\n" * 100)
        writer.flush()
        log.limit(max_bytes=100)
        writer.write(b"new\n")
    assert log.path.read_bytes() == b"new\n"
    assert (tmp_path / "log" / "stage.log.1").read_bytes() == b"old\n" * 100


def test_every_run_begins_a_log_and_a_few_old_ones_are_kept(tmp_path: Path) -> None:
    log = StageLog.of(tmp_path, "stage")
    for run in range(KEPT + 3):
        log.rotate()
        log.path.write_text(f"run {run}")
    names = sorted(path.name for path in log.path.parent.iterdir())
    assert names == ["stage.log", *(f"stage.log.{number}" for number in range(1, KEPT + 1))]
    assert (tmp_path / "log" / "stage.log.1").read_text() == f"run {KEPT + 1}"


def test_free_ports_are_different_and_free() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    with socket.socket() as server:
        server.bind(("127.0.0.1", ports[0]))
        assert not is_listening(ports[0])
        server.listen()
        assert is_listening(ports[0])


def test_a_lock_file_without_a_holder_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("4242\n")
    assert not is_held(tmp_path)
    with DirectoryLock(tmp_path):
        assert is_held(tmp_path)
        assert holder_pid(tmp_path) != 4242
        with pytest.raises(DirectoryLockedError, match="stop it, or choose another directory"):
            DirectoryLock(tmp_path).acquire()
    assert not is_held(tmp_path)


def test_a_directory_that_cannot_be_made_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="choose another with --data"):
        DirectoryLock(tmp_path / "file" / "var").acquire()


def test_an_endpoints_file_of_a_former_holder_is_not_taken_for_the_present_one(tmp_path: Path) -> None:
    file = EndpointsFile(tmp_path)
    file.write(Endpoints(pid=4242))
    with DirectoryLock(tmp_path):
        assert file.read_live() == Endpoints()
    assert file.read_live() is None


@pytest.mark.parametrize("contents", ["", "{", '{"pid": "x"}', '{"unknown": 1}'])
def test_a_spoiled_endpoints_file_counts_as_none(tmp_path: Path, contents: str) -> None:
    (tmp_path / "endpoints.json").write_text(contents)
    assert EndpointsFile(tmp_path).read() == Endpoints()
