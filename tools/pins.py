# SPDX-License-Identifier: GPL-2.0
"""How many pages are pinned in a guest, as its kernel counts them, and how much of our
driver's is open."""

import os

MODULE = "/sys/module/udmabuf_pinfold"


def pins_once():
    with open("/proc/sys/vm/stat_refresh", "w") as file:
        file.write("1")		# else CPUs report what they count when they like
    with open("/proc/vmstat") as file:
        stat = dict(line.split() for line in file)
    return (int(stat["nr_foll_pin_acquired"]) -
            int(stat["nr_foll_pin_released"]))


def pins():
    """Pages that stay pinned, in the whole machine: the least of many readings,
    because reading a file over 9p pins pages too, for as long as it takes."""
    return min(pins_once() for _ in range(15))


def module_users():
    """Open descriptors of our device and dma-bufs that it made; none without it."""
    if not os.path.exists(MODULE):
        return 0
    with open(f"{MODULE}/refcnt") as file:
        return int(file.read())
