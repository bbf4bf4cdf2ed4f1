"""Whether a stage has handled what is not quite new, as the positions of its consumer group tell."""

import time
from dataclasses import dataclass

from serve.brokers import Brokers


@dataclass(frozen=True, slots=True)
class GroupState:
    """A consumer group.

    Attributes:
        members: Who reads.
        lag_records: Records that it has not committed yet, of all partitions that it has committed, but for
            those of topics that it does not read any more.
        late: Partitions in which some of these are older than the time that was asked about.
    """

    members: int
    lag_records: int
    late: int


async def group_state(brokers: Brokers, name: str, late_s: float) -> GroupState:
    """How far a group is.

    Args:
        brokers: Where it is.
        name: Its name, one of those that are looked at.
        late_s: Records that wait longer than this are late, s.

    Raises:
        UnavailableError: Kafka does not answer.
    """
    found = await brokers.positions()
    group = found.groups[name]
    read = set[str]().union(*group.readers)
    # Nothing is assigned while nobody reads, or partitions are being given away.
    lag = {tp: records for tp, records in found.lag(name).items() if tp[0] in read or not read}
    waiting = [tp for tp, records in lag.items() if records]
    late = 0
    if waiting:
        since_ms = round((time.time() - late_s) * 1_000)
        recent = await brokers.ask(lambda admin: admin.offsets_at(waiting, since_ms))
        # Where nothing came since, all that waits is late.
        late = sum(offset is None or group.committed[tp] < offset for tp, offset in recent.items())
    return GroupState(len(group.readers), sum(lag.values()), late)
