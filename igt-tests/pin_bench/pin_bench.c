// SPDX-License-Identifier: MIT
/*
 * What it costs to pin and unpin memory: memfd_pin_range() of memfd_pin.ko beside
 * the kernel's memfd_pin_folios(), and the calls that take addresses. Prints
 * tables in Markdown. Where a nanosecond is an instruction, they are exact:
 *
 *	tools/vm/run --icount --memory 2G -- build/igt-tests/pin_bench
 */
#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/pin_test.h>

#define MIB(n)		((size_t)(n) << 20)
#define SIZE		MIB(256)
#define PAGE		((size_t)4096)
#define LOOPS		3
#define ONE_LOOPS	20

#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB	(21U << 26)
#endif

#define SHMEM_ENABLED	"/sys/kernel/mm/transparent_hugepage/shmem_enabled"
#define NR_HUGEPAGES	"/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"

enum order {
	FORWARD,	/* the file's pages lie in memory as in the file */
	INTERLEAVED,	/* every second frame belongs to another file */
};

static const struct kind {
	const char *name;
	size_t unit;			/* what the costs are given per */
	unsigned int memfd_flags;
	const char *thp;
	enum order order;
} kinds[] = {
	{ "4 KiB folios", PAGE, 0, "never", FORWARD },
	{ "4 KiB folios, interleaved", PAGE, 0, "never", INTERLEAVED },
	{ "2 MiB folios, THP", MIB(2), 0, "always", FORWARD },
	{ "2 MiB folios, hugetlb", MIB(2), MFD_HUGETLB | MFD_HUGE_2MB, "never",
	  FORWARD },
};

static int dev;

static void set(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		err(1, "%s", path);
	close(fd);
}

static char *map(int fd, size_t size)
{
	char *ptr = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (ptr == MAP_FAILED)
		err(1, "mmap");
	return ptr;
}

static int new_memfd(const struct kind *kind)
{
	int fd = memfd_create("pin_bench", MFD_CLOEXEC | kind->memfd_flags);

	if (fd < 0 || ftruncate(fd, SIZE))
		err(1, "memfd");
	return fd;
}

/* A memfd whose folios are all there, read only (clean), or written (dirty). */
static int make_memfd(const struct kind *kind, bool written)
{
	int fd = new_memfd(kind), other = new_memfd(kind);
	volatile char *mem = map(fd, SIZE), *hole = map(other, SIZE);

	for (size_t i = 0; i < SIZE; i += PAGE) {
		if (written)
			mem[i] = 1;
		else
			(void)mem[i];
		if (kind->order == INTERLEAVED)
			(void)hole[i];
	}
	munmap((void *)mem, SIZE);
	munmap((void *)hole, SIZE);
	close(other);
	return fd;
}

static bool bench(struct pin_test_bench *arg, unsigned int call, int fd,
		  const char *addr, size_t size, unsigned int loops,
		  unsigned int unpin)
{
	*arg = (struct pin_test_bench) {
		.range = {
			.call = call,
			.flags = addr ? PIN_TEST_WRITE : 0,
			.start = (uintptr_t)addr,
			.size = size,
			.fd = fd,
		},
		.loops = loops,
		.unpin = unpin,
	};
	return !ioctl(dev, PIN_TEST_BENCH, arg);
}

static void row(const struct kind *kind, const char *step, double ours,
		double kernels)
{
	printf("| %s | %s | %.1f | %.1f | %.2f |\n", kind->name, step, ours,
	       kernels, kernels ? ours / kernels : 0);
}

static void measure(const struct kind *kind)
{
	static const char * const states[] = { "clean", "dirty" };
	double units = (double)SIZE / kind->unit;
	struct pin_test_bench ours, kernels;
	char step[64];

	set(SHMEM_ENABLED, kind->thp);
	for (int written = 0; written < 2; written++) {
		int fd = make_memfd(kind, written);

		/* The first release as dirty is the only one of a clean folio. */
		if (!bench(&ours, PIN_TEST_MEMFD, fd, NULL, SIZE,
			   LOOPS, PIN_TEST_CLEAN) ||
		    !bench(&kernels, PIN_TEST_MEMFD_FOLIOS, fd, NULL, SIZE,
			   LOOPS, PIN_TEST_CLEAN))
			err(1, "bench: %s", kind->name);
		snprintf(step, sizeof(step), "pin, %s", states[written]);
		row(kind, step, ours.pin_ns / units, kernels.pin_ns / units);
		snprintf(step, sizeof(step), "unpin, %s, no mark", states[written]);
		row(kind, step, ours.unpin_ns / units,
		    kernels.unpin_ns / units);
		if (written)
			row(kind, "bytes kept", ours.bytes / units,
			    kernels.bytes / units);

		if (!bench(&ours, PIN_TEST_MEMFD, fd, NULL, SIZE,
			   written ? LOOPS : 1, PIN_TEST_DIRTY))
			err(1, "bench: %s", kind->name);
		close(fd);
		fd = make_memfd(kind, written);
		if (!bench(&kernels, PIN_TEST_MEMFD_FOLIOS, fd, NULL, SIZE,
			   written ? LOOPS : 1, PIN_TEST_DIRTY))
			err(1, "bench: %s", kind->name);
		snprintf(step, sizeof(step), "unpin, %s, mark dirty",
			 states[written]);
		row(kind, step, ours.unpin_ns / units,
		    kernels.unpin_ns / units);
		close(fd);
	}
}

