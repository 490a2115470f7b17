"""What no file of the project may say: where somebody installs from, one machine's paths, keys."""

import re

import pytest

from tests.architecture.sources import ROOT, project_files

# Written in pieces, so that this file does not say it either.
_DOMAINS = ("pypi|org", "pythonhosted|org", "npmjs|org", "maven|org", "crates|io", "docker|io")
_HOSTS = [domain.replace("|", r"\.") for domain in (*_DOMAINS, "ghcr|io", "quay|io", "golang|org")]
_PLACES = [r"repo1?\.maven" + r"\.", "arti" + "factory", "index" + r"\.docker"]

FORBIDDEN = {
    "a registry's host": re.compile("|".join((*_HOSTS, *_PLACES)), re.IGNORECASE),
    "an index to install from": re.compile("(?<!no-emit-)index" + "-url|find" + "-links"),
    "a path of one machine": re.compile("/" + "work/|/" + "root/"),
    "a private key": re.compile("-----BEGIN" + " [A-Z ]*PRIVATE KEY"),
}


def lines_of_the_project() -> list[tuple[str, str]]:
    """(place, line) of every text that a clone holds."""
    found = []
    for path in project_files():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        name = path.relative_to(ROOT)
        found += [(f"{name}:{number}", line) for number, line in enumerate(lines, 1)]
    return found


@pytest.fixture(scope="module")
def lines() -> list[tuple[str, str]]:
    found = lines_of_the_project()
    assert len(found) > 10_000
    return found


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_names(what: str, lines: list[tuple[str, str]]) -> None:
    guilty = [
        f"{place}: {line.strip()[:80]}" for place, line in lines if FORBIDDEN[what].search(line)
    ]
    assert guilty == []


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("a registry's host", "see https://py" + "pi.org/project/x"),
        ("a registry's host", "FROM docker" + ".io/library/python"),
        ("an index to install from", "pip install --extra-index" + "-url X"),
        ("a path of one machine", "cd /" + "work/main"),
        ("a private key", "-----BEGIN RSA PRIVATE" + " KEY-----"),
    ],
)
def test_the_rule_sees_it(what: str, line: str) -> None:
    assert FORBIDDEN[what].search(line)
