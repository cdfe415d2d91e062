# SPDX-License-Identifier: GPL-2.0
"""Sphinx: the pages of this folder as one site. tools/doc runs it, with the kernel's
scripts/kernel-doc as KERNEL_DOC."""

import os
import re
import subprocess

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
import sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import nested_parse_with_titles

project = "pinfold"
copyright = "its authors; GPL-2.0"
extensions = ["sphinx.ext.graphviz"]
highlight_language = "none"
smartquotes = False

html_theme = "alabaster"
html_theme_options = {
    "description": "files in memory as dma-bufs",
    "fixed_sidebar": True,
    "page_width": "72rem",
    "sidebar_width": "16rem",
    "body_max_width": "52rem",
    "font_family": "sans-serif",
    "head_font_family": "sans-serif",
}
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_show_sphinx = False
html_copy_source = False
graphviz_output_format = "svg"
# Of our own man pages. Those of others are written name(section).
manpages_url = "man/{page}.{section}.html"

# Every reference leads somewhere, but for what is the kernel's.
nitpicky = True
nitpick_ignore_regex = [
    ("c:.*", r"(?!memfd_pins?_|memfd_span|pin_(charge|test|mounts?_)|udmabuf_|mempinfd_).*")]


# What other modules can call
CALLS = re.compile(r"(?:``)?\b(memfd_pins_\w+|memfd_pin_range|memfd_pin_get_seals"
                   r"|pin_(?:un)?charge\w*|pin_account_query|pin_mounts?_\w+"
                   r"|pin_user_pages_fast_\w+|udmabuf_export_file)\(\)(?:``)?")


class KernelDoc(SphinxDirective):
    """What the kernel-doc comments of a file say, or, of a function's file, those of
    what other modules can call."""

    required_arguments = 1
    option_spec = {"export": directives.flag, "functions": directives.unchanged}

    def run(self):
        path = os.path.join(self.config.project_folder, self.arguments[0])
        self.env.note_dependency(path)
        command = [os.environ["KERNEL_DOC"], "-rst", "-Werror",
                   "-sphinx-version", sphinx.__version__]
        if "export" in self.options:
            command.append("-export")
        for name in self.options.get("functions", "").split():
            command += ["-function", name]
        made = subprocess.run([*command, path], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        if made.returncode or made.stderr:
            raise self.error(f"{self.arguments[0]}: {made.stderr}")
        node = nodes.section(document=self.state.document)
        nested_parse_with_titles(
            self.state, StringList(link_calls(made.stdout).split("\n"), path), node)
        return node.children


def link_calls(text):
    return CALLS.sub(r":c:func:`\1`", text)


def link_pages(_app, _page, text):
    """What a page names becomes a link: another one, by its file, with its title; a man
    page; a function."""
    text[0] = re.sub(r"``Documentation/([\w-]+)\.rst``", r":doc:`\1`", text[0])
    text[0] = re.sub(r"``Documentation/([\w-]+)\.([1-8])``", r":manpage:`\1(\2)`", text[0])
    text[0] = link_calls(text[0])


def setup(app):
    app.add_config_value("project_folder", os.path.dirname(app.srcdir), "env")
    app.add_directive("kernel-doc", KernelDoc)
    app.connect("source-read", link_pages)
