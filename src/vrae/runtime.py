"""Where and how the tensors run: device, precision and random numbers that are nobody else's."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state

from vrae.exceptions import InvalidParameterError, did_you_mean

__all__ = ["autocast", "resolve_device", "seed_of", "torch_generator"]


def resolve_device(device: str | torch.device) -> torch.device:
    """Turn ``"auto"`` (CUDA if there is one, else the CPU) or a device's name into a device.

    Raises
    ------
    InvalidParameterError
        Unknown, or not available on this machine.
    """
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError):
        known = ("auto", "cpu", "cuda", "mps")
        raise InvalidParameterError(f"device: unknown value {device!r}.{did_you_mean(str(device), known)}") from None
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(resolved.type, False):
        raise InvalidParameterError(
            f"device={str(device)!r} is not available on this machine. Use device='auto' or device='cpu'."
        )
    return resolved


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Return the context in which matrix products run at ``precision``; weights stay float32."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=getattr(torch, precision))


def seed_of(random_state: int | np.random.RandomState | None) -> int:
    """Draw one seed from scikit-learn's ``random_state``; an int always gives the same one."""
    if random_state is None:  # scikit-learn would draw from numpy's global state, which is not ours to move
        return int(np.random.default_rng().integers(2**31))
    try:
        return int(check_random_state(random_state).randint(2**31))
    except ValueError as error:
        raise InvalidParameterError(f"random_state: {error}") from None


def torch_generator(seed: int, device: torch.device | None = None) -> torch.Generator:
    """Return a generator of its own; the global random state of torch is never touched."""
    return torch.Generator(device=device or torch.device("cpu")).manual_seed(seed)
