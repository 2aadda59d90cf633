"""Configuration of the documentation."""

import logging
import os
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from docutils import nodes
from sphinx_gallery.sorting import ExplicitOrder

sys.path.insert(0, str(Path(__file__).parent))
import _commands

os.environ.setdefault("MPLBACKEND", "Agg")

project = "dnaembed"
copyright = "2026, the dnaembed developers"
author = "the dnaembed developers"
version = release = metadata.version("dnaembed")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
# `name` is a link to what has this name, in docstrings as in these pages.
default_role = "py:obj"
exclude_patterns = ["_build"]
templates_path = ["_templates"]

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# Links to other projects are resolved where their inventories can be had; a build without a
# network leaves them out rather than failing.
intersphinx_mapping = {
    "python": ("https://docs.python.org/3", None),
    "numpy": ("https://numpy.org/doc/stable", None),
    "sklearn": ("https://scikit-learn.org/stable", None),
    "torch": ("https://docs.pytorch.org/docs/stable", None),
}
if os.environ.get("HF_HUB_OFFLINE"):
    intersphinx_mapping = {}
    # :term:`n_jobs` and the like point into scikit-learn's glossary.
    logging.getLogger("sphinx.sphinx.ext.intersphinx").setLevel(logging.ERROR)
    suppress_warnings = ["ref.term", "ref.ref"]

# The groups of the gallery, and the examples of each, from the first to read to the last.
_GROUPS = ("first_steps", "scikit_learn", "own_data", "training")
_EXAMPLES = (
    "species_map", "few_shot", "unknown_species", "binning",
    "grid_search", "nested_cross_validation", "custom_head",
    "compare_embedders", "robustness", "large_file",
    "fine_tuning", "adapting", "mi_mix",
)  # fmt: skip
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "abort_on_example_error": True,
    "show_memory": False,
    "write_computation_times": False,
    # "Examples using ..." at the end of each page of the reference.
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("dnaembed",),
    "subsection_order": ExplicitOrder([f"../examples/{name}" for name in _GROUPS]),
    "within_subsection_order": ExplicitOrder([*(f"plot_{name}.py" for name in _EXAMPLES), "*"]),
}

html_theme = "pydata_sphinx_theme"
html_title = f"dnaembed {version}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_context = {"default_mode": "auto"}
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "logo": {"text": f"dnaembed {version}"},
    # The right bar of the gallery has nothing but a link to the source.
    "secondary_sidebar_items": {
        "*": ["page-toc"],
        "guide/*": ["page-toc"],
        "generated/*": ["page-toc"],
        "auto_examples/**": [],
    },
}
# An icon and "edit this page", as soon as pyproject.toml says where the repository is.
_file = Path(__file__).parents[1] / "pyproject.toml"
_urls = tomllib.loads(_file.read_text(encoding="utf-8"))["project"]["urls"]
if repository := _urls.get("Repository"):
    html_theme_options["icon_links"] = [
        {"name": "Repository", "url": repository, "icon": "fa-brands fa-git-alt"}
    ]
    html_theme_options["use_edit_page_button"] = True
    html_theme_options["secondary_sidebar_items"]["guide/*"].append("edit-this-page")
    html_context["edit_page_url_template"] = repository + "/edit/main/docs/{{ file_name }}"
toc_object_entries_show_parents = "hide"
# Pages without pages below them have nothing to show beside them.
_NO_SIDEBAR = (
    "index",
    "getting_started",
    "cli",
    "results",
    "scores",
    "model_card",
    "glossary",
    "recipes/packaging",
    "contributing",
    "citing",
    "changes",
)
html_sidebars = {page: [] for page in _NO_SIDEBAR}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"


def _changes_as_rst(app, name, source):
    """Show CHANGES.md, which needs only headings, lists and code, as the page "changes"."""
    if name != "changes":
        return
    lines = []
    file = app.srcdir.parent / "CHANGES.md"
    app.env.note_dependency(file)
    for line in file.read_text(encoding="utf-8").splitlines():
        heading = re.fullmatch(r"(#+) (.*)", line)
        if heading:
            lines += [heading[2], "=-"[len(heading[1]) - 1] * len(heading[2])]
        else:
            lines.append(re.sub(r"`([^`]+)`", r"``\1``", line))
    source[0] = "\n".join(lines) + "\n"


def _commands_as_rst(app, name, source):
    """Fill the page "cli" from the commands."""
    if name == "cli":
        for path in (app.srcdir.parent / "dnaembed" / "cli").glob("*.py"):
            app.env.note_dependency(path)
        source[0] = source[0].replace("COMMANDS", _commands.overview()) + _commands.page()


def _only_own_members(app, what, name, obj, skip, options):
    """Leave out what classes inherit from transformers, torch and Python."""
    function = getattr(obj, "fget", obj)  # of a property
    module = getattr(function, "__module__", None) or "dnaembed"
    return True if module.split(".")[0] not in ("dnaembed", "sklearn") else None


def _no_addresses(app, doctree):
    """Undo the links that docutils makes of names such as f1@10."""
    for node in list(doctree.findall(nodes.reference)):
        if node.get("refuri", "").startswith("mailto:"):
            node.parent.replace(node, nodes.Text(node.astext()))


def setup(app):
    """Register what this file adds to Sphinx."""
    app.connect("doctree-read", _no_addresses)
    app.connect("source-read", _changes_as_rst)
    app.connect("source-read", _commands_as_rst)
    app.connect("autodoc-skip-member", _only_own_members)
