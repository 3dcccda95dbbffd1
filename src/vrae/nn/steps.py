"""The steps of an LSTM layer, forwards and backwards, in one compiled loop each; see `vrae.nn.lstm`.

A step of a small layer takes microseconds, and nearly all of them go into products of small matrices. Here the sums of
a product never leave the registers, and become gates there; what the next product needs is still in the cache.

Arrays, all of float32. ``units`` are the hidden units, filled up to whole vectors of `LANES`; a *block* is one of
those vectors.

- ``state`` (step + 1, row, width): the hidden state before a step, the step's inputs, a one for the bias, and zeros.
- ``cells`` (step + 1, row, units): the cell before each step; or (1, row, units), where only the last one is kept.
- ``gates`` (step, row, block, 4 * LANES): input, forget, cell and output gate. `backward` puts the gradient there, of
  the sums that the gates were made of.
- ``weights`` (block, input, 4 * LANES): of those sums; an input is a place in ``state``.

Rows come in whole groups of `TALL`, and in a call only those from ``begin`` to ``end`` are worked on. The weights of
units that only fill up are zeros.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba.core import codegen, config

from vrae.nn.compiled import compiled
from vrae.nn.lanes import add_products, fma, join, load, load_rows, part, rows_of, store, store_rows, tanh

__all__ = ["LANES", "SHORT", "TALL", "WIDE", "backward", "forward"]

Floats = npt.NDArray[np.float32]

_FEATURES = codegen.get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES

# Of one gate, such that the four gates of `SHORT` rows, or `WIDE` lanes of `TALL` rows, fill half of the registers.
LANES = 16 if "+avx512f" in _FEATURES else 4
_GATES = 4 * LANES
SHORT = 4
WIDE = 2 * LANES
TALL = 8

_0, _1, _HALF = np.float32(0), np.float32(1), np.float32(0.5)


@compiled
def forward(weights: Floats, state: Floats, cells: Floats, gates: Floats, begin: int, end: int) -> None:
    """Fill in state, cells and, if there is room for them, gates.

    ``state`` holds inputs, ones and the first hidden state, and zeros for the others. The weights of a sigmoid's sum
    are halved: sigmoid(x) = (1 + tanh(x / 2)) / 2.
    """
    (blocks, n_inputs, _), (_, batch, width), units = weights.shape, state.shape, cells.shape[2]
    ahead = batch * units if len(cells) > 1 else 0
    scale = join(_pair(_HALF, _HALF), _pair(_1, _HALF))
    offset = join(_pair(_HALF, _HALF), _pair(_0, _HALF))
    for step in range(len(state) - 1):
        for block in range(blocks):
            for row in range(begin, end, SHORT):
                sums = rows_of(_0, _GATES, SHORT)
                at, place = (step * batch + row) * width, block * n_inputs * _GATES
                for k in range(0, n_inputs, SHORT):
                    sums = add_products(sums, state, at + k, width, weights, place + k * _GATES, SHORT)
                for number in range(SHORT):
                    gate = fma(tanh(sums[number]), scale, offset)  # input, forget, cell, output
                    at = (row + number) * units + block * LANES
                    if len(gates):
                        store(gates, 4 * (step * batch * units + at), gate)
                    old = load(cells, step * ahead + at, LANES)
                    cell = fma(part(gate, 1, LANES), old, part(gate, 0, LANES) * part(gate, 2, LANES))
                    store(cells, (step + 1) * ahead + at, cell)
                    at = ((step + 1) * batch + row + number) * width + block * LANES
                    # A sum, for inputs may stand in the places of units that only fill up, which are zero.
                    store(state, at, fma(part(gate, 3, LANES), tanh(cell), load(state, at, LANES)))


@compiled
def backward(
    weights: Floats,
    state: Floats,
    cells: Floats,
    gates: Floats,
    of_state: Floats,
    of_cell: Floats,
    of_weights: Floats,
    begin: int,
    end: int,
) -> None:
    """Turn gates and whatever begins with ``of`` into gradients.

    Parameters
    ----------
    weights : ndarray, shape (columns / WIDE, 4 * units, WIDE)
        As in `forward`, but not halved; a column is a place in ``state``, and only as many have a gradient.
    state, cells, gates : ndarray
        As `forward` left them.
    of_state : ndarray, shape (step + 1, row, width)
        At first what is known without the steps: the gradient of the outputs, and zeros for the inputs.
    of_cell : ndarray, shape (row, units)
        At first zeros; then of the cell before the first step.
    of_weights : ndarray, shape (block, input, 4 * LANES)
        At first zeros.
    """
    (_, batch, width), units, n_inputs = state.shape, cells.shape[2], of_weights.shape[1]
    for step in range(len(gates) - 1, -1, -1):
        for row in range(begin, end):
            for block in range(units // LANES):
                _gradients(cells, gates, of_state, of_cell, step, row, block)
        for column in range(len(weights)):
            for row in range(begin, end, TALL):
                to = (step * batch + row) * width + column * WIDE
                sums = load_rows(of_state, to, width, WIDE, TALL)
                at, place = (step * batch + row) * 4 * units, column * 4 * units * WIDE
                for k in range(0, 4 * units, SHORT):
                    sums = add_products(sums, gates, at + k, 4 * units, weights, place + k * WIDE, SHORT)
                store_rows(of_state, to, width, sums)
        for block in range(units // LANES):
            for k in range(0, n_inputs, SHORT):
                to = (block * n_inputs + k) * _GATES
                sums = load_rows(of_weights, to, _GATES, _GATES, SHORT)
                for row in range(step * batch + begin, step * batch + end):
                    place = row * 4 * units + block * _GATES
                    sums = add_products(sums, state, row * width + k, 1, gates, place, 1)
                store_rows(of_weights, to, _GATES, sums)


@compiled
def _gradients(
    cells: Floats, gates: Floats, of_state: Floats, of_cell: Floats, step: int, row: int, block: int
) -> None:
    """Go back through the gates of one block of one row."""
    (_, batch, units), width = cells.shape, of_state.shape[2]
    one = rows_of(_1, LANES, 1)[0]
    here = row * units + block * LANES
    at = step * batch * units + here
    gate = load(gates, 4 * at, _GATES)
    i, f, g, o = part(gate, 0, LANES), part(gate, 1, LANES), part(gate, 2, LANES), part(gate, 3, LANES)
    squashed = tanh(load(cells, at + batch * units, LANES))
    of_hidden = load(of_state, ((step + 1) * batch + row) * width + block * LANES, LANES)
    of_new = fma(of_hidden * o, one - squashed * squashed, load(of_cell, here, LANES))
    store(of_cell, here, of_new * f)
    of_i, of_f = of_new * g * i * (one - i), of_new * load(cells, at, LANES) * f * (one - f)
    of_g, of_o = of_new * i * (one - g * g), of_hidden * squashed * o * (one - o)
    store(gates, 4 * at, join(join(of_i, of_f), join(of_g, of_o)))


@compiled
def _pair(a: np.float32, b: np.float32) -> Floats:
    """Return a vector of twice `LANES`: ``a``, then ``b``."""
    return join(rows_of(a, LANES, 1)[0], rows_of(b, LANES, 1)[0])  # type: ignore[no-any-return]
