"""Finds strategy classes: in the package, by entry point, in a folder.

Impure (it imports code): used at start-up only, by composition roots.
"""

import importlib
import importlib.util
import inspect
import pkgutil
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from goalkick.common.core.errors import SettingsError
from goalkick.common.strategy import Strategy
from goalkick.strategy import strategies

ENTRY_POINT_GROUP = "goalkick.strategies"

StrategyType = type[Strategy]  # type: ignore[type-arg]


def discover(folder: Path | None = None) -> Mapping[str, StrategyType]:
    """All strategy classes by name (`EmaCross` is `ema_cross`).

    Args:
        folder: a folder with Python files of the user's own strategies.

    Raises:
        SettingsError: a file cannot be imported, or two strategies share a name.
    """
    found: dict[str, StrategyType] = {}
    for origin, kind in _candidates(folder):
        name = strategy_name(kind)
        if name in found and found[name] is not kind:
            raise SettingsError(
                f"strategy {name}: expected one class of that name, found "
                f"{found[name].__module__} and {origin}; rename one of them"
            )
        found[name] = kind
    return dict(sorted(found.items()))


def strategy_name(kind: StrategyType) -> str:
    """The name that configurations use: the class's name in snake case."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


def _candidates(folder: Path | None) -> Iterator[tuple[str, StrategyType]]:
    for info in pkgutil.iter_modules(strategies.__path__):
        module = importlib.import_module(f"{strategies.__name__}.{info.name}")
        yield from _strategies_in(module, info.name)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        yield point.value, point.load()
    if folder is not None:
        if not folder.is_dir():
            raise SettingsError(
                f"strategy.folder: expected a folder with Python files, found {folder}"
            )
        for path in sorted(folder.glob("*.py")):
            yield from _strategies_in(_load(path), str(path))


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"goalkick_strategy_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise SettingsError(f"{path}: expected a Python file that can be imported")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise SettingsError(
            f"{path}: expected a strategy that can be imported, "
            f"found {type(error).__name__}: {error}"
        ) from error
    return module


def _strategies_in(module: ModuleType, origin: str) -> Iterator[tuple[str, StrategyType]]:
    for _, kind in inspect.getmembers(module, inspect.isclass):
        if issubclass(kind, Strategy) and kind.__module__ == module.__name__:
            yield origin, kind
