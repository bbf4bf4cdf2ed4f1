"""What a search has come to: one JSON object for programs, tables for people."""

import math
from collections.abc import Sequence
from typing import Any, Final

from backtest.fingerprint import fingerprint
from backtest.history import History
from backtest.search.deflation import ASSUMPTIONS
from backtest.search.ranking import Ranking
from backtest.search.search import Search
from backtest.search.trials import Outcome
from backtest.search.walk_forward import Choice, Judgement, judged_together, stitched
from backtest.search.windows import Window
from backtest.statistics import FIGURES, figures_of
from backtest.statistics.returns import days_of
from backtest.strategy import Strategy
from backtest.terms import Terms
from kandle.times import format_time
from kandle.venue_calls import moment, table

MOST_FAILURES: Final = 5
"""That are told one by one."""
SHOWN: Final = ("return", "sharpe", "max_drawdown", "trades")
"""Figures of each set in the table, besides the one by which they are ranked."""
_TIMES: Final = frozenset(each.name for each in FIGURES if each.unit == "time")
_PARTS: Final = frozenset(each.name for each in FIGURES if each.unit == "part")


class OptimizeReport:
    """What is told of a search.

    Args:
        kind: Class of the strategy.
        history: What it ran over.
        terms: Under what.
        search: The search.
        refused: Why the strategy has refused sets.
        seed: Of what was drawn; None of a grid.
    """

    def __init__(
        self,
        kind: type[Strategy],
        history: History,
        terms: Terms,
        search: Search,
        refused: Sequence[str],
        seed: int | None,
    ) -> None:
        self._kind, self._history, self._terms = kind, history, terms
        self._search, self._refused, self._seed = search, refused, seed
        self._ranked = search.ranking()

    def as_json(self, top: int) -> dict[str, Any]:
        """The object that `--json` prints; times are ISO 8601, what is not defined is null."""
        search, ranked = self._search, self._ranked
        shown: dict[str, Any] = {
            "strategy": self._kind.name,
            "metric": search.metric,
            "sets": len(search.sets),
            "seed": self._seed,
            "runs": len(search.found),
            "of": len(search.trials),
            "interrupted": search.interrupted,
            "refused": {
                "count": len(self._refused),
                "reasons": list(dict.fromkeys(self._refused))[:MOST_FAILURES],
            },
            "failed": {"count": len(ranked.failed), "first": _failures(ranked)},
            "without_metric": len(ranked.undefined),
            "markets": list(self._history.markets),
        }
        if search.folds is None:
            shown["top"] = [self._row(each) for each in ranked.best[:top]]
            shown["deflated_sharpe"] = _deflation(ranked)
        else:
            shown["walk_forward"] = self._walk_forward(search.choices)
        return shown

    def as_text(self, top: int) -> str:
        """The tables for people."""
        search, ranked = self._search, self._ranked
        counts = f"{len(search.found)} of {len(search.trials)} runs"
        lines = [f"{counts}, then interrupted" if search.interrupted else counts]
        if self._refused:
            lines.append(f"{len(self._refused)} sets refused by the strategy: {self._refused[0]}")
        if ranked.failed:
            lines.append(f"{len(ranked.failed)} runs failed:")
            lines += [f"  {_set(each['parameters'])}: {each['error']}" for each in _failures(ranked)]
        if ranked.undefined:
            lines.append(f"{len(ranked.undefined)} runs have no {search.metric}, as for lack of trades")
        lines.append("")
        if search.folds is None:
            lines += self._ranking_lines(ranked, top)
        else:
            lines += self._fold_lines(search.choices)
        return "\n".join(lines)

    def _row(self, outcome: Outcome) -> dict[str, Any]:
        assert outcome.statistics is not None
        strategy = self._kind(**outcome.trial.parameters)
        figures = figures_of(outcome.statistics)
        for name in _TIMES:
            if figures[name] is not None:
                figures[name] = format_time(figures[name])
        found = fingerprint(strategy, self._history, self._terms)
        return {"parameters": dict(strategy.parameters), **figures, "hash": found}

    def _ranking_lines(self, ranked: Ranking, top: int) -> list[str]:
        if not ranked.best:
            return [f"no set has a {ranked.metric}"]
        names = list(ranked.best[0].trial.parameters)
        figures = list(dict.fromkeys((ranked.metric, *SHOWN)))
        rows = [
            (
                number,
                *(each.trial.parameters[name] for name in names),
                *(_shown(name, each.figure(name)) for name in figures),
            )
            for number, each in enumerate(ranked.best[:top], 1)
        ]
        return [table(("#", *names, *(name.replace("_", " ") for name in figures)), rows), "", *_luck(ranked)]

    def _fold_lines(self, choices: Sequence[Choice]) -> list[str]:
        if not choices:
            return ["no fold is done"]
        metric = self._search.metric
        names = list(choices[0].inside.best[0].trial.parameters)
        figures = list(dict.fromkeys((metric, "sharpe", "return")))
        inside = (f"{name.replace('_', ' ')} in" for name in figures)
        outside = ("sharpe out", "return out", "trades out")
        header = ("out from", "to", *names, *inside, "deflated", *outside)
        rows = [
            (
                moment(each.fold.outside.start),
                moment(each.fold.outside.end),
                *(each.inside.best[0].trial.parameters[name] for name in names),
                *(_shown(name, each.inside.best[0].figure(name)) for name in figures),
                _shown("return", each.inside.deflation.probability if each.inside.deflation else None),
                *_outside_cells(each.judgement),
            )
            for each in choices
        ]
        whole = self._walk_forward(choices)
        out, loss = whole["out_of_sample"], whole["degradation"]
        failed = [each.outside for each in choices if each.outside.error]
        lines = [table(header, rows), ""]
        lines += [f"fails behind its choice: {_set(dict(e.trial.parameters))}: {e.error}" for e in failed]
        if out is None:
            return lines
        return [
            *lines,
            f"out of sample, stitched: return {_shown('return', out['return'])}, "
            f"sharpe {_shown('sharpe', out['sharpe'])}, "
            f"max drawdown {_shown('max_drawdown', out['max_drawdown'])}, {out['trades']} trades",
            f"sharpe in sample, mean of the chosen: {_shown('sharpe', loss['sharpe_in_sample'])}; "
            f"of it {_shown('return', loss['sharpe_kept'])} is left out of sample",
            f"each choice is the best of {len(self._search.sets)} sets",
        ]

    def _walk_forward(self, choices: Sequence[Choice]) -> dict[str, Any]:
        stretches = [each.outside.stretch for each in choices if each.outside.stretch is not None]
        folds, capital = [_fold(each) for each in choices], float(self._terms.capital)
        if not stretches:
            return {"folds": folds, "out_of_sample": None, "degradation": None}
        times, equity = stitched(stretches, capital)
        together = judged_together(stretches, capital)
        curve = [[format_time(int(times[at])), float(equity[at])] for at in days_of(times).last]
        inside = [each.inside.best[0] for each in choices if not each.outside.error]
        return {
            "folds": folds,
            "out_of_sample": {**_judgement(together), "equity": curve},
            "degradation": _degradation(inside, together),
        }


