"""How long records may wait for a stage before the health monitor calls it late."""

from collections.abc import Mapping
from typing import Any

import pytest

from infra.settings import ArchiveSettings, HealthSettings, KafkaSettings, Settings, SinkSettings
from serve.health.checks import Checks


def test_the_archive_may_wait_for_company(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Mapping[str, float]] = []

    def groups(_: KafkaSettings, late_s: Mapping[str, float]) -> None:
        given.append(late_s)

    monkeypatch.setattr("serve.health.checks.Groups", groups)
    settings = Settings(
        sink=SinkSettings(run=["timescale", "archive"]),
        health=HealthSettings(lag_s=20),
        archive=ArchiveSettings(flush_s=300),
    )
    nobody: Any = None
    Checks(settings, nobody, nobody)
    (late_s,) = given
    assert sorted(late_s.values()) == [20, 20, 320]
    assert next(name for name in late_s if "archive" in name) == max(late_s, key=lambda name: late_s[name])
