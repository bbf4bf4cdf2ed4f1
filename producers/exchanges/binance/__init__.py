"""Binance: spot (`spot.py`, with Binance US) and USD-M futures (`usdm.py`).

What both share: streams and messages in `frames.py`, their shapes in `wire.py`, REST in `rest.py`.
"""

from producers.exchanges.binance.spot import BinanceSpot, BinanceUs
from producers.exchanges.binance.usdm import BinanceUsdM

__all__ = ["BinanceSpot", "BinanceUs", "BinanceUsdM"]
