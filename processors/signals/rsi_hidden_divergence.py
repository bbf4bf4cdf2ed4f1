"""The relative strength index makes a new low or high that the price does not follow."""

from typing import ClassVar

from processors.signals.rsi_divergence import RsiDivergence


class RsiHiddenDivergence(RsiDivergence):
    """Fires where swings of the price and of the index disagree: a sign that the trend goes on.

    Long: a higher low of the price at a lower index. Short: a lower high at a higher index (hidden
    divergence, or reversal: Constance Brown, Technical Analysis for the Trading Professional, 1999). All else
    is as in `RsiDivergence`.
    """

    hidden: ClassVar[bool] = True
