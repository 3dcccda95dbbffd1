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
units that only fill up are zeros, so that whatever stands in such a unit goes no further.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba.core import codegen, config

from vrae.nn.compiled import compiled
from vrae.nn.lanes import add_products, any_left, filled, fma, join, load, part, store, tanh, without_traces

__all__ = ["LANES", "SHORT", "TALL", "WIDE", "backward", "forward"]

Floats = npt.NDArray[np.float32]

_FEATURES = codegen.get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES

# Of one gate, such that the four gates of `SHORT` rows, or `WIDE` lanes of `TALL` rows, fill half of the registers.
LANES = 16 if "+avx512f" in _FEATURES else 4
_GATES = 4 * LANES
SHORT = 4
WIDE = 2 * LANES
TALL = 8

# Rows whose gates are gone back through at once: with more, they would not fit into the registers.
_FEW = 2

# Rows to go through before sums that stay in memory are worth loading: more, and the rows leave the cache meanwhile.
_ENOUGH = 32

_0, _1, _HALF = np.float32(0), np.float32(1), np.float32(0.5)


@compiled
def forward(
    weights: Floats, inputs: Floats, state: Floats, cells: Floats, gates: Floats, hidden: int, begin: int, end: int
) -> None:
    """Fill in state, cells and, if there is room for them, gates.

    Parameters
    ----------
    weights : ndarray
        Those of a sigmoid's sum halved: sigmoid(x) = (1 + tanh(x / 2)) / 2.
    inputs : ndarray, shape (step, row, n)
    state, cells, gates : ndarray
        To be filled in; the first hidden state and the first cell are there.
    hidden : int
        Units, without those that only fill up.
    """
    (blocks, n_inputs, _), (_, batch, width), units = weights.shape, state.shape, cells.shape[2]
    ahead = batch * units if len(cells) > 1 else 0
    half, one, none = filled(_HALF, SHORT, LANES), filled(_1, SHORT, LANES), filled(_0, SHORT, LANES)
    scale, offset = join(join(half, half), join(one, half)), join(join(half, half), join(none, half))
    for step in range(len(inputs)):
        for row in range(begin, end):
            state[step, row, hidden:] = 0
            state[step, row, hidden : hidden + inputs.shape[2]] = inputs[step, row]
            state[step, row, hidden + inputs.shape[2]] = 1
        for block in range(blocks):
            for row in range(begin, end, SHORT):
                sums = filled(_0, SHORT, _GATES)
                at, place = (step * batch + row) * width, block * n_inputs * _GATES
                for k in range(0, n_inputs, SHORT):
                    sums = add_products(sums, state, at + k, width, weights, place + k * _GATES, SHORT)
                gate = fma(tanh(sums), scale, offset)  # input, forget, cell, output
                at = row * units + block * LANES
                if len(gates):
                    store(gates, 4 * (step * batch * units + at), 4 * units, gate)
                old = load(cells, step * ahead + at, units, SHORT, LANES)
                cell = fma(part(gate, 1, LANES), old, part(gate, 0, LANES) * part(gate, 2, LANES))
                store(cells, (step + 1) * ahead + at, units, cell)
                at = ((step + 1) * batch + row) * width + block * LANES
                store(state, at, width, part(gate, 3, LANES) * tanh(cell))


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
    together = max(1, _ENOUGH // (end - begin))
    learned = False
    for step in range(len(gates) - 1, -1, -1):
        alive = False
        for row in range(begin, end, _FEW):
            for block in range(units // LANES):
                alive |= _gradients(cells, gates, of_state, of_cell, step, row, block)
        learned |= alive
        for column in range(len(weights) if alive else 0):
            for row in range(begin, end, TALL):
                to = (step * batch + row) * width + column * WIDE
                sums = load(of_state, to, width, TALL, WIDE)
                at, place = (step * batch + row) * 4 * units, column * 4 * units * WIDE
                for k in range(0, 4 * units, SHORT):
                    sums = add_products(sums, gates, at + k, 4 * units, weights, place + k * WIDE, SHORT)
                store(of_state, to, width, sums)
        if step % together == 0:
            for block in range(units // LANES if learned else 0):
                for k in range(0, n_inputs, SHORT):
                    to = (block * n_inputs + k) * _GATES
                    sums = load(of_weights, to, _GATES, SHORT, _GATES)
                    for now in range(step, min(step + together, len(gates))):
                        for row in range(now * batch + begin, now * batch + end):
                            place = row * 4 * units + block * _GATES
                            sums = add_products(sums, state, row * width + k, 1, gates, place, 1)
                    store(of_weights, to, _GATES, sums)
            learned = False


@compiled
def _gradients(
    cells: Floats, gates: Floats, of_state: Floats, of_cell: Floats, step: int, row: int, block: int
) -> bool:
    """Go back through the gates of one block of a few rows; say whether there is any gradient left."""
    (_, batch, units), width = cells.shape, of_state.shape[2]
    one = filled(_1, _FEW, LANES)
    here = row * units + block * LANES
    at = step * batch * units + here
    gate = load(gates, 4 * at, 4 * units, _FEW, _GATES)
    i, f, g, o = part(gate, 0, LANES), part(gate, 1, LANES), part(gate, 2, LANES), part(gate, 3, LANES)
    old, squashed = load(cells, at, units, _FEW, LANES), tanh(load(cells, at + batch * units, units, _FEW, LANES))
    of_hidden = load(of_state, ((step + 1) * batch + row) * width + block * LANES, width, _FEW, LANES)
    of_new = fma(of_hidden * o, one - squashed * squashed, load(of_cell, here, units, _FEW, LANES))
    of_new = without_traces(of_new)  # far below the precision of the sums, and slow
    store(of_cell, here, units, of_new * f)
    of_i, of_f = of_new * g * i * (one - i), of_new * old * f * (one - f)
    of_g, of_o = of_new * i * (one - g * g), of_hidden * squashed * o * (one - o)
    found = without_traces(join(join(of_i, of_f), join(of_g, of_o)))
    store(gates, 4 * at, 4 * units, found)
    return any_left(found)
