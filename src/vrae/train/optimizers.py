"""Optimizers of torch, without its compiler.

Every optimizer imports ``torch._dynamo`` the first time it is used, to keep the compiler away from
its methods. That takes a second or two of the first fit of a process, and nothing here is compiled.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import SGD, Adam, Optimizer

__all__ = ["EagerAdam", "EagerSGD"]


def _plainly(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of an optimizer without torch's wrappers around it."""
    bare = inspect.unwrap(method)

    def plain(self: Optimizer, *args: Any, **options: Any) -> Any:
        with torch.no_grad():  # one of the wrappers
            return bare(self, *args, **options)

    return plain


class _Eager:
    """The methods of `torch.optim.Optimizer` that would import the compiler."""

    add_param_group = _plainly(Optimizer.add_param_group)
    zero_grad = _plainly(Optimizer.zero_grad)
    state_dict = _plainly(Optimizer.state_dict)
    load_state_dict = _plainly(Optimizer.load_state_dict)


class EagerAdam(_Eager, Adam):
    """`torch.optim.Adam`."""

    step = _plainly(Adam.step)


class EagerSGD(_Eager, SGD):
    """`torch.optim.SGD`."""

    step = _plainly(SGD.step)
