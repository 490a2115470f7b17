"""The fused service is what its sections say: which parts, which topics, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from goalkick.common.config.sections import SECTIONS
from goalkick.common.config.settings import load
from goalkick.common.core.errors import SettingsError
from goalkick.common.core.fused import FusedCore
from goalkick.common.runtime.wiring import Service, outputs
from goalkick.fused.service import FusedServiceSettings, fused_service

SECTIONS_OF_ALL: dict[str, Any] = {
    "feature": {"features": ["ema_3", "ema_8"]},
    "strategy": {
        "strategies": {"cross": {"strategy": "ema_cross", "params": {"fast": 3, "slow": 8}}}
    },
    "risk": {"fraction": "0.1"},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "goalkick.yaml"


def service(file: Path, **more: Any) -> Service:
    file.write_text(yaml.safe_dump(SECTIONS_OF_ALL | more))
    loaded = load(FusedServiceSettings, file=file, environ={}, other_sections=SECTIONS)
    return fused_service(loaded.value)


def parts(made: Service) -> list[str]:
    core = made.make_core()
    assert isinstance(core, FusedCore)
    return list(core.parts)


def test_its_parts_come_in_the_order_of_the_flow_each_core_a_fresh_one(file: Path) -> None:
    made = service(file)
    assert parts(made) == ["feature", "prediction", "strategy"]
    assert made.make_core() is not made.make_core()
    assert (made.name, made.title, made.account, made.renews) == ("fused", "fused", None, True)


def test_without_forecasts_it_has_no_prediction_and_says_none(file: Path) -> None:
    made = service(file, runtime={"forecasts": False})
    assert parts(made) == ["feature", "strategy"]
    assert set(outputs(made)) == {"goalkick.feature.vector.v1", "goalkick.signal.target.v1"}


@pytest.mark.parametrize("publish", [True, False])
def test_features_and_forecasts_are_said_unless_nobody_wants_them(
    file: Path, publish: bool
) -> None:
    said = set(outputs(service(file, fused={"publish": publish})))
    inner = {"goalkick.feature.vector.v1", "goalkick.prediction.forecast.v1"}
    assert said == {"goalkick.signal.target.v1"} | (inner if publish else set())


@pytest.mark.parametrize(
    ("section", "said", "reason"),
    [
        ("feature", {"features": []}, "feature.features: expected the names"),
        ("feature", {"features": ["emma_3"]}, "emma_3"),
        ("strategy", {"strategies": {"x": {"strategy": "em_cross"}}}, "did you mean ema_cross"),
        ("strategy", {"deployment": "guest"}, "expected none in the fused form"),
        ("fused", {"publsh": True}, "publsh"),
    ],
)
def test_what_its_parts_refuse_it_refuses(
    file: Path, section: str, said: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SettingsError, match=reason):
        service(file, **{section: said})
