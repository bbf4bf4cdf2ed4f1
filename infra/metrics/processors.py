"""Metrics of workers: what is folded, what came late, checkpoints."""

from infra.metrics.declaration import SIZE_BUCKETS, Group

GROUP = Group("Processors", "process")

RECORDS_PROCESSED = GROUP.counter(
    "kandle_records_processed", "records", "Records folded by agents.", ["topic"]
)
WATERMARK_DELAY = GROUP.gauge(
    "kandle_watermark_delay_seconds",
    "seconds",
    "Our clock less the time up to which a venue's trades are known to have come, of the partition that is "
    "furthest behind; not shown once the feed has ended.",
    ["venue"],
)
CHECKPOINTS = GROUP.counter("kandle_checkpoints", "checkpoints", "Checkpoints acknowledged.", ["agent"])
CHECKPOINT_SECONDS = GROUP.histogram(
    "kandle_checkpoint_seconds", "seconds", "Time that a checkpoint took.", ["agent"]
)
CHECKPOINT_BYTES = GROUP.histogram(
    "kandle_checkpoint_bytes",
    "bytes",
    "What a checkpoint has written for one partition, changed pages only.",
    ["agent"],
    SIZE_BUCKETS,
)
RESTORED_OFFSET = GROUP.gauge(
    "kandle_restored_offset",
    "offset",
    "Offset at which a partition went on, -1 from the beginning.",
    ["agent", "partition"],
)
SERIES_CANDLES = GROUP.counter(
    "kandle_series_candles",
    "candles",
    "Candles by what indicators made of them: applied, revised, repeats, too_old, history (too old).",
    ["outcome"],
)
SERIES_FAILURES = GROUP.counter(
    "kandle_series_failures", "candles", "Candles at which an indicator or a rule has raised.", ["name"]
)
LATE_TRADES = GROUP.counter("kandle_late_trades", "trades", "Trades too late for their candle.", ["venue"])
CONFLICTING_TRADES = GROUP.counter(
    "kandle_conflicting_trades",
    "trades",
    "Trades refused: their sequence came before with other values.",
    ["venue"],
)
BAR_TRADES_LEFT_OUT = GROUP.counter(
    "kandle_bar_trades_left_out", "trades", "Trades that are in candles, but came too late for bars."
)
CANDLES_COMPARED = GROUP.counter(
    "kandle_candles_compared", "candles", "Candles compared with the venue's own.", ["venue"]
)
CANDLE_MISMATCHES = GROUP.counter(
    "kandle_candle_mismatches",
    "figures",
    "Figures of candles that differ from the venue's own.",
    ["venue", "field"],
)
