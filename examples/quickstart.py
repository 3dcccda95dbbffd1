"""Cluster real series, look at the result, save the model, assign new series.

python examples/quickstart.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from vrae import VRAEClusterer, load_example, load_model
from vrae.metrics import agreement


def main() -> None:
    panel, species = load_example("OSULeaf", split="train")  # 200 outlines of leaves, six species
    new, new_species = load_example("OSULeaf", split="test")

    clusterer = VRAEClusterer(n_clusters=6, random_state=0).fit(panel)
    print(panel)
    print("agreement with the species:", agreement(species, clusterer.labels_))

    with tempfile.TemporaryDirectory() as folder:
        clusterer.save(Path(folder) / "model")
        same = load_model(Path(folder) / "model")
    labels = same.predict(new)
    probabilities = same.predict_proba(new)
    print("new series:", agreement(new_species, labels))
    for row in range(3):
        print(f"  series {new.ids[row]}: cluster {labels[row]}, probability {probabilities[row].max():.2f}")


if __name__ == "__main__":
    main()
