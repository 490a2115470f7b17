"""The in-memory bus: order of a moment, run to completion, refusal of what topics.py forbids."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest

from goalkick.common.adapters.bus.memory import MemoryBus
from goalkick.common.core.errors import InvalidDataError, InvariantError
from goalkick.common.events.base import Event
from goalkick.common.events.control import TimeAdvanced, TradingHalted
from goalkick.common.events.feature import FeatureVector
from goalkick.common.events.market import BarClosed
from goalkick.common.events.order import BalanceChanged
from goalkick.common.events.signal import Signal
from goalkick.common.values.ids import AccountId, EventId, InstrumentId, StrategyId

D = Decimal


class Scripted:
    """A core that answers as it is told and notes what it heard."""

    def __init__(
        self,
        name: str,
        log: list[tuple[str, str]],
        answers: Mapping[type[Event], Callable[[Any], Sequence[Event]]],
    ) -> None:
        self.state = b"fresh"
        self.handlers = {kind: self._noting(name, log, answer) for kind, answer in answers.items()}

    def _noting(
        self, name: str, log: list[tuple[str, str]], answer: Callable[[Any], Sequence[Event]]
    ) -> Callable[[Any], Sequence[Event]]:
        def handle(event: Event) -> Sequence[Event]:
            log.append((name, type(event).__name__))
            return answer(event)

        return handle

    def snapshot(self) -> bytes:
        return self.state

    def restore(self, data: bytes) -> None:
        self.state = data


def bar(time_ns: int, name: str = "a") -> BarClosed:
    one = D(1)
    return BarClosed(
        time_ns=time_ns,
        instrument=InstrumentId(f"test:{name}"),
        interval_ns=1,
        open=one,
        high=one,
        low=one,
        close=one,
        volume=one,
    )


def vector(cause: BarClosed) -> list[Event]:
    return [
        FeatureVector(
            time_ns=cause.time_ns,
            instrument=cause.instrument,
            interval_ns=1,
            available_at_ns=cause.time_ns,
            definition_hash="",
            names=(),
            values=(),
            close=cause.close,
        )
    ]


def signal(cause: FeatureVector) -> list[Event]:
    return [
        Signal(
            time_ns=cause.time_ns,
            instrument=cause.instrument,
            cause=EventId("c"),
            strategy=StrategyId("s"),
            target=1.0,
            expires_at_ns=cause.time_ns + 1,
        )
    ]


def balance(cause: Event) -> list[Event]:
    return [
        BalanceChanged(
            time_ns=cause.time_ns, account=AccountId("m"), cause="c", currency="X", total=D(1)
        )
    ]


def halted(cause: Event) -> list[Event]:
    return [TradingHalted(time_ns=cause.time_ns)]


def silent(_: Event) -> list[Event]:
    return []


def test_a_moment_runs_market_then_reports_then_features_signals_and_decisions() -> None:
    log: list[tuple[str, str]] = []
    bus = MemoryBus(
        {
            "strategy": Scripted("strategy", log, {FeatureVector: signal}),
            "feature": Scripted("feature", log, {BarClosed: vector}),
            "risk": Scripted(
                "risk", log, {BarClosed: silent, BalanceChanged: silent, Signal: halted}
            ),
            "execution": Scripted("execution", log, {BarClosed: balance, TradingHalted: balance}),
        }
    )
    bus.feed([bar(5, "a"), bar(5, "b")])
    expected = [
        *[(name, "BarClosed") for _ in "ab" for name in ("execution", "risk", "feature")],
        *[("risk", "BalanceChanged")] * 2,
        *[("strategy", "FeatureVector")] * 2,
        *[("risk", "Signal")] * 2,
        ("execution", "TradingHalted"),
        ("risk", "BalanceChanged"),
        ("execution", "TradingHalted"),
        ("risk", "BalanceChanged"),
    ]
    assert log == expected
    assert bus.moment_ns == 5


def test_sinks_see_every_event_of_their_type_even_if_no_core_handles_it() -> None:
    seen: list[Event] = []
    bus = MemoryBus({"feature": Scripted("f", [], {BarClosed: vector})})
    bus.feed([bar(1)])
    bus = MemoryBus(
        {"feature": Scripted("f", [], {BarClosed: vector})},
        [(FeatureVector, seen.append), (BarClosed, seen.append)],
    )
    bus.feed([bar(1)])
    assert seen == [bar(1), *vector(bar(1))]


def test_refuses_a_core_that_hears_what_the_table_does_not_give_it() -> None:
    with pytest.raises(InvariantError, match="strategy handles BarClosed"):
        MemoryBus({"strategy": Scripted("s", [], {BarClosed: silent})})


def test_refuses_an_output_of_the_wrong_producer() -> None:
    bus = MemoryBus({"feature": Scripted("f", [], {BarClosed: halted})})
    with pytest.raises(InvariantError, match="TradingHalted from feature: expected risk"):
        bus.feed([bar(1)])


def test_refuses_the_past_and_outputs_of_another_moment() -> None:
    bus = MemoryBus({"feature": Scripted("f", [], {BarClosed: lambda _: vector(bar(7))})})
    with pytest.raises(InvariantError, match="from feature: expected time 3, found 7"):
        bus.feed([bar(3)])
    with pytest.raises(InvariantError, match="from the feed: expected time 4, found 5"):
        bus.feed([TimeAdvanced(time_ns=4), bar(5)])
    with pytest.raises(InvariantError, match="at or after 4, found 2"):
        bus.feed([bar(2)])


def test_an_event_that_a_core_cannot_use_is_counted_and_the_others_go_on() -> None:
    def wrong(event: Event) -> Sequence[Event]:
        raise InvalidDataError(f"bad {event.time_ns}")

    heard: list[Event] = []
    log: list[tuple[str, str]] = []
    cores = {
        "risk": Scripted("risk", log, {BarClosed: wrong}),
        "feature": Scripted("feature", log, {BarClosed: vector}),
        "strategy": Scripted("strategy", log, {FeatureVector: wrong}),
    }
    bus = MemoryBus(cores, [(FeatureVector, heard.append)])
    assert (bus.refused, bus.refusal) == (0, "")
    bus.feed([bar(1)])
    bus.feed([bar(2)])
    assert len(heard) == 2
    assert (bus.refused, bus.refusal) == (4, "bad 2")


def test_restored_bus_goes_on_after_its_moment() -> None:
    core = Scripted("f", [], {BarClosed: silent})
    bus = MemoryBus({"feature": core})
    bus.feed([bar(3)])
    snapshots = bus.snapshot()
    other = Scripted("f", [], {BarClosed: silent})
    again = MemoryBus({"feature": other})
    again.restore(snapshots, bus.moment_ns)
    assert again.moment_ns == 3
    with pytest.raises(InvariantError):
        again.feed([bar(2)])


def test_the_tape_is_shown_to_sinks_and_moves_no_time() -> None:
    seen: list[Event] = []
    heard: list[tuple[str, str]] = []
    bus = MemoryBus(
        {"feature": Scripted("feature", heard, {BarClosed: lambda _: ()})},
        [(BarClosed, seen.append)],
    )
    bus.feed([bar(5)])
    bus.watch([bar(3), bar(9)])
    assert [event.time_ns for event in seen] == [5, 3, 9]
    assert bus.moment_ns == 5
    assert heard == [("feature", "BarClosed")]
