"""Control events: time, halts, switches. Key: their scope (`*` reaches everybody)."""

from goalkick.common.events.base import Event


class ControlEvent(Event, frozen=True, kw_only=True):
    """A command or a fact about the platform itself.

    Attributes:
        scope: whom it concerns: an account, a strategy, or `*`.
        issuer: who said so: a person's name or a service.
        reason: for people; short.
    """

    scope: str = "*"
    issuer: str = ""
    reason: str = ""

    @property
    def key(self) -> str:
        """The scope."""
        return self.scope

    def natural_key(self) -> str:
        """Scope, time and issuer."""
        return f"{self.scope}|{self.time_ns}|{self.issuer}"


class TimeAdvanced(ControlEvent, frozen=True, kw_only=True):
    """It is at least `time_ns` now; injected by the shell when no market event says so."""


class Halt(ControlEvent, frozen=True, kw_only=True):
    """Command: refuse new risk in the scope (an account, or `*`)."""


class Resume(ControlEvent, frozen=True, kw_only=True):
    """Command: end a halt in the scope."""


class TradingHalted(ControlEvent, frozen=True, kw_only=True):
    """Risk refuses new risk in the scope from now on."""


class TradingResumed(ControlEvent, frozen=True, kw_only=True):
    """Risk accepts new risk in the scope again."""


class ActivateStrategy(ControlEvent, frozen=True, kw_only=True):
    """Command: the strategy named by the scope may raise signals."""


class DeactivateStrategy(ControlEvent, frozen=True, kw_only=True):
    """Command: the strategy named by the scope goes flat and is silent."""


class AddDeployment(ControlEvent, frozen=True, kw_only=True):
    """Command: from now on risk listens to the strategy service of this name, too.

    `scope` is the deployment, see `topics.signals_of`; its topics are there already.
    """


class RemoveDeployment(ControlEvent, frozen=True, kw_only=True):
    """Command: risk handles what the deployment named by the scope has said, and waits no more.

    What its strategies hold stays as it is: deactivate them first.
    """


class Progress(ControlEvent, frozen=True, kw_only=True):
    """A producer has sent, on this partition, all that it will ever say about a moment.

    Made and read by the runtime only; no core ever sees one. `issuer` names the producer.

    Attributes:
        time_ns: nothing with this event time or an earlier one follows, as far as `phase` says.
        phase: 0 = what market data caused, 1 = everything (see `topics.Topic.rank`).
    """

    phase: int = 1
