// SPDX-License-Identifier: MIT
/*
 * Tests of the long-term pins on memfds, as /dev/udmabuf takes them: the list of
 * all subtests and the program. The subtests themselves are in memfd_pin_*.c.
 */

/**
 * TEST: memfd_pin
 * Category: Core
 * Mega feature: General Core features
 * Sub-category: Memory management tests
 * Functionality: memfd pinning
 * Test category: functionality test
 * Description: Pins memfds while all that can happen to memory happens to them,
 *              and checks where the pages are, what is in them, and what is
 *              left behind
 *
 * SUBTEST: holes-%s
 * Description: Two that pin the same holes get the same pages: %arg[1]
 *
 * arg[1]:
 *
 * @threads-shmem:	threads, small pages
 * @threads-thp:	threads, transparent huge pages
 * @threads-hugetlb:	threads, 2 MiB hugetlb pages
 * @processes-shmem:	processes, small pages
 * @processes-thp:	processes, transparent huge pages
 * @processes-hugetlb:	processes, 2 MiB hugetlb pages
 */

/**
 * SUBTEST: fallocate-race
 * Description: No page is pinned that is still to be zeroed, while fallocate()
 *              makes such pages
 *
 * SUBTEST: hugetlb-none-free
 * Description: ENOMEM without a free huge page, and no count changes
 *
 * SUBTEST: hugetlb-too-few-free
 * Description: ENOMEM with too few of them; what was got is the file's
 *
 * SUBTEST: hugetlb-reserved-same-file
 * Description: A pin uses what another process has reserved for the same file
 *
 * SUBTEST: hugetlb-reserved-mixed
 * Description: And nothing of what is reserved for another file
 *
 * SUBTEST: hugetlb-overcommit
 * Description: Surplus pages come for a pin and go with it
 *
 * SUBTEST: hugetlb-punched
 * Description: Pinned pages that were punched out go to the pool with the pin
 *
 * SUBTEST: hugetlb-mounted
 * Description: A file on a mounted hugetlbfs is refused; its subpool stays as it is
 *
 * SUBTEST: movable-%s
 * Description: Pages are moved out of ZONE_MOVABLE with their contents: %arg[1]
 *
 * arg[1]:
 *
 * @shmem:		small pages
 * @thp:		transparent huge pages
 * @thp-middle:		those, from the middle of one to the middle of another
 * @hugetlb:		2 MiB hugetlb pages
 * @hugetlb-middle:	those, from the middle of one to the middle of another
 */

/**
 * SUBTEST: movable-holes-%s
 * Description: Holes are filled elsewhere: %arg[1]
 *
 * arg[1]:
 *
 * @shmem:		with small pages
 * @thp:		with transparent huge pages
 * @hugetlb:		though all free 2 MiB hugetlb pages are in ZONE_MOVABLE
 */

/**
 * SUBTEST: movable-offline-%s
 * Description: A memory block goes offline whose memfd is pinned: %arg[1]
 *
 * arg[1]:
 *
 * @shmem:		small pages
 * @thp:		transparent huge pages
 * @hugetlb:		2 MiB hugetlb pages
 */

/**
 * SUBTEST: offline-isolated
 * Description: While a memory block is about to go offline, the type of its page
 *              blocks says so
 *
 * SUBTEST: offline-holds
 * Description: While the kernel holds a huge page, to move it, and waits for another,
 *              it is not waited for
 *
 * SUBTEST: offline-pinned
 * Description: A memory block in which there are pins does not go offline
 *
 * SUBTEST: eject
 * Description: The memory where a memfd was before it was pinned is taken out of its slot
 *
 * SUBTEST: eject-waits
 * Description: It is so when somebody else has a pin in it for a moment, after that; until
 *              then it stays
 *
 * SUBTEST: movable-remap-race
 * Description: Nothing else is pinned when another thread maps something where
 *              the kernel may have mapped the file
 *
 * SUBTEST: cma-%s
 * Description: Pages are moved out of a CMA area with their contents, and others stay:
 *              %arg[1]
 *
 * arg[1]:
 *
 * @shmem:		small pages
 * @thp:		transparent huge pages
 */

/**
 * SUBTEST: cma-agree
 * Description: Where there is CMA, a page is pinned at once if the kernel's
 *              memfd_pin_folios() leaves it where it is, and only then
 *
 * SUBTEST: mte-tags
 * Description: On arm64, memory that its owner has given tags keeps them; mappings of the
 *              dma-buf have none, and cannot get some
 *
 * SUBTEST: mte-late
 * Description: Memory that is pinned gets tags
 *
 * SUBTEST: mte-cma
 * Description: Tags go with what is moved out of a CMA area
 *
 * SUBTEST: busy-locked-%s
 * Description: A folio that is locked may be on its way out of its file: a pin waits
 *              for it, with %arg[1]
 *
 * SUBTEST: busy-locked-kill-%s
 * Description: Who waits for it can be killed, and leaves nothing pinned: %arg[1]
 *
 * arg[1]:
 *
 * @shmem:		small pages
 * @thp:		transparent huge pages
 * @hugetlb:		2 MiB hugetlb pages
 * @fallocated:		small pages that still have to be zeroed
 * @movable:		small pages that have to be moved
 * @movable-thp:	transparent huge pages that have to be moved
 * @movable-hugetlb:	2 MiB hugetlb pages that have to be moved
 */

