"""The first fit of a process: it imports no compiler that it does not use."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch

from vrae.exceptions import VRAEWarning
from vrae.train.optimizers import EagerAdam, EagerSGD

FIT = """
import sys
import numpy as np
from vrae import VRAE
VRAE(max_epochs=1, random_state=0).fit(np.random.default_rng(0).standard_normal((20, 30)))
print([name for name in ("torch._dynamo", "sympy", "torch._inductor") if name in sys.modules])
"""


def test_a_fit_imports_no_compiler_of_torch():
    found = subprocess.run([sys.executable, "-W", "ignore", "-c", FIT], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("own", "of_torch", "options"),
    [
        (EagerAdam, torch.optim.Adam, {"lr": 0.1}),
        (EagerAdam, torch.optim.Adam, {"lr": 0.1, "fused": True}),
        (EagerSGD, torch.optim.SGD, {"lr": 0.1}),
    ],
)
def test_optimizers_are_those_of_torch(own, of_torch, options):
    start = torch.linspace(-1, 1, 6)
    ends = []
    for kind in (own, of_torch):
        weight = torch.nn.Parameter(start.clone())
        optimizer = kind([weight], **options)
        for step in range(4):
            if step == 2:  # a state that is saved and loaded changes nothing
                state = optimizer.state_dict()
                optimizer = kind([weight], **options)
                optimizer.load_state_dict(state)
            optimizer.zero_grad(set_to_none=True)
            (weight**3).sum().backward()
            optimizer.step()
        assert weight.requires_grad
        ends.append(weight.detach())
    assert torch.equal(*ends)


def test_compiled_code_that_cannot_be_kept_is_said_once():
    from vrae.nn.ppv_loop import _compiled, _say_uncached

    names: dict[str, Any] = {}
    exec(compile("def more(x): return x + 1", "<no file>", "exec"), names)  # numba keeps code beside a file only
    _say_uncached.cache_clear()
    with pytest.warns(VRAEWarning, match="NUMBA_CACHE_DIR"):
        more = _compiled(names["more"])
    assert more(1) == 2
    _compiled(names["more"])  # a second warning would be an error
