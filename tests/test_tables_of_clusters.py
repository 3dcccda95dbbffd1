"""Cross-tables of clusters with columns: counts, what stands out, and `crosstab`."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from conftest import TINY
from vrae import VRAE, Panel, VRAEClusterer
from vrae.cli.cluster_result import group_table
from vrae.describe.tables_of_clusters import MISSING, cross_table
from vrae.exceptions import InvalidDataError, InvalidParameterError, NotFittedError

LABELS = np.repeat([0, 1, 2, -1], [50, 30, 15, 5])


def themes() -> np.ndarray:
    """Return a column in which cluster 1 is mostly "Christmas" and everything else is mixed."""
    column = np.array(["home", "garden"] * 50, object)
    column[52:78] = "Christmas"
    return column


def test_counts_and_shares():
    table = cross_table("theme", themes(), LABELS)
    assert table.labels == [0, 1, 2, -1]
    assert table.categories == ("garden", "home", "Christmas")
    assert table.counts.tolist() == [[25, 25, 0], [2, 2, 26], [7, 8, 0], [3, 2, 0]]
    assert table.shares.sum(axis=1) == pytest.approx(1)
    assert table.shares_of_all == pytest.approx([0.37, 0.37, 0.26])
    assert table.lift[1, 2] == pytest.approx((26 / 30) / 0.26)


def test_what_stands_out_is_said_in_one_sentence():
    table = cross_table("theme", themes(), LABELS, {1: "Peaks in December"})
    expected = "theme “Christmas”: 87\N{NO-BREAK SPACE}% of “Peaks in December”, 26\N{NO-BREAK SPACE}% of all series."
    assert table.sentence() == expected
    assert table.residuals[1, 2] > 3
    assert table.association > 0.5


def test_what_stands_out_is_said_of_every_cluster():
    labels = np.repeat([0, 1, 2, 3, 4, 5], 20)
    found = cross_table("region", np.array(["N", "S", "W", "E", "C", "X"])[labels], labels).sentences()
    assert len(found) == 4  # at most
    assert found[1].startswith("region “S”: 100\N{NO-BREAK SPACE}% of “Cluster 1”")


def test_residuals_are_those_of_the_formula():
    counts = cross_table("theme", themes(), LABELS).counts.astype(float)
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / 100
    rest = np.outer(1 - counts.sum(axis=1) / 100, 1 - counts.sum(axis=0) / 100)
    found = cross_table("theme", themes(), LABELS).residuals
    assert found == pytest.approx((counts - expected) / np.sqrt(expected * rest))


def test_nothing_is_said_of_chance_and_of_weak_relations():
    rng = np.random.default_rng(0)
    assert cross_table("shop", rng.choice(["a", "b", "c"], 100), LABELS).sentence() == ""
    many = np.repeat([0, 1], 50_000)
    weak = np.where(rng.random(100_000) < np.where(many, 0.53, 0.5), "a", "b")  # certain, and of no interest
    assert cross_table("shop", weak, many).sentence() == ""
    assert cross_table("shop", np.full(100, "a"), LABELS).sentence() == ""
    assert cross_table("shop", themes(), np.zeros(100, int)).sentence() == ""


def test_rare_categories_become_other():
    column = np.array([f"s{i % 20 if i > 40 else i % 4}" for i in range(100)])
    table = cross_table("supplier", column, LABELS)
    assert len(table.categories) == 13
    assert table.categories[-1] == "other (8)"
    assert table.counts.sum() == 100
    assert (np.diff(table.counts.sum(axis=0)[:12]) <= 0).all()
    thirteen = cross_table("supplier", np.array([f"s{i % 13}" for i in range(100)]), LABELS)
    assert thirteen.categories[-1].startswith("s")  # "other" never stands for a single one


@pytest.mark.parametrize("blank", [None, np.nan, "", "  "])
def test_missing_values_are_shown(blank):
    column = themes()
    column[:40] = blank
    table = cross_table("theme", column, LABELS)
    assert table.categories[-1] == MISSING
    assert table.counts[0].tolist()[-1] == 40
    assert table.sentence().startswith("theme ")
    column[:] = blank
    assert cross_table("theme", column, LABELS).categories == (MISSING,)


def test_missing_values_can_be_what_stands_out():
    column = np.array(["a", "b"] * 50, object)
    column[:50] = None
    text = cross_table("theme", column, LABELS).sentence()
    assert text == "theme without a value: 100\N{NO-BREAK SPACE}% of “Cluster 0”, 50\N{NO-BREAK SPACE}% of all series."


def test_numbers_are_divided_into_quarters():
    price = np.linspace(1, 100, 100)
    price[-1] = np.nan
    table = cross_table("price", price, LABELS)
    assert table.kind == "number"
    assert table.categories == ("1 to 24", "25 to 49", "50 to 74", "75 to 99", MISSING)
    assert table.medians == ["25.5", "65.5", "88", "97.5", "50"]
    assert table.sentence() == "price: the median is 88 in “Cluster 2”, 50 in all series."


def test_few_numbers_are_categories_in_their_order():
    table = cross_table("year", np.array([2024, 2019, 2021, 2019] * 25), LABELS)
    assert (table.kind, table.categories) == ("category", ("2019", "2021", "2024"))
    objects = np.array([3, None, 1.5, 3] * 25, object)
    assert cross_table("size", objects, LABELS).categories == ("1.5", "3", MISSING)
    assert cross_table("new", np.array([True, False] * 50), LABELS).categories == ("False", "True")


def test_equal_quartiles_are_one():
    table = cross_table("stock", np.r_[np.zeros(80), np.arange(1, 21)], LABELS)
    assert table.categories == ("0 to 20",) or table.categories[0] == "0"
    assert table.counts.sum() == 100


def test_dates_are_divided_into_quarters():
    launched = np.datetime64("2024-01-01") + np.arange(100)
    launched[0] = np.datetime64("NaT")
    table = cross_table("launched", launched, LABELS)
    assert table.kind == "date"
    assert table.categories[0] == "2024-01-02 to 2024-01-25"
    assert table.categories[-1] == MISSING
    assert table.medians[-1] == "2024-02-20"


def test_as_a_table_of_pandas():
    table = cross_table("theme", themes(), LABELS, {0: "Steady"})
    counts = table.to_pandas()
    assert counts.index.tolist() == ["Steady", "Cluster 1", "Cluster 2", "Not assigned", "All series"]
    assert (counts.index.name, counts.columns.name) == ("cluster", "theme")
    assert counts.loc["All series"].tolist() == [37, 37, 26]
    assert table.to_pandas("share").sum(axis=1).tolist() == pytest.approx([1.0] * 5)
    assert table.to_pandas("lift").shape == table.to_pandas("residual").shape == (4, 3)
    with pytest.raises(InvalidParameterError, match="show='sum' must be one of 'count', 'share'"):
        table.to_pandas("sum")


def test_another_number_of_values_is_refused():
    with pytest.raises(InvalidDataError, match=r"Column 'theme' must have one value per series. Found shape \(3,\)"):
        cross_table("theme", ["a", "b", "c"], LABELS)


# -------------------------------------------------------------------- the clusterer


@pytest.fixture(scope="module")
def fitted() -> tuple[VRAEClusterer, Panel]:
    rng = np.random.default_rng(0)
    speeds = np.repeat([2, 9], 20)
    X = np.sin(np.arange(40) / speeds[:, None]) + 0.1 * rng.normal(size=(40, 40))
    panel = Panel.from_arrays(X, static={"kind": np.where(speeds == 2, "fast", "slow")})
    return VRAEClusterer(2, model=VRAE(**TINY), random_state=0).fit(panel), panel


def test_clusters_by_a_static_column(fitted):
    clusterer, panel = fitted
    table = clusterer.crosstab(panel, "kind")
    assert isinstance(table, pd.DataFrame)
    assert table.index.tolist() == [*(clusterer.names_[label] for label in range(2)), "All series"]
    assert table.loc["All series"].to_dict() == {"fast": 20, "slow": 20}
    expected = pd.crosstab(clusterer.predict(panel), panel.static["kind"])
    assert table.to_numpy()[: len(expected)].tolist() == expected.to_numpy().tolist()


def test_clusters_by_labels(fitted):
    clusterer, panel = fitted
    labels = pd.Series(np.arange(40) % 3, name="shift")
    table = clusterer.crosstab(panel, labels, show="share")
    assert table.columns.name == "shift"
    assert table.columns.tolist() == ["0", "1", "2"]
    with pytest.raises(InvalidDataError, match="one value per series"):
        clusterer.crosstab(panel, labels[:5])


def test_an_unknown_column_is_refused(fitted):
    clusterer, panel = fitted
    with pytest.raises(InvalidParameterError, match=r"'colour' is not a static column of X. It has 'kind'"):
        clusterer.crosstab(panel, "colour")
    with pytest.raises(InvalidParameterError, match="It has none"):
        clusterer.crosstab(panel.to_padded(), "colour")
    with pytest.raises(NotFittedError):
        VRAEClusterer(2).crosstab(panel, "kind")


def test_shares_near_nothing_and_all_are_said_as_in_the_terminal():
    column = np.repeat(["a", "b", "a"], [1, 1000, 999])
    found = cross_table("kind", column, np.repeat([0, 1], 1000)).sentences()
    assert [text.replace("\N{NO-BREAK SPACE}", " ") for text in found] == [
        "kind “a”: less than 1 % of “Cluster 0”, 50 % of all series.",
        "kind “a”: more than 99 % of “Cluster 1”, 50 % of all series.",
    ]
    shown = io.StringIO()
    Console(file=shown, width=100).print(group_table({"sizes": [1999, 1], "n_noise": 0}))
    lines = shown.getvalue().splitlines()[1:]
    assert [line.split(maxsplit=4)[-1].strip() for line in lines] == ["more than 99 %", "less than 1 %"]
