"""The table of algos: what there is, one line each, with typed parameters."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from goalkick.common.config.algos import (
    AlgoParams,
    BracketParams,
    IcebergParams,
    OcoParams,
    PostOnlyParams,
    PovParams,
    TwapParams,
    VwapParams,
)
from goalkick.common.core.errors import InvalidDataError
from goalkick.execution.algos.bracket import Bracket
from goalkick.execution.algos.iceberg import Iceberg
from goalkick.execution.algos.model import Algo, Parent
from goalkick.execution.algos.oco import Oco
from goalkick.execution.algos.post_only import PostOnly
from goalkick.execution.algos.pov import Pov
from goalkick.execution.algos.twap import Twap
from goalkick.execution.algos.vwap import Vwap
from goalkick.execution.algos.working import WorkingAlgo


class Entry(NamedTuple):
    """An algorithm and its parameters."""

    algo: type[WorkingAlgo[Any, Any]]
    params: type[AlgoParams]


ALGOS: Mapping[str, Entry] = {
    entry.algo.name: entry
    for entry in (
        Entry(Twap, TwapParams),
        Entry(Vwap, VwapParams),
        Entry(Pov, PovParams),
        Entry(Iceberg, IcebergParams),
        Entry(PostOnly, PostOnlyParams),
        Entry(Oco, OcoParams),
        Entry(Bracket, BracketParams),
    )
}
"""By name."""


def build_algo(name: str, parent: Parent, params: Mapping[str, object]) -> Algo:
    """An algorithm that is about to work a parent.

    Args:
        name: of the algorithm.
        parent: what is to be worked.
        params: as in a configuration: names and values, durations such as `5m`.

    Raises:
        InvalidDataError: no such algorithm, parameters that it does not take, or a parent that
            cannot be worked so.
    """
    entry = ALGOS.get(name)
    if entry is None:
        raise InvalidDataError(
            f"parent {parent.order}: expected an algo of {', '.join(ALGOS)}; found {name!r}"
        )
    try:
        checked = entry.params.model_validate(params)
    except ValidationError as error:
        found = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or name}: {each['msg']}" for each in error.errors()
        )
        raise InvalidDataError(
            f"parent {parent.order}: expected parameters of {name}, found {found}"
        ) from error
    return entry.algo(parent, checked)
