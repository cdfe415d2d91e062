# SPDX-License-Identifier: MIT
"""Does BPF's iterator, by which monitors account for dma-bufs, see ours, and does all go
when it was the last to hold one?"""

import fcntl
import os
import subprocess
import threading

from client import Failure, Skip
from holders import SIZES, expect, make
from pins import module_users, pins

LIST = os.path.abspath("build/clients/bpf-list")
SKIP = 77
DMA_BUF_SET_NAME = 0x40086201
ROUNDS = 20


def listed():
    """What is ours of it; None where there is no iterator."""
    made = subprocess.run([LIST], capture_output=True, text=True, check=False)
    if made.returncode == SKIP:
        return None
    if made.returncode:
        raise Failure(f"bpf-list: status {made.returncode}: {made.stderr.strip()}")
    rows = [line.split(" ") for line in made.stdout.splitlines()]
    return sorted(row for row in rows if row[2] == "udmabuf")


def come_and_go(stop, made):
    """One is always being made or let go of, so that the iterator holds some last. Its name
    is that of its memfd, which it gets a moment after it can be listed."""
    while not stop.is_set():
        os.close(make("passing", SIZES[0]))
        made.append(1)


def test():
    """What is listed, and that nothing is left over."""
    before, users = pins(), module_users()
    if listed() is None:
        raise Skip("this kernel has no iterator of dma-bufs")
    dmabufs = [make("listed", size) for size in SIZES]
    for i, dmabuf in enumerate(dmabufs):
        fcntl.ioctl(dmabuf, DMA_BUF_SET_NAME, b"listed-%d\0" % i)
    wanted = sorted([str(os.fstat(dmabuf).st_ino), str(size), "udmabuf", f"listed-{i}"]
                    for i, (dmabuf, size) in enumerate(zip(dmabufs, SIZES)))
    expect("listed", listed(), wanted)

    stop, made = threading.Event(), []
    thread = threading.Thread(target=come_and_go, args=[stop, made])
    thread.start()
    try:
        for _ in range(ROUNDS):
            found = [row for row in listed() if row[3] not in ("", "passing")]
            expect("listed meanwhile", found, wanted)
    finally:
        stop.set()
        thread.join()
    if not made:
        raise Failure("no other came and went")
    for dmabuf in dmabufs:
        os.close(dmabuf)
    expect("listed at the end", listed(), [])
    expect("pages pinned", pins(), before)
    expect("users of the module", module_users(), users)
    return f"{len(wanted)} listed, {ROUNDS} times while {len(made)} others came and went"
