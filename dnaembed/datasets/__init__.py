"""Data sets to try things on."""

from ._demo import load_demo_reads

__all__ = ["load_demo_reads"]
