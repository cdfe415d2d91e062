// SPDX-License-Identifier: MIT
/*
 * Tests of /dev/mempinfd, whose descriptors hold pins of user memory: the list of
 * all subtests and the program. The subtests themselves are in mempinfd_*.c.
 */

/**
 * TEST: mempinfd
 * Category: Core
 * Mega feature: General Core features
 * Sub-category: Memory management tests
 * Functionality: long-term pins
 * Test category: functionality test
 * Description: Pins memory of every kind, ends the pins in every way, and checks
 *              that they are where they should be, as long as they should, and paid
 *              for
 *
 * SUBTEST: pin-%s
 * Description: Each page of a range is pinned once, keeps its frame and its
 *              contents, and is released, with %arg[1]
 *
 * SUBTEST: untouched-%s
 * Description: The same where nothing was written before, with %arg[1]
 *
 * SUBTEST: movable-%s
 * Description: What is pinned is moved out of ZONE_MOVABLE first, with %arg[1]
 *
 * arg[1]:
 *
 * @anon:		small anonymous pages
 * @anon-thp:		transparent huge pages
 * @anon-hugetlb:	anonymous 2 MiB hugetlb pages
 * @anon-shared:	shared anonymous memory
 * @memfd:		small pages of a memfd
 * @memfd-thp:		transparent huge pages of a memfd
 * @memfd-hugetlb:	2 MiB hugetlb pages of a memfd
 * @memfd-private:	a private mapping of a memfd
 */

/**
 * SUBTEST: unaligned
 * Description: A range stands for all pages that a byte of it lies in
 *
 * SUBTEST: highest
 * Description: The last page of the address space, and nothing behind it
 *
 * SUBTEST: overlap
 * Description: EEXIST for a range that shares a page with a pinned one, but not
 *              for its neighbours, nor through another open file
 *
 * SUBTEST: compat
 * Description: The ioctls of a 32-bit program
 *
 * SUBTEST: other-mapping
 * Description: What one mapping has pinned is what another one reads and writes
 *
 * SUBTEST: seal-write
 * Description: F_SEAL_WRITE is refused until the pins are gone
 *
 * SUBTEST: unpin-%s
 * Description: EINVAL, with nothing changed, for %arg[1]
 *
 * arg[1]:
 *
 * @never:		what was never pinned
 * @twice:		what is not pinned any more
 * @part:		a part of a range
 * @more:		more than a range
 * @several:		two ranges at once
 * @other-file:		a range of another open file
 * @other-process:	a range of the parent process
 * @numbers:		sizes that make no sense
 * @remapped:		all of what was mapped anew; the range itself is released
 */

