"""Packages that only some features need: asked for by name, with the way to install them."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from vrae.exceptions import MissingDependencyError

__all__ = ["require"]


def require(module: str, extra: str, purpose: str, otherwise: str = "") -> ModuleType:
    """Import a module of an optional package.

    Parameters
    ----------
    module : str
        As in ``import module``.
    extra : str
        The extra of vrae that installs it.
    purpose : str
        What it is needed for; begins the message.
    otherwise : str, optional
        A sentence on how to do without; ends the message.

    Raises
    ------
    MissingDependencyError
        It is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = (error.name or module).partition(".")[0]
        raise MissingDependencyError(
            f"{purpose} needs the package {package}: pip install 'vrae[{extra}]'. {otherwise}".rstrip()
        ) from error
