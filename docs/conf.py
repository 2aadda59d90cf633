"""Configuration of the documentation."""

import logging
import os
from importlib import metadata

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

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "abort_on_example_error": True,
    "show_memory": False,
    "reference_url": {"dnaembed": None},
}

html_theme = "pydata_sphinx_theme"
html_title = "dnaembed"
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
