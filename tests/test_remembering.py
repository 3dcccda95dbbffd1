"""A model remembers how its table was read, and later tables are read alike."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from conftest import make_estimator
from vrae import VRAE, GroupForecaster, load_model, read_panel
from vrae.data import stream
from vrae.data.selection import join_panels
from vrae.data.stream import stream_panels
from vrae.exceptions import DataWarning, InvalidDataError

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.PosteriorCollapseWarning")

HEADS = ("VRAEClusterer", "VRAEAnomalyDetector", "VRAENeighbors")


def sales(n: int = 12, weeks: int = 24, zone: str | None = None, freq: str = "W-MON") -> pd.DataFrame:
    """Return weekly rows of slow and fast items, two channels, with a category."""
    rng = np.random.default_rng(0)
    dates = pd.date_range("2024-01-01", periods=weeks, freq=freq, tz=zone)
    period = np.where(np.arange(n) % 2, 12, 4)[:, None]
    wave = np.sin(2 * np.pi * (np.arange(weeks) + rng.uniform(0, 2, (n, 1))) / period)
    qty = 9 + 5 * wave + 0.3 * rng.standard_normal((n, weeks))
    price = 3 + np.cumsum(rng.standard_normal((n, weeks)), axis=1)
    return pd.DataFrame(
        {
            "product": np.repeat([f"p{i}" for i in range(n)], weeks),
            "kind": np.repeat([f"k{i % 3}" for i in range(n)], weeks),
            "week": np.tile(dates, n),
            "qty": qty.ravel().round(3),
            "price": price.ravel().round(3),
        }
    )


def sparse(n: int = 14, weeks: int = 60) -> pd.DataFrame:
    """Return sales without a row where nothing was sold, every second or every fifth week."""
    rng = np.random.default_rng(0)
    table = sales(n, weeks)[["product", "week", "qty"]]
    item, week = np.repeat(np.arange(n), weeks), np.tile(np.arange(weeks), n)
    table["qty"] = (5 + rng.standard_normal(len(table))).round(3)
    return table[(week + item) % np.where(item < n // 2, 2, 5) == 0].reset_index(drop=True)


def read(table: pd.DataFrame, **options: Any) -> Any:
    return read_panel(table, **{"id": "product", "time": "week", "value": ["qty", "price"], **options})


def result(estimator: Any, X: Any) -> np.ndarray:
    """Return what an estimator says of series, as an array."""
    if hasattr(estimator, "kneighbors"):
        return np.asarray(estimator.kneighbors(X)[0])
    return np.asarray(estimator.transform(X) if hasattr(estimator, "transform") else estimator.score_samples(X))


def saved(estimator: Any, folder: Path) -> Any:
    estimator.save(folder / "model")
    return load_model(folder / "model")


@pytest.fixture
def silent() -> Any:
    """Fail at any warning about data."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        yield


# ---------------------------------------------------------------- later tables


@pytest.mark.parametrize("name", ["VRAE", *HEADS])
def test_a_saved_model_reads_a_table_as_it_read_the_first(name, tmp_path, silent):
    table = sales()
    panel = read(table)
    fitted = make_estimator(name).fit(panel)
    expected = result(fitted, panel)
    for model in (fitted, saved(fitted, tmp_path)):
        np.testing.assert_allclose(result(model, table), expected, atol=1e-5)
        np.testing.assert_allclose(result(model, table.drop(columns="kind")), expected, atol=1e-5)
        further = table.assign(stock=1.5)[["price", "stock", "week", "kind", "qty", "product"]]
        np.testing.assert_allclose(result(model, further), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["VRAE", *HEADS])
