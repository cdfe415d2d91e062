// SPDX-License-Identifier: MIT
/*
 * What the drivers do when there is no memory for the first, the second, … of all
 * allocations of a call: the list of all subtests and the program. The subtests are
 * in fail_nth_*.c.
 */

/**
 * TEST: fail nth
 * Category: Core
 * Mega feature: General Core features
 * Sub-category: Memory management tests
 * Functionality: dma-buf
 * Test category: functionality test
 * Description: Lets the n-th allocation of a call fail, for n = 1, 2, … until the
 *              call has no n-th one. Each time it either succeeds or returns ENOMEM,
 *              with pins, descriptors, charges, huge pages and contents as they were
 *
 * SUBTEST: create-%s
 * Description: UDMABUF_CREATE of a memfd of %arg[1]
 *
 * SUBTEST: create-list-%s
 * Description: UDMABUF_CREATE_LIST of slices of a memfd of %arg[1] and of another one
 *
 * SUBTEST: create-readonly-%s
 * Description: UDMABUF_CREATE_EXT of a memfd of %arg[1] that is sealed against writing
 *
 * SUBTEST: create-unsealed-%s
 * Description: UDMABUF_CREATE_EXT of a memfd of %arg[1] that is not sealed
 *
 * SUBTEST: close-%s
 * Description: The last close of a dma-buf of %arg[1] releases all of it
 *
 * SUBTEST: mempinfd-pin-%s
 * Description: MEMPINFD_PIN of a mapping of a memfd of %arg[1]
 *
 * SUBTEST: mempinfd-unpin-%s
 * Description: MEMPINFD_UNPIN of a mapping of a memfd of %arg[1] releases all of it
 *
 * SUBTEST: mempinfd-close-%s
 * Description: So does closing the descriptor
 *
 * arg[1]:
 *
 * @shmem:		small pages
 * @shmem-holes:	holes that get small pages
 * @thp:		transparent huge pages
 * @thp-holes:		holes where there could be transparent huge pages
 * @hugetlb:		hugetlb pages
 * @hugetlb-holes:	holes that get hugetlb pages
 */

/**
 * SUBTEST: create-first
 * Description: UDMABUF_CREATE by a user who had nothing pinned. What is allocated for
 *              that, is so without the lock that it shares with others
 *
 * SUBTEST: get-info
 * Description: UDMABUF_GET_INFO needs no memory
 *
 * SUBTEST: mempinfd-open
 * Description: Opening /dev/mempinfd
 *
 * SUBTEST: mempinfd-pin-anon-%s
 * Description: MEMPINFD_PIN of the program's own memory, of %arg[1]
 *
 * arg[1]:
 *
 * @shmem:		small pages
 * @shmem-holes:	small pages that were not touched
 * @thp:		transparent huge pages
 * @thp-holes:		transparent huge pages that were not touched
 */

/**
 * SUBTEST: import-%s
 * Description: A device attaches to a dma-buf of %arg[1] and maps it
 *
 * SUBTEST: sync-%s
 * Description: DMA_BUF_IOCTL_SYNC of a dma-buf of %arg[1], to which a device is
 *              attached
 *
 * SUBTEST: mmap-%s
 * Description: mmap() of a dma-buf of %arg[1], and an access to each page
 *
 * arg[1]:
 *
 * @shmem:		small pages
 * @hugetlb:		hugetlb pages
 */
#include <errno.h>
#include <string.h>

#include "fail_nth.h"
#include "igt.h"
#include "udmabuf_helper.h"

IGT_TEST_DESCRIPTION("Calls of udmabuf and mempinfd, each of whose allocations fails once");

int igt_main()
{
	static int dev = -1;

	igt_fixture() {
		igt_require_f(!access("/proc/thread-self/fail-nth", W_OK),
			      "the kernel cannot let allocations fail\n");
		dev = open_udmabuf();
		igt_require_f(!access("/dev/mempinfd", F_OK),
			      "/dev/mempinfd: %s\n", strerror(errno));
	}

	fail_nth_create_subtests(dev);
	fail_nth_use_subtests(dev);
	fail_nth_mempinfd_subtests();

	igt_fixture()
		close(dev);
}
