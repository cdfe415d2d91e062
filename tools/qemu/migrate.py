# SPDX-License-Identifier: MIT
"""A virtual machine moves to another QEMU by postcopy: that one makes a dma-buf of the
frame on the screen as soon as it knows of it, with the frame still in the other one.
Pages that were filled in the meantime would not be replaced by those that arrive."""

import os
import time

from client import Failure, charged
from machine import PAGE, PAGE_PIXELS, Machine
from pins import module_users, pins

WIDTH, HEIGHT = 1280, 800
PAGES = WIDTH * HEIGHT // PAGE_PIXELS
# Bytes a second, before postcopy begins: of the pages of the frame, none
SLOW = 1 << 16


def migrate(source, target):
    """Returns how many pages the target has asked for."""
    address = f"unix:{os.path.abspath('migration')}"
    for machine in source, target:
        machine.command("migrate-set-capabilities", capabilities=[
            {"capability": "postcopy-ram", "state": True}])
    target.command("migrate-incoming", uri=address)
    source.command("migrate-set-parameters", **{"max-bandwidth": SLOW})
    source.command("migrate", uri=address)
    source.command("migrate-start-postcopy")
    while True:
        state = source.command("query-migrate")
        if state["status"] == "completed":
            return state["ram"]["postcopy-requests"]
        if state["status"] in ("failed", "postcopy-paused"):
            raise Failure(f"the migration has {state['status']}: "
                          f"{state.get('error-desc')}")
        time.sleep(0.1)


def check_buffer(machine):
    sizes = [size for _, size, _ in machine.buffers()]
    if sizes != [PAGES * PAGE]:
        raise Failure(f"it has dma-bufs of {sizes} bytes")
    if charged(machine.process.pid) != PAGES * PAGE:
        raise Failure(f"it is charged for {charged(machine.process.pid)} bytes")


def postcopy(backend):
    pinned, users = pins(), module_users()
    with Machine(WIDTH, HEIGHT, backend) as source, \
         Machine(WIDTH, HEIGHT, backend, options=("-incoming", "defer")) as target:
        source.wait_for("^ready$")
        source.tell("show", f"shown {WIDTH} {HEIGHT}")
        source.tell("draw 1", "drawn 1")
        requests = migrate(source, target)
        if not requests:
            raise Failure("all had arrived before it was asked for")
        check_buffer(target)
        target.check_screen(1)
        source.command("quit")
        source.end(0)
        target.tell("draw 2", "drawn 2")
        target.check_screen(2)
        check_buffer(target)
        target.command("quit")
        target.end(0)
        if pins() != pinned or module_users() != users:
            raise Failure(f"{pins() - pinned} pages and {module_users() - users} "
                          "users of the module are left")
    return f"{requests} pages were asked for before they arrived"
