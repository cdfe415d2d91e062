# SPDX-License-Identifier: MIT
"""What programs that belong into a guest say when they are asked for help, and what they
say elsewhere, before they have changed anything there."""

import os
import sys

DRIVER = "/sys/kernel/debug/memfd_pin/owners"


def guest_only(doc, arguments=""):
    """Ends the program unless it was started in a guest, or as root on another machine
    that has our driver, and with arguments only if it takes any."""
    name = "tools/" + sys.argv[0].rpartition("tools/")[2]
    usage = f"usage: tools/vm/run -- {name}{' ' * bool(arguments)}{arguments}"
    if sys.argv[1:2] in (["-h"], ["--help"]):
        print(f"{usage}\n\n{doc}")
        sys.exit(0)
    if bool(sys.argv[1:]) != bool(arguments) and not arguments.startswith("["):
        print(usage, file=sys.stderr)
        sys.exit(2)
    if not os.path.exists(DRIVER):
        print(f"{name}: needs our driver, as root, and is meant for a guest: "
              f"tools/vm/run -- {name}", file=sys.stderr)
        sys.exit(2)
