"""A small LSTM layer on the CPU, with loops of our own for its steps (`vrae.nn.steps`).

The numbers are torch's but for rounding (Hochreiter & Schmidhuber 1997, with forget gates), and take half the time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor, nn

from vrae.nn.layout import Layout
from vrae.nn.workshop import Workshop

__all__ = ["lstm", "suits"]

# A wider layer's weights do not fit into the cache, and torch's own kernel shares the work among threads.
_WIDEST = 128

# Rows come in groups of eight; fewer series than this are quicker one by one.
_FEWEST = 5


def suits(cell: nn.Module, x: Tensor) -> TypeGuard[nn.LSTM]:
    """Say whether a layer is a case for `lstm`."""
    from numba import config

    return (
        isinstance(cell, nn.LSTM)
        and cell.hidden_size <= _WIDEST
        and len(x) >= _FEWEST
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.onnx.is_in_onnx_export()
        and not config.DISABLE_JIT
    )


def lstm(
    cell: nn.LSTM,
    x: Tensor,
    at_end: Tensor,
    first: tuple[Tensor, ...] | None,
    kept: Tensor | None,
    whole: bool,
    workshop: Workshop,
) -> tuple[Tensor | None, Tensor]:
    """Run a layer of one direction.

    Parameters
    ----------
    cell : torch.nn.LSTM
        Holds the weights.
    x : Tensor, shape (batch, time, input)
    at_end : Tensor of int64, shape (batch,)
        The last step of each series.
    first : tuple of two Tensor, shape (batch, hidden), optional
        Hidden state and cell before the first step, default: zeros.
    kept : Tensor, shape (batch, 1, hidden), optional
        What the outputs are multiplied with; the last ones are not.
    whole : bool
        Return all outputs.
    workshop : Workshop
        For passes that will be gone back through. One result does not depend on another, nor on the threads.

    Returns
    -------
    outputs : Tensor, shape (batch, time, hidden), or None
    last : Tensor, shape (batch, hidden)
        The hidden state after the last step of each series.
    """
    h, c = first or 2 * (x.new_zeros(len(x), cell.hidden_size),)
    weights = (cell.weight_ih_l0, cell.weight_hh_l0, cell.bias_ih_l0, cell.bias_hh_l0)
    tensors = (x, h, c, *weights)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return _LSTM.apply(*tensors, at_end, kept, whole, workshop)  # type: ignore[no-untyped-call]
    layout = Layout.of(x, cell.hidden_size)
    state, one_cell, no_gates = (x.new_empty(s) for s in (layout.state, (1, layout.rows, layout.units), (0, 0, 0)))
    _go(layout, tensors, (state, one_cell, no_gates), Workshop())
    return layout.outputs(state, kept) if whole else None, layout.last(state, at_end)


class _LSTM(torch.autograd.Function):
    """The layer and its gradients. Its memory is its workshop's, and goes back there after the way back."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> tuple[Tensor | None, Tensor]:
        *tensors, at_end, kept, whole, workshop = given
        x, h, _, of_input, of_hidden, *_ = tensors
        layout = Layout.of(x, h.shape[1])
        n, rows, units = layout.n_steps, layout.rows, layout.units
        shapes = layout.state, (n + 1, rows, units), (n, rows, 4 * units), layout.state
        memory, (state, cells, gates, of_state) = workshop.take(x, *shapes)
        _go(layout, tensors, (state, cells, gates), workshop)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(at_end, kept, of_input, of_hidden)
        ctx.layout, ctx.workshop, ctx.memory, ctx.arrays = layout, workshop, memory, (state, cells, gates, of_state)
        return layout.outputs(state, kept) if whole else None, layout.last(state, at_end)

    @staticmethod
    def backward(ctx: Any, of_outputs: Tensor | None, of_last: Tensor | None) -> Any:
        if ctx.memory is None:
            raise RuntimeError("the gates of this pass are used up: run the layer again to go back through it again")
        layout, arrays, inputs_too = ctx.layout, ctx.arrays, ctx.needs_input_grad[0]
        at_end, kept, *weights = ctx.saved_tensors
        of_state = arrays[-1]
        layout.lay_gradient(of_state, of_outputs, kept, of_last, at_end)
        of_cell, of_weights = _go_back(layout, weights, inputs_too, arrays, ctx.workshop)
        of_x = layout.inputs_of(of_state) if inputs_too else None
        of_h, of_c = layout.first_of(of_state[0]), layout.first_of(of_cell)
        ctx.workshop.give(ctx.memory)
        ctx.memory = ctx.arrays = None
        return of_x, of_h, of_c, *of_weights, of_weights[-1], None, None, None, None


def _go(layout: Layout, tensors: Any, arrays: tuple[Tensor, ...], workshop: Workshop) -> None:
    """Fill state, cells and gates."""
    from vrae.nn.packing import pack
    from vrae.nn.steps import forward

    x, h, c, *weights = tensors
    state, cells, _ = arrays
    state[0, :, : layout.units], cells[0] = layout.by_units(h), layout.by_units(c)
    packed = np.zeros(layout.packed, np.float32)
    pack(*_arrays(weights), packed)
    given, chunks = _arrays([layout.by_steps(x), *arrays]), layout.chunks
    workshop.each(lambda n: forward(packed, *given, layout.hidden, *chunks[n]), len(chunks), layout.is_long)


def _go_back(
    layout: Layout, weights: list[Tensor], inputs_too: bool, arrays: tuple[Tensor, ...], workshop: Workshop
) -> tuple[Tensor, list[Tensor]]:
    """Complete the gradient of the state; return those of the first cell, of the weights and of a bias."""
    from vrae.nn.packing import pack_back, unpack
    from vrae.nn.steps import backward

    packed = np.zeros(layout.packed_back(inputs_too), np.float32)
    of_input, of_hidden = _arrays(weights)
    pack_back(of_hidden, 0, layout.lanes, packed)
    if inputs_too:
        pack_back(of_input, layout.hidden, layout.lanes, packed)
    chunks = layout.chunks
    found = np.zeros((len(chunks), *layout.packed), np.float32)  # one a chunk, so that no thread waits for another
    of_cell = weights[0].new_zeros(layout.rows, layout.units)
    given = _arrays([*arrays, of_cell])
    workshop.each(lambda n: backward(packed, *given, found[n], *chunks[n]), len(chunks), layout.is_long)
    gradients = [torch.empty_like(weight) for weight in weights] + [weights[0].new_empty(4 * layout.hidden)]
    unpack(found, *_arrays(gradients))
    return of_cell, gradients


def _arrays(tensors: Iterable[Tensor]) -> list[Any]:
    return [tensor.detach().numpy() for tensor in tensors]
