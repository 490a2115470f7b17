"""What the documents say is so: commands, paths, settings, topics and links exist."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from goalkick.common.config.keys import known_keys
from goalkick.common.events.order import RefusalCode
from goalkick.common.telemetry.names import METRICS
from goalkick.common.topics import (
    AROUND,
    DEAD_LETTERS,
    PARTS,
    SERVICES,
    STATE_OF,
    TOPICS,
    dividing_topic,
    inputs_of,
    outputs_of,
)
from goalkick.embedded.cli import app
from goalkick.embedded.configuration import PlatformSettings
from tests.architecture.sources import ROOT, python_files
from tests.docs.documents import (
    CommandLine,
    anchors,
    blocks,
    command_lines,
    documents,
    inline_code,
    links,
)

TOP = {path.name for path in ROOT.iterdir()}
PLACEHOLDER = re.compile(r"[<>*{}…]|\.\.\.")
TARGETS = set(re.findall(r"^([a-z0-9-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
COMMANDS = list(command_lines())
OURS = [line for line in COMMANDS if Path(line.words[0]).name == "goalkick"]
LEFT_OUT = ("MissingParameter", "BadOptionUsage")
"""Errors of a mention that names a command or an option and leaves its values out."""
VALUES = {"SERVICE": "risk"}
"""What stands for words that stand for any value."""


def topic_name(name: str) -> str:
    """A topic's name as pictures and tables show it: `market.bar`."""
    return ".".join(name.split(".")[1:3])


def check_command(words: list[str]) -> None:
    """Parses a command line as `goalkick` would, and runs nothing."""
    group: Any = typer.main.get_command(app)
    while hasattr(group, "commands"):
        name, *words = words
        names = name.split("|")
        assert [one for one in names if one not in group.commands] == []
        group = group.commands[names[0]]
    group.make_context(group.name, [VALUES.get(word, word) for word in words])


@pytest.mark.parametrize("line", OURS, ids=lambda line: " ".join(line.words))
def test_commands_and_options_exist(line: CommandLine) -> None:
    words = line.words[1:]
    try:
        if words != ["--help"]:
            check_command([word for word in words if word != "--help"])
    except Exception as error:
        if not line.whole and type(error).__name__ in LEFT_OUT:
            return
        pytest.fail(f"{line.place}: {' '.join(line.words)}: {type(error).__name__}: {error}")


def test_commands_that_messages_and_comments_name_exist() -> None:
    """Half of an error is what to do about it."""
    named = {
        (str(path.relative_to(ROOT)), text)
        for path in python_files("libs", "services")
        for text in re.findall(r"`goalkick ([a-z][^`]*)`", path.read_text())
    }
    assert len(named) > 5
    wrong = []
    for place, text in sorted(named):
        words = ["risk" if word.startswith("<") else word for word in text.split()]
        try:
            check_command(words)
        except Exception as error:
            if type(error).__name__ not in LEFT_OUT:
                wrong.append((place, text, str(error)))
    assert wrong == []


def test_a_wrong_option_would_be_seen() -> None:
    with pytest.raises(Exception, match="--barz"):
        check_command(["backtest", "--barz", "x.csv"])


def test_there_are_commands_to_look_at() -> None:
    assert len(OURS) > 20


def test_make_targets_exist() -> None:
    named = {(place, words[1]) for place, words, _ in COMMANDS if words[0] == "make" and words[1:]}
    assert len(named) > 8
    assert {(place, name) for place, name in named if name not in TARGETS} == set()


def test_modules_that_are_started_exist() -> None:
    started = [w[2] for _, w, _ in COMMANDS if w[0].endswith("python") and w[1:2] == ["-m"]]
    modules = {name for name in started if re.fullmatch(r"goalkick\.[a-z]+", name)}
    assert len(modules) >= 5
    for name in modules:
        importlib.import_module(f"{name}.__main__")


def test_paths_exist() -> None:
    missing = []
    for document, text in inline_code():
        first = text.partition("/")[0]
        if first in TOP and not PLACEHOLDER.search(text) and re.fullmatch(r"[\w./-]+", text):
            missing += [] if (ROOT / text).exists() else [(document, text)]
    assert missing == []


def test_the_tree_of_the_readme_is_there() -> None:
    (tree,) = (b.text for b in blocks() if b.document == "README.md" and not b.language)
    named = [line.split()[0] for line in tree.splitlines() if line.strip()]
    assert [name for name in named if not (ROOT / name).is_dir()] == []
    services = {name.split("/")[1] for name in named if name.startswith("services/")}
    assert services == {*SERVICES, *AROUND, "embedded"}


@pytest.mark.parametrize("document", documents())
def test_links_lead_somewhere(document: str) -> None:
    for target in links(document):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = (ROOT / document).parent / name if name else ROOT / document
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path), target