def _fold(found: Choice) -> dict[str, Any]:
    best = found.inside.best[0]
    assert best.statistics is not None
    figures = figures_of(best.statistics)
    return {
        "in": _span(found.fold.inside),
        "out": _span(found.fold.outside),
        "parameters": dict(best.trial.parameters),
        "in_sample": {name: value for name, value in figures.items() if name not in _TIMES},
        "out_of_sample": None if found.judgement is None else _judgement(found.judgement),
        "error": found.outside.error or None,
        "deflated_sharpe": _deflation(found.inside),
    }


def _judgement(found: Judgement) -> dict[str, Any]:
    figures = {
        "return": found.total_return,
        "cagr": found.cagr,
        "sharpe": found.sharpe,
        "max_drawdown": found.max_drawdown,
    }
    return {name: _finite(value) for name, value in figures.items()} | {"trades": found.trades}


def _degradation(inside: Sequence[Outcome], together: Judgement) -> dict[str, float | None]:
    """Of the Sharpe ratio and the return a year: their means in sample, and what part is left out of it."""
    found: dict[str, float | None] = {}
    for name, left in (("sharpe", together.sharpe), ("cagr", together.cagr)):
        known = [value for each in inside if (value := each.figure(name)) is not None]
        mean = sum(known) / len(known) if known else math.nan
        found[f"{name}_in_sample"] = _finite(mean)
        found[f"{name}_kept"] = _finite(left / mean) if mean > 0.0 else None
    return found


def _deflation(ranked: Ranking) -> dict[str, Any] | None:
    found = ranked.deflation
    if found is None:
        return None
    return {
        "trials": found.trials,
        "best_sharpe": found.sharpe * found.yearly,
        "expected_best_sharpe": found.expected_best * found.yearly,
        "variance": found.variance * found.yearly**2,
        "probability": _finite(found.probability),
        "assumptions": ASSUMPTIONS,
    }


def _luck(ranked: Ranking) -> list[str]:
    """The best Sharpe ratio, and what chance would have given."""
    found = ranked.deflation
    if found is None:
        return []
    return [
        f"best sharpe {found.sharpe * found.yearly:.2f} of {found.trials} trials; the best of as many "
        f"without merit has {found.expected_best * found.yearly:.2f} on average",
        f"deflated: the true one is above that with a probability of {_shown('return', found.probability)}",
    ]


def _failures(ranked: Ranking) -> list[dict[str, Any]]:
    return [
        {"parameters": dict(each.trial.parameters), "error": each.error}
        for each in ranked.failed[:MOST_FAILURES]
    ]


def _outside_cells(found: Judgement | None) -> tuple[object, ...]:
    if found is None:
        return ("-", "-", "-")
    return (_shown("sharpe", found.sharpe), _shown("return", found.total_return), found.trades)


def _span(window: Window) -> dict[str, str]:
    return {"start": format_time(window.start), "end": format_time(window.end)}


def _set(parameters: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in parameters.items())


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _shown(name: str, value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "-"
    if name in _PARTS:
        return f"{100 * value:.2f} %"
    return str(value) if isinstance(value, int) else f"{value:.2f}"
