"""A small LSTM layer on the CPU, with loops of our own for its steps (`vrae.nn.steps`).

The numbers are torch's but for rounding (Hochreiter & Schmidhuber 1997, with forget gates), and take half the time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Thread
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Workshop", "lstm", "suits"]

# A wider layer's weights do not fit into the cache, and torch's own kernel shares the work among threads.
_WIDEST = 128

# Rows that go through all steps together, by one thread: what they need at a step fits into the cache.
_TOGETHER = 16

# Products of a row that take a few tenths of a millisecond for so many rows; a thread takes a tenth to start.
_LONG = 200_000


def suits(cell: nn.Module, x: Tensor) -> bool:
    """Say whether a layer is a case for `lstm`."""
    return (
        isinstance(cell, nn.LSTM)
        and cell.hidden_size <= _WIDEST
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.onnx.is_in_onnx_export()
    )


class Workshop:
    """What a layer trains with: memory that one step leaves for the next, and threads. A copy begins with neither.

    A process that asks the system for memory anew at every step pays for every page of it.

    Parameters
    ----------
    threads : int, default=1
        How many may work on a step. The results do not depend on it.
    """

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self._free: list[Tensor] = []

    def take(self, like: Tensor, *shapes: tuple[int, ...]) -> tuple[Tensor, list[Tensor]]:
        """Return a piece of memory, and tensors in it of the given shapes with anything in them."""
        sizes = [torch.Size(shape).numel() for shape in shapes]
        memory = self._free.pop() if self._free else like.new_empty(0)
        if len(memory) < sum(sizes):
            memory = like.new_empty(sum(sizes))
        parts = memory[: sum(sizes)].split(sizes)
        return memory, [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]

    def give(self, memory: Tensor) -> None:
        """Take back a piece."""
        self._free = [memory]

    def each(self, work: Callable[[int], None], count: int, worth: bool) -> None:
        """Call ``work`` with 0, 1, ... up to ``count``, in several threads where that is worth their start."""
        threads = min(self.threads, count) if worth else 1

        def some(first: int) -> None:
            for number in range(first, count, threads):
                work(number)

        others = [Thread(target=some, args=(first,)) for first in range(1, threads)]
        for other in others:
            other.start()
        some(0)
        for other in others:
            other.join()

    def __reduce__(self) -> tuple[type[Workshop], tuple[()]]:
        return Workshop, ()


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

    Returns
    -------
    outputs : Tensor, shape (batch, time, hidden), or None
    last : Tensor, shape (batch, hidden)
        The hidden state after the last step of each series.
    """
    h, c = first or 2 * (x.new_zeros(len(x), cell.hidden_size),)
    weights = (cell.weight_ih_l0, cell.weight_hh_l0, cell.bias_ih_l0, cell.bias_hh_l0)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (x, h, c, *weights)):
        return _LSTM.apply(x, h, c, *weights, at_end, kept, whole, workshop)  # type: ignore[no-any-return, no-untyped-call]
    layout = _Layout.of(x, cell.hidden_size)
    state, cells, gates = x.new_empty(layout.state_shape), x.new_empty(1, layout.rows, layout.units), x.new_empty(0, 0, 0)
    _forward(layout, layout.pack(*weights), x, h, c, state, cells, gates, Workshop())
    return layout.outputs(state, kept) if whole else None, layout.last(state, at_end)


