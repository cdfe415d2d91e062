// SPDX-License-Identifier: MIT
/*
 * Tests of the functions that pin memory, the kernel's and those of memfd_pin.ko, by
 * way of /dev/pin_test: the list of all subtests and the program. The subtests
 * themselves are in pin_test_*.c.
 */

/**
 * TEST: pin_test
 * Category: Core
 * Mega feature: General Core features
 * Sub-category: Memory management tests
 * Functionality: FOLL_PIN
 * Test category: functionality test
 * Description: Pins memory by each function, and checks how it is counted, where
 *              it lies, and that the device and the process see the same
 *
 * SUBTEST: device
 * Description: The test device itself: who may open it, and what it refuses
 *
 * SUBTEST: count-small-%s
 * Description: A pin is 1024 references on a small folio, and a second one 1024
 *              more, by %arg[1]
 *
 * SUBTEST: count-large-%s
 * Description: A transparent huge page has an exact count: one for each page that is
 *              pinned by address, one for each range of a memfd, by %arg[1]
 *
 * SUBTEST: count-hugetlb-%s
 * Description: The same with hugetlb pages, by %arg[1]
 *
 * SUBTEST: balance-%s
 * Description: /proc/vmstat counts each pin and each release, by %arg[1]
 *
 * SUBTEST: dirty-%s
 * Description: Only a release as dirty makes a folio dirty, by %arg[1]
 *
 * arg[1]:
 *
 * @fast:		pin_user_pages_fast()
 * @fast-longterm:	the same with FOLL_LONGTERM
 * @fast-only:		pin_user_pages_fast_only()
 * @slow:		pin_user_pages()
 * @remote:		pin_user_pages_remote()
 * @memfd:		memfd_pin_range() of memfd_pin.ko
 * @memfd-folios:	memfd_pin_folios()
 */

/**
 * SUBTEST: short-%s
 * Description: Where memory ends, so does the pin, by %arg[1]
 *
 * arg[1]:
 *
 * @fast:		pin_user_pages_fast()
 * @fast-longterm:	the same with FOLL_LONGTERM
 * @fast-only:		pin_user_pages_fast_only()
 * @slow:		pin_user_pages()
 * @remote:		pin_user_pages_remote()
 */

/**
 * SUBTEST: count-zero-%s
 * Description: The zero page is returned, and not counted, by %arg[1]
 *
 * arg[1]:
 *
 * @fast:		pin_user_pages_fast()
 * @fast-only:		pin_user_pages_fast_only()
 * @slow:		pin_user_pages()
 * @remote:		pin_user_pages_remote()
 */

/**
 * SUBTEST: killed
 * Description: A process that is killed leaves no pins
 *
 * SUBTEST: longterm-movable-%s
 * Description: Memory in ZONE_MOVABLE is somewhere else, with its contents, when it
 *              is pinned long-term: %arg[1]
 *
 * SUBTEST: longterm-held-%s
 * Description: What cannot be migrated is not pinned, and nothing stays pinned:
 *              %arg[1]
 *
 * arg[1]:
 *
 * @anon:			anonymous pages
 * @anon-write:			the same, to be written
 * @anon-slow:			the same, by pin_user_pages()
 * @anon-remote:		the same, by pin_user_pages_remote()
 * @anon-thp:			transparent huge pages
 * @mapped-shmem:		a mapped memfd, by address
 * @mapped-hugetlb:		a mapped memfd of hugetlb pages, by address
 * @memfd-shmem:		a memfd, by memfd_pin_range()
 * @memfd-thp:			one of transparent huge pages
 * @memfd-hugetlb:		one of hugetlb pages
 * @memfd-folios-shmem:		a memfd, by memfd_pin_folios()
 * @memfd-folios-thp:		one of transparent huge pages
 * @memfd-folios-hugetlb:	one of hugetlb pages
 */

/**
 * SUBTEST: longterm-dax-%s
 * Description: FOLL_LONGTERM is refused on a DAX filesystem, by %arg[1]
 *
 * arg[1]:
 *
 * @fast:	pin_user_pages_fast(), with EOPNOTSUPP
 * @slow:	pin_user_pages(), with EOPNOTSUPP
 * @remote:	pin_user_pages_remote(), with EOPNOTSUPP
 * @fast-only:	pin_user_pages_fast_only(), which pins nothing
 * @memfd:	memfd_pin_range() and memfd_pin_folios(), with EINVAL
 */

