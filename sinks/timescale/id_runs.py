"""Running numbers of many markets in one walk over their rows, as they came, without sorting them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from schemas.compiled import compiled

Int64s = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_NONE = -1


@dataclass(frozen=True, slots=True)
class IdRuns:
    """What rows of many owners hold: for each owner its runs of consecutive ids, in order of their coming.

    Attributes:
        owners: The owners, ascending.
        edges: int64[owners + 1], where the runs of each begin in `starts` and `stops`.
        starts, stops: Runs [start, stop), those of one owner together.
        disordered: bool by owner: an id of it is not above the ones before it; its runs say nothing.
    """

    owners: list[int]
    edges: list[int]
    starts: Int64s
    stops: Int64s
    disordered: Mask


def id_runs(owners: Int64s, ids: Int64s, chosen: Mask) -> IdRuns:
    """Find the runs of consecutive ids.

    Args:
        owners: int64[n], small numbers from 0 on where `chosen`.
        ids: int64[n].
        chosen: bool[n], rows that count.
    """
    known = int(owners.max(initial=_NONE)) + 1
    runs = np.empty((3, int(np.count_nonzero(chosen))), np.int64)
    disordered = np.zeros(known, np.bool_)
    newest = np.full(known, _NONE, np.int64)
    count = _id_runs(
        np.ascontiguousarray(owners), np.ascontiguousarray(ids), chosen, newest, runs, disordered
    )
    order = np.argsort(runs[0, :count], kind="stable")
    found = runs[:, order]
    begins = np.flatnonzero(np.concatenate(([True], found[0, 1:] != found[0, :-1]))) if count else order
    return IdRuns(
        owners=found[0, begins].tolist(),
        edges=[*begins.tolist(), count],
        starts=found[1],
        stops=found[2],
        disordered=disordered,
    )


def newest_only(owners: Int64s, ids: Int64s, chosen: Mask, spans: Int64s) -> Mask:
    """bool[n]: the chosen rows whose id is above all before it of its owner.

    Args:
        owners: int64[n], small numbers from 0 on where `chosen`.
        ids: int64[n], 0 or more.
        chosen: bool[n], rows that count.
        spans: int64[2, owners]: the first and the highest id of each, -1 where there is none yet; brought up
            to date.
    """
    above = np.zeros(len(chosen), np.bool_)
    _newest_only(np.ascontiguousarray(owners), np.ascontiguousarray(ids), chosen, spans, above)
    return above


@compiled(
    types.int64(
        types.int64[::1],
        types.int64[::1],
        types.boolean[::1],
        types.int64[::1],
        types.int64[:, ::1],
        types.boolean[::1],
    )
)
def _id_runs(owners: Any, ids: Any, chosen: Any, newest: Any, runs: Any, disordered: Any) -> int:
    """Write (owner, start, stop) of each run; `newest` holds each owner's last one. Returns their number."""
    count = 0
    for row in range(chosen.size):
        if not chosen[row]:
            continue
        owner = owners[row]
        value = ids[row]
        run = newest[owner]
        if run >= 0 and value <= runs[2, run]:
            if value < runs[2, run]:
                disordered[owner] = True
            else:
                runs[2, run] = value + 1
            continue
        runs[0, count] = owner
        runs[1, count] = value
        runs[2, count] = value + 1
        newest[owner] = count
        count += 1
    return count


@compiled(
    types.void(
        types.int64[::1], types.int64[::1], types.boolean[::1], types.int64[:, ::1], types.boolean[::1]
    )
)
def _newest_only(owners: Any, ids: Any, chosen: Any, spans: Any, above: Any) -> None:
    for row in range(chosen.size):
        if not chosen[row]:
            continue
        owner = owners[row]
        if ids[row] > spans[1, owner]:
            if spans[1, owner] < 0:
                spans[0, owner] = ids[row]
            spans[1, owner] = ids[row]
            above[row] = True
