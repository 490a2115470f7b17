"""How a service's cores stand, for people and for metrics: looked at when somebody asks.

Nothing is counted on the way: a page or a scrape reads the cores as they are then.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from goalkick.common.ports.clock import Clock
from goalkick.common.runtime.meter import Meter
from goalkick.common.telemetry.names import GaugeMetric


class Looks(msgspec.Struct, frozen=True):
    """What there is to see in a service's cores; each is told a core and the time, UTC ns.

    Attributes:
        lines: what a person should know, a line each; nothing, where all is well.
        gauges: metric -> its figure; those of all cores of a process are added up.
    """

    lines: Callable[[Any, int], Sequence[str]] = lambda *_: ()
    gauges: Mapping[GaugeMetric, Callable[[Any, int], float]] = msgspec.field(default_factory=dict)


class Standing:
    """The cores of one process."""

    def __init__(
        self, looks: Looks, cores: Callable[[], Iterable[Any]], clock: Clock, meter: Meter
    ) -> None:
        """Has the gauges read the cores from now on.

        Args:
            looks: what there is to see.
            cores: those that work here now.
            clock: says how old things are.
            meter: whose gauges these are.
        """
        self._looks, self._cores, self._clock = looks, cores, clock
        for metric, figure in looks.gauges.items():
            meter.metrics.gauge(metric).set_function(self._sum(figure))

    def lines(self) -> Sequence[str]:
        """What people should know of all cores."""
        now_ns = self._clock.now_ns()
        return [line for core in self._cores() for line in self._looks.lines(core, now_ns)]

    def _sum(self, figure: Callable[[Any, int], float]) -> Callable[[], float]:
        return lambda: sum(figure(core, self._clock.now_ns()) for core in self._cores())
