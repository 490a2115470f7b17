"""The judge of the trials notices what it is there for."""

from decimal import Decimal

import msgspec
import pytest

from goalkick.common.codec.json import to_line
from goalkick.common.events.base import Event, Side
from goalkick.common.events.order import (
    AlgoOrder,
    OrderApproved,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderWorked,
)
from goalkick.common.values.ids import (
    AccountId,
    ClientOrderId,
    EventId,
    InstrumentId,
    StrategyId,
    client_order_id,
)
from goalkick.common.values.money import ZERO
from goalkick.execution.algos.model import child_order_id
from goalkick.venue.engine.exchange import Exchange
from goalkick.venue.engine.model import Kind, Listing, NewOrder
from goalkick.venue.engine.model import Side as VenueSide
from tests.faults.desk import ACCOUNT, BTC, PAIR
from tests.faults.messages import Books
from tests.faults.record import Record
from tests.faults.trial import worked
from tests.faults.verdict import judge

ORDER = EventId("0" * 32)
CASH = Decimal(1_000)
ONE = Decimal(1)


@pytest.fixture
def exchange() -> Exchange:
    """Somebody sells ten at 100."""
    made = Exchange([Listing(instrument=PAIR, base="BTC", quote="USDT")], now_ns=1)
    made.open_account(ACCOUNT, {"USDT": CASH, "BTC": Decimal(0)})
    made.open_account("other", {"BTC": Decimal(10)})
    made.place("other", _new(VenueSide.SELL, Decimal(10), "theirs"))
    return made


def _new(side: VenueSide, quantity: Decimal, handle: str) -> NewOrder:
    return NewOrder(
        instrument=PAIR,
        side=side,
        kind=Kind.LIMIT,
        quantity=quantity,
        price=Decimal(100),
        client_order_id=handle,
    )


def _approved(algo: AlgoOrder | None) -> OrderApproved:
    return OrderApproved(
        time_ns=1,
        account=AccountId(ACCOUNT),
        order=ORDER,
        cause=ORDER,
        client_order_id=client_order_id(ORDER),
        strategy=StrategyId("s"),
        instrument=BTC,
        side=Side.BUY,
        quantity=ONE,
        algo=algo,
    )


FILLED = OrderFilled(
    time_ns=1,
    account=AccountId(ACCOUNT),
    order=ORDER,
    instrument=InstrumentId(BTC),
    strategy=StrategyId("s"),
    trade_id="1",
    venue_time_ns=1,
    side=Side.BUY,
    quantity=ONE,
    price=Decimal(100),
    fee=Decimal("0.001"),
    fee_currency="BTC",
    slippage=Decimal(0),
    filled=ONE,
    remaining=Decimal(0),
)
REJECTED = OrderRejected(
    time_ns=1, account=AccountId(ACCOUNT), order=ORDER, instrument=InstrumentId(BTC), reason=""
)
TRUE = Books(CASH - 100, Decimal("0.999"))
UNTOUCHED = Books(CASH, Decimal(0))


def _findings(
    exchange: Exchange,
    *told: Event,
    books: Books | None = TRUE,
    algo: AlgoOrder | None = None,
) -> list[str]:
    record = Record()
    record.told([to_line(event) for event in told], {})
    found = judge(exchange.ledger(), [_approved(algo)], record, books, "binance")
    return sorted({finding.fault for finding in found})


def _buy(exchange: Exchange, handle: ClientOrderId) -> None:
    exchange.place(ACCOUNT, _new(VenueSide.BUY, ONE, handle))


def test_finds_nothing_where_all_is_well(exchange: Exchange) -> None:
    _buy(exchange, client_order_id(ORDER))
    assert _findings(exchange, FILLED) == []


def test_an_order_that_the_venue_never_had_is_well_rejected(exchange: Exchange) -> None:
    assert _findings(exchange, REJECTED, books=UNTOUCHED) == []


def test_notices_an_order_that_was_placed_twice(exchange: Exchange) -> None:
    _buy(exchange, client_order_id(ORDER))
    _buy(exchange, client_order_id(ORDER))
    assert "duplicate" in _findings(exchange, FILLED)