/**
 * SUBTEST: unpin-rounded
 * Description: A range is found by its pages, whichever bytes are named
 *
 * SUBTEST: many-ranges
 * Description: Thousands of ranges, pinned and released in different orders
 *
 * SUBTEST: dirty-unpin
 * Description: MEMPINFD_UNPIN marks pages as written to
 *
 * SUBTEST: dirty-close
 * Description: So does the last close
 *
 * SUBTEST: reject-size-zero
 * Description: EINVAL for a range without bytes
 *
 * SUBTEST: reject-wrap
 * Description: EINVAL for a range that wraps around
 *
 * SUBTEST: reject-kernel-address
 * Description: EFAULT outside of user space
 *
 * SUBTEST: reject-unmapped
 * Description: EFAULT where a page of the range is not mapped, wherever it is
 *
 * SUBTEST: reject-readonly-private
 * Description: EFAULT for private memory that cannot be written
 *
 * SUBTEST: reject-readonly-shared
 * Description: EFAULT for shared memory that cannot be written
 *
 * SUBTEST: reject-no-access
 * Description: EFAULT for PROT_NONE
 *
 * SUBTEST: reject-readonly-file
 * Description: EFAULT for a memfd that the caller can only read
 *
 * SUBTEST: reject-past-file-end
 * Description: EFAULT past the end of a mapped memfd
 *
 * SUBTEST: reject-dmabuf
 * Description: EFAULT for a mapped dma-buf
 *
 * SUBTEST: reject-device-memory
 * Description: EFAULT for /dev/mem
 *
 * SUBTEST: reject-secret
 * Description: EFAULT for memory of memfd_secret()
 *
 * SUBTEST: reject-user-pointer
 * Description: EFAULT for an argument that cannot be read, as a whole or in part
 *
 * SUBTEST: reject-unknown-ioctl
 * Description: ENOTTY for other ioctls, EINVAL for read() and write()
 *
 * SUBTEST: reject-memlock-zero
 * Description: EPERM where RLIMIT_MEMLOCK is 0, but not for root, nor for unpinning
 *
 * SUBTEST: reject-permissions
 * Description: Ordinary users cannot open the device
 *
 * SUBTEST: file-shared
 * Description: EFAULT for a shared mapping of a file on a disk
 *
 * SUBTEST: file-private
 * Description: A private mapping of it is pinned
 *
 * SUBTEST: fsdax
 * Description: EOPNOTSUPP for a file on DAX storage
 *
 * SUBTEST: munmap
 * Description: Pins, and their charge, outlast the mapping and can be released then
 *
 * SUBTEST: fork
 * Description: A forking process keeps the pinned pages, its child has copies
 *
 * SUBTEST: fork-same-range
 * Description: Parent and child pin the same addresses, and release only their own
 *
 * SUBTEST: thread
 * Description: A thread releases what another one has pinned
 *
 * SUBTEST: close
 * Description: Closing the descriptor releases all ranges
 *
 * SUBTEST: close-dup
 * Description: A duplicate keeps them, and is as good
 *
 * SUBTEST: close-fork
 * Description: So does a child that inherited the descriptor
 *
 * SUBTEST: close-passed
 * Description: So does a process that was sent the descriptor, at the expense of
 *              the user who has pinned, even when that process is gone
 *
 * SUBTEST: close-in-flight
 * Description: So does a message, until it is thrown away
 *
 * SUBTEST: exec
 * Description: So does a program that was executed with the descriptor
 *
 * SUBTEST: exit
 * Description: Nothing stays pinned when the process ends
 *
 * SUBTEST: exit-shared
 * Description: Pins do when the descriptor is shared, but nothing else of the
 *              process, and they do not hinder others
 *
 * SUBTEST: kill
 * Description: Nothing stays pinned when the process is killed
 *
 * SUBTEST: kill-pinning
 * Description: Nor when that happens while it is pinning, to a shared descriptor
 *
 * SUBTEST: limit
 * Description: ENOMEM for more than user_limit_mb in all, with nothing pinned
 *
 * SUBTEST: limit-before-work
 * Description: Too much is refused before any page is touched
 *
 * SUBTEST: limit-per-user
 * Description: The processes of a user share a limit, users do not
 *
 * SUBTEST: limit-not-for-root
 * Description: What root pins is counted, but not limited
 *
 * SUBTEST: limit-failed-pin
 * Description: A call that fails costs nothing
 *
 * SUBTEST: limit-strict
 * Description: In strict mode RLIMIT_MEMLOCK counts, and the charge is given back
 *
 * SUBTEST: limit-shown
 * Description: debugfs shows who has pinned how much, in bytes and folios
 *
 * SUBTEST: folio-thp
 * Description: A pinned page of a transparent huge page costs as much as that, each
 *              time, and not more for all of its pages
 *
 * SUBTEST: folio-hugetlb
 * Description: So does one of a huge page of hugetlbfs
 *
 * SUBTEST: folio-scattered
 * Description: Pages of different huge pages, side by side, cost as much as all of them,
 *              or cannot be pinned
 *
 * SUBTEST: folio-repeated
 * Description: A page that is mapped at several addresses costs as much as it is pinned
 *              often
 *
 * SUBTEST: folio-stalled
 * Description: What a call has pinned is charged while it waits for user space
 *
 * SUBTEST: hugetlbfs-size-held
 * Description: A mount of hugetlbfs with a size stays until its pages are unpinned
 *
 * SUBTEST: hugetlbfs-min-size-detached
 * Description: So does one with a reservation that was detached
 *
 * SUBTEST: hugetlbfs-several
 * Description: Of several files in a range, each one's mount is held
 *
 * SUBTEST: hugetlbfs-private
 * Description: A private mapping holds its mount, too
 *
 * SUBTEST: hugetlbfs-not-held
 * Description: Mounts without limits, and those of failed calls, are not held
 *
 * SUBTEST: hugetlbfs-race
 * Description: Mappings of two mounts that change places meanwhile do not matter
 *
 * SUBTEST: same-frame-%s
 * Description: A page table entry can be away for a moment, but what comes back is the
 *              same page, with %arg[1]
 *
 * arg[1]:
 *
 * @anon:		small anonymous pages
 * @anon-thp:		transparent huge pages
 * @memfd:		small pages of a memfd
 * @memfd-thp:		transparent huge pages of a memfd
 */

/**
 * SUBTEST: threads
 * Description: Threads pin and release ranges of their own
 *
 * SUBTEST: threads-same-range
 * Description: Threads race for the same range
 *
 * SUBTEST: processes
 * Description: Processes share a descriptor
 *
 * SUBTEST: stalled
 * Description: A call that waits for user space to provide a page does not hold up
 *              others of the same descriptor
 *
 * SUBTEST: signals
 * Description: Signals with a handler do not disturb
 *
 * SUBTEST: kill-anytime
 * Description: SIGKILL at any moment leaves nothing pinned
 *
 * SUBTEST: too-many-pins
 * Description: A page's references do not overflow
 *
 * SUBTEST: no-leak
 * Description: Thousands of descriptors and ranges leave no memory in use
 *
 * SUBTEST: no-leak-processes
 * Description: Nor do the address spaces of processes that have pinned
 */
#include <errno.h>
#include <string.h>

#include "igt.h"
#include "mempinfd.h"

IGT_TEST_DESCRIPTION("Pins of user memory, held by descriptors of /dev/mempinfd");

int igt_main()
{
	igt_fixture() {
		igt_require_f(!access("/dev/mempinfd", F_OK),
			      "/dev/mempinfd: %s\n", strerror(errno));
		igt_require_f(geteuid() == 0, "needs to be root\n");
	}
	mempinfd_pin_subtests();
	mempinfd_unpin_subtests();
	mempinfd_reject_subtests();
	mempinfd_file_subtests();
	mempinfd_life_subtests();
	mempinfd_limit_subtests();
	mempinfd_folio_subtests();
	mempinfd_mount_subtests();
	mempinfd_present_subtests();
	mempinfd_stress_subtests();
}
