"""`goalkick tell`: what a wrong command line is told, and as whom the broker is reached."""

from pathlib import Path

import pytest

from goalkick.embedded.cli import app

NOBODY = "{runtime: {kafka: {bootstrap_servers: '127.0.0.1:1'}}}\n"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as end:
        app(["tell", *words])
    return int(str(end.value.code or 0)), capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("hault",), "expected one of halt, resume"),
        (("add",), "add: expected the name of a deployment, found '*'"),
        (("remove", "--scope", "*"), "remove: expected the name of a deployment"),
    ],
)
def test_a_wrong_command_line_is_told(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], complaint: str
) -> None:
    code, told = run(capsys, *words)
    assert code == 2
    assert complaint in told


def test_a_broker_that_does_not_answer_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "goalkick.yaml"
    file.write_text(NOBODY)
    code, told = run(capsys, "halt", "--config", str(file))
    assert code == 1
    assert "expected a broker at 127.0.0.1:1" in told
    assert len(told.splitlines()) == 1


def test_the_password_at_the_broker_is_looked_up(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("open sesame")
    (tmp_path / "password").chmod(0o600)
    file = tmp_path / "goalkick.yaml"
    file.write_text(
        "{runtime: {kafka: {bootstrap_servers: '127.0.0.1:1', security_protocol: sasl_ssl, "
        f"username: goalkick-operator, password: 'file:{tmp_path}/password'}}}}}}\n"
    )
    code, told = run(capsys, "halt", "--config", str(file))
    assert code == 1
    assert "expected a broker at 127.0.0.1:1" in told, "nothing was missing before that"
