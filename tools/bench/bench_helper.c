// SPDX-License-Identifier: GPL-2.0
/*
 * What the files of udmabuf_bench share: the two drivers, and memfds of every kind.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/pin_test.h>
#include <linux/udmabuf.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench_helper.h"

#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB	(21U << 26)
#define MFD_HUGE_1GB	(30U << 26)
#endif

#define SHMEM_ENABLED	"/sys/kernel/mm/transparent_hugepage/shmem_enabled"
#define SPLIT		"/sys/kernel/debug/split_huge_pages"
#define HUGE_PAGES	"/sys/kernel/mm/hugepages/hugepages-%zukB/%s"

struct driver drivers[2] = {
	{ "stock", "/dev/.udmabuf-stock/udmabuf", -1 },
	{ "ours", "/dev/udmabuf-pinfold", -1 },
};

/*
 * Small pages that are allocated one by one lie in memory as those lay that were freed
 * last, often backwards. Only huge pages are sure to be in a row.
 */
const struct kind kinds[5] = {
	{ "4k-contiguous", PAGE, 0, "always", true, false },
	{ "4k-interleaved", PAGE, 0, "never", false, true },
	{ "2m-thp", HUGE, 0, "always", false, false },
	{ "2m-hugetlb", HUGE, MFD_HUGETLB | MFD_HUGE_2MB, "never", false, false },
	{ "1g-hugetlb", MIB(1024), MFD_HUGETLB | MFD_HUGE_1GB, "never", false, false },
};

void set(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		err(1, "%s", path);
	close(fd);
}

static long get(const char *path)
{
	FILE *file = fopen(path, "r");
	long value = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%ld", &value) != 1)
		errx(1, "%s", path);
	fclose(file);
	return value;
}

void open_drivers(void)
{
	/* It would start on its own where every second frame is free. */
	set("/proc/sys/vm/compaction_proactiveness", "0");
	for (struct driver *d = drivers; d < drivers + ARRAY_SIZE(drivers); d++) {
		d->dev = open(d->path, O_RDWR | O_CLOEXEC);
		if (d->dev < 0)
			err(1, "%s", d->path);
	}
}

uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

uint64_t thread_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

long sleeps(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

void result(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	printf("{ ");
	vprintf(fmt, args);
	printf(" }\n");
	fflush(stdout);
	va_end(args);
}

static size_t round_up(size_t size, size_t unit)
{
	return (size + unit - 1) / unit * unit;
}

/* Pages of 1 GiB are there since the system was booted, if at all; others are made. */
bool has_huge_pages(const struct kind *kind, size_t size)
{
	long count = round_up(size, kind->unit) / kind->unit;
	char path[128], value[16];

	if (!(kind->flags & MFD_HUGETLB))
		return true;
	snprintf(path, sizeof(path), HUGE_PAGES, kind->unit >> 10, "nr_hugepages");
	if (kind->unit == HUGE) {
		snprintf(value, sizeof(value), "%ld", count);
		set(path, value);
	}
	return get(path) >= count;
}

/* Of holes. */
int new_memfd(const struct kind *kind, size_t size)
{
	int fd = memfd_create("bench", MFD_CLOEXEC | MFD_ALLOW_SEALING | kind->flags);

	if (fd < 0 || ftruncate(fd, size) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK))
		err(1, "memfd");
	return fd;
}

static volatile char *map(int fd, size_t size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (mem == MAP_FAILED)
		err(1, "mmap of a memfd");
	return mem;
}

/* The kernel reads each page's entry, and ends up with folios of one page. */
static void split(volatile char *mem, size_t size)
{
	char range[64];

	snprintf(range, sizeof(range), "%d,%p,%p", getpid(), (void *)mem,
		 (void *)(mem + size));
	set(SPLIT, range);
}

/*
 * All pages are there, and clean: they have only been read. So the first release
 * that marks them dirty has something to do.
 */
int make_memfd(const struct kind *kind, size_t size)
{
	size_t whole = round_up(size, kind->unit), step;
	volatile char *mem, *hole = NULL;
	int fd, other = -1;

	set(SHMEM_ENABLED, kind->thp);
	fd = new_memfd(kind, whole);
	mem = map(fd, whole);
	if (kind->interleaved) {
		other = new_memfd(kind, whole);
		hole = map(other, whole);
	}
	step = kind->flags & MFD_HUGETLB ? kind->unit : PAGE;
	for (size_t i = 0; i < whole; i += step) {
		(void)mem[i];
		if (hole)
			(void)hole[i];
	}
	if (kind->split)
		split(mem, whole);
	munmap((void *)mem, whole);
	if (hole) {
		munmap((void *)hole, whole);
		close(other);
	}
	return fd;
}

int create_slice(const struct driver *driver, int memfd, size_t offset, size_t size)
{
	struct udmabuf_create arg = {
		.memfd = memfd,
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.offset = offset,
		.size = size,
	};
	int fd = ioctl(driver->dev, UDMABUF_CREATE, &arg);

	if (fd < 0)
		err(1, "UDMABUF_CREATE (%s)", driver->name);
	return fd;
}

int create(const struct driver *driver, int memfd, size_t size)
{
	return create_slice(driver, memfd, 0, size);
}

int open_test(void)
{
	int test = open("/dev/pin_test", O_RDWR | O_CLOEXEC);

	if (test < 0)
		err(1, "/dev/pin_test");
	return test;
}

struct pin_test_attach attach(int test, int fd, uint32_t max_seg_size)
{
	struct pin_test_attach arg = { .fd = fd, .max_seg_size = max_seg_size };

	if (ioctl(test, PIN_TEST_ATTACH, &arg))
		err(1, "PIN_TEST_ATTACH");
	return arg;
}

uint64_t detach(int test)
{
	uint64_t ns;

	if (ioctl(test, PIN_TEST_DETACH, &ns))
		err(1, "PIN_TEST_DETACH");
	return ns;
}
