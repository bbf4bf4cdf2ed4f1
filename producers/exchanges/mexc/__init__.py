"""MEXC: spot by protobuf (`spot.py`) and futures by JSON (`futures.py`).

Shapes stand in `messages.py` and `futures_messages.py`, the making of records in `records.py` and
`futures_records.py`, REST in `rest.py` and `futures_rest.py`, subscriptions in `requests.py`.
"""

from producers.exchanges.mexc.futures import MexcFutures
from producers.exchanges.mexc.spot import MexcSpot

__all__ = ["MexcFutures", "MexcSpot"]
