"""`goalkick vault setup|render`: policies, roles and keys that the services need in Vault."""

# ruff: noqa: PLC0415 (see the package's text)

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goalkick.embedded.commands.grammar import EPILOG, FAILED, Command
from goalkick.embedded.commands.options import Config, Json
from goalkick.embedded.console import print_json, print_note, print_table, print_text

if TYPE_CHECKING:
    from goalkick.common.adapters.secrets.settings import AuthMethod, VaultSettings

app = typer.Typer(name="vault", help="Prepare Vault: engines, keys, policies, roles.")

Namespace = Annotated[
    str,
    typer.Option("--namespace", metavar="NAME", help="of Kubernetes, in which the services run"),
]


@app.callback()
def _quiet() -> None:
    """What goes wrong is told once, by the command; the log's words would stand among results."""
    from goalkick.common.telemetry import logs

    logs.configure("vault", "error")


@app.command(cls=Command, epilog=EPILOG)
def setup(
    config: Config = None,
    check: Annotated[
        bool, typer.Option("--check", help="change nothing; exit code 1 if anything differs")
    ] = False,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            metavar="NAME...",
            help="how services log in: kubernetes, approle [default: kubernetes]",
        ),
    ] = None,
    namespace: Namespace = "goalkick",
    kubernetes_host: Annotated[
        str | None,
        typer.Option(
            "--kubernetes-host",
            metavar="URL",
            help="the cluster's API as Vault sees it, such as https://kubernetes.default.svc",
        ),
    ] = None,
    kubernetes_ca: Annotated[
        Path | None,
        typer.Option(
            "--kubernetes-ca",
            metavar="FILE",
            help="PEM of the authority of the cluster's API, for a Vault outside of the cluster",
        ),
    ] = None,
    policies: Annotated[
        Path | None,
        typer.Option(
            "--policies", metavar="DIR", help="HCL files to apply instead of the built-in ones"
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Bring Vault to what the services need, as often as you like.

    The settings' section `vault` says where Vault is and how to log in, with the rights of an
    administrator. Only what differs is changed, and nothing is taken away.
    """
    from goalkick.common.adapters.secrets.session import VaultSession
    from goalkick.common.adapters.secrets.setup import Wanted
    from goalkick.common.adapters.secrets.setup import setup as bring

    authority = None if kubernetes_ca is None else kubernetes_ca.read_text()
    wanted = Wanted(_methods(method), namespace, kubernetes_host, authority, _texts(policies))
    session = VaultSession(_settings(config))
    try:
        changes = bring(session, wanted, check=check)
    finally:
        session.close()
    if json:
        print_json([change._asdict() for change in changes])
    elif changes:
        print_table("", ("What", "Name", "Found" if check else "Was"), changes)
    else:
        print_text("nothing differs")
    if not json and changes:
        print_note(f"{len(changes)} {'differ' if check else 'were changed'}")
    if check and changes:
        raise typer.Exit(FAILED)


@app.command(cls=Command, epilog=EPILOG)
def render(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="where policies/ and roles/ are written")
    ],
    namespace: Namespace = "goalkick",
    config: Config = None,
) -> None:
    """Write the policies (HCL) and roles (JSON) as files, for other tools to apply."""
    from goalkick.common.adapters.secrets.policies import files

    made = files(_settings(config), namespace)
    for name, text in made.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    print_text(f"{len(made)} files in {out}")


def _settings(config: Path | None) -> "VaultSettings":
    from goalkick.embedded.vault_access import load_vault

    return load_vault(config)


def _methods(given: list[str] | None) -> "list[AuthMethod]":
    methods: list[AuthMethod] = []
    for name in given or ["kubernetes"]:
        if name not in ("kubernetes", "approle"):
            raise typer.BadParameter(f"expected kubernetes or approle, found {name!r}")
        methods.append("kubernetes" if name == "kubernetes" else "approle")
    return methods


def _texts(folder: Path | None) -> dict[str, str] | None:
    if folder is None:
        return None
    found = {path.stem: path.read_text() for path in sorted(folder.glob("*.hcl"))}
    if not found:
        raise typer.BadParameter(f"expected files *.hcl in {folder}, found none")
    return found
