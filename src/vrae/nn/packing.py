"""The weights of an LSTM layer in the order in which `vrae.nn.steps` reads them, and back.

torch's order is (gate * hidden, input). What is packed has to be zeros before: what only fills up stays so.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vrae.nn.compiled import compiled

__all__ = ["pack", "pack_back", "unpack"]

Floats = npt.NDArray[np.float32]


@compiled
def pack(of_input: Floats, of_hidden: Floats, bias: Floats, other_bias: Floats, packed: Floats) -> None:
    """Fill the weights for the way there, (block, input, 4 * lanes); those of sigmoids are halved."""
    (rows, hidden), inputs, lanes = of_hidden.shape, of_input.shape[1], packed.shape[2] // 4
    for row in range(rows):
        gate, unit = row // hidden, row % hidden
        scale = np.float32(1 if gate == 2 else 0.5)
        column = packed[unit // lanes, :, gate * lanes + unit % lanes]
        for k in range(hidden):
            column[k] = scale * of_hidden[row, k]
        for k in range(inputs):
            column[hidden + k] = scale * of_input[row, k]
        column[hidden + inputs] = scale * (bias[row] + other_bias[row])


@compiled
def pack_back(weights: Floats, first: int, lanes: int, packed: Floats) -> None:
    """Fill the weights for the way back, (columns / wide, 4 * units, wide), from column ``first`` on."""
    (rows, n), wide = weights.shape, packed.shape[2]
    hidden = rows // 4
    for row in range(rows):
        gate, unit = row // hidden, row % hidden
        place = (unit // lanes * 4 + gate) * lanes + unit % lanes
        column, lane = first // wide, first % wide
        for k in range(n):
            packed[column, place, lane] = weights[row, k]
            lane += 1
            if lane == wide:
                column, lane = column + 1, 0


@compiled
def unpack(packed: Floats, of_input: Floats, of_hidden: Floats, bias: Floats) -> None:
    """Add up gradients, (part, block, input, 4 * lanes), that lie as `pack` lays weights; the first part is lost."""
    (rows, hidden), inputs, lanes = of_hidden.shape, of_input.shape[1], packed.shape[3] // 4
    total = packed[0]
    for part in range(1, len(packed)):
        total += packed[part]
    for row in range(rows):
        gate, unit = row // hidden, row % hidden
        column = total[unit // lanes, :, gate * lanes + unit % lanes]
        for k in range(hidden):
            of_hidden[row, k] = column[k]
        for k in range(inputs):
            of_input[row, k] = column[hidden + k]
        bias[row] = column[hidden + inputs]
