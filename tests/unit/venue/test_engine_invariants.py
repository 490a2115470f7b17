"""What must hold after every command, whatever the commands are."""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from goalkick.common.core.errors import InvalidDataError
from goalkick.venue.engine.amending import Amendment
from goalkick.venue.engine.exchange import Exchange
from goalkick.venue.engine.model import (
    Balance,
    BalanceChanged,
    Depth,
    Happening,
    Kind,
    LevelChanged,
    NewOrder,
    Order,
    OrderChanged,
    Refused,
    SelfTrade,
    Side,
    Status,
    TimeInForce,
    Traded,
)
from goalkick.venue.engine.wallets import FEES, held_by
from tests.unit.venue.engine_desk import BTC_USDT, LISTING, START_NS

ACCOUNTS = ("ann", "bob", "eve")
_PRICED = (Kind.LIMIT, Kind.LIMIT_MAKER, Kind.STOP_LOSS_LIMIT, Kind.TAKE_PROFIT_LIMIT)
_STOPPED = (Kind.STOP_LOSS, Kind.STOP_LOSS_LIMIT, Kind.TAKE_PROFIT, Kind.TAKE_PROFIT_LIMIT)

prices = st.integers(94, 106).map(Decimal)
quantities = st.integers(1, 60).map(lambda n: Decimal(n) / 10)


@st.composite
def requests(draw: st.DrawFn) -> NewOrder:
    kind = draw(st.sampled_from(Kind))
    by_quote = kind is Kind.MARKET and draw(st.booleans())
    tif = TimeInForce.GTC if kind is Kind.LIMIT_MAKER else draw(st.sampled_from(TimeInForce))
    return NewOrder(
        instrument=BTC_USDT,
        side=draw(st.sampled_from(Side)),
        kind=kind,
        quantity=None if by_quote else draw(quantities),
        quote_quantity=draw(st.integers(5, 900).map(Decimal)) if by_quote else None,
        price=draw(prices) if kind in _PRICED else None,
        stop_price=draw(prices) if kind in _STOPPED else None,
        time_in_force=tif,
        self_trade=draw(st.sampled_from(SelfTrade)),
        client_order_id=draw(st.sampled_from(("", "", "a", "b"))),
    )


places = st.tuples(st.just("place"), st.sampled_from(ACCOUNTS), requests())
cancels = st.tuples(st.just("cancel"), st.sampled_from(ACCOUNTS), st.integers(1, 40))
changes = st.tuples(
    st.integers(1, 40),
    st.builds(
        Amendment,
        quantity=st.none() | quantities,
        price=st.none() | prices,
        stop_price=st.none() | prices,
    ),
)
amends = st.tuples(st.just("amend"), st.sampled_from(ACCOUNTS), changes)
commands = st.lists(st.one_of(places, places, places, cancels, amends), min_size=5, max_size=40)


def opened() -> Exchange:
    exchange = Exchange([LISTING], now_ns=START_NS)
    # Little enough that funds run short now and then.
    for account in ACCOUNTS:
        exchange.open_account(account, {"BTC": Decimal(12), "USDT": Decimal(1_200)})
    exchange.deposit("eve", "BNB", Decimal("0.01"))
    exchange.set_fee_asset("eve", "BNB", {"USDT": Decimal(700), "BTC": Decimal("0.007")})
    return exchange


def run(exchange: Exchange, command: tuple[str, str, object]) -> None:
    _, account, what = command
    exchange.advance(exchange.now_ns + 7_000_000_000)
    try:
        if isinstance(what, NewOrder):
            exchange.place(account, what)
        elif isinstance(what, int):
            exchange.cancel(account, BTC_USDT, order_id=what)
        elif isinstance(what, tuple):
            number, change = what
            exchange.amend(account, BTC_USDT, change, order_id=number)
    except (Refused, InvalidDataError):
        pass


def resting(exchange: Exchange) -> list[Order]:
    return [
        order
        for account in ACCOUNTS
        for order in exchange.open_orders(account)
        if order.status is not Status.PENDING
    ]


def check_money(exchange: Exchange) -> None:
    ledger = exchange.ledger()
    assert ledger.held() == ledger.deposited()
    for account in (*ACCOUNTS, FEES):
        locked: dict[str, Decimal] = defaultdict(Decimal)
        for order in exchange.open_orders(account):
            locked["USDT" if order.side is Side.BUY else "BTC"] += held_by(order)
        for asset, balance in exchange.balances(account).items():
            assert balance.free >= 0
            assert balance.locked == locked[asset]