class _LSTM(torch.autograd.Function):
    """The layer and its gradients. Its memory is ``workshop``'s, and goes back when the gradients are worked out."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, h: Tensor, c: Tensor, *rest: Any) -> tuple[Tensor | None, Tensor]:
        *weights, at_end, kept, whole, workshop = rest
        layout = _Layout.of(x, h.shape[1])
        n, rows, units = layout.n_steps, layout.rows, layout.units
        shapes = (layout.state_shape, layout.state_shape, (n + 1, rows, units), (n, rows, 4 * units))
        memory, (of_state, state, cells, gates) = workshop.take(x, *shapes)
        _forward(layout, layout.pack(*weights), x, h, c, state, cells, gates, workshop)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(at_end, kept, *weights[:2])
        ctx.layout, ctx.workshop, ctx.memory, ctx.parts = layout, workshop, memory, (state, cells, gates, of_state)
        return layout.outputs(state, kept) if whole else None, layout.last(state, at_end)

    @staticmethod
    def backward(ctx: Any, of_outputs: Tensor | None, of_last: Tensor | None) -> Any:
        from vrae.nn.steps import backward

        if ctx.memory is None:
            raise RuntimeError("the gates of this pass are used up: run the layer again to go back through it again")
        layout, (state, cells, gates, of_state) = ctx.layout, ctx.parts
        at_end, kept, *weights = ctx.saved_tensors
        layout.fill_gradient(of_state, of_outputs, kept, of_last, at_end)
        of_cell = torch.zeros_like(cells[0])
        chunks = layout.chunks
        of_weights = state.new_zeros(len(chunks), *layout.packed)
        tensors = (layout.pack_back(*weights, ctx.needs_input_grad[0]), state, cells, gates, of_state, of_cell)
        arrays, found = [tensor.numpy() for tensor in tensors], of_weights.numpy()
        ctx.workshop.each(lambda n: backward(*arrays, found[n], *chunks[n]), len(chunks), layout.is_long)
        of_x, of_h, of_c = layout.unlay(of_state, of_cell)
        of_ih, of_hh, of_bias = layout.unpack(of_weights.sum(0))
        ctx.workshop.give(ctx.memory)
        ctx.memory = ctx.parts = None
        return of_x, of_h, of_c, of_ih, of_hh, of_bias, of_bias, None, None, None, None


def _forward(
    layout: _Layout,
    weights: Tensor,
    x: Tensor,
    h: Tensor,
    c: Tensor,
    state: Tensor,
    cells: Tensor,
    gates: Tensor,
    workshop: Workshop,
) -> None:
    from vrae.nn.steps import forward

    state[0, :, : layout.units], cells[0] = layout.units_of(h), layout.units_of(c)
    arrays, chunks = [tensor.numpy() for tensor in (weights, layout.steps(x), state, cells, gates)], layout.chunks
    workshop.each(lambda n: forward(*arrays, layout.hidden, *chunks[n]), len(chunks), layout.is_long)


@dataclass(frozen=True)
class _Layout:
    """How a layer's tensors lie in the arrays of `vrae.nn.steps`, which are filled up to whole vectors with zeros."""

    batch: int
    n_steps: int
    inputs: int
    hidden: int
    rows: int
    units: int
    width: int
    packed: tuple[int, int, int]
    lanes: int
    wide: int

    @classmethod
    def of(cls, x: Tensor, hidden: int) -> _Layout:
        from vrae.nn.steps import LANES, SHORT, TALL, WIDE

        batch, n_steps, inputs = x.shape
        units, used = _up(hidden, LANES), hidden + inputs + 1
        packed = (units // LANES, _up(used, SHORT), 4 * LANES)
        return cls(
            batch, n_steps, inputs, hidden, _up(batch, TALL), units, _up(used, WIDE), packed, LANES, WIDE
        )  # fmt: skip

    @property
    def chunks(self) -> list[tuple[int, int]]:
        """First row, and the row after the last, of those that go through all steps together."""
        return [(begin, min(begin + _TOGETHER, self.rows)) for begin in range(0, self.rows, _TOGETHER)]

    @property
    def is_long(self) -> bool:
        """Whether a chunk takes much longer than the start of a thread."""
        return self.n_steps * self.packed[1] * self.units > _LONG

    @property
    def state_shape(self) -> tuple[int, int, int]:
        return self.n_steps + 1, self.rows, self.width

    def steps(self, x: Tensor) -> Tensor:
        """Lay out inputs (batch, time, input) by steps: (time, row, input)."""
        return nn.functional.pad(x, (0, 0, 0, 0, 0, self.rows - self.batch)).transpose(0, 1).contiguous()

    def fill_gradient(
        self, state: Tensor, outputs: Tensor | None, kept: Tensor | None, last: Tensor | None, at_end: Tensor
    ) -> None:
        """Lay out the gradients of what `outputs` and `last` return."""
        state.zero_()
        hidden = self._hidden(state)
        if outputs is not None:
            hidden.copy_(outputs) if kept is None else torch.mul(outputs, kept, out=hidden)
        if last is not None:
            hidden[torch.arange(self.batch), at_end] += last

    def outputs(self, state: Tensor, kept: Tensor | None) -> Tensor:
        """Return the hidden states, (batch, time, hidden), multiplied with what is kept of them."""
        hidden = self._hidden(state)
        if kept is None:
            return hidden.clone(memory_format=torch.contiguous_format)
        return torch.mul(hidden, kept, out=hidden.new_empty(hidden.shape))

    def last(self, state: Tensor, at_end: Tensor) -> Tensor:
        """Return the hidden state after the last step of each series, (batch, hidden)."""
        return self._hidden(state)[torch.arange(self.batch), at_end]

    def _hidden(self, state: Tensor) -> Tensor:
        return state[1:, : self.batch, : self.hidden].transpose(0, 1)  # (batch, time, hidden)

    def units_of(self, values: Tensor) -> Tensor:
        """Lay out a hidden state or a cell (batch, hidden): (row, unit)."""
        return nn.functional.pad(values, (0, self.units - self.hidden, 0, self.rows - self.batch))

    def unlay(self, state: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return copies of what `steps` and `units_of` laid out."""
        x = state[:-1, : self.batch, self.hidden : self.hidden + self.inputs].transpose(0, 1)
        return x.clone(), state[0, : self.batch, : self.hidden].clone(), cell[: self.batch, : self.hidden]

    def pack(self, of_input: Tensor, of_hidden: Tensor, *biases: Tensor) -> Tensor:
        """Lay out the weights for the way there: (block, input, 4 * lanes)."""
        packed = of_input.new_zeros(4, self.units, self.packed[1])  # (gate, unit, input)
        parts = [of_hidden, of_input, sum(biases)[:, None]]  # type: ignore[index]
        packed[:, : self.hidden, : self.hidden + self.inputs + 1] = torch.cat(parts, dim=1).view(4, self.hidden, -1)
        packed[[0, 1, 3]] *= 0.5  # the sums of sigmoids
        blocks = packed.view(4, -1, self.lanes, self.packed[1])  # (gate, block, lane, input)
        return blocks.permute(1, 3, 0, 2).reshape(self.packed).contiguous()

    def unpack(self, packed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients of input weights, hidden weights and biases."""
        blocks = packed.view(*self.packed[:2], 4, self.lanes)  # (block, input, gate, lane)
        plain = blocks.permute(2, 0, 3, 1).reshape(4, self.units, -1)[:, : self.hidden]  # (gate, hidden, input)
        used = plain.reshape(4 * self.hidden, -1)[:, : self.hidden + self.inputs + 1]
        of_hidden, of_input, bias = used.split([self.hidden, self.inputs, 1], dim=1)
        return of_input, of_hidden, bias[:, 0]

    def pack_back(self, of_input: Tensor, of_hidden: Tensor, inputs_too: bool) -> Tensor:
        """Lay out the weights for the way back: (columns / wide, 4 * units, wide)."""
        plain = torch.cat([of_hidden, of_input], dim=1) if inputs_too else of_hidden  # (4 * hidden, column)
        packed = plain.new_zeros(4, self.units, _up(plain.shape[1], self.wide))
        packed[:, : self.hidden, : plain.shape[1]] = plain.view(4, self.hidden, -1)
        blocks = packed.view(4, -1, self.lanes, packed.shape[2] // self.wide, self.wide)
        return blocks.permute(3, 1, 0, 2, 4).reshape(-1, 4 * self.units, self.wide).contiguous()


def _up(number: int, step: int) -> int:
    """Round up to a whole multiple."""
    return -(-number // step) * step
