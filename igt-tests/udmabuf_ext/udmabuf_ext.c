// SPDX-License-Identifier: MIT
/*
 * Tests of <linux/udmabuf_ext.h>, what /dev/udmabuf can do beyond the kernel's own:
 * the list of all subtests and the program. The subtests are in udmabuf_ext_*.c.
 */

/**
 * TEST: udmabuf ext
 * Category: Core
 * Mega feature: General Core features
 * Sub-category: Memory management tests
 * Functionality: dma-buf
 * Test category: functionality test
 * Description: Makes dma-bufs that are read-only, or of files that may shrink, and
 *              looks at what can be done with them, and what is told about them
 *
 * SUBTEST: info-version
 * Description: UDMABUF_GET_INFO tells the version and the flags, and zeroes
 *
 * SUBTEST: info-parameters
 * Description: Its limits are the module's parameters, of which values that mean
 *              nothing are refused
 *
 * SUBTEST: info-user
 * Description: What a user has pinned and may pin follows its dma-bufs and its limit
 *
 * SUBTEST: info-strict
 * Description: In strict mode RLIMIT_MEMLOCK is taken into account
 *
 * SUBTEST: info-pointers
 * Description: A result that cannot be written is EFAULT
 *
 * SUBTEST: info-unknown-ioctls
 * Description: All other numbers, sizes and directions are ENOTTY
 *
 * SUBTEST: ext-plain
 * Description: UDMABUF_CREATE_EXT without flags is UDMABUF_CREATE_LIST
 *
 * SUBTEST: ext-plain-refused
 * Description: It refuses the same things with the same errors
 *
 * SUBTEST: ext-unknown-flags
 * Description: Each flag without a meaning is EINVAL
 *
 * SUBTEST: ext-reserved
 * Description: Reserved fields that are not 0 are EINVAL
 *
 * SUBTEST: ext-count
 * Description: No entries, or more than list_limit, are EINVAL
 *
 * SUBTEST: ext-last-entry-bad
 * Description: What is wrong with the last entry undoes what the first one did
 *
 * SUBTEST: ext-pointers
 * Description: Arguments that cannot be read are EFAULT
 *
 * SUBTEST: ext-result-unwritable
 * Description: A result that cannot be written is EFAULT; no descriptor and no pin
 *              is left
 *
 * SUBTEST: ext-no-descriptor
 * Description: EMFILE comes before anything is pinned
 *
 * SUBTEST: ext-cloexec
 * Description: The flag decides over close-on-exec, with all others
 *
 * SUBTEST: ext-size-limit
 * Description: More than size_limit_mb is EINVAL
 *
 * SUBTEST: compat
 * Description: All four ioctls work for 32-bit programs
 *
 * SUBTEST: readonly-%s-%s
 * Description: A read-only dma-buf of a memfd that is %arg[1], made of %arg[2],
 *              cannot be written in any way
 *
 * SUBTEST: readonly-%s-%s-holes
 * Description: The same of holes: zeroes that stay zeroes
 *
 * arg[1]:
 *
 * @opened:			open for reading only
 * @write-sealed:		sealed with F_SEAL_WRITE
 * @future-write-sealed:	sealed with F_SEAL_FUTURE_WRITE
 * @opened-write-sealed:	sealed, and open for reading only
 *
 * arg[2]:
 *
 * @shmem:	small pages
 * @thp:	transparent huge pages
 * @hugetlb:	2 MiB hugetlb pages
 */

