"""How cores stand, on the pages of a process: read when somebody asks."""

from prometheus_client import generate_latest

from goalkick.common.adapters.clock.manual import ManualClock
from goalkick.common.events.base import Side
from goalkick.common.events.order import ExternalFillSeen, ExternalOrderSeen
from goalkick.common.runtime.meter import Meter
from goalkick.common.runtime.standing import Looks, Standing
from goalkick.common.telemetry import names
from goalkick.common.telemetry.metrics import Metrics, new_registry
from goalkick.common.values.ids import AccountId, InstrumentId
from goalkick.common.values.money import ONE, ZERO


def test_lines_and_gauges_are_read_off_the_cores_of_the_moment() -> None:
    registry, clock = new_registry(), ManualClock(5)
    cores = [3]
    looks = Looks(
        lambda core, now_ns: [f"{core} at {now_ns}"],
        {names.ORDERS_UNKNOWN: lambda core, now_ns: float(core * now_ns)},
    )
    standing = Standing(looks, lambda: cores, clock, Meter(Metrics(registry, "risk")))

    def shown() -> str:
        lines = generate_latest(registry).decode().splitlines()
        (line,) = [each for each in lines if each.startswith("goalkick_orders_unknown{")]
        return line.split()[-1]

    assert (standing.lines(), shown()) == (["3 at 5"], "15.0")
    cores.append(4)
    clock.set(10)
    assert (standing.lines(), shown()) == (["3 at 10", "4 at 10"], "70.0")
    cores.clear()
    assert (standing.lines(), shown()) == ([], "0.0")


def test_what_is_external_is_counted_by_its_kind() -> None:
    registry = new_registry()
    account, instrument = AccountId("main"), InstrumentId("binance:BTC/USDT")
    order = ExternalOrderSeen(
        time_ns=1,
        account=account,
        instrument=instrument,
        venue_order_id="1",
        client_order_id="web",
        side=Side.BUY,
        quantity=ONE,
        filled=ZERO,
        limit_price=None,
        kind="MARKET",
    )
    fill = ExternalFillSeen(
        time_ns=1,
        account=account,
        instrument=instrument,
        venue_order_id="1",
        trade_id="2",
        venue_time_ns=1,
        side=Side.BUY,
        quantity=ONE,
        price=ONE,
        fee=ZERO,
        fee_currency="USDT",
    )
    Meter(Metrics(registry, "execution")).caused([order, fill, fill])
    counts = {kind: _count(registry, kind) for kind in ("order", "fill")}
    assert counts == {"order": 1.0, "fill": 2.0}


def _count(registry: object, kind: str) -> float | None:
    sample = registry.get_sample_value  # type: ignore[attr-defined]
    found: float | None = sample("goalkick_external_total", {"service": "execution", "kind": kind})
    return found