/*
 * One small folio, which shows what a call costs however little it pins: as the
 * first pins of the process, and as others.
 */
static void measure_one(bool first)
{
	struct pin_test_pin held = { .range = { .call = PIN_TEST_MEMFD } };
	int fd = make_memfd(&kinds[0], true), other;
	struct pin_test_bench ours, kernels;

	other = open("/dev/pin_test", O_RDWR | O_CLOEXEC);
	held.range.fd = fd;
	held.range.size = PAGE;
	if (other < 0 || (!first && ioctl(other, PIN_TEST_PIN, &held)))
		err(1, "pin one page");
	if (!bench(&ours, PIN_TEST_MEMFD, fd, NULL, PAGE, ONE_LOOPS,
		   PIN_TEST_DIRTY) ||
	    !bench(&kernels, PIN_TEST_MEMFD_FOLIOS, fd, NULL, PAGE, ONE_LOOPS,
		   PIN_TEST_DIRTY))
		err(1, "bench: one page");
	printf("| %s | %ju | %ju | %ju | %ju | %ju |\n",
	       first ? "first pins" : "others", (uintmax_t)ours.pin_ns,
	       (uintmax_t)ours.unpin_ns, (uintmax_t)kernels.pin_ns,
	       (uintmax_t)kernels.unpin_ns, (uintmax_t)ours.bytes);
	close(other);
	close(fd);
}

/* The calls that take addresses, per page, on a mapping of such a memfd. */
static void measure_addresses(const struct kind *kind)
{
	static const struct {
		const char *name;
		unsigned int call;
	} calls[] = {
		{ "pin_user_pages_fast()", PIN_TEST_FAST },
		{ "pin_user_pages_fast_only()", PIN_TEST_FAST_ONLY },
		{ "pin_user_pages()", PIN_TEST_SLOW },
	};
	struct pin_test_bench arg;
	char *mem;
	int fd;

	set(SHMEM_ENABLED, kind->thp);
	fd = make_memfd(kind, true);
	mem = map(fd, SIZE);
	for (size_t i = 0; i < SIZE; i += PAGE)
		((volatile char *)mem)[i] = 2;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (!bench(&arg, calls[i].call, -1, mem, SIZE, LOOPS,
			   PIN_TEST_DIRTY))
			err(1, "bench: %s", calls[i].name);
		printf("| %s | %s | %.1f | %.1f | %.1f |\n", kind->name,
		       calls[i].name, (double)arg.pin_ns / arg.nr,
		       (double)arg.unpin_ns / arg.nr,
		       (double)arg.bytes / arg.nr);
	}
	munmap(mem, SIZE);
	close(fd);
}

/* An argument picks the kinds of memory that have it in their names. */
int main(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : "";

	dev = open("/dev/pin_test", O_RDWR | O_CLOEXEC);
	if (dev < 0)
		err(1, "/dev/pin_test");
	/* Those that measure one kind, and those that they are made beside. */
	set(NR_HUGEPAGES, "256");

	printf("Nanoseconds (bytes) per folio of a range of %zu MiB.\n\n"
	       "| memory | step | memfd_pin_range() | memfd_pin_folios() | ratio |\n"
	       "|---|---|--:|--:|--:|\n", SIZE >> 20);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strstr(kinds[i].name, only))
			measure(&kinds[i]);

	if (strstr("one", only)) {
		set(SHMEM_ENABLED, "never");
		printf("\nNanoseconds (bytes) of a call for one small folio; the kernel's charges nobody.\n\n"
		       "| | charge and pin | release | memfd_pin_folios() | unpin, mark dirty | bytes kept |\n"
		       "|---|--:|--:|--:|--:|--:|\n");
		measure_one(true);
		measure_one(false);
	}

	printf("\nNanoseconds (bytes) per 4 KiB page, mapped and written.\n\n"
	       "| memory | call | pin | unpin, mark dirty | bytes kept |\n"
	       "|---|---|--:|--:|--:|\n");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strstr(kinds[i].name, only))
			measure_addresses(&kinds[i]);

	set(NR_HUGEPAGES, "0");
	set(SHMEM_ENABLED, "never");
	return 0;
}
