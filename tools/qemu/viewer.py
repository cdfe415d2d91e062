# SPDX-License-Identifier: MIT
"""examples/guest-viewer, and what is shown with it."""

import contextlib
import os
import re
import subprocess
import tempfile

from client import Failure, run
from machine import PAGE, PAGE_PIXELS
from process import dmabufs

# For QEMU's display "dbus,p2p=yes".
VIEWER = [os.path.abspath("build/examples/guest-viewer"), "--verbose", "display"]
CURSOR_SEEN = "^cursor 64x64, 5,7$"	# what it says of machine.CURSOR
WIDTH, HEIGHT = 1024, 768
PAGES = WIDTH * HEIGHT // PAGE_PIXELS
# Weston draws when it likes; a frame is on the screen after a few pictures, unless the
# viewer has to wait for a busy machine.
LOOKS = 100


@contextlib.contextmanager
def render_node():
    """QEMU's display, with the render node that it wants: without a GPU, that of vgem.
    Weston must not find it: it would not use llvmpipe alone any more."""
    subprocess.run(["modprobe", "vgem"], check=True)
    unload = ["modprobe", "-r", "vgem"]
    try:
        yield "dbus,p2p=yes,gl=on,rendernode=/dev/dri/renderD128"
    except BaseException:
        subprocess.run(unload, check=False)
        raise
    if subprocess.run(unload, check=False).returncode:
        raise Failure("vgem is still in use")


def imported(machine, weston, said):
    """Of the screens that the viewer has said it got, the dma-buf that QEMU has made of
    the guest's pages, which Weston then has; llvmpipe makes others, of what there was
    before. Returns its inode, or None."""
    ours = machine.buffers_of("memory-backend-memfd")
    for line in said:
        screen = re.fullmatch(rf"screen {WIDTH}x{HEIGHT}, dma-buf, inode (\d+)", line)
        inode = screen and int(screen[1])
        if inode in ours:
            if (inode, "udmabuf", PAGES * PAGE) in dmabufs(weston.process.pid):
                return inode
            raise Failure(f"Weston does not have the dma-buf {inode} open")
    return None


def try_viewer(name, test, *arguments):
    """In a folder of its own, for Weston too. Returns the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_RUNTIME_DIR"] = folder
        os.chdir(folder)
        return 0 if run(name, test, *arguments) else 1
