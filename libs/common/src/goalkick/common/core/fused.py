"""Several cores as one: what one of them says is heard by those after it.

It does not say when: whoever runs it hands on what stays inside, in the order of a moment.
"""

from collections.abc import Mapping, Sequence

from goalkick.common.core.machine import Core, Handler
from goalkick.common.core.snapshot import decode_snapshot, encode_snapshot
from goalkick.common.events.base import Event

_CORE = "fused/1"

Hearers = Mapping[type[Event], tuple[Handler, ...]]
"""Event type -> who takes it, in order."""


class FusedCore:
    """The cores of several services, in the order of the flow.

    Attributes:
        parts: by name of the service.
        hearers: who takes an event. Each answers, or refuses it, for itself alone.
    """

    def __init__(self, parts: Mapping[str, Core]) -> None:
        """Takes fresh cores, first in the flow first."""
        self.parts = dict(parts)
        hearers: dict[type[Event], tuple[Handler, ...]] = {}
        for part in self.parts.values():
            for kind, handler in part.handlers.items():
                hearers[kind] = (*hearers.get(kind, ()), handler)
        self.hearers: Hearers = hearers
        self._names = ",".join(self.parts)

    @property
    def handlers(self) -> Mapping[type[Event], Handler]:
        """Event type -> all hearers as one: what one refuses, no other has answered."""
        return {kind: _together(hearers) for kind, hearers in self.hearers.items()}

    def snapshot(self) -> bytes:
        """The state of every part."""
        states = {name: part.snapshot() for name, part in self.parts.items()}
        return encode_snapshot(_CORE, self._names, states)

    def restore(self, data: bytes) -> None:
        """Takes over a snapshot.

        Raises:
            InvalidDataError: it is of other parts, or a part cannot use its own.
        """
        states = decode_snapshot(data, _CORE, self._names, dict[str, bytes])
        for name, part in self.parts.items():
            part.restore(states[name])


def hearers_of(core: Core) -> Hearers:
    """Who takes an event in a core: itself alone, unless it is several."""
    if isinstance(core, FusedCore):
        return core.hearers
    return {kind: (handler,) for kind, handler in core.handlers.items()}


def _together(hearers: Sequence[Handler]) -> Handler:
    return lambda event: [caused for hear in hearers for caused in hear(event)]
