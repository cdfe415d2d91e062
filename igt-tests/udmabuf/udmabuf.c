// SPDX-License-Identifier: MIT
/*
 * Tests of /dev/udmabuf, which makes dma-bufs of memfd memory: the list of all
 * subtests and the program. The subtests themselves are in udmabuf_*.c.
 */

/**
 * TEST: udmabuf
 * Category: Core
 * Mega feature: General Core features
 * Sub-category: Memory management tests
 * Functionality: dma-buf
 * Test category: functionality test
 * Description: Makes dma-bufs of memfds, uses them in every way, and checks that
 *              nothing is lost, leaked or allowed by mistake
 *
 * SUBTEST: create
 * Description: A dma-buf of one range has the range's size and contents
 *
 * SUBTEST: create-list
 * Description: A dma-buf of several slices of a memfd
 *
 * SUBTEST: list-memfds
 * Description: Slices of several memfds, taking turns
 *
 * SUBTEST: list-adjacent
 * Description: Slices that follow each other in the memfd
 *
 * SUBTEST: list-overlap
 * Description: Slices that share pages: a write shows at every place
 *
 * SUBTEST: list-reversed
 * Description: Single pages from the last to the first
 *
 * SUBTEST: list-same-page
 * Description: As many entries as the limit allows, all with the same page
 *
 * SUBTEST: list-mixed
 * Description: Small, transparent huge and hugetlb pages in one dma-buf
 *
 * SUBTEST: cloexec
 * Description: The flag decides over close-on-exec, for both ioctls
 *
 * SUBTEST: unknown-flags
 * Description: Flags without a meaning are accepted and change nothing
 *
 * SUBTEST: memfd-closed
 * Description: The memfd is closed and unmapped before the first use
 *
 * SUBTEST: device-closed
 * Description: The device node is closed while the dma-buf is in use
 *
 * SUBTEST: module-held
 * Description: The module cannot go while a dma-buf is there
 *
 * SUBTEST: all-seals
 * Description: Seals other than those against writing do no harm
 *
 * SUBTEST: seal-write
 * Description: F_SEAL_WRITE is refused until the dma-buf is gone
 *
 * SUBTEST: pins-balanced
 * Description: The FOLL_PIN counters show each folio while a dma-buf has it,
 *              and are balanced when all dma-bufs are gone
 *
 * SUBTEST: contents-%s
 * Description: Writes through the memfd show in the dma-buf and the other way
 *              round, and in no page beside it, with %arg[1]
 *
 * arg[1]:
 *
 * @shmem:		small pages
 * @shmem-middle:	small pages in the middle of the file
 * @shmem-one-page:	the last page of the file
 * @thp:		transparent huge pages
 * @thp-middle:		an offset in the middle of a transparent huge page
 * @hugetlb:		2 MiB hugetlb pages
 * @hugetlb-middle:	an offset in the middle of a 2 MiB hugetlb page
 * @hugetlb-inside:	a few pages inside a 2 MiB hugetlb page
 * @hugetlb-1g-middle:	an offset in the middle of a 1 GiB hugetlb page
 */

/**
 * SUBTEST: contents-runs
 * Description: Long runs of contiguous pages first, then many short ones
 *
 * SUBTEST: contents-file-io
 * Description: read() and write() of the memfd agree with the dma-buf
 *
 * SUBTEST: contents-memfd-unmapped
 * Description: What is written when nobody maps the memfd is there later
 *
 * SUBTEST: contents-punch-hole
 * Description: A hole punched later parts the file's pages from the dma-buf's
 *
 * SUBTEST: hole-%s
 * Description: Never written memory reads as zeroes and is shared, with %arg[1]
 *
 * arg[1]:
 *
 * @shmem:		holes in a file of small pages
 * @thp:		holes where transparent huge pages are allowed
 * @hugetlb:		holes in a file of 2 MiB hugetlb pages
 * @fallocated:		pages that fallocate() got and nobody touched
 */

