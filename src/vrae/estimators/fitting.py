"""How a VRAE is fitted (prepare, build, initialise, train, summarise), and trained further."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils import Tags
from sklearn.utils.metadata_routing import UNUSED
from torch import Tensor

from vrae.config import NetworkConfig, check_choice
from vrae.data.batching import Indices
from vrae.data.containers import is_table
from vrae.data.later_times import on_calendar_of_model, say_unknown_dates
from vrae.data.panel import Panel, invalid_series
from vrae.data.reading import as_panel
from vrae.data.scaling import Scaler
from vrae.data.selection import check_enough, drop_invalid, hide_level_ends, join_panels, match_channels, reservoir
from vrae.data.table_options import TableOptions
from vrae.estimators.option_tables import check_options
from vrae.estimators.options import VRAEOptions
from vrae.exceptions import (
    DataWarning,
    InvalidDataError,
    InvalidParameterError,
    NotFittedError,
    PosteriorCollapseWarning,
    name_some,
    warn,
)
from vrae.nn.loss import active_units, pointwise_loss
from vrae.nn.model import VRAENetwork, build_network
from vrae.nn.patterns import PatternStatistics
from vrae.phases import announce
from vrae.runtime import resolve_device, seed_of
from vrae.train.callbacks import Record, check_callbacks
from vrae.train.inference import Inference
from vrae.train.placement import place_neighbours
from vrae.train.preparation import TrainingData, choose_latent_size, fit_patterns, sample_indices, set_axes
from vrae.train.progress import progress
from vrae.train.trainer import Trainer, TrainingTask

__all__ = ["FittedVRAE", "TrainerLike"]

# Series that are kept for replay in `partial_fit`.
_REPLAY_BUFFER = 4096


class TrainerLike(Protocol):
    """What trains a network: `vrae.train.trainer.Trainer`, or processes on other machines."""

    def fit(self, network: VRAENetwork, data: TrainingData, task: TrainingTask) -> list[Record]:
        """Train the network in place, and return one record per epoch."""


class Prepared(NamedTuple):
    """What `fit` needs to know before there is a network."""

    data: TrainingData
    config: NetworkConfig
    task: TrainingTask
    device: torch.device
    statistics: PatternStatistics | None
    size_curve: list[dict[str, float]]


@dataclass(kw_only=True, eq=False, repr=False)
class FittedVRAE(VRAEOptions):
    """Fitting, and what a fitted VRAE knows about its training series."""

    # Arguments of `fit` that are no metadata of series, for scikit-learn's metadata routing.
    __metadata_request__fit: ClassVar[dict[str, Any]] = {"hidden": UNUSED, "trainer": UNUSED}

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        hidden: npt.NDArray[np.bool_] | None = None,
        trainer: TrainerLike | None = None,
    ) -> Self:
        """Train the network.

        Parameters
        ----------
        X : array (n, steps) or (n, channels, steps), list of arrays, table or Panel
            NaN is a missing value.
        y : None
            Ignored. Present for API consistency.
        hidden : ndarray of bool, shape (total_steps,), optional
            Steps, series after series, that the encoder must not see in training. The network then
            learns to complete series.
        trainer : object, optional
            Trains the network; see `vrae.train.trainer.Trainer`, the default.

        Returns
        -------
        self
            Unchanged if anything is raised.

        Raises
        ------
        InvalidDataError
            There is nothing to learn from: no series or one, series of a single step, without any
            observed value (see ``on_invalid``), or with infinite values.
        InvalidParameterError
            An option is out of range or unknown.
        TrainingError
            The loss became infinite or NaN.
        """
        check_options(self)
        panel, indices = self.usable(X)
        if hidden is not None:
            hidden = np.asarray(hidden)
            if hidden.dtype != bool or hidden.shape != (len(panel.values),) or hidden.all():
                raise InvalidParameterError(
                    f"hidden must be an array of bool of shape ({len(panel.values)},), one per time step, and not all "
                    f"True; found {hidden.dtype} of shape {hidden.shape}."
                )
        self.fit_panel(panel, indices, hidden=hidden, trainer=trainer)
        self.remember(panel, indices)
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Train further, on series that arrive later.

        Without an earlier `fit`, this is one. Else the network is trained at a lower learning rate
        on the new series and on a replay buffer: a random sample of at most 4,096 earlier series.
        ``ids_``, ``embedding_`` and the other attributes then describe both together. A series of a
        table or `Panel` replaces one in the buffer with the same id; series of arrays get new
        numbers. A model directory does not hold series, so a loaded model has an empty buffer, and
        a warning says so.

        Parameters
        ----------
        X, y
            See `fit`.

        Returns
        -------
        self
            Unchanged if anything is raised.

        Raises
        ------
        InvalidDataError, InvalidParameterError, TrainingError
            See `fit`. Also if the series have other channels than earlier ones.
        """
        self.extend(X)
        return self

    def fit_panel(
        self,
        panel: Panel,
        indices: Indices,
        *,
        hidden: npt.NDArray[np.bool_] | None = None,
        trainer: TrainerLike | None = None,
    ) -> Self:
        """Train the network on the series at ``indices`` of a panel that `usable` returned."""
        check_enough(panel, indices)
        trainer = Trainer() if trainer is None else trainer
        if isinstance(trainer, type) or not callable(getattr(trainer, "fit", None)):
            raise InvalidParameterError(f"trainer must be an object such as Trainer(); found {trainer!r:.80}.")
        announce("Patterns" if self.pattern_weight else "Preparation")
        prepared = self._prepare(panel, indices, hidden)
        network = self._build(prepared)
        self._initialise(network, prepared)
        announce("Training")
        history = trainer.fit(network, prepared.data, prepared.task)
        return self._summarise(network, prepared, history)

    def neighbour_part(self, panel: Panel, indices: Indices) -> Tensor | None:
        """Return the neighbour part (n, size) of the latent vectors that a fit would give series.

        It is fitted before the rest of the network, which leaves it as it is and is not needed
        here. None if the latent vectors have no such part.
        """
        prepared = self._prepare(panel, indices, None)
        if not prepared.config.neighbour_size:
            return None
        network = self._build(prepared)
        patterns = self._place(network, prepared)
        places: Tensor = network.neighbours(patterns).detach().cpu()
        return places

    # ---------------------------------------------------------------- the five verbs

    def _prepare(self, panel: Panel, indices: Indices, hidden: npt.NDArray[np.bool_] | None) -> Prepared:
        """Compute once what depends on the series alone: scale, sizes and pattern statistics."""
        seed = seed_of(self.random_state)
        device = resolve_device(self.device, self.precision)
        scaler = Scaler(self.scaling).fit(panel)
        size: Any = self.latent_size
        curve: list[dict[str, float]] = []
        if size == "auto":
            size, curve = choose_latent_size(panel, indices, scaler)
        scaler.timing = self.timing_of(panel)
        config = self.network_config(panel, indices, size, scaler.timing)
        task = self._task(len(indices), seed)
        data = TrainingData(panel, indices, scaler, hidden=hidden)
        if not config.n_patterns:
            return Prepared(data, config, task, device, None, curve)
        statistics, patterns = fit_patterns(config, data.visible, indices, scaler, device)
        data = TrainingData(panel, indices, scaler, patterns, hidden)
        return Prepared(data, config, task, device, statistics, curve)

    def _build(self, prepared: Prepared) -> VRAENetwork:
        """Build the network with random weights."""
        network = build_network(prepared.config, prepared.task.seed)
        if prepared.statistics is not None:
            network.statistics = prepared.statistics
        return network.to(prepared.device)

    def _initialise(self, network: VRAENetwork, prepared: Prepared) -> None:
        """Replace random weights where something better than chance is known."""
        data, config = prepared.data, prepared.config
        if config.linear_path:
            set_axes(network.linear, data.panel, data.indices, data.scaler)
        if config.neighbour_size:
            network.start_from_neighbours(self._place(network, prepared))

    def _place(self, network: VRAENetwork, prepared: Prepared) -> Tensor:
        """Fit the neighbour part of a network to patterns (n, n_patterns), and return these."""
        assert prepared.data.patterns is not None  # the neighbour part is computed from them
        patterns = prepared.data.patterns[prepared.data.indices].to(prepared.device)
        place_neighbours(network.neighbours, patterns, prepared.task.seed)
        return patterns

    def _summarise(self, network: VRAENetwork, prepared: Prepared, history: list[Record]) -> Self:
        """Embed the training series, measure the reconstruction error, and become fitted."""
        data = prepared.data
        panel, indices = data.visible, data.indices
        inference = Inference(network.eval(), data.scaler, self.precision)
        Z = inference.embed(panel, indices, data.patterns)
        squares = observed = 0.0
        levels, spreads = [], []
        for batch, x in inference.reconstructions(panel, sample_indices(panel, indices), Z):
            squares += float(((x - batch.values) ** 2 * batch.mask).sum())
            observed += float(batch.mask.sum())
            levels.append(batch.level)
            spreads.append(batch.spread)
        active = active_units(torch.from_numpy(Z[indices]))
        if active == 0:  # before anything changes, since a user may turn warnings into errors
            self._warn_of_collapse(history, Z.shape[1])
        self._forget()
        self.network_, self.scaler_ = network, data.scaler
        self.embedding_, self.ids_ = Z, panel.ids
        self.channels_, self.calendar_, self.reading_ = panel.channels, panel.calendar, panel.reading
        self.history_, self.size_curve_, self.active_units_ = history, prepared.size_curve, active
        self.noise_variance_ = max(squares / observed, 1e-8)
        self.typical_level_ = torch.cat(levels).median(dim=0).values.numpy()  # (channel,)
        self.typical_spread_ = torch.cat(spreads).median(dim=0).values.numpy()  # (channel,)
        lengths = panel.lengths[indices]
        self.n_steps_ = int(np.median(lengths))
        if (lengths == lengths[0]).all():
            self.n_features_in_ = int(lengths[0]) * panel.n_channels
        return self

    # ---------------------------------------------------------------- continued training

    def extend(self, X: Any) -> Panel:
        """Do what `partial_fit` does, and return the series that were used: replayed ones and X."""
        check_options(self)
        is_first = not self.__sklearn_is_fitted__()
        panel, indices = self.usable(X) if is_first else self.open(X)
        panel = replace(panel.select(indices), static={})
        earlier: Panel | None = getattr(self, "replay_buffer_", None)
        if earlier is None and not is_first:
            warn(
                "This model was loaded, so its earlier series are not at hand: it is trained further on the new series "
                "alone, and describes only these afterwards. Call partial_fit with earlier and new series together to "
                "keep both.",
                DataWarning,
            )
        seen: int = getattr(self, "n_seen_", 0)
        if not isinstance(X, Panel) and not is_table(X):
            panel = replace(panel, ids=panel.ids + seen)  # series without ids differ from earlier ones
        n_new = len(panel)
        if earlier is not None:
            kept = earlier.select(np.flatnonzero(~np.isin(earlier.ids, panel.ids)))
            if (kept.times is None) != (panel.times is None):  # without dates, time does not matter
                kept, panel = (replace(part, times=None, calendar=None) for part in (kept, panel))
            panel = join_panels([kept, replace(panel, channels=earlier.channels)])
        train = self.fit_panel if is_first else self._continue
        train(panel, np.arange(len(panel)))
        replayed = reservoir(_REPLAY_BUFFER, len(panel) - n_new, n_new, seen, seed_of(self.random_state))
        self.replay_buffer_ = panel.select(replayed)
        self.n_seen_ = seen + n_new
        return panel

    def remember(self, panel: Panel, indices: Indices) -> None:
        """Keep a sample of the series that the model was fitted to, for `partial_fit`."""
        kept = indices[reservoir(_REPLAY_BUFFER, 0, len(indices), 0, seed_of(self.random_state))]
        self.replay_buffer_ = replace(panel.select(kept), static={})
        self.n_seen_ = len(indices)

    def _continue(self, panel: Panel, indices: Indices) -> None:
        """Train a copy of the network further, and take it when all went well."""
        check_enough(panel, indices)
        network, past = copy.deepcopy(self.network_), self.history_
        patterns = self.inference_.patterns(panel, indices) if network.config.n_patterns else None
        data = TrainingData(panel, indices, self.scaler_, patterns)
        if patterns is not None and network.config.neighbour_size:
            seen = patterns[indices]
            place_neighbours(network.neighbours, seen, seed_of(self.random_state), continued=True)
        task = self._task(len(indices), seed_of(self.random_state))
        task = TrainingTask(task.config.continued(), task.error, task.callbacks, task.seed)
        prepared = Prepared(data, network.config, task, self.inference_.device, None, self.size_curve_)
        records = Trainer().fit(network, data, task)
        history = past + [{**record, "epoch": len(past) + record["epoch"]} for record in records]
        self._summarise(network, prepared, history)

    # ---------------------------------------------------------------- parts

    def _task(self, n_series: int, seed: int) -> TrainingTask:
        callbacks = check_callbacks(self.callbacks) + ([progress()] if self.verbose else [])
        return TrainingTask(self.training_config(n_series), pointwise_loss(self.reconstruction_loss), callbacks, seed)

    def _forget(self) -> None:
        """Remove the attributes of an earlier fit."""
        for name in [n for n in vars(self) if n.endswith("_") and not n.startswith("_")]:
            delattr(self, name)

    def _warn_of_collapse(self, history: list[Record], latent_size: int) -> None:
        warn(
            f"Posterior collapse: none of the {latent_size} latent dimensions differs between the series "
            f"(KL {history[-1]['kl']:.3g} nats), so neither will their clusters. Lower beta (now {self.beta:g}) "
            f"or train longer ({len(history)} epochs now). Identical series cause this too.",
            PosteriorCollapseWarning,
        )

    # ------------------------------------------------ for estimators that have a model

    @property
    def inference_(self) -> Inference:
        """The fitted network, applied to panels in batches."""
        return Inference(self.network_, self.scaler_, self.precision)

    def usable(self, X: Any, remembered: TableOptions | None = None) -> tuple[Panel, Indices]:
        """Return X as a panel, and the positions of its usable series; see ``on_invalid``.

        A table is read with the options that a fitted model remembers.
        """
        check_choice("on_invalid", self.on_invalid, ("raise", "drop", "keep"))
        panel = as_panel(X, remembered)
        if self.on_invalid == "drop":
            panel = drop_invalid(panel)
        invalid = invalid_series(panel)
        if invalid.any() and self.on_invalid == "raise":
            raise InvalidDataError(
                f"Found {invalid.sum()} of {len(panel)} series without any observed value (all missing), ids "
                f"{name_some(panel.ids[invalid])}. Pass on_invalid='drop' to leave them out, or "
                f"on_invalid='keep' to keep their rows without a result."
            )
        if self.max_lag:  # constant ends of a shifted series show where it came from
            panel = hide_level_ends(panel)
        return panel, np.flatnonzero(~invalid)

    def open(self, X: Any) -> tuple[Panel, Indices]:
        """Return what `usable` returns, after a check against the fitted model."""
        self.check_fitted()
        panel, indices = self.usable(X, self.reading_)
        panel = on_calendar_of_model(panel, self.calendar_)
        say_unknown_dates(panel, self.scaler_.timing)
        return match_channels(panel, self.channels_, self.network_.config.n_channels), indices

    def check_fitted(self) -> None:
        """Raise a NotFittedError before `fit`."""
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(
                f"This {type(self).__name__} is not fitted yet. Call fit first, or load_model for a saved one."
            )

    def facts(self) -> list[str]:
        """Return short facts about the fit, for display."""
        channels, last = self.network_.config.n_channels, self.history_[-1]
        return [
            f"{len(self.ids_):,} series, median length {self.n_steps_:,}, {channels} channel{'s' * (channels != 1)}",
            f"{self.active_units_} of {self.embedding_.shape[1]} latent dimensions in use",
            f"{len(self.history_):,} epochs; last loss {last['loss']:.4g}",
        ]

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True  # infinite values are refused
        return tags
