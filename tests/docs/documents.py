"""The project's documents, taken apart: code blocks, commands, links, names."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

from tests.architecture.sources import ROOT, project_files

_TITLE = re.compile(r'title="([^"]+)"')
_MARKDOWN = MarkdownIt().enable("table")


class Block(NamedTuple):
    """A fenced block of code.

    Attributes:
        document: the file that it stands in, relative to the root.
        line: where it begins, counted from 1.
        language: first word after the fence.
        title: the file that the reader is to make of it; "" if none.
        text: the code.
    """

    document: str
    line: int
    language: str
    title: str
    text: str

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.document}:{self.line}"


@cache
def documents() -> dict[str, str]:
    """Name -> text of every Markdown file of the project."""
    paths = [path for path in project_files() if path.suffix == ".md"]
    return {str(path.relative_to(ROOT)): path.read_text() for path in paths}


@cache
def blocks() -> tuple[Block, ...]:
    """All code blocks of all documents, in order."""
    return tuple(block for name, text in documents().items() for block in _blocks(name, text))


def _blocks(name: str, text: str) -> Iterator[Block]:
    for token in _MARKDOWN.parse(text):
        if token.type == "fence":
            language, _, rest = token.info.partition(" ")
            title = _TITLE.search(rest)
            line = (token.map or [0])[0] + 1
            yield Block(name, line, language, title[1] if title else "", token.content)


def block(document: str, title: str) -> Block:
    """The one block of a document that is a certain file."""
    (found,) = (one for one in blocks() if (one.document, one.title) == (document, title))
    return found


@cache
def inline_code() -> tuple[tuple[str, str], ...]:
    """(document, text) of everything in backticks."""
    return tuple(
        (name, child.content)
        for name, text in documents().items()
        for token in _MARKDOWN.parse(text)
        for child in token.children or ()
        if child.type == "code_inline"
    )


class CommandLine(NamedTuple):
    """A command that a document tells the reader to type, or mentions.

    Attributes:
        place: where.
        words: as a shell would split it.
        whole: whether it is to be typed as it stands; a mention may leave out what must be given.
    """

    place: str
    words: list[str]
    whole: bool


def command_lines() -> Iterator[CommandLine]:
    """All commands of all documents."""
    for one in blocks():
        if one.language in ("sh", ""):
            for line in one.text.splitlines():
                if re.match(r"(\S*/)?(goalkick|make|python|pip|source)\b", line):
                    # In a block that is no shell's a column of explanations may follow.
                    typed = line if one.language else re.split(r" {2,}", line)[0]
                    yield CommandLine(one.place, shlex.split(typed, comments=True), True)
    for name, text in inline_code():
        if re.match(r"(\S*/)?(goalkick|make|python) ", text):
            yield CommandLine(name, shlex.split(text), False)


def links(name: str) -> Iterator[str]:
    """Targets of the links of a document."""
    for token in _MARKDOWN.parse(documents()[name]):
        for child in token.children or ():
            if child.type == "link_open":
                yield str(child.attrs["href"])


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as forges make them."""
    tokens = _MARKDOWN.parse(path.read_text())
    headings = (text.content for tag, text in pairwise(tokens) if tag.type == "heading_open")
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
