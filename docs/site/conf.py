"""Settings of Sphinx for the course's site; build_site.py writes the pages that it reads."""

import shutil
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

from docutils import nodes

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

project = tomllib.loads((ROOT / "course.toml").read_text(encoding="utf-8"))["title"]
author = "the authors of the course"
copyright = "MIT licence"
language = "en"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
exclude_patterns = ["files", "doctrees"]  # copied to the site as they are; what Sphinx has read
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type", "misc.highlighting_failure", "ref.python"]

# Notebooks are shown with the outputs that the build of the course recorded.
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath", "attrs_inline", "deflist"]
myst_heading_anchors = 4
myst_update_mathjax = False
default_role = "code"

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
add_module_names = False
napoleon_numpy_docstring = False
napoleon_use_rtype = False

mathjax_path = "mathjax/tex-chtml.js"
mathjax3_config = {
    "options": {"processHtmlClass": "tex2jax_process|mathjax_process|math|output_area", "enableMenu": False},
    "tex": {"tags": "none"},
}

html_title = project
html_context = {"default_mode": "auto"}
html_theme = "pydata_sphinx_theme"
html_static_path = [str(HERE / "static")]
html_css_files = ["site.css"]
html_favicon = str(HERE / "static" / "favicon.svg")
html_js_files = [("site.js", {"defer": "defer"})]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_sidebars = {"index": []}
html_theme_options = {
    "show_nav_level": 1,
    "navigation_depth": 2,
    "show_toc_level": 1,
    "header_links_before_dropdown": 6,
    "logo": {"text": project},
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "search_bar_text": "Search the course",
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

_MATHJAX = ("tex-chtml.js", "output/chtml/fonts", "input/tex/extensions")
"""What a page loads of MathJax; its other files are some twenty megabytes."""


def keep_numbered_equations_whole(app, doctree):
    r"""Hand equations with a number or an environment of their own to MathJax as they are.

    Sphinx puts equations of several lines into \begin{split}, inside which MathJax refuses \tag.
    """
    for equation in doctree.findall(nodes.math_block):
        text = equation.astext()
        if (r"\tag" in text or r"\begin" in text) and not equation.get("no-wrap", equation.get("nowrap")):
            equation["nowrap"] = equation["no-wrap"] = True
            equation.children = [nodes.Text(rf"\[{text}\]")]


def name_empty_headings(app, doctree):
    """Give a column without a heading one for screen readers."""
    for head in doctree.findall(nodes.thead):
        for entry in head.findall(nodes.entry):
            if not entry.astext().strip():
                entry.children = [nodes.raw("", '<span class="visually-hidden">entry</span>', format="html")]


def copy_mathjax(app, exception):
    """Put the files of MathJax on the site, so that equations need no other host."""
    if exception is None:
        package = distribution("sphinx-mathjax-offline")
        source = Path(str(package.locate_file("sphinx-mathjax-offline/static/mathjax")))
        for name in _MATHJAX:
            target = Path(app.outdir) / "_static" / "mathjax" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if (source / name).is_dir():
                shutil.copytree(source / name, target, dirs_exist_ok=True)
            else:
                shutil.copy(source / name, target)


def setup(app):
    app.connect("doctree-read", keep_numbered_equations_whole)
    app.connect("doctree-read", name_empty_headings)
    app.connect("build-finished", copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
