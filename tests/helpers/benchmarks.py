"""Modules of docs, which no package holds."""

import importlib
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "docs" / "benchmarks"


def load(path):
    """Import a script, or a module that scripts share, as they import each other."""
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    return importlib.import_module(path.stem)


def load_benchmark(name):
    return load(BENCHMARKS / f"{name}.py")


def embedding_mixture(*args, **kwargs):
    return load_benchmark("_shared").embedding_mixture(*args, **kwargs)
