"""From a fitted scikit-learn pipeline to the bytes of an ONNX graph."""

import copy
from typing import Any

import numpy as np
import numpy.typing as npt
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from skl2onnx.operator_converters.random_forest import convert_sklearn_random_forest_classifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline

from goalkick.prediction.manifest import INPUT
from goalkick.prediction.training.estimators import Kind

_OPSETS = {"": 18, "ai.onnx.ml": 3}
"""Old enough for every ONNX Runtime since 2023."""


def to_bytes(pipeline: Pipeline, kind: Kind, width: int) -> bytes:
    """The graph of a pipeline that `estimators.fit` made; equal pipelines, equal bytes.

    Args:
        pipeline: what to write.
        kind: `logistic` computes in float64. `boosting` takes float32: ONNX Runtime has no trees
            that classify float64, so it must have been fitted on numbers that float32 holds.
        width: number of features.
    """
    number = DoubleTensorType if kind == "logistic" else FloatTensorType
    plain = _thawed(pipeline)
    graph = to_onnx(
        plain,
        name="goalkick",
        initial_types=[(INPUT, number([None, width]))],
        options={id(plain): {"zipmap": False}},
        target_opset=_OPSETS,
    )
    # The converter keeps them in a set, whose order is another in another process.
    opsets = sorted(graph.opset_import, key=lambda opset: str(opset.domain))
    del graph.opset_import[:]
    graph.opset_import.extend(opsets)
    return bytes(graph.SerializeToString(deterministic=True))


def _thawed(pipeline: Pipeline) -> Pipeline:
    """A copy without the wrapper that kept calibration from fitting anew: ONNX knows none."""
    plain = copy.deepcopy(pipeline)
    for one in plain[-1].calibrated_classifiers_:
        one.estimator = one.estimator.estimator
    if plain.steps[0][1] == "passthrough":
        plain.steps.pop(0)
    return plain


def _rounded_down(thresholds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The greatest float32 not above each: the same side for every float32 that is compared."""
    near = thresholds.astype(np.float32)
    lower = np.nextafter(near, np.float32(-np.inf))
    return np.where(near.astype(np.float64) > thresholds, lower, near).astype(np.float64)


class _WholeNumbers:
    """A container of nodes that writes truth values as 0 and 1, as protobuf wants them."""

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, *args: Any, nodes_missing_value_tracks_true: Any, **kwargs: Any) -> None:
        tracks = [int(one) for one in nodes_missing_value_tracks_true]
        self._container.add_node(*args, nodes_missing_value_tracks_true=tracks, **kwargs)


def _convert_boosting(scope: Any, operator: Any, container: Any) -> None:
    """skl2onnx's own conversion, mended in two places; see `_rounded_down` and `_WholeNumbers`."""
    for (tree,) in operator.raw_operator._predictors:
        tree.nodes["num_threshold"] = _rounded_down(tree.nodes["num_threshold"])
    convert_sklearn_random_forest_classifier(scope, operator, _WholeNumbers(container))


update_registered_converter(
    HistGradientBoostingClassifier,
    "GoalkickHistGradientBoostingClassifier",
    calculate_linear_classifier_output_shapes,
    _convert_boosting,
    options={
        "zipmap": [True, False],
        "raw_scores": [True, False],
        "output_class_labels": [False, True],
        "nocl": [True, False],
    },
)
