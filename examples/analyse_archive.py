"""Ask the archive with polars: what a minute of trades was made of, and whether our candles agree.

    pip install polars                                 # `make setup` has done it
    KANDLE_SINK__RUN=timescale,archive kandle up       # in one shell, for some minutes
    python analyse_archive.py var/archive              # in another

The archive is Parquet below one folder, and needs neither Kafka nor Kandle to be read.
"""

import sys
from pathlib import Path

import polars as pl


def scan(archive: Path, topic: str, record: str) -> pl.LazyFrame:
    """All rows of one type of record of a topic; columns are the fields of its Avro schema."""
    files = f"{archive}/{topic}/record={record}/**/*.parquet"
    # An older file may lack a field that a newer Kandle has added.
    return pl.scan_parquet(files, hive_partitioning=True, missing_columns="insert")


def trades(archive: Path) -> pl.LazyFrame:
    """Each trade once: the archive keeps the topic as it was, where one may stand twice."""
    found = scan(archive, "market.trades.v1", "trade")
    return found.unique(["venue", "symbol", "trade_id"], keep="first").sort("event_time", "sequence")


def candles(archive: Path, interval: str) -> pl.LazyFrame:
    """The newest revision of each closed candle of an interval."""
    found = scan(archive, "market.candles.v1", "candle").filter(pl.col("interval") == interval)
    key = ["venue", "symbol", "open_time"]
    return found.sort("revision").unique(key, keep="last").sort(key)


def flow(archive: Path) -> pl.DataFrame:
    """By market: trades, volume-weighted price, and the part of the volume that takers bought."""
    bought = pl.col("size").filter(pl.col("side") == "buy").sum()
    return (
        trades(archive)
        .group_by("venue", "symbol")
        .agg(
            pl.len().alias("trades"),
            ((pl.col("price") * pl.col("size")).sum() / pl.col("size").sum()).alias("vwap"),
            (bought / pl.col("size").sum()).alias("taker_buy_part"),
            pl.col("event_time").min().alias("first"),
            pl.col("event_time").max().alias("last"),
        )
        .sort("venue", "symbol")
        .collect()
    )


def disagreements(archive: Path) -> pl.DataFrame:
    """Complete candles of a second that differ from those that the trades give; there should be none."""
    every = "1s"
    made = (
        trades(archive)
        .group_by("venue", "symbol", pl.col("event_time").dt.truncate(every).alias("open_time"))
        .agg(
            pl.col("price").first().alias("made_open"),
            pl.col("price").max().alias("made_high"),
            pl.col("price").min().alias("made_low"),
            pl.col("price").last().alias("made_close"),
            pl.col("size").sum().alias("made_volume"),
        )
    )
    kept = candles(archive, every).filter(pl.col("complete") & (pl.col("trade_count") > 0))
    joined = kept.join(made, on=["venue", "symbol", "open_time"], how="left")
    equal = pl.all_horizontal(
        *(pl.col(name) == pl.col(f"made_{name}") for name in ("open", "high", "low", "close")),
        (pl.col("volume") - pl.col("made_volume")).abs() <= 1e-9 * pl.col("volume"),
    )
    return joined.filter(~equal.fill_null(value=False)).collect()


def main() -> None:
    """Print both tables."""
    archive = Path(sys.argv[1] if len(sys.argv) > 1 else "var/archive")
    print(flow(archive))
    wrong = disagreements(archive)
    count = candles(archive, "1s").select(pl.len()).collect().item()
    print(f"{count} candles of a second, {len(wrong)} of them differ from their trades")


if __name__ == "__main__":
    main()
