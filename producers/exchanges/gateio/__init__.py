"""Gate.io: spot (`spot.py`) and perpetuals settled in USDT (`futures.py`).

What both share: streams and requests in `protocol.py`, shapes in `wire.py`, REST in `rest.py`, and the making
of records in `records.py`.
"""

from producers.exchanges.gateio.futures import GateFutures
from producers.exchanges.gateio.spot import GateSpot

__all__ = ["GateFutures", "GateSpot"]