/**
 * SUBTEST: readonly-owner-writes
 * Description: What is written through a mapping from before F_SEAL_FUTURE_WRITE
 *              shows in the dma-buf, and stays
 *
 * SUBTEST: readonly-seal-write
 * Description: F_SEAL_WRITE is refused until the dma-buf is gone
 *
 * SUBTEST: readonly-refused
 * Description: Files that cannot be read, or could shrink
 *
 * SUBTEST: readonly-allow-readonly
 * Description: The parameter allow_readonly does not make it writable
 *
 * SUBTEST: readonly-clean
 * Description: Pages that nobody wrote can be reclaimed afterwards, others are kept
 *
 * SUBTEST: readonly-attach
 * Description: A device without an IOMMU may only attach where the administrator
 *              allows it
 *
 * SUBTEST: readonly-vgem
 * Description: Imported by vgem, it cannot be written through its handle, nor through
 *              what vgem exports
 *
 * SUBTEST: readonly-sync-vgem
 * Description: DMA_BUF_IOCTL_SYNC never writes to it, not from a bounce buffer either
 *
 * SUBTEST: readonly-vmap-vivid
 * Description: A driver cannot map it into the kernel
 *
 * SUBTEST: readonly-map-for-writing-vivid
 * Description: Mapped for a device that is going to write, it gets nothing from its
 *              bounce buffer
 *
 * SUBTEST: sync-written-vivid
 * Description: What the CPU writes while a dma-buf is mapped for a device that is going
 *              to write is there after DMA_BUF_IOCTL_SYNC
 *
 * SUBTEST: unsealed-%s
 * Description: A dma-buf of %arg[1], which only the flag allows, shares its pages
 *
 * arg[1]:
 *
 * @memfd:		a memfd that cannot be sealed
 * @memfd-sealable:	a memfd that is not sealed
 * @memfd-thp:		a memfd of transparent huge pages
 * @memfd-hugetlb:	a memfd of 2 MiB hugetlb pages
 * @tmpfs:		a file on tmpfs
 * @tmpfs-tmpfile:	one without a name (O_TMPFILE)
 * @posix-shm:		POSIX shared memory
 * @hugetlbfs:		a file on hugetlbfs
 * @hugetlbfs-size:	one on a mount with limits
 */

/**
 * SUBTEST: unsealed-other-files
 * Description: Files of other filesystems, devices, directories and pipes are refused
 *
 * SUBTEST: unsealed-modes
 * Description: The file must be open for what the dma-buf allows
 *
 * SUBTEST: unsealed-write-sealed
 * Description: Sealed against writing, it can only be read-only
 *
 * SUBTEST: unsealed-append-only
 * Description: So can an append-only file
 *
 * SUBTEST: unsealed-swapped
 * Description: Pages of tmpfs come back from swap, and stay
 *
 * SUBTEST: truncate-%s
 * Description: All of a file of %arg[1] is cut off: the dma-buf keeps the pages, and
 *              shares none with the file when it grows again
 *
 * SUBTEST: punch-%s
 * Description: The same with a hole of whole pages
 *
 * SUBTEST: truncate-%s-no-leak
 * Description: No page is left when all are closed
 *
 * SUBTEST: truncate-%s-race
 * Description: Creation while the file shrinks and grows
 *
 * arg[1]:
 *
 * @shmem:	small pages
 * @thp:	transparent huge pages
 * @hugetlb:	2 MiB hugetlb pages
 */

/**
 * SUBTEST: punch-%s-part
 * Description: A part of %arg[1] is punched out: it is zeroed in place, and shared
 *              as before
 *
 * SUBTEST: punch-%s-part-of-hole
 * Description: The same where only the dma-buf has written: nothing beside the part
 *              is lost
 *
 * arg[1]:
 *
 * @thp:	a transparent huge page
 * @hugetlb:	a 2 MiB hugetlb page
 */

/**
 * SUBTEST: truncate-shmem-middle
 * Description: A file that ends in the middle of a page shares it
 *
 * SUBTEST: truncate-thp-middle
 * Description: One that ends in the middle of a transparent huge page shares all of it
 *
 * SUBTEST: truncate-hugetlb-middle
 * Description: One of hugetlb pages ends at the end of one
 *
 * SUBTEST: truncate-hugetlb-filling
 * Description: A file that is truncated while it is filled does not go on to be
 *
 * SUBTEST: end-in-page-%s
 * Description: A range up to the end of the page that holds the file's last byte, with
 *              %arg[1]
 *
 * arg[1]:
 *
 * @create:	UDMABUF_CREATE
 * @list:	UDMABUF_CREATE_LIST
 * @ext:	UDMABUF_CREATE_EXT without flags
 * @readonly:	UDMABUF_FLAGS_READONLY
 * @unsealed:	UDMABUF_FLAGS_UNSEALED
 * @thp:	UDMABUF_CREATE of a transparent huge page
 */

