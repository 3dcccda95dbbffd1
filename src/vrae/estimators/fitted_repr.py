"""What a fitted estimator shows of itself: its ``repr``, and a summary in notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vrae.plots.summary import options_html, summary_html

__all__ = ["FittedRepr"]


class FittedRepr:
    """The ``repr`` of an estimator says that it is fitted, to what, and what was found.

    Unfitted, it is that of scikit-learn.
    """

    if TYPE_CHECKING:  # what estimators have
        embedding_: Any
        ids_: Any
        get_params: Any
        __sklearn_is_fitted__: Any

    def _result(self) -> str:
        """Return what was found, in a few words."""
        raise NotImplementedError

    def _facts(self) -> list[str]:
        """Return facts about the fit, for notebooks."""
        raise NotImplementedError

    def _option_parts(self) -> dict[str, dict[str, Any]]:
        """Return the options of the estimator, and of its model if it has one."""
        parts = {type(self).__name__: dict(self.get_params(deep=False))}
        if hasattr(self, "model_"):
            parts[type(self.model_).__name__] = dict(self.model_.get_params(deep=False))
        return parts

    def _fit_title(self) -> str:
        return f"fitted to {len(self.ids_):,} series: {self._result()}"

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        text: str = super().__repr__(N_CHAR_MAX)  # type: ignore[call-arg]
        return f"<{text}, {self._fit_title()}>" if self.__sklearn_is_fitted__() else text

    def _html_repr(self) -> str:
        """Return a summary of the fit; before it, scikit-learn's table of options."""
        if not self.__sklearn_is_fitted__():
            options: str = super()._html_repr()  # type: ignore[misc]
            return options
        return self._summary_html() + options_html(self._option_parts())

    def _summary_html(self) -> str:
        return summary_html(f"{type(self).__name__}, {self._fit_title()}", self.embedding_, self._facts())
