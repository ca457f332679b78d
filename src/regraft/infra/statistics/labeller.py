"""A classifier of paths by their vectors and measured signals: logistic regression, judged on labels that it was not
trained on. Paths of one component never sit on both sides of a fold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

FOLDS = 5
INNER_FOLDS = 3
STRENGTHS = (0.03, 0.3, 3.0, 30.0)  # inverse of the regularisation, tried on inner folds
USUAL = 0.3  # where there are labels enough that it matters little
MANY = 2_000  # labels from which that is so
RESAMPLES = 1_000


@dataclass(frozen=True, slots=True)
class HeldOut:
    """``probabilities``, float64 (n,): of each labelled path, from a model that saw nothing of its component.
    ``strength``: the inverse regularisation for a model of all of them."""

    probabilities: Any
    strength: float


@contextmanager
def one_thread() -> Iterator[None]:
    """Linear algebra on one thread: ten times as fast for matrices as small as these, and the same result each time."""
    import sklearn.linear_model  # noqa: F401  (only libraries that are loaded are limited)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


def features(vectors: Any, signals: Any) -> Any:
    """One matrix, float32 (n, d + s), of vectors (n, d) and signals (n, s); both blocks have the same variance."""
    import numpy as np

    vectors = np.asarray(vectors, np.float32)
    vectors = vectors - vectors.mean(axis=0)
    scale = float(np.sqrt((vectors**2).sum(axis=1).mean())) or 1.0
    signals = np.asarray(signals, np.float64)
    signals = signals - signals.mean(axis=0)
    spread = signals.std(axis=0)
    signals = signals / np.where(spread > 0, spread, 1.0) / np.sqrt(max(1, signals.shape[1]))
    # A total variance of 20 each: then an inverse regularisation of about 1 fits what some dozens of labels can say.
    return (np.hstack([vectors / scale, signals]) * np.sqrt(20.0)).astype(np.float32)


def held_out(rows: Any, labels: Any, components: Any, *, seed: int = 0) -> HeldOut:
    """Predict each label with the others. ``rows`` (n, k), ``labels`` bool (n,), ``components`` int (n,).

    Regularisation is chosen on inner folds of each training part, so that no figure has seen what it is measured on.
    """
    import numpy as np

    labels, components = np.asarray(labels, bool), np.asarray(components)
    found = np.full(len(labels), float(labels.mean()))
    for train, test in _folds(labels, components, FOLDS, seed):
        strength = _best(rows[train], labels[train], components[train], seed)
        found[test] = probabilities(rows[test], fit(rows[train], labels[train], strength))
    return HeldOut(found, _best(rows, labels, components, seed))


@dataclass(frozen=True, slots=True)
class Model:
    """Weights, float64 (k,), and the intercept of a logistic regression."""

    weights: Any
    intercept: float


def fit(rows: Any, labels: Any, strength: float) -> Model:
    """A model of these labels. Where all of them are the same, it always gives their share, by Laplace's rule."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    count, positives = len(labels), int(np.sum(labels))
    if positives in (0, count):
        rate = (positives + 1.0) / (count + 2.0)
        return Model(np.zeros(rows.shape[1]), float(np.log(rate / (1.0 - rate))))
    model = LogisticRegression(C=strength, max_iter=5_000).fit(np.asarray(rows, np.float64), labels)
    return Model(model.coef_[0], float(model.intercept_[0]))


def probabilities(rows: Any, model: Model) -> Any:
    """The probability of the category for each row, float64 (n,), rounded to what the arithmetic repeats."""
    import numpy as np

    margin = np.asarray(rows, np.float64) @ model.weights + model.intercept
    return np.round(1.0 / (1.0 + np.exp(-np.clip(margin, -500.0, 500.0))), 6)


def certainty(right: Any, right_by_majority: Any, components: Any, *, seed: int = 0) -> float:
    """The share of resamples of the components (Efron 1979) in which more of ``right`` is true than of the other."""
    import numpy as np

    _, component = np.unique(components, return_inverse=True)
    gain = np.bincount(component, np.asarray(right, float) - np.asarray(right_by_majority, float))
    count = len(gain)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1.0 / count), size=RESAMPLES)
    return float(np.mean(drawn @ gain > 0.0))


def auc_of(labels: Any, scores: Any) -> float:
    """The area under the curve of true over false positive rates: both labels must occur."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, scores))


def _best(rows: Any, labels: Any, components: Any, seed: int) -> float:
    """The regularisation of the least held-out log loss."""
    import numpy as np

    if len(labels) >= MANY:
        return USUAL
    folds = list(_folds(labels, components, INNER_FOLDS, seed))
    if not folds:
        return USUAL
    losses = []
    for strength in STRENGTHS:
        loss = 0.0
        for train, test in folds:
            guess = np.clip(probabilities(rows[test], fit(rows[train], labels[train], strength)), 1e-6, 1 - 1e-6)
            loss -= float(np.log(np.where(labels[test], guess, 1.0 - guess)).sum())
        losses.append(loss)
    return STRENGTHS[int(np.argmin(losses))]


def _folds(labels: Any, components: Any, most: int, seed: int) -> Iterator[tuple[Any, Any]]:
    """Train and test places; whole components are on one side, and both labels spread over the folds as evenly as that
    allows."""
    import numpy as np
    from sklearn.model_selection import StratifiedGroupKFold

    labels = np.asarray(labels, bool)
    count = min(most, int(labels.sum()), int((~labels).sum()), len(np.unique(components)))
    if count < 2:
        return
    split = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    yield from split.split(np.zeros(len(labels)), labels, components)