def test_channels_are_matched_by_name(name, tmp_path, silent):
    panel = read(sales())
    turned = read(sales(), value=["price", "qty"])
    assert turned.channels == ("price", "qty")
    fitted = make_estimator(name).fit(panel)
    for model in (fitted, saved(fitted, tmp_path)):
        np.testing.assert_allclose(result(model, turned), result(fitted, panel), atol=1e-5)
        foreign = read(sales().rename(columns={"qty": "co2", "price": "pressure"}), value=["co2", "pressure"])
        with pytest.raises(InvalidDataError, match=r"lack the channels 'qty', 'price'.*have 'co2', 'pressure'"):
            result(model, foreign)
        with pytest.raises(InvalidDataError, match=r"fitted to 2 channels.*'qty', 'price'.*found 1 .*'qty'"):
            result(model, read(sales(), value="qty"))
        with pytest.raises(InvalidDataError, match="reads the column 'qty' as value"):
            result(model, sales().rename(columns={"qty": "co2"}))


def test_swapped_columns_of_a_plain_table_change_no_label():
    """Columns that nobody named are channels in the order of the table: a model keeps theirs."""
    names = {"product": "unique_id", "week": "ds", "qty": "temp", "price": "hum"}
    table = sales().rename(columns=names).drop(columns="kind")
    with pytest.warns(DataWarning, match="for channels"):
        clusterer = make_estimator("VRAEClusterer").fit(table)
    with pytest.warns(DataWarning, match="for channels"):
        detector = make_estimator("VRAEAnomalyDetector").fit(table)
    swapped = table[["unique_id", "ds", "hum", "temp"]]
    assert clusterer.predict(swapped).tolist() == clusterer.labels_.tolist()
    np.testing.assert_allclose(detector.score_samples(swapped), detector.score_samples(table), atol=1e-6)
    with pytest.raises(InvalidDataError, match="reads the column 'temp' as value"):
        clusterer.predict(table.rename(columns={"temp": "pressure", "hum": "co2"}))


def test_arrays_have_no_names_to_match():
    panel = read(sales())
    model = make_estimator("VRAE").fit(panel)
    X = np.stack(list(panel))
    with pytest.warns(DataWarning, match="no dates"):
        assert model.transform(X).shape == (12, 3)


WIDE_NAMES = {
    "numbered": [f"w{i}" for i in range(1, 25)],
    "dated": [str(d.date()) for d in pd.date_range("2024-01-01", periods=24)],
}


@pytest.mark.parametrize("names", WIDE_NAMES)
def test_columns_of_a_wide_table_may_come_in_another_order(names, tmp_path, small_series, silent):
    X = np.hstack([small_series("2d", 12), small_series("2d", 12)[:, :8]])
    wide = pd.DataFrame(X, columns=WIDE_NAMES[names])
    fitted = make_estimator("VRAE").fit(wide)
    for other in (wide[sorted(wide.columns)], wide[wide.columns[::-1]]):
        np.testing.assert_allclose(fitted.transform(other), fitted.embedding_, atol=1e-5)
        np.testing.assert_allclose(saved(fitted, tmp_path).transform(other), fitted.embedding_, atol=1e-5)
        np.testing.assert_allclose(make_estimator("VRAE").fit(other).embedding_, fitted.embedding_, atol=1e-5)
        (tmp_path / "model").rename(tmp_path / f"model-{other.columns[0]}")


def test_a_wide_table_may_have_other_ids_or_none(silent):
    wide = sales().pivot(index="product", columns="week", values="qty").reset_index()
    fitted = make_estimator("VRAE").fit(wide)
    without = wide.drop(columns="product")
    np.testing.assert_allclose(fitted.transform(without), fitted.embedding_, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"freq": "2w", "duplicates": "sum"},
        {"freq": timedelta(days=14), "duplicates": "mean"},
        {"fill": 0.0},
        {"align": "start"},
        {"freq": "1w", "fill": 0},
    ],
    ids=str,
)
def test_freq_fill_and_align_are_remembered(options, tmp_path, silent):
    table = sparse()
    panel = read(table, value="qty", **options)
    fitted = make_estimator("VRAE").fit(panel)
    model = saved(fitted, tmp_path)
    again = model.usable(table, model.reading_)[0]
    np.testing.assert_array_equal(again.values, panel.values)
    np.testing.assert_array_equal(again.times, panel.times)
    assert again.calendar == panel.calendar
    np.testing.assert_allclose(model.transform(table), fitted.embedding_, atol=1e-5)


