"""Budgets of the house: how large the package, its modules and its tests may grow."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "dnaembed"
# A feature pays for its lines, or something else goes.
MOST_LINES = {"dnaembed": 15_500, "tests": 15_500}
MOST_LINES_OF_A_MODULE = 450
MOST_MODULES_AT_THE_ROOT = 6


def lines(path):
    return len(path.read_text(encoding="utf-8").splitlines())


def test_lines_of_package_and_tests():
    for folder, most in MOST_LINES.items():
        total = sum(map(lines, (ROOT / folder).rglob("*.py")))
        assert 0 < total <= most, f"{folder}/ has {total} lines, {total - most} too many"


def test_lines_of_each_module():
    long = {
        str(path.relative_to(ROOT)): lines(path)
        for path in PACKAGE.rglob("*.py")
        if lines(path) > MOST_LINES_OF_A_MODULE
    }
    assert long == {}


def test_modules_beside_the_rooms():
    assert len(list(PACKAGE.glob("*.py"))) <= MOST_MODULES_AT_THE_ROOT


def test_what_an_import_of_the_package_costs():
    """Nothing heavy stands at the front door: names are loaded on first use."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    modules = [n.module for n in tree.body if isinstance(n, ast.ImportFrom)]
    modules += [name.name for n in tree.body if isinstance(n, ast.Import) for name in n.names]
    assert set(modules) <= {"importlib", "typing"}
