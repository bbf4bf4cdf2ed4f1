"""How often everything is checked, and what counts as healthy."""

from typing import Self

from pydantic import Field, PositiveInt, model_validator

from infra.settings.section import Section


class HealthSettings(Section):
    """The health monitor, which lives in `kandle serve`."""

    every_s: float = Field(60.0, ge=1, le=3_600, description="everything is checked this often")
    timeout_s: float = Field(10.0, ge=0.5, le=60, description="a check that takes longer is an error")
    events: bool | None = Field(
        None,
        description="publish failed checks as events; of several servers one shall. Default: yes, but not in "
        "a namespace",
    )
    disk_free_mb: PositiveInt = Field(1_024, description="less free space is unhealthy")
    lag_s: float = Field(60.0, ge=5, description="a stage that has not handled older records is unhealthy")

    @model_validator(mode="after")
    def _ends_in_time(self) -> Self:
        if self.timeout_s > self.every_s and "timeout_s" in self.model_fields_set:
            raise ValueError("health.timeout_s is longer than health.every_s: a check ends before the next")
        return self

    @property
    def limit_s(self) -> float:
        """How long a check may take: checks that come often have less time."""
        return min(self.timeout_s, self.every_s)