/**
 * SUBTEST: end-in-page-refused
 * Description: No page behind that one, nor the first one of an empty file
 *
 * SUBTEST: end-in-page-grow
 * Description: What is written behind the end is the file's when it has grown
 *
 * SUBTEST: end-in-page-parameter
 * Description: partial_page=N brings EINVAL back, and UDMABUF_GET_INFO tells
 *
 * SUBTEST: tmpfs-unlink
 * Description: A dma-buf outlives the file and the mount
 *
 * SUBTEST: tmpfs-quota
 * Description: Pages cut off are not the mount's any more, but the user's
 *
 * SUBTEST: tmpfs-quota-holes
 * Description: Holes that are filled count, and ENOSPC leaves nothing pinned
 *
 * SUBTEST: tmpfs-readonly-others
 * Description: EACCES for another user's file that can only be read, but not for one's
 *              own, nor for a memfd
 *
 * SUBTEST: hugetlbfs-size-held
 * Description: A mount with a limit counts the pages to the last, and cannot go before
 *
 * SUBTEST: hugetlbfs-size-detached
 * Description: Detached, it goes when the dma-buf does
 *
 * SUBTEST: hugetlbfs-min-size-detached
 * Description: So does one with a reservation
 *
 * SUBTEST: hugetlbfs-not-held
 * Description: A mount without a limit can go at once
 *
 * SUBTEST: hugetlbfs-not-held-failed
 * Description: No mount is held for what could not be created
 *
 * SUBTEST: list-coalesced
 * Description: Slices that follow each other are pinned as one
 *
 * SUBTEST: list-coalesced-thp
 * Description: Many slices of a transparent huge page are one pin
 *
 * SUBTEST: list-coalesced-hugetlb
 * Description: So are those of a hugetlb page
 *
 * SUBTEST: list-coalesced-files
 * Description: Those of different descriptors are not
 *
 * SUBTEST: list-fragmented
 * Description: 8192 single pages, as parameters are by default
 *
 * SUBTEST: list-same-page-often
 * Description: 8192 times the same page, whose references are right afterwards
 *
 * SUBTEST: beyond-4g
 * Description: Sizes and offsets beyond 4 GiB
 *
 * SUBTEST: beyond-4g-vgem
 * Description: vgem imports such a dma-buf
 *
 * SUBTEST: name
 * Description: A dma-buf has its memfd's name, whatever is in it
 *
 * SUBTEST: name-set
 * Description: DMA_BUF_SET_NAME gives it another one
 *
 * SUBTEST: name-list
 * Description: The first file of a list gives the name
 *
 * SUBTEST: debugfs-list
 * Description: Each dma-buf is listed, with process, user, size, folios, attachments
 *              and flags
 *
 * SUBTEST: debugfs-list-user
 * Description: So are those of other users, who cannot see it
 *
 * SUBTEST: debugfs-list-many
 * Description: None is left out while others come and go
 *
 * SUBTEST: debugfs-root-only
 * Description: Only root sees the list, and nobody a pointer
 *
 * SUBTEST: tracepoints
 * Description: Creation and release are traced
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "igt.h"
#include "udmabuf_ext.h"

IGT_TEST_DESCRIPTION("Extensions of /dev/udmabuf: read-only and unsealed dma-bufs");

int igt_main()
{
	static int dev = -1;

	igt_fixture() {
		struct udmabuf_info info;

		dev = open_udmabuf();
		igt_require_f(!ioctl(dev, UDMABUF_GET_INFO, &info),
			      "no extensions: %s\n", strerror(errno));
	}
	udmabuf_ext_info_subtests(dev);
	udmabuf_ext_args_subtests(dev);
	udmabuf_ext_compat_subtests(dev);
	udmabuf_ext_readonly_subtests(dev);
	udmabuf_ext_import_subtests(dev);
	udmabuf_ext_unsealed_subtests(dev);
	udmabuf_ext_truncate_subtests(dev);
	udmabuf_ext_end_subtests(dev);
	udmabuf_ext_mount_subtests(dev);
	udmabuf_ext_limits_subtests(dev);
	udmabuf_ext_show_subtests(dev);

	igt_fixture()
		close(dev);
}
