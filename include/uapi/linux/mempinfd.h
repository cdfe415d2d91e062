/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * /dev/mempinfd: a descriptor that holds pins of a program's memory, for devices
 * that share its virtual addresses. mempinfd(4) is the manual.
 */
#ifndef _UAPI_LINUX_MEMPINFD_H
#define _UAPI_LINUX_MEMPINFD_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * struct mempinfd_range - memory of the calling process
 * @addr: address of the first byte
 * @size: bytes, at least 1
 *
 * Stands for all pages that one of the bytes lies in.
 */
struct mempinfd_range {
	__u64 addr;
	__u64 size;
};

/**
 * MEMPINFD_PIN - pin memory until MEMPINFD_UNPIN or the last close
 *
 * Faults in every page of the range, as a write would, moves it out of memory
 * that must stay movable, and pins it: from then on it stays in memory and keeps
 * its physical address. That its entry in the page table is there at every moment is
 * not guaranteed; a fault brings it back. Pins all of the range, or nothing.
 *
 * The range belongs to the descriptor's open file and to the address space of
 * the caller. Unmapping it, fork(), execve() and exit() change nothing about it.
 *
 * Returns 0, or -1 with errno:
 *
 * * EINVAL: @size is 0, or the range wraps around the end of the address space
 * * EFAULT: a part is not mapped, not writable, has no page behind it (a device's
 *   registers, the rest of a mapping after the file's end) and gets none (a full
 *   tmpfs, userfaultfd, memory or swap that failed), or is a shared mapping of
 *   a file that is written back to a disk; or the argument cannot be read
 * * EOPNOTSUPP: a part is a mapping of a file on DAX storage
 * * EEXIST: a page of the range is pinned, or being pinned, by the same address
 *   space through the same open file
 * * EPERM: RLIMIT_MEMLOCK is 0, without CAP_IPC_LOCK
 * * ENOMEM: the user would have more memory pinned than user_limit_mb of the
 *   module memfd_pin (in strict mode, more locked than RLIMIT_MEMLOCK) allows, or
 *   the process more than its share; or no memory, a page could not be moved, or
 *   is pinned too many times
 * * EINTR: the process is being killed
 */
#define MEMPINFD_PIN	_IOW(0xB9, 0x00, struct mempinfd_range)

/**
 * MEMPINFD_UNPIN - release what one MEMPINFD_PIN has pinned
 *
 * The range must, rounded to whole pages, be that of an earlier MEMPINFD_PIN
 * through the same open file and by the same address space, whether or not it is
 * still mapped. All of its pages are marked as written to.
 *
 * Returns 0, or -1 with nothing changed and errno:
 *
 * * EINVAL: that range is not pinned (never was, not any more, not yet, not by
 *   this address space, or only as a part of another or of several), @size is 0,
 *   or the range wraps around
 * * EFAULT: the argument cannot be read
 */
#define MEMPINFD_UNPIN	_IOW(0xB9, 0x01, struct mempinfd_range)

#endif /* _UAPI_LINUX_MEMPINFD_H */