/**
 * SUBTEST: vgem-import
 * Description: vgem imports the dma-buf, exports the same one, and maps the
 *              memfd's pages when all else is closed
 *
 * SUBTEST: vgem-import-hugetlb-middle
 * Description: The same from the middle of a 2 MiB hugetlb page on
 *
 * SUBTEST: mmap-%s
 * Description: Mapping the dma-buf: %arg[1]
 *
 * arg[1]:
 *
 * @offset:		from an offset on
 * @past-end:		refused past the end
 * @private:		refused if private
 * @protect:		read-only first, then writable
 * @exec:		never executable
 * @fault-middle:	only a page in the middle is touched
 * @fault-syscall:	read() and write() touch the page first
 * @mremap:		moved and shrunk; growing is refused
 * @munmap-partial:	cut in two; the last piece keeps the buffer
 * @fork:		shared with a child that outlives the parent's mapping
 */

/**
 * SUBTEST: pmd-faults-%s
 * Description: A fault maps all of its 2 MiB, with a page table or without, and the
 *              contents are right, with %arg[1]
 *
 * arg[1]:
 *
 * @thp:			transparent huge pages
 * @hugetlb:			2 MiB hugetlb pages
 * @hugetlb-middle:		the same from the middle of one on
 * @hugetlb-shifted:		the same at an address that does not suit them
 * @hugetlb-middle-shifted:	both
 * @scattered:			small pages that do not follow each other
 * @scattered-shifted:		the same at any address
 */

/**
 * SUBTEST: pmd-thp-never
 * Description: The same where transparent huge pages are disabled
 *
 * SUBTEST: pmd-contiguous
 * Description: Small pages that follow each other in memory are mapped as one, but where
 *              the processor cannot (clearcpuid=pse)
 *
 * SUBTEST: pmd-mixed
 * Description: A buffer of huge, parts of huge, and small pages, mapped from
 *              anywhere on
 *
 * SUBTEST: pmd-windows
 * Description: Small mappings map nothing beside themselves
 *
 * SUBTEST: pmd-gib
 * Description: A mapping of 1 GiB, which could be one entry of the level above
 *
 * SUBTEST: pmd-protect
 * Description: Mappings that are read-only, made writable, and read-only in part
 *
 * SUBTEST: pmd-soft-dirty
 * Description: Writing to what was mapped read-only to watch for writes
 *
 * SUBTEST: pmd-munmap
 * Description: A mapping that is cut within 2 MiB, and mended
 *
 * SUBTEST: pmd-mremap
 * Description: Mappings that are moved when parts of them have been touched
 *
 * SUBTEST: pmd-fork
 * Description: A child has what its parent has touched, and what not
 *
 * SUBTEST: pmd-pin-refused
 * Description: No function that pins user memory pins the pages of a mapping
 *
 * SUBTEST: pmd-advice
 * Description: madvise() and userfaultfd cannot take the pages out of a mapping
 *
 * SUBTEST: pmd-threads
 * Description: Concurrent faults in the same 2 MiB
 *
 * SUBTEST: pmd-vgem
 * Description: Faults in a mapping by vgem, which has imported the buffer
 *
 * SUBTEST: contpte-fold
 * Description: Entries of a page table make blocks, where the kernel has some and
 *              memory and address suit each other, and no blocks elsewhere
 *
 * SUBTEST: contpte-windows
 * Description: Mappings that begin or end within a block
 *
 * SUBTEST: contpte-spans
 * Description: Pieces of memory that are as long as a block, and shorter
 *
 * SUBTEST: contpte-protect
 * Description: A page in the middle of a block is made read-only, and writable again
 *
 * SUBTEST: contpte-munmap
 * Description: A page in the middle of a block is unmapped, and mapped again
 *
 * SUBTEST: contpte-mremap
 * Description: Blocks are moved to where there can be some, and to where not; and there,
 *              faults come upon a block of which some pages are there
 *
 * SUBTEST: contpte-fork
 * Description: A child has what is in the blocks of its parent, but for a page in the
 *              middle of one that it is not to have
 *
 * SUBTEST: contpte-failed
 * Description: A page in the middle of a block has failed
 *
 * SUBTEST: vmap-vivid
 * Description: A driver that maps the dma-buf into the kernel, the virtual camera
 *              vivid, puts the same frame into it as into its own memory
 *
 * SUBTEST: vmap-vivid-hugetlb-middle
 * Description: The same from the middle of a 2 MiB hugetlb page on
 *
 * SUBTEST: attach-%s
 * Description: A device that attaches and maps at once gets %arg[1] in as few pieces
 *              as lie in memory, and split no more than its longest segment asks for
 *
 * arg[1]:
 *
 * @shmem:		small pages
 * @shmem-mixed:	small pages, some out of order
 * @thp:		transparent huge pages
 * @hugetlb:		hugetlb pages
 * @hugetlb-mixed:	pages out of hugetlb pages, some out of order
 */

