"""The control API's calls, without HTTP: what they change and what they refuse."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from goalkick.common.core.errors import InvalidDataError
from goalkick.venue.control import Control, Overrides
from goalkick.venue.engine.model import Phase, Refused
from goalkick.venue.presets import Call
from goalkick.venue.server import VenueServer
from goalkick.venue.settings import (
    AccountSettings,
    FlowSettings,
    MarketSettings,
    VenueSettings,
)

SETTINGS = VenueSettings(
    accounts={"main": AccountSettings(balances={"USDT": Decimal(1_000)})},
    markets={"BTC/USDT": MarketSettings(price=Decimal(60_000))},
    flow=FlowSettings(enabled=False, history=0),
)


@pytest.fixture
def server() -> VenueServer:
    """A venue that does not listen."""
    return VenueServer(SETTINGS)


@pytest.fixture
def control(server: VenueServer) -> Control:
    """Control over it."""
    return Control(server.context, server.pump)


def ask(control: Control, line: str, **body: Any) -> Any:
    method, path = line.split()
    return control.call(Call(method, path, body))


def test_arms_lists_and_clears_faults(control: Control, server: VenueServer) -> None:
    number = ask(
        control, "POST /faults", name="F9", point="frame", action="drop", where="stream:*"
    )["number"]
    assert [each.number for each in ask(control, "GET /faults")] == [number]
    assert ask(control, "DELETE /faults", number=number) == {"cleared": 1}
    assert server.faults.armed() == []


@pytest.mark.parametrize(
    ("line", "body", "error"),
    [
        ("POST /faults", {"name": "x", "point": "frame", "action": "drop", "wher": "*"}, "wher"),
        ("POST /faults", {"name": "x", "point": "dinner", "action": "drop"}, "dinner"),
        ("POST /clock", {"step": 5}, "step"),
        ("POST /clock", {}, "exactly one of .* found none"),
        ("POST /clock", {"step_s": 1, "rate": 2}, "exactly one of .* found step_s, rate"),
        ("POST /phase", {"instrument": "BTC/USDT", "phase": "asleep"}, "asleep"),
        ("POST /phase", {"instrument": "XYZ/USDT", "phase": "halt"}, "XYZ/USDT"),
        ("POST /flow", {}, "paused"),
    ],
)
def test_refuses_with_a_message(
    control: Control, line: str, body: dict[str, Any], error: str
) -> None:
    with pytest.raises((msgspec.ValidationError, InvalidDataError, ValueError), match=error):
        ask(control, line, **body)


def test_moves_the_clock_and_the_exchange_never_goes_back(
    control: Control, server: VenueServer
) -> None:
    before = server.exchange.now_ns
    assert ask(control, "POST /clock", step_s=-5)["skew_ns"] == pytest.approx(-5e9, abs=1e7)
    server.context.advance()
    assert server.exchange.now_ns >= before
    assert ask(control, "POST /clock", skew_s=5)["skew_ns"] == pytest.approx(5e9, abs=1e7)
    assert ask(control, "POST /clock", rate=2)["rate"] == 2
    assert ask(control, "POST /clock", set_ns=7)["now_ns"] >= 7


def test_rules_the_market(control: Control, server: VenueServer) -> None:
    ask(control, "POST /phase", instrument="BTC/USDT", phase="halt")
    assert server.exchange.listings["BTC/USDT"].phase is Phase.HALT
    ask(control, "PATCH /instruments", instrument="BTC/USDT", tick_size="0.1")
    assert server.exchange.listings["BTC/USDT"].tick_size == Decimal("0.1")
    assert server.exchange.listings["BTC/USDT"].phase is Phase.HALT
    ask(control, "DELETE /instruments", instrument="BTC/USDT")
    assert ask(control, "GET /instruments") == []
    ask(control, "POST /instruments", instrument="SOL/USDT", base="SOL", quote="USDT")
    assert list(server.exchange.listings) == ["SOL/USDT"]


def test_the_house_makes_fills_happen(control: Control, server: VenueServer) -> None:
    order = ask(
        control,
        "POST /orders",
        instrument="BTC/USDT",
        side="buy",
        kind="market",
        quantity="0.01",
        account="main",
    )
    assert order.executed == Decimal("0.01")
    assert len(server.exchange.fills("main")) == 1
    resting = ask(
        control, "POST /orders", instrument="BTC/USDT", side="buy", quantity="1", price="50000"
    )
    cancelled = ask(control, "DELETE /orders", instrument="BTC/USDT", order_id=resting.order_id)
    assert cancelled.status == "cancelled"
    with pytest.raises(Refused):
        ask(control, "DELETE /orders", instrument="BTC/USDT", order_id=resting.order_id)


def test_a_deposit_opens_an_account_where_there_is_none(control: Control) -> None:
    ask(control, "POST /deposits", account="new", asset="USDT", amount="5")
    balances = ask(control, "POST /deposits", account="new", asset="USDT", amount="2.5")
    assert balances["USDT"].free == Decimal("7.5")


def test_makes_and_revokes_keys(control: Control, server: VenueServer) -> None:
    key = ask(control, "POST /keys", account="main")
    given = ask(control, "POST /keys", account="main", key="mine", secret="s", can_trade=False)
    assert [server.context.accounts.find(each.key) for each in (key, given)] == [key, given]
    assert ask(control, "DELETE /keys", account="main") == {"revoked": 3}
    assert ask(control, "GET /keys") == []


def test_a_preset_arms_its_faults_and_makes_its_calls(
    control: Control, server: VenueServer
) -> None:
    started = control.start_preset("F8", Overrides(duration_s=60))
    assert len(started["numbers"]) == len(server.faults.armed()) == 2
    assert all(each.fault.duration_s == 60 for each in server.faults.armed())
    control.start_preset("F17", Overrides())
    assert server.exchange.listings["BTC/USDT"].phase is Phase.HALT
    control.start_preset("F13", Overrides())
    assert server.clock.skew_ns == pytest.approx(5e9, abs=1e7)
    control.start_preset("F18-key", Overrides())
    assert list(server.context.accounts) == []


def test_a_paused_flow_stands_still(control: Control) -> None:
    server = VenueServer(SETTINGS.model_copy(update={"flow": FlowSettings(history=0)}))
    control = Control(server.context, server.pump)
    ask(control, "POST /flow", paused=True)
    ask(control, "POST /clock", step_s=30)
    before = server.exchange.depth("BTC/USDT").update_id
    server.pump.round()
    assert server.exchange.depth("BTC/USDT").update_id == before
    ask(control, "POST /flow", paused=False)
    server.pump.round()
    assert server.exchange.depth("BTC/USDT").update_id > before


def test_the_ledger_is_json(control: Control) -> None:
    text = msgspec.json.encode(ask(control, "GET /ledger"))
    assert b"main" in text
