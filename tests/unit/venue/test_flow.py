"""The seeded market: the same for the same seed, never without a book, however it is stepped."""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from itertools import pairwise

import msgspec
import pytest

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.time import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND
from goalkick.venue.engine.exchange import Exchange
from goalkick.venue.engine.model import (
    Happening,
    Kind,
    LevelChanged,
    Listing,
    NewOrder,
    Phase,
    Side,
    Status,
    Traded,
)
from goalkick.venue.flow.market import CATCH_UP_NS, MarketFlow, history
from goalkick.venue.flow.rules import FlowRules
from goalkick.venue.flow.traders import MAKER, NOISE

START_NS = 1_700_000_000 * NS_PER_SECOND
BTC = Listing(instrument="BTC/USDT", base="BTC", quote="USDT")
CHEAP = Listing(
    instrument="DOGE/USDT",
    base="DOGE",
    quote="USDT",
    tick_size=Decimal("0.0001"),
    lot_size=Decimal(1),
    min_price=Decimal("0.0001"),
    min_quantity=Decimal(1),
    max_quantity=Decimal(10_000_000),
    max_market_quantity=Decimal(1_000_000),
)
RULES = {
    "BTC/USDT": FlowRules(price=Decimal(60_000), levels=10),
    "DOGE/USDT": FlowRules(price=Decimal("0.15"), levels=10),
}


class Town:
    """An exchange with a flow, and all that it said."""

    def __init__(self, listings: Iterable[Listing] = (BTC, CHEAP), *, seed: int = 7) -> None:
        listed = list(listings)
        self.exchange = Exchange(listed, now_ns=START_NS)
        self.said: list[Happening] = []
        self.exchange.subscribe(self.said.append)
        self.flow = MarketFlow(
            {each.instrument: RULES[each.instrument] for each in listed}, seed=seed
        )
        self.flow.open(self.exchange)

    def run(self, seconds: float, step_ms: int) -> None:
        now = self.exchange.now_ns
        end = now + round(seconds * NS_PER_SECOND)
        while now < end:
            now = min(end, now + step_ms * 1_000_000)
            self.flow.step(self.exchange, now)

    def journal(self, instrument: str | None = None) -> bytes:
        chosen = (
            h for h in self.said if instrument is None or getattr(h, "instrument", "") == instrument
        )
        return msgspec.json.encode(list(chosen))


def test_there_is_a_book_from_the_first_moment_around_the_price() -> None:
    town = Town()
    for name, rules in RULES.items():
        depth = town.exchange.depth(name)
        assert len(depth.bids) == len(depth.asks) == 10
        mid = (depth.bids[0][0] + depth.asks[0][0]) / 2
        assert abs(mid / rules.price - 1) < Decimal("0.001")


def test_same_seed_same_market_however_often_it_is_stepped() -> None:
    often, seldom = Town(), Town()
    often.run(30, step_ms=17)
    seldom.run(30, step_ms=5_000)
    assert often.journal() == seldom.journal()
    assert often.exchange.ledger() == seldom.exchange.ledger()
    assert Counter(type(h) for h in often.said)[Traded] > 20


def test_another_seed_is_another_market() -> None:
    one, other = Town(seed=1), Town(seed=2)
    for town in (one, other):
        town.run(5, step_ms=1_000)
    assert one.journal() != other.journal()


def test_one_more_instrument_changes_nothing_about_the_others() -> None:
    alone, both = Town([BTC]), Town([BTC, CHEAP])
    for town in (alone, both):
        town.run(20, step_ms=1_000)

    def trades(town: Town) -> list[tuple[Decimal, Decimal, int]]:
        return [(t.price, t.quantity, t.time_ns) for t in town.exchange.trades("BTC/USDT")]

    assert trades(alone) == trades(both)
    assert alone.exchange.depth("BTC/USDT") == both.exchange.depth("BTC/USDT")


def test_book_is_never_crossed_or_one_sided_and_money_is_kept() -> None:
    town = Town()
    for _ in range(300):
        town.run(0.2, step_ms=200)
        for name in RULES:
            depth = town.exchange.depth(name, 1)
            assert depth.bids[0][0] < depth.asks[0][0]
    ledger = town.exchange.ledger()
    assert ledger.held() == ledger.deposited()


def test_rates_are_about_those_of_the_rules() -> None:
    town = Town([BTC])
    town.run(600, step_ms=1_000)
    takers = len(town.exchange.aggregate_trades("BTC/USDT"))
    # 1,200 are expected; regimes and sweeps over several prices move it.
    assert 700 < takers < 2_200
    busiest = Counter(
        h.time_ns // (10 * NS_PER_SECOND) for h in town.said if isinstance(h, LevelChanged)
    )
    assert max(busiest.values()) > 3 * min(busiest.values())


