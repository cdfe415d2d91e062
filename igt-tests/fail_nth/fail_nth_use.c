// SPDX-License-Identifier: MIT
/*
 * What is done with a udmabuf, by devices and by programs, without memory for one
 * of the allocations. Not vmap: when that fails, the core of dma-buf warns, whatever the
 * reason; and vivid, which asks for it, loses a dma-buf to which it cannot attach.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "fail_nth.h"
#include "igt.h"
#include "udmabuf_ext_helper.h"

static const struct content * const both[] = { &contents[0], &contents[4] };
static const struct content * const *current;
static int udmabuf, memfd, dmabuf, vgem;
static uint32_t handle;
static char *mem, *at;

static size_t size(void)
{
	return pages(content_pages(*current));
}

static void make_dmabuf(void)
{
	memfd = content_memfd(*current);
	seal(memfd, F_SEAL_SHRINK);
	mem = map_fd(memfd, size());
	dmabuf = create(udmabuf, memfd, 0, size());
}

static void check_memory(void)
{
	check_content(*current, mem);
}

static void close_dmabuf(void)
{
	check_memory();
	unmap(mem, size());
	close(dmabuf);
	close(memfd);
}

/*
 * Attaching and mapping for a device. The checks of the DMA API go to sleep for good
 * when they cannot allocate.
 */

static int attempt_import(void)
{
	return import_into(vgem, dmabuf, &handle);
}

static void finish_import(int result)
{
	igt_assert_eq(result, 0);
	gem_close(vgem, handle);
	close_dmabuf();
}

static void test_import(int dev)
{
	udmabuf = dev;
	vgem = drm_open_driver(DRIVER_VGEM);
	leave_out("debug_dma_map_sg");
	try_all(&(struct trial) {
		.prepare = make_dmabuf,
		.attempt = attempt_import,
		.check = check_memory,
		.finish = finish_import,
	});
	close(vgem);
}

/* CPU access, with a device attached */

static void prepare_sync(void)
{
	make_dmabuf();
	igt_assert_eq(import_into(vgem, dmabuf, &handle), 0);
}

/* To begin may fail, to end may not. */
static int attempt_sync(void)
{
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };

	if (ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync))
		return -errno;
	sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW;
	igt_assert_eq(ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync), 0);
	return 0;
}

static void test_sync(int dev)
{
	udmabuf = dev;
	vgem = drm_open_driver(DRIVER_VGEM);
	try_all(&(struct trial) {
		.prepare = prepare_sync,
		.attempt = attempt_sync,
		.check = check_memory,
		.finish = finish_import,
	});
	close(vgem);
}

/* A mapping at an address that suits huge pages */

static void prepare_mmap(void)
{
	make_dmabuf();
	at = reserve(size());
}

/* A fault that is out of memory is tried again. */
static int attempt_mmap(void)
{
	if (mmap(at, size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, dmabuf,
		 0) != at)
		return -errno;
	for (size_t i = 0; i < size(); i += page_size())
		(void)READ_ONCE(at[i]);
	return 0;
}

static void finish_mmap(int result)
{
	igt_assert_eq(result, 0);
	check_content(*current, at);
	unmap(at, size());
	close_dmabuf();
}

static void test_mmap(int dev)
{
	udmabuf = dev;
	try_all(&(struct trial) {
		.prepare = prepare_mmap,
		.attempt = attempt_mmap,
		.check = check_memory,
		.finish = finish_mmap,
	});
}

void fail_nth_use_subtests(int dev)
{
	for (current = both; current < both + ARRAY_SIZE(both); current++) {
		igt_describe_f("A device attaches to a dma-buf of %s and maps it",
			       (*current)->name);
		igt_subtest_f("import-%s", (*current)->name)
			udmabuf_test(test_import, dev);
		igt_describe_f("DMA_BUF_IOCTL_SYNC of a dma-buf of %s, to which a device is "
			       "attached", (*current)->name);
		igt_subtest_f("sync-%s", (*current)->name)
			udmabuf_test(test_sync, dev);
		igt_describe_f("mmap() of a dma-buf of %s, and an access to each page",
			       (*current)->name);
		igt_subtest_f("mmap-%s", (*current)->name)
			udmabuf_test(test_mmap, dev);
	}
}