/**
 * SUBTEST: case-direct-io-anon
 * Description: Case 1: direct I/O pins its buffer, as long as it takes
 *
 * SUBTEST: case-direct-io-memfd
 * Description: Case 1, with a memfd that a device has pinned meanwhile
 *
 * SUBTEST: case-longterm-anon
 * Description: Case 2: the device and the process see the same memory through
 *              swap-out, compaction, mprotect() and fork()
 *
 * SUBTEST: case-longterm-memfd
 * Description: Case 2, with a memfd
 *
 * SUBTEST: case-notifier-%s
 * Description: Case 3: an MMU notifier unpins at once, upon %arg[1]
 *
 * arg[1]:
 *
 * @munmap:		the end of the mapping
 * @munmap-part:	the end of a part of it
 * @discard:		MADV_DONTNEED
 * @mprotect:		mprotect()
 * @fork:		fork(), which write-protects
 * @exit:		the end of the process
 */

/**
 * SUBTEST: case-struct-page
 * Description: Case 4: a pipe takes a reference on a page, not a pin
 *
 * SUBTEST: case-write-anon
 * Description: Case 5: what the kernel writes to pinned pages survives swap-out
 *
 * SUBTEST: case-write-memfd
 * Description: Case 5: in a memfd that nobody else has written it survives reclaim
 *
 * SUBTEST: case-write-memfd-folios
 * Description: The same by memfd_pin_folios()
 *
 * SUBTEST: case-write-file
 * Description: Case 5: in a file's pages that were clean it gets to the disk
 *
 * SUBTEST: memfd-%s
 * Description: memfd_pin_range() gives each page of the range, with %arg[1]
 *
 * SUBTEST: memfd-folios-%s
 * Description: memfd_pin_folios() gives each folio of the range, with %arg[1]
 *
 * arg[1]:
 *
 * @shmem:		small pages
 * @shmem-middle:	small pages in the middle of the file
 * @thp:		transparent huge pages
 * @thp-middle:		a range from the middle of one to the middle of another
 * @hugetlb:		hugetlb pages
 * @hugetlb-middle:	a range from the middle of one to the middle of another
 * @refused:		files and ranges that are refused
 */

/**
 * SUBTEST: memfd-holes
 * Description: Holes are filled
 *
 * SUBTEST: memfd-fallocated
 * Description: Pages that fallocate() has left without contents are zeroed before
 *              they are pinned
 *
 * SUBTEST: memfd-subpool-%s
 * Description: On a mounted hugetlbfs, by memfd_pin_range(): %arg[1]
 *
 * SUBTEST: memfd-folios-subpool-%s
 * Description: On a mounted hugetlbfs, by memfd_pin_folios(): %arg[1]
 *
 * arg[1]:
 *
 * @within:		holes within size= are filled, and counted until the file and
 *			the pins are gone
 * @beyond:		ENOMEM beyond it, and nothing stays pinned
 * @min-size:		the pages that the mount has reserved are used, and given back
 * @min-size-only:	they are there for pins also if there are no others
 */

/**
 * SUBTEST: memfd-tmpfs-size
 * Description: ENOSPC beyond size= of a mounted tmpfs, by memfd_pin_range()
 *
 * SUBTEST: memfd-folios-tmpfs-size
 * Description: ENOSPC beyond size= of a mounted tmpfs, by memfd_pin_folios()
 *
 * SUBTEST: memfd-truncate-%s
 * Description: The end of a file that memfd_pin_range() has pinned is cut off and
 *              put on again: the pins keep the old pages and what is in them, and
 *              the file gets new ones, with %arg[1]
 *
 * SUBTEST: memfd-punch-%s
 * Description: The same with holes, memfd_pin_range() and %arg[1]
 *
 * SUBTEST: memfd-folios-truncate-%s
 * Description: The end of a file that memfd_pin_folios() has pinned is cut off and
 *              put on again: the pins keep the old pages and what is in them, and
 *              the file gets new ones, with %arg[1]
 *
 * SUBTEST: memfd-folios-punch-%s
 * Description: The same with holes, memfd_pin_folios() and %arg[1]
 *
 * arg[1]:
 *
 * @shmem:	small pages
 * @thp:	transparent huge pages
 * @tmpfs:	a mounted tmpfs
 * @hugetlb:	hugetlb pages
 * @subpool:	a mounted hugetlbfs
 */

