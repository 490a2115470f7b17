"""One file for all processes: each passes over the sections of the others."""

from pathlib import Path

import pytest
import yaml

from goalkick.common.config.sections import SECTIONS
from goalkick.common.config.settings import load
from goalkick.common.config.types import Settings
from goalkick.common.core.errors import SettingsError
from goalkick.embedded.configuration import PlatformSettings
from goalkick.execution.service import ExecutionServiceSettings
from goalkick.limiter.service import LimiterServiceSettings
from goalkick.venue.service import VenueProcessSettings

PROCESSES = [ExecutionServiceSettings, LimiterServiceSettings, VenueProcessSettings]


def test_the_sections_are_those_of_the_whole_platform() -> None:
    assert set(PlatformSettings.model_fields) == SECTIONS


@pytest.mark.parametrize("model", PROCESSES, ids=lambda model: model.__name__)
def test_a_process_takes_a_file_with_all_sections(model: type[Settings], tmp_path: Path) -> None:
    file = tmp_path / "goalkick.yaml"
    file.write_text(yaml.safe_dump({name: {} for name in SECTIONS}))
    assert load(model, file=file, environ={}, other_sections=SECTIONS).value == model()


@pytest.mark.parametrize("model", PROCESSES, ids=lambda model: model.__name__)
def test_a_section_of_nobody_is_refused(model: type[Settings], tmp_path: Path) -> None:
    file = tmp_path / "goalkick.yaml"
    file.write_text("budgte: {}\n")
    with pytest.raises(SettingsError, match="budgte"):
        load(model, file=file, environ={}, other_sections=SECTIONS)
