"""Which streams of a venue are alive: pure; time is told, never asked for.

A stream is one kind of data of one instrument. Silence has a limit for each kind: running bars are
pushed every second or two, so that a few seconds without one mean a deaf socket; trades and books
of a quiet instrument may rest for minutes. Whatever is silent for too long is ill until it is
heard again, and the connection that should have brought it is to be built anew.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from goalkick.common.values.ids import InstrumentId


class Kind(StrEnum):
    """What a stream brings; the word that events call it by."""

    BAR = "bar"
    TRADE = "trade"
    QUOTE = "quote"
    BOOK = "book"


Stream = tuple[InstrumentId, Kind]


class _Line:
    """One stream.

    Attributes:
        heard_ns: when it was heard last, or since when it is waited for.
        event_ns: time of its last event, 0 before the first.
        patience_ns: how long it may be silent; None: for ever.
        ill: whether it was said to be.
        resting: whether it may be silent: its instrument is halted or gone.
    """

    __slots__ = ("event_ns", "heard_ns", "ill", "patience_ns", "resting")

    def __init__(self, patience_ns: int | None, now_ns: int) -> None:
        self.patience_ns = patience_ns
        self.heard_ns = now_ns
        self.event_ns = 0
        self.ill = self.resting = False


class Health:
    """The streams of one venue."""

    def __init__(
        self,
        streams: Iterable[Stream],
        patience: Mapping[Kind, int | None],
        silence_ns: int,
        now_ns: int,
    ) -> None:
        """All are well, none is connected.

        Args:
            streams: which there are.
            patience: kind -> time, ns, for which a stream of it may be silent; None: for ever.
            silence_ns: time for which all streams together may be silent.
            now_ns: the clock's time.
        """
        self._lines = {stream: _Line(patience[stream[1]], now_ns) for stream in streams}
        self._ill = dict.fromkeys(Kind, 0)
        self._silence_ns = silence_ns
        self._heard_ns = now_ns
        self._since_ns: int | None = None

    @property
    def streams(self) -> Sequence[Stream]:
        """All of them."""
        return tuple(self._lines)

    def connected(self, now_ns: int) -> None:
        """A connection is being made."""
        self._since_ns = now_ns

    def disconnected(self) -> None:
        """The connection is gone; another one is due already."""
        self._since_ns = None

    def away(self, for_ns: int) -> None:
        """For so long nobody listened here: that was no silence of the venue's."""
        for line in self._lines.values():
            line.heard_ns += for_ns
        self._heard_ns += for_ns
        if self._since_ns is not None:
            self._since_ns += for_ns

    def rest(self, instrument: InstrumentId, *, resting: bool) -> None:
        """An instrument may be silent, or may not any more."""
        for stream, line in self._lines.items():
            if stream[0] == instrument:
                line.resting = resting

    def heard(self, stream: Stream, now_ns: int) -> bool:
        """A good message came on a stream; whether it is ill."""
        line = self._lines.get(stream)
        if line is None:
            return False
        line.heard_ns = self._heard_ns = now_ns
        return line.ill

    def heard_since_connected(self, stream: Stream) -> bool:
        """Whether a stream was heard on the present connection."""
        line = self._lines.get(stream)
        return line is not None and self._since_ns is not None and line.heard_ns > self._since_ns

    def told(self, stream: Stream, event_ns: int) -> None:
        """An event of a stream was told; `event_ns` is its own time."""
        line = self._lines.get(stream)
        if line is not None:
            line.event_ns = event_ns

    def last_ns(self, stream: Stream) -> int:
        """Time of the last event of a stream, 0 if there was none."""
        line = self._lines.get(stream)
        return line.event_ns if line else 0

    def fail(self, stream: Stream) -> bool:
        """A stream is ill; whether it was not before."""
        line = self._lines.get(stream)
        if line is None or line.ill:
            return False
        line.ill = True
        self._ill[stream[1]] += 1
        return True

    def mend(self, stream: Stream) -> bool:
        """A stream is well; whether it was ill before."""
        line = self._lines.get(stream)
        if line is None or not line.ill:
            return False
        line.ill = False
        self._ill[stream[1]] -= 1
        return True

    def ill(self) -> dict[Kind, int]:
        """How many streams of each kind are ill."""
        return dict(self._ill)

    def overdue(self, now_ns: int) -> Sequence[Stream]:
        """Streams that have been silent for longer than they may be, connected or not."""
        return self._silent(now_ns, 0)

    def deaf(self, now_ns: int) -> bool:
        """Whether the present connection should have brought something, and did not."""
        return self._since_ns is not None and bool(self._silent(now_ns, self._since_ns))

    def _silent(self, now_ns: int, since_ns: int) -> Sequence[Stream]:
        deaf = now_ns - max(self._heard_ns, since_ns) > self._silence_ns
        found = []
        # A process may have a thousand streams, and looks at them twenty times a second.
        for stream, line in self._lines.items():
            limit_ns = 0 if deaf else line.patience_ns
            if line.resting or limit_ns is None or now_ns - line.heard_ns <= limit_ns:
                continue
            if deaf or now_ns - since_ns > limit_ns:
                found.append(stream)
        return found
