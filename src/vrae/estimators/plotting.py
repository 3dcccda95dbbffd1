"""``estimator.plot``: the figures of a fitted estimator, with matplotlib or plotly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, Literal, TypeVar, overload

import numpy as np
import numpy.typing as npt

from vrae import plots
from vrae.config import check_choice, check_int
from vrae.data.panel import Panel
from vrae.exceptions import InvalidDataError, InvalidParameterError, check_installed
from vrae.metrics import labelled
from vrae.plots.charts import ChartGrid
from vrae.plots.maps import Method
from vrae.plots.mpl_parts import draw_grid
from vrae.plots.web_parts import draw_web_grid
from vrae.runtime import SafeInForks

__all__ = [
    "Backend",
    "ModelPlots",
    "PlotAccessor",
    "Plots",
    "check_drawing",
    "draw_charts",
    "numbered_name",
    "numbered_names",
    "some_series",
]

Backend = Literal["matplotlib", "plotly"]

_BACKENDS: tuple[Backend, ...] = ("matplotlib", "plotly")
_PREFIX = {"matplotlib": "plot_", "plotly": "plotly_"}
_TAG = 12  # characters of a class to write on a map
_MANY_CLASSES = 40  # more than this are not written on a map

P = TypeVar("P")


class PlotAccessor(Generic[P]):
    """Attribute ``plot`` of a class: its figures, bound to an instance."""

    def __init__(self, figures: Callable[[Any], P]) -> None:
        self._figures = figures

    @overload
    def __get__(self, instance: None, owner: Any) -> type[P]: ...

    @overload
    def __get__(self, instance: object, owner: Any) -> P: ...

    def __get__(self, instance: Any, owner: Any) -> Any:
        return self._figures if instance is None else self._figures(instance)


class Plots(SafeInForks):
    """Base of the figures of an object."""

    def __init__(self, owner: Any) -> None:
        self._owner = owner

    def __repr__(self) -> str:
        names = [name for name in dir(self) if not name.startswith("_")]
        return f"<plots of {type(self._owner).__name__}: {', '.join(names)}>"

    def _model(self) -> Any:
        """Return the fitted model; raise before `fit`."""
        self._owner._check_fitted()
        return self._owner.model_

    def _draw(self, name: str, backend: Backend, *data: Any, ax: Any = None, **options: Any) -> Any:
        """Draw one of the figures of `vrae.plots` by its name without prefix."""
        check_drawing(backend, ax)
        if ax is not None:
            options["ax"] = ax
        return getattr(plots, f"{_PREFIX[backend]}{name}")(*data, **options)

    def _draw_map(
        self, backend: Backend, vectors: npt.NDArray[Any], labels: npt.NDArray[np.int64] | None = None, **options: Any
    ) -> Any:
        """Draw a map of the training series. With plotly, points show the ids."""
        if backend == "plotly":
            options["ids"] = self._owner.ids_.tolist()
        return self._draw("latent_map", backend, vectors, labels, **options)

    def training(self, *, backend: Backend = "matplotlib") -> Any:
        """Draw the training: loss, reconstruction error, KL divergence and its weight by epoch.

        Parameters
        ----------
        backend : {"matplotlib", "plotly"}, default="matplotlib"

        Returns
        -------
        matplotlib or plotly Figure
        """
        return self._draw("training", backend, self._model().history_)


class ModelPlots(Plots):
    """Figures of a fitted `VRAE`.

    Each draws with matplotlib, or with plotly if ``backend="plotly"``, and returns the figure of
    that library. Both need ``pip install 'vrae[report]'``.
    """

    def _model(self) -> Any:
        self._owner.check_fitted()
        return self._owner

    def map(
        self,
        labels: npt.ArrayLike | None = None,
        *,
        method: Method = "pca",
        backend: Backend = "matplotlib",
        ax: Any = None,
    ) -> Any:
        """Draw a map of the training series: similar series are close together.

        Parameters
        ----------
        labels : array-like of shape (n_series,), optional
            Known classes, numbers or text, to colour by. NaN, None and "" are not labelled.
        method : {"pca", "tsne", "umap"}, default="pca"
            How latent vectors become points. "pca" keeps distances, the others neighbours.
        backend : {"matplotlib", "plotly"}, default="matplotlib"
        ax : matplotlib Axes, optional
            Where to draw. Default: a new figure.

        Returns
        -------
        matplotlib Axes or plotly Figure
        """
        model = self._model()
        options: dict[str, Any] = {"method": method, "ax": ax}
        if labels is None:
            return self._draw_map(backend, model.embedding_, **options)
        codes, names = _codes(labels, len(model.ids_))
        tags = {code: name[:_TAG] for code, name in names.items() if code >= 0}
        options["tags"] = tags if len(tags) <= _MANY_CLASSES else {}
        return self._draw_map(backend, model.embedding_, codes, names=names, **options)

    def reconstructions(self, X: Any, n_series: int = 6, *, backend: Backend = "matplotlib") -> Any:
        """Draw series and what the model makes of them.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel
        n_series : int, default=6
            Draw the first ``n_series`` series.
        backend : {"matplotlib", "plotly"}, default="matplotlib"

        Returns
        -------
        matplotlib or plotly Figure
            One chart per series, or one row per series and one column per channel.
        """
        model = self._model()
        check_drawing(backend)
        check_int("n_series", n_series, low=1)
        panel, indices = model.open(X)
        shown = panel.select(indices[:n_series])
        return self._draw("reconstructions", backend, shown, model.reconstruct(shown), max_series=n_series)

    def traversal(self, n_dimensions: int = 6, *, n_values: int = 9, backend: Backend = "matplotlib") -> Any:
        """Draw what the latent dimensions mean: series decoded along each of them.

        Parameters
        ----------
        n_dimensions : int, default=6
            Draw the dimensions that vary most between the training series.
        n_values : int, default=9
            Lines per dimension, from two standard deviations below the mean (blue) to two above
            (yellow).
        backend : {"matplotlib", "plotly"}, default="matplotlib"

        Returns
        -------
        matplotlib or plotly Figure
        """
        model = self._model()
        check_drawing(backend)
        check_int("n_dimensions", n_dimensions, low=1)
        known = model.embedding_[np.isfinite(model.embedding_).all(axis=1)]
        order = np.argsort(-known.std(axis=0))[:n_dimensions]
        found = [model.traversal(int(dimension), n_values) for dimension in order]
        titles = [f"Latent dimension {walk.dimension}: {walk.words}" for walk in found]
        curves = np.stack([walk.series for walk in found])
        names = {"channels": model.channels_, "titles": titles, "max_directions": n_dimensions}
        return self._draw("traversal", backend, curves, **names)


# -------------------------------------------------------------------- shared


def check_drawing(backend: str, ax: Any = None) -> None:
    """Raise for an unknown backend, one that is not installed, or Axes for plotly."""
    check_choice("backend", backend, _BACKENDS)
    check_installed(backend, "report", "A figure")
    if ax is not None and backend != "matplotlib":
        raise InvalidParameterError(f"ax= is for matplotlib; found backend={backend!r}. Leave one of them out.")


def draw_charts(grid: ChartGrid, title: str, backend: Backend) -> Any:
    """Draw small charts with a backend; plotly shows the title."""
    return draw_web_grid(title, grid) if backend == "plotly" else draw_grid(grid)


def numbered_names(names: Mapping[int, str] | None, word: str = "Cluster") -> dict[int, str]:
    """Return names with the number of the cluster before them: "3 · Peaks in December"."""
    return {label: numbered_name(label, name, word) for label, name in (names or {}).items()}


def numbered_name(label: int, name: str, word: str = "Cluster") -> str:
    """Return a name with the number of its cluster before it."""
    return name if label < 0 or name == f"{word} {label}" else f"{label} · {name}"


def _codes(labels: npt.ArrayLike, n_series: int) -> tuple[npt.NDArray[np.int64], dict[int, str]]:
    """Return classes as numbers (n_series,), -1 for none, and their names."""
    given = np.asarray(labels)
    if given.shape != (n_series,):
        raise InvalidDataError(f"labels has shape {given.shape}; expected ({n_series},). Pass one label per series.")
    known = labelled(given)
    classes = list(dict.fromkeys(sorted(given[known].tolist(), key=lambda name: (str(type(name)), name))))
    code_of = {name: code for code, name in enumerate(classes)}
    codes = np.array([code_of.get(name, -1) for name in given.tolist()], np.int64)
    codes[~known] = -1
    return codes, {-1: "Not labelled", **{code: str(name) for name, code in code_of.items()}}


def some_series(panel: Panel, indices: npt.NDArray[np.int64], series_id: Any) -> int:
    """Return the position of a series by its id. Raise if it has no observed value."""
    row = panel.position(series_id)
    if row not in indices:
        raise InvalidDataError(f"Series {series_id!r} has no observed value: there is nothing to draw.")
    return row
