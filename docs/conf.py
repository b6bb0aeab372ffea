"""Sphinx: the pages are Markdown (MyST), the reference comes from the docstrings of the installed package."""

from importlib import metadata

project = "roomstate"
author = "The roomstate maintainers"
project_copyright = "2026, the roomstate maintainers"
release = metadata.version("roomstate")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
default_role = "code"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}

html_theme = "furo"
html_title = f"roomstate {release}"
