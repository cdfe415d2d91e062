// SPDX-License-Identifier: GPL-2.0
/*
 * What the steps in the life of a dma-buf cost with our udmabuf and with the
 * kernel's, side by side. Prints an object of JSON for each result. tools/bench/run
 * starts it, and makes tables and plots of what it prints.
 *
 * Every step is taken in each of a few rounds, on a new memfd each time, and the
 * cheapest counts. With QEMU's -icount, a nanosecond is an instruction.
 */
#include <err.h>
#include <linux/dma-buf.h>
#include <linux/pin_test.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench_helper.h"

/* Whole huge pages: 8 MiB is a frame of 1920x1080 rounded up, 32 MiB of 3840x2160. */
static const struct {
	size_t size;
	unsigned int rounds;
} sizes[] = {
	{ PAGE, 5 }, { MIB(2), 5 }, { MIB(8), 3 }, { MIB(32), 2 },
	{ MIB(128), 1 }, { MIB(256), 3 }, { MIB(1024), 1 },
};

enum step {
	CREATE,
	CREATE_DIRTY,
	ATTACH,
	ATTACH_GPU,
	DETACH,
	MMAP,
	MUNMAP,
	MMAP_ANY,
	MUNMAP_ANY,
	SYNC,
	SYNC_ATTACHED,
	CLOSE,
	CLOSE_DIRTY,
	CLOSE_UNUSED,
	NR_STEPS,
};

static const char * const step_names[NR_STEPS] = {
	[CREATE]	= "create",
	[CREATE_DIRTY]	= "create-dirty",
	[ATTACH]	= "attach",
	[ATTACH_GPU]	= "attach-gpu",
	[DETACH]	= "detach",
	[MMAP]		= "mmap",
	[MUNMAP]	= "munmap",
	[MMAP_ANY]	= "mmap-any",
	[MUNMAP_ANY]	= "munmap-any",
	[SYNC]		= "sync",
	[SYNC_ATTACHED]	= "sync-attached",
	[CLOSE]		= "close",
	[CLOSE_DIRTY]	= "close-dirty",
	[CLOSE_UNUSED]	= "close-unused",
};

/* What a driver needs for one kind of memory and one size */
struct costs {
	uint64_t ns[NR_STEPS];
	unsigned int entries;
};

static void take(struct costs *costs, enum step step, uint64_t ns)
{
	if (ns < costs->ns[step])
		costs->ns[step] = ns;
}

static int timed_create(struct costs *costs, enum step step,
			const struct driver *driver, int memfd, size_t size)
{
	uint64_t start = now();
	int fd = create(driver, memfd, size);

	take(costs, step, now() - start);
	return fd;
}

static void timed_close(struct costs *costs, enum step step, int fd)
{
	uint64_t start = now();

	close(fd);
	take(costs, step, now() - start);
}

/* First a device whose driver says nothing of segments, as vgem: 64 KiB. */
static void bench_attach(struct costs *costs, int fd)
{
	int test = open_test();
	struct pin_test_attach arg;

	take(costs, ATTACH, attach(test, fd, 0).attach_ns);
	take(costs, DETACH, detach(test));
	arg = attach(test, fd, LONG_SEGMENTS);
	take(costs, ATTACH_GPU, arg.attach_ns);
	costs->entries = arg.entries;
	detach(test);
	close(test);
}

static void sync_pair(int fd)
{
	struct dma_buf_sync sync = {
		.flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW,
	};

	if (ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync))
		err(1, "DMA_BUF_IOCTL_SYNC");
	sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW;
	if (ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync))
		err(1, "DMA_BUF_IOCTL_SYNC");
}

static void bench_sync(struct costs *costs, int fd, bool attached)
{
	uint64_t start;
	int test = -1;

	if (attached) {
		test = open_test();
		attach(test, fd, LONG_SEGMENTS);
	}
	start = now();
	sync_pair(fd);
	take(costs, attached ? SYNC_ATTACHED : SYNC, now() - start);
	if (attached)
		close(test);
}