/**
 * SUBTEST: memfd-truncate-thp-inside
 * Description: Of a transparent huge page that the end of the file divides, pins by
 *              memfd_pin_range() and the file go on to share all pages
 *
 * SUBTEST: memfd-folios-truncate-thp-inside
 * Description: Of a transparent huge page that the end of the file divides, pins by
 *              memfd_pin_folios() and the file go on to share all pages
 *
 * SUBTEST: fast-only-present
 * Description: What is mapped is pinned, the same pages that are pinned otherwise
 *
 * SUBTEST: fast-only-absent
 * Description: Pins up to the first page that is not there, and faults nothing in
 *
 * SUBTEST: fast-only-swapped
 * Description: Does not wait for swap
 *
 * SUBTEST: fast-only-readonly
 * Description: Pins nothing to be written that the page tables do not let be written
 *
 * SUBTEST: fast-only-refused
 * Description: Pins nothing with FOLL_GET or FOLL_LONGTERM
 *
 * SUBTEST: fast-only-never-negative
 * Description: Returns 0 for addresses and numbers that make no sense
 *
 * SUBTEST: fast-only-thp
 * Description: Transparent huge pages, anonymous
 *
 * SUBTEST: fast-only-thp-shared
 * Description: Transparent huge pages of shmem
 *
 * SUBTEST: fast-only-hugetlb-shared
 * Description: Hugetlb pages, shared
 *
 * SUBTEST: fast-only-hugetlb-private
 * Description: Hugetlb pages, private
 *
 * SUBTEST: fast-only-interval
 * Description: The switch in debugfs lets every n-th call pin nothing
 *
 * SUBTEST: fork-shared-%s
 * Description: Memory shared by fork() is not pinned by pin_user_pages_fast_only()
 *              until a write has made a copy: %arg[1]
 *
 * arg[1]:
 *
 * @anon:	anonymous pages
 * @thp:	transparent huge pages
 * @hugetlb:	private hugetlb pages
 */

/**
 * SUBTEST: fork-pinned-%s-%s
 * Description: Of pinned memory fork() makes a copy for the child: %arg[1], pinned by
 *              %arg[2]
 *
 * arg[1]:
 *
 * @anon:	anonymous pages
 * @thp:	transparent huge pages
 * @hugetlb:	private hugetlb pages
 *
 * arg[2]:
 *
 * @fast:		pin_user_pages_fast()
 * @fast-longterm:	the same with FOLL_LONGTERM
 * @fast-only:		pin_user_pages_fast_only()
 * @slow:		pin_user_pages()
 * @remote:		pin_user_pages_remote()
 */

/**
 * SUBTEST: remote-process
 * Description: Pins of another process's memory, which outlive it
 *
 * SUBTEST: race-%s
 * Description: pin_user_pages_fast_only() during %arg[1]: what it pins stays in its
 *              place, and no pin is left behind
 *
 * arg[1]:
 *
 * @fork:	fork()
 * @fork-thp:	fork(), of a transparent huge page
 * @swap:	swap-out
 * @swap-thp:	swap-out, of a transparent huge page
 * @ksm:	merging of equal pages
 * @mprotect:	mprotect()
 */

/**
 * SUBTEST: race-discard
 * Description: pin_user_pages_fast_only() during MADV_DONTNEED: what it pins is what was
 *              there, and no pin is left behind
 *
 * SUBTEST: race-munmap
 * Description: pin_user_pages_fast_only() during munmap() and mmap(): what it pins is what
 *              was there, and no pin is left behind
 *
 * SUBTEST: race-watched-%s
 * Description: pin_user_pages_fast_watched() during %arg[1]: what the notifier has not let
 *              go is the process's
 *
 * arg[1]:
 *
 * @fork:	fork()
 * @swap:	swap-out
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "igt.h"
#include "pin_test.h"

IGT_TEST_DESCRIPTION("The functions that pin memory, by way of /dev/pin_test");

int igt_main()
{
	igt_fixture() {
		int dev = open("/dev/pin_test", O_RDWR | O_CLOEXEC);

		igt_require_f(dev >= 0, "/dev/pin_test: %s\n", strerror(errno));
		close(dev);
	}
	pin_count_subtests();
	pin_memfd_subtests();
	pin_mount_subtests();
	pin_truncate_subtests();
	pin_longterm_subtests();
	pin_case_subtests();
	pin_fast_only_subtests();
	pin_fork_subtests();
	pin_race_subtests();
}