/**
 * SUBTEST: busy-pipe-%s
 * Description: A page in ZONE_MOVABLE that a pipe holds: ENOMEM until it lets go,
 *              and nothing pinned, with %arg[1]
 *
 * arg[1]:
 *
 * @shmem:		small pages
 * @thp:		transparent huge pages
 * @hugetlb:		2 MiB hugetlb pages
 */

/**
 * SUBTEST: busy-direct-io-%s
 * Description: The same with direct I/O that does not come to its end, and %arg[1]
 *
 * arg[1]:
 *
 * @shmem:		small pages
 * @hugetlb:		2 MiB hugetlb pages
 */

/**
 * SUBTEST: reclaim-pinned-%s
 * Description: Reclaim leaves alone what is pinned, and swaps it out afterwards,
 *              with %arg[1]
 *
 * SUBTEST: reclaim-race-%s
 * Description: Threads pin what is being swapped out, with %arg[1]
 *
 * arg[1]:
 *
 * @shmem:		small pages
 * @thp:		transparent huge pages
 */

/**
 * SUBTEST: swapoff
 * Description: The swap device goes while pages are pinned that came from there
 *
 * SUBTEST: swapoff-race
 * Description: The swap device goes while a pin reads pages from there
 *
 * SUBTEST: thp-collapse-pinned
 * Description: Small pages of which one is pinned are not made a huge one
 *
 * SUBTEST: thp-collapse-race
 * Description: Pins while small pages are made huge ones
 *
 * SUBTEST: thp-punched-%s
 * Description: A hole in a transparent huge page that is pinned: %arg[1]
 *
 * arg[1]:
 *
 * @beside:		beside the page that the dma-buf has
 * @across:		over it
 * @tail:		from the middle to the end
 */

/**
 * SUBTEST: thp-split-race
 * Description: Pins while huge pages are split by holes
 *
 * SUBTEST: seal-write-race-%s
 * Description: Either F_SEAL_WRITE or a dma-buf, never both, with %arg[1]
 *
 * arg[1]:
 *
 * @thp:		transparent huge pages
 * @movable:		small pages that have to be moved
 * @movable-hugetlb:	2 MiB hugetlb pages that have to be moved
 */

/**
 * SUBTEST: seal-future-write-race
 * Description: After F_SEAL_FUTURE_WRITE there is no new dma-buf
 *
 * SUBTEST: kill-%s
 * Description: SIGKILL at several points leaves nothing pinned, with %arg[1]
 *
 * arg[1]:
 *
 * @shmem:		small pages; and most of them were never pinned
 * @hugetlb:		2 MiB hugetlb pages
 * @movable:		small pages that have to be moved
 */

/**
 * SUBTEST: exit-while-pinning
 * Description: exit() of a process of which one thread pins
 *
 * SUBTEST: kill-time-%s
 * Description: Prints how long a process that pins 4 GiB lives on after SIGKILL,
 *              with %arg[1]
 *
 * arg[1]:
 *
 * @small:		64 MiB of small pages many times over
 * @distinct:		4 GiB of small pages
 * @hugetlb:		64 MiB of 2 MiB hugetlb pages many times over
 */

/**
 * SUBTEST: failed-before-%s
 * Description: EIO for a range with failed memory, and nothing pinned: %arg[1]
 *
 * SUBTEST: failed-before-hugetlb-movable
 * Description: The same in ZONE_MOVABLE, out of which it cannot be moved any more
 *
 * SUBTEST: failed-after-%s
 * Description: Pins on memory that fails stay, and are released: %arg[1]
 *
 * SUBTEST: failed-attached-%s
 * Description: A device stays attached to memory that fails, and the last one who lets go of it: %arg[1]
 *
 * arg[1]:
 *
 * @shmem:		small pages
 * @thp:		transparent huge pages
 * @hugetlb:		2 MiB hugetlb pages
 */
#include <unistd.h>

#include "igt.h"
#include "memfd_pin.h"
#include "udmabuf_helper.h"

IGT_TEST_DESCRIPTION("Long-term pins on memfds");

int igt_main()
{
	static int dev = -1;

	igt_fixture()
		dev = open_udmabuf();
	memfd_pin_holes_subtests(dev);
	memfd_pin_hugetlb_subtests(dev);
	memfd_pin_movable_subtests(dev);
	memfd_pin_offline_subtests(dev);
	memfd_pin_cma_subtests(dev);
	memfd_pin_mte_subtests(dev);
	memfd_pin_busy_subtests(dev);
	memfd_pin_reclaim_subtests(dev);
	memfd_pin_thp_subtests(dev);
	memfd_pin_seals_subtests(dev);
	memfd_pin_kill_subtests(dev);
	memfd_pin_failure_subtests(dev);

	igt_fixture()
		close(dev);
}
