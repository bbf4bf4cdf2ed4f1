"""Which steps a worker runs: candles and indicators always, the others where the settings ask for them."""

from __future__ import annotations

from typing import Any, Protocol

from infra.kafka.publisher import Publisher
from infra.settings import Settings
from processors.agents.flows import BookStep, QuoteStep
from processors.agents.indicators import IndicatorStep
from processors.agents.spreads import SpreadStep
from processors.agents.trades import TradeStep
from processors.engine.partitions import Step
from processors.flows.plan import FlowPlan
from processors.spreads.plan import SpreadPlan
from schemas.topics import BARS, BOOKS, QUOTES, Topic


class StepType(Protocol):
    """A class of steps."""

    name: str
    source: Topic

    def __call__(self, settings: Settings, publisher: Publisher) -> Step[Any]:
        """The step of these settings."""


def step_types(settings: Settings) -> list[StepType]:
    """The steps that run with these settings, in the order in which records pass them.

    Raises:
        ConfigurationError: A flow or a rule of venues cannot be read.
    """
    chosen: list[Any] = [TradeStep]
    flows = settings.processors.flows
    if FlowPlan.of(flows, QUOTES).choices:
        chosen.append(QuoteStep)
    if FlowPlan.of(flows, BOOKS).choices:
        chosen.append(BookStep)
    chosen.append(IndicatorStep)
    if SpreadPlan.of(settings).choices:
        chosen.append(SpreadStep)
    return chosen


def step_topics(settings: Settings) -> list[Topic]:
    """The topics that the steps read, and those that only some of them need."""
    written = [BARS] if settings.processors.bars else []
    return [*(step.source for step in step_types(settings)), *written]