/* @shift: how far from an address that huge pages can be mapped at */
static void bench_mmap(struct costs *costs, int fd, size_t size, size_t shift)
{
	char *room = mmap(NULL, size + 2 * HUGE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *addr = (char *)(((uintptr_t)room + HUGE - 1) & ~(HUGE - 1)) + shift;
	volatile char *mem;
	uint64_t start;

	if (room == MAP_FAILED)
		err(1, "mmap");
	munmap(room, size + 2 * HUGE);

	start = now();
	mem = mmap(addr, size, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
	if (mem == MAP_FAILED)
		err(1, "mmap of a dma-buf");
	for (size_t i = 0; i < size; i += PAGE)
		mem[i] = 1;
	take(costs, shift ? MMAP_ANY : MMAP, now() - start);

	start = now();
	munmap((void *)mem, size);
	take(costs, shift ? MUNMAP_ANY : MUNMAP, now() - start);
}

/*
 * Our driver marks the folios of the memfd dirty when the first dma-buf is closed,
 * and finds them dirty later. The stock one, which comes first, leaves them clean.
 */
static void bench_driver(struct costs *costs, const struct driver *driver, int memfd,
			 size_t size)
{
	int fd = timed_create(costs, CREATE, driver, memfd, size);

	bench_attach(costs, fd);
	bench_mmap(costs, fd, size, 0);
	bench_mmap(costs, fd, size, PAGE);
	bench_sync(costs, fd, false);
	timed_close(costs, CLOSE, fd);

	fd = timed_create(costs, CREATE_DIRTY, driver, memfd, size);
	bench_sync(costs, fd, true);
	timed_close(costs, CLOSE_DIRTY, fd);

	fd = create(driver, memfd, size);
	timed_close(costs, CLOSE_UNUSED, fd);
}

/* @shared: a memfd to be used for all sizes, or -1 */
static void bench_size(const struct kind *kind, size_t size, unsigned int rounds,
		       int shared)
{
	struct costs costs[ARRAY_SIZE(drivers)];

	memset(costs, 0xff, sizeof(costs));
	for (unsigned int i = 0; i < rounds; i++) {
		int memfd = shared < 0 ? make_memfd(kind, size) : shared;

		for (size_t d = 0; d < ARRAY_SIZE(drivers); d++)
			bench_driver(&costs[d], &drivers[d], memfd, size);
		if (shared < 0)
			close(memfd);
	}
	for (size_t d = 0; d < ARRAY_SIZE(drivers); d++)
		for (enum step step = 0; step < NR_STEPS; step++)
			result("\"kind\": \"%s\", \"unit\": %zu, \"driver\": \"%s\", "
			       "\"entries\": %u, \"step\": \"%s\", \"size\": %zu, "
			       "\"ns\": %llu", kind->name, kind->unit,
			       drivers[d].name, costs[d].entries,
			       step_names[step], size,
			       (unsigned long long)costs[d].ns[step]);
}

/* A page of 1 GiB takes long to be cleared. */
static void bench_steps(const struct kind *kind)
{
	int shared = -1;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		if (!has_huge_pages(kind, sizes[i].size))
			continue;
		if (shared < 0 && kind->unit == MIB(1024))
			shared = make_memfd(kind, kind->unit);
		bench_size(kind, sizes[i].size, sizes[i].rounds, shared);
	}
	if (shared >= 0)
		close(shared);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*measure)(const struct kind *kind);
	} benches[] = {
		{ "steps", bench_steps },
		{ "holes", bench_holes },
		{ "hostile", bench_hostile },
		{ "memory", bench_memory },
		{ "slices", bench_slices },
		{ "threads", bench_threads },
	};
	const char *only = argc > 2 ? argv[2] : "";
	bool found = false;

	for (size_t i = 0; i < ARRAY_SIZE(benches) && argc > 1; i++)
		found |= !strcmp(argv[1], benches[i].name);
	if (!found)
		errx(2, "usage: udmabuf_bench steps|holes|hostile|memory|slices|threads [KIND]");
	/*
	 * A CPU's lists of free pages stay short, or else who frees the last page
	 * of many pays for all that went before.
	 */
	set("/proc/sys/vm/percpu_pagelist_high_fraction", "1000000");
	open_drivers();
	for (size_t i = 0; i < ARRAY_SIZE(benches); i++)
		for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
			if (!strcmp(argv[1], benches[i].name) &&
			    strstr(kinds[k].name, only))
				benches[i].measure(&kinds[k]);
	return 0;
}
