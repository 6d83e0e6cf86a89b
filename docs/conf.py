"""Settings of the site. `make docs` builds it; docs/developers/site.md tells how its parts work."""

import sys
import tomllib
from pathlib import Path

import pyvista

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS / "_extensions"))

_metadata = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
project = "microlith"
author = "the microlith developers"
copyright = author
release = version = _metadata["version"]

extensions = [
    *("myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_gallery.gen_gallery"),
    *("checked_names", "generated_pages", "executed_examples", "field_comments", "mathml"),
]
exclude_patterns = [
    *("_build", "case-file.md", "segment-file.md", "verification.md", "scripts", "generated/fragments", "**/*.ipynb"),
]
nitpicky = False  # names of other projects cannot be looked up without a network

myst_enable_extensions = ["amsmath", "attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
myst_links_external_new_tab = True
# A word with a colon is no address: only these are.
myst_url_schemes = ["http", "https", "mailto"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

pyvista.OFF_SCREEN = True
pyvista.BUILDING_GALLERY = True
sphinx_gallery_conf = {
    "examples_dirs": "scripts",
    "gallery_dirs": "generated/scripts",
    "filename_pattern": r"\.py$",
    "image_scrapers": (pyvista.Scraper(), "matplotlib"),
    "abort_on_example_error": True,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "microlith"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_math_renderer = "mathml"  # made when the site is built: no script, no font from the network
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "navbar_align": "left",
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
