"""Batches contain every series once, have bounded size and mask their padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vrae import Panel
from vrae.data.batching import collate, inference_batches, training_batches
from vrae.data.scaling import Scaler

BATCH = 8
MAX_STEPS = 1 << 18  # padded steps of a batch


def cuts(lengths: Any, batch_size: int = BATCH, seed: int = 0) -> list[list[np.ndarray]]:
    lengths = np.asarray(lengths)
    indices = np.arange(len(lengths))
    rng = np.random.default_rng(seed)
    return [inference_batches(lengths, indices, batch_size), training_batches(lengths, indices, batch_size, rng)]


@pytest.mark.parametrize(
    "lengths",
    [
        *([10] * n for n in (1, BATCH - 1, BATCH, BATCH + 1)),
        [1, 20_000],
        [1] * 20 + [20_000] + [3] * 20,
        list(range(1, 60)),
    ],
    ids=["1", "batch - 1", "batch", "batch + 1", "1 and 20,000", "1 among many", "all lengths"],
)
def test_every_series_comes_back_exactly_once(lengths):
    for batches in cuts(lengths):
        assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
        assert all(0 < len(indices) <= BATCH for indices in batches)


@settings(max_examples=50)
@given(
    lengths=st.lists(st.sampled_from([1, 2, 7, 1000, 20_000, 300_000]), min_size=1, max_size=60),
    batch_size=st.integers(1, 40),
)
def test_padded_size_is_bounded(lengths, batch_size):
    lengths = np.asarray(lengths)
    for batches in cuts(lengths, batch_size):
        assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
        for indices in batches:
            assert len(indices) == 1 or len(indices) * lengths[indices].max() <= MAX_STEPS


def test_batches_hold_only_the_given_series():
    lengths, indices = np.full(20, 5), np.array([3, 17, 4])
    for batches in (
        inference_batches(lengths, indices, 2),
        training_batches(lengths, indices, 2, np.random.default_rng(0)),
    ):
        assert sorted(np.concatenate(batches).tolist()) == [3, 4, 17]


def test_a_short_series_is_not_padded_to_a_long_one():
    lengths = np.array([1] * BATCH + [20_000] * BATCH)
    for batches in cuts(np.random.default_rng(0).permutation(lengths)):
        assert len(batches) == 2


def test_training_batches_are_shuffled_by_the_generator_only(global_random_state):
    lengths, indices = np.full(40, 12), np.arange(40)
    before = global_random_state()

    def batches(seed: int) -> list[list[int]]:
        return [b.tolist() for b in training_batches(lengths, indices, BATCH, np.random.default_rng(seed))]

    assert batches(0) == batches(0) != batches(1)
    assert np.concatenate(batches(0)).tolist() != list(range(40))
    rng = np.random.default_rng(0)
    first, second = (training_batches(lengths, indices, BATCH, rng) for _ in range(2))
    assert [sorted(b) for b in first] != [sorted(b) for b in second]  # batches differ between epochs
    assert global_random_state() == before


def test_the_mask_marks_observed_values():
    panel = Panel.from_arrays([[[1, 2, np.nan, 4], [5, 6, 7, 8]], [[9], [np.nan]]], ids=["a", "b"])
    batch = collate(panel, np.array([1, 0]), Scaler(None), torch.device("cpu"))
    assert batch.values.shape == batch.mask.shape == (2, 4, 2)
    assert batch.lengths.tolist() == [1, 4]
    assert batch.indices.tolist() == [1, 0]
    assert batch.mask[1].tolist() == [[1, 1], [1, 1], [0, 1], [1, 1]]
    assert batch.mask[0].tolist() == [[1, 0], [0, 0], [0, 0], [0, 0]]
    assert (batch.values[batch.mask == 0] == 0).all()
    assert batch.values[1, :, 1].tolist() == [5, 6, 7, 8]
    assert batch.values.dtype == batch.mask.dtype == torch.float32
