# SPDX-License-Identifier: MIT
"""examples/guest-viewer with screens that nobody's virtual machine has to be booted for:
are they shown, the right way up, and does no choice of a guest's end the viewer?"""

import os

from client import Client, Failure
from picture import Picture
from weston import Weston, screenshot

SCREENS = os.path.abspath("build/clients/screens")
VIEWER = os.path.abspath("build/examples/guest-viewer")
WIDTH, HEIGHT = 320, 240
RED, BLUE, BLACK = b"\0\0\xff", b"\xff\0\0", b"\0\0\0"
UPRIGHT = RED, BLUE
# How QEMU hands it out, whether there is /dev/udmabuf, what is seen of it, what the viewer
# says
CASES = (("copied", False, UPRIGHT, "by wl_shm"),
         ("dmabuf", True, UPRIGHT, "dma-buf, inode"),
         ("bottom-up", True, UPRIGHT[::-1], "dma-buf, inode"),
         ("tiled", True, (BLACK, BLACK), "disabled"),
         ("copied", True, UPRIGHT, "dma-buf of a memfd, inode"),
         ("unknown", True, (BLACK, BLACK), "disabled"),
         ("dmabuf", True, UPRIGHT, "dma-buf, inode"))
# Weston draws when it likes.
LOOKS = 100


def check_seen(name, wanted):
    """The same colour in all of the upper half, and of the lower one."""
    for _ in range(LOOKS):
        screenshot("screen.png")
        rows = [bytes(row) for row in Picture("screen.png").rows]
        pixels = [row[i:i + 3] for row in rows for i in range(0, len(row), 4)]
        half = len(pixels) // 2
        seen = set(pixels[:half]), set(pixels[half:])
        if seen == tuple({colour} for colour in wanted):
            return
    raise Failure(f"{name}: {seen} is seen, and not {wanted}")


def show(qemu, viewer, case):
    name, has_device, wanted, said = case
    if not has_device:
        os.rename("/dev/udmabuf", "/dev/udmabuf.away")
    try:
        qemu.process.stdin.write(name + "\n")
        qemu.process.stdin.flush()
        qemu.wait_for(f"^shown {name}$")
    finally:
        if not has_device:
            os.rename("/dev/udmabuf.away", "/dev/udmabuf")
    check_seen(name, wanted)
    viewer.wait_for(said)


def test():
    with Weston(WIDTH, HEIGHT, "screens.log"), \
         Client([SCREENS, "display"], "stdout", log=None) as qemu:
        qemu.wait_for("^ready$")
        with Client([VIEWER, "--verbose", "display"], "stdout") as viewer:
            for case in CASES:
                show(qemu, viewer, case)
            qemu.end(0)
            viewer.end(0)
    return f"{len(CASES)} screens, the last one after others that cannot be shown"
