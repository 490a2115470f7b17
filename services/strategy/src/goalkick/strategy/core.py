"""The strategy core: hands features and forecasts to strategies, and their targets on."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec
from pydantic import ValidationError

from goalkick.common.core.errors import InvalidDataError, SettingsError
from goalkick.common.core.machine import Handler
from goalkick.common.core.snapshot import decode_snapshot, encode_snapshot
from goalkick.common.events.base import Event
from goalkick.common.events.control import ActivateStrategy, DeactivateStrategy
from goalkick.common.events.feature import FeatureVector
from goalkick.common.events.prediction import ForecastMade
from goalkick.common.events.signal import Signal
from goalkick.common.strategy import Params, Strategy
from goalkick.common.values.ids import InstrumentId, StrategyId
from goalkick.strategy.settings import StrategyRun, StrategySettings

_CORE = "strategy/1"


class _SlotState(msgspec.Struct):
    """What one strategy remembers about one instrument; see `StrategyCore.snapshot`."""

    run: str
    instrument: str
    interval_ns: int
    seen: int
    memory: dict[str, Any]


class _State(msgspec.Struct):
    inactive: list[str]
    slots: list[_SlotState]


class _Slot:
    """One strategy on one instrument and bar length."""

    __slots__ = ("names", "ready", "run", "seen", "strategy", "warmup")

    def __init__(self, run: "_Run", strategy: Strategy[Any]) -> None:
        self.run = run
        self.strategy = strategy
        self.warmup = run.settings.warmup
        self.seen = 0
        self.names: tuple[str, ...] = ()
        self.ready = not strategy.needs()

    def look_for(self, names: tuple[str, ...]) -> None:
        """Other features are ready than before."""
        self.ready = all(name in names for name in self.strategy.needs())
        self.names = names


class _Run:
    """A configured strategy with its parameters checked."""

    __slots__ = ("active", "name", "params", "settings", "strategy_type")

    def __init__(self, name: str, settings: StrategyRun, kind: type[Strategy[Any]]) -> None:
        self.name = StrategyId(name)
        self.settings = settings
        self.strategy_type = kind
        self.params = checked_params(name, kind, settings.params)
        self.active = settings.active

    def wants(self, instrument: str, interval_ns: int) -> bool:
        wanted = self.settings
        return (not wanted.instruments or instrument in wanted.instruments) and (
            wanted.interval is None or wanted.interval == interval_ns
        )


def checked_params(name: str, kind: type[Strategy[Any]], values: Mapping[str, Any]) -> Params:
    """The typed parameters of a strategy.

    Raises:
        SettingsError: a parameter is unknown, or its value is out of its range.
    """
    try:
        return kind.params_type(**values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = ", ".join(kind.params_type.model_fields) or "no parameters"
            near = get_close_matches(key, kind.params_type.model_fields, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SettingsError(f"strategy {name}: expected {known}, found {key!r}{hint}") from None
        place = f" parameter {key}" if key else ""
        found = "" if not key else f", found {first.get('input')!r}"
        raise SettingsError(
            f"strategy {name}{place}: {first['msg'].removeprefix('Value error, ')}{found}"
        ) from None


class StrategyCore:
    """Runs every configured strategy on the instruments that it wants."""

    def __init__(
        self, settings: StrategySettings, catalogue: Mapping[str, type[Strategy[Any]]]
    ) -> None:
        """Checks names and parameters.

        Args:
            settings: what runs.
            catalogue: strategy classes by name, see `discovery.discover`.

        Raises:
            SettingsError: a strategy or a parameter is unknown, or a value is out of range.
        """
        self._runs: dict[str, _Run] = {}
        for name, run in settings.strategies.items():
            if run.strategy not in catalogue:
                near = get_close_matches(run.strategy, catalogue, 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise SettingsError(
                    f"strategy {name}: expected one of {', '.join(catalogue)}, "
                    f"found {run.strategy!r}{hint}"
                )
            self._runs[name] = _Run(name, run, catalogue[run.strategy])
        identity = msgspec.json.encode(settings.model_dump(mode="json", exclude={"folder"}))
        self._fingerprint = hashlib.sha256(identity).hexdigest()[:16]
        self._slots: dict[tuple[str, int], tuple[_Slot, ...]] = {}
        self.handlers: Mapping[type[Event], Handler] = {
            FeatureVector: self._on_features,
            ForecastMade: self._on_forecast,
            ActivateStrategy: self._on_activate,
            DeactivateStrategy: self._on_deactivate,
        }

    @property
    def needs(self) -> tuple[str, ...]:
        """All features that the configured strategies look at, sorted."""
        names = {
            name
            for run in self._runs.values()
            for name in run.strategy_type(run.name, InstrumentId(""), run.params).needs()
        }
        return tuple(sorted(names))

    def snapshot(self) -> bytes:
        """Which strategies are inactive, and what each remembers."""
        slots = [
            _SlotState(slot.run.name, instrument, interval_ns, slot.seen, slot.strategy.memory)
            for (instrument, interval_ns), group in sorted(self._slots.items())
            for slot in group
        ]
        inactive = [run.name for run in self._runs.values() if not run.active]
        return encode_snapshot(_CORE, self._fingerprint, _State(list(inactive), slots))

    def restore(self, data: bytes) -> None:
        """Takes over a snapshot.

        Raises:
            InvalidDataError: it was made with other strategies or parameters.
        """
        state = decode_snapshot(data, _CORE, self._fingerprint, _State)
        for run in self._runs.values():
            run.active = run.name not in state.inactive
        self._slots.clear()
        for kept in state.slots:
            group = self._group(kept.instrument, kept.interval_ns)
            slot = next(slot for slot in group if slot.run.name == kept.run)
            slot.seen = kept.seen
            slot.strategy.memory = kept.memory

    def _on_features(self, features: FeatureVector) -> Sequence[Event]:
        """Hands it to the strategies.

        Raises:
            InvalidDataError: a target or a confidence is no number in its range. All that was
                answered to this event is void then; levels are said again with the next bar.
        """
        try:
            group = self._slots[features.instrument, features.interval_ns]
        except KeyError:
            group = self._group(features.instrument, features.interval_ns)
        signals: list[Signal] = []
        for slot in group:
            slot.seen += 1
            if features.names is not slot.names:
                slot.look_for(features.names)
            if slot.ready and slot.seen >= slot.warmup and slot.run.active:
                signals += slot.strategy.on_features(features)
        for signal in signals:
            if not (-1.0 <= signal.target <= 1.0 and 0.0 <= signal.confidence <= 1.0):
                raise _nonsense(signal)
        return signals

    def _on_forecast(self, forecast: ForecastMade) -> Sequence[Event]:
        """Hands it to the strategies; raises as `_on_features` does."""
        signals: list[Signal] = []
        for slot in self._group(forecast.instrument, forecast.interval_ns):
            if slot.run.active and slot.seen >= slot.warmup:
                signals += slot.strategy.on_forecast(forecast)
        for signal in signals:
            if not (-1.0 <= signal.target <= 1.0 and 0.0 <= signal.confidence <= 1.0):
                raise _nonsense(signal)
        return signals

    def _on_activate(self, command: ActivateStrategy) -> Sequence[Event]:
        for run in self._addressed(command.scope):
            run.active = True
        return ()

    def _on_deactivate(self, command: DeactivateStrategy) -> Sequence[Event]:
        """Says "flat" for every instrument that the strategy may hold, then is silent."""
        signals: list[Signal] = []
        for run in self._addressed(command.scope):
            if run.active:
                run.active = False
                signals.extend(self._flat(run, command))
        return signals

    def _flat(self, run: _Run, command: DeactivateStrategy) -> Iterable[Signal]:
        longest: dict[str, int] = {}
        for (instrument, interval_ns), group in sorted(self._slots.items()):
            if any(slot.run is run for slot in group):
                longest[instrument] = interval_ns
        for instrument, interval_ns in longest.items():
            yield Signal(
                time_ns=command.time_ns,
                instrument=InstrumentId(instrument),
                cause=f"command of {command.issuer}",
                strategy=run.name,
                target=0.0,
                expires_at_ns=command.time_ns + interval_ns,
                reason=f"deactivated by {command.issuer or 'a command'}",
            )

    def _addressed(self, scope: str) -> list[_Run]:
        return [run for run in self._runs.values() if scope in ("*", run.name)]

    def _group(self, instrument: str, interval_ns: int) -> tuple[_Slot, ...]:
        key = (instrument, interval_ns)
        if key not in self._slots:
            self._slots[key] = tuple(
                _Slot(run, run.strategy_type(run.name, InstrumentId(instrument), run.params))
                for run in self._runs.values()
                if run.wants(instrument, interval_ns)
            )
        return self._slots[key]


def _nonsense(signal: Signal) -> InvalidDataError:
    return InvalidDataError(
        f"strategy {signal.strategy} on {signal.instrument}: expected a target in [-1, 1] and a "
        f"confidence in [0, 1], found {signal.target} and {signal.confidence}"
    )
