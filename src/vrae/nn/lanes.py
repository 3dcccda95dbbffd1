"""Vectors of floats for loops that numba compiles: as many lanes as are wanted, in the processor's registers.

numba leaves it to LLVM to find out what can be done side by side, and in a product of matrices LLVM does not see it.
With these a loop says so. A value is a few rows of lanes, and every function does one thing to all of its rows, so that
none waits for another. A row may be wider than a register: LLVM takes several.

Arrays are read and written by plain positions in their memory, and nothing is checked. To be called in compiled
functions only; numbers of lanes and rows have to be constants there.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

__all__ = [
    "Lanes",
    "add_products",
    "any_left",
    "filled",
    "fma",
    "join",
    "load",
    "part",
    "store",
    "tanh",
    "without_traces",
]

# tanh x = x / (1 + x^2 / (3 + x^2 / (5 + ...))), Lambert's continued fraction, cut off after twelve terms, is right to
# 7e-7 up to where tanh is 1 to the precision of a float.
_TERMS = 12
_END = 8.5

_TRACE = 1e-20


class Lanes(types.Type):  # type: ignore[misc]
    """The type of ``rows`` vectors of ``n`` floats."""

    def __init__(self, rows: int, n: int) -> None:
        self.rows, self.n = rows, n
        super().__init__(name=f"Lanes({rows}, {n})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Lanes) -> None:
        super().__init__(manager, kind, ir.ArrayType(ir.VectorType(ir.FloatType(), kind.n), kind.rows))


def _instruction(define: Callable[..., Any]) -> Any:
    """Make a function of LLVM's instructions that numba can call; constants in the code are known to it."""
    return intrinsic(prefer_literal=True)(define)


