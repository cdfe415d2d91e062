// SPDX-License-Identifier: MIT
/*
 * Tests of CPU access to dma-bufs of memfd memory: the list of all subtests and the
 * program. The subtests are in udmabuf_sync_*.c.
 */

/**
 * TEST: udmabuf sync
 * Category: Core
 * Mega feature: General Core features
 * Sub-category: Memory management tests
 * Functionality: dma-buf
 * Test category: functionality test
 * Description: Who writes to a dma-buf, who reads it, and what is copied between memory
 *              and devices. All of it holds with and without bounce buffers, but says
 *              most with them: boot with swiotlb=force
 *
 * SUBTEST: commit
 * Description: The owner of a memfd writes a hundred frames, whoever shows them ends an
 *              access that it has not begun, as Documentation/compositors.rst says; the
 *              device sees each of them, and the owner's memory is as it wrote it
 *
 * SUBTEST: commit-two-devices
 * Description: The same with two devices, one of which only reads
 *
 * SUBTEST: owner-detach
 * Description: What the owner wrote, and told nobody, stays when a device is detached
 *              that is not known to have written since
 *
 * SUBTEST: owner-to-device
 * Description: So it does whoever looks, when devices could only read
 *
 * SUBTEST: owner-map
 * Description: It is seen by a device when its driver maps the dma-buf anew
 *
 * SUBTEST: writer-partial
 * Description: Who writes only a part leaves what a device wrote in the rest
 *
 * SUBTEST: writer-%s
 * Description: A write access hides what devices write no longer than until %arg[1]
 *
 * arg[1]:
 *
 * @dies:		its program has died
 * @thread-dies:	its thread has gone
 * @execs:		its program has been replaced by another one
 * @ends:		it ends, also if it was begun twice
 * @ends-in-thread:	another thread of its program ends it
 */

/**
 * SUBTEST: writer-interrupted
 * Description: A write access that a signal has kept from beginning hides nothing that
 *              devices write
 *
 * SUBTEST: writer-and-stranger
 * Description: Another program that looks, or ends what it has not begun, changes
 *              nothing about a write access that is going on
 *
 * SUBTEST: writers-many
 * Description: Many threads write, each its part, and some of them die
 *
 * SUBTEST: writers-die-together
 * Description: Among a thousand threads of another program, an access is found; when all
 *              of them die at once, none is left
 *
 * SUBTEST: writers-die-in-turn
 * Description: While a thread is writing, thousands of others begin to and die: that
 *              is not remembered
 *
 * SUBTEST: device-unmap
 * Description: What a device was to write is in memory when its driver unmaps it
 *
 * SUBTEST: device-unmap-writer
 * Description: But not while the CPU is writing
 *
 * SUBTEST: device-detach
 * Description: What a device is known to have written, by a fence, is in memory when it
 *              is detached
 *
 * SUBTEST: device-map-writer
 * Description: A device that is attached while the CPU writes sees what was written
 *              when that ends, and brings back nothing before
 *
 * SUBTEST: devices-one-writes
 * Description: Of several devices, the view of that counts which was to write, and all
 *              get to see it
 *
 * SUBTEST: device-trimmed
 * Description: A driver that changes the table of its mapping, as that of RDMA does, is
 *              in nobody's way
 *
 * SUBTEST: devices-refused
 * Description: The test device refuses what is not in the dma-buf, or not mapped
 *
 * SUBTEST: caches-%s
 * Description: For a device that is not coherent, caches are cleaned and invalidated once
 *              for all of the buffer: %arg[1]
 *
 * arg[1]:
 *
 * @both-ways:		it reads and writes
 * @to-device:		it only reads
 * @from-device:	it only writes, until its driver unmaps
 * @detach:		it is known to have written when it goes
 */

/**
 * SUBTEST: caches-coherent
 * Description: For one that is coherent, they are left alone
 *
 * SUBTEST: iommu-%s
 * Description: A device behind an IOMMU, which does DMA by itself, reads and writes the
 *              memory of a memfd: %arg[1]
 *
 * arg[1]:
 *
 * @shmem:		small pages
 * @thp:		transparent huge pages
 * @hugetlb:		2 MiB hugetlb pages
 */

/**
 * SUBTEST: iommu-to-device
 * Description: What is mapped for it to read, it cannot write: the IOMMU says so, and the
 *              memory stays; mapped for both, it can
 *
 * SUBTEST: iommu-readonly
 * Description: It may attach to a read-only dma-buf, and read; what it writes does not
 *              arrive, in whatever direction its driver maps
 *
 * SUBTEST: iommu-readonly-identity
 * Description: Not when its IOMMU lets it do all: then it may not even attach
 */
#include <unistd.h>

#include "dma_helper.h"
#include "igt.h"
#include "udmabuf_sync.h"

IGT_TEST_DESCRIPTION("CPU access to dma-bufs of memfd memory, beside devices");

struct buffer new_buffer(int dev)
{
	struct buffer buffer = { .memfd = sealed_memfd(SHMEM, pages(NPAGES)) };

	buffer.mem = map_fd(buffer.memfd, pages(NPAGES));
	owner_fill(&buffer, 1);
	buffer.dmabuf = create(dev, buffer.memfd, 0, pages(NPAGES));
	return buffer;
}

void close_buffer(struct buffer *buffer)
{
	close(buffer->dmabuf);
	unmap(buffer->mem, pages(NPAGES));
	close(buffer->memfd);
}

void owner_fill(struct buffer *buffer, uint64_t seed)
{
	fill(buffer->mem, 0, NPAGES, seed);
}

size_t owner_count(const struct buffer *buffer, uint64_t seed)
{
	return count_filled(buffer->mem, 0, NPAGES, seed);
}

int igt_main()
{
	static int dev = -1;

	igt_fixture() {
		dev = open_udmabuf();
		igt_require_f(!access("/dev/pin_test", F_OK), "no /dev/pin_test\n");
	}

	udmabuf_sync_owner_subtests(dev);
	udmabuf_sync_writer_subtests(dev);
	udmabuf_sync_device_subtests(dev);
	udmabuf_sync_cache_subtests(dev);
	udmabuf_sync_iommu_subtests(dev);

	igt_fixture()
		close(dev);
}
