"""How good a model is where it never looked, and whether that can be luck."""

import math

import numpy as np
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from goalkick.prediction.manifest import Metrics
from goalkick.prediction.training.dataset import Floats, Integers, Mask

CONVINCING = 0.01
"""A model counts as better if less than one in so many worthless ones would look this good."""

_RESAMPLES = 5000
_SHORTEST_BLOCK = 50
"""Bars. Losses of neighbouring bars resemble each other beyond the overlap of their outcomes."""
_FEWEST_BLOCKS = 10
"""With less, chance cannot be told from skill."""


def evaluate(
    probabilities: Floats, up: Mask, time_ns: Integers, base_rates: tuple[float, ...], horizon: int
) -> Metrics:
    """Compares a model with always saying the base rate.

    Args:
        probabilities: (k,) what the model gave a rise.
        up: (k,) whether it rose; both happened.
        time_ns: (k,) rising; examples of one moment count together.
        base_rates: what a forecaster without features might have said; the best of them counts.
        horizon: bars from an example to its outcome.
    """
    losses = {rate: float(_losses(np.full(len(up), rate), up).mean()) for rate in base_rates}
    base_rate = min(losses, key=lambda rate: losses[rate])
    base = np.full(len(up), base_rate)
    gains = _by_moment(_losses(base, up) - _losses(probabilities, up), time_ns)
    return Metrics(
        base_rate=base_rate,
        log_loss=float(log_loss(up, probabilities)),
        base_log_loss=losses[base_rate],
        brier=float(brier_score_loss(up, probabilities)),
        base_brier=float(brier_score_loss(up, base)),
        accuracy=float(np.mean((probabilities > 0.5) == up)),
        base_accuracy=float(np.mean((base > 0.5) == up)),
        auc=float(roc_auc_score(up, probabilities)),
        p_value=p_value(gains, max(4 * horizon, _SHORTEST_BLOCK)),
    )


def is_better(metrics: Metrics) -> bool:
    """Whether the model beats the base rate, and convincingly."""
    return metrics.log_loss < metrics.base_log_loss and metrics.p_value < CONVINCING


def p_value(gains: Floats, block: int) -> float:
    """Share of resampled series whose mean is not positive: circular block bootstrap.

    Politis and Romano (1992): whole blocks are drawn, because neighbours are not independent.

    Args:
        gains: (n,) in order of time; positive where the model did better.
        block: length of the blocks, so long that blocks hardly depend on each other.

    Returns:
        In (0, 1]; 1 where there are too few blocks to tell.
    """
    n = len(gains)
    if n < _FEWEST_BLOCKS * block:
        return 1.0
    sums = np.concatenate(([0.0], np.cumsum(np.concatenate((gains, gains[:block])))))
    means = (sums[block : block + n] - sums[:n]) / block
    random = np.random.default_rng(0)
    draws = random.integers(0, n, size=(_RESAMPLES, math.ceil(n / block)))
    worse = int((means[draws].mean(axis=1) <= 0).sum())
    return (1 + worse) / (1 + _RESAMPLES)


def _losses(probabilities: Floats, up: Mask) -> Floats:
    tiny = np.finfo(np.float64).eps
    said = np.clip(np.where(up, probabilities, 1 - probabilities), tiny, 1)
    return np.asarray(-np.log(said), dtype=np.float64)


def _by_moment(gains: Floats, time_ns: Integers) -> Floats:
    """The mean of each moment: instruments move together, so they are one observation."""
    _, start, count = np.unique(time_ns, return_index=True, return_counts=True)
    return np.asarray(np.add.reduceat(gains, start) / count, dtype=np.float64)
