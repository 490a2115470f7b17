"""The feature core: a closed bar in, a vector of features out."""

import math
import struct
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.core.machine import Handler
from goalkick.common.core.snapshot import decode_snapshot, encode_snapshot
from goalkick.common.events.base import Event
from goalkick.common.events.feature import FeatureVector
from goalkick.common.events.market import BarClosed, GapDetected
from goalkick.common.values.ids import InstrumentId
from goalkick.feature.definitions import assemble
from goalkick.feature.kernel import LOOKS_BEYOND_CLOSE, Cells, compiled_step
from goalkick.feature.settings import FeatureSettings

_CORE = "feature/1"


class _StreamState(msgspec.Struct):
    """One instrument and bar length; `cells` are little-endian float64."""

    instrument: InstrumentId
    interval_ns: int
    cells: bytes


class _Stream:
    """Memory of one instrument and bar length."""

    __slots__ = ("cells", "names")

    def __init__(self, cells: Cells) -> None:
        self.cells = cells
        self.names: tuple[str, ...] = ()


class FeatureCore:
    """Computes the configured features of every instrument. Floats begin here."""

    def __init__(self, settings: FeatureSettings) -> None:
        """Assembles the program and compiles it, unless this machine did so before.

        Raises:
            SettingsError: a name is not a feature's.
        """
        self._assembly = assemble(settings.features, settings.after_gap)
        self._program = self._assembly.program
        self._names = self._assembly.names
        self._hash = self._assembly.hash
        self._intervals = settings.intervals
        self._restarts = settings.after_gap == "restart"
        opcodes = set(self._program[:, 0].tolist())
        self._looks_beyond_close = bool(opcodes & LOOKS_BEYOND_CLOSE)
        self._out = np.empty(len(self._names))
        # A good deal faster than `tolist`: the same doubles, straight into a tuple.
        self._shown = self._out.data
        self._unpack = struct.Struct(f"={len(self._names)}d").unpack
        self._streams: dict[tuple[InstrumentId, int], _Stream] = {}
        self._step = compiled_step()
        self.handlers: Mapping[type[Event], Handler] = {
            BarClosed: self._on_bar,
            GapDetected: self._on_gap,
        }

    @property
    def definition_hash(self) -> str:
        """Identifies what is served: names, parameters, version of the arithmetic."""
        return self._hash

    def snapshot(self) -> bytes:
        """The memory of every instrument and bar length."""
        streams = [
            _StreamState(instrument, interval_ns, stream.cells.astype("<f8").tobytes())
            for (instrument, interval_ns), stream in sorted(self._streams.items())
        ]
        return encode_snapshot(_CORE, self._hash, streams)

    def restore(self, data: bytes) -> None:
        """Takes over a snapshot.

        Raises:
            InvalidDataError: it was made with other features.
        """
        kept = decode_snapshot(data, _CORE, self._hash, list[_StreamState])
        self._streams = {}
        for state in kept:
            cells = np.frombuffer(state.cells, dtype="<f8").astype(np.float64)
            if len(cells) != self._assembly.cells:
                raise InvalidDataError(
                    f"snapshot of {_CORE}: expected {self._assembly.cells} cells for "
                    f"{state.instrument}, found {len(cells)}"
                )
            self._streams[state.instrument, state.interval_ns] = _Stream(cells)

    def _on_bar(self, bar: BarClosed) -> Sequence[Event]:
        instrument, interval_ns, close = bar.instrument, bar.interval_ns, bar.close
        stream = self._streams.get((instrument, interval_ns))
        if stream is None:
            if self._intervals and interval_ns not in self._intervals:
                return ()
            stream = _Stream(self._assembly.fresh_cells(interval_ns))
            self._streams[instrument, interval_ns] = stream
        high = low = volume = 0.0
        if self._looks_beyond_close:
            # A decimal becomes a float by way of its text: only those that are looked at.
            high, low, volume = float(bar.high), float(bar.low), float(bar.volume)
        now_ns = bar.time_ns
        ready = self._step(
            self._program, stream.cells, now_ns, high, low, float(close), volume, self._out
        )
        values = self._unpack(self._shown)
        if ready == len(values):
            names = self._names
        else:
            present = [i for i, value in enumerate(values) if not math.isnan(value)]
            values = tuple(values[i] for i in present)
            # The same tuple for as long as the same features are ready: readers compare identity.
            names = tuple(self._names[i] for i in present)
            names = stream.names = stream.names if names == stream.names else names
        return (
            FeatureVector(
                time_ns=now_ns,
                instrument=instrument,
                interval_ns=interval_ns,
                available_at_ns=now_ns,
                definition_hash=self._hash,
                names=names,
                values=values,
                close=close,
            ),
        )

    def _on_gap(self, gap: GapDetected) -> Sequence[Event]:
        if self._restarts and gap.stream == "bar":
            for instrument, interval_ns in self._streams:
                if instrument == gap.instrument:
                    self._streams[instrument, interval_ns] = _Stream(
                        self._assembly.fresh_cells(interval_ns)
                    )
        return ()
