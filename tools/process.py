# SPDX-License-Identifier: GPL-2.0
"""What /proc says of processes that are at work meanwhile: threads and children end, and
descriptors are closed, between two looks at it."""

import contextlib
import os
import re
import signal

# What has ended is not found, or, when its file was open already, cannot be read.
GONE = FileNotFoundError, ProcessLookupError


def cpu_time(pid):
    """Of a process and its children, in nanoseconds. What has ended does not count, so
    two looks at a process that begins or ends threads differ."""
    total = 0
    with contextlib.suppress(*GONE):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(*GONE):
                with open(f"/proc/{pid}/task/{task}/schedstat") as file:
                    total += int(file.read().split()[0])
                with open(f"/proc/{pid}/task/{task}/children") as file:
                    total += sum(cpu_time(int(child)) for child in file.read().split())
    return total


def open_dmabufs(pid):
    """What fdinfo says of each dma-buf that a process has open."""
    for fd in os.listdir(f"/proc/{pid}/fd"):
        # All of it at once: the number may be another file's the next time.
        with contextlib.suppress(*GONE):
            with open(f"/proc/{pid}/fdinfo/{fd}") as info:
                said = dict(re.findall(r"^(\w+):\s*(.*)$", info.read(), re.M))
            if "exp_name" in said:
                yield said


def dmabufs(pid):
    """What a process has open: a tuple of inode, exporter and size in bytes for
    each."""
    return sorted({(int(said["ino"]), said["exp_name"], int(said["size"]))
                   for said in open_dmabufs(pid)})


@contextlib.contextmanager
def stopped(process):
    """A child of ours, not waited for, which does nothing while it is looked at; its own
    children go on."""
    os.kill(process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)
