/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of udmabuf_bench share: the two drivers, and memfds of every kind.
 */
#ifndef BENCH_HELPER_H
#define BENCH_HELPER_H

#include <linux/pin_test.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KIB(n)		((size_t)(n) << 10)
#define MIB(n)		((size_t)(n) << 20)
#define PAGE		KIB(4)
#define HUGE		MIB(2)

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/**
 * struct driver - a udmabuf driver
 * @name: in the results
 * @path: its device, where ours has been switched on
 * @dev: the open device
 */
struct driver {
	const char *name;
	const char *path;
	int dev;
};

extern struct driver drivers[2];

/**
 * struct kind - a kind of memory
 * @name: in the results
 * @unit: size of its folios
 * @flags: of memfd_create()
 * @thp: what shmem_enabled is set to
 * @split: huge pages of shmem are made into small ones that lie in a row
 * @interleaved: every second frame belongs to another file
 */
struct kind {
	const char *name;
	size_t unit;
	unsigned int flags;
	const char *thp;
	bool split;
	bool interleaved;
};

extern const struct kind kinds[5];

/* Each ends the program if it does not work. */
void open_drivers(void);
void set(const char *path, const char *value);
bool has_huge_pages(const struct kind *kind, size_t size);
int new_memfd(const struct kind *kind, size_t size);
int make_memfd(const struct kind *kind, size_t size);
int create_slice(const struct driver *driver, int memfd, size_t offset, size_t size);
int create(const struct driver *driver, int memfd, size_t size);

/* As drivers of GPUs say that they take: of any length */
#define LONG_SEGMENTS	(UINT32_MAX & ~(PAGE - 1))

/*
 * A device of pin_test, of which each descriptor has one: attach it to a dma-buf, and
 * detach it, which returns the nanoseconds that took
 */
int open_test(void);
struct pin_test_attach attach(int test, int fd, uint32_t max_seg_size);
uint64_t detach(int test);

/* Nanoseconds: with QEMU's -icount instructions, of all CPUs together */
uint64_t now(void);

/* Of the calling thread: nanoseconds that it ran, and how often it has slept */
uint64_t thread_time(void);
long sleeps(void);

/* Prints an object of JSON, whose members are given as for printf(). */
__attribute__((format(printf, 1, 2)))
void result(const char *fmt, ...);

void bench_holes(const struct kind *kind);
void bench_hostile(const struct kind *kind);
void bench_memory(const struct kind *kind);
void bench_slices(const struct kind *kind);
void bench_threads(const struct kind *kind);

#endif
