"""Sphinx's settings for the course's site; site/build.py lays out the pages and calls it."""

import os

project = "U-Net, from the first convolution to a model you would ship"
html_title = "U-Net course"
extensions = ["myst_nb", "sphinx_copybutton"]
nb_execution_mode = "off"  # the stored outputs are shown, nothing runs
nb_render_markdown_format = "myst"  # with tables
nb_merge_streams = True
nb_code_prompt_show = "Show the {type}"
nb_code_prompt_hide = "Hide the {type}"
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
copybutton_selector = "div.highlight:not(.output div) pre"
mathjax_path = "tex-svg.js"  # copied by build.py; not fetched from another server

html_theme = "sphinx_book_theme"
html_favicon = "static/icon.svg"
html_static_path = ["static"]
html_css_files = ["course.css"]
html_use_index = False
html_copy_source = False
html_context = {"default_mode": "auto"}  # light or dark, as the system is
html_theme_options = {
    "use_download_button": False,
    "use_fullscreen_button": False,
    "footer_content_items": [],
    "navbar_persistent": [],  # the search field is in the sidebar
    "show_toc_level": 2,
    "search_bar_text": "Search the course ...",
}
if os.environ["SITE_REPOSITORY"]:
    html_theme_options |= {
        "repository_url": os.environ["SITE_REPOSITORY"],
        "repository_branch": os.environ["SITE_BRANCH"],
        "path_to_docs": "",
        "launch_buttons": {"colab_url": "https://colab.research.google.com"},
        "use_repository_button": True,
    }


def setup(app):
    # In a page that was opened as a file, a browser may not read other files for excerpts.
    local = "if (location.protocol === 'file:') DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;"
    app.add_js_file(None, body=local, priority=900)
