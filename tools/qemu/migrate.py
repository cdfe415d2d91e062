# SPDX-License-Identifier: MIT
"""A virtual machine moves to another QEMU by postcopy: that one makes a dma-buf of the
frame on the screen as soon as it knows of it, with the frame still in the other one.
Pages that were filled in the meantime would not be replaced by those that arrive."""

import os
import time

from client import Failure, charged
from machine import PAGE, PAGE_PIXELS, Machine, nothing_left

WIDTH, HEIGHT = 1280, 800
PAGES = WIDTH * HEIGHT // PAGE_PIXELS
# Bytes a second of what nobody asks for, until the target has its dma-buf
SLOW = 1 << 16


def migrate(source, target):
    """Returns how many pages the target had asked for when it had its dma-buf."""
    address = f"unix:{os.path.abspath('migration')}"
    for machine in source, target:
        machine.command("migrate-set-capabilities", capabilities=[
            {"capability": "postcopy-ram", "state": True}])
    target.command("migrate-incoming", uri=address)
    limits = "max-bandwidth", "max-postcopy-bandwidth"
    source.command("migrate-set-parameters", **{limit: SLOW for limit in limits})
    source.command("migrate", uri=address)
    source.command("migrate-start-postcopy")
    pinned_after = None
    while True:
        state = source.command("query-migrate")
        if state["status"] == "completed":
            if pinned_after is None:
                raise Failure("all had arrived before there was a dma-buf")
            return pinned_after
        if state["status"] in ("failed", "postcopy-paused"):
            raise Failure(f"the migration has {state['status']}: "
                          f"{state.get('error-desc')}")
        if pinned_after is None and target.buffers():
            state = source.command("query-migrate")
            if state["status"] == "postcopy-active":
                pinned_after = state["ram"]["postcopy-requests"]
            # 0: without a limit
            source.command("migrate-set-parameters", **{limits[1]: 0})
        time.sleep(0.1)


def check_buffer(machine):
    sizes = [size for _, size, _ in machine.buffers()]
    if sizes != [PAGES * PAGE]:
        raise Failure(f"it has dma-bufs of {sizes} bytes")
    if charged(machine.process.pid) != PAGES * PAGE:
        raise Failure(f"it is charged for {charged(machine.process.pid)} bytes")


def postcopy(backend):
    with nothing_left(), Machine(WIDTH, HEIGHT, backend) as source, \
         Machine(WIDTH, HEIGHT, backend, options=("-incoming", "defer")) as target:
        source.wait_for("^ready$")
        source.tell("show", f"shown {WIDTH} {HEIGHT}")
        source.tell("draw 1", "drawn 1")
        requests = migrate(source, target)
        if not requests:
            raise Failure("nothing was asked for before it was there")
        check_buffer(target)
        target.check_screen(1)
        source.command("quit")
        source.end(0)
        target.tell("draw 2", "drawn 2")
        target.check_screen(2)
        check_buffer(target)
        target.command("quit")
        target.end(0)
    return f"{requests} pages were asked for before they arrived"
