# SPDX-License-Identifier: MIT
"""A virtual machine whose screen is a memfd of one of its programs: the program makes a
dma-buf of it by our driver, which is in that machine's kernel, too; virtio-gpu imports it,
and QEMU makes a dma-buf of just the memfd's pages by our driver out here. So what the
program writes into its memory is on QEMU's screen, with nobody told."""

from client import Failure, charged
from machine import PAGE, PAGE_PIXELS, Machine, nothing_left
from tracing import Trace

WIDTH, HEIGHT = 1920, 1200
PAGES = WIDTH * HEIGHT // PAGE_PIXELS
# When few free pages have a neighbour
FRAGMENTS = PAGES // 2
# What virtio-gpu's driver says of a frame that ends behind its buffer: SET_SCANOUT_BLOB,
# and RESOURCE_FLUSH then, had a parameter that is not valid.
TOO_SMALL = "response 0x1205 (command 0x10d)", "response 0x1205 (command 0x104)"


def check_pinned(machine, count):
    """In the virtual machine"""
    machine.tell("pins", r"pins -?\d+")
    if machine.said[-1] != f"pins {count}":
        raise Failure(f"{machine.said[-1]} in the virtual machine, and not {count}")


def check_log(machine, *expected):
    """What the virtual machine's kernel has warned of since the last time"""
    begin = len(machine.said)
    machine.tell("log", "logged")
    warned = [line for line in machine.said[begin:] if line.startswith("kernel: ")]
    if len(warned) != len(expected) or \
       not all(part in line for part, line in zip(expected, warned)):
        raise Failure(f"its kernel says {warned}, and not {list(expected)}")


def show(machine, trace, what="", count=PAGES):
    """A memfd of so many pages. Returns the pieces that they lie in, and the inode of
    QEMU's dma-buf."""
    machine.tell(f"import{what}", f"shown {WIDTH} {HEIGHT}")
    pages = [int(page) for page in machine.said[-2].split()[1:]]
    ranges, made = trace.next_buffer()
    pinned = [page for first, last, _ in ranges for page in range(first, last + 1)]
    # The virtual machine's memory is a memfd, which begins with its first page.
    if pages != pinned or len(set(pages)) != count:
        raise Failure(f"of {count} pages of a memfd, {len(set(pages) & set(pinned))} are "
                      f"in QEMU's dma-buf of {len(pinned)}")
    buffers = [(inode, size) for inode, size, _ in machine.buffers()]
    if buffers != [(made["ino"], count * PAGE)]:
        raise Failure(f"QEMU has the dma-bufs {buffers}, and not {made}")
    check_pinned(machine, count)
    return len(ranges), made["ino"]


def check_written(machine, trace, *numbers):
    for number in numbers:
        machine.tell(f"write {number}", f"written {number}")
        machine.check_screen(number)
    trace.check_quiet()


def check_gone(machine, trace, inode):
    """QEMU has let go of it before the virtual machine goes on."""
    if machine.buffers() or charged(machine.process.pid):
        raise Failure(f"QEMU still has {machine.buffers()}, and is charged for "
                      f"{charged(machine.process.pid)} bytes")
    trace.wait_release(inode)
    check_pinned(machine, 0)


def borrow():
    with nothing_left(), Trace() as trace, Machine(WIDTH, HEIGHT) as machine:
        machine.wait_for("^ready$")
        machine.tell("log", "logged")
        machine.tell("fork", "forked")
        few, inode = show(machine, trace)
        check_written(machine, trace, 0, 1)
        # What may not be written to is not shared with a GPU that might.
        machine.tell("import readonly", "(refused|shown) .*")
        if machine.said[-1] != "refused EPERM":
            raise Failure(f"a read-only dma-buf: {machine.said[-1]}")
        check_pinned(machine, PAGES)
        check_written(machine, trace, 2)
        machine.tell("release", "released")
        check_gone(machine, trace, inode)
        check_log(machine)

        _, inode = show(machine, trace, " small", PAGES // 2)
        machine.tell("release", "released")
        check_gone(machine, trace, inode)
        check_log(machine, *TOO_SMALL)

        machine.tell("fragment", r"fragmented \d+")
        many, inode = show(machine, trace)
        if many < FRAGMENTS:
            raise Failure(f"the memfd has only {many} pieces")
        check_written(machine, trace, 3)
        machine.tell("die", "died")
        check_gone(machine, trace, inode)

        # Whoever comes next has a screen.
        machine.tell("show", f"shown {WIDTH} {HEIGHT}")
        machine.tell("draw 4", "drawn 4")
        machine.check_screen(4)
        check_log(machine)
        machine.command("quit")
        machine.end(0)
    return f"QEMU reads memfds of {few} and {many} pieces in its guest"
