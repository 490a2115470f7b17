"""Recorded sessions of wire messages, read for tests: messages, answers and when they arrived."""

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Event
from goalkick.ingest.books import RefusedMessageError
from goalkick.ingest.wire.parser import WireInstrument, WireParser, instruments_of

_RECEIVED = re.compile(r"^([0-9.]+): ")
_ANSWERED = re.compile(r"^(https\S+) -> ([0-9.]+): ")


class Message(NamedTuple):
    """One line of a recording: from the stream, or the answer to a request."""

    received_ns: int
    body: Any
    url: str = ""


def lines_of(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        yield from lines


def cryptofeed(path: Path) -> Iterator[Message]:
    """What was received in a cryptofeed recording."""
    for line in lines_of(path):
        if found := _RECEIVED.match(line):
            yield Message(_ns(found[1]), json.loads(line[found.end() :]))
        elif found := _ANSWERED.match(line):
            yield Message(_ns(found[2]), json.loads(line[found.end() :]), found[1])


def hftbacktest(path: Path) -> Iterator[Message]:
    """What was received in a collector's log; an answer has no stream's name."""
    for line in lines_of(path):
        received, _, text = line.partition(" ")
        body = json.loads(text)
        yield Message(int(received), body, "" if "stream" in body else "depth")


def instruments_in(venue: str, path: Path) -> list[WireInstrument]:
    """All instruments of the lists in a cryptofeed recording."""
    return [entry for answer in cryptofeed(path) for entry in instruments_of(venue, answer.body)]


class Taken(NamedTuple):
    """What a parser made of messages."""

    events: list[Event]
    kinds: Counter[str]
    refused: list[str]


def take(parser: WireParser, messages: Iterator[Message]) -> Taken:
    """Runs stream messages through a parser."""
    events: list[Event] = []
    refused: list[str] = []
    for message in messages:
        try:
            events += parser.parse(message.body, message.received_ns)
        except InvalidDataError as error:
            refused.append(str(error))
            if isinstance(error, RefusedMessageError):
                events += error.events
    return Taken(events, Counter(type(event).__name__ for event in events), refused)


def _ns(seconds: str) -> int:
    return int(Decimal(seconds) * 10**9)
