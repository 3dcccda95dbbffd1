"""Seconds an epoch of the classic network: compared with a plain textbook loop.

    python benchmarks/speed/classic.py [--data FOLDER] [--epochs 5] [--rounds 5] [--threads 1]

Both train the same network (LSTM 90, latent 20, Adam 5e-4, batches of 32) on the same series.
Without the ECG5000 data set the series are noise of the same size (500 x 140): speed does not
depend on the values.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings

import numpy as np
import torch
from torch import nn

from vrae import VRAE, load_example
from vrae.exceptions import DatasetUnavailableError, VRAEWarning


class TextbookVRAE(nn.Module):
    """The classic network, written line by line as in the paper."""

    def __init__(self, hidden: int = 90, latent: int = 20) -> None:
        super().__init__()
        self.encoder = nn.LSTM(1, hidden)
        self.mean, self.log_variance = nn.Linear(hidden, latent), nn.Linear(hidden, latent)
        self.to_hidden, self.to_cell = nn.Linear(latent, hidden), nn.Linear(latent, hidden)
        self.decoder = nn.LSTM(1, hidden)
        self.output = nn.Linear(hidden, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        _, (h_end, _) = self.encoder(x)  # x: (time, batch, 1)
        mean, log_variance = self.mean(h_end[-1]), self.log_variance(h_end[-1])  # (batch, latent)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        state = (self.to_hidden(z)[None], self.to_cell(z)[None])  # each (1, batch, hidden)
        decoded, _ = self.decoder(torch.zeros_like(x), state)
        return self.output(decoded), mean, log_variance


def textbook_seconds(X: np.ndarray, epochs: int) -> float:
    torch.manual_seed(0)
    data = torch.utils.data.TensorDataset(torch.from_numpy(X).float()[:, :, None])
    loader = torch.utils.data.DataLoader(data, batch_size=32, shuffle=True)
    model = TextbookVRAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4)
    started = time.perf_counter()
    for _ in range(epochs):
        for (batch,) in loader:
            x = batch.permute(1, 0, 2)
            decoded, mean, log_variance = model(x)
            kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum()
            loss = (nn.functional.mse_loss(decoded, x, reduction="sum") + kl) / len(batch)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
    return (time.perf_counter() - started) / epochs


def our_seconds(X: np.ndarray, epochs: int) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VRAEWarning)  # a few epochs of the classic network have learned nothing yet
        model = VRAE.classic(max_epochs=epochs, random_state=0).fit(X)
    return sum(record["seconds"] for record in model.history_) / epochs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with ucr/ECG5000; default: VRAE_DATA")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="of the plain loop; ours takes one"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    try:
        panel, _ = load_example("ECG5000", data_dir=options.data, split="train")
        X = panel.to_padded()[:, 0]
    except DatasetUnavailableError:
        X = np.random.default_rng(0).standard_normal((500, 140)).astype(np.float32)
    textbook_seconds(X, 1), our_seconds(X, 1)  # warm up
    pairs = [(our_seconds(X, options.epochs), textbook_seconds(X, options.epochs)) for _ in range(options.rounds)]
    row = {
        "benchmark": "classic network, seconds an epoch",
        "series": X.shape,
        "textbook_threads": options.threads,
        "ours_s": round(statistics.median(a for a, _ in pairs), 4),
        "textbook_s": round(statistics.median(b for _, b in pairs), 4),
        "ratio_textbook_over_ours": round(statistics.median(b / a for a, b in pairs), 3),
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()
