"""A model in a folder, served by ONNX Runtime. Loads data, never code: no pickle anywhere."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort

from goalkick.common.core.errors import InvalidDataError, InvariantError, SettingsError
from goalkick.prediction import manifest as manifests
from goalkick.prediction.manifest import INPUT, MANIFEST_FILE, MODEL_FILE, OUTPUT, Manifest

_DTYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64}

_ERRORS_ONLY = 3
"""ONNX Runtime's log level; its warnings concern machines (no GPU, no affinity), not models."""


class OnnxGraph:
    """The numbers of a model, computed by one thread so that the same values give the same bits."""

    def __init__(self, model: bytes, width: int, where: str) -> None:
        """Takes the bytes of `model.onnx`.

        Args:
            model: an ONNX graph from `INPUT`, (n, width), to `OUTPUT`, (n, 2).
            width: number of features.
            where: the model's name or id, for messages.

        Raises:
            InvalidDataError: the bytes are no ONNX graph, or its input or output is another.
        """
        self._session = _session(model, width, where)
        (taken,) = self._session.get_inputs()
        self._dtype = _DTYPES[taken.type]
        self._width = width
        self._where = where

    def predict(self, values: Sequence[float]) -> float:
        """The probability of "up" for one row of values.

        Raises:
            InvariantError: the number of values is wrong, or the answer is no probability.
        """
        if len(values) != self._width:
            raise InvariantError(
                f"model {self._where}: expected {self._width} values, found {len(values)}"
            )
        (answer,) = self._session.run((OUTPUT,), {INPUT: np.array((values,), dtype=self._dtype)})
        probability = float(answer[0, 1])
        if not 0 <= probability <= 1:
            raise InvariantError(
                f"model {self._where}: expected a probability, found {probability}"
            )
        return probability


class OnnxModel:
    """A model in memory: the port `Model`."""

    def __init__(self, manifest: Manifest, model: bytes) -> None:
        """Takes a sealed manifest and the bytes of `model.onnx`.

        Raises:
            InvalidDataError: they do not belong together, or the bytes are no fitting graph.
        """
        content_hash = manifests.seal(manifest, model).content_hash
        if content_hash != manifest.content_hash:
            raise InvalidDataError(
                f"model {manifest.id}: expected content hash {manifest.content_hash}, found "
                f"{content_hash}: {MODEL_FILE} or {MANIFEST_FILE} was changed after training"
            )
        self.manifest = manifest
        self._graph = OnnxGraph(model, len(manifest.features), manifest.id)

    def predict(self, values: Sequence[float]) -> float:
        """The calibrated probability of a positive return over the horizon, in [0, 1].

        Args:
            values: finite, one for each of `manifest.features`, in that order.

        Raises:
            InvariantError: the number of values is wrong, or the answer is no probability.
        """
        return self._graph.predict(values)


def load(folder: Path) -> OnnxModel:
    """The model that lies in `folder`.

    Raises:
        SettingsError: the folder or one of its two files cannot be read.
        InvalidDataError: a file is broken, or the two do not belong together.
    """
    try:
        text = (folder / MANIFEST_FILE).read_bytes()
        model = (folder / MODEL_FILE).read_bytes()
    except OSError as error:
        raise SettingsError(
            f"model {folder}: expected {MANIFEST_FILE} and {MODEL_FILE}, found {error.strerror}: "
            f"{error.filename}"
        ) from error
    manifest = manifests.decode(text, str(folder / MANIFEST_FILE))
    return OnnxModel(manifest, model)


def _session(model: bytes, width: int, where: str) -> ort.InferenceSession:
    try:
        session = ort.InferenceSession(model, _options(), providers=["CPUExecutionProvider"])
    except Exception as error:  # the library's errors have no common base
        raise InvalidDataError(
            f"model {where}: expected an ONNX graph that ONNX Runtime {ort.__version__} "
            f"can run, found {error}"
        ) from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    found = [(taken.name, taken.type in _DTYPES, taken.shape[1:]) for taken in inputs]
    if found != [(INPUT, True, [width])] or OUTPUT not in [given.name for given in outputs]:
        described = ", ".join(f"{one.name} {one.type} {one.shape}" for one in (*inputs, *outputs))
        raise InvalidDataError(
            f"model {where}: expected {INPUT} of {width} numbers in and {OUTPUT} out, "
            f"found {described}"
        )
    return session


def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # One row at a time needs little memory: an arena would only keep it.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = _ERRORS_ONLY
    return options
