// SPDX-License-Identifier: MIT
/*
 * Tests of i915's userptr objects on a GPU: the list of all subtests and the
 * program. The subtests themselves are in gem_userptr_*.c.
 */

/**
 * TEST: gem_userptr_memfd
 * Category: Core
 * Mega feature: General Core features
 * Sub-category: Memory management tests
 * Functionality: userptr
 * Test category: functionality test
 * Description: Has the GPU write to a process's own memory by way of userptr objects,
 *              most of all to memfds; changes the memory meanwhile; and exports it
 *
 * SUBTEST: write-%s
 * Description: The process reads what the GPU wrote, and in no page beside it, with
 *              %arg[1]
 *
 * arg[1]:
 *
 * @anon:		small anonymous pages
 * @anon-thp:		transparent huge anonymous pages, from the middle of one on
 * @shmem:		a memfd of small pages
 * @thp-middle:		a memfd of transparent huge pages, from the middle of one on
 * @hugetlb:		a memfd of 2 MiB hugetlb pages
 * @hugetlb-middle:	a memfd of 2 MiB hugetlb pages, from the middle of one on
 * @private:		a private mapping of a memfd, which itself stays as it was
 * @mixed:		half a memfd and half anonymous memory
 */

/**
 * SUBTEST: readonly-mapping
 * Description: What the process may not write to, the GPU may not
 *
 * SUBTEST: readonly-object
 * Description: The GPU cannot write to an object that is made read-only
 *
 * SUBTEST: fast-only-fails
 * Description: Calls of pin_user_pages_fast_only() fail now and then, and nobody
 *              notices
 *
 * SUBTEST: munmap
 * Description: The mapping is gone, and then back
 *
 * SUBTEST: replace
 * Description: Another memfd is mapped in its place
 *
 * SUBTEST: mremap
 * Description: The mapping is moved away
 *
 * SUBTEST: mprotect
 * Description: The mapping becomes read-only, and then writable again
 *
 * SUBTEST: mprotect-untouched
 * Description: The same where the process has never touched the memory
 *
 * SUBTEST: truncate
 * Description: The memfd becomes shorter, and then as long as before
 *
 * SUBTEST: punch-hole
 * Description: A hole is punched into the memfd
 *
 * SUBTEST: punch-hole-race
 * Description: Holes are punched while the GPU is given work
 *
 * SUBTEST: fork
 * Description: Parent and child write to their memory, and the GPU to the parent's
 *
 * SUBTEST: foreign
 * Description: Another process cannot use the object
 *
 * SUBTEST: export-refused-%s
 * Description: Export is refused with EINVAL for %arg[1]
 *
 * arg[1]:
 *
 * @anon:	anonymous memory
 * @unsealed:	a memfd without F_SEAL_SHRINK
 * @sealed:	a memfd that is sealed against writing, too
 * @private:	a private mapping of a memfd
 * @mixed:	half a memfd and half anonymous memory
 */

/**
 * SUBTEST: export-outlives
 * Description: The dma-buf has the contents when object, mapping and memfd are gone
 *
 * SUBTEST: export-hugetlb-middle
 * Description: The same from the middle of a 2 MiB hugetlb page on
 *
 * SUBTEST: export-process
 * Description: Another process maps the dma-buf
 *
 * SUBTEST: export-second-device
 * Description: vgem imports the dma-buf, and is the only one to keep it
 *
 * SUBTEST: export-import
 * Description: The GPU writes to an import of the dma-buf, and the process reads it
 *
 * SUBTEST: export-object-stays
 * Description: The object follows its mapping after the export, the dma-buf does not
 *
 * SUBTEST: export-limit
 * Description: ENOMEM for more than user_limit_mb
 */
#include <unistd.h>

#include "gem_userptr.h"
#include "igt.h"

IGT_TEST_DESCRIPTION("The GPU's use of a process's own memory, and of memfds");

int igt_main()
{
	static int i915 = -1;

	igt_fixture()
		i915 = open_i915();
	gem_userptr_use_subtests(i915);
	gem_userptr_change_subtests(i915);
	gem_userptr_export_subtests(i915);

	igt_fixture()
		drm_close_driver(i915);
}
