// SPDX-License-Identifier: MIT
/*
 * A device that does DMA by itself, behind an IOMMU: QEMU's edu. It reads and writes what
 * is mapped for it, and the IOMMU keeps it from the rest.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dma_helper.h"
#include "igt.h"
#include "phys_helper.h"
#include "pin_test_helper.h"
#include "udmabuf_ext_helper.h"
#include "udmabuf_sync.h"

/* Of a buffer; neither at the beginning of a huge page, nor next to one another */
#define SIZE_PAGES	1024
#define SIZE		pages(SIZE_PAGES)
#define FIRST		7
#define COUNT		2
#define LAST		(SIZE_PAGES - COUNT)

static const struct memory_kind *memory;

static bool has_line(const char *folder, const char *name, const char *value)
{
	char path[PATH_MAX], line[16];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return !read_line(path, line, sizeof(line)) && !strcmp(line, value);
}

/*
 * Where the IOMMU of the edu is told what it lets it do. To be called before there is
 * anything that a skipped test would leave behind.
 */
static const char *require_edu(void)
{
	static char path[PATH_MAX];
	glob_t found;

	path[0] = '\0';
	if (!glob("/sys/bus/pci/devices/*", 0, NULL, &found)) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			if (has_line(found.gl_pathv[i], "vendor", "0x1234") &&
			    has_line(found.gl_pathv[i], "device", "0x11e8"))
				snprintf(path, sizeof(path), "%s/iommu_group/type",
					 found.gl_pathv[i]);
		globfree(&found);
	}
	igt_require_f(!access(path, F_OK), "no edu device behind an IOMMU\n");
	return path;
}

/* An open file of pin_test, and 0 or a negative error. */
static int attach_edu(int dmabuf, unsigned long direction, int *err)
{
	struct pin_test_attach attach = { .fd = dmabuf, .flags = PIN_TEST_EDU };
	int device = open_device();

	device_map(device, direction);
	*err = ioctl(device, PIN_TEST_ATTACH, &attach) ? -errno : 0;
	return device;
}

static int new_edu(int dmabuf, unsigned long direction)
{
	int err, device = attach_edu(dmabuf, direction, &err);

	igt_assert_f(!err, "PIN_TEST_ATTACH: %s\n", strerror(-err));
	return device;
}

