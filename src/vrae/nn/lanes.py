"""Vectors of floats for loops that numba compiles: as many lanes as are wanted, in the processor's registers.

numba leaves it to LLVM to find out what can be done side by side, and in a product of matrices LLVM does not see it.
With these a loop says so. A vector may be wider than a register: LLVM takes several. Arrays are read and written by
plain positions in their memory, and nothing is checked. To be called in compiled functions only.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

__all__ = ["Lanes", "add_products", "fma", "join", "load", "load_rows", "part", "rows_of", "store", "store_rows", "tanh"]

# tanh x = x / (1 + x^2 / (3 + x^2 / (5 + ...))), Lambert's continued fraction, cut off after twelve terms, is right to
# 7e-7 up to where tanh is 1 to the precision of a float.
_TERMS = 12
_END = 8.5


class Lanes(types.Type):  # type: ignore[misc]
    """The type of a vector of ``n`` floats."""

    def __init__(self, n: int) -> None:
        self.n = n
        super().__init__(name=f"Lanes({n})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Lanes) -> None:
        super().__init__(manager, kind, _vector(kind.n))


def _instruction(define: Callable[..., Any]) -> Any:
    """Make a function of LLVM's instructions that numba can call; whole numbers in the code are known to it."""
    return intrinsic(prefer_literal=True)(define)


# ---------------------------------------------------------------- one vector


@_instruction
def load(typing: Any, array: Any, at: Any, n: Any) -> Any:
    """Read ``n`` floats from position ``at``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_place(context, builder, array, args[0], args[1], n.literal_value), align=4)

    return Lanes(n.literal_value)(array, types.intp, n), generate


@_instruction
def store(typing: Any, array: Any, at: Any, v: Any) -> Any:
    """Write a vector to position ``at``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _place(context, builder, array, args[0], args[1], v.n), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, v), generate


@_instruction
def part(typing: Any, v: Any, number: Any, n: Any) -> Any:
    """Return the ``number``-th ``n`` lanes."""
    first, size = number.literal_value * n.literal_value, n.literal_value

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.shuffle_vector(args[0], args[0], _lanes(range(first, first + size)))

    return Lanes(size)(v, number, n), generate


@_instruction
def join(typing: Any, a: Any, b: Any) -> Any:
    """Return the lanes of ``a``, then those of ``b``, which has as many."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.shuffle_vector(args[0], args[1], _lanes(range(2 * a.n)))

    return Lanes(2 * a.n)(a, b), generate


@_instruction
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """Return ``a * b + c``."""
    return a(a, b, c), lambda context, builder, signature, args: _fma(builder, *args)


@_instruction
def tanh(typing: Any, v: Any) -> Any:
    """Return the hyperbolic tangent, right to 7e-7; of NaN it is NaN."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (x,), first, last = args, _constant(-_END, v.n), _constant(_END, v.n)
        x = builder.select(builder.fcmp_ordered(">", x, last), last, x)
        x = builder.select(builder.fcmp_ordered("<", x, first), first, x)
        square = builder.fmul(x, x)
        above, below = (_polynomial(builder, square, coefficients) for coefficients in _lambert())
        return builder.fdiv(builder.fmul(x, above), below)

    return v(v), generate


def _operator(symbol: Callable[..., Any], name: str) -> None:
    """Give vectors an operator."""

    @_instruction
    def apply(typing: Any, a: Any, b: Any) -> Any:
        return a(a, b), lambda context, builder, signature, args: getattr(builder, name)(*args)

    @overload(symbol)  # type: ignore[untyped-decorator]
    def choose(a: Any, b: Any) -> Any:
        def operate(a: Any, b: Any) -> Any:
            return apply(a, b)

        return operate if isinstance(a, Lanes) and isinstance(b, Lanes) else None


_operator(operator.add, "fadd")
_operator(operator.sub, "fsub")
_operator(operator.mul, "fmul")


# ---------------------------------------------------------------- several vectors, one of each of several rows


