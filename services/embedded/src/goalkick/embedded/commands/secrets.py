"""`goalkick secrets encrypt|rewrap|rotate|check`: encrypted settings, and whether all are there."""

# ruff: noqa: PLC0415 (see the package's text)

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goalkick.embedded.commands.grammar import EPILOG, FAILED, Command
from goalkick.embedded.commands.options import Config, Json
from goalkick.embedded.console import print_json, print_note, print_table, print_text

if TYPE_CHECKING:
    from goalkick.common.adapters.secrets.vault import VaultSecrets

app = typer.Typer(
    name="secrets", help="Encrypt settings, renew their keys, see whether all secrets are there."
)

Service = Annotated[
    str,
    typer.Option(
        "--service",
        metavar="NAME",
        help="the service that alone may decrypt it [default: every service may]",
    ),
]
NeededConfig = Annotated[
    Path, typer.Option("--config", metavar="FILE", help="the YAML file to look through")
]


@app.callback()
def _quiet() -> None:
    """What goes wrong is told once, by the command; the log's words would stand among results."""
    from goalkick.common.telemetry import logs

    logs.configure("secrets", "error")


@app.command(cls=Command, epilog=EPILOG)
def encrypt(config: Config = None, service: Service = "", json: Json = False) -> None:
    """Encrypt a value from standard input, for the configuration file.

    Write it there in place of the value: `key: vault:v1:...`. A final line end is no part of it.
    """
    if sys.stdin.isatty():
        print_note("type the value, then Ctrl-D on a new line")
    value = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if not value:
        raise typer.BadParameter("expected a value on standard input, found none")
    with _vault(config) as vault:
        ciphertext = vault.transit.of(_key(config, service)).encrypt(value)
    if json:
        print_json({"ciphertext": ciphertext})
    else:
        print_text(ciphertext)


@app.command(cls=Command, epilog=EPILOG)
def rewrap(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="YAML files to renew")],
    config: Config = None,
    json: Json = False,
) -> None:
    """Bring all encrypted values in files to the newest version of their keys.

    The values themselves do not leave Vault. Files are replaced at once, with all else in them.
    """
    from goalkick.embedded import vault_access

    done: dict[str, int] = {}
    with _vault(config) as vault:
        for file in files:
            text, changed = vault_access.rewrap(file.read_text(), vault)
            if changed:
                _replace(file, text)
            done[str(file)] = changed
    if json:
        print_json(done)
    else:
        for name, changed in done.items():
            print_text(f"{name}: {changed} values renewed")


@app.command(cls=Command, epilog=EPILOG)
def rotate(config: Config = None, service: Service = "", json: Json = False) -> None:
    """Make a new version of the key of encrypted settings; old versions go on decrypting."""
    key = _key(config, service)
    with _vault(config) as vault:
        version = vault.transit.of(key).rotate()
    if json:
        print_json({"key": key, "version": version})
    else:
        print_text(f"{key} has version {version} now; `goalkick secrets rewrap` renews values")


@app.command(cls=Command, epilog=EPILOG)
def check(config: NeededConfig, json: Json = False) -> None:
    """See whether every secret can be had and every encrypted value be decrypted.

    Nothing that is secret is printed. Exit code 1 if anything is wrong.
    """
    from goalkick.embedded import vault_access

    found = vault_access.check(config)
    if json:
        print_json([one._asdict() for one in found])
    elif found:
        print_table("", ("Key", "Secret", "Wrong"), found)
    else:
        print_text("no secrets")
    if any(one.wrong for one in found):
        raise typer.Exit(FAILED)


@contextlib.contextmanager
def _vault(config: Path | None) -> "Iterator[VaultSecrets]":
    from goalkick.common.adapters.secrets.vault import VaultSecrets
    from goalkick.embedded.vault_access import load_vault

    vault = VaultSecrets(load_vault(config))
    try:
        yield vault
    finally:
        vault.close()


def _key(config: Path | None, service: str) -> str:
    from goalkick.common.adapters.secrets.transit import config_keys
    from goalkick.common.topics import AROUND, SERVICES
    from goalkick.embedded.vault_access import load_vault

    if service and service not in (*SERVICES, *AROUND):
        raise typer.BadParameter(
            f"expected a service ({', '.join((*SERVICES, *AROUND))}), found {service!r}"
        )
    return config_keys(load_vault(config).transit_key, service)[0]


def _replace(file: Path, text: str) -> None:
    """Writes a file whole or not at all, with the rights that it had."""
    part = file.with_name(f".{file.name}.part")
    part.touch(mode=0o600)
    part.write_text(text)
    part.chmod(file.stat().st_mode)
    part.replace(file)
