// SPDX-License-Identifier: MIT
/*
 * Devices write to a dma-buf, and come and go.
 */
#include <errno.h>
#include <sys/ioctl.h>

#include "dma_helper.h"
#include "igt.h"
#include "phys_helper.h"
#include "udmabuf_sync.h"

static void test_unmap(int dev)
{
	struct buffer buffer = new_buffer(dev);
	int device = new_device(buffer.dmabuf, PIN_TEST_FROM_DEVICE);

	for (int frame = 2; frame < 4; frame++) {
		device_fill(device, 0, NPAGES, frame, false);
		device_map(device, PIN_TEST_NOT_MAPPED);
		igt_assert_eq(owner_count(&buffer, frame), NPAGES);
		/* And not once more. */
		owner_fill(&buffer, 10);
		look(buffer.dmabuf);
		igt_assert_eq(owner_count(&buffer, 10), NPAGES);
		device_map(device, PIN_TEST_FROM_DEVICE);
	}
	device_fill(device, 0, NPAGES, 11, false);
	close(device);
	igt_assert_eq(owner_count(&buffer, 11), NPAGES);
	close_buffer(&buffer);
}

static void test_unmap_writer(int dev)
{
	struct buffer buffer = new_buffer(dev);
	int device = new_device(buffer.dmabuf, PIN_TEST_FROM_DEVICE);

	sync_cpu(buffer.dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW);
	device_fill(device, 0, NPAGES, 2, true);
	owner_fill(&buffer, 3);
	device_map(device, PIN_TEST_NOT_MAPPED);
	igt_assert_eq(owner_count(&buffer, 3), NPAGES);
	sync_cpu(buffer.dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW);
	look(buffer.dmabuf);
	igt_assert_eq(owner_count(&buffer, 3), NPAGES);
	device_map(device, PIN_TEST_BIDIRECTIONAL);
	igt_assert_eq(device_count(device, 0, NPAGES, 3), NPAGES);

	sync_cpu(buffer.dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW);
	device_fill(device, 0, NPAGES, 4, true);
	owner_fill(&buffer, 5);
	close(device);
	igt_assert_eq(owner_count(&buffer, 5), NPAGES);
	sync_cpu(buffer.dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW);
	close_buffer(&buffer);
}

static void test_detach(int dev)
{
	struct buffer buffer = new_buffer(dev);
	int device = new_device(buffer.dmabuf, PIN_TEST_BIDIRECTIONAL);

	device_fill(device, 0, NPAGES, 2, true);
	device_detach(device);
	igt_assert_eq(owner_count(&buffer, 2), NPAGES);
	close(device);

	/* Also when its driver had it mapped several times. */
	device = new_device(buffer.dmabuf, PIN_TEST_BIDIRECTIONAL);
	look(buffer.dmabuf);
	device_map(device, PIN_TEST_NOT_MAPPED);
	device_map(device, PIN_TEST_BIDIRECTIONAL);
	device_fill(device, 0, NPAGES, 3, true);
	device_map(device, PIN_TEST_NOT_MAPPED);
	device_map(device, PIN_TEST_TO_DEVICE);
	close(device);
	igt_assert_eq(owner_count(&buffer, 3), NPAGES);
	close_buffer(&buffer);
}

static void test_map_writer(int dev)
{
	struct buffer buffer = new_buffer(dev);
	int first = new_device(buffer.dmabuf, PIN_TEST_BIDIRECTIONAL), second;

	sync_cpu(buffer.dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_WRITE);
	second = new_device(buffer.dmabuf, PIN_TEST_BIDIRECTIONAL);
	owner_fill(&buffer, 2);
	igt_fork(reader, 1)
		look(buffer.dmabuf);
	igt_waitchildren();
	igt_assert_eq(owner_count(&buffer, 2), NPAGES);
	sync_cpu(buffer.dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE);

	igt_assert_eq(device_count(first, 0, NPAGES, 2), NPAGES);
	igt_assert_eq(device_count(second, 0, NPAGES, 2), NPAGES);
	look(buffer.dmabuf);
	igt_assert_eq(owner_count(&buffer, 2), NPAGES);
	close(second);
	close(first);
	igt_assert_eq(owner_count(&buffer, 2), NPAGES);
	close_buffer(&buffer);
}

