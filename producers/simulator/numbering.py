"""Which ids the trades of a made market bear, kept over restarts: they go on as the market does.

The ids of a symbol follow each other as its trades do, whether anybody runs the market or not. So what a
restart has missed is as many ids as there were trades. A market with other parameters has its trades at other
times: its ids go on behind those that the one before would have reached by now.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from infra.logging import get_logger
from producers.simulator.prices import Instrument, first_id_at
from schemas.records import Micros

FILE: Final = "simulated-market.json"

logger = get_logger(__name__)


class Numbering(msgspec.Struct):
    """What a market was that ran in a folder.

    Attributes:
        seed: Of its course.
        trades_per_second: Of each symbol.
        since: When it began with these, µs.
        offsets: `Instrument.offset` of each symbol.
    """

    seed: int
    trades_per_second: float
    since: Micros
    offsets: dict[str, int] = {}


def number(
    instruments: Sequence[Instrument], seed: int, trades_per_second: float, now: Micros, folder: Path | None
) -> Micros:
    """Give the trades of instruments their ids, and keep them; reads and writes a small file.

    A file that cannot be read is as good as none: the ids then begin by the clock, higher than any before.
    One that cannot be written is told in the log.

    Args:
        instruments: Of the market that begins.
        seed: Of its course.
        trades_per_second: Of each symbol.
        now: When it begins, µs.
        folder: Where the file is; None: the ids begin by the clock, and nobody keeps them.

    Returns:
        Since when the market has been the same, µs: what it did before, nobody can tell.
    """
    known = _read(folder / FILE) if folder is not None else None
    since, offsets = now, {}
    if known is not None and (known.seed, known.trades_per_second) == (seed, trades_per_second):
        since, offsets = known.since, known.offsets
    elif known is not None:
        offsets = _moved(known, seed, trades_per_second, now)
    for instrument in instruments:
        if instrument.symbol in offsets:
            instrument.offset = offsets[instrument.symbol]
        else:
            instrument.number_from(first_id_at(now), now)
    if folder is not None:
        offsets |= {instrument.symbol: instrument.offset for instrument in instruments}
        _write(folder / FILE, Numbering(seed, trades_per_second, since, offsets))
    return since


def _moved(known: Numbering, seed: int, trades_per_second: float, now: Micros) -> dict[str, int]:
    """The offsets with which another market goes on where the known one is now."""
    found = {}
    for symbol, offset in known.offsets.items():
        before = Instrument(symbol, "", known.seed, known.trades_per_second)
        before.offset = offset
        after = Instrument(symbol, "", seed, trades_per_second)
        after.number_from(before.id_at(now), now)
        found[symbol] = after.offset
    return found


def _read(path: Path) -> Numbering | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Numbering)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        logger.warning(
            "the simulated market begins anew: its file cannot be read", path=str(path), why=str(error)
        )
        return None


def _write(path: Path, numbering: Numbering) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written aside and put in place at once: a crash leaves the old one or the new one.
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(msgspec.json.encode(numbering))
        os.replace(file.name, path)
    except OSError as error:
        logger.warning(
            "the ids of the simulated market cannot be kept: a restart will skip many",
            path=str(path),
            why=str(error),
        )
