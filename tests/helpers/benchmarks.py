"""Modules of docs/benchmarks, which no package holds."""

import importlib
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "docs" / "benchmarks"


def load_benchmark(name):
    """Import a script, or the module that they share, as they import each other."""
    if str(BENCHMARKS) not in sys.path:
        sys.path.append(str(BENCHMARKS))
    return importlib.import_module(name)


def embedding_mixture(*args, **kwargs):
    return load_benchmark("_shared").embedding_mixture(*args, **kwargs)