def test_steps_and_numbers_of_other_libraries_can_be_saved(tmp_path):
    """Offsets of pandas, and numbers of NumPy, are not what JSON holds."""
    options = {"freq": pd.offsets.Week(weekday=0), "fill": np.int64(0), "missing": np.float32(-1)}
    fitted = make_estimator("VRAE").fit(read(sparse(), value="qty", **options))
    assert saved(fitted, tmp_path).reading_ == fitted.reading_
    numbers = sparse().assign(week=lambda t: t["week"].rank(method="dense").astype(int))
    fitted = make_estimator("VRAE").fit(read(numbers, value="qty", freq=np.int64(2), duplicates="sum"))
    assert saved_again(fitted, tmp_path).reading_ == fitted.reading_


def test_missing_is_remembered(tmp_path, silent):
    table = sales()
    table.loc[::9, "qty"] = -9999
    fitted = make_estimator("VRAE").fit(read(table, missing=-9999))
    assert np.isnan(read(table, missing=-9999).values).any()
    np.testing.assert_allclose(saved(fitted, tmp_path).transform(table), fitted.embedding_, atol=1e-5)


def test_steps_of_the_model_hold_for_a_table_too_small_to_show_them(tmp_path):
    """Two rows, two weeks apart: three weekly steps, of which one has no row."""
    fitted = make_estimator("VRAE").fit(read(sales()))
    few = sales().iloc[[0, 2]]
    panel = saved(fitted, tmp_path).usable(few, fitted.reading_)[0]
    assert panel.lengths.tolist() == [3]
    assert panel.calendar.freq == "W-MON"


def test_what_a_user_gives_later_counts():
    fitted = make_estimator("VRAE").fit(read(sales()))
    options = fitted.reading_.recalled(freq="1d")
    assert (options.freq, options.calendar, options.id, options.given) == ("1d", None, "product", ("freq",))


def test_weeks_of_a_zone_are_remembered(tmp_path, silent):
    table = sales(zone="Europe/Berlin", freq="D")
    fitted = make_estimator("VRAE").fit(read(table))
    assert fitted.calendar_.zone == "Europe/Berlin"
    model = saved(fitted, tmp_path)
    assert model.calendar_ == fitted.calendar_
    assert model.reading_ == fitted.reading_
    np.testing.assert_allclose(model.transform(table), fitted.embedding_, atol=1e-5)