static int open_log(void)
{
	int log = open("/dev/kmsg", O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	igt_assert(log >= 0);
	igt_assert(lseek(log, 0, SEEK_END) >= 0);
	return log;
}

/* Whether the kernel has said since that the IOMMU has refused a write. */
static bool has_fault(int log)
{
	char record[8192];
	ssize_t len;

	while ((len = read(log, record, sizeof(record) - 1)) >= 0 || errno == EPIPE) {
		record[len < 0 ? 0 : len] = '\0';
		if (strstr(record, "[DMA Write") && strstr(record, "Write access is not set"))
			return true;
	}
	igt_assert_eq(errno, EAGAIN);
	return false;
}

/*
 * What it writes does not get there, and the IOMMU has seen it. That of QEMU only tells
 * where it has not let the device read before, and the kernel says nothing more when it
 * has said much within five seconds.
 */
static void refuse_write(int device, const void *mem)
{
	int log = open_log();

	do {
		device_fill(device, FIRST, COUNT, 2, false);
		igt_assert_eq(count_filled(mem, 0, SIZE_PAGES, 1), SIZE_PAGES);
	} while (!has_fault(log));
	close(log);
}

/* Both ends of the buffer, one after the other */
static void test_memory(int dev)
{
	int memfd, dmabuf, device;
	char *mem;

	require_edu();
	require_pinnable(memory->backing);
	memfd = filled_memfd(memory->backing, SIZE);
	mem = map_fd(memfd, SIZE);
	seal(memfd, F_SEAL_SHRINK);
	dmabuf = create(dev, memfd, 0, SIZE);
	device = new_edu(dmabuf, PIN_TEST_BIDIRECTIONAL);
	igt_assert_eq(device_count(device, FIRST, COUNT, 1), COUNT);
	igt_assert_eq(device_count(device, LAST, COUNT, 1), COUNT);
	fill(mem + pages(FIRST), FIRST, COUNT, 2);
	igt_assert_eq(device_count(device, FIRST, COUNT, 2), COUNT);

	device_fill(device, FIRST, COUNT, 3, false);
	device_fill(device, LAST, COUNT, 3, false);
	igt_assert_eq(count_filled(mem, 0, FIRST, 1), FIRST);
	igt_assert_eq(count_filled(mem + pages(FIRST), FIRST, COUNT, 3), COUNT);
	igt_assert_eq(count_filled(mem + pages(FIRST + COUNT), FIRST + COUNT,
				   LAST - FIRST - COUNT, 1), LAST - FIRST - COUNT);
	igt_assert_eq(count_filled(mem + pages(LAST), LAST, COUNT, 3), COUNT);
	close(device);
	close(dmabuf);
	unmap(mem, SIZE);
	close(memfd);
}

static void test_to_device(int dev)
{
	int memfd, dmabuf, device;
	char *mem;

	require_edu();
	memfd = filled_memfd(SHMEM, SIZE);
	mem = map_fd(memfd, SIZE);
	seal(memfd, F_SEAL_SHRINK);
	dmabuf = create(dev, memfd, 0, SIZE);
	device = new_edu(dmabuf, PIN_TEST_TO_DEVICE);
	refuse_write(device, mem);
	igt_assert_eq(device_count(device, FIRST, COUNT, 1), COUNT);
	device_map(device, PIN_TEST_BIDIRECTIONAL);
	device_fill(device, FIRST, COUNT, 2, false);
	igt_assert_eq(count_filled(mem + pages(FIRST), FIRST, COUNT, 2), COUNT);
	close(device);
	close(dmabuf);
	unmap(mem, SIZE);
	close(memfd);
}

static void test_readonly(int dev)
{
	int memfd, dmabuf, device;
	void *mem;

	require_edu();
	memfd = filled_memfd(SHMEM, SIZE);
	seal(memfd, F_SEAL_SHRINK | F_SEAL_WRITE);
	mem = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, memfd, 0);
	igt_assert(mem != MAP_FAILED);
	dmabuf = create_flags(dev, UDMABUF_FLAGS_READONLY, memfd, 0, SIZE);
	device = new_edu(dmabuf, PIN_TEST_BIDIRECTIONAL);
	refuse_write(device, mem);
	device_map(device, PIN_TEST_FROM_DEVICE);
	refuse_write(device, mem);
	igt_assert_eq(device_count(device, FIRST, COUNT, 1), COUNT);
	close(device);
	close(dmabuf);
	unmap(mem, SIZE);
	close(memfd);
}

static void test_readonly_identity(int dev)
{
	const char *domain = require_edu();
	int memfd, dmabuf, device, err;

	memfd = filled_memfd(SHMEM, SIZE);
	set(domain, "identity");
	seal(memfd, F_SEAL_SHRINK | F_SEAL_WRITE);
	dmabuf = create_flags(dev, UDMABUF_FLAGS_READONLY, memfd, 0, SIZE);
	device = attach_edu(dmabuf, PIN_TEST_TO_DEVICE, &err);
	igt_assert_eq(err, -EPERM);
	close(device);
	restore_settings();
	device = new_edu(dmabuf, PIN_TEST_TO_DEVICE);
	close(device);
	close(dmabuf);
	close(memfd);
}

void udmabuf_sync_iommu_subtests(int dev)
{
	for (memory = memory_kinds; memory->name; memory++) {
		igt_describe_f("A device behind an IOMMU, which does DMA by itself, reads and writes "
			       "the memory of a memfd: %s", memory->name);
		igt_subtest_f("iommu-%s", memory->name)
			udmabuf_test(test_memory, dev);
	}
	igt_describe("What is mapped for it to read, it cannot write: the IOMMU says so, and the "
		     "memory stays; mapped for both, it can");
	igt_subtest("iommu-to-device")
		udmabuf_test(test_to_device, dev);
	igt_describe("It may attach to a read-only dma-buf, and read; what it writes does not "
		     "arrive, in whatever direction its driver maps");
	igt_subtest("iommu-readonly")
		udmabuf_test(test_readonly, dev);
	igt_describe("Not when its IOMMU lets it do all: then it may not even attach");
	igt_subtest("iommu-readonly-identity")
		udmabuf_test(test_readonly_identity, dev);
}
