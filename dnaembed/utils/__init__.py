"""Helpers for those who write estimators of DNA sequences."""
