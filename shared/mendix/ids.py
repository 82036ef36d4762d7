"""Object ids: 16 bits of entity, 48 bits of counter.

`id = short_id * 2^48 + rest`. Older runtimes count `rest` up by one; newer ones (seen from 9.18 on) put seven random
bits below the counter. A database that was upgraded may hold both, so a checker has to accept both.
"""

SHORT_ID_SHIFT = 48
REST_MASK = (1 << SHORT_ID_SHIFT) - 1
RANDOM_BITS = 7
BLOCK = 100
"""Ids are reserved in blocks of this many: `object_sequence` is the first counter of the next block."""


def short_id(object_id: int) -> int:
    """Return the entity's short id of an object id."""
    return object_id >> SHORT_ID_SHIFT


def counters(object_id: int) -> tuple[int, int]:
    """Return what the counter may have been: without and with random bits below it."""
    rest = object_id & REST_MASK
    return rest, rest >> RANDOM_BITS
