"""Packages that only some features need: asked for by name, with the way to install them."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from vrae.exceptions import MissingDependencyError

__all__ = ["check_installed"]


def check_installed(package: str, extra: str, purpose: str, otherwise: str = "") -> None:
    """Raise if an optional package is not installed; nothing is imported, so it can be asked before any work.

    Parameters
    ----------
    package : str
        As in ``import package``.
    extra : str
        The extra of vrae that installs it.
    purpose : str
        What it is needed for; begins the message.
    otherwise : str, optional
        A sentence on how to do without; ends the message.

    Raises
    ------
    MissingDependencyError
    """
    found = sys.modules[package] if package in sys.modules else find_spec(package)
    if found is None:
        message = f"{purpose} needs the package {package}: pip install 'vrae[{extra}]'. {otherwise}"
        raise MissingDependencyError(message.rstrip())
