"""Model directories: everything is saved, and damaged directories are refused."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from conftest import KINDS, make_estimator
from vrae import VRAE, Panel, load_model
from vrae.exceptions import ModelFileError, NotFittedError, OutputError
from vrae.io.migrations import FORMAT_VERSION

pytestmark = pytest.mark.filterwarnings("ignore::vrae.exceptions.PosteriorCollapseWarning")

CLASSES = ("VRAE", "VRAEClusterer", "VRAEAnomalyDetector", "VRAENeighbors")


@pytest.fixture
def folder(tmp_path: Path, fitted: Any) -> Path:
    """Return a saved clusterer, which a test may damage."""
    saved: Path = fitted("VRAEClusterer").save(tmp_path / "model")
    return saved


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def edit(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def edit_model(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    edit(folder, model={**config["model"], **changes})


def edit_network(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    edit_model(folder, network={**config["model"]["network"], **changes})


def change_array(folder: Path, name: str, change: Any) -> None:
    """Change one array, and the checksum."""
    arrays = safetensors.numpy.load_file(folder / "weights.safetensors")
    arrays[name] = change(arrays[name])
    safetensors.numpy.save_file(arrays, folder / "weights.safetensors")
    sign(folder)


def sign(folder: Path) -> None:
    edit(folder, weights_sha256=hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest())


def flip_a_bit(folder: Path) -> None:
    content = bytearray((folder / "weights.safetensors").read_bytes())
    content[-5] ^= 1
    (folder / "weights.safetensors").write_bytes(content)


# ---------------------------------------------------------------- saving and loading


def options_of(estimator: Any) -> dict[str, Any]:
    """Return the options of an estimator and of its model, except the seed of the model."""
    options = estimator.get_params()
    return {name: value for name, value in options.items() if name not in ("model", "model__random_state")}


def results_of(estimator: Any, X: Any) -> dict[str, Any]:
    """Return everything that a fitted estimator knows, and says of series."""
    model = getattr(estimator, "model_", estimator)
    found = {
        "transform": model.transform(X),
        "score_samples": model.score_samples(X),
        "sample": model.sample(2, random_state=0),
        **{name: getattr(estimator, name) for name in ("embedding_", "ids_")},
    }
    if type(estimator).__name__ == "VRAEClusterer":
        found |= {"labels_": estimator.labels_, "predict_proba": estimator.predict_proba(X)}
    elif type(estimator).__name__ == "VRAEAnomalyDetector":
        found |= {"scores_": estimator.scores_, "offset_": estimator.offset_, "score": estimator.score_samples(X)}
    elif type(estimator).__name__ == "VRAENeighbors":
        found |= {"kneighbors": np.stack(estimator.kneighbors(X)), "similar": estimator.similar(X).lag}
    return found


@pytest.mark.parametrize("name", CLASSES)
def test_a_loaded_estimator_knows_what_the_saved_one_knew(name, small_series, fitted, tmp_path):
    for kind in KINDS:
        estimator, X = fitted(name, kind), small_series(kind)
        assert estimator.save(tmp_path / kind) == tmp_path / kind
        again = load_model(tmp_path / kind)
        assert type(again) is type(estimator)
        assert options_of(again) == options_of(estimator)
        expected = results_of(estimator, X)
        for result, found in results_of(again, X).items():
            np.testing.assert_array_equal(found, expected[result], err_msg=f"{kind}: {result}")
        model, same = (getattr(e, "model_", e) for e in (estimator, again))
        assert same.history_ == model.history_
        assert same.active_units_ == model.active_units_
        assert getattr(again, "selection_", []) == getattr(estimator, "selection_", [])


def test_whoever_may_read_one_file_may_read_the_other(folder):
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1


@pytest.mark.parametrize("clusterer", ["gmm", "kmeans", "ward", "hdbscan"])
def test_every_kind_of_partition_is_saved(clusterer, small_series, fitted, tmp_path):
    model = fitted("VRAEClusterer", clusterer=clusterer)
    again = load_model(model.save(tmp_path / "model"))
    X = small_series("2d", 9, seed=5)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("options", [{"pattern_weight": 1.0}, {"scaling": "channel"}, {"max_lag": 3}], ids=str)
def test_everything_learned_in_addition_to_the_weights_is_saved(options, small_series, fitted, tmp_path):
    model, X = fitted("VRAE", **options), small_series("2d", 5, seed=5)
    again = load_model(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    np.testing.assert_array_equal(again.reconstruct(X), model.reconstruct(X))
    np.testing.assert_array_equal(again.lags(X), model.lags(X))


def test_another_process_gives_the_same_clusters(folder, small_series, fitted, tmp_path):
    X = small_series("2d", 9, seed=5)
    np.save(tmp_path / "X.npy", X)
    code = (
        "import sys, numpy as np, vrae\n"
        "model = vrae.load_model(sys.argv[1])\n"
        "print(*model.predict(np.load(sys.argv[2])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, folder, tmp_path / "X.npy"], capture_output=True, text=True, check=True
    )
    assert [int(label) for label in done.stdout.split()] == fitted("VRAEClusterer").predict(X).tolist()


def test_a_model_directory_holds_two_plain_files(folder):
    assert sorted(files(folder)) == ["config.json", "weights.safetensors"]
    config = json.loads((folder / "config.json").read_text())
    assert config["format_version"] == FORMAT_VERSION
    assert config["class"] == "VRAEClusterer"
    weights = (folder / "weights.safetensors").read_bytes()
    header = json.loads(weights[8 : 8 + int.from_bytes(weights[:8], "little")])
    assert "model.embedding" in header


def test_a_model_with_objects_as_options_can_be_saved_and_used(small_series, tmp_path):
    import torch
    from sklearn.cluster import BisectingKMeans

    own = {"reconstruction_loss": torch.nn.HuberLoss(), "random_state": np.random.RandomState(0), "callbacks": []}
    clusterer = make_estimator("VRAEClusterer", clusterer=BisectingKMeans(), **own).fit(small_series("2d"))
    again = load_model(clusterer.save(tmp_path / "model"))
    X = small_series("2d", 5, seed=5)
    np.testing.assert_array_equal(again.predict(X), clusterer.predict(X))
    assert "HuberLoss" in (tmp_path / "model" / "config.json").read_text()


@pytest.mark.parametrize(
    "ids",
    [
        [f"s{i}" for i in range(12)],
        np.arange(12) * 10**12,
        np.arange(12) / 8,
        np.arange("2024-01-01", "2024-01-13", dtype="datetime64[D]"),
    ],
    ids=["text", "large numbers", "fractions", "dates"],
)
def test_ids_of_every_kind_are_saved(ids, small_series, tiny, tmp_path):
    model = VRAE(**{**tiny, "max_epochs": 1}).fit(Panel.from_arrays(small_series("2d"), ids))
    again = load_model(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.ids_, model.ids_)


def test_loaded_models_can_be_saved_and_moved(folder, tmp_path, small_series):
    second = load_model(folder).save(tmp_path / "a" / "b" / "model")
    shutil.move(second, tmp_path / "moved")
    X = small_series("2d")
    np.testing.assert_array_equal(load_model(str(tmp_path / "moved")).predict(X), load_model(folder).predict(X))


# ---------------------------------------------------------------- damage


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def poison(folder: Path) -> None:
    arrays = safetensors.numpy.load_file(folder / "weights.safetensors")
    arrays["model.network.output.linear.bias"] = np.full_like(arrays["model.network.output.linear.bias"], np.nan)
    safetensors.numpy.save_file(arrays, folder / "weights.safetensors")


def swap(folder: Path) -> None:
    arrays = safetensors.numpy.load_file(folder / "weights.safetensors")
    arrays["model.network.output.linear.bias"] = np.zeros(17, np.float32)
    safetensors.numpy.save_file(arrays, folder / "weights.safetensors")


def forget(folder: Path) -> None:
    arrays = safetensors.numpy.load_file(folder / "weights.safetensors")
    del arrays["model.embedding"]
    safetensors.numpy.save_file(arrays, folder / "weights.safetensors")


DAMAGE = {
    "corrupt json": (lambda f: (f / "config.json").write_text("{"), ["config.json", "damaged"]),
    "not text": (lambda f: (f / "config.json").write_bytes(b"\x80\xff\x00"), ["config.json", "damaged"]),
    "empty json": (lambda f: (f / "config.json").write_text("{}"), ["config.json", "format_version"]),
    "json list": (lambda f: (f / "config.json").write_text("[]"), ["config.json"]),
    "no class": (lambda f: (f / "config.json").write_text('{"format_version": 1}'), ["class"]),
    "truncated weights": (lambda f: truncate(f / "weights.safetensors"), ["weights.safetensors", "damaged"]),
    "empty weights": (lambda f: (f / "weights.safetensors").write_bytes(b""), ["weights.safetensors"]),
    "no weights": (lambda f: (f / "weights.safetensors").unlink(), ["weights.safetensors is not there"]),
    "misspelt class": (lambda f: edit(f, **{"class": "VRAEClusterr"}), ["'VRAEClusterr'", "'VRAEClusterer'?"]),
    "foreign class": (lambda f: edit(f, **{"class": "os.system"}), ["'os.system'", "Known: VRAE"]),
    "newer format": (lambda f: edit(f, format_version=99), ["99", f"reads up to {FORMAT_VERSION}", "vrae 0"]),
    "format of text": (lambda f: edit(f, format_version="1"), ["'1'"]),
    "NaN weights": (poison, ["not finite", "model.network.output.linear.bias"]),
    "other shape": (swap, ["do not fit together", "output.linear.bias"]),
    "missing array": (forget, ["do not fit together", "embedding"]),
    "no model": (lambda f: edit(f, model=None), ["not as vrae writes it", "model"]),
    "no network": (lambda f: edit_model(f, network=None), ["model.network: NetworkConfig"]),
    "impossible network": (lambda f: edit_model(f, network={"cell": "gru"}), ["model.network: NetworkConfig"]),
    "no scaler": (lambda f: edit_model(f, scaler={}), ["not as vrae writes it", "model.scaler"]),
    "options of text": (lambda f: edit(f, options="many"), ["not as vrae writes it", "options"]),
    "model options of text": (lambda f: edit_model(f, options="many"), ["not as vrae writes it", "model.options"]),
    "unknown model option": (
        lambda f: edit_model(f, options={"latentsize": 3}),
        ["key 'latentsize'", "'latent_size'?"],
    ),
    "one flipped bit": (flip_a_bit, ["weights.safetensors", "damaged, or another model's"]),
    "a network of gigabytes": (lambda f: edit_network(f, hidden_size=60_000), ["do not fit together", "shape"]),
    "a key of another program": (lambda f: edit(f, theme="dark"), ["unknown key 'theme'"]),
    "deep json": (lambda f: (f / "config.json").write_text("[" * 100_000), ["config.json", "damaged"]),
    "a network of terabytes": (lambda f: edit_network(f, hidden_size=10**6), ["hidden_size must be at most 65,536"]),
    "a network of more memory than exists": (lambda f: edit_network(f, hidden_size=10**12), ["must be at most 65,536"]),
    "endless layers": (lambda f: edit_network(f, num_layers=10**9), ["num_layers must be at most 64"]),
    "ids of gigabytes": (lambda f: edit_model(f, ids_type="S1000000000"), ["model.ids_type must be a type of ids"]),
    "too few ids": (lambda f: edit_model(f, ids=[1]), ["do not fit together", "embedding"]),
    "a folder for weights": (
        lambda f: ((f / "weights.safetensors").unlink(), (f / "weights.safetensors").mkdir()),
        ["weights.safetensors is not there"],
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_directories_are_refused(damage, folder):
    do_damage, words = DAMAGE[damage]
    do_damage(folder)
    with pytest.raises(ModelFileError) as caught:
        load_model(folder)
    assert [word for word in [str(folder), *words] if word not in str(caught.value)] == []


@pytest.mark.parametrize("name", CLASSES)
def test_arrays_of_another_shape_are_refused(name, fitted, tmp_path):
    folder = fitted(name).save(tmp_path / "model")
    before = files(folder)
    accepted = []
    for array in safetensors.numpy.load_file(folder / "weights.safetensors"):
        for change in (lambda a: a[..., None][:0], lambda a: np.stack([a, a])):  # empty, and doubled
            change_array(folder, array, change)
            try:
                load_model(folder)
                accepted.append(array)
            except ModelFileError as error:
                assert "do not fit together" in str(error)  # noqa: PT017
            for file, content in before.items():
                (folder / file).write_bytes(content)
    assert accepted == []
    load_model(folder)


def test_weights_of_another_model_are_refused(folder, small_series, tmp_path):
    other = make_estimator("VRAEClusterer", random_state=1).fit(small_series("2d")).save(tmp_path / "other")
    shutil.copy(other / "weights.safetensors", folder / "weights.safetensors")
    with pytest.raises(ModelFileError, match="another model's"):
        load_model(folder)


def test_an_impossibly_large_config_is_not_read(folder, monkeypatch):
    monkeypatch.setattr("vrae.io.folder._LARGEST_CONFIG", 100)
    monkeypatch.setattr("vrae.io.folder._BYTES_PER_ID", 1)
    with pytest.raises(ModelFileError, match=r"config.json is not vrae's: no model needs [\d,]+ bytes"):
        load_model(folder)


def test_names_cannot_lead_out_of_the_folder(folder, tmp_path):
    """Names in the files never become a path, a module or an attribute."""
    for evil in ("../../escaped", "/tmp/escaped", "os.system", "__reduce__"):
        arrays = safetensors.numpy.load_file(folder / "weights.safetensors")
        safetensors.numpy.save_file({**arrays, evil: np.zeros(3)}, folder / "weights.safetensors")
        sign(folder)
        with pytest.raises(ModelFileError, match=f"holds arrays that no VRAEClusterer has: '{re.escape(evil)}'"):
            load_model(folder)
        safetensors.numpy.save_file(arrays, folder / "weights.safetensors")
        sign(folder)
        before = (folder / "config.json").read_bytes()
        for damage in (
            lambda evil=evil: edit(folder, options={evil: "x"}),
            lambda evil=evil: edit(folder, **{evil: "x"}),
            lambda evil=evil: edit_model(folder, options={"device": evil}),
            lambda evil=evil: edit_model(folder, options={"precision": evil}),
        ):
            damage()
            with pytest.raises(ModelFileError, match="is not as vrae writes it"):
                load_model(folder)
            (folder / "config.json").write_bytes(before)
    edit(folder, options={"clusterer": "os.system"})  # the name of an object that was an option
    assert load_model(folder).clusterer == "os.system"  # text, and nothing else
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_loading_runs_nothing(folder, tmp_path):
    """Python's audit events report what is written, compiled, started or unpickled."""
    code = """if True:
        import sys, vrae, vrae.estimators.clusterer, vrae.estimators.loading, safetensors.numpy
        seen = []
        forbidden = ("exec", "compile", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork",
                     "pickle.find_class", "marshal.loads", "socket.connect", "ctypes.dlopen", "os.remove", "os.rename")
        def note(event, arguments):
            if event in forbidden or (event == "open" and arguments[1] not in (None, "r", "rb")):
                seen.append((event, str(arguments)[:80]))
        vrae.load_model(sys.argv[1])  # imports everything that it needs
        sys.addaudithook(note)
        vrae.load_model(sys.argv[1])
        print(seen)
    """
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_other_files_and_folders_are_refused(tmp_path, folder):
    with pytest.raises(ModelFileError, match="no such folder"):
        load_model(tmp_path / "nothing")
    with pytest.raises(ModelFileError, match="not a vrae model"):
        load_model(folder / "config.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelFileError, match=r"config.json is not there"):
        load_model(tmp_path / "empty")
    assert type(load_model(folder.parent)) is type(load_model(folder))  # as the folder of a run


def test_a_pickle_is_never_read(folder):
    import pickle

    class Bomb:
        def __reduce__(self):
            return (os.system, ("touch exploded",))

    (folder / "weights.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ModelFileError):
        load_model(folder)
    assert not Path("exploded").exists()


# ---------------------------------------------------------------- writing


def test_an_unfitted_model_cannot_be_saved(tmp_path):
    with pytest.raises(NotFittedError, match=r"not fitted.*fit"):
        VRAE().save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_an_older_model_is_replaced(folder, fitted):
    fitted("VRAE").save(folder)
    assert type(load_model(folder)) is VRAE
    assert sorted(p.name for p in folder.parent.iterdir()) == ["model"]


def test_other_files_and_folders_are_not_overwritten(tmp_path, fitted):
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter.txt").write_text("years of work")
    for target in (other, other / "chapter.txt"):
        with pytest.raises(OutputError, match=r"not a model directory"):
            fitted("VRAE").save(target)
    assert files(tmp_path) == {"thesis/chapter.txt": b"years of work"}


def test_a_folder_that_only_looks_like_a_model_is_not_overwritten(tmp_path, fitted):
    other = tmp_path / "app"
    other.mkdir()
    (other / "config.json").write_text('{"theme": "dark"}')
    (other / "notes.txt").write_text("mine")
    with pytest.raises(OutputError):
        fitted("VRAE").save(other)
    assert (other / "notes.txt").read_text() == "mine"


def test_an_empty_folder_is_used(tmp_path, fitted):
    (tmp_path / "model").mkdir()
    fitted("VRAE").save(tmp_path / "model")
    assert sorted(files(tmp_path)) == ["model/config.json", "model/weights.safetensors"]


def test_a_parent_that_is_a_file_is_named(tmp_path, fitted):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(OutputError, match="notes"):
        fitted("VRAE").save(tmp_path / "notes" / "model")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left.*Free some space"),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
        (KeyboardInterrupt(), None),
    ],
    ids=["disk full", "no permission", "Ctrl-C"],
)
def test_a_failed_save_leaves_what_was_there(error, words, tmp_path, fitted, monkeypatch):
    fitted("VRAE").save(tmp_path / "old" / "model")
    (tmp_path / "new").mkdir()
    before = files(tmp_path)

    def fail(*args: Any, **options: Any) -> None:
        Path(args[1]).write_bytes(b"half")
        raise error

    monkeypatch.setattr(safetensors.numpy, "save_file", fail)
    for folder in ("old", "new"):  # in place of an older model, and of nothing
        with pytest.raises(OutputError if words else KeyboardInterrupt, match=words):
            fitted("VRAEClusterer").save(tmp_path / folder / "model")
    assert files(tmp_path) == before
    assert list((tmp_path / "new").iterdir()) == []
    assert [p.name for p in (tmp_path / "old").iterdir()] == ["model"]
