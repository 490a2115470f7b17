"""Times as text that no reading of the whole column fits: a cell is read, or marked."""

import pyarrow as pa
import pytest

from goalkick.ingest.timestamps import read_times

SECOND = 1_704_164_645  # 2024-01-02 03:04:05 UTC


@pytest.mark.parametrize(
    ("cell", "time_ns"),
    [
        ("2024-01-02T03:04:05Z", SECOND * 10**9),
        ("2024-01-02 03:04:05", SECOND * 10**9),
        ("2024-01-02T05:04:05+02:00", SECOND * 10**9),
        ("20240102T030405Z", SECOND * 10**9),
        ("2024-01-02T03:04:05.5", SECOND * 10**9 + 5 * 10**8),
        ("2024-01-02T03:04:05.123456000Z", SECOND * 10**9 + 123_456_000),
        ("2024-01-02", 1_704_153_600 * 10**9),
        ("2024-01-02T03:04:05.123456789Z", None),
        ("2024-01", None),
        ("soon", None),
        ("", None),
    ],
)
def test_a_cell_among_others_is_its_moment_or_none(cell: str, time_ns: int | None) -> None:
    times = read_times(pa.array(["2024-01-01T00:00:00Z", cell, "no time", "2024-01-01 00:00:00"]))
    assert list(times.bad) == [False, time_ns is None, True, False]
    if time_ns is not None:
        assert times.time_ns[1] == time_ns


def test_a_column_of_nanoseconds_is_exact() -> None:
    times = read_times(pa.array(["2024-01-02T03:04:05.123456789Z"] * 2))
    assert list(times.time_ns) == [SECOND * 10**9 + 123_456_789] * 2
