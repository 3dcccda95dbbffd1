"""Write the model directory of the present version, with series and what it says of them.

    python tests/saved_models/make.py

Run once a format version, when that version is released: later code must open the directory, not write it anew.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vrae import VRAEClusterer
from vrae.persistence import FORMAT_VERSION

HERE = Path(__file__).parent


def series() -> np.ndarray:
    """Sines of two periods in two channels, with gaps: (24, 2, 30)."""
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 2 * np.pi, (24, 1, 1))
    period = np.where(np.arange(24) % 2, 6.0, 15.0)[:, None, None]
    X = np.sin(2 * np.pi * np.arange(30) / period + phase + np.array([0.0, 1.0])[:, None])
    X += 0.1 * rng.standard_normal(X.shape)
    X[rng.random(X.shape) < 0.05] = np.nan
    return X.astype(np.float32)


def main() -> None:
    X = series()
    model = VRAEClusterer(2, latent_size=3, hidden_size=8, max_epochs=40, max_lag=5, random_state=0, device="cpu").fit(
        X
    )
    folder = HERE / f"v{FORMAT_VERSION}"
    model.save(folder / "model")
    np.savez_compressed(
        folder / "expected.npz", X=X, labels=model.labels_, embedding=model.embedding_, bound=model.score_samples(X)
    )
    print(folder, np.bincount(model.labels_), model.labels_)


if __name__ == "__main__":
    main()
