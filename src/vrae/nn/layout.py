"""How series and states of an LSTM layer lie in the arrays of `vrae.nn.steps`, filled up to whole vectors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Layout"]

# Rows that go through all steps together, in one thread: what a step needs of them stays in the cache.
_TOGETHER = 16

# So many products of a row take a few tenths of a millisecond for these rows; a thread takes a tenth to start.
_LONG = 200_000


@dataclass(frozen=True)
class Layout:
    """The sizes of a layer and a batch.

    Attributes
    ----------
    batch, n_steps, inputs, hidden : int
        Of the tensors.
    used : int
        Places of a step's state that have a weight: hidden units, inputs and the one of the bias.
    rows, units, width : int
        Filled up: batch, hidden, used.
    packed : tuple of int
        Shape of the weights for the way there.
    lanes, wide : int
        Of `vrae.nn.steps`.
    """

    batch: int
    n_steps: int
    inputs: int
    hidden: int
    used: int
    rows: int
    units: int
    width: int
    packed: tuple[int, int, int]
    lanes: int
    wide: int

    @classmethod
    def of(cls, x: Tensor, hidden: int) -> Layout:
        """Return the layout for inputs (batch, time, input)."""
        from vrae.nn.steps import LANES, SHORT, TALL, WIDE

        batch, n_steps, inputs = x.shape
        used, units = hidden + inputs + 1, _up(hidden, LANES)
        packed = units // LANES, _up(used, SHORT), 4 * LANES
        filled = _up(batch, TALL), units, _up(used, WIDE)
        return cls(batch, n_steps, inputs, hidden, used, *filled, packed, LANES, WIDE)

    @property
    def state(self) -> tuple[int, int, int]:
        """Shape of the state of all steps."""
        return self.n_steps + 1, self.rows, self.width

    @property
    def chunks(self) -> list[tuple[int, int]]:
        """First row, and the row after the last, of those that go through all steps together."""
        return [(begin, min(begin + _TOGETHER, self.rows)) for begin in range(0, self.rows, _TOGETHER)]

    @property
    def is_long(self) -> bool:
        """Whether a chunk takes much longer than the start of a thread."""
        return self.n_steps * self.units * self.packed[1] > _LONG

    def packed_back(self, inputs_too: bool) -> tuple[int, int, int]:
        """Shape of the weights for the way back, to the hidden state alone or to the inputs as well."""
        return _up(self.hidden + inputs_too * self.inputs, self.wide) // self.wide, 4 * self.units, self.wide

    def by_steps(self, x: Tensor) -> Tensor:
        """Lay out inputs (batch, time, input): (time, row, input)."""
        return nn.functional.pad(x, (0, 0, 0, 0, 0, self.rows - self.batch)).transpose(0, 1).contiguous()

    def by_units(self, values: Tensor) -> Tensor:
        """Lay out a hidden state or cell (batch, hidden): (row, unit)."""
        return nn.functional.pad(values, (0, self.units - self.hidden, 0, self.rows - self.batch))

    def outputs(self, state: Tensor, kept: Tensor | None) -> Tensor:
        """Copy the hidden states, (batch, time, hidden), multiplied with what is kept of them."""
        hidden = self._hidden(state)
        if kept is None:
            return hidden.clone(memory_format=torch.contiguous_format)
        return torch.mul(hidden, kept, out=hidden.new_empty(hidden.shape))

    def last(self, state: Tensor, at_end: Tensor) -> Tensor:
        """Copy the hidden state after the last step of each series, (batch, hidden)."""
        return self._hidden(state)[torch.arange(self.batch), at_end]

    def lay_gradient(
        self, state: Tensor, outputs: Tensor | None, kept: Tensor | None, last: Tensor | None, at_end: Tensor
    ) -> None:
        """Turn gradients of what `outputs` and `last` returned into one of the state."""
        hidden = self._hidden(state)
        if outputs is None:
            state.zero_()
        else:
            state[0], state[:, self.batch :], state[:, :, self.hidden :] = 0, 0, 0
            torch.mul(outputs, 1.0 if kept is None else kept, out=hidden)
        if last is not None:
            hidden[torch.arange(self.batch), at_end] += last

    def inputs_of(self, state: Tensor) -> Tensor:
        """Copy the inputs, (batch, time, input)."""
        return state[:-1, : self.batch, self.hidden : self.used - 1].transpose(0, 1).clone()

    def first_of(self, values: Tensor) -> Tensor:
        """Copy a hidden state or cell, (batch, hidden)."""
        return values[: self.batch, : self.hidden].clone()

    def _hidden(self, state: Tensor) -> Tensor:
        return state[1:, : self.batch, : self.hidden].transpose(0, 1)  # (batch, time, hidden)


def _up(number: int, step: int) -> int:
    """Round up to a whole multiple."""
    return -(-number // step) * step