def test_every_document_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        path = waiting.pop().resolve()
        if path in seen or path.suffix != ".md":
            continue
        seen.add(path)
        name = str(path.relative_to(ROOT))
        found = (target.partition("#")[0] for target in links(name) if "://" not in target)
        waiting += [path.parent / target for target in found if target]
    assert {str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md")} <= {
        str(path.relative_to(ROOT)) for path in seen
    }


def test_settings_exist() -> None:
    known = set(known_keys(PlatformSettings))
    sections = "|".join(PlatformSettings.model_fields)
    named = [
        (document, text)
        for document, text in inline_code()
        if re.fullmatch(rf"({sections})\.[a-z_.]+", text) and not text.endswith((".py", ".md"))
    ]
    assert len(named) > 20
    short = {topic_name(topic.name) for topic in TOPICS}
    assert [(d, t) for d, t in named if t not in known | short] == []


def test_variables_name_settings() -> None:
    known = {key.replace(".", "__").upper() for key in known_keys(PlatformSettings)}
    for document, text in documents().items():
        for name in re.findall(r"GOALKICK__([A-Z_]+)", text):
            assert name in known, (document, name)


def test_topics_exist() -> None:
    internal = (DEAD_LETTERS, *STATE_OF.values())
    known = {topic.name for topic in TOPICS} | {topic.name for topic in internal}
    for document, text in documents().items():
        for name in re.findall(r"goalkick\.[a-z_]+\.[a-z_]+\.v\d+", text):
            assert name in known, (document, name)


def test_metrics_exist() -> None:
    known = {metric.name for metric in METRICS}
    for document, text in inline_code():
        if re.fullmatch(r"goalkick_[a-z_]+", text):
            assert text in known, (document, text)


def test_refusal_codes_exist() -> None:
    text = documents()["docs/operations.md"].partition("## What stops trading")[2]
    table = text.partition("## Halting by hand")[0]
    codes = re.findall(r"\| `([a-z_]+)` \|", table)
    assert len(codes) >= 9
    assert [code for code in codes if code not in {code.value for code in RefusalCode}] == []


def test_the_picture_shows_the_table_of_topics() -> None:
    (picture,) = (b.text for b in blocks() if b.document == "README.md" and b.language == "mermaid")
    drawn = {
        (producer, consumer, topic)
        for producer, _, topics, consumer in re.findall(
            r'(\w+)(?:\(\["[^"]+"\]\))? (--|-\.) "([^"]+)" (?:-->|\.->) (\w+)', picture
        )
        for topic in topics.split(", ")
    }
    meant = {
        (topic.producer, consumer, topic_name(topic.name))
        for topic in TOPICS
        for consumer in topic.consumers
    }
    assert drawn == meant
    dashed = re.findall(r'-\. "([^"]+)" \.->', picture)
    assert dashed == [topic_name(t.name) for t in TOPICS if t.feedback]


@pytest.mark.parametrize("service", [*SERVICES, *PARTS])
def test_a_service_says_what_it_hears_and_says(service: str) -> None:
    text = documents()[f"services/{service}/README.md"]
    # Of what ingest may say (trades, quotes, books) it says what its feeds have.
    said = [dividing_topic(service)] if service == "ingest" else outputs_of(service)
    for topic in (*inputs_of(service), *said):
        assert topic.name in text, f"{topic.name} is not in the README of {service}"


@pytest.mark.parametrize("service", [*SERVICES, *PARTS])
def test_a_service_names_its_settings(service: str) -> None:
    """Every key of the section stands in the README, and every key of its tables is one."""
    text = documents()[f"services/{service}/README.md"].partition("## Settings")[2]
    text = text.partition("\n## ")[0]
    assert {name for name in _fields(service) if f"`{name}`" not in text} == set()
    known = set(known_keys(PlatformSettings))
    assert {key for key in _keys_of_tables(text) if f"{service}.{key}" not in known} == set()


def _keys_of_tables(text: str) -> Iterator[str]:
    """The keys in the first column of a table; after `a.b`, `.c` stands for `a.c`."""
    for row in re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE):
        section = ""
        for name in re.findall(r"`([a-z_.]+)`", row):
            section = section if name.startswith(".") else name.rpartition(".")[0]
            yield f"{section}{name}" if name.startswith(".") else name


def _fields(service: str) -> list[str]:
    section: Any = PlatformSettings.model_fields[service].annotation
    return list(section.model_fields)


def test_python_in_documents_compiles_and_imports_what_exists() -> None:
    found = [one for one in blocks() if one.language == "python"]
    assert len(found) >= 4
    for one in found:
        for node in ast.walk(ast.parse(one.text, one.place)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("goalkick."):
                module = importlib.import_module(str(node.module))
                for alias in node.names:
                    assert hasattr(module, alias.name), (one.place, node.module, alias.name)


def test_yaml_in_documents_is_configuration() -> None:
    found = [one for one in blocks() if one.language == "yaml"]
    assert len(found) >= 3
    for one in found:
        PlatformSettings(**yaml.safe_load(one.text))
