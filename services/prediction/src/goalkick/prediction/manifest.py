"""What stands beside a model: what it was made from, how good it is, and a seal over all of it.

A model is a folder with two files, `model.onnx` and `manifest.json`. Both are data; nothing in
them is run as code.
"""

import hashlib
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.ids import ModelId

MODEL_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"

INPUT = "features"
"""Name of the graph's input: (n, len(features)), float32 or float64."""

OUTPUT = "probabilities"
"""Name of the graph's output: (n, 2), probabilities of "not up" and of "up"."""

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"

_ID_DIGITS = 16
"""Of the content hash in an id: 64 bits, enough that no two models of anybody's share them."""

_Positive = Annotated[int, Meta(gt=0)]
_Share = Annotated[float, Meta(ge=0, le=1)]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A span of the data.

    Attributes:
        from_ns: close of its first bar, UTC.
        to_ns: close of its last bar, UTC; outcomes reach one horizon further.
        rows: how many examples it holds, all instruments together.
    """

    from_ns: int
    to_ns: int
    rows: _Positive


class Metrics(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the model did where it had never looked, beside always saying the base rate.

    Attributes:
        base_rate: the share of rises that a forecaster without features would have said: that of
            the training or of the calibration part, whichever does better on the test part.
        log_loss, base_log_loss: mean -ln(probability given to what happened); less is better.
        brier, base_brier: mean squared error of the probability; less is better.
        accuracy, base_accuracy: share of right guesses at the threshold of one half.
        auc: area under the ROC curve; 0.5 is guessing.
        p_value: how often a model no better than the base rate would look this good.
    """

    base_rate: _Share
    log_loss: float
    base_log_loss: float
    brier: float
    base_brier: float
    accuracy: _Share
    base_accuracy: _Share
    auc: _Share
    p_value: _Share


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about a model but its numbers.

    Attributes:
        format: version of this layout.
        name: chosen by whoever trained it.
        content_hash: SHA-256, hexadecimal, over `model.onnx` and the rest of this manifest.
        kind: what was fitted.
        calibration: how scores became probabilities: `sigmoid` is Platt's method (1999).
        features: what it looks at, in the order of its input.
        served_features: all features of the set that `definition_hash` stands for.
        definition_hash: of the features that it was trained on; it takes no other.
        interval_ns: length of the bars.
        horizon_bars: how far ahead it looks, in bars.
        horizon_ns: the same in nanoseconds.
        instruments: what it was trained on; it may be asked about others.
        train, calibrate, test: the spans of data, in order of time, one horizon apart.
        mean_up: mean simple return over the horizon in `train`, where it was positive.
        mean_down: the same where it was not.
        metrics: on `test`.
        better_than_base_rate: the verdict.
        libraries: what it was made with: distribution -> version.
    """

    format: Literal[1] = 1
    name: Annotated[str, Meta(pattern=NAME_PATTERN)]
    content_hash: str = ""
    kind: Literal["logistic", "boosting"]
    calibration: Literal["sigmoid"] = "sigmoid"
    features: Annotated[tuple[str, ...], Meta(min_length=1)]
    served_features: tuple[str, ...]
    definition_hash: Annotated[str, Meta(min_length=1)]
    interval_ns: _Positive
    horizon_bars: _Positive
    horizon_ns: _Positive
    instruments: tuple[str, ...]
    train: Part
    calibrate: Part
    test: Part
    mean_up: float
    mean_down: float
    metrics: Metrics
    better_than_base_rate: bool
    libraries: dict[str, str]

    @property
    def id(self) -> ModelId:
        """Name and content hash: another content is another id."""
        return ModelId(f"{self.name}-{self.content_hash[:_ID_DIGITS]}")

    @property
    def verdict(self) -> str:
        """Whether the model is worth anything, in plain words."""
        found = self.metrics
        figures = (
            f"log loss {found.log_loss:.5f} against {found.base_log_loss:.5f}, "
            f"p = {found.p_value:.2g} on {self.test.rows} examples"
        )
        if self.better_than_base_rate:
            return f"better than the base rate: {figures}"
        return f"no better than the base rate: {figures}"


def seal(manifest: Manifest, model: bytes) -> Manifest:
    """The manifest with the hash that binds it to the bytes of `model.onnx`."""
    unsealed = msgspec.structs.replace(manifest, content_hash="")
    digest = hashlib.sha256(hashlib.sha256(model).digest())
    digest.update(msgspec.json.encode(unsealed))
    return msgspec.structs.replace(unsealed, content_hash=digest.hexdigest())


def encode(manifest: Manifest) -> bytes:
    """The manifest as JSON for people and machines; equal manifests, equal bytes."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def decode(data: bytes, where: str) -> Manifest:
    """The manifest that `encode` was given.

    Args:
        data: JSON.
        where: the file, for the message.

    Raises:
        InvalidDataError: it is no manifest of this version.
    """
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.MsgspecError as error:
        raise InvalidDataError(f"{where}: expected a model's manifest, found {error}") from error
    if not set(manifest.features) <= set(manifest.served_features):
        raise InvalidDataError(
            f"{where}: expected features out of {', '.join(manifest.served_features)}, found "
            f"{', '.join(manifest.features)}"
        )
    return manifest