def test_flow_remembers_nothing_that_grows() -> None:
    town = Town([BTC])
    town.run(60, step_ms=1_000)
    ledger = town.exchange.ledger()
    assert len(ledger.accounts[MAKER].orders) <= 20
    assert ledger.accounts[NOISE].orders == []
    assert ledger.accounts[MAKER].fills == ledger.accounts[NOISE].fills == []


def test_clients_resting_order_is_taken_when_the_price_comes() -> None:
    town = Town([BTC])
    town.exchange.open_account("ann", {"USDT": Decimal(100_000)})
    bid = town.exchange.depth("BTC/USDT", 1).bids[0][0]
    order = town.exchange.place(
        "ann",
        NewOrder(
            instrument="BTC/USDT",
            side=Side.BUY,
            kind=Kind.LIMIT,
            quantity=Decimal("0.01"),
            price=bid + Decimal("0.01"),
        ),
    )
    town.run(60, step_ms=500)
    assert town.exchange.order("ann", "BTC/USDT", order_id=order.order_id).status is Status.FILLED


def test_halt_and_delisting_stop_the_flow_and_it_comes_back() -> None:
    town = Town([BTC])
    town.exchange.set_phase("BTC/USDT", Phase.HALT)
    before = town.exchange.depth("BTC/USDT")
    town.run(5, step_ms=100)
    assert town.exchange.depth("BTC/USDT") == before
    town.exchange.set_phase("BTC/USDT", Phase.TRADING)
    town.run(5, step_ms=100)
    assert town.exchange.trades("BTC/USDT")
    town.exchange.delist("BTC/USDT")
    town.run(5, step_ms=100)
    town.exchange.list_instrument(msgspec.structs.replace(BTC, tick_size=Decimal(1)))
    town.run(5, step_ms=100)
    depth = town.exchange.depth("BTC/USDT")
    assert len(depth.bids) == len(depth.asks) == 10
    assert all(price % 1 == 0 for price, _ in depth.bids + depth.asks)


def test_leap_of_the_clock_is_made_up_for_only_in_part() -> None:
    town = Town([BTC])
    town.flow.step(town.exchange, START_NS + 24 * NS_PER_HOUR)
    changes = [h for h in town.said if isinstance(h, LevelChanged)]
    quoted = [h.time_ns for h in changes if h.time_ns > START_NS]
    assert quoted
    assert min(quoted) >= START_NS + 24 * NS_PER_HOUR - CATCH_UP_NS


def test_clock_set_back_does_not_stop_the_flow() -> None:
    town = Town([BTC])
    town.run(5, step_ms=100)
    town.flow.step(town.exchange, START_NS - NS_PER_HOUR)
    heard = len(town.said)
    town.flow.step(town.exchange, START_NS - NS_PER_HOUR + 5 * NS_PER_SECOND)
    assert len(town.said) > heard


@pytest.mark.parametrize("listing", [BTC, CHEAP])
def test_past_leads_to_the_price_without_a_hole(listing: Listing) -> None:
    rules = RULES[listing.instrument]
    candles = history(listing, rules, seed=3, until_ns=START_NS, minutes=500)
    start = START_NS // NS_PER_MINUTE * NS_PER_MINUTE - 500 * NS_PER_MINUTE
    assert [c.open_ns for c in candles] == [start + n * NS_PER_MINUTE for n in range(500)]
    assert candles[-1].close == rules.price
    for before, candle in pairwise(candles):
        assert candle.open == before.close
    for candle in candles:
        assert candle.low <= min(candle.open, candle.close)
        assert candle.high >= max(candle.open, candle.close)
        assert candle.low >= listing.min_price
        assert 0 <= candle.taker_volume <= candle.volume
        assert bool(candle.trades) == bool(candle.volume)
        for price in (candle.open, candle.high, candle.low, candle.close):
            assert price % listing.tick_size == 0
        assert candle.low * candle.volume <= candle.quote_volume <= candle.high * candle.volume


def test_past_is_the_same_for_the_same_seed_and_can_be_loaded() -> None:
    rules = RULES["BTC/USDT"]
    past = [history(BTC, rules, seed=s, until_ns=START_NS, minutes=30) for s in (1, 1, 2)]
    assert past[0] == past[1] != past[2]
    town = Town([BTC])
    town.exchange.load_candles("BTC/USDT", past[0])
    assert town.exchange.ticker("BTC/USDT").last == rules.price
    town.run(90, step_ms=1_000)
    assert len(town.exchange.candles("BTC/USDT", NS_PER_MINUTE)) == 32


@pytest.mark.parametrize(
    "wrong", [{"price": Decimal(0)}, {"levels": 0}, {"spread_bps": 0.0}, {"volatility": -1.0}]
)
def test_rules_that_make_no_market_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidDataError):
        FlowRules(**{"price": Decimal(1), **wrong})  # type: ignore[arg-type]
