"""What is computed."""

from typing import Literal

from pydantic import Field, PositiveFloat

from infra.settings.section import NameList, Section


class ProcessorSettings(Section):
    """What is computed from the trades."""

    app_id: str = Field("kandle", description="name of the workers' consumer group and of their checkpoints")
    instance_id: str | None = Field(
        None, description="stable name of this worker: quick return after a crash"
    )
    intervals: NameList = Field(
        default_factory=lambda: ["1s", "1m"], description="candles that are made, from 1s to 1w"
    )
    grace_ms: int = Field(2_000, ge=0, description="a candle closes this long after its end, by time marks")
    hold_s: int = Field(300, ge=0, description="late trades revise a candle so long after it closed")
    live: NameList = Field(
        default_factory=lambda: ["1m"], description="of the intervals: written while open, at every mark"
    )
    empty_candles: Literal["skip", "carry"] = Field(
        "skip", description="an interval without trades: no candle, or one with the last close and volume 0"
    )
    bars: NameList = Field(
        default_factory=list, description="tick(100), volume(10.5), value(1000000); @keys chooses the markets"
    )
    flows: NameList = Field(
        default_factory=list,
        description="once a second: values by quote, book(10), book_top; books by book_sample(10)",
    )
    venue_spreads: NameList = Field(
        default_factory=list,
        description="venue_spread(10)@1s@BTC/*@binance|gateio: a signal when prices of venues are apart",
    )
    plugins: NameList = Field(
        default_factory=list, description="modules of your own with indicators and signal rules"
    )
    indicators: NameList = Field(
        default_factory=lambda: ["sma(20)", "ema(20)", "rsi(14)"],
        description="of closed candles: name(parameters)@intervals@markets",
    )
    signals: NameList = Field(
        default_factory=lambda: ["moving_average_crossover(10,30)"],
        description="rules, written in the same way",
    )
    signal_on_incomplete: bool = Field(False, description="let rules fire on candles that miss trades")
    checkpoint_interval_s: PositiveFloat = Field(2.0, description="how often state is written, at most")
    stall_timeout_s: PositiveFloat = Field(30.0, description="exit when lag grows and nothing moves so long")
