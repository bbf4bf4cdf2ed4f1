"""Runs everything on one machine: servers, topics, stages, and the watch over them."""

import asyncio
import contextlib
import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from infra.embedded.disk import MIB, DiskBudget
from infra.embedded.supervisor import Supervisor
from infra.kafka.admin import Admin
from infra.settings import Settings
from kandle.up import feed as feeds
from kandle.up.database import Database
from kandle.up.feed import Feed
from kandle.up.market_watch import MarketWatch
from kandle.up.prometheus_targets import remove_targets
from kandle.up.restart_events import RestartEvents
from kandle.up.scrape import Scrape, ports_of
from kandle.up.screen import Screen
from kandle.up.stage_specs import StageSpecs, produced_file
from kandle.up.startup import start_servers, start_stages
from kandle.up.summary import STORED_LATENCY, Summary, summarize
from kandle.up.tally import Stored, Tally, expected_streams
from kandle.up.view import Picture, StageRow
from producers.interruption import unless_stopped
from schemas.errors import ConfigurationError, UnavailableError
from schemas.topics import CANDLES, INDICATORS, SIGNALS, TOPICS, TRADES

WATCH_S = 0.2
PICTURE_S = 1.0
LAST_DRAIN_S = 5.0
"""How long a stop waits for what was received to be stored."""
LAST_LOOK_S = 10.0
"""How long the summary waits for a server that is away: whoever stops a run may do so since it is."""


@dataclass(slots=True)
class Run:
    """What a running pipeline is watched by."""

    began: float
    supervisor: Supervisor
    feed: Feed
    tally: Tally
    watch: MarketWatch
    scrape: Scrape
    before: Stored
    letters_before: int
    admin: Admin
    settings: Settings
    since: datetime.datetime
    tell: Callable[[str], None]
    newest: Stored
    notice: str | None = None
    page: str | None = None
    first_candle_s: float | None = None

    @property
    def elapsed_s(self) -> float:
        """Seconds since the command."""
        return time.monotonic() - self.began

    async def stored(self) -> Stored:
        """Rows that this run has added; notes when the first candle was there."""
        self.newest = stored = (await self.tally.stored()).since(self.before)
        if self.first_candle_s is None and stored.of(CANDLES):
            self.first_candle_s = self.elapsed_s
        return stored

    async def read_metrics(self) -> None:
        """Scrape every stage once."""
        stages = self.supervisor.endpoints.stages
        await self.scrape.read(ports_of((name, stage.metrics_port) for name, stage in stages.items()))

    async def drained(self) -> bool:
        """Whether every sink has passed the final marks of this run."""
        settings = self.settings
        expected = expected_streams(settings)
        return await self.tally.drained(settings.run_id, expected, settings.kafka.partitions, self.since)

    async def summary(self) -> Summary:
        """The run so far; without a server that is away, as much as is known."""
        letters = None
        try:
            letters = await asyncio.to_thread(count_dead_letters, self.admin) - self.letters_before
        except UnavailableError as error:
            self.tell(f"the summary lacks the dead letters: {error}")
        try:
            async with asyncio.timeout(LAST_LOOK_S):
                await self.stored()
        except (TimeoutError, UnavailableError):
            self.tell("the database does not answer: what is said to be stored is as of the last look")
        supervisor = self.supervisor
        await supervisor.measure()
        return summarize(
            self.feed.description,
            self.scrape,
            self.newest,
            letters,
            self.elapsed_s,
            self.first_candle_s,
            supervisor.meter.used,
            supervisor.endpoints.disk_bytes or 0,
        )


async def run_pipeline(
    settings: Settings,
    feed: Feed,
    *,
    began: float,
    once: bool,
    serve: bool,
    screen: Screen,
    stop: asyncio.Event,
) -> Summary | None:
    """Start everything, watch it until the feed has drained or `stop` is set, stop everything.

    Args:
        settings: In force; Kafka and database that they do not name are started.
        feed: Where the trades come from.
        began: Monotonic time of the command's start, for the durations.
        once: End when the feed has ended and has drained.
        serve: Whether the page and the API are served.
        screen: Told what happens.
        stop: Ends the run.

    Returns:
        The summary of the run; None if it was stopped before the servers were ready.

    Raises:
        KandleError: The run could not start, or could not go on.
    """
    disk = DiskBudget(settings.data_dir, settings.disk_budget_mb * MIB)
    restarts = RestartEvents(settings.run_id)
    async with contextlib.AsyncExitStack() as stack:
        supervisor = await stack.enter_async_context(
            Supervisor(settings.data_dir, disk=disk, tell=screen.say, on_restart=restarts.take)
        )
        reached = await unless_stopped(stop, start_servers(settings, supervisor, screen))
        if reached is None:
            screen.say("stopping before the servers were ready")
            return None
        restarts.start(reached.kafka)
        stack.push_async_callback(restarts.close)
        url = reached.database.url
        if url is None:
            raise ConfigurationError("no database is configured")
        database = Database(url.get_secret_value())
        stack.push_async_callback(database.close)
        run = await _begun(reached, feed, supervisor, database, screen, began)
        stack.callback(remove_targets, settings.data_dir)
        specs = StageSpecs(reached, feed, embedded_kafka=not settings.kafka.bootstrap_servers)
        run.page = specs.page if serve else None
        await unless_stopped(
            stop, start_stages(specs, supervisor, screen, simulated=feed.simulated, serve=serve)
        )
        if not stop.is_set():
            screen.say(f"running: {feed.description}" + (f"; page and API: {run.page}" if run.page else ""))
            await _watch(run, once=once, show=screen.show, stop=stop)
        screen.say("stopping" + ("; a second Ctrl-C ends everything at once" if stop.is_set() else ""))
        return await _wind_down(run)