/* A camera, and others that show what it has written. */
static void one_writes(int dev, bool first)
{
	struct buffer buffer = new_buffer(dev);
	int camera = -1, screen, reader;

	if (first)
		camera = new_device(buffer.dmabuf, PIN_TEST_FROM_DEVICE);
	screen = new_device(buffer.dmabuf, PIN_TEST_BIDIRECTIONAL);
	reader = new_device(buffer.dmabuf, PIN_TEST_TO_DEVICE);
	if (!first)
		camera = new_device(buffer.dmabuf, PIN_TEST_FROM_DEVICE);

	device_fill(camera, 0, NPAGES, 2, false);
	look(buffer.dmabuf);
	igt_assert_eq(owner_count(&buffer, 2), NPAGES);
	igt_assert_eq(device_count(screen, 0, NPAGES, 2), NPAGES);
	igt_assert_eq(device_count(reader, 0, NPAGES, 2), NPAGES);

	device_fill(camera, 0, NPAGES, 3, false);
	device_map(camera, PIN_TEST_NOT_MAPPED);
	igt_assert_eq(owner_count(&buffer, 3), NPAGES);
	igt_assert_eq(device_count(screen, 0, NPAGES, 3), NPAGES);
	igt_assert_eq(device_count(reader, 0, NPAGES, 3), NPAGES);
	look(buffer.dmabuf);
	igt_assert_eq(owner_count(&buffer, 3), NPAGES);

	/* It is the only one left that could have written. */
	device_fill(screen, 0, NPAGES, 4, true);
	look(buffer.dmabuf);
	igt_assert_eq(owner_count(&buffer, 4), NPAGES);
	igt_assert_eq(device_count(reader, 0, NPAGES, 4), NPAGES);

	close(camera);
	close(reader);
	close(screen);
	igt_assert_eq(owner_count(&buffer, 4), NPAGES);
	close_buffer(&buffer);
}

static void test_one_writes(int dev)
{
	one_writes(dev, true);
	one_writes(dev, false);
}

static int try_dma(int device, uint64_t offset, uint64_t size, uint32_t flags)
{
	static char data[64];
	struct pin_test_dma dma = {
		.offset = offset,
		.size = size,
		.data = (uintptr_t)data,
		.flags = flags,
	};

	return ioctl(device, PIN_TEST_DMA_READ, &dma) ? -errno : 0;
}

static void test_refused(int dev)
{
	struct buffer buffer = new_buffer(dev);
	int device = new_device(buffer.dmabuf, PIN_TEST_NOT_MAPPED);

	igt_assert_eq(try_dma(device, 0, 8, 0), -ENODATA);
	igt_assert_eq(ioctl(device, PIN_TEST_MAP, PIN_TEST_NOT_MAPPED + 1), -1);
	igt_assert_eq(errno, EINVAL);
	device_map(device, PIN_TEST_TO_DEVICE);
	igt_assert_eq(try_dma(device, pages(NPAGES) - 8, 8, 0), 0);
	igt_assert_eq(try_dma(device, pages(NPAGES) - 8, 9, 0), -EINVAL);
	igt_assert_eq(try_dma(device, UINT64_MAX, 8, 0), -EINVAL);
	igt_assert_eq(try_dma(device, 0, 8, PIN_TEST_DMA_FENCE), -EINVAL);
	close(device);
	close_buffer(&buffer);
}

/* The exporter does not take the importer's table for its own. */
static void test_trimmed(int dev)
{
	const size_t nr = HUGE / page_size() - 1;
	struct pin_test_attach attach = { .flags = PIN_TEST_TRIM };
	int memfd, dmabuf, device;
	char *mem;

	require_pinnable(HUGE_2M);
	memfd = sealed_memfd(HUGE_2M, HUGE);
	mem = map_fd(memfd, HUGE);
	fill(mem, 0, nr + 1, 1);
	dmabuf = create(dev, memfd, 0, HUGE);
	attach.fd = dmabuf;
	device = new_device_as(&attach, PIN_TEST_BIDIRECTIONAL);
	igt_assert_eq_u64(attach.bytes, pages(nr));
	device_fill(device, 0, nr, 2, false);
	look(dmabuf);
	igt_assert_eq(count_filled(mem, 0, 1, 1), 1);
	igt_assert_eq(count_filled(mem + page_size(), 0, nr, 2), nr);
	sync_cpu(dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW);
	fill(mem + page_size(), 0, nr, 3);
	sync_cpu(dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW);
	igt_assert_eq(device_count(device, 0, nr, 3), nr);
	close(device);
	close(dmabuf);
	unmap(mem, HUGE);
	close(memfd);
}

void udmabuf_sync_device_subtests(int dev)
{
	igt_describe("What a device was to write is in memory when its driver unmaps it");
	igt_subtest("device-unmap")
		udmabuf_test(test_unmap, dev);
	igt_describe("But not while the CPU is writing");
	igt_subtest("device-unmap-writer")
		udmabuf_test(test_unmap_writer, dev);
	igt_describe("What a device is known to have written, by a fence, is in memory when it is "
		     "detached");
	igt_subtest("device-detach")
		udmabuf_test(test_detach, dev);
	igt_describe("A device that is attached while the CPU writes sees what was written when "
		     "that ends, and brings back nothing before");
	igt_subtest("device-map-writer")
		udmabuf_test(test_map_writer, dev);
	igt_describe("Of several devices, the view of that counts which was to write, and all get "
		     "to see it");
	igt_subtest("devices-one-writes")
		udmabuf_test(test_one_writes, dev);
	igt_describe("A driver that changes the table of its mapping, as that of RDMA does, is in "
		     "nobody's way");
	igt_subtest("device-trimmed")
		udmabuf_test(test_trimmed, dev);
	igt_describe("The test device refuses what is not in the dma-buf, or not mapped");
	igt_subtest("devices-refused")
		udmabuf_test(test_refused, dev);
}
