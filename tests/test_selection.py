"""Panels are joined, empty series dropped, constant ends of series masked."""

from __future__ import annotations

import numpy as np
import pytest

from vrae import Panel
from vrae.data.selection import drop_invalid, hide_level_ends, join_panels, observed_steps
from vrae.exceptions import DataWarning, InvalidDataError

NAN = np.nan


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ([1, 1, 1, 2, 3, 3], [NAN, NAN, 1, 2, 3, NAN]),
        ([3, 3, 4], [NAN, 3, 4]),
        ([1, 2, 3], [1, 2, 3]),
        ([2, 2], [2, 2]),  # constant
        ([5], [5]),
        ([NAN, 3, 3, 4, 4], [NAN, 3, 3, 4, NAN]),
        ([1, 2, 2, 2, 3], [1, 2, 2, 2, 3]),  # a constant stretch between changes stays
    ],
)
def test_level_ends_are_hidden(series, expected):
    all_series = [[7.0, 7.0, 8.0], series, [8.0, 8.0]]  # other series, whose values must not matter
    hidden = hide_level_ends(Panel.from_arrays([np.array(s, float) for s in all_series]))
    np.testing.assert_array_equal(hidden[1][0], expected)
    np.testing.assert_array_equal(hidden[0][0], [NAN, 7, 8])


def test_an_end_is_level_if_all_channels_are():
    hidden = hide_level_ends(Panel.from_arrays([np.array([[1, 1, 1, 2], [1, 1, 5, 5]], float)]))
    np.testing.assert_array_equal(np.isnan(hidden[0]).all(axis=0), [True, False, False, False])


def test_observed_steps_have_a_value_in_some_channel(monkeypatch):
    both, one, none = [1.0, 2.0], [NAN, 2.0], [NAN, NAN]
    panel = Panel.from_arrays([np.array(steps).T for steps in ([both, none, one], [none], [one, both])])
    assert observed_steps(panel).tolist() == [2, 0, 2]
    monkeypatch.setattr("vrae.data.panel._SLICE_VALUES", 4)  # slices end within series
    assert observed_steps(panel).tolist() == [2, 0, 2]


def test_dropped_series_are_named():
    panel = Panel.from_arrays([[1.0, 2.0], [NAN, NAN], [3.0, 4.0]], ids=["a", "b", "c"])
    with pytest.warns(DataWarning, match="1 of 3 series.*'b'"):
        assert drop_invalid(panel).ids.tolist() == ["a", "c"]


def test_panels_with_different_channels_are_not_joined():
    with pytest.raises(InvalidDataError, match="channels"):
        join_panels([Panel.from_arrays(np.zeros((2, 1, 3))), Panel.from_arrays(np.zeros((2, 2, 3)))])
