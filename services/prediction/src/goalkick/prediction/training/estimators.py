"""What is fitted: scikit-learn estimators, and how their scores become probabilities.

Platt's sigmoid (1999) is the one calibration: ONNX has no isotonic steps that equal scikit-learn's,
and with returns as noisy as these a two-parameter curve is all that the data can tell.
"""

import warnings
from typing import Any, Literal

from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from goalkick.common.core.errors import InvalidDataError
from goalkick.prediction.training.dataset import Examples

Kind = Literal["logistic", "boosting"]

_MAX_ITERATIONS = 1000
"""Of the logistic fit; on scaled features it settles in some tens."""

_BOOSTING = {
    # Few, small, slow trees with big leaves: market noise is learned by heart all too easily.
    "max_iter": 100,
    "learning_rate": 0.05,
    "max_leaf_nodes": 8,
    "min_samples_leaf": 200,
    "l2_regularization": 1.0,
    # Stopping early would put aside a random part of the examples, neighbours of the others.
    "early_stopping": False,
    "random_state": 0,
}


def fit(kind: Kind, train: Examples, calibrate: Examples) -> Pipeline:
    """Fits on one part and calibrates on the next, with one thread, so that bits repeat.

    Args:
        kind: `logistic`: logistic regression on scaled features; `boosting`: boosted trees.
        train: fits scale and weights.
        calibrate: fits the sigmoid.

    Returns:
        A pipeline whose `predict_proba` takes (n, m) and gives (n, 2): not up, up.

    Raises:
        InvalidDataError: the logistic fit does not settle.
    """
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            return _fit(kind, train, calibrate)
        except ConvergenceWarning as error:
            raise InvalidDataError(
                f"training: expected a fit that settles within {_MAX_ITERATIONS} iterations, "
                f"found: {error}"
            ) from error


def _fit(kind: Kind, train: Examples, calibrate: Examples) -> Pipeline:
    base: Any
    scale: Any
    if kind == "logistic":
        base, scale = LogisticRegression(max_iter=_MAX_ITERATIONS), StandardScaler()
    else:
        base, scale = HistGradientBoostingClassifier(**_BOOSTING), "passthrough"
    fitted = Pipeline([("scale", scale), ("classify", base)]).fit(train.features, train.up)
    calibrated = CalibratedClassifierCV(FrozenEstimator(base), method="sigmoid", ensemble=False)
    calibrated.fit(fitted[:-1].transform(calibrate.features), calibrate.up)
    return Pipeline([*fitted.steps[:-1], ("classify", calibrated)])