def test_notices_an_order_without_an_end(exchange: Exchange) -> None:
    _buy(exchange, client_order_id(ORDER))
    assert "lost" in _findings(exchange)


def test_notices_a_trade_that_was_not_reported(exchange: Exchange) -> None:
    _buy(exchange, client_order_id(ORDER))
    assert _findings(exchange, REJECTED, books=UNTOUCHED) == ["difference", "lost"]


def test_notices_a_trade_that_never_was(exchange: Exchange) -> None:
    found = _findings(exchange, FILLED)
    assert found == ["difference", "duplicate"]


@pytest.mark.parametrize(
    "change", [{"price": Decimal(99)}, {"fee": Decimal(0)}, {"quantity": Decimal("0.9")}]
)
def test_notices_a_trade_that_was_reported_otherwise(
    exchange: Exchange, change: dict[str, Decimal]
) -> None:
    _buy(exchange, client_order_id(ORDER))
    assert _findings(exchange, msgspec.structs.replace(FILLED, **change)) == ["difference"]


def test_notices_an_order_with_two_ends(exchange: Exchange) -> None:
    _buy(exchange, client_order_id(ORDER))
    assert _findings(exchange, FILLED, REJECTED) == ["difference"]


@pytest.mark.parametrize("books", [Books(CASH, TRUE.position), Books(TRUE.cash, ONE)])
def test_notices_cash_or_a_position_that_differs(exchange: Exchange, books: Books) -> None:
    _buy(exchange, client_order_id(ORDER))
    assert _findings(exchange, FILLED, books=books) == ["difference"]


CHILD = child_order_id(ORDER, 0)
INTENDED = OrderIntended(
    time_ns=1,
    account=AccountId(ACCOUNT),
    order=CHILD,
    instrument=InstrumentId(BTC),
    client_order_id=client_order_id(CHILD),
    parent=ORDER,
)
CHILD_FILLED = msgspec.structs.replace(FILLED, order=CHILD, parent=ORDER)
WORKED = OrderWorked(
    time_ns=2,
    account=AccountId(ACCOUNT),
    order=ORDER,
    instrument=InstrumentId(BTC),
    strategy=StrategyId("s"),
    algo="twap",
    side=Side.BUY,
    fees={},
    started_ns=1,
    duration_ns=1,
    children=1,
    leftover_reason="nothing",
    emulated=False,
    quantity=ONE,
    filled=ONE,
    arrival_price=ZERO,
    end_price=ZERO,
    execution_cost=ZERO,
    opportunity_cost=ZERO,
    shortfall=ZERO,
    shortfall_bps=ZERO,
    volume=ZERO,
    leftover=ZERO,
    exit_filled=ZERO,
    unprotected=ZERO,
)


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ([INTENDED, CHILD_FILLED, WORKED], []),
        ([INTENDED, CHILD_FILLED], ["lost"]),
        ([INTENDED, WORKED], ["lost"]),
        ([WORKED], ["difference", "lost"]),
        (
            [INTENDED, CHILD_FILLED, msgspec.structs.replace(WORKED, filled=Decimal("0.5"))],
            ["difference"],
        ),
    ],
    ids=["all is well", "no end", "no end of a child", "a child of nobody's", "another sum"],
)
def test_judges_an_order_that_is_worked_by_its_children(
    exchange: Exchange, told: list[Event], found: list[str]
) -> None:
    _buy(exchange, client_order_id(CHILD))
    books = TRUE if INTENDED in told else UNTOUCHED
    assert _findings(exchange, *told, books=books, algo=worked()) == found


def test_notices_children_that_trade_more_than_was_approved(exchange: Exchange) -> None:
    second = child_order_id(ORDER, 1)
    _buy(exchange, client_order_id(CHILD))
    _buy(exchange, client_order_id(second))
    other = msgspec.structs.replace(INTENDED, order=second, client_order_id=client_order_id(second))
    assert "duplicate" in _findings(exchange, INTENDED, other, CHILD_FILLED, WORKED, algo=worked())


def test_notices_a_desk_that_does_not_answer(exchange: Exchange) -> None:
    _buy(exchange, client_order_id(ORDER))
    assert _findings(exchange, FILLED, books=None) == ["stuck"]
