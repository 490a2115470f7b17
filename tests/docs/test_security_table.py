"""The page about security says who may do what as the access lists do."""

import re

import pytest

from goalkick.common.adapters.log.access import access_table
from goalkick.common.adapters.log.grants import markdown_table
from goalkick.common.runtime.settings import KafkaSettings
from tests.architecture.sources import ROOT

PAGE = (ROOT / "docs/security.md").read_text()


def test_the_table_is_that_of_the_access_lists() -> None:
    """`goalkick kafka acls --form markdown` prints it."""
    section = PAGE.partition("## Who may do what on Kafka")[2].partition("\n## ")[0]
    rows = "".join(f"{line}\n" for line in section.splitlines() if line.startswith("|"))
    assert rows == markdown_table(access_table())


def test_every_threat_names_a_test_that_is_there() -> None:
    section = PAGE.partition("## What is guarded against")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 7
    for row in rows:
        tested = row.rstrip(" |").rpartition("|")[2]
        assert "the same" in tested or (ROOT / tested.strip(" `")).is_file(), row


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in KafkaSettings.model_fields
        if re.search("_file|user|pass|secu|inst.*n$", name)
    ],
)
def test_every_setting_about_security_is_explained(name: str) -> None:
    assert f"`{name}`" in PAGE
