"""How long to wait before trying again."""

from goalkick.common.values.time import NS_PER_SECOND


def retry_delay_s(failures: int, first_ns: int, longest_ns: int, jitter: float) -> float:
    """Seconds to wait after so many failures in a row: doubling, bounded, spread out.

    Args:
        failures: 1 or more.
        first_ns: wait after the first failure.
        longest_ns: bound of all waits.
        jitter: in [0, 1): from the lower half of the wait to all of it.
    """
    delay_ns = min(first_ns << min(failures - 1, 32), longest_ns)
    return delay_ns / NS_PER_SECOND * (0.5 + jitter / 2)
