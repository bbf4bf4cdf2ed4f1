"""The search itself: all trials on all processes, and the judgement of those that were chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from backtest.search.ranking import Ranking, ranking
from backtest.search.space import Value
from backtest.search.trials import Outcome, Trial
from backtest.search.walk_forward import Choice, Fold
from backtest.search.windows import Window
from backtest.search.workers import Workers
from schemas.errors import KandleError

LOST: Final = "its process has died, perhaps for lack of memory"


class NothingFoundError(KandleError):
    """All runs of a search have failed."""

    code = "NOTHING_FOUND"


class Search:
    """Runs all sets of parameters, over all data or fold by fold, and keeps what comes of them.

    Args:
        sets: Parameters that the strategy takes.
        metric: Of `METRICS`: by which the best is chosen.
        folds: Of a walk-forward; None: there is none.
    """

    def __init__(
        self, sets: Sequence[Mapping[str, Value]], metric: str, folds: Sequence[Fold] | None = None
    ) -> None:
        self.sets, self.metric, self.folds = sets, metric, folds
        windows = [None] if folds is None else [fold.inside for fold in folds]
        runs = ((window, each) for window in windows for each in sets)
        self.trials = [Trial(number, each, window) for number, (window, each) in enumerate(runs)]
        """All that chooses: every set, of a walk-forward over the inside of each fold, fold by fold."""
        self.found: list[Outcome] = []
        """What came of them, in the order in which they ended."""
        self.choices: list[Choice] = []
        """Of a walk-forward: the folds that are done and have a best set."""
        self.interrupted = False
        """Whether it was ended from the keyboard before all was done."""

    def play(self, workers: Workers[Trial, Outcome], told: Callable[[int], None]) -> None:
        """Run all; blocks. An interrupt ends it, and what is done so far counts.

        Args:
            workers: Run the trials.
            told: Called with the number of those that are done.

        Raises:
            WorkersError: Processes cannot begin.
        """
        try:
            for outcome in _outcomes(workers, self.trials):
                self.found.append(outcome)
                told(len(self.found))
        except KeyboardInterrupt:
            self.interrupted = True
        if self.folds is not None:
            self._judge(self.folds, workers)

    def ranking(self) -> Ranking:
        """All trials in the order of the metric; of a walk-forward those of all folds."""
        return ranking(self.found, self.metric)

    def _judge(self, folds: Sequence[Fold], workers: Workers[Trial, Outcome]) -> None:
        count, done = len(self.sets), {each.trial.number: each for each in self.found}
        chosen: dict[int, tuple[Fold, Ranking]] = {}
        for place, fold in enumerate(folds):
            numbers = range(place * count, (place + 1) * count)
            ranked = ranking([done[number] for number in numbers if number in done], self.metric)
            if all(number in done for number in numbers) and ranked.best:
                chosen[ranked.best[0].trial.number] = fold, ranked
        trials = [_outside(fold, ranked.best[0].trial) for fold, ranked in chosen.values()]
        outside = {each.trial.number: each for each in _outcomes(workers, trials)}
        for number, (fold, ranked) in chosen.items():
            self.choices.append(Choice(fold, ranked, outside[number]))


def _outcomes(workers: Workers[Trial, Outcome], trials: Iterable[Trial]) -> Iterator[Outcome]:
    for trial, outcome in workers.run(trials):
        yield Outcome(trial, error=LOST) if outcome is None else outcome


def _outside(fold: Fold, best: Trial) -> Trial:
    """The trial that judges the best of a fold: from where it was chosen to the end."""
    both = Window(fold.inside.start, fold.outside.end)
    return Trial(best.number, best.parameters, both, fold.outside.start)
