"""What REST answers: fields, units and meanings. Times are microseconds since the epoch, UTC."""

from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, Field

Micros = int
PRICE = "quote currency per base unit"
BASE = "base units"
QUOTE = "quote currency"
MICROS = "µs since the epoch, UTC"


class Venue(BaseModel):
    """A venue as its feed stands now; null where nothing was received since the server started."""

    venue: str = Field(description="name in lower case")
    instruments: int = Field(description="instruments with stored data")
    connected: bool | None = Field(description="whether time marks arrive")
    silent_s: float | None = Field(description="s since the last time mark arrived")
    delay_s: float | None = Field(description="s that this mark was behind its arrival")
    skew_s: float | None = Field(description="s from a trade's time at the venue to our socket")
    gaps: int = Field(description="gaps announced since the server started")


class Instrument(BaseModel):
    """What a venue trades under a symbol; null where the venue's list was not read."""

    venue: str = Field(description="name in lower case")
    symbol: str = Field(description="unified symbol")
    intervals: list[str] = Field(description="lengths of which there are candles")
    base: str | None = Field(description="base currency")
    quote: str | None = Field(description="quote currency")
    kind: Literal["spot", "perpetual", "future"] | None = Field(description="kind of instrument")
    status: Literal["trading", "halted", "delisted"] | None = Field(description="whether it trades")
    tick_size: float | None = Field(description=f"smallest step of the price, {PRICE}")
    lot_size: float | None = Field(description=f"smallest step of a size, {BASE}")
    min_notional: float | None = Field(description=f"smallest value of an order, {QUOTE}")
    multiplier: float | None = Field(description="base units per contract")


class Candle(BaseModel):
    """A closed candle in its newest revision."""

    time: Micros = Field(description=f"open time, {MICROS}")
    open: float = Field(description=f"first price, {PRICE}")
    high: float = Field(description=f"highest price, {PRICE}")
    low: float = Field(description=f"lowest price, {PRICE}")
    close: float = Field(description=f"last price, {PRICE}")
    volume: float = Field(description=f"{BASE} traded")
    quote_volume: float = Field(description=f"{QUOTE} traded")
    taker_buy_volume: float = Field(description=f"{BASE} bought by aggressors")
    trade_count: int = Field(description="trades")
    vwap: float | None = Field(description=f"average price by volume, {PRICE}; null without trades")
    complete: bool = Field(description="false where trades are missing")
    backfilled: bool = Field(description="whether it is the venue's own candle, read as history")
    revision: int = Field(description="corrections by late trades")


class Trade(BaseModel):
    """A public trade."""

    time: Micros = Field(description=f"execution time by the venue, {MICROS}")
    trade_id: str = Field(description="the venue's id")
    price: float = Field(description=PRICE)
    size: float = Field(description=BASE)
    side: Literal["buy", "sell", "unknown"] = Field(description="the aggressor's side")
    receive_time: Micros = Field(description=f"arrival at our socket, {MICROS}")


class Quote(BaseModel):
    """Best bid and ask."""

    time: Micros = Field(description=f"time by the venue, else of arrival, {MICROS}")
    bid: float | None = Field(description=f"{PRICE}; null: no bid")
    bid_size: float = Field(description=BASE)
    ask: float | None = Field(description=f"{PRICE}; null: no ask")
    ask_size: float = Field(description=BASE)
    receive_time: Micros = Field(description=f"arrival at our socket, {MICROS}")


class Indicator(BaseModel):
    """A value of an indicator at a closed candle."""

    time: Micros = Field(description=f"open time of the candle, {MICROS}")
    name: str = Field(description="indicator with its parameters, sma(20)")
    value: float | None = Field(description="in the unit of the indicator")
    complete: bool = Field(description="false where candles it saw miss trades")
    revision: int = Field(description="revision of the candle")


class Signal(BaseModel):
    """A rule has fired."""

    time: Micros = Field(description=f"open time of the candle, {MICROS}")
    venue: str = Field(description="name in lower case")
    symbol: str = Field(description="unified symbol")
    interval: str = Field(description="length of the candle; trade: an alert on trades")
    rule: str = Field(description="rule with its parameters")
    direction: Literal["long", "short", "neutral"] = Field(description="direction")
    strength: float = Field(description="0 (weak) to 1 (strong)")
    complete: bool = Field(description="false where the candles it saw miss trades")
    event_time: Micros = Field(description=f"when it fired by the venue's time, {MICROS}")
    candle_id: str = Field(description="ce_id of the candle")
    values: dict[str, float | None] = Field(description="what the rule saw, by name")