@_instruction
def filled(typing: Any, x: Any, rows: Any, n: Any) -> Any:
    """Return ``rows`` vectors of ``n`` lanes that all hold ``x``."""
    kind = Lanes(rows.literal_value, n.literal_value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _together(builder, [_spread(builder, args[0], kind.n)] * kind.rows)

    return kind(types.float32, rows, n), generate


@_instruction
def load(typing: Any, array: Any, at: Any, stride: Any, rows: Any, n: Any) -> Any:
    """Read ``rows`` vectors of ``n`` lanes, the first from position ``at``, each ``stride`` after the last."""
    kind = Lanes(rows.literal_value, n.literal_value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = _memory(context, builder, array, args[0])
        places = _places(builder, args[1], args[2], kind.rows)
        return _together(builder, [_read(builder, memory, place, kind.n) for place in places])

    return kind(array, types.intp, types.intp, rows, n), generate


@_instruction
def store(typing: Any, array: Any, at: Any, stride: Any, v: Any) -> Any:
    """Write vectors, the first to position ``at``, each ``stride`` after the last."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = _memory(context, builder, array, args[0])
        places = _places(builder, args[1], args[2], v.rows)
        for place, row in zip(places, _apart(builder, args[3]), strict=True):
            builder.store(row, _pointer(builder, memory, place, v.n), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, v), generate


@_instruction
def part(typing: Any, v: Any, number: Any, n: Any) -> Any:
    """Return the ``number``-th ``n`` lanes of each row."""
    first, size = number.literal_value * n.literal_value, n.literal_value

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        chosen = _numbers(range(first, first + size))
        return _together(builder, [builder.shuffle_vector(row, row, chosen) for row in _apart(builder, args[0])])

    return Lanes(v.rows, size)(v, number, n), generate


@_instruction
def join(typing: Any, a: Any, b: Any) -> Any:
    """Return rows with the lanes of ``a``, then those of ``b``, which has as many."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pairs = zip(*(_apart(builder, rows) for rows in args), strict=True)
        return _together(builder, [builder.shuffle_vector(*pair, _numbers(range(2 * a.n))) for pair in pairs])

    return Lanes(a.rows, 2 * a.n)(a, b), generate


@_instruction
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """Return ``a * b + c``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _together(builder, _fma(builder, *(_apart(builder, rows) for rows in args)))

    return a(a, b, c), generate


@_instruction
def without_traces(typing: Any, v: Any) -> Any:
    """Return zero for what is less than 1e-20 away from it; of NaN it is NaN.

    Numbers below 1e-38 have no room for an exponent, and a processor takes a hundred times as long for each of them.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        least, zero = _constant(_TRACE, v.n), _constant(0.0, v.n)
        found = []
        for row in _apart(builder, args[0]):
            size = _call(builder, "fabs", row)
            found.append(builder.select(builder.fcmp_ordered("<", size, least), zero, row))
        return _together(builder, found)

    return v(v), generate


@_instruction
def any_left(typing: Any, v: Any) -> Any:
    """Say whether anything is not zero."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zero, found = _constant(0.0, v.n), []
        for row in _apart(builder, args[0]):
            lanes = builder.fcmp_unordered("!=", row, zero)
            function = ir.FunctionType(ir.IntType(1), [lanes.type])
            reduce = cgutils.get_or_insert_function(builder.module, function, f"llvm.vector.reduce.or.v{v.n}i1")
            found.append(builder.call(reduce, [lanes]))
        return functools.reduce(builder.or_, found)

    return types.boolean(v), generate


@_instruction
def tanh(typing: Any, v: Any) -> Any:
    """Return the hyperbolic tangent, right to 7e-7; of NaN it is NaN."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        rows, (above, below) = _apart(builder, args[0]), _lambert()
        first, last = _constant(-_END, v.n), _constant(_END, v.n)
        rows = [builder.select(builder.fcmp_ordered(">", x, last), last, x) for x in rows]
        rows = [builder.select(builder.fcmp_ordered("<", x, first), first, x) for x in rows]
        squares = [builder.fmul(x, x) for x in rows]
        tops, bottoms = _polynomials(builder, squares, above), _polynomials(builder, squares, below)
        tops = [builder.fmul(x, top) for x, top in zip(rows, tops, strict=True)]
        # "arcp": by an approximate reciprocal, made better by a step of Newton's, where that is faster.
        quotients = [builder.fdiv(*pair, flags=("arcp",)) for pair in zip(tops, bottoms, strict=True)]
        return _together(builder, quotients)

    return v(v), generate


@_instruction
def add_products(typing: Any, v: Any, factors: Any, at: Any, stride: Any, vectors: Any, place: Any, n: Any) -> Any:
    """Add to each row ``n`` products of a factor and a vector.

    The vectors follow each other from ``place``, and are the same for all rows. The factors of the first row follow
    each other from ``at``, those of each further row begin ``stride`` after those of the row before.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        sums = _apart(builder, args[0])
        of_factors, of_vectors = (
            _memory(context, builder, factors, args[1]),
            _memory(context, builder, vectors, args[4]),
        )
        begins = _places(builder, args[2], args[3], v.rows)
        for number in range(n.literal_value):
            vector = _read(builder, of_vectors, _moved(builder, args[5], number * v.n), v.n)
            found = [builder.load(_pointer(builder, of_factors, _moved(builder, at, number))) for at in begins]
            sums = _fma(builder, [_spread(builder, x, v.n) for x in found], [vector] * v.rows, sums)
        return _together(builder, sums)

    return v(v, factors, types.intp, types.intp, vectors, types.intp, n), generate


def _operator(symbol: Callable[..., Any], name: str) -> None:
    """Give lanes an operator."""

    @_instruction
    def apply(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pairs = zip(*(_apart(builder, rows) for rows in args), strict=True)
            return _together(builder, [getattr(builder, name)(*pair) for pair in pairs])

        return a(a, b), generate

    @overload(symbol)  # type: ignore[untyped-decorator]
    def choose(a: Any, b: Any) -> Any:
        def operate(a: Any, b: Any) -> Any:
            return apply(a, b)

        return operate if isinstance(a, Lanes) and isinstance(b, Lanes) else None


_operator(operator.add, "fadd")
_operator(operator.sub, "fsub")
_operator(operator.mul, "fmul")


# ---------------------------------------------------------------- what the functions are made of


def _apart(builder: Any, rows: Any) -> list[Any]:
    """Return the vectors of a value."""
    return [builder.extract_value(rows, number) for number in range(rows.type.count)]


def _together(builder: Any, rows: Sequence[Any]) -> Any:
    """Return vectors as one value."""
    value = ir.Constant(ir.ArrayType(rows[0].type, len(rows)), ir.Undefined)
    for number, row in enumerate(rows):
        value = builder.insert_value(value, row, number)
    return value


def _memory(context: Any, builder: Any, kind: Any, array: Any) -> Any:
    return context.make_array(kind)(context, builder, array).data


def _pointer(builder: Any, memory: Any, place: Any, n: int = 1) -> Any:
    """Point to a float, or to ``n`` of them."""
    pointer = builder.gep(memory, [place], inbounds=True)
    return pointer if n == 1 else builder.bitcast(pointer, ir.VectorType(ir.FloatType(), n).as_pointer())


def _read(builder: Any, memory: Any, place: Any, n: int) -> Any:
    return builder.load(_pointer(builder, memory, place, n), align=4)


def _moved(builder: Any, place: Any, by: int) -> Any:
    return builder.add(place, ir.Constant(place.type, by))


def _places(builder: Any, at: Any, stride: Any, count: int) -> list[Any]:
    places = [at]
    for _ in range(count - 1):
        places.append(builder.add(places[-1], stride))
    return places


def _numbers(values: Sequence[int]) -> Any:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(values)), list(values))


def _constant(x: float, n: int) -> Any:
    return ir.Constant(ir.VectorType(ir.FloatType(), n), [ir.Constant(ir.FloatType(), x)] * n)


def _spread(builder: Any, x: Any, n: int) -> Any:
    """Return a vector that holds a number in every lane."""
    empty = ir.Constant(ir.VectorType(ir.FloatType(), n), ir.Undefined)
    one = builder.insert_element(empty, x, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, one, _numbers([0] * n))


def _fma(builder: Any, a: Sequence[Any], b: Sequence[Any], c: Sequence[Any]) -> list[Any]:
    # One rounding or two, whatever is faster.
    return [_call(builder, "fmuladd", *row) for row in zip(a, b, c, strict=True)]


def _call(builder: Any, name: str, *vectors: Any) -> Any:
    """Call a function of LLVM's on vectors of one type."""
    kind = vectors[0].type
    function = ir.FunctionType(kind, [kind] * len(vectors))
    return builder.call(
        cgutils.get_or_insert_function(builder.module, function, f"llvm.{name}.v{kind.count}f32"), vectors
    )


def _polynomials(builder: Any, rows: Sequence[Any], coefficients: Sequence[float]) -> list[Any]:
    *lower, highest = ([_constant(c, rows[0].type.count)] * len(rows) for c in coefficients)
    total = highest
    for c in reversed(lower):
        total = _fma(builder, total, rows, c)
    return total


def _lambert() -> tuple[list[float], list[float]]:
    """Return the coefficients of 1, x^2, x^4, ... above and below the line of tanh(x) / x."""
    above, below = [1], [2 * _TERMS - 1]
    for odd in range(2 * _TERMS - 3, 0, -2):  # 1 / (odd + x^2 * above / below) = below / (odd * below + x^2 * above)
        size = max(len(below), len(above) + 1)
        grown, moved = (c + [0] * (size - len(c)) for c in (below, [0, *above]))
        above, below = below, [odd * a + b for a, b in zip(grown, moved, strict=True)]
    return [c / below[0] for c in above], [c / below[0] for c in below]
