// SPDX-License-Identifier: MIT
/*
 * The owner of a memfd writes to its memory, and nobody is told.
 */
#include "dma_helper.h"
#include "igt.h"
#include "udmabuf_sync.h"

#define FRAMES		100

/* What Documentation/compositors.rst tells compositors to do after a commit */
static void commit(int dmabuf)
{
	sync_cpu(dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE);
}

static void show_frames(int dev, bool two)
{
	struct buffer buffer = new_buffer(dev);
	int device = new_device(buffer.dmabuf, PIN_TEST_BIDIRECTIONAL), other = -1;

	if (two)
		other = new_device(buffer.dmabuf, PIN_TEST_TO_DEVICE);
	for (int frame = 2; frame < 2 + FRAMES; frame++) {
		owner_fill(&buffer, frame);
		commit(buffer.dmabuf);
		igt_assert_eq(device_count(device, 0, NPAGES, frame), NPAGES);
		if (two)
			igt_assert_eq(device_count(other, 0, NPAGES, frame), NPAGES);
		igt_assert_eq(owner_count(&buffer, frame), NPAGES);
	}
	close(device);
	if (two)
		close(other);
	igt_assert_eq(owner_count(&buffer, 1 + FRAMES), NPAGES);
	close_buffer(&buffer);
}

static void test_commit(int dev)
{
	show_frames(dev, false);
}

static void test_commit_two(int dev)
{
	show_frames(dev, true);
}

static void test_detach(int dev)
{
	struct buffer buffer = new_buffer(dev);
	int device = new_device(buffer.dmabuf, PIN_TEST_BIDIRECTIONAL);

	/* It is not known, */
	device_fill(device, 0, NPAGES, 2, false);
	owner_fill(&buffer, 3);
	device_detach(device);
	igt_assert_eq(owner_count(&buffer, 3), NPAGES);

	/* or seen already, */
	close(device);
	device = new_device(buffer.dmabuf, PIN_TEST_BIDIRECTIONAL);
	device_fill(device, 0, NPAGES, 4, true);
	look(buffer.dmabuf);
	igt_assert_eq(owner_count(&buffer, 4), NPAGES);
	owner_fill(&buffer, 5);
	close(device);
	igt_assert_eq(owner_count(&buffer, 5), NPAGES);

	/* or has been replaced by what was committed. */
	device = new_device(buffer.dmabuf, PIN_TEST_BIDIRECTIONAL);
	device_fill(device, 0, NPAGES, 6, true);
	owner_fill(&buffer, 7);
	commit(buffer.dmabuf);
	owner_fill(&buffer, 8);
	close(device);
	igt_assert_eq(owner_count(&buffer, 8), NPAGES);

	/* Some drivers say that it wrote when it has only read what was committed. */
	device = new_device(buffer.dmabuf, PIN_TEST_BIDIRECTIONAL);
	commit(buffer.dmabuf);
	device_fill(device, 0, NPAGES, 8, true);
	owner_fill(&buffer, 9);
	close(device);
	igt_assert_eq(owner_count(&buffer, 9), NPAGES);
	close_buffer(&buffer);
}

static void test_to_device(int dev)
{
	struct buffer buffer = new_buffer(dev);
	int device = new_device(buffer.dmabuf, PIN_TEST_TO_DEVICE);

	owner_fill(&buffer, 2);
	look(buffer.dmabuf);
	igt_assert_eq(owner_count(&buffer, 2), NPAGES);
	close(device);
	igt_assert_eq(owner_count(&buffer, 2), NPAGES);

	/* The same where it could write once: */
	device = new_device(buffer.dmabuf, PIN_TEST_BIDIRECTIONAL);
	device_map(device, PIN_TEST_NOT_MAPPED);
	look(buffer.dmabuf);
	device_map(device, PIN_TEST_TO_DEVICE);
	owner_fill(&buffer, 3);
	look(buffer.dmabuf);
	igt_assert_eq(owner_count(&buffer, 3), NPAGES);
	close(device);

	/* then it is seen by who looks first, and by nobody later. */
	device = new_device(buffer.dmabuf, PIN_TEST_BIDIRECTIONAL);
	device_fill(device, 0, NPAGES, 4, false);
	device_map(device, PIN_TEST_TO_DEVICE);
	look(buffer.dmabuf);
	igt_assert_eq(owner_count(&buffer, 4), NPAGES);
	owner_fill(&buffer, 5);
	look(buffer.dmabuf);
	igt_assert_eq(owner_count(&buffer, 5), NPAGES);
	close(device);
	igt_assert_eq(owner_count(&buffer, 5), NPAGES);
	close_buffer(&buffer);
}

/* As a driver does that maps a buffer for each frame. */
static void test_map(int dev)
{
	static const unsigned long directions[] = {
		PIN_TEST_TO_DEVICE, PIN_TEST_BIDIRECTIONAL, PIN_TEST_TO_DEVICE,
	};
	struct buffer buffer = new_buffer(dev);
	int device = new_device(buffer.dmabuf, PIN_TEST_TO_DEVICE);

	for (unsigned int i = 0; i < ARRAY_SIZE(directions); i++) {
		device_map(device, PIN_TEST_NOT_MAPPED);
		look(buffer.dmabuf);
		owner_fill(&buffer, 2 + i);
		device_map(device, directions[i]);
		igt_assert_eq(device_count(device, 0, NPAGES, 2 + i), NPAGES);
	}
	close(device);
	close_buffer(&buffer);
}

void udmabuf_sync_owner_subtests(int dev)
{
	igt_describe("The owner of a memfd writes a hundred frames, whoever shows them ends an "
		     "access that it has not begun, as Documentation/compositors.rst says; the "
		     "device sees each of them, and the owner's memory is as it wrote it");
	igt_subtest("commit")
		udmabuf_test(test_commit, dev);
	igt_describe("The same with two devices, one of which only reads");
	igt_subtest("commit-two-devices")
		udmabuf_test(test_commit_two, dev);
	igt_describe("What the owner wrote, and told nobody, stays when a device is detached that "
		     "is not known to have written since");
	igt_subtest("owner-detach")
		udmabuf_test(test_detach, dev);
	igt_describe("So it does whoever looks, when devices could only read");
	igt_subtest("owner-to-device")
		udmabuf_test(test_to_device, dev);
	igt_describe("It is seen by a device when its driver maps the dma-buf anew");
	igt_subtest("owner-map")
		udmabuf_test(test_map, dev);
}
