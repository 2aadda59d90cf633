"""Helpers for those who write estimators of DNA sequences."""

from . import _fork as _fork  # for its effect on children
