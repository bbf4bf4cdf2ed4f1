"""What a run came to, for people and for programs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from infra.embedded.resources import Used
from kandle.up.scrape import Scrape
from kandle.up.tally import Stored
from kandle.up.view import size
from schemas.topics import CANDLES, INDICATORS, SIGNALS, TRADES

STORED_LATENCY = "kandle_stored_latency_seconds"


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of one run.

    Attributes:
        trades_received: Trades that the producer parsed, repeats included.
        trades_published: Trades that Kafka acknowledged.
        trades_stored, candles_stored, indicators_stored, signals_stored: Rows that were new.
        notifications_sent: Messages delivered.
        dead_letters: Records that no stage could use; None if Kafka does not answer at the end.
        duration_s: From the command to the drained pipeline, start included.
        first_candle_s: From the command to the first candle in the database; None if there was none.
        latency_ms: From frame received to row committed, trades; None without any.
        processes: Of each process `cpu_s`, seconds of CPU that it used, and `memory_peak_bytes`, over its
            restarts.
        disk_bytes: What the data directory occupies at the end.
    """

    feed: str
    trades_received: int
    trades_published: int
    trades_stored: int
    candles_stored: int
    indicators_stored: int
    signals_stored: int
    notifications_sent: int
    dead_letters: int | None
    duration_s: float
    first_candle_s: float | None
    latency_ms: dict[str, float | None]
    processes: dict[str, dict[str, float]]
    disk_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def as_text(self) -> str:
        """For people."""
        first = "" if self.first_candle_s is None else f", the first after {self.first_candle_s:.1f} s"
        p50, p99 = self.latency_ms["p50"], self.latency_ms["p99"]
        latency = "-" if p50 is None or p99 is None else f"p50 {p50:.0f} ms, p99 {p99:.0f} ms"
        nothing_new = "" if self.trades_stored or not self.trades_received else " (nothing new)"
        return "\n".join(
            [
                f"feed           {self.feed}",
                f"trades         {self.trades_received:,} received, {self.trades_published:,} published, "
                f"{self.trades_stored:,} stored{nothing_new}",
                f"candles        {self.candles_stored:,} stored{first}",
                f"indicators     {self.indicators_stored:,} values stored",
                f"signals        {self.signals_stored:,} stored, "
                f"{self.notifications_sent:,} notifications sent",
                f"dead letters   {'unknown' if self.dead_letters is None else f'{self.dead_letters:,}'}",
                f"latency        {latency}, from frame received to row committed",
                f"duration       {self.duration_s:.1f} s",
                f"resources      {self._resources()}",
            ]
        )

    def _resources(self) -> str:
        each = [
            f"{name} {used['cpu_s']:.1f} s of CPU, {size(int(used['memory_peak_bytes']))}"
            for name, used in self.processes.items()
        ]
        return "\n               ".join([*each, f"{size(self.disk_bytes)} of disk"])


def summarize(
    feed: str,
    scrape: Scrape,
    stored: Stored,
    dead_letters: int | None,
    duration_s: float,
    first_candle_s: float | None,
    used: Mapping[str, Used],
    disk_bytes: int,
) -> Summary:
    """Put the sources together: metrics for what was received, database and log for what was stored."""
    return Summary(
        feed=feed,
        trades_received=int(scrape.total("kandle_records_received_total", record="Trade")),
        trades_published=int(
            scrape.total("kandle_records_published_total", topic=TRADES.name, record="Trade")
        ),
        trades_stored=stored.of(TRADES),
        candles_stored=stored.of(CANDLES),
        indicators_stored=stored.of(INDICATORS),
        signals_stored=stored.of(SIGNALS),
        notifications_sent=stored.notifications,
        dead_letters=dead_letters,
        duration_s=round(duration_s, 3),
        first_candle_s=None if first_candle_s is None else round(first_candle_s, 3),
        latency_ms={
            name: None
            if (found := scrape.quantile(STORED_LATENCY, share)) is None
            else round(found * 1000, 1)
            for name, share in (("p50", 0.5), ("p99", 0.99))
        },
        processes={
            name: {"cpu_s": round(each.cpu_s, 3), "memory_peak_bytes": each.peak_bytes}
            for name, each in used.items()
        },
        disk_bytes=disk_bytes,
    )
