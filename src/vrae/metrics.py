"""Quality of clusters: arrays in, numbers out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "DOUBTFUL",
    "agreement",
    "agreement_of_counts",
    "best_number",
    "is_useful",
    "labelled",
    "n_classes",
    "raw_kmeans",
    "resample",
    "separation",
]

# A series is doubtful if the probability of its cluster is below this.
DOUBTFUL = 0.6

# Texts that are no class: a blank, and how pandas writes a missing value.
_BLANKS = ("", "nan", "<na>", "nat")

# Silhouettes are quadratic in the number of vectors. More than this many are sampled.
_SILHOUETTE_SAMPLE = 2000

# A number whose largest cluster holds more than this share of the series is chosen only if no other
# number has separated clusters. Below this silhouette there is no substantial structure (Kaufman &
# Rousseeuw, "Finding Groups in Data", 1990, table 4).
_LARGEST = 0.7
_SEPARATED = 0.25


def labelled(truth: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return which of the known classes (n,) are known: not blank, None or NaN."""
    classes = np.asarray(truth)
    if classes.dtype.kind in "biu":
        return np.ones(len(classes), bool)
    if classes.dtype.kind in "fcmM":
        return np.asarray(classes == classes)  # NaN and NaT are not equal to themselves
    texts = [None if name is None or name != name else str(name) for name in classes.tolist()]
    return np.array([text is not None and text.strip().lower() not in _BLANKS for text in texts], bool)


def n_classes(truth: npt.ArrayLike) -> int:
    """Return the number of known classes (n,), without the blank."""
    return len(set(np.asarray(truth)[labelled(truth)].tolist()))


def agreement(truth: npt.ArrayLike, labels: npt.ArrayLike) -> dict[str, float]:
    """Compare labels with known classes.

    Parameters
    ----------
    truth, labels : array of shape (n,)
        Only entries with a known class count; see `labelled`.

    Returns
    -------
    dict
        ``ari``: adjusted Rand index, 1 = the same groups, 0 = chance (Hubert & Arabie 1985).
        ``nmi``: normalised mutual information, 0 to 1, arithmetic mean. Empty if fewer than two
        series have a known class.
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    known = labelled(truth)
    if known.sum() < 2:
        return {}
    truth, labels = np.asarray(truth)[known], np.asarray(labels)[known]
    return {
        "ari": float(adjusted_rand_score(truth, labels)),
        "nmi": float(normalized_mutual_info_score(truth, labels)),
    }


def agreement_of_counts(counts: npt.NDArray[np.int64]) -> dict[str, float]:
    """Compare clusters with known classes, from their contingency table.

    Parameters
    ----------
    counts : ndarray of int64, shape (n_classes, n_groups)

    Returns
    -------
    dict
        As `agreement`, without one entry per series. Empty if fewer than two series are counted.
    """
    from scipy.stats import entropy
    from sklearn.metrics import mutual_info_score

    n, in_class, in_group = int(counts.sum()), counts.sum(axis=1), counts.sum(axis=0)
    if n < 2:
        return {}
    both, same_class, same_group = (
        int((c.astype(object) ** 2).sum()) - n for c in (counts, in_class, in_group)
    )  # pairs
    expected, usual = same_class * same_group / max(n * (n - 1), 1), (same_class + same_group) / 2
    ari = 1.0 if usual == expected else (both - expected) / (usual - expected)
    spread = (entropy(in_class) + entropy(in_group)) / 2
    nmi = 1.0 if spread == 0 else max(0.0, mutual_info_score(None, None, contingency=counts)) / spread
    return {"ari": float(ari), "nmi": float(nmi)}


def separation(Z: npt.NDArray[Any], labels: npt.NDArray[np.integer[Any]], seed: int = 0) -> float | None:
    """Return the mean silhouette of vectors (n, d) with labels (n,), from -1 to 1.

    Noise (-1) and vectors with NaN are left out. None if there is only one cluster, or every vector
    is its own.
    """
    from sklearn.metrics import silhouette_score

    rows = np.flatnonzero(np.isfinite(Z).all(axis=1) & (labels >= 0))
    rows = np.random.default_rng(seed).permutation(rows)[:_SILHOUETTE_SAMPLE]
    if not 2 <= len(np.unique(labels[rows])) < len(rows):
        return None
    return float(silhouette_score(Z[rows], labels[rows]))


def resample(X: npt.NDArray[Any], n_steps: int) -> npt.NDArray[np.float64]:
    """Resample padded series to one length by linear interpolation, also across gaps.

    Parameters
    ----------
    X : ndarray of shape (n, channels, longest)
        NaN where missing and after the end of a shorter series.
    n_steps : int

    Returns
    -------
    ndarray of float64, shape (n, channels, n_steps)
        A channel without any observed value is 0.
    """
    time = np.arange(X.shape[2])
    result = np.zeros((len(X), X.shape[1], n_steps))
    for row, series in enumerate(X):
        observed = ~np.isnan(series)  # (channels, longest)
        steps = np.flatnonzero(observed.any(axis=0))
        if len(steps) == 0:
            continue
        at = np.linspace(0, steps[-1], n_steps)
        for channel, known in enumerate(observed):
            if known.any():
                result[row, channel] = np.interp(at, time[known], series[channel, known])
    return result


def raw_kmeans(X: npt.NDArray[Any], n_clusters: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """Cluster z-normalised series of one length by k-means: the baseline.

    Parameters
    ----------
    X : ndarray of shape (n, channels, longest)
        As in `resample`.
    n_clusters : int
    seed : int

    Returns
    -------
    ndarray of int64, shape (n,)
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    flat = resample(X, X.shape[2])
    flat -= flat.mean(axis=2, keepdims=True)
    spread = flat.std(axis=2, keepdims=True)
    flat /= np.where(spread > 0, spread, 1)
    model = KMeans(n_clusters, n_init=10, random_state=seed)
    with threadpool_limits(1):  # on a busy machine, threads of a small fit wait for each other
        return model.fit_predict(flat.reshape(len(flat), -1)).astype(np.int64)


def best_number(curve: Sequence[dict[str, Any]]) -> int:
    """Return the number of clusters with the best score; 1 if nothing was tried.

    A number that puts most series into one cluster is taken only if no other has separated
    clusters.
    """
    useful = [tried for tried in curve if is_useful(tried)]
    return int(max(useful or curve, key=lambda tried: tried["score"], default={"n_clusters": 1})["n_clusters"])


def is_useful(tried: Mapping[str, Any]) -> bool:
    """Return whether clusters are separated, and none holds most of the series.

    Entries of older versions have a score only, and pass.
    """
    return bool(tried.get("largest", 0.0) <= _LARGEST and tried.get("silhouette", 1.0) >= _SEPARATED)