/**
 * SUBTEST: attach-refused
 * Description: The test device refuses what is no dma-buf, and lets go of what it was
 *              attached to when it is closed
 *
 * SUBTEST: reject-%s
 * Description: UDMABUF_CREATE, and UDMABUF_CREATE_LIST with it as only or second
 *              entry, refuse %arg[1], and nothing stays pinned
 *
 * arg[1]:
 *
 * @unsealed:			a memfd that could shrink
 * @write-sealed:		a memfd sealed against writing
 * @future-write-sealed:	a memfd sealed against future writing
 * @closed-fd:			a descriptor that is not open
 * @path-fd:			a descriptor opened with O_PATH
 * @not-memfd:			a device
 * @tmpfs-file:			a file on tmpfs that is not a memfd
 * @offset-unaligned:		an odd offset
 * @offset-half-page:		an offset of half a page
 * @size-unaligned:		an odd size
 * @size-half-page:		a size that ends in a half page
 * @size-zero:			no size
 * @size-zero-inside:		no size, inside the file
 * @size-past-end:		a size larger than the file
 * @end-past-end:		a range that begins inside and ends outside
 * @offset-past-end:		a range that begins at the end
 * @hugetlb-past-end:		the same on hugetlbfs
 * @wrap-to-zero:		offset + size = 2^64
 * @wrap-inside:		offset + size wraps around into the file
 * @wrap-signed:		offset + size = 2^63
 * @offset-negative:		an offset of 2^63
 * @size-huge:			a size close to 2^64
 */

