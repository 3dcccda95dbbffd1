"""Draw the pictures of docs/method: how vrae comes from series to clusters, on real leaves.

    python examples/method_pictures.py [docs/pictures]

All that is drawn is computed: by the fitted model, or with its own kernels and graph.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image
from torch.nn import functional

from vrae import VRAEClusterer, load_example
from vrae.nn.neighbours import neighbour_graph
from vrae.nn.patterns import PatternStatistics
from vrae.plots.palette import COLORS, INK

Array = np.ndarray[Any, Any]
N_CLUSTERS = 6
GREY = "#C3C9D0"
SHOWN_STATISTICS, SHOWN_LEAVES = 100, 180
plt.rcParams.update({"font.size": 10, "axes.edgecolor": GREY, "text.color": INK, "axes.labelcolor": INK})
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "xtick.color": INK, "ytick.color": INK})


class Leaves:
    """The example: 442 leaves, a fitted clusterer and the pattern statistics of every leaf."""

    def __init__(self) -> None:
        panel, self.species = load_example("OSULeaf")
        self.series = panel.to_padded()[:, 0]  # (leaf, step)
        self.clusterer = VRAEClusterer(N_CLUSTERS, random_state=0).fit(panel)
        self.labels = self.clusterer.labels_
        network = self.clusterer.model_.network_
        self.statistics: PatternStatistics = network.statistics
        self.neighbours = network.neighbours
        scaled = (self.series - self.series.mean(1, keepdims=True)) / self.series.std(1, keepdims=True)
        self.x = torch.tensor(scaled, dtype=torch.float32)[..., None]
        lengths = torch.full((len(scaled),), scaled.shape[1])
        self.raw = self.statistics.raw(self.x, torch.ones_like(self.x), lengths)  # (leaf, statistic)

    def typical(self, cluster: int, count: int) -> Array:
        """Return the members nearest to the mean of a cluster, in the space of the clusters."""
        members = np.flatnonzero(self.labels == cluster)
        vectors = self.clusterer.embedding_[members, :8]
        return members[np.argsort(np.linalg.norm(vectors - vectors.mean(0), axis=1))[:count]]


def outline(ax: Any, series: Array, color: str) -> None:
    """Draw a series around a circle, which looks much like the leaf that it was measured on."""
    angle = np.linspace(0, 2 * np.pi, len(series))
    radius = 2.6 + (series - series.mean()) / series.std()
    ax.fill(radius * np.cos(angle), radius * np.sin(angle), color=color, alpha=0.25, lw=0)
    ax.plot(radius * np.cos(angle), radius * np.sin(angle), color=color, lw=1.2)
    ax.set(aspect="equal", xticks=[], yticks=[])
    ax.axis("off")


def question(leaves: Leaves) -> Figure:
    """Draw two leaves of one kind and a third, which is nearer to the first step by step."""
    (first, second, third), distance = misleading_leaves(leaves)
    figure, axes = plt.subplots(
        3, 2, figsize=(8, 4.4), width_ratios=(1, 4.4), layout="constrained", sharex="col", sharey="col"
    )
    colors = (COLORS[0], COLORS[0], COLORS[3])
    for name, leaf, color, (left, right) in zip("ABC", (first, second, third), colors, axes, strict=True):
        outline(left, leaves.series[leaf], color)
        right.plot(leaves.series[leaf], color=color, lw=1.3)
        right.set_ylabel(f"leaf {name}", rotation=0, ha="right", va="center", fontweight="bold")
        right.set_yticks([])
    axes[2, 1].set_xlabel("step around the leaf")
    figure.suptitle(
        f"Step by step, A is nearer to C ({distance[first, third]:.0f}) than to B ({distance[first, second]:.0f}). "
        "A and B are of one species.",
        fontsize=10,
        x=0.02,
        ha="left",
    )
    return figure


def misleading_leaves(leaves: Leaves) -> tuple[tuple[int, int, int], Array]:
    """Return leaves A and B of a species and C of another, and all distances step by step.

    A and C are near step by step and differ most in their patterns.
    """
    distance = np.linalg.norm(leaves.series[:, None] - leaves.series[None], axis=2)
    compared = leaves.statistics.reduce(leaves.raw).numpy()
    by_patterns = np.linalg.norm(compared[:, None] - compared[None], axis=2)
    best, chosen = -np.inf, (0, 0, 0)
    for cluster in range(N_CLUSTERS):
        first, *others = (int(leaf) for leaf in leaves.typical(cluster, 8))
        for second in (leaf for leaf in others if leaves.species[leaf] == leaves.species[first]):
            nearer = (distance[first] < 0.8 * distance[first, second]) & (leaves.species != leaves.species[first])
            for third in np.flatnonzero(nearer):
                score = by_patterns[first, third] - by_patterns[first, second]
                if score > best:
                    best, chosen = score, (first, second, int(third))
    return chosen, distance


def patterns(leaves: Leaves) -> Figure:
    """Draw one kernel, and where in two leaves its response is above a threshold."""
    statistics, (kernel, dilation, place, threshold) = leaves.statistics, best_kernel(leaves)
    figure = plt.figure(figsize=(8, 4.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 3.4))
    ax = left.subplots()
    taps = statistics.kernels[0, place, kernel, 0].numpy()
    at = np.arange(len(taps)) * dilation
    ax.vlines(at, 0, taps, color=COLORS[3], lw=2)
    ax.plot(at, taps, "o", color=COLORS[3], ms=5)
    ax.axhline(0, color=GREY, lw=1)
    ax.set(title="one pattern", xlabel="step", yticks=[-1, 2], yticklabels=["-1", "+2"])
    axes = right.subplots(2, 1, sharex=True)
    response = responses(leaves, place, kernel, dilation)
    fraction = (response > threshold).mean(1)
    order = sorted(range(N_CLUSTERS), key=lambda c: np.median(fraction[leaves.labels == c]))
    for ax, cluster in zip(axes, (order[-1], order[0]), strict=True):
        members = np.flatnonzero(leaves.labels == cluster)
        leaf = members[np.argsort(fraction[members])[len(members) // 2]]
        series, hit = leaves.series[leaf], response[leaf] > threshold
        points = np.stack([np.arange(len(series)), series], axis=1)
        segments = np.stack([points[:-1], points[1:]], axis=1)
        ax.add_collection(LineCollection(segments, colors=np.where(hit[:-1], COLORS[3], GREY), linewidths=2))
        ax.set_title(f"here the pattern is found at {100 * fraction[leaf]:.0f} % of the steps", fontsize=10, loc="left")
        ax.set(yticks=[], xlim=(0, len(series)), ylim=(series.min() - 0.3, series.max() + 0.3))
    axes[1].set_xlabel("step around the leaf")
    return figure


def best_kernel(leaves: Leaves) -> tuple[int, int, int, float]:
    """Return the pattern whose frequency differs most between clusters, with its place."""
    statistics = leaves.statistics
    n_dilations, n_kernels, n_thresholds = statistics.thresholds[0].shape
    of_values = leaves.raw[:, : n_dilations * n_thresholds * n_kernels].numpy()
    means = np.stack([of_values[leaves.labels == c].mean(0) for c in range(N_CLUSTERS)])
    within = np.stack([of_values[leaves.labels == c].std(0) for c in range(N_CLUSTERS)]).mean(0)
    score = (means.max(0) - means.min(0)) ** 2 / (within + 0.02)
    best = int(score.reshape(n_dilations, n_thresholds, n_kernels)[1:].argmax()) + n_thresholds * n_kernels
    place, threshold, kernel = np.unravel_index(best, (n_dilations, n_thresholds, n_kernels))
    return (
        int(kernel),
        statistics.dilations[place],
        int(place),
        float(statistics.thresholds[0, place, kernel, threshold]),
    )


def responses(leaves: Leaves, place: int, kernel: int, dilation: int) -> Array:
    """Return the response of every leaf to a kernel, (leaf, step)."""
    weights = leaves.statistics.kernels[0, place, kernel][None]  # (1, channel, tap)
    padded = functional.pad(leaves.x[..., 0], (4 * dilation, 4 * dilation))[:, None]
    return functional.conv1d(padded, weights, dilation=dilation)[:, 0].numpy()


def statistics_of_all(leaves: Leaves) -> Figure:
    """Draw how often each of some patterns occurs in each leaf: rows of a cluster look alike."""
    raw = leaves.raw.numpy()
    chosen = np.random.default_rng(0).choice(np.flatnonzero(raw.std(0) > 0.01), SHOWN_STATISTICS, replace=False)
    scaled = (raw[:, chosen] - raw[:, chosen].mean(0)) / raw[:, chosen].std(0)
    shuffled = np.random.default_rng(0).permutation(len(raw))[:SHOWN_LEAVES]
    rows = shuffled[np.argsort(leaves.labels[shuffled], kind="stable")]
    columns = np.argsort(np.linalg.svd(scaled - scaled.mean(0), full_matrices=False)[2][0])
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.8), layout="constrained", sharey=True)
    for ax, order, title in zip(
        axes, (shuffled, rows), ("leaves in any order", "the same, sorted by cluster"), strict=True
    ):
        image = ax.imshow(scaled[order][:, columns], aspect="auto", cmap="RdBu_r", vmin=-2.2, vmax=2.2)
        ax.set(title=title, xlabel=f"{SHOWN_STATISTICS} of the {raw.shape[1]:,} patterns", xticks=[], yticks=[])
    axes[0].set_ylabel("leaves")
    for border in np.flatnonzero(np.diff(leaves.labels[rows])):
        axes[1].axhline(border + 0.5, color=INK, lw=0.8)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, ticks=[-2, 0, 2])
    bar.ax.set_yticklabels(["rarely", "usual", "often"])
    return figure


def neighbours(leaves: Leaves) -> Figure:
    """Draw the graph of neighbours, before and after the network has placed the leaves."""
    with torch.no_grad():
        compared = leaves.statistics.reduce(leaves.raw) @ leaves.neighbours.metric
    graph = neighbour_graph(compared)
    edges = np.stack([graph.first.numpy(), graph.second.numpy()], axis=1)
    figure, axes = plt.subplots(1, 2, figsize=(8, 4.1), layout="constrained")
    places = (compared.numpy(), leaves.clusterer.embedding_[:, :8])
    titles = ("who resembles whom", "the network moves neighbours together")
    for ax, vectors, title in zip(axes, places, titles, strict=True):
        centred = vectors - vectors.mean(0)
        flat = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
        ax.add_collection(LineCollection(flat[edges], colors=GREY, linewidths=0.25, alpha=0.7))
        ax.scatter(*flat.T, s=9, color=INK, lw=0, zorder=3)
        ax.set(title=title, xticks=[], yticks=[])
        ax.autoscale_view()
        ax.spines[:].set_visible(False)
    return figure


def latent(leaves: Leaves) -> Figure:
    """Draw a leaf, its latent vector, and what the decoder makes of it."""
    decoded = leaves.clusterer.model_.reconstruct(leaves.series)
    error = ((decoded - leaves.series) ** 2).mean(1)
    leaf = int(np.argsort(error)[len(error) // 2])
    z, rebuilt = leaves.clusterer.embedding_[leaf], decoded[leaf]
    figure, axes = plt.subplots(1, 3, figsize=(8, 2.5), layout="constrained", width_ratios=(1.3, 1, 1.3))
    axes[0].plot(leaves.series[leaf], color=COLORS[0], lw=1.3)
    axes[0].set(title=f"{len(rebuilt)} steps", yticks=[], xlabel="step")
    colors = [COLORS[3]] * 8 + [COLORS[0]] * (len(z) - 8)
    axes[1].bar(range(len(z)), z, color=colors)
    axes[1].axhline(0, color=GREY, lw=1)
    axes[1].set(title=f"become {len(z)} numbers", xlabel="8 for the clusters, 8 for the rest", xticks=[])
    axes[2].plot(leaves.series[leaf], color=GREY, lw=1.3, label="leaf")
    axes[2].plot(rebuilt, color=COLORS[0], lw=1.3, label="decoded")
    axes[2].set(title="and a series again", yticks=[], xlabel="step")
    axes[2].legend(frameon=False, fontsize=8)
    return figure


def clusters(leaves: Leaves) -> Figure:
    """Draw the map of the latent vectors, and the most typical leaves of each cluster."""
    figure = plt.figure(figsize=(8, 4.4), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.25))
    ax = left.subplots()
    vectors = leaves.clusterer.embedding_[:, :8]
    centred = vectors - vectors.mean(0)
    flat = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    for cluster in range(N_CLUSTERS):
        own = flat[leaves.labels == cluster]
        ax.scatter(*own.T, s=14, color=COLORS[cluster], lw=0)
        ax.annotate(str(cluster), np.median(own, axis=0), fontweight="bold", fontsize=12, ha="center", va="center")
    ax.set(title="k-means in the latent space", xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    axes = right.subplots(N_CLUSTERS, 6)
    for cluster, row in enumerate(axes):
        for ax, leaf in zip(row, leaves.typical(cluster, len(row)), strict=True):
            outline(ax, leaves.series[leaf], COLORS[cluster])
        row[0].text(-0.25, 0.5, str(cluster), transform=row[0].transAxes, fontweight="bold", va="center", ha="right")
    right.suptitle("the most typical leaves of each cluster", fontsize=12)
    return figure


def selection(leaves: Leaves) -> Figure:
    """Draw the score of every number of clusters that was tried."""
    curve = leaves.clusterer.regroup("auto").selection_
    tried = [row for row in curve if row["n_clusters"] <= 20]
    figure, ax = plt.subplots(figsize=(8, 2.6), layout="constrained")
    x, y = [row["n_clusters"] for row in tried], [row["score"] for row in tried]
    ax.plot(x, y, color=COLORS[0], lw=1.5, marker="o", ms=4)
    best = leaves.clusterer.n_clusters_
    ax.plot(best, y[x.index(best)], "o", ms=10, mfc="none", mec=COLORS[3], mew=2)
    ax.annotate("chosen", (best, y[x.index(best)]), xytext=(8, 4), textcoords="offset points", color=COLORS[3])
    for row in tried:
        if row["is_peak"] and row["n_clusters"] not in (best, x[-1]):
            place = (row["n_clusters"], row["score"])
            ax.annotate("a peak", place, xytext=(0, 8), textcoords="offset points", ha="center", fontsize=9)
    ax.set(xlabel="number of clusters", ylabel="score", xticks=x, ylim=(0, max(y) * 1.2))
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a PNG with 128 colours, which takes a third of the space."""
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=120)
    Image.open(drawn).convert("RGB").quantize(128).save(path, optimize=True)
    plt.close(figure)


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/pictures")
    leaves = Leaves()
    for draw in (question, patterns, statistics_of_all, neighbours, latent, clusters, selection):
        path = folder / f"method-{draw.__name__.replace('_', '-')}.png"
        save(draw(leaves), path)
        print(path)


if __name__ == "__main__":
    main()
