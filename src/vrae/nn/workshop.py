"""What a recurrent layer trains with: memory that one step leaves for the next, and threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from torch import Size, Tensor

__all__ = ["Workshop"]


class Workshop:
    """Memory and threads of a layer. A copy is as one that was given nothing.

    Parameters
    ----------
    threads : int, default=1
        How many may share the work.
    keeps : bool, default=False
        Keep memory that is given back. A process that asks the system for memory anew at every step pays for every page
        of it.
    """

    def __init__(self, threads: int = 1, keeps: bool = False) -> None:
        self.threads = threads
        self.keeps = keeps
        self._free: list[Tensor] = []

    def take(self, like: Tensor, *shapes: tuple[int, ...]) -> tuple[Tensor, list[Tensor]]:
        """Return a piece of memory, and tensors in it of the given shapes with anything in them."""
        sizes = [Size(shape).numel() for shape in shapes]
        memory = self._free.pop() if self._free else like.new_empty(0)
        if len(memory) < sum(sizes):
            memory = like.new_empty(sum(sizes))
        parts = memory.split_with_sizes([*sizes, len(memory) - sum(sizes)])
        return memory, [part.view(shape) for part, shape in zip(parts, shapes, strict=False)]

    def give(self, memory: Tensor) -> None:
        """Take a piece back."""
        if self.keeps:
            self._free.append(memory)

    def each(self, work: Callable[[int], None], count: int, long: bool) -> None:
        """Call ``work`` with each number below ``count``, in several threads if one call takes long enough for it."""
        threads = min(self.threads, count) if long else 1

        def some(first: int) -> None:
            for number in range(first, count, threads):
                work(number)

        if threads == 1:
            some(0)
            return
        with ThreadPoolExecutor(threads - 1) as pool:
            others = [pool.submit(some, first) for first in range(1, threads)]
            some(0)
            for other in others:
                other.result()

    def __reduce__(self) -> tuple[type[Workshop], tuple[()]]:
        return Workshop, ()