def check_book(exchange: Exchange) -> None:
    depth = exchange.depth(BTC_USDT)
    levels: dict[tuple[Side, Decimal], Decimal] = defaultdict(Decimal)
    for order in resting(exchange):
        assert order.price is not None
        assert order.left > 0
        levels[order.side, order.price] += order.left
    shown = {(Side.BUY, price): quantity for price, quantity in depth.bids}
    shown |= {(Side.SELL, price): quantity for price, quantity in depth.asks}
    assert shown == levels
    assert [p for p, _ in depth.bids] == sorted((p for p, _ in depth.bids), reverse=True)
    assert [p for p, _ in depth.asks] == sorted(p for p, _ in depth.asks)
    if depth.bids and depth.asks:
        assert depth.bids[0][0] < depth.asks[0][0]


def check_orders(exchange: Exchange) -> None:
    for account in ACCOUNTS:
        fills = exchange.fills(account)
        for order in exchange.orders(account, BTC_USDT):
            mine = [fill for fill in fills if fill.order_id == order.order_id]
            assert mine == order.fills
            assert sum(fill.quantity for fill in mine) == order.executed
            assert sum(fill.quote_quantity for fill in mine) == order.quote_executed
            if order.status is Status.FILLED:
                assert order.left == 0
                assert order.executed > 0
            if order.quote_quantity is not None:
                assert order.quote_executed <= order.quote_quantity
            for fill in mine:
                if order.price is not None:
                    worse = fill.price - order.price
                    assert (worse if order.side is Side.BUY else -worse) <= 0


@settings(max_examples=150, deadline=None)
@given(commands)
def test_money_book_and_orders_agree_after_every_command(
    given_commands: list[tuple[str, str, object]],
) -> None:
    exchange = opened()
    for command in given_commands:
        run(exchange, command)
        check_money(exchange)
        check_book(exchange)
    check_orders(exchange)


def replayed(depth: Depth, changes: Sequence[LevelChanged]) -> Depth:
    sides = {Side.BUY: dict(depth.bids), Side.SELL: dict(depth.asks)}
    for change in changes:
        sides[change.side][change.price] = change.quantity
        if not change.quantity:
            del sides[change.side][change.price]
    return Depth(
        update_id=changes[-1].update_id if changes else depth.update_id,
        bids=tuple(sorted(sides[Side.BUY].items(), reverse=True)),
        asks=tuple(sorted(sides[Side.SELL].items())),
    )


@settings(max_examples=60, deadline=None)
@given(commands, st.integers(0, 40))
def test_what_is_told_is_what_is(given_commands: list[tuple[str, str, object]], cut: int) -> None:
    exchange = opened()
    for command in given_commands[:cut]:
        run(exchange, command)
    earlier = exchange.depth(BTC_USDT)
    balances = {account: exchange.balances(account) for account in (*ACCOUNTS, FEES)}
    trade_id = exchange.ticker(BTC_USDT).last_id
    said: list[Happening] = []
    exchange.subscribe(said.append)
    for command in given_commands[cut:]:
        run(exchange, command)
    changes = [h for h in said if isinstance(h, LevelChanged)]
    first = earlier.update_id + 1
    assert [h.update_id for h in changes] == list(range(first, first + len(changes)))
    assert replayed(earlier, changes) == exchange.depth(BTC_USDT)
    trades = [h.trade for h in said if isinstance(h, Traded)]
    assert [t.trade_id for t in trades] == list(range(trade_id + 1, trade_id + 1 + len(trades)))
    for change in said:
        if isinstance(change, BalanceChanged):
            balances[change.account] |= change.balances
    for account, expected in balances.items():
        assert exchange.balances(account) == {**_nothing(exchange, account), **expected}


def _nothing(exchange: Exchange, account: str) -> dict[str, Balance]:
    return dict.fromkeys(exchange.balances(account), Balance())


@settings(max_examples=40, deadline=None)
@given(commands)
def test_order_lives_only_forward(given_commands: list[tuple[str, str, object]]) -> None:
    exchange = opened()
    last: dict[int, OrderChanged] = {}

    def follow(happening: Happening) -> None:
        if not isinstance(happening, OrderChanged):
            return
        order, before = happening.order, last.get(happening.order.order_id)
        if before is not None:
            assert before.order.is_open
            assert order.executed >= before.order.executed
        filled = happening.fill.quantity if happening.fill else 0
        assert order.executed == (before.order.executed if before else 0) + filled
        last[order.order_id] = happening

    exchange.subscribe(follow)
    for command in given_commands:
        run(exchange, command)
    for account in ACCOUNTS:
        for order in exchange.orders(account, BTC_USDT):
            assert last[order.order_id].order == order


@settings(max_examples=30, deadline=None)
@given(commands)
def test_same_commands_same_happenings_byte_for_byte(
    given_commands: list[tuple[str, str, object]],
) -> None:
    journals: list[bytes] = []
    for _ in range(2):
        exchange, said = opened(), list[Happening]()
        exchange.subscribe(said.append)
        for command in given_commands:
            run(exchange, command)
        journals.append(msgspec.json.encode([said, exchange.ledger()]))
    assert journals[0] == journals[1]
