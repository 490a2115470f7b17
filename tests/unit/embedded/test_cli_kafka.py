"""`goalkick kafka`: the access lists in every form, and what a wrong command line is told."""

import json
from pathlib import Path

import pytest
import yaml

from goalkick.common.adapters.log.access import access_table
from goalkick.common.adapters.log.grants import all_grants, command_lines, strimzi_files
from goalkick.embedded.cli import app


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        app(["kafka", *words])
    said = capsys.readouterr()
    return int(str(end.value.code or 0)), said.out, said.err


def test_json_has_every_entry(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "acls", "--json", "--deployment", "guest", "--installation", "lab")
    found = [(row["user"], row["thing"], row["operation"]) for row in json.loads(out)]
    grants = all_grants(access_table(["guest"]), "lab")
    assert code == 0
    assert found == [
        (g.user, f"{g.resource} {g.name}{'*' if g.prefixed else ''}", g.operation) for g in grants
    ]


def test_commands_are_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "acls", "--form", "commands")
    assert out.splitlines() == command_lines(all_grants(access_table()))


def test_users_for_strimzi_are_one_stream(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "acls", "--form", "strimzi", "--cluster", "other")
    users = list(yaml.safe_load_all(out))
    assert len(users) == len(strimzi_files(access_table(), cluster="other"))
    assert {user["metadata"]["labels"]["strimzi.io/cluster"] for user in users} == {"other"}


def test_files_for_strimzi_are_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, _ = run(capsys, "render", "--out", str(tmp_path), "--deployment", "guest")
    made = {str(p.relative_to(tmp_path)): p.read_text() for p in tmp_path.rglob("*.yaml")}
    assert code == 0
    assert made == strimzi_files(access_table(["guest"]), cluster="kafka")
    assert "producerByteRate: 1048576" in made["users/goalkick-strategy-guest.yaml"]


def test_fused_the_lists_and_users_are_those_of_that_form(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _, out, _ = run(capsys, "acls", "--fused", "--form", "commands")
    assert out.splitlines() == command_lines(all_grants(access_table(fused=True)))
    run(capsys, "render", "--fused", "--out", str(tmp_path))
    users = {path.stem for path in (tmp_path / "users").iterdir()}
    assert "goalkick-fused" in users
    assert not users & {"goalkick-feature", "goalkick-prediction", "goalkick-strategy"}


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("acls", "--prune"), 2, "--prune: expected it with --apply, found it alone"),
        (("acls", "--deployment", "A B"), 1, "deployment: expected at most 40 small letters"),
    ],
)
def test_a_wrong_command_line_is_told(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, complaint: str
) -> None:
    found, _, err = run(capsys, *words)
    assert found == code
    assert complaint in err
