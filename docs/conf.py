"""The configuration of the documentation site.

    python -m sphinx -W --keep-going -b html docs docs/_build/html

Notebooks and benchmark results are taken from where they are kept: they are copied, or drawn, into
`docs/_made` before the pages are read. Git ignores that folder.
"""

import os
import shutil
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
MADE = HERE / "_made"
sys.path[:0] = [str(ROOT), str(HERE / "_ext")]

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REPOSITORY = PROJECT["urls"]["Repository"]


def make_pages() -> None:
    """Copies the notebooks, and makes the tables and pictures of the benchmarks."""
    from bench import report, results

    shutil.rmtree(MADE, ignore_errors=True)
    (MADE / "notebooks").mkdir(parents=True)
    for path in sorted((ROOT / "notebooks").iterdir()):
        if path.suffix in {".ipynb", ".png"}:
            shutil.copy(path, MADE / "notebooks")
    shutil.copy(ROOT / "bench" / "sweep.png", MADE)
    facts = results.read()
    (MADE / "speed.txt").write_text(report.tables(facts) + "\n")
    for name, dark in {"speed-light.svg": False, "speed-dark.svg": True}.items():
        report.draw(next(iter(facts.values())), MADE / name, dark=dark)


make_pages()

import fnn  # noqa: E402, the pages come first

project = "fnn"
author = "The fnn authors"
copyright = "the fnn authors"  # noqa: A001, Sphinx reads this name
version = release = fnn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_nb",
    "docstrings",
]
exclude_patterns = ["_build"]
default_role = "py:obj"

nb_execution_mode = "off"  # they are shown as they are committed
nb_merge_streams = True
myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
myst_links_external_new_tab = False
myst_url_schemes = {
    **dict.fromkeys(("http", "https", "mailto")),
    "repo": REPOSITORY + "/{{path}}",
}
suppress_warnings = ["mystnb.unknown_mime_type"]

autosummary_generate = False
autodoc_typehints = "none"  # the docstrings say types and shapes in words
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False
napoleon_use_param = False  # several names that share a description stay together
python_maximum_signature_line_length = 70

# The other libraries' pages are linked where they can be reached. An offline build sets nothing,
# asks for nothing, and warns of nothing.
if os.environ.get("DOCS_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "jax": ("https://docs.jax.dev/en/latest", None),
        "numpy": ("https://numpy.org/doc/stable", None),
    }

html_theme = "furo"
pygments_dark_style = "github-dark"
html_title = f"fnn {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "source_repository": REPOSITORY,
    "source_branch": "main",
    "source_directory": "docs/",
}
if "DOCS_MATHJAX" in os.environ:  # a copy on this machine, to look at the pages without a network
    mathjax_path = os.environ["DOCS_MATHJAX"]