async def _begun(
    settings: Settings, feed: Feed, supervisor: Supervisor, database: Database, screen: Screen, began: float
) -> Run:
    """A run over servers that are ready, with what stood there before it.

    Raises:
        ConflictError: The feed is older than the data.
    """
    tally, admin, notice = Tally(database), Admin(settings.kafka), None
    if feed.capture is not None:
        seen = await tally.seen(feed.venue, feeds.ids_of(feed.capture, feed.symbols))
        notice = feeds.check_age(feed, seen, settings)
        if notice:
            screen.say(notice)
    return Run(
        began=began,
        supervisor=supervisor,
        feed=feed,
        tally=tally,
        watch=MarketWatch(database, settings.processors.intervals[0]),
        scrape=Scrape(),
        before=await tally.stored(),
        letters_before=await asyncio.to_thread(count_dead_letters, admin),
        admin=admin,
        settings=settings,
        since=await tally.now(),
        tell=screen.say,
        newest=Stored({}, 0),
        notice=notice,
    )


async def _watch(run: Run, *, once: bool, show: Callable[[Picture], None], stop: asyncio.Event) -> None:
    failure = asyncio.create_task(run.supervisor.until_failure())
    pictures = asyncio.create_task(_show_pictures(run, show))
    stopped = asyncio.create_task(stop.wait())
    ended = asyncio.create_task(_has_ended(run, once=once))
    tasks: list[asyncio.Task[Any]] = [failure, pictures, stopped]
    try:
        while not stopped.done():
            # The question may take long, while the database comes back: a failure does not wait for it.
            await asyncio.wait([*tasks, ended], return_when=asyncio.FIRST_COMPLETED)
            for task in (failure, pictures):
                if task.done():
                    task.result()
            if ended.done():
                if ended.result():
                    return
                await asyncio.wait(tasks, timeout=WATCH_S, return_when=asyncio.FIRST_COMPLETED)
                ended = asyncio.create_task(_has_ended(run, once=once))
    finally:
        tasks.append(ended)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _has_ended(run: Run, *, once: bool) -> bool:
    """Whether the run is over; notes the first candle."""
    if run.first_candle_s is None:
        await run.stored()
    return once and await run.drained()


async def _show_pictures(run: Run, show: Callable[[Picture], None]) -> None:
    earlier: tuple[float, dict[str, int]] | None = None
    while True:
        await run.read_metrics()
        picture = await _picture(run, earlier)
        earlier = (picture.elapsed_s, dict(picture.totals))
        show(picture)
        await asyncio.sleep(PICTURE_S)


async def _picture(run: Run, earlier: tuple[float, dict[str, int]] | None) -> Picture:
    scrape = run.scrape
    stored = await run.stored()
    totals = {
        "received": int(scrape.total("kandle_records_received_total", record="Trade")),
        "published": int(scrape.total("kandle_records_published_total", topic=TRADES.name, record="Trade")),
        "trades stored": stored.of(TRADES),
        "candles": stored.of(CANDLES),
        "indicators": stored.of(INDICATORS),
        "signals": stored.of(SIGNALS),
        "notified": stored.notifications,
    }
    elapsed = run.elapsed_s
    rates: dict[str, float] = {}
    if earlier is not None and elapsed > earlier[0]:
        rates = {name: (totals[name] - count) / (elapsed - earlier[0]) for name, count in earlier[1].items()}
    lag = scrape.gauge("kandle_lag_records")
    p50, p99 = (scrape.quantile(STORED_LATENCY, share) for share in (0.5, 0.99))
    ended = scrape.gauge("kandle_feed_ended") == 1.0
    return Picture(
        feed=run.feed.description + (" (has ended)" if ended else ""),
        elapsed_s=elapsed,
        stages=[
            StageRow(
                name,
                stage.state,
                stage.restarts,
                None if stage.resources is None else stage.resources.cpu_percent,
                None if stage.resources is None else stage.resources.memory_bytes,
            )
            for name, stage in run.supervisor.endpoints.stages.items()
        ],
        rates=rates,
        totals=totals,
        lag_records=None if lag is None else int(lag),
        latency_ms=(None if p50 is None else p50 * 1000, None if p99 is None else p99 * 1000),
        markets=await run.watch.markets(),
        signals=await run.watch.signals(),
        interval=run.watch.interval,
        notice=run.notice or _missing_venue(run),
        page=run.page,
        disk_bytes=run.supervisor.endpoints.disk_bytes,
    )


def _missing_venue(run: Run) -> str | None:
    """What to say while a live venue cannot be reached."""
    if run.feed.kind != "live" or run.scrape.gauge("kandle_connections"):
        return None
    return (
        f"{run.feed.venue} cannot be reached; it is tried again, at the latest after 30 s. "
        "`kandle up --feed simulated` needs no network"
    )


async def _wind_down(run: Run) -> Summary:
    """Stop the source, let the rest drain for a moment, count, stop the rest."""
    await run.read_metrics()
    produced = "produce" in run.supervisor.endpoints.stages
    await run.supervisor.stop("produce")
    run.scrape.read_last("produce", produced_file(run.settings.data_dir))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_DRAIN_S):
            while produced and not await run.drained():
                await asyncio.sleep(WATCH_S)
    await run.read_metrics()
    summary = await run.summary()
    await run.supervisor.stop("simulate", "process", "sink", "serve")
    return summary


def count_dead_letters(admin: Admin) -> int:
    """Records in all dead letter topics, as their end offsets say."""
    asked = [(topic.dead_letter_name, 0) for topic in TOPICS if topic.dead_letters]
    return sum(end for _, end in admin.log_ranges(asked).values())
