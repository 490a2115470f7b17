"""What metrics say of the account: equity, what is held, halts."""

from goalkick.common.events.control import Halt, Resume
from goalkick.risk.standing import LOOKS
from tests.unit.risk.desk import BTC, ETH, MINUTE, D, Desk


def figures(desk: Desk) -> dict[str, float]:
    told = {m.name: figure(desk.core, desk.minute * MINUTE) for m, figure in LOOKS.gauges.items()}
    return {name.removeprefix("goalkick_"): value for name, value in told.items()}


def test_equity_and_what_is_held_follow_the_last_prices() -> None:
    desk = Desk(quantity=D(2), allow_short=True, stop_loss=None)
    desk.bar("100")
    desk.bar("50", name=ETH, minute=1)
    desk.want(1.0)
    desk.want(-0.5, name=ETH)
    assert desk.held == {BTC: D(2), ETH: D(-1)}
    desk.bar("90")
    told = figures(desk)
    assert told["positions"] == 2.0
    assert (told["exposure_cash"], told["net_exposure_cash"]) == (230.0, 130.0)
    assert (told["equity_cash"], told["day_profit_cash"]) == (9980.0, -20.0)
    assert told["drawdown_ratio"] == 0.002


def test_every_reason_of_a_halt_counts_until_it_is_ended() -> None:
    desk = Desk(quantity=D(50), stop_loss=None)
    desk.bar("100")
    desk.want(1.0)
    desk.say(Halt(time_ns=MINUTE, issuer="ann", reason="lunch"))
    assert figures(desk)["halts"] == 1.0
    desk.bar("50")
    assert figures(desk)["halts"] == 3.0
    desk.say(Resume(time_ns=2 * MINUTE, issuer="ann"))
    assert figures(desk)["halts"] == 0.0
    assert figures(desk)["drawdown_ratio"] == 0.0