def test_ids_of_several_columns_are_remembered(tmp_path, silent):
    table = sales().assign(shop=lambda t: t["product"].str[1:].astype(int) % 2)
    table["product"] = "p" + (table["product"].str[1:].astype(int) // 2).astype(str)
    fitted = make_estimator("VRAE").fit(read(table, id=["shop", "product"]))
    assert fitted.ids_[:3].tolist() == ["0/p0", "1/p0", "0/p1"]
    np.testing.assert_allclose(saved(fitted, tmp_path).transform(table), fitted.embedding_, atol=1e-5)
    indexed = table.set_index(["shop", "product", "week"])[["qty", "price"]]
    of_levels = make_estimator("VRAE").fit(indexed)
    np.testing.assert_allclose(saved_again(of_levels, tmp_path).transform(indexed), of_levels.embedding_, atol=1e-5)
    np.testing.assert_allclose(of_levels.embedding_, fitted.embedding_, atol=1e-5)


def saved_again(estimator: Any, folder: Path) -> Any:
    estimator.save(folder / "second")
    return load_model(folder / "second")


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_dated_tables_train_a_model_further(zone, silent):
    table = sales(zone=zone, freq="D")
    first, second = (table[table["product"].isin(ids)] for ids in (["p0", "p1", "p2", "p3"], ["p3", "p4", "p5"]))
    model = make_estimator("VRAE").partial_fit(read(first))
    model.partial_fit(second)  # read as the first
    assert model.ids_.tolist() == ["p0", "p1", "p2", "p3", "p4", "p5"]
    assert model.calendar_.freq == "D"
    assert model.calendar_.zone == zone
    assert model.transform(table).shape == (12, 3)


def test_channels_are_matched_by_name_when_training_goes_on():
    model = make_estimator("VRAE").partial_fit(read(sales()))
    later = sales().assign(product=lambda t: "q" + t["product"])
    model.partial_fit(read(later, value=["price", "qty"]))
    twins = model.embedding_.reshape(2, 12, -1)
    np.testing.assert_allclose(twins[0], twins[1], atol=1e-5)
    with pytest.raises(InvalidDataError, match="lack the channels"):
        model.partial_fit(read(later.rename(columns={"qty": "co2"}), value=["co2", "price"]))


# ---------------------------------------------------------------- later times that differ


def numbered() -> pd.DataFrame:
    return sales().assign(week=lambda t: t["week"].rank(method="dense").astype(int))


def test_dates_and_numbers_are_not_mixed_up():
    dated, counted = (make_estimator("VRAE").fit(read(table)) for table in (sales(), numbered()))
    with pytest.raises(InvalidDataError, match="are numbers, but those of the series of the model are dates"):
        dated.transform(numbered())
    with pytest.raises(InvalidDataError, match="are dates, but those of the series of the model are numbers"):
        counted.transform(sales())


def test_rows_within_the_steps_of_a_model_are_moved_and_this_is_said():
    """A model of weeks from Monday, and a table whose weeks begin on Wednesday."""
    fitted = make_estimator("VRAE").fit(read(sales()))
    wednesdays = sales().assign(week=lambda t: t["week"] + pd.Timedelta(days=2))
    with pytest.warns(DataWarning, match=r"moved to the steps of the series of the model: weekly \(Mondays\)"):
        Z = fitted.transform(wednesdays)
    np.testing.assert_allclose(Z, fitted.embedding_, atol=1e-5)


def test_times_without_a_zone_are_on_the_clock_of_the_model_and_this_is_said():
    zoned, plain = sales(zone="Asia/Tokyo", freq="D"), sales(freq="D")
    fitted = make_estimator("VRAE").fit(read(zoned))
    with pytest.warns(DataWarning, match="no zone. They are read on the clock of Asia/Tokyo"):
        panel = fitted.usable(plain, fitted.reading_)[0]
    np.testing.assert_array_equal(panel.times, read(zoned).times)
    fitted = make_estimator("VRAE").fit(read(plain))
    with pytest.warns(DataWarning, match="in Asia/Tokyo, but the series of the model have no zone"):
        panel = fitted.usable(zoned, fitted.reading_)[0]
    np.testing.assert_array_equal(panel.times, read(plain).times)
    assert panel.calendar.zone is None


def wide_sales(zone: str | None = None, freq: str = "D") -> pd.DataFrame:
    """Return one column per date, named in text as a csv names them."""
    table = sales(zone=zone, freq=freq)
    return table.assign(week=table["week"].astype(str)).pivot(index="product", columns="week", values="qty")


def test_dates_of_columns_are_on_the_clock_of_the_model_and_this_is_said():
    fitted = make_estimator("VRAE").fit(read(sales(zone="Asia/Tokyo", freq="D"), value="qty"))
    ids = np.argsort(fitted.ids_)
    with pytest.warns(DataWarning, match="no zone. They are read on the clock of Asia/Tokyo"):
        Z = fitted.transform(wide_sales().reset_index())
    np.testing.assert_allclose(Z, fitted.embedding_[ids], atol=1e-5)


def test_a_wide_table_given_to_the_model_of_a_long_one_can_be_reconstructed(silent):
    fitted = make_estimator("VRAE").fit(read(sales(freq="D"), value="qty"))
    wide = wide_sales().reset_index()
    cells = fitted.reconstruct(wide)
    assert cells.columns.tolist() == wide.columns.tolist()
    rows = fitted.reconstruct(sales(freq="D")).pivot(index="product", columns="week", values="qty")
    np.testing.assert_allclose(cells.iloc[:, 1:].to_numpy(float), rows.to_numpy(float), rtol=1e-5)


@pytest.mark.parametrize("kind", ["table", "panel"])
def test_days_are_those_of_the_zone_of_the_model(kind):
    """Databases keep the same moments in UTC: midnight in Berlin is 22:00 or 23:00 there."""
    table = sales(zone="Europe/Berlin", freq="D", weeks=100)
    fitted = make_estimator("VRAE").fit(read(table))
    moments = table.assign(week=table["week"].dt.tz_convert("UTC"))
    if kind == "panel":
        with pytest.warns(DataWarning, match="no regular step"):  # the clocks of Berlin change
            moments = read(moments)
    with pytest.warns(DataWarning, match=r"in UTC.*are in Europe/Berlin.*days of Europe/Berlin"):
        panel = fitted.open(moments)[0]
    expected = read(table)
    assert panel.calendar == expected.calendar
    np.testing.assert_array_equal(panel.times, expected.times)
    np.testing.assert_array_equal(panel.values, expected.values)


def test_times_of_a_panel_are_on_the_clock_of_the_model_and_this_is_said():
    zoned, plain = (read(sales(zone=zone, freq="h")) for zone in ("Asia/Kolkata", None))  # UTC + 5:30
    fitted = make_estimator("VRAE").fit(zoned)
    with pytest.warns(DataWarning, match="Times of the panel have no zone. They are read on the clock of Asia/Kolkata"):
        panel = fitted.open(plain)[0]
    assert panel.calendar == zoned.calendar
    np.testing.assert_array_equal(panel.times, zoned.times)
    fitted = make_estimator("VRAE").fit(plain)
    with pytest.warns(DataWarning, match="in Asia/Kolkata, but the series of the model have no zone"):
        panel = fitted.open(zoned)[0]
    assert panel.calendar == plain.calendar
    np.testing.assert_array_equal(panel.times, plain.times)


def test_a_panel_of_the_model_is_not_touched(silent):
    panel = read(sales(zone="Asia/Tokyo", freq="D"))
    fitted = make_estimator("VRAE").fit(panel)
    assert fitted.open(panel)[0].values is panel.values
    later = read(sales(zone="Asia/Tokyo", freq="D").assign(week=lambda t: t["week"] + pd.Timedelta(days=3)))
    opened = fitted.open(later)[0]
    assert opened.values is later.values
    assert opened.calendar == panel.calendar


@pytest.mark.filterwarnings("ignore:.* of the steps are outside the dates")
def test_longer_steps_than_those_of_the_model_are_said():
    fitted = make_estimator("VRAE").fit(read(sales(freq="D")))
    words = r"steps of these series are weekly \(Mondays\), but those of the series of the model are daily"
    with pytest.warns(DataWarning, match=f"{words}.*without a row are missing values"):
        fitted.transform(sales())
    with pytest.warns(DataWarning, match=f"{words}.*step by step"):
        fitted.transform(read(sales()))


def test_panels_of_dates_and_of_numbers_are_not_mixed_up():
    dated, counted = read(sales()), read(numbered())
    for first, other, words in ((dated, counted, "are numbers, but"), (counted, dated, "are dates, but")):
        with pytest.raises(InvalidDataError, match=words):
            make_estimator("VRAE").fit(first).transform(other)
        with pytest.raises(InvalidDataError, match=words):
            make_estimator("VRAE").partial_fit(first).partial_fit(other)
    with pytest.raises(InvalidDataError, match="dates and panels whose times are numbers"):
        join_panels([dated, counted])


def test_clock_and_universal_time_are_not_mixed_when_training_goes_on():
    zoned, plain = sales(zone="America/New_York", freq="D"), sales(freq="D")
    for first, other in ((zoned, plain), (plain, zoned)):
        model = make_estimator("VRAE").partial_fit(read(first))
        with pytest.warns(DataWarning, match="on the clock of America/New_York"):
            model.partial_fit(read(other.assign(product=lambda t: "q" + t["product"])))
        own, new = np.split(model.replay_buffer_.times, 2)
        np.testing.assert_array_equal(own, new)
        assert model.calendar_.zone == read(first).calendar.zone


def test_columns_far_away_do_not_fill_memory():
    fitted = make_estimator("VRAE").fit(read(sales(freq="h"), value="qty"))
    wide = wide_sales(freq="h").reset_index()
    with pytest.raises(InvalidDataError, match=r"would make .* steps from \d+ rows.*range from 2024.* to 2999"):
        fitted.transform(wide.rename(columns={wide.columns[-1]: "2999-01-01 00:00:00"}))


@pytest.mark.parametrize("options", [{}, {"fill": 0.0}, {"freq": "2w", "fill": 0.0, "duplicates": "sum"}])
def test_large_tables_are_read_in_parts_as_a_model_remembers(options, tmp_path, monkeypatch):
    """With fill=0, series that have ended go on to the end of the table, and not of its part."""
    table = sparse()
    table = table[(table["product"] > "p2") | (table["week"] < "2024-06-01")]
    table = table.sort_values("product", kind="stable")
    table.to_parquet(tmp_path / "table.parquet")
    fitted = make_estimator("VRAE").fit(read(table, value="qty", **options))
    whole = fitted.usable(table, fitted.reading_)[0]
    monkeypatch.setattr(stream, "_WHOLE_VALUES", 0)
    read_in_parts = stream_panels(tmp_path / "table.parquet", series_per_panel=2, remembered=fitted.reading_)
    parts = join_panels(list(read_in_parts))
    np.testing.assert_array_equal(parts.lengths, whole.lengths)
    np.testing.assert_array_equal(parts.values, whole.values)


# ---------------------------------------------------------------- forecasts


def forecaster() -> GroupForecaster:
    model = VRAE(max_epochs=1, latent_size=2, hidden_size=4)
    return GroupForecaster(3, 1, n_backtests=1, classical=False, model=model, random_state=0)


@pytest.mark.parametrize("zone", ["America/New_York", None])
def test_forecasts_have_dates_and_zone_also_after_loading(zone, tmp_path, silent):
    table = sales(zone=zone, freq="D")
    fitted = forecaster().fit(read(table, value="qty"))
    days = pd.date_range(table["week"].max(), periods=4, freq="D")[1:]
    model = saved(fitted, tmp_path)
    for one in (fitted, model):
        rows = one.predict_table(table)
        assert rows.columns[:2].tolist() == ["product", "step"]
        assert rows["week"].tolist() == days.tolist() * 12
        assert str(rows["week"].dt.tz) == str(zone)
        at_hand = one.predict_table()  # of a panel: a dict
        assert list(at_hand["time"][:3]) == (days.tolist() if zone else days.to_numpy().astype("M8[us]").tolist())
    np.testing.assert_allclose(model.predict(table), fitted.predict(table), rtol=1e-5)
    later = table[table["week"] < table["week"].max()]
    assert model.predict_table(later)["week"].iloc[0] == table["week"].max()


CALENDARS = {
    "business days": pd.bdate_range("2024-01-01", periods=40),
    "months of a zone": pd.date_range("2022-01-01", periods=30, freq="MS", tz="Europe/Berlin"),
    "a week missing for all": pd.date_range("2023-01-02", periods=40, freq="W-MON").delete(30),
    "last business days": pd.date_range("2021-01-31", periods=36, freq="BME"),
    "half-hours": pd.date_range("2024-01-01 00:15", periods=40, freq="30min"),
}


@pytest.mark.parametrize("name", CALENDARS)
def test_forecasts_of_any_calendar_have_dates(name, silent):
    stamps = CALENDARS[name]
    y = 10 + np.random.default_rng(0).standard_normal(8 * len(stamps))
    table = pd.DataFrame({"unique_id": np.repeat(list("abcdefgh"), len(stamps)), "ds": list(stamps) * 8, "y": y})
    fitted = forecaster().fit(table)
    if name == "a week missing for all":
        with pytest.warns(DataWarning, match="no value in any series"):
            rows = fitted.predict_table()
    else:
        rows = fitted.predict_table()
    freq = {"business days": "B", "months of a zone": "MS", "a week missing for all": "W-MON",
            "last business days": "BME", "half-hours": "30min"}[name]  # fmt: skip
    assert rows["ds"].tolist()[:3] == pd.date_range(stamps[-1], periods=4, freq=freq)[1:].tolist()


def test_numbers_that_are_weeks_and_months_go_on_as_dates(silent):
    for numbers, expected in (
        ([202400 + week for week in range(1, 53)], "2024-12-30"),  # and not 202453
        ([202300 + month for month in range(1, 13)] + [202401, 202402], "2024-03-01"),  # and not 202403
    ):
        n = len(numbers)
        y = 10 + np.random.default_rng(0).standard_normal(6 * n)
        table = pd.DataFrame({"unique_id": np.repeat(list("abcdef"), n), "ds": numbers * 6, "y": y})
        rows = forecaster().fit(table).predict_table()
        assert str(pd.Timestamp(rows["ds"].iloc[0]).date()) == expected


def test_a_forecast_without_regular_dates_was_warned_about():
    rng = np.random.default_rng(0)
    stamps = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.cumsum(rng.integers(3000, 90000, 30)), unit="s")
    table = pd.DataFrame({"unique_id": np.repeat(list("abcdef"), 30), "ds": list(stamps) * 6})
    with pytest.warns(DataWarning, match=r"no regular step.*freq="):
        fitted = forecaster().fit(table.assign(y=rng.standard_normal(180)))
    with pytest.warns(DataWarning, match="no times.*no regular step"):
        assert "ds" not in fitted.predict_table().columns