class Notification(BaseModel):
    """A message that a channel has taken."""

    time: Micros = Field(description=f"when, {MICROS}")
    id: str = Field(description="id of the message")
    type: str = Field(description="what it is about")
    channel: str = Field(description="name of the channel")
    subject: str = Field(description="subject, or first line")
    body: str = Field(description="the message")
    cause_id: str = Field(description="id of the signal or event that caused it")


class Event(BaseModel):
    """Something that people who operate the pipeline want to know."""

    time: Micros = Field(description=f"when, {MICROS}")
    id: str = Field(description="id of the event")
    type: str = Field(description="its ce_type, as provider.disconnected")
    source: str = Field(description="who says it")
    severity: Literal["info", "warning", "error"] = Field(description="how bad it is")
    message: str = Field(description="for people")
    data: dict[str, str] = Field(description="details by name")


class DeadLetters(BaseModel):
    """What waits in a dead letter topic."""

    topic: str = Field(description="name of the dead letter topic")
    records: int = Field(description="records that it holds")


class Letter(BaseModel):
    """A record that a stage could not use."""

    time: Micros = Field(description=f"when it was put aside, {MICROS}")
    partition: int = Field(description="of the dead letter topic")
    offset: int = Field(description="its offset there")
    stage: str = Field(description="which stage put it aside")
    cause: str = Field(description="why, in words")
    source: str = Field(description="where it was read, as topic/partition/offset")
    key: str | None = Field(description="its key as text")
    value: str | None = Field(description="JSON of a record, else text or hexadecimal digits; cut off")
    size: int = Field(description="bytes of the value")
    outcome: Literal["retried", "dropped"] | None = Field(description="null while it waits")


class Stage(BaseModel):
    """A stage of the pipeline."""

    name: str = Field(description="produce, process, or sink NAME")
    rate: float | None = Field(description="records/s since the last look; null at the first")
    lag_records: int | None = Field(description="records in the log that it has not handled")
    lag_s: float | None = Field(description="s of the venue's time that it is behind the newest time mark")


class TopicState(BaseModel):
    """A topic."""

    topic: str = Field(description="its name")
    records: int = Field(description="records that it holds")
    rate: float | None = Field(description="records/s since the last look; null at the first")


class SinkState(BaseModel):
    """How far a sink has stored a topic."""

    sink: str = Field(description="its name")
    topic: str = Field(description="the topic")
    position: int = Field(description="sum of its offsets over the partitions")
    lag_records: int = Field(description="records that it has not stored")
    updated: Micros = Field(description=f"when it moved last, {MICROS}")


class Feed(BaseModel):
    """A venue's feed."""

    venue: str = Field(description="name in lower case")
    connected: bool = Field(description="whether all of its sources write time marks")
    silent_s: float = Field(description="s since the last mark of its most silent source")
    delay_s: float = Field(description="s that this mark was behind its arrival in the topic")
    skew_s: float | None = Field(description="s from a trade's time at the venue to our socket")
    gaps: int = Field(description="gaps announced since the server started")
    mark: Micros = Field(description=f"everything up to here was delivered, {MICROS}")
    ended: bool = Field(description="whether all of its sources have ended")


class ServerState(BaseModel):
    """Who has subscribed at this server."""

    clients: int = Field(description="connections of /ws and /api/v1/stream")
    subscriptions: int = Field(description="subscriptions of all of them")
    waiting: int = Field(description="messages that wait for them")


class PipelineState(BaseModel):
    """The whole pipeline at a glance."""

    time: Micros = Field(description=f"when this was seen, {MICROS}")
    stages: list[Stage]
    topics: list[TopicState]
    sinks: list[SinkState]
    venues: list[Feed]
    dead_letters: int = Field(description="records in all dead letter topics")
    server: ServerState


class Health(BaseModel):
    """Whether what the server needs is there."""

    status: Literal["healthy", "unhealthy"] = Field(description="healthy if all services are up")
    timestamp: Micros = Field(description=MICROS)
    services: dict[Literal["database", "kafka", "exchange", "redis"], Literal["up", "down"]] = Field(
        description="exchange: a venue's feed is connected; redis: if cache.url is set"
    )


Row = TypeVar("Row", bound=BaseModel)


class Page(BaseModel, Generic[Row]):
    """Rows in ascending order of time."""

    data: list[Row]
    before: Micros | None = Field(None, description="ask with this for older rows; null: there are none")


class Listing(BaseModel, Generic[Row]):
    """All there are."""

    data: list[Row]


class InstrumentPage(BaseModel):
    """Instruments by venue and symbol."""

    data: list[Instrument]
    after: str | None = Field(None, description="ask with this for the next ones; null: there are none")
