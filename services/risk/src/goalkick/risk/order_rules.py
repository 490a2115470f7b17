"""What can be configured about how orders are worked: by which algo, for how long, within what."""

from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from goalkick.common.config.algos import PARAMS, AlgoName
from goalkick.common.config.types import Duration, Exact, Settings
from goalkick.common.values.ids import InstrumentId, StrategyId
from goalkick.common.values.money import ONE, ZERO
from goalkick.common.values.time import NS_PER_MINUTE

Orders = Literal["entries", "exits", "positions"]

EXITING = ("bracket", "oco")
"""Algos that leave a position at a loss or at a profit."""


class OrderRule(Settings):
    """How some orders are worked. Of several that fit, one that names more counts.

    A strategy's name counts for more than an instrument's. Orders that no rule fits are market
    orders, and so are all of risk's own protective exits.
    """

    strategy: StrategyId | None = Field(
        None, description="a strategy's configured name: of its orders only; none: of any"
    )
    instrument: InstrumentId | None = Field(
        None, description="an instrument id: of its orders only; none: of any"
    )
    orders: Literal["entries", "exits", "all", "positions"] = Field(
        "entries",
        description="which: `entries` may add risk, `exits` only take it away, `all` is both; "
        "`positions`, for algo oco: not orders, but what is held",
    )
    algo: AlgoName = Field(
        description="what works them: `twap`, `vwap`, `pov`, `iceberg`, `post_only`, `bracket`; "
        "`oco` keeps a stop and a take-profit over a position"
    )
    over: Duration = Field(
        10 * NS_PER_MINUTE,
        gt=0,
        description="for how long; of a bracket, its entry; of an oco, after which it is renewed",
    )
    limit: Exact | None = Field(
        None,
        gt=-ONE,
        lt=ONE,
        description="fraction of the price at the decision by which orders may trade worse than "
        "it; negative: they must trade better; none: no limit",
    )
    stop: Exact | None = Field(
        None,
        gt=ZERO,
        lt=ONE,
        description="for bracket and oco: loss that ends it, as a fraction of the price at the "
        "decision, of an oco of the position's average price",
    )
    take_profit: Exact | None = Field(
        None, gt=ZERO, lt=ONE, description="for bracket and oco: gain that ends it, likewise"
    )
    params: dict[str, Any] = Field(
        default_factory=dict,
        description="further parameters of the algo, such as `slices` and `max_participation`",
    )

    @property
    def rank(self) -> tuple[bool, bool]:
        """How much it names: larger counts."""
        return self.strategy is not None, self.instrument is not None

    @model_validator(mode="after")
    def _fits_its_algo(self) -> Self:
        exits = [price for price in (self.stop, self.take_profit) if price is not None]
        if len(exits) != (2 if self.algo in EXITING else 0):
            expected = "stop and take_profit" if self.algo in EXITING else "neither of them"
            raise ValueError(f"algo {self.algo}: expected {expected}, found {len(exits)} of them")
        if (self.algo == "oco") != (self.orders == "positions"):
            raise ValueError(
                f"algo {self.algo}: expected `orders: positions` with oco and with nothing else, "
                f"found {self.orders}"
            )
        if self.algo == "bracket" and self.orders != "entries":
            raise ValueError(f"algo bracket: expected `orders: entries`, found {self.orders}")
        if self.algo == "iceberg" and self.limit is None:
            raise ValueError("algo iceberg: expected a limit, at which it rests, found none")
        if self.algo == "oco" and self.limit is not None:
            raise ValueError("algo oco: expected no limit, which its stop could not keep")
        self._check_params()
        return self

    def _check_params(self) -> None:
        prices = {"stop_price": 1, "take_profit": 2}
        given = {**self.params, **(prices if self.algo in EXITING else {})}
        if len(given) != len(self.params) + (2 if self.algo in EXITING else 0):
            raise ValueError(f"params of {self.algo}: expected its prices as stop and take_profit")
        try:
            PARAMS[self.algo].model_validate(given)
        except ValidationError as error:
            found = "; ".join(
                f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()
            )
            raise ValueError(f"params of {self.algo}: {found}") from None


def collisions(rules: dict[str, OrderRule]) -> list[tuple[str, str]]:
    """Pairs of rules that some order falls under alike, so that nobody can say which counts."""
    seen: dict[tuple[object, object, str], str] = {}
    found = []
    for name, rule in rules.items():
        for orders in ("entries", "exits") if rule.orders == "all" else (rule.orders,):
            other = seen.setdefault((rule.strategy, rule.instrument, orders), name)
            if other != name:
                found.append((other, name))
    return found
