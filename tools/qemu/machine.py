# SPDX-License-Identifier: MIT
"""A virtual machine, in a guest with our modules, that shows what tools/qemu/guest.c is
told to show, on a virtio-gpu, or its kernel's console."""

import contextlib
import json
import os
import socket

from client import Client, Failure
from pins import module_users, pins
from weston import wait_readable

BUILD = os.path.abspath("build/qemu")
BUFFERS = "/sys/kernel/debug/udmabuf/buffers"

PAGE = 4096
PAGE_PIXELS = PAGE // 4
MEMORY = 128			# MiB of the virtual machine
CURSOR = "cursor 64 5 7"	# what the guest says of it: size, hot spot
# Who shows what: the kernel nothing, and why it dies on the serial line; or all that it
# says, in text without a cursor that blinks
PICTURES = "console=ttyS0 loglevel=1 drm_kms_helper.fbdev_emulation=0"
CONSOLE = "console=tty0 vt.global_cursor_default=0"


@contextlib.contextmanager
def nothing_left():
    """Of what is done meanwhile, no page stays pinned, and nothing of our driver's open."""
    pinned, users = pins(), module_users()
    yield
    if pins() != pinned or module_users() != users:
        raise Failure(f"{pins() - pinned} pages and {module_users() - users} "
                      "users of the module are left")


def picture(number, count):
    """What the guest draws, red, green and blue of each pixel: of its pages, so many,
    each has its own number in it."""
    blue = bytes(range(256)) * (PAGE_PIXELS // 256 + 1)
    pages = []
    for page in range(count):
        start = (page + number) % 256
        part = bytearray(3 * PAGE_PIXELS)
        part[0::3] = bytes([page >> 8]) * PAGE_PIXELS
        part[1::3] = bytes([page & 0xff]) * PAGE_PIXELS
        part[2::3] = blue[start:start + PAGE_PIXELS]
        pages.append(part)
    return b"".join(pages)


class Machine(Client):
    """QEMU, with what the guest says on its serial line as standard output. Its sockets
    are made in the current folder. Blob resources are what QEMU makes dma-bufs of."""

    def __init__(self, width, height, backend="", display="none", blob=True,
                 options=(), shows=PICTURES):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("qmp")
        listener.listen()
        self.size = width, height
        super().__init__([
            "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max,erms=off,fsrm=off",
            "-nodefaults", "-no-user-config", "-display", display, "-no-reboot",
            "-object", f"memory-backend-memfd,id=memory,size={MEMORY}M,share=on"
            + backend, "-m", f"{MEMORY}M", "-machine", "q35,memory-backend=memory",
            "-device", f"virtio-gpu-pci,xres={width},yres={height}"
            + (",blob=true" if blob else ""),
            "-kernel", f"{BUILD}/vmlinuz", "-initrd", f"{BUILD}/initramfs",
            "-append", f"{shows} panic=-1 no_timer_check",
            "-serial", "stdio", "-qmp", "unix:qmp",
            "-qmp", "unix:display,server=on,wait=off", *options], "stdout", log=None)
        wait_readable(listener, self.process, "QEMU")
        self.control = listener.accept()[0].makefile("rw")
        os.remove("qmp")
        self.control.readline()
        self.command("qmp_capabilities")

    def command(self, name, **arguments):
        """Of QEMU. Returns what it says."""
        json.dump({"execute": name, "arguments": arguments}, self.control)
        self.control.flush()
        while True:
            answer = json.loads(self.control.readline())
            if "error" in answer:
                raise Failure(f"{name}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def tell(self, line, answer):
        """To the guest."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        self.wait_for(f"^{answer}$")

    def check_screen(self, number):
        """It shows that picture."""
        width, height = self.size
        self.command("screendump", filename=os.path.abspath("screen"))
        with open("screen", "rb") as file:
            screen = file.read()
        if screen != b"P6\n%d %d\n255\n" % (width, height) \
                + picture(number, width * height // PAGE_PIXELS):
            raise Failure(f"the screen does not show picture {number}")

    def buffers(self):
        """Those that it made: inode, bytes, pages of each kind of folio."""
        return [(int(line[0]), int(line[3]), line[4]) for line in self.lines()]

    def buffers_of(self, name):
        """Inodes of those that it made of a memfd of that name."""
        return [int(line[0]) for line in self.lines() if line[-1] == name]

    def lines(self):
        with open(BUFFERS) as file:
            lines = [line.split() for line in file][1:]
        return [line for line in lines if line[1] == str(self.process.pid)]
