"""Trains a model: examples, split, fit, export, proof on the untouched part, verdict."""

from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
from pydantic import Field, model_validator
from sklearn.pipeline import Pipeline

from goalkick.common.config.types import Settings
from goalkick.common.core.errors import InvalidDataError, InvariantError
from goalkick.common.values.time import format_duration
from goalkick.prediction import manifest as manifests
from goalkick.prediction.manifest import (
    MANIFEST_FILE,
    MODEL_FILE,
    NAME_PATTERN,
    Manifest,
    Metrics,
    Part,
)
from goalkick.prediction.models.onnx import OnnxGraph
from goalkick.prediction.training.dataset import Dataset, Examples, Floats, Split, split, stack
from goalkick.prediction.training.estimators import Kind, fit
from goalkick.prediction.training.evaluate import evaluate, is_better
from goalkick.prediction.training.export import to_bytes

Progress = Callable[[str, float], None]
"""Told what is being done, and the share of the whole work that lies behind, in [0, 1]."""

PARITY = 1e-5
"""Greatest allowed difference of a served probability from scikit-learn's."""

_FEWEST = 100
"""Examples in each part; with less, not even a base rate is known."""

_LIBRARIES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx")


class TrainSpec(Settings):
    """What to train."""

    model: Kind = Field("logistic", description="logistic regression, or boosted trees")
    horizon: int = Field(12, ge=1, description="how far ahead to look, in bars")
    name: str = Field(
        "",
        pattern=rf"{NAME_PATTERN}|^$",
        description="first part of the model's id; empty: made of model, bar length and horizon",
    )
    train: float = Field(0.6, gt=0, lt=1, description="share of the examples to fit on, the oldest")
    calibrate: float = Field(
        0.2, gt=0, lt=1, description="share of the examples after them, to calibrate on"
    )

    @model_validator(mode="after")
    def _leaves_something(self) -> "TrainSpec":
        if self.train + self.calibrate >= 1:
            raise ValueError(
                "expected train + calibrate below 1, so that something is left to test on, found "
                f"{self.train} + {self.calibrate}"
            )
        return self


class TrainReport(msgspec.Struct, frozen=True, kw_only=True):
    """A trained model and what is to be said of it.

    Attributes:
        manifest: sealed.
        model: bytes of `model.onnx`.
        not_ready: bars left out because a feature was not ready.
        no_outcome: bars left out because the bar one horizon later is missing.
        purged: examples left out between the parts.
    """

    manifest: Manifest
    model: bytes
    not_ready: int
    no_outcome: int
    purged: int

    @property
    def verdict(self) -> str:
        """Whether the model is worth anything, in plain words."""
        return self.manifest.verdict

    def save(self, folder: Path) -> None:
        """Writes `model.onnx` and `manifest.json`, over what is there.

        Raises:
            OSError: the folder cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MODEL_FILE).write_bytes(self.model)
        (folder / MANIFEST_FILE).write_bytes(manifests.encode(self.manifest))


def train_model(
    datasets: Sequence[Dataset], spec: TrainSpec, progress: Progress = lambda _stage, _share: None
) -> TrainReport:
    """Trains one model on all instruments together. Same data, same bytes.

    Args:
        datasets: one for each instrument; same bar length, features and definition.
        spec: what to train.
        progress: is told how far it is.

    Raises:
        InvalidDataError: the data do not go together, are too few, or only rise or only fall; or
            the fit does not settle.
        InvariantError: the served model does not say what the fitted one says.
    """
    progress("labelling bars", 0.0)
    stacked = stack(datasets, spec.horizon)
    examples = _as_served(stacked, spec.model)
    bars = datasets[0]
    parts = split(examples, spec.horizon * bars.interval_ns, spec.train, spec.calibrate)
    _check_parts(parts)
    progress(f"fitting {spec.model} on {len(parts.train.time_ns)} examples", 0.1)
    pipeline = fit(spec.model, parts.train, parts.calibrate)
    progress("exporting to ONNX", 0.7)
    model = to_bytes(pipeline, spec.model, len(bars.names))
    progress(f"testing on {len(parts.test.time_ns)} examples", 0.75)
    name = spec.name or f"{spec.model}-{format_duration(bars.interval_ns)}-{spec.horizon}"
    probabilities = _probabilities(OnnxGraph(model, len(bars.names), name), pipeline, parts.test)
    rates = (float(parts.train.up.mean()), float(parts.calibrate.up.mean()))
    metrics = evaluate(probabilities, parts.test.up, parts.test.time_ns, rates, spec.horizon)
    manifest = _manifest(name, datasets, spec, parts, metrics)
    progress("done", 1.0)
    return TrainReport(
        manifest=manifests.seal(manifest, model),
        model=model,
        not_ready=stacked.not_ready,
        no_outcome=stacked.no_outcome,
        purged=parts.purged,
    )


def _as_served(examples: Examples, kind: Kind) -> Examples:
    """The features as the served graph will see them: its trees take float32."""
    if kind == "logistic":
        return examples
    rounded = examples.features.astype(np.float32).astype(np.float64)
    return msgspec.structs.replace(examples, features=rounded)


def _check_parts(parts: Split) -> None:
    for name in ("train", "calibrate", "test"):
        up = getattr(parts, name).up
        if len(up) < _FEWEST or not 0 < int(up.sum()) < len(up):
            raise InvalidDataError(
                f"training: expected {_FEWEST} examples or more to {name} on, some that rose and "
                f"some that did not, found {len(up)} of which {int(up.sum())} rose"
            )


def _probabilities(graph: OnnxGraph, pipeline: Pipeline, test: Examples) -> Floats:
    """What will be served, row by row as it will be served, proven to be what was fitted."""
    served = np.array([graph.predict(row) for row in test.features.tolist()])
    fitted = pipeline.predict_proba(test.features)[:, 1]
    worst = float(np.abs(served - fitted).max())
    if not worst <= PARITY:
        raise InvariantError(
            f"export: expected probabilities within {PARITY} of scikit-learn's, found a "
            f"difference of {worst:.2g}"
        )
    return served


def _manifest(
    name: str, datasets: Sequence[Dataset], spec: TrainSpec, parts: Split, metrics: Metrics
) -> Manifest:
    bars, train = datasets[0], parts.train
    return Manifest(
        name=name,
        kind=spec.model,
        features=bars.names,
        served_features=bars.served_features or bars.names,
        definition_hash=bars.definition_hash,
        interval_ns=bars.interval_ns,
        horizon_bars=spec.horizon,
        horizon_ns=spec.horizon * bars.interval_ns,
        instruments=tuple(sorted(data.instrument for data in datasets)),
        train=_part(parts.train),
        calibrate=_part(parts.calibrate),
        test=_part(parts.test),
        mean_up=float(train.returns[train.up].mean()),
        mean_down=float(train.returns[~train.up].mean()),
        metrics=metrics,
        better_than_base_rate=is_better(metrics),
        libraries={name: version(name) for name in _LIBRARIES},
    )


def _part(examples: Examples) -> Part:
    time_ns = examples.time_ns
    return Part(from_ns=int(time_ns[0]), to_ns=int(time_ns[-1]), rows=len(time_ns))
