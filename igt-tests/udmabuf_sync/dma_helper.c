// SPDX-License-Identifier: MIT
/*
 * A device that uses a dma-buf, by way of /dev/pin_test, and the CPU's access to it.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "dma_helper.h"
#include "igt.h"
#include "pin_test_helper.h"

void sync_cpu(int dmabuf, uint64_t flags)
{
	struct dma_buf_sync sync = { .flags = flags };

	igt_assert_eq(ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync), 0);
}

void look(int dmabuf)
{
	sync_cpu(dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ);
	sync_cpu(dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ);
}

int new_device(int dmabuf, unsigned long direction)
{
	struct pin_test_attach attach = { .fd = dmabuf };

	return new_device_as(&attach, direction);
}

int new_device_as(struct pin_test_attach *attach, unsigned long direction)
{
	int device = open_device();

	device_map(device, direction);
	igt_assert_eq(ioctl(device, PIN_TEST_ATTACH, attach), 0);
	return device;
}

void device_map(int device, unsigned long direction)
{
	igt_assert_eq(ioctl(device, PIN_TEST_MAP, direction), 0);
}

void device_detach(int device)
{
	uint64_t ns;

	igt_assert_eq(ioctl(device, PIN_TEST_DETACH, &ns), 0);
}

void device_fill(int device, size_t first, size_t count, uint64_t seed, bool fence)
{
	void *data = malloc(pages(count));
	struct pin_test_dma dma = {
		.offset = pages(first),
		.size = pages(count),
		.data = (uintptr_t)data,
		.flags = fence ? PIN_TEST_DMA_FENCE : 0,
	};

	igt_assert(data);
	fill(data, first, count, seed);
	igt_assert_eq(ioctl(device, PIN_TEST_DMA_WRITE, &dma), 0);
	free(data);
}

size_t device_count(int device, size_t first, size_t count, uint64_t seed)
{
	void *data = calloc(count, page_size());
	struct pin_test_dma dma = {
		.offset = pages(first),
		.size = pages(count),
		.data = (uintptr_t)data,
	};
	size_t found;

	igt_assert(data);
	igt_assert_eq(ioctl(device, PIN_TEST_DMA_READ, &dma), 0);
	found = count_filled(data, first, count, seed);
	free(data);
	return found;
}