/**
 * SUBTEST: reject-count-zero
 * Description: A list without entries is refused
 *
 * SUBTEST: reject-count-over-limit
 * Description: A list longer than list_limit is refused, one as long is not
 *
 * SUBTEST: reject-size-over-limit
 * Description: More than size_limit_mb is refused, even if the sum wraps around;
 *              exactly that much is not
 *
 * SUBTEST: limits-list-published
 * Description: list_limit below /sys/module/udmabuf is the one in force, as it is
 *              found and as it is set there
 *
 * SUBTEST: limits-size-published
 * Description: So is size_limit_mb
 *
 * SUBTEST: limits-list-wraps
 * Description: With no limit at all, a list whose size in bytes wraps around is refused
 *
 * SUBTEST: limits-list-memory
 * Description: A list's memory is charged to its caller's control group
 *
 * SUBTEST: reject-too-many-pins
 * Description: A page that is listed millions of times is refused in time
 *
 * SUBTEST: reject-user-pointer
 * Description: Arguments that cannot be read, as a whole or in part
 *
 * SUBTEST: reject-no-descriptor-left
 * Description: EMFILE leaves nothing pinned
 *
 * SUBTEST: reject-dmabuf-as-memfd
 * Description: A dma-buf is not a memfd
 *
 * SUBTEST: reject-unknown-ioctl
 * Description: The device has no other ioctls, and no read() and write()
 *
 * SUBTEST: sync-threads
 * Description: Concurrent DMA_BUF_IOCTL_SYNC in all directions
 *
 * SUBTEST: sync-threads-imported
 * Description: The same while vgem has the dma-buf imported
 *
 * SUBTEST: seal-write-race
 * Description: No dma-buf of a memfd that gets sealed against writing meanwhile
 *
 * SUBTEST: create-threads
 * Description: Concurrent creation and closing while holes are punched
 *
 * SUBTEST: create-threads-hugetlb
 * Description: Concurrent creation over the same hugetlb holes
 *
 * SUBTEST: fault-threads
 * Description: Concurrent faults in mappings of the same dma-buf
 *
 * SUBTEST: no-leak
 * Description: Thousands of dma-bufs, made, used and closed, leave no memory in use
 *
 * SUBTEST: create-signals
 * Description: Signals with a handler do not disturb creation
 *
 * SUBTEST: create-signals-hugetlb
 * Description: The same while hugetlb holes are filled
 *
 * SUBTEST: create-kill
 * Description: SIGKILL at any moment of a creation leaves nothing pinned
 *
 * SUBTEST: create-killable
 * Description: SIGKILL ends a creation before all is pinned
 *
 * SUBTEST: swapped
 * Description: Pages come back from swap, stay while the dma-buf is there, and
 *              go there again with what was written to it
 *
 * SUBTEST: swap-race
 * Description: Creation while the memfd is swapped out
 *
 * SUBTEST: swap-race-thp
 * Description: The same with transparent huge pages, which that splits
 *
 * SUBTEST: compact-race
 * Description: Creation while memory is compacted
 *
 * SUBTEST: punch-race
 * Description: Creation while the file's pages are punched out
 *
 * SUBTEST: punch-race-hugetlb
 * Description: The same with hugetlb pages
 *
 * SUBTEST: fallocated-survives
 * Description: What is written through a dma-buf of fallocated, untouched pages
 *              is not wiped by the first access to the memfd
 *
 * SUBTEST: %s-survive-reclaim
 * Description: What was written through a dma-buf survives its end and drop_caches,
 *              with %arg[1]
 *
 * arg[1]:
 *
 * @holes:		holes
 * @holes-thp:		holes that transparent huge pages fill
 */

/**
 * SUBTEST: mixed-survives-reclaim
 * Description: The same with fallocated, written, read and untouched pages
 *
 * SUBTEST: readonly-memfd
 * Description: A descriptor that cannot be written is refused with EACCES
 *
 * SUBTEST: writeonly-memfd
 * Description: So is one that cannot be read
 *
 * SUBTEST: readonly-memfd-allowed
 * Description: A descriptor that cannot be written is accepted where the
 *              administrator allows it
 *
 * SUBTEST: first-sync-race
 * Description: Threads that race for the first DMA_BUF_IOCTL_SYNC leak no memory
 *
 * SUBTEST: hugetlb-own-reservation
 * Description: A reservation of the memfd itself is used up by its dma-buf
 *
 * SUBTEST: hugetlb-reserved-by-other
 * Description: Huge pages that another mapping has reserved are not taken
 *
 * SUBTEST: hugetlb-holes-reservation
 * Description: Filling hugetlb holes leaves HugePages_Rsvd as it is
 */
#include <unistd.h>

#include "igt.h"
#include "udmabuf.h"

IGT_TEST_DESCRIPTION("dma-bufs made of memfd memory by /dev/udmabuf");

int igt_main()
{
	static int dev = -1;

	igt_fixture()
		dev = open_udmabuf();
	udmabuf_create_subtests(dev);
	udmabuf_contents_subtests(dev);
	udmabuf_mmap_subtests(dev);
	udmabuf_pmd_subtests(dev);
	udmabuf_contpte_subtests(dev);
	udmabuf_vmap_subtests(dev);
	udmabuf_attach_subtests(dev);
	udmabuf_reject_subtests(dev);
	udmabuf_limits_subtests(dev);
	udmabuf_stress_subtests(dev);
	udmabuf_reclaim_subtests(dev);
	/* May leave a kernel that fails it with wrong counts of huge pages. */
	udmabuf_persist_subtests(dev);

	igt_fixture()
		close(dev);
}
