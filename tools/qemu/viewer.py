# SPDX-License-Identifier: MIT
"""examples/guest-viewer, and what is shown with it."""

import os
import tempfile

from client import run
from machine import PAGE_PIXELS

# For QEMU's display "dbus,p2p=yes".
VIEWER = [os.path.abspath("build/examples/guest-viewer"), "--verbose", "display"]
CURSOR_SEEN = "^cursor 64x64, 5,7$"	# what it says of machine.CURSOR
WIDTH, HEIGHT = 1024, 768
PAGES = WIDTH * HEIGHT // PAGE_PIXELS


def try_viewer(name, test, *arguments):
    """In a folder of its own, for Weston too. Returns the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_RUNTIME_DIR"] = folder
        os.chdir(folder)
        return 0 if run(name, test, *arguments) else 1
