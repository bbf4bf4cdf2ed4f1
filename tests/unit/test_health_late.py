"""How long records may wait for a stage before the health monitor calls it late."""

from infra.settings import ArchiveSettings, HealthSettings, Settings
from serve.health.checks import patience_s


def test_the_archive_may_wait_for_company() -> None:
    settings = Settings(health=HealthSettings(lag_s=20), archive=ArchiveSettings(flush_s=300))
    assert patience_s(settings, "sink-archive") == 320
    assert patience_s(settings, "sink-timescale") == patience_s(settings, "process") == 20
