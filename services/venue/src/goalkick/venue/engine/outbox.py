"""Tells subscribers what happened, after the command that made it happen, in order."""

from collections import deque
from collections.abc import Callable

from goalkick.venue.engine.model import Happening

Listener = Callable[[Happening], None]


class Outbox:
    """Happenings on their way to the listeners.

    A listener finds the exchange in a whole state, and may give it commands: what these bring
    about is told after all that is under way.
    """

    def __init__(self) -> None:
        self._waiting: deque[Happening] = deque()
        self._listeners: dict[int, Listener] = {}
        self._subscriptions = 0
        self._delivering = False

    def emit(self, happening: Happening) -> None:
        """Something happened."""
        self._waiting.append(happening)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Tells `listener` all that happens from now on; returns what ends this."""
        self._subscriptions += 1
        number = self._subscriptions
        self._listeners[number] = listener

        def unsubscribe() -> None:
            self._listeners.pop(number, None)

        return unsubscribe

    def deliver(self) -> None:
        """Tells all that waits to everybody."""
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._waiting:
                happening = self._waiting.popleft()
                for listener in tuple(self._listeners.values()):
                    listener(happening)
        finally:
            self._delivering = False