# ---------------------------------------------------------------- command line

FAST = ("--epochs", "1", "--quiet", "--device", "cpu")


def write(table: pd.DataFrame, folder: Path) -> Path:
    path = folder / "sales.csv"
    table.to_csv(path, index=False)
    return path


CASES: dict[str, tuple[Callable[[], pd.DataFrame], list[str], str]] = {
    "names": (lambda: sales().drop(columns="price"), [], "product"),
    "two channels": (sales, ["--value", "price"], "product"),
    "freq": (sparse, ["--freq", "2w", "--duplicates", "sum"], "product"),
    "fill": (sparse, ["--fill", "0"], "product"),
    "missing": (
        lambda: sales().drop(columns="price").assign(qty=lambda t: t["qty"].where(t.index % 7 > 0, -9999)),
        ["--missing", "-9999"],
        "product",
    ),
    "align": (sparse, ["--align", "start"], "product"),
    "joined ids": (
        lambda: (
            sales()
            .drop(columns=["kind", "price"])
            .assign(shop=lambda t: t["product"].str[1:].astype(int) % 2)
            .assign(product=lambda t: "p" + (t["product"].str[1:].astype(int) // 2).astype(str))
        ),
        ["--id", "shop"],
        "product/shop",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_commands_read_the_file_as_cluster_read_it(case, cli, tmp_path):
    build, options, name = CASES[case]
    path, run = write(build(), tmp_path), tmp_path / "run"
    names = ["--id", "product", "--time", "week", "--value", "qty"]
    done = cli("cluster", path, *names, *options, "--clusters", "2", *FAST, "--out", run)
    assert done.code == 0, done.err
    clusters = pd.read_csv(run / "clusters.csv")
    assert clusters.columns[0] == name or "id" in clusters.columns[0]
    again = tmp_path / "again.csv"
    done = cli("assign", path, "--model", run, "--out", again)
    assert done.code == 0, done.err
    assert pd.read_csv(again)["cluster"].tolist() == clusters["cluster"].tolist()
    vectors = tmp_path / "vectors.csv"
    assert cli("embed", path, "--model", run, "--out", vectors).code == 0
    np.testing.assert_allclose(
        pd.read_csv(vectors).filter(regex=r"^vrae\d+$").to_numpy(),
        load_model(run / "model").embedding_,
        atol=1e-4,
    )


def test_reports_and_explanations_read_the_file_as_cluster_read_it(cli, tmp_path):
    path, run = write(sparse(), tmp_path), tmp_path / "run"
    names = ["--id", "product", "--time", "week", "--value", "qty", "--freq", "1w", "--fill", "0"]
    assert cli("cluster", path, *names, "--clusters", "2", *FAST, "--out", run).code == 0
    for command in (("report", run), ("explain", run, "p3"), ("regroup", run, "--clusters", "3")):
        done = cli(*command)
        assert (done.code, "Warning" in done.err) == (0, False), (command, done.err)
    for table_command in ("similar", "anomalies"):
        plain, named = tmp_path / "plain.csv", tmp_path / "named.csv"
        assert cli(table_command, path, "--model", run, "--quiet", "--out", plain).code == 0
        assert cli(table_command, path, *names, "--model", run, "--quiet", "--out", named).code == 0
        assert plain.read_text() == named.read_text()


def test_anomalies_and_forecasts_are_the_same_with_a_saved_model(cli, tmp_path):
    path = write(sparse(), tmp_path)
    names = ["--id", "product", "--time", "week", "--value", "qty", "--fill", "0"]
    for command, more in (("anomalies", []), ("forecast", ["--horizon", "3", "--no-classical", "--clusters", "1"])):
        first, second = tmp_path / f"{command}1.csv", tmp_path / f"{command}2.csv"
        model = tmp_path / command
        done = cli(command, path, *names, *more, *FAST, "--save", model, "--out", first)
        assert done.code == 0, (command, done.err)
        done = cli(command, path, "--model", model, "--out", second)
        assert done.code == 0, (command, done.err)
        found, expected = pd.read_csv(second), pd.read_csv(first)
        assert found.columns.tolist() == expected.columns.tolist()
        numbers = expected.select_dtypes("number").columns
        np.testing.assert_allclose(found[numbers], expected[numbers], rtol=1e-3, atol=1e-4)


def test_three_lines_say_what_was_read(cli, tmp_path):
    path = write(sparse(), tmp_path)
    names = ["--id", "product", "--time", "week", "--value", "qty"]
    options = [option for option in FAST if option != "--quiet"]
    done = cli("cluster", path, *names, "--clusters", "2", *options, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    assert "14 series of 56 to 59 steps, named by product" in done.err + done.out
    assert "Weekly (Mondays), 2024-01-01 to 2025-02-17" in done.err + done.out
    assert "of weeks have no row" in done.err + done.out


def test_a_run_says_in_json_how_its_table_was_read(cli, tmp_path):
    path, run = write(sparse(), tmp_path), tmp_path / "run"
    names = ["--id", "product", "--time", "week", "--value", "qty", "--fill", "0"]
    assert cli("cluster", path, *names, "--clusters", "2", *FAST, "--out", run).code == 0
    (config,) = run.rglob("config.json")
    reading = json.loads(config.read_text())["model"]["reading"]
    assert (reading["id"], reading["time"], reading["value"], reading["fill"]) == ("product", "week", ["qty"], 0)
    assert reading["calendar"]["freq"] == "W-MON"


def test_options_given_later_count_more_than_remembered_ones(cli, tmp_path):
    path, run = write(sales().drop(columns="price"), tmp_path), tmp_path / "run"
    names = ["--id", "product", "--time", "week", "--value", "qty"]
    assert cli("cluster", path, *names, "--clusters", "2", *FAST, "--out", run).code == 0
    renamed = tmp_path / "renamed.csv"
    sales().drop(columns="price").rename(columns={"product": "sku", "week": "monday"}).to_csv(renamed, index=False)
    done = cli("assign", renamed, "--model", run, "--out", tmp_path / "a.csv")
    assert done.code == 2
    assert "'product'" in done.err
    done = cli("assign", renamed, "--model", run, "--id", "sku", "--time", "monday", "--out", tmp_path / "a.csv")
    assert done.code == 0, done.err
    labels = pd.read_csv(tmp_path / "a.csv")
    assert labels["cluster"].tolist() == pd.read_csv(run / "clusters.csv")["cluster"].tolist()
