"""The shape of the house: where things are, how they are called, how large they may be."""

import ast
import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import yaml
from pydantic import BaseModel

from goalkick.common.config.types import Settings
from goalkick.common.strategy import Params
from goalkick.common.topics import AROUND, PARTS, SERVICES
from tests.architecture.sources import (
    PROJECT,
    ROOT,
    contract,
    layers,
    modules,
    python_files,
    tree_of,
)

Model = TypeVar("Model", bound=BaseModel)

VAGUE = re.compile(r"^(utils?|helpers?|misc|miscellaneous|managers?|common_\w+|stuff|tools?)$")
LONGEST = 500
LONGEST_TEST = 650
"""A table of cases is longer than the code that it is about, and is split less well."""

FOLDERS = {path.name for path in (ROOT / "services").iterdir() if (path / "src").is_dir()}
SOURCES = [str(path.relative_to(ROOT)) for path in python_files("libs", "services")]
EVERYTHING = [*SOURCES, *(str(p.relative_to(ROOT)) for p in python_files("tests", "protos"))]


def test_services_are_the_same_everywhere() -> None:
    top, fused, middle, bottom = layers()
    assert top == {"embedded"}
    assert fused == set(PARTS)
    assert fused | middle == {*SERVICES, *AROUND}
    assert bottom == {"common"}
    assert {*SERVICES, *AROUND, "embedded"} == FOLDERS
    roots = PROJECT["tool"]["importlinter"]["root_packages"]
    assert set(roots) == {f"goalkick.{name}" for name in (*FOLDERS, "common")}
    paths = set(PROJECT["tool"]["mypy"]["mypy_path"].split(":"))
    assert paths == {"libs/common/src", *(f"services/{name}/src" for name in FOLDERS)}


@pytest.mark.parametrize("name", sorted(FOLDERS))
def test_a_service_has_its_parts(name: str) -> None:
    folder = ROOT / "services" / name
    about = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert about["name"] == f"goalkick-{name}"
    assert (folder / "README.md").is_file()
    assert not (folder / "src" / "goalkick" / "__init__.py").exists()
    if name in (*SERVICES, *AROUND):
        for part in ("__main__", "service", "settings"):
            assert f"goalkick.{name}.{part}" in modules()


def test_common_adapters_stay_out_of_services_cores() -> None:
    assert "goalkick.common.adapters" in contract("Cores are pure")["forbidden_modules"]


def test_a_file_says_first_what_it_is() -> None:
    assert [name for name in EVERYTHING if not ast.get_docstring(tree_of(ROOT / name))] == []


def test_a_name_says_what_is_inside() -> None:
    vague = [n for n in EVERYTHING if any(map(VAGUE.match, Path(n).with_suffix("").parts))]
    assert vague == []


def test_a_file_is_not_too_long() -> None:
    long = {name: len((ROOT / name).read_text().splitlines()) for name in EVERYTHING}
    assert {n: lines for n, lines in long.items() if lines > LONGEST_TEST} == {}
    assert {n: long[n] for n in SOURCES if long[n] > LONGEST} == {}


def test_vague_names_are_seen() -> None:
    assert VAGUE.match("utils")
    assert VAGUE.match("helper")
    assert VAGUE.match("manager")
    assert not VAGUE.match("settings")


def _models(base: type[Model]) -> Iterator[type[Model]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _models(kind)


def _described(base: type[BaseModel]) -> list[str]:
    """Fields without a word about them; a section is described by its class."""
    silent = []
    for kind in _models(base):
        if not kind.__module__.startswith("goalkick."):
            continue
        for name, field in kind.model_fields.items():
            section = field.annotation
            spoken = field.description or (
                isinstance(section, type) and issubclass(section, Settings) and section.__doc__
            )
            if not spoken:
                silent.append(f"{kind.__module__}.{kind.__name__}.{name}")
    return silent


def test_every_setting_and_every_parameter_says_what_it_is() -> None:
    for name in modules():
        if name.endswith((".settings", ".service")) or ".strategies." in name:
            importlib.import_module(name)
    assert len(list(_models(Settings))) > 10
    assert len(list(_models(Params))) >= 4
    assert _described(Settings) == []
    assert _described(Params) == []


def test_hooks_download_nothing() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert {repo["repo"] for repo in hooks["repos"]} == {"local"}
    assert {hook["language"] for repo in hooks["repos"] for hook in repo["hooks"]} == {"system"}


def test_requirements_are_locked_with_hashes_and_name_no_place() -> None:
    for name in ("run", "dev"):
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        pinned = re.findall(r"^[\w.\[\],-]+==\S+.*$", text, re.MULTILINE)
        assert len(pinned) > 20
        assert all(line.endswith("\\") for line in pinned), "a pin without a hash"
        assert "://" not in text
