# SPDX-License-Identifier: GPL-2.0
"""What QEMU knows of a guest that says nothing, or does not end."""

import json
import re
import socket

ANSWER = 30	# seconds that QEMU has to answer in


class Monitor:
    """QEMU's machine protocol, on a socket that it listens at."""

    def __init__(self, path):
        control = socket.socket(socket.AF_UNIX)
        control.settimeout(ANSWER)
        control.connect(path)
        self.file = control.makefile("rw")
        self.file.readline()
        self.command("qmp_capabilities")

    def command(self, name, **arguments):
        json.dump({"execute": name, "arguments": arguments}, self.file)
        self.file.flush()
        while True:
            line = self.file.readline()
            if not line:
                raise ConnectionResetError("QEMU has ended")
            answer = json.loads(line)
            if "event" not in answer:
                return answer.get("return")

    def registers(self):
        """Of each CPU, as one line."""
        text = self.command("human-monitor-command",
                            **{"command-line": "info registers -a"}) or ""
        return [" ".join(re.findall(r"\b(?:[ER]IP|RSP|CR3|PC|HLT)=\S+", cpu))
                for cpu in text.split("CPU#")[1:]]

    def sysrq(self, key):
        """Only where there is a PC's keyboard; others do not know of it."""
        keys = [{"type": "qcode", "data": name} for name in ("alt", "sysrq", key)]
        self.command("send-key", keys=keys)


def look(path):
    """Lines about a guest whose monitor is at that path, and whether all of its CPUs
    wait for an interrupt. Asks its kernel for its timers, its tasks, those that are blocked,
    and what each CPU does: if it still can, it says so in its log."""
    try:
        monitor = Monitor(path)
        cpus = monitor.registers()
        for key in "qtwl":
            monitor.sysrq(key)
    except (OSError, ValueError) as error:
        return [f"pinfold: QEMU does not answer: {error}"], False
    return ([f"pinfold: CPU {nr}: {registers}" for nr, registers in enumerate(cpus)],
            bool(cpus) and all("HLT=1" in registers for registers in cpus))
