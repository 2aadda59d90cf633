"""Checks for transformers of DNA sequences, where scikit-learn's own do not fit.

`sklearn.utils.estimator_checks.check_estimator` feeds numbers, and so leaves an estimator of
strings all but unchecked. Here are those of its checks that need no data, and string versions of
the rest. Each check is a function of a name and an estimator that raises if something is wrong.

An estimator that caches should be checked with its cache switched off as well: a cached row hides
that it would depend on the other sequences of its batch.
"""

import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any
from unittest import SkipTest

from sklearn import config_context
from sklearn.exceptions import SkipTestWarning
from sklearn.utils import estimator_checks as sklearn_checks

from ._sequence_checks import SEQUENCE_CHECKS

__all__ = [
    "check_sequence_transformer",
    "parametrize_with_sequence_checks",
    "sequence_transformer_checks",
]

# Those of scikit-learn's checks that hold for any input.
_SKLEARN_CHECKS = (
    "check_estimator_cloneable", "check_estimator_tags_renamed", "check_valid_tag_types",
    "check_estimator_repr", "check_no_attributes_set_in_init", "check_estimators_unfitted",
    "check_do_not_raise_errors_in_init_or_set_params", "check_mixin_order",
    "check_transformers_unfitted", "check_parameters_default_constructible",
    "check_get_params_invariance", "check_set_params",
)  # fmt: skip


def sequence_transformer_checks(estimator: Any) -> Iterator[tuple[Any, Callable[[Any], None]]]:
    """Yield the checks of a transformer of DNA sequences, one by one.

    Parameters
    ----------
    estimator : transformer
        An instance; the checks work on clones.

    Yields
    ------
    estimator : transformer
        The one given.
    check : callable
        ``check(estimator)`` raises if something is wrong, and `unittest.SkipTest` if it needs
        a package that is not installed.

    Examples
    --------
    >>> from dnaembed import KmerEmbedder
    >>> from dnaembed.utils.estimator_checks import sequence_transformer_checks
    >>> for estimator, check in sequence_transformer_checks(KmerEmbedder()):
    ...     check(estimator)
    """
    # Private to scikit-learn: one that a later version drops is not missed.
    checks = [getattr(sklearn_checks, check, None) for check in _SKLEARN_CHECKS]
    if hasattr(estimator, "_parameter_constraints"):  # which others need not declare
        checks.append(getattr(sklearn_checks, "check_param_validation", None))
    for check in (*checks, *SEQUENCE_CHECKS):
        if check is not None:
            yield estimator, partial(check, type(estimator).__name__)


def check_sequence_transformer(estimator: Any) -> None:
    """Check that a transformer of DNA sequences keeps scikit-learn's conventions.

    Parameters
    ----------
    estimator : transformer
        An instance; the checks work on clones.

    Raises
    ------
    Exception
        That of the first check that fails, most often an `AssertionError` that says what to do. A
        check that needs a package that is not installed gives a `SkipTestWarning`.

    Examples
    --------
    >>> from dnaembed import KmerEmbedder
    >>> from dnaembed.utils.estimator_checks import check_sequence_transformer
    >>> check_sequence_transformer(KmerEmbedder(k=2))
    """
    for estimator_, check in sequence_transformer_checks(estimator):
        try:
            check(estimator_)
        except SkipTest as reason:
            warnings.warn(str(reason), SkipTestWarning, stacklevel=2)


def parametrize_with_sequence_checks(estimators: Iterable[Any]) -> Any:
    """Decorate a pytest test so that it runs once for each estimator and check.

    Parameters
    ----------
    estimators : iterable of transformers
        Instances.

    Returns
    -------
    decorator
        For a test function with arguments ``estimator`` and ``check``.

    Examples
    --------
    >>> from dnaembed import KmerEmbedder
    >>> from dnaembed.utils.estimator_checks import parametrize_with_sequence_checks
    >>> @parametrize_with_sequence_checks([KmerEmbedder(), KmerEmbedder(method="raw")])
    ... def test_conventions(estimator, check):
    ...     check(estimator)
    """
    import pytest

    pairs = [pair for estimator in estimators for pair in sequence_transformer_checks(estimator)]
    return pytest.mark.parametrize(("estimator", "check"), pairs, ids=_test_id)


def _test_id(value: Any) -> str:
    if isinstance(value, partial):
        return value.func.__name__
    with config_context(print_changed_only=True):
        return re.sub(r"\s+", "", str(value))
