"""User and item ids: their types, the 64-bit hash that stands for them in arrays, and Kafka's partitioner."""

from typing import NewType

import xxhash

UserId = NewType("UserId", str)
ItemId = NewType("ItemId", str)


def stable_hash(identifier: str) -> int:
    """The signed 64-bit hash (XXH3) that stands for an id in arrays and saved state; never 0, which is padding.

    Equal on every machine and in every process; a collision among a million ids has odds of 3 in 10^8.
    """
    unsigned = xxhash.xxh3_64_intdigest(identifier.encode())
    signed = unsigned - (1 << 64) if unsigned >= 1 << 63 else unsigned
    return signed or 1


def partition_of(key: bytes, *, partitions: int) -> int:
    """The partition Kafka's default partitioner (murmur2) gives to `key`; Java, librdkafka's
    `murmur2_random` and kafka-python agree on it."""
    return (_murmur2(key) & 0x7FFFFFFF) % partitions


def _murmur2(data: bytes) -> int:
    length, mask, multiplier = len(data), 0xFFFFFFFF, 0x5BD1E995
    state = (0x9747B28C ^ length) & mask
    body = length - length % 4
    for at in range(0, body, 4):
        word = int.from_bytes(data[at : at + 4], "little")
        word = word * multiplier & mask
        word = (word ^ word >> 24) * multiplier & mask
        state = (state * multiplier & mask) ^ word
    tail = data[body:]
    if tail:
        state = (state ^ int.from_bytes(tail, "little")) * multiplier & mask
    state = (state ^ state >> 13) * multiplier & mask
    return state ^ state >> 15