@_instruction
def rows_of(typing: Any, x: Any, n: Any, rows: Any) -> Any:
    """Return ``rows`` vectors of ``n`` lanes that all hold ``x``."""
    kind = types.UniTuple(Lanes(n.literal_value), rows.literal_value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.make_tuple(builder, kind, [_filled(builder, args[0], kind.dtype.n)] * kind.count)

    return kind(types.float32, n, rows), generate


@_instruction
def load_rows(typing: Any, array: Any, at: Any, stride: Any, n: Any, rows: Any) -> Any:
    """Read ``rows`` vectors of ``n`` lanes, the first from position ``at``, each ``stride`` after the last."""
    kind = types.UniTuple(Lanes(n.literal_value), rows.literal_value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        places = _places(builder, args[1], args[2], kind.count)
        found = [builder.load(_place(context, builder, array, args[0], at, kind.dtype.n), align=4) for at in places]
        return context.make_tuple(builder, kind, found)

    return kind(array, types.intp, types.intp, n, rows), generate


@_instruction
def store_rows(typing: Any, array: Any, at: Any, stride: Any, rows: Any) -> Any:
    """Write vectors, the first to position ``at``, each ``stride`` after the last."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        for number, at in enumerate(_places(builder, args[1], args[2], rows.count)):
            place = _place(context, builder, array, args[0], at, rows.dtype.n)
            builder.store(builder.extract_value(args[3], number), place, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, rows), generate


@_instruction
def add_products(
    typing: Any, rows: Any, factors: Any, at: Any, stride: Any, vectors: Any, place: Any, n: Any
) -> Any:
    """Add to each row ``n`` products of a factor and a vector.

    The vectors follow each other from ``place``, and are the same for all rows. The factors of the first row follow
    each other from ``at``, those of each further row begin ``stride`` after those of the row before.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        sums = [builder.extract_value(args[0], number) for number in range(rows.count)]
        begins = _places(builder, args[2], args[3], rows.count)
        for number in range(n.literal_value):
            place = builder.add(args[5], ir.Constant(args[5].type, number * rows.dtype.n))
            vector = builder.load(_place(context, builder, vectors, args[4], place, rows.dtype.n), align=4)
            for row, begin in enumerate(begins):
                at = builder.add(begin, ir.Constant(begin.type, number))
                factor = builder.load(_place(context, builder, factors, args[1], at))
                sums[row] = _fma(builder, _filled(builder, factor, rows.dtype.n), vector, sums[row])
        return context.make_tuple(builder, rows, sums)

    return rows(rows, factors, types.intp, types.intp, vectors, types.intp, n), generate


# ---------------------------------------------------------------- what they are made of


def _vector(n: int) -> Any:
    return ir.VectorType(ir.FloatType(), n)


def _lanes(numbers: Sequence[int]) -> Any:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(numbers)), list(numbers))


def _constant(x: float, n: int) -> Any:
    return ir.Constant(_vector(n), [ir.Constant(ir.FloatType(), x)] * n)


def _filled(builder: Any, x: Any, n: int) -> Any:
    one = builder.insert_element(ir.Constant(_vector(n), ir.Undefined), x, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, one, _lanes([0] * n))


def _place(context: Any, builder: Any, kind: Any, array: Any, at: Any, n: int = 1) -> Any:
    """Point to position ``at`` of an array's memory: to a float, or to ``n`` of them."""
    data = context.make_array(kind)(context, builder, array).data
    place = builder.gep(data, [at], inbounds=True)
    return place if n == 1 else builder.bitcast(place, _vector(n).as_pointer())


def _places(builder: Any, at: Any, stride: Any, count: int) -> list[Any]:
    places = [at]
    for _ in range(count - 1):
        places.append(builder.add(places[-1], stride))
    return places


def _fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    kind = ir.FunctionType(a.type, [a.type] * 3)
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{a.type.count}f32")
    return builder.call(function, (a, b, c))


def _polynomial(builder: Any, x: Any, coefficients: Sequence[float]) -> Any:
    *lower, highest = (_constant(c, x.type.count) for c in coefficients)
    total = highest
    for c in reversed(lower):
        total = _fma(builder, total, x, c)
    return total


def _lambert() -> tuple[list[float], list[float]]:
    """Return the coefficients of 1, x^2, x^4, ... above and below the line of tanh(x) / x."""
    above, below = [1], [2 * _TERMS - 1]
    for odd in range(2 * _TERMS - 3, 0, -2):  # 1 / (odd + x^2 * above / below) = below / (odd * below + x^2 * above)
        size = max(len(below), len(above) + 1)
        grown, moved = (c + [0] * (size - len(c)) for c in (below, [0, *above]))
        above, below = below, [odd * a + b for a, b in zip(grown, moved, strict=True)]
    return [c / below[0] for c in above], [c / below[0] for c in below]
