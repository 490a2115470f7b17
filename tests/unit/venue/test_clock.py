"""The venue's clock, and what goes with it: keys and the request log."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goalkick.venue.accounts import Accounts, ApiKey
from goalkick.venue.clock import VenueClock
from goalkick.venue.request_log import RequestLog

S = 1_000_000_000


class Source:
    def __init__(self, now_ns: int = 1_000 * S) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns


def test_shows_real_time() -> None:
    source = Source()
    clock = VenueClock(source)
    source.now_ns += 7
    assert clock.now_ns() == source.now_ns
    assert clock.skew_ns == 0


@pytest.mark.parametrize("by_ns", [5 * S, -5 * S])
def test_a_step_moves_it_and_a_skew_says_where_it_stands(by_ns: int) -> None:
    source = Source()
    clock = VenueClock(source)
    clock.step(by_ns)
    clock.step(by_ns)
    assert clock.skew_ns == 2 * by_ns
    clock.skew(by_ns)
    assert clock.skew_ns == by_ns
    source.now_ns += S
    assert clock.now_ns() == source.now_ns + by_ns


def test_set_shows_a_time_and_goes_on() -> None:
    source = Source()
    clock = VenueClock(source)
    clock.set(5 * S)
    source.now_ns += 2 * S
    assert clock.now_ns() == 7 * S
    assert clock.now_ms() == 7_000


@given(rate=st.floats(0, 10), seconds=st.integers(0, 10_000))
def test_drift_goes_on_at_its_rate_without_a_jump(rate: float, seconds: int) -> None:
    source = Source()
    clock = VenueClock(source)
    before = clock.now_ns()
    clock.drift(rate)
    assert clock.now_ns() == before
    source.now_ns += seconds * S
    assert abs(clock.now_ns() - before - seconds * rate * S) <= 1_000


def test_refuses_to_run_backwards() -> None:
    with pytest.raises(ValueError, match="found -1"):
        VenueClock(Source()).drift(-1)


def test_a_revoked_key_is_unknown() -> None:
    accounts = Accounts()
    key = accounts.generate("main")
    assert accounts.find(key.key) == key
    assert accounts.revoke(key.key)
    assert not accounts.revoke(key.key)
    assert accounts.find(key.key) is None


def test_generated_keys_differ() -> None:
    accounts = Accounts()
    keys = {accounts.generate("main").key for _ in range(3)}
    assert len(keys) == len(list(accounts)) == 3


def test_a_key_of_the_same_name_is_replaced() -> None:
    accounts = Accounts()
    accounts.add(ApiKey(key="k", secret="1", account="main"))
    accounts.add(ApiKey(key="k", secret="2", account="main"))
    assert [key.secret for key in accounts] == ["2"]


def log(*methods: str) -> RequestLog:
    requests = RequestLog(limit=3)
    for method in methods:
        requests.add(
            time_ns=1,
            front_end="bybit" if "v5" in method else "binance",
            method=method,
            params={"symbol": "BTCUSDT", "signature": "secret", "apiKey": "key"},
        )
    return requests


def test_log_keeps_the_newest_and_counts_all() -> None:
    requests = log("a", "b", "c", "d")
    assert [entry.method for entry in requests.entries()] == ["b", "c", "d"]
    assert [entry.number for entry in requests.entries()] == [2, 3, 4]
    assert requests.total == 4
    requests.clear()
    assert (requests.entries(), requests.total) == ([], 4)


def test_log_keeps_no_secret() -> None:
    (entry,) = log("GET /api/v3/account").entries()
    assert entry.params == {"symbol": "BTCUSDT"}


def test_log_is_narrowed() -> None:
    requests = log("GET /v5/market/time", "GET /api/v3/time", "POST /v5/order/create")
    assert len(requests.entries(front_end="bybit")) == 2
    assert len(requests.entries(front_end="bybit", method="order")) == 1
    assert len(requests.entries(where=lambda entry: entry.number > 1)) == 2
