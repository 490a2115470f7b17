"""What looks like chance: numbers derived from the parent's id, the same in every run.

A schedule that others can guess is traded against; one that differs between two runs of the same
inputs cannot be replayed.
"""

from decimal import Decimal

from goalkick.common.values.ids import EventId, derive_id

_BITS = 32


def draw(parent: EventId, purpose: str, counter: int) -> Decimal:
    """A number in [0, 1): exact, evenly spread, independent for each purpose and counter.

    The first 32 bits of a BLAKE2b hash, as a fraction; 32 bits keep products far below the 60
    digits that are exact.
    """
    digits = derive_id(parent, f"chance|{purpose}", counter)[: _BITS // 4]
    return Decimal(int(digits, 16)) / Decimal(2**_BITS)
