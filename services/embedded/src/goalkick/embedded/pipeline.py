"""All cores in one process: the only module that sees every service.

The same object trades on paper and replays the past; what differs is who feeds it.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec

from goalkick.common.adapters.bus.memory import MemoryBus, Sink
from goalkick.common.core.machine import Core
from goalkick.common.core.snapshot import decode_snapshot, encode_snapshot
from goalkick.common.events.base import Event
from goalkick.common.events.venue import VenueEvent
from goalkick.common.ports.model import Model
from goalkick.common.values.ids import ClientOrderId, InstrumentId
from goalkick.common.values.money import ZERO
from goalkick.embedded.settings import GoalkickSettings, resolved
from goalkick.execution.ledger import Ledger
from goalkick.execution.live import LiveExecution
from goalkick.execution.order_state import Order
from goalkick.execution.paper import PaperExecution
from goalkick.feature.core import FeatureCore
from goalkick.prediction.core import PredictionCore
from goalkick.risk.core import RiskCore
from goalkick.risk.state import Book
from goalkick.strategy.core import StrategyCore
from goalkick.strategy.discovery import discover

_CORE = "pipeline/1"


class _State(msgspec.Struct):
    moment_ns: int
    cores: dict[str, bytes]


class Pipeline:
    """Every core, wired by the in-memory bus, with a venue at its end: on paper, or outside."""

    def __init__(
        self,
        settings: GoalkickSettings,
        *,
        models: Sequence[Model] = (),
        sinks: Iterable[tuple[type[Event], Sink]] = (),
        live: bool = False,
    ) -> None:
        """Builds the cores; compiles the features unless this machine did so before.

        Args:
            settings: as configured; needed features are added, see `settings.resolved`.
            models: what `settings.prediction.models` names, in memory.
            live: whether orders go to a venue outside, see `commands` and `hear`.
            sinks: (event type, sink): each event of that type goes to the sink, before any core
                handles it.

        Raises:
            SettingsError: the settings name something that does not exist, or a model was trained
                on other features than are served.
        """
        self.settings = resolved(settings, models=models)
        feature = FeatureCore(self.settings.feature)
        self._risk = RiskCore(self.settings.risk, live=live)
        self._execution = (LiveExecution if live else PaperExecution)(self.settings.execution)
        cores: dict[str, Core] = {
            "feature": feature,
            "strategy": StrategyCore(
                self.settings.strategy, discover(self.settings.strategy.folder)
            ),
            "risk": self._risk,
            "execution": self._execution,
        }
        if models:
            cores["prediction"] = PredictionCore(
                self.settings.prediction, models, definition_hash=feature.definition_hash
            )
        self._models = ",".join(model.manifest.id for model in models)
        self._bus = MemoryBus(cores, sinks)
        self.feed = self._bus.feed
        """Handles one step and everything that it causes; see `MemoryBus.feed`."""

        self.watch = self._bus.watch
        """Shows sinks what has no moment; see `MemoryBus.watch`."""

    def open_account(self, holdings: Mapping[str, Decimal]) -> None:
        """Before the first step: what the account has on the venue outside, by currency."""
        self._outside.open(holdings)

    def set_clock(self, now_ns: int) -> None:
        """Before `feed`: what the clock says, for decisions about the past must not be placed."""
        self._outside.set_clock(now_ns)

    def commands(self) -> Sequence[VenueEvent]:
        """Takes what the venue outside is to do; to be saved before it is done."""
        return self._outside.commands()

    def hear(self, answers: Iterable[VenueEvent]) -> None:
        """Handles what the venue outside says, and everything that it causes."""
        self._bus.tell("execution", self._outside.answer(answers, self.moment_ns))

    def doubt(self) -> None:
        """After `restore`: the venue outside is to be asked about every order under way."""
        self._bus.tell("execution", self._outside.doubts(self.moment_ns))

    def leave(self) -> None:
        """Before a stop: takes back the orders that are not to work while nobody is here."""
        self._bus.tell("execution", self._outside.leave(self.moment_ns))

    @property
    def left(self) -> bool:
        """Whether all orders that a stop takes back are known to have ended."""
        return self._outside.left

    @property
    def _outside(self) -> LiveExecution:
        assert isinstance(self._execution, LiveExecution)  # noqa: S101 - asked of a live one only
        return self._execution

    @property
    def moment_ns(self) -> int:
        """Time of the last step; the smallest int64 before the first."""
        return self._bus.moment_ns

    @property
    def refused(self) -> int:
        """How many times a core could not use an event and said nothing to it."""
        return self._bus.refused

    @property
    def refusal(self) -> str:
        """Why, the last time; "" before the first."""
        return self._bus.refusal

    @property
    def ledger(self) -> Ledger:
        """Cash and positions; to be read, not changed."""
        return self._execution.execution.ledger

    @property
    def working(self) -> Mapping[ClientOrderId, Order]:
        """Orders that have not ended; to be read, not changed."""
        return self._execution.execution.working

    @property
    def prices(self) -> dict[InstrumentId, Decimal]:
        """The last close of every instrument that had one, quote currency."""
        books: Mapping[InstrumentId, Book] = self._risk.account.books
        return {name: book.price for name, book in books.items() if book.price is not None}

    @property
    def equity(self) -> Decimal:
        """Cash and positions at the last closes, quote currency; exact."""
        ledger, books = self.ledger, self._risk.account.books
        total = ledger.cash
        for name, position in ledger.positions.items():
            if position.quantity:
                total += position.quantity * (books[name].price or ZERO)
        return total

    def snapshot(self) -> bytes:
        """All state; `restore` on a pipeline of the same settings goes on as if never stopped."""
        state = _State(self._bus.moment_ns, self._bus.snapshot())
        return encode_snapshot(_CORE, self._models, state)

    def restore(self, data: bytes) -> None:
        """Takes over a snapshot.

        Raises:
            InvalidDataError: it was made by another version, with other settings or models.
        """
        state = decode_snapshot(data, _CORE, self._models, _State)
        self._bus.restore(state.cores, state.moment_ns)
