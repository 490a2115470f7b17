"""How long a live session takes to be ready whose order log is long, beside one with a snapshot."""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from goalkick.common.adapters.state.sqlite import SqliteStateStore
from goalkick.common.events.venue import PlaceOrder, VenueAccepted, VenueEvent, VenueTraded
from goalkick.common.values.money import ZERO
from goalkick.embedded.order_log import Given
from goalkick.embedded.run import SNAPSHOT_ENTRIES, Market, Session
from goalkick.embedded.settings import GoalkickSettings
from goalkick.ingest.feeds.replay import ReplayFeed
from tests.bench.figures import Bench, Figure
from tests.bench.socket_to_order import STRATEGY
from tests.bench.workload import CASH, candles

EVENTS: Final = 100_000
EACH: Final = 3
"""Events of a bar: itself, and of the order that it leads to that it was taken and that it traded.
"""
AT_ONCE: Final = 500
"""Entries that are written at once while the log is made: only reading it is measured."""
WANTED_S: Final = 5.0


class Obliging:
    """A venue that trades every order at once, at a price of its own."""

    name = "obliging/main"

    def __init__(self) -> None:
        """Has said nothing."""
        self.news: list[VenueEvent] = []
        self._trades = 0

    def carry_out(self, command: VenueEvent) -> None:
        """Takes an order, and trades it."""
        if not isinstance(command, PlaceOrder):
            return
        self._trades += 1
        about: dict[str, Any] = {
            "time_ns": command.time_ns,
            "client_order_id": command.client_order_id,
            "instrument": command.instrument,
        }
        self.news += (
            VenueAccepted(**about, venue_order_id=str(self._trades)),
            VenueTraded(
                **about,
                trade_id=str(self._trades),
                venue_time_ns=command.time_ns,
                side=command.side,
                quantity=command.quantity,
                price=Decimal(20_000),
                fee=Decimal("0.1"),
                fee_currency="USDT",
                slippage=ZERO,
            ),
        )

    async def start(self) -> None:
        """It is there."""

    async def answers(self) -> Sequence[VenueEvent]:
        """What it said."""
        return self.news

    async def holdings(self) -> Mapping[str, Decimal]:
        """Much."""
        return {"USDT": Decimal(CASH)}

    async def close(self) -> None:
        """It may go."""


class Recorded(Session):
    """A session that writes many entries at once."""

    def _write(self) -> None:
        if not self._snapshot_s or self._log.last % AT_ONCE == 0:
            super()._write()


def restart(short: bool) -> Iterator[Figure]:
    """Ready again, by the log alone and from a snapshot."""
    events = EVENTS // 10 if short else EVENTS
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "turn.py").write_text(STRATEGY)
        file = Path(folder) / "state.sqlite"
        bars = list(ReplayFeed([candles(events // EACH + SNAPSHOT_ENTRIES)]).steps())
        end = events // EACH
        known = _lived(file, folder, bars[:end], snapshot=False)
        yield _ready(file, folder, known, f"ready with {events:,} events in the order log")
        known = _lived(file, folder, bars[end : end + SNAPSHOT_ENTRIES // 2], snapshot=True)
        yield _ready(file, folder, known, "ready with a snapshot and the most that follows it")


BENCHES: Sequence[Bench] = (restart,)


def _session(file: Path, folder: str) -> tuple[SqliteStateStore, Recorded, Obliging]:
    settings = GoalkickSettings.model_validate(
        {
            "strategy": {"folder": folder, "strategies": {"turn": {"strategy": "turn"}}},
            "risk": {
                "sizing": "fixed_quantity",
                "quantity": "1",
                "stop_loss": None,
                "max_daily_loss": None,
                "max_drawdown": None,
            },
        }
    )
    store, venue = SqliteStateStore(file), Obliging()
    market = Market(name="bench", pace="", identity="bench", steps=lambda _: iter(()))
    return store, Recorded(settings, market, store, lambda _: None, venue=venue), venue


def _lived(file: Path, folder: str, steps: Sequence[Any], *, snapshot: bool) -> tuple[int, Any]:
    """A life up to a kill; returns how far it came, and what it believed to have."""
    store, session, venue = _session(file, folder)
    with closing(store):
        if snapshot:
            session.save()
        else:
            session._take(Given(kind="opened", holdings={"USDT": Decimal(CASH)}))
        for step in steps:
            session._take(Given(kind="fed", clock_ns=step[0].time_ns, events=step))
            if venue.news:
                news, venue.news = venue.news, []
                session._take(Given(kind="heard", events=news))
        session._log.write()
        return _state(session)


def _ready(file: Path, folder: str, known: tuple[int, Any], name: str) -> Figure:
    began_s = time.perf_counter()
    store, session, _ = _session(file, folder)
    ready_s = time.perf_counter() - began_s
    with closing(store):
        found, length = _state(session), session._log.length
    wrong = "" if found == known else f"expected {known}, found {found}"
    return Figure(
        name, f"{ready_s:.2f} s", f"{length:,} entries read, held against {WANTED_S:g} s", wrong
    )


def _state(session: Session) -> tuple[int, Any]:
    return session.moment_ns, session._pipeline.ledger.cash
