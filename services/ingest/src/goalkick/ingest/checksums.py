"""Checksums by which venues let a client prove its book: CRC-32 of its best levels' texts."""

from itertools import chain, zip_longest
from zlib import crc32

from goalkick.ingest.levels import Levels, Row

OKX_LEVELS = 25
"""Levels of each side that OKX's checksum covers (its documentation of the `books` channel)."""
KRAKEN_LEVELS = 10
"""Levels of each side that Kraken's checksum covers (its book checksum guides, v1 and v2)."""


def okx_checksum(levels: Levels) -> int:
    """CRC-32 of `bid:quantity:ask:quantity:...`, alternating, as a signed 32-bit number."""
    bids = levels.bids.top_rows(OKX_LEVELS)
    asks = levels.asks.top_rows(OKX_LEVELS)
    rows = (row for row in chain.from_iterable(zip_longest(bids, asks)) if row is not None)
    value = crc32(":".join([f"{row[0]}:{row[1]}" for row in rows]).encode())
    return value - (1 << 32) if value >> 31 else value


def kraken_checksum(levels: Levels) -> int:
    """CRC-32 of the digits of asks, then bids, without points and leading zeros; unsigned."""
    rows = levels.asks.top_rows(KRAKEN_LEVELS) + levels.bids.top_rows(KRAKEN_LEVELS)
    return crc32("".join([_digits(row) for row in rows]).encode())


def _digits(row: Row) -> str:
    return row[0].replace(".", "").lstrip("0") + row[1].replace(".", "").lstrip("0")
