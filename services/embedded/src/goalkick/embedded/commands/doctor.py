"""`goalkick doctor`: what is installed, reachable and configured."""

# ruff: noqa: PLC0415 (see the package's text)

import typer

from goalkick.embedded.commands.grammar import FAILED
from goalkick.embedded.commands.options import Config, DataDir, Json
from goalkick.embedded.console import print_json, print_note, print_table, progress

_MARKS = {"ok": "ok", "missing": "no", "broken": "BROKEN"}


def doctor(config: Config = None, data_dir: DataDir = None, json: Json = False) -> None:
    """Say what is installed, reachable and configured.

    Exit code 1 if something is missing that paper trading needs.
    """
    from goalkick.embedded.configuration import data_directory
    from goalkick.embedded.doctor import examine

    findings = []
    with progress("Looking around", None, "checks") as tell:
        for finding in examine(config, data_directory(data_dir)):
            findings.append(finding)
            tell(len(findings))
    if json:
        print_json(findings)
    else:
        print_table(
            "",
            ("What", "", "Found", "For"),
            ((f.name, _MARKS[f.state], f.detail, f.purpose) for f in findings),
        )
    bad = [finding.name for finding in findings if finding.bad]
    if bad:
        print_note(f"goalkick doctor: paper trading needs: {', '.join(bad)}")
        raise typer.Exit(FAILED)
    if not json:
        print_note("ready to trade on paper: `goalkick run`")
