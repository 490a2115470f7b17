"""The one configuration of everything: where it comes from, and where state goes."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import Field

from goalkick.common.adapters.budget.settings import BudgetSettings
from goalkick.common.adapters.secrets.settings import SecretsSettings, VaultSettings
from goalkick.common.adapters.secrets.stores import decrypting
from goalkick.common.config.sections import SECTIONS
from goalkick.common.config.settings import Loaded, load
from goalkick.common.config.types import Settings
from goalkick.common.ports.model import Model
from goalkick.common.runtime.settings import RuntimeSettings
from goalkick.embedded.settings import GoalkickSettings
from goalkick.fused.settings import FusedSettings
from goalkick.ingest.settings import IngestSettings
from goalkick.limiter.settings import LimiterSettings
from goalkick.venue.settings import VenueSettings


class PlatformSettings(GoalkickSettings):
    """The whole file: the pipeline's sections, the market's, and those of other programs."""

    ingest: IngestSettings = Field(default_factory=IngestSettings)
    runtime: RuntimeSettings = Field(default_factory=RuntimeSettings)
    fused: FusedSettings = Field(default_factory=FusedSettings)
    venue: VenueSettings = Field(default_factory=VenueSettings)
    limiter: LimiterSettings = Field(default_factory=LimiterSettings)
    budget: BudgetSettings = Field(default_factory=BudgetSettings)
    secrets: SecretsSettings = Field(default_factory=SecretsSettings)
    vault: VaultSettings = Field(default_factory=VaultSettings)


def load_settings(
    config: Path | None,
    *,
    environ: Mapping[str, str] = os.environ,
    overrides: Mapping[str, Any] = MappingProxyType({}),
) -> Loaded[PlatformSettings]:
    """The settings of all services, from a file, variables and options.

    Args:
        config: a YAML file, or None.
        environ: variables; those that begin with `GOALKICK__` are settings.
        overrides: dotted key -> value.

    Raises:
        SettingsError: a key is not known, or a value is wrong.
        TransientError: a value is encrypted, and Vault cannot be asked now.
    """
    return load(
        PlatformSettings,
        file=config,
        environ=environ,
        overrides=overrides,
        decrypt=decrypting(),
    )


class _Sections(Settings):
    """What says where secrets are."""

    secrets: SecretsSettings = Field(default_factory=SecretsSettings)
    vault: VaultSettings = Field(default_factory=VaultSettings)


def load_sections(
    config: Path | None, environ: Mapping[str, str] = os.environ
) -> tuple[SecretsSettings, VaultSettings]:
    """What a file and variables say about secrets and Vault, whatever else they say.

    Raises:
        SettingsError: a value of these sections is wrong.
    """
    loaded = load(_Sections, file=config, environ=environ, other_sections=SECTIONS).value
    return loaded.secrets, loaded.vault


def load_models(settings: GoalkickSettings) -> list[Model]:
    """The models that `settings.prediction.models` names, in memory.

    Raises:
        SettingsError: a folder or a file in it cannot be read.
        InvalidDataError: a file is broken.
    """
    if not settings.prediction.models:
        return []
    # ONNX Runtime takes a while to import, and most runs use no model.
    from goalkick.prediction.models.onnx import load as load_model  # noqa: PLC0415

    return [load_model(folder) for folder in settings.prediction.models]


def data_directory(named: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """Where the state is kept: as named, else GOALKICK_DATA, else the user's data folder.

    The user's data folder is that of the XDG base directory specification.
    """
    if named is not None:
        return named
    if environ.get("GOALKICK_DATA"):
        return Path(environ["GOALKICK_DATA"])
    home = environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "goalkick"
