"""The diagram of the contributing guide, from the imports: ``python docs/figures/architecture.py``.

Rows are the rooms of the package: its folders, and the modules beside them. A dot says that the row
imports the column. A test compares the committed picture with the imports as they are.
"""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent.parent.parent / "dnaembed"

# From top to bottom; what imports stands above what it imports.
_ABOUT = {
    "cli": "one module per command",
    "benchmark": "embedders side by side",
    "training": "losses, pairs, trainer",
    "datasets": "genomes, reads cut from them, demo",
    "plotting": "pictures",
    "metrics": "scores of bins and clusters",
    "species": "classifier, clusterer, bins",
    "embedding": "from sequences to rows",
    "backbones": "models: one interface",
    "io": "files in, files out",
    "composition": "k-mer counts, compiled",
    "_sequences": "what counts as DNA",
    "utils": "ground floor: tools of all rooms",
}


def imports():
    """Return pairs of rooms (importer, imported)."""
    edges = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        # The package's front door and `python -m dnaembed` only pass on what others hold; the
        # checks for users' estimators try whatever they are given on all that there is.
        if module in ("dnaembed", "dnaembed.__main__", "dnaembed.utils.estimator_checks"):
            continue
        for name in _imported(path, package):
            if name != "dnaembed":
                edges.add((module.split(".")[1], name.split(".")[1]))
    return sorted((a, b) for a, b in edges if a != b)


def _imported(path, package):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level:
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1])
            name = f"{base}.{node.module}" if node.module else base
        else:
            name = node.module or ""
        if name.split(".")[0] != "dnaembed":
            continue
        for alias in node.names:
            whole = f"{name}.{alias.name}"
            path_of = PACKAGE.parent.joinpath(*whole.split("."))
            yield whole if path_of.with_suffix(".py").is_file() or path_of.is_dir() else name


def svg(edges):
    """Return the diagram as text: a row each, a dot for each import."""
    names = list(_ABOUT)
    left, top, cell = 250, 96, 38
    width, height = left + cell * len(names) + 60, top + cell * len(names) + 12
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="15" role="img">',
        "<title>Which part of dnaembed imports which</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="white"/>',
    ]
    for i, name in enumerate(names):
        middle, along = top + cell * i + cell / 2, left + cell * i + cell / 2
        shade = "#eef3f7" if i % 2 == 0 else "white"
        lines += [
            f'<rect x="8" y="{top + cell * i}" width="{left + cell * len(names) - 8}" '
            f'height="{cell}" fill="{shade}"/>',
            f'<text x="16" y="{middle - 2:.0f}" font-weight="bold">{name}</text>',
            f'<text x="16" y="{middle + 14:.0f}" font-size="12">{_ABOUT[name]}</text>',
            f'<text transform="translate({along + 4:.0f} {top - 8}) rotate(-45)">{name}</text>',
        ]
    for i, name in enumerate(names):
        x, y = left + cell * i, top + cell * i
        lines.append(f'<rect x="{x + 9}" y="{y + 9}" width="20" height="20" fill="#bbbbbb"/>')
        for other in (b for a, b in edges if a == name):
            j = names.index(other)
            lines.append(
                f'<circle cx="{left + cell * j + cell / 2:.0f}" cy="{y + cell / 2:.0f}" r="8" '
                f'fill="#0072B2"><title>{name} imports {other}</title></circle>'
            )
    return "\n".join([*lines, "</svg>", ""])


def layers():
    """Return the boxes from top to bottom: what imports stands above what it imports."""
    return list(_ABOUT)


if __name__ == "__main__":
    target = Path(__file__).with_suffix(".svg")
    target.write_text(svg(imports()), encoding="utf-8")
