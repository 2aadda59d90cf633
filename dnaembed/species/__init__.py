"""Telling species apart: classifier, clusterer, and what they stand on."""
