"""What is read, and from where: venues, the producer, the simulator."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PositiveFloat, PositiveInt, SecretStr
from pydantic_settings import NoDecode

from infra.settings.section import FinitePositive, NameList, Section, SymbolList, split

Channel = Literal[
    "trades", "aggregated_trades", "quotes", "books", "tickers", "candles", "derivatives", "liquidations"
]
ChannelList = Annotated[list[Channel], NoDecode, BeforeValidator(split), Field(min_length=1)]


class ProducerSettings(Section):
    """What is read from which venue."""

    venue: str = Field("binance", description="name of the venue; `kandle venues` lists them")
    market: str = Field("spot", description="kind of market: spot, usdm, futures")
    plugins: NameList = Field(default_factory=list, description="modules of your own with venues")
    symbols: SymbolList = Field(
        default_factory=lambda: ["BTC/USDT", "ETH/USDT"], description="as BTC/USDT; */USDT: all of that quote"
    )
    channels: ChannelList = Field(default=["trades", "quotes"], description="what is fed of each symbol")
    aggregated_symbols: NameList = Field(
        default_factory=list, description="symbols whose trades come from the venue's aggregated stream"
    )
    candle_interval: str = Field("1m", description="interval of the venue's own candles")
    testnet: bool = Field(False, description="the venue's test network instead of its market")
    websocket_url: str | None = Field(None, description="instead of the venue's own: a simulator, a proxy")
    rest_url: str | None = Field(None, description="the same, of its REST interface")
    source: str | None = Field(
        None, description="name of the source in time marks; the number of the shard follows"
    )
    shards: PositiveInt = Field(
        1, description="parts of a venue that processes share; at most kafka.partitions"
    )
    instance_id: str | None = Field(
        None, description="stable name of this process: it has its shards back at once after a crash"
    )
    takeover_s: PositiveFloat = Field(10.0, ge=6.0, description="a producer silent so long is replaced")
    hot_feeds: int = Field(1, ge=1, le=2, description="connections that deliver everything; first copy wins")
    lossless: bool = Field(False, description="wait for a slow Kafka; else shed, announce and backfill")
    idle_marks: bool = Field(True, description="let time marks advance while a live feed is idle")
    backfill_s: PositiveFloat = Field(30.0, description="marks wait so long for missing trades")
    restart_backfill_s: PositiveFloat = Field(300.0, description="the same for what was missed between runs")
    history: NameList = Field(
        default_factory=list, description="past candles for symbols that are new here, as 1m:500,1h:200"
    )
    history_timeout_s: PositiveFloat = Field(60.0, description="the feed begins after so long without them")
    instruments_every_s: PositiveFloat = Field(3_600.0, description="how often the instrument list is read")
    exit_at_end: bool = Field(True, description="stop when every feed has ended")


class VenueSettings(Section):
    """How a venue is called by REST."""

    api_key: SecretStr | None = Field(None, description="key of an account; market data need none")
    secret: SecretStr | None = Field(None, description="what requests are signed with")
    passphrase: SecretStr | None = Field(None, description="where the venue wants one besides the key")
    testnet: bool = Field(False, description="the venue's test network instead of its market")
    recv_window_ms: PositiveInt = Field(10_000, description="signed requests older than this are refused")
    correct_clock: bool = Field(True, description="sign with the venue's time where ours differs")
    calls_per_minute: PositiveFloat | None = Field(
        None, description="pace; unset: Binance 50, Gate.io 60, other venues as ccxt knows them"
    )
    rest_url: str | None = Field(None, description="instead of the venue's own: a simulator, a proxy")


def _venue_key(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


VenueKey = Annotated[str, AfterValidator(_venue_key)]


class SimulatorSettings(Section):
    """The exchange that runs on this machine: a capture played back, or a market of its own."""

    port: int = Field(0, ge=0, le=65535, description="0 takes a free one")
    capture: Path | None = Field(None, description="is played back; none: a seeded market is made")
    speed: FinitePositive | Literal["max"] = Field(1.0, description="times real time, or as fast as it goes")
    symbols: SymbolList = Field(
        default_factory=lambda: ["BTC/USDT", "ETH/USDT", "SOL/USDT"], description="of the seeded market"
    )
    seed: int = Field(1, description="the same one makes the same market")
    trades_per_second: PositiveFloat = Field(20.0, description="of the seeded market, per symbol, on average")
    rewind: bool = Field(True, description="a feed that comes back gets the playback again; else it goes on")
    faults: NameList = Field(default_factory=list, description="what goes wrong, as gap@5000:20 or 429@0:3")
