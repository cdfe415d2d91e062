# SPDX-License-Identifier: GPL-2.0
"""Weston, without a screen or on one that exists only in the kernel, for programs
that are to be seen at work in a guest."""

import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile


def wait_readable(file, process, what):
    """Until there is something to read, or the process at the other end is no
    more. There is no limit of time: the guest's clock runs ahead while it waits
    for the host, which limits the whole run."""
    pidfd = os.pidfd_open(process.pid)
    try:
        if file not in select.select([file, pidfd], [], [])[0]:
            sys.exit(f"{what} ended with status {process.wait()}")
    finally:
        os.close(pidfd)


def screenshot(target):
    """Of the compositor that WAYLAND_DISPLAY names, as a PNG."""
    with tempfile.TemporaryDirectory() as folder:
        made = subprocess.run(["weston-screenshooter"], cwd=folder)
        pictures = os.listdir(folder)
        if made.returncode or len(pictures) != 1:
            sys.exit("no screenshot: weston-screenshooter ended with status "
                     f"{made.returncode}")
        shutil.copyfile(os.path.join(folder, pictures[0]), target)


class Weston:
    """Weston with one output, on no screen, on that of a DRM device (card0) or on that
    of a VNC client on a port, and the GL renderer on llvmpipe. Its files are made in
    the current folder, its socket in XDG_RUNTIME_DIR."""

    def __init__(self, width, height, log, card=None, vnc=None, **environment):
        self.name = f"pinfold-{vnc or height}"
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ready = os.path.abspath(f"ready-{vnc or height}")
        notify.bind(self.ready)
        environment = dict(
            os.environ, NOTIFY_SOCKET=self.ready,
            LIBGL_ALWAYS_SOFTWARE="1", **environment)
        if card:
            # as root, without a daemon that hands out devices
            environment["LIBSEAT_BACKEND"] = "noop"
            with open(f"weston-{height}.ini", "w") as config:
                config.write(f"[output]\nname=Virtual-1\nmode={width}x{height}\n")
            output = ["--backend=drm", f"--drm-device={card}", "--idle-time=0",
                      "--continue-without-input",
                      f"--config={os.path.abspath(config.name)}"]
        else:
            output = ["--no-config", f"--width={width}", f"--height={height}"]
            output += (["--backend=vnc", f"--port={vnc}",
                        "--disable-transport-layer-security"] if vnc else
                       ["--backend=headless"])
        with open(log, "w") as messages:
            self.process = subprocess.Popen(
                ["weston", *output, "--renderer=gl", "--shell=kiosk",
                 f"--socket={self.name}",
                 "--modules=systemd-notify.so",
                 # lets any client take screenshots
                 "--debug"],
                env=environment, stdout=messages, stderr=messages)
        wait_readable(notify, self.process, f"Weston (see {log})")

    def __enter__(self):
        os.environ["WAYLAND_DISPLAY"] = self.name
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        # The next one of that name makes it anew.
        os.remove(self.ready)

    def mapped_dmabufs(self):
        """Inodes of those dma-bufs that it can read as memory."""
        with open(f"/proc/{self.process.pid}/maps") as maps:
            return [int(line.split()[4]) for line in maps
                    if "/dmabuf:" in line]
