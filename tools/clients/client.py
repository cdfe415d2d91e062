# SPDX-License-Identifier: MIT
"""Programs that are watched at work in a guest: what they say, and which udmabufs they
hold, by /proc and by what our driver charges them for."""

import os
import re
import subprocess

from pins import module_users
from process import dmabufs, stopped

OWNERS = "/sys/kernel/debug/memfd_pin/owners"
# The kernel's own driver, which the guest put away for ours
STOCK = "/dev/.udmabuf-stock/udmabuf"


class Failure(Exception):
    pass


class Skip(Exception):
    """What is tried is not to be had on this kernel."""


def charged(pid):
    """Bytes that are pinned by our driver for a process."""
    with open(OWNERS) as file:
        lines = [line.split() for line in file][1:]
    return sum(int(line[3]) for line in lines
               if line[1:3] == [str(pid), "udmabuf"])


def check_buffers(process, least):
    """A child of ours has as much open as it is charged for. Returns how much."""
    with stopped(process):
        held = sum(size for _, exporter, size in dmabufs(process.pid)
                   if exporter == "udmabuf")
        pinned = charged(process.pid)
    if held < least:
        raise Failure(f"has {held} bytes of udmabufs open, not {least}")
    if pinned != held:
        raise Failure(f"has {held} bytes of udmabufs open, but our driver has "
                      f"pinned {pinned} for it")
    return held


class Client:
    """A process whose buffers are gone when it is. Its standard output or its standard
    error is read; the latter may be logged to a file instead."""

    def __init__(self, command, output, log=subprocess.DEVNULL, **environment):
        self.users = module_users()
        self.process = subprocess.Popen(
            command, env=dict(os.environ, **environment), text=True,
            errors="replace", stdin=subprocess.PIPE,
            **{"stdout": subprocess.DEVNULL, "stderr": log,
               output: subprocess.PIPE})
        self.output = getattr(self.process, output)
        self.said = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def wait_for(self, pattern, times=1):
        """Until lines of its output match, so many of them."""
        while times:
            line = self.output.readline()
            if not line:
                said = " / ".join(self.said[-3:])
                raise Failure(f"ended with status {self.process.wait()}: {said}")
            self.said.append(line.strip())
            times -= bool(re.search(pattern, line))

    def end(self, expected):
        """It has ended with that status, or is made to by that signal."""
        if expected < 0:
            self.process.send_signal(-expected)
        self.process.stdin.close()
        rest = self.output.read().splitlines()
        status = self.process.wait()
        if status != expected:
            raise Failure(f"ended with status {status}: {' / '.join(rest[-3:])}")

    def check_gone(self):
        left = charged(self.process.pid)
        users = module_users()
        if left or users != self.users:
            raise Failure(f"it ended, and {left} bytes and {users - self.users} "
                          "users of the module are left")

    def finish(self, expected):
        self.end(expected)
        self.check_gone()


def run(name, test, *arguments, **environment):
    """Returns whether it has passed, or could not be tried."""
    try:
        reason = test(*arguments, **environment)
    except Skip as skip:
        print(f"client {name}: SKIP ({skip})", flush=True)
        return True
    except (Failure, OSError) as failure:
        print(f"client {name}: FAIL ({failure})", flush=True)
        return False
    print(f"client {name}: PASS ({reason})", flush=True)
    return True
