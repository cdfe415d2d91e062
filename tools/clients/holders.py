# SPDX-License-Identifier: MIT
"""Does tools/udmabuf-top tell who holds a dma-buf, when its maker has ended?"""

import contextlib
import ctypes
import fcntl
import json
import mmap
import os
import struct
import subprocess
import sys
import threading
import traceback

from client import Failure

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "udmabuf-top")
UDMABUF_CREATE = 0x40187542
EXIT = {"x86_64": 60, "aarch64": 93}	# the system call, of a thread
SIZES = 4 << 20, 8 << 20
NAMES = "lesser", "one\x1b[7m\r1 1 0 9 0:1 0 rw no"


def make(name, size):
    memfd = os.memfd_create(name, os.MFD_ALLOW_SEALING)
    os.truncate(memfd, size)
    fcntl.fcntl(memfd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    device = os.open("/dev/udmabuf", os.O_RDWR)
    dmabuf = fcntl.ioctl(device, UDMABUF_CREATE,
                         bytearray(struct.pack("=IIQQ", memfd, 1, 0, size)))
    os.close(device)
    os.close(memfd)
    return dmabuf


@contextlib.contextmanager
def child(work, *arguments, led=None):
    """A process that does @work and then waits to be let go; @led may have another thread
    do so."""
    done, ready = os.pipe()
    wait, go = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(go)
        os.close(done)

        def serve():
            # Nothing of the parent's is to go on in here.
            try:
                kept = work(*arguments)
                os.write(ready, b"x")
                os.read(wait, 1)
                del kept
            finally:
                os._exit(0)
        led(serve) if led else serve()
    os.close(ready)
    os.close(wait)
    os.read(done, 1)
    os.close(done)
    try:
        yield pid
    finally:
        os.close(go)
        os.waitpid(pid, 0)


def top(*arguments):
    found = subprocess.run([sys.executable, TOP, *arguments], capture_output=True,
                           text=True, check=False)
    if found.returncode or found.stderr:
        raise Failure(f"{' '.join(found.args)}: {found.returncode}, {found.stderr}")
    return found.stdout


def expect(what, found, wanted):
    if found != wanted:
        raise Failure(f"{what}: {found}, and not {wanted}")


def hold(maker, pids, dmabufs):
    """One process has descriptors of both, the second only a mapping of the last, and of
    the others, threads that are not the first have all."""
    records = json.loads(top("--json"))
    expect("sizes", [r["bytes"] for r in records], sorted(SIZES, reverse=True))
    expect("names", [r["name"] for r in records], list(reversed(NAMES)))
    for record, inode in zip(records, reversed(dmabufs)):
        expect("inode", record["inode"], inode)
        expect("maker", (record["maker"], record["maker_name"]), (maker, None))
        expect("user", record["user"], "root")
        if not 0 <= record["age"] < 3600:
            raise Failure(f"age {record['age']}")
    holds = [{h["pid"]: (h["descriptors"], h["mappings"]) for h in r["holders"]}
             for r in records]
    both = {pids[0]: (1, 0), pids[2]: (1, 0), pids[3]: (1, 0)}
    expect("holders", holds, [{**both, pids[1]: (0, 1)}, both])
    if any(h["name"] is None for r in records for h in r["holders"]):
        raise Failure("a process that has a thread is said to have ended")
    lines = top().splitlines()
    if "\x1b" in "".join(lines):
        raise Failure("what a name contains gets to the terminal")
    if f"{maker} (ended)" not in lines[1] or not lines[1].startswith("8M"):
        raise Failure(f"the first line is {lines[1]}")
    expect("the last line", lines[-1], "2 dma-bufs, 12M in all")


def test():
    """The maker ends at once; what it made is inherited."""
    if json.loads(top("--json")):
        raise Failure("there are dma-bufs before there is any")
    read, write = os.pipe()
    maker = os.fork()
    if not maker:
        try:
            serve(write)
        except Exception:
            traceback.print_exc()
        os._exit(1)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = [json.loads(line) for line in pipe]
    os.waitpid(maker, 0)
    if not said or said[-1] != "passed":
        raise Failure(said[-1] if said else "the test ended early")
    expect("afterwards", json.loads(top("--json")), [])
    return "a maker that has ended, descriptors and mappings are told apart"


def serve(write):
    """In the maker: its child goes on when it has ended, and does the test."""
    dmabufs = [make(name, size) for name, size in zip(NAMES, SIZES)]
    inodes = [os.fstat(fd).st_ino for fd in dmabufs]
    maker = os.getpid()
    ended, alive = os.pipe()
    if os.fork():
        os._exit(0)
    os.close(alive)
    os.read(ended, 1)
    with os.fdopen(write, "w") as pipe:
        try:
            with child(keep, dmabufs) as first, child(keep_map, dmabufs) as second, \
                 child(keep, dmabufs, led=in_thread) as third, \
                 child(keep, dmabufs, led=alone) as fourth:
                for fd in dmabufs:
                    os.close(fd)
                hold(maker, (first, second, third, fourth), inodes)
            print(json.dumps("passed"), file=pipe)
        except (Failure, OSError) as failure:
            print(json.dumps(str(failure)), file=pipe)
    os._exit(0)


def keep(dmabufs):
    return dmabufs


def close_dmabufs():
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{fd}").startswith("/dmabuf:"):
                os.close(int(fd))


def keep_map(dmabufs):
    kept = mmap.mmap(dmabufs[-1], SIZES[-1], prot=mmap.PROT_READ)
    # Python keeps a descriptor of its own.
    close_dmabufs()
    return kept


def in_thread(serve):
    """Only that has descriptors of the dma-bufs."""
    own, closed = threading.Event(), threading.Event()

    def run():
        os.unshare(os.CLONE_FILES)
        own.set()
        closed.wait()
        serve()
    threading.Thread(target=run).start()
    own.wait()
    close_dmabufs()
    closed.set()
    threading.Event().wait()


def alone(serve):
    """By the only thread that is left of the process."""
    pid = os.getpid()

    def run():
        while ") Z " not in open(f"/proc/{pid}/task/{pid}/stat").read():
            pass
        serve()
    threading.Thread(target=run).start()
    ctypes.CDLL(None).syscall(EXIT[os.uname().machine], 0)
