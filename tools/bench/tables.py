# SPDX-License-Identifier: GPL-2.0
"""Tables of Markdown."""


def table(title, head, lines):
    """A title and a table, if it has lines; the first columns are text, those of
    numbers end in |."""
    lines = list(lines)
    if not lines:
        return
    yield from (title, "")
    align = ["--:" if name.endswith("|") else "---" for name in head]
    yield "| " + " | ".join(name.rstrip("|") for name in head) + " |"
    yield "|" + "|".join(align) + "|"
    for line in lines:
        yield "| " + " | ".join(line) + " |"
    yield ""
