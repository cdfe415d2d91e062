# SPDX-License-Identifier: MIT
"""What our drivers do, one thing after the other."""

import os
import re
import select

from client import Failure

TRACING = "/sys/kernel/tracing"


class Trace:
    """What the drivers do, from now on: ranges pinned, buffers made and released."""

    EVENTS = ("memfd_pin/memfd_pin", "udmabuf/udmabuf_create", "udmabuf/udmabuf_release")

    def __init__(self):
        self.write("buffer_size_kb", "4096")
        self.write("trace", "")		# what was left over
        for event in self.EVENTS:
            self.write(f"events/{event}/enable", "1")
        self.pipe = os.open(f"{TRACING}/trace_pipe", os.O_RDONLY)
        self.text = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.pipe)
        for event in self.EVENTS:
            self.write(f"events/{event}/enable", "0")

    @staticmethod
    def write(name, text):
        with open(f"{TRACING}/{name}", "w") as file:
            file.write(text)

    def next(self):
        """Waits for an event; its name, and its numbers by their names."""
        while b"\n" not in self.text:
            self.text += os.read(self.pipe, 1 << 16)
        line, _, self.text = self.text.partition(b"\n")
        name, rest = re.search(rb": (\w+): (.*)", line).groups()
        values = dict(word.split(b"=") for word in rest.split())
        return name.decode(), {
            key.decode(): [int(number, 0) for number in re.findall(rb"\w+", value)]
            for key, value in values.items()}

    def next_buffer(self):
        """Until one is made: what was pinned for it, and itself."""
        ranges = []
        while True:
            name, values = self.next()
            if name == "memfd_pin":
                ranges.append((*values["pages"], values["folios"][0]))
            elif name == "udmabuf_create":
                return ranges, {key: value[0] for key, value in values.items()}

    def wait_release(self, inode):
        while True:
            name, values = self.next()
            if name == "udmabuf_release" and values["ino"] == [inode]:
                return

    def check_quiet(self):
        if self.text or select.select([self.pipe], [], [], 0)[0]:
            raise Failure(f"the driver was busy: {self.next()}")
