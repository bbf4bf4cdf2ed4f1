"""Which partition a key has: murmur2, as Java clients, librdkafka's `murmur2` and Faust choose."""

from typing import cast

from aiokafka.partitioner import murmur2


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key among so many."""
    return (cast(int, murmur2(key)) & 0x7FFF_FFFF) % partitions
