/* SPDX-License-Identifier: MIT */
/*
 * What the udmabuf tests share: memfds of every kind, dma-bufs made of them,
 * page patterns, and the kernel's counters and settings.
 */
#ifndef UDMABUF_HELPER_H
#define UDMABUF_HELPER_H

#include <linux/udmabuf.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

#define MIB(n)		((size_t)(n) << 20)
#define GIB(n)		((size_t)(n) << 30)

static inline size_t page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

static inline size_t pages(size_t count)
{
	return count * page_size();
}

/**
 * enum backing - what the memory of a memfd is made of
 * @SHMEM: small pages of shmem
 * @THP: transparent huge pages of shmem
 * @HUGE_2M: hugetlb pages of 2 MiB
 * @HUGE_1G: hugetlb pages of 1 GiB
 */
enum backing {
	SHMEM,
	THP,
	HUGE_2M,
	HUGE_1G,
};

/*
 * The subtests of each file; @dev is the descriptor of /dev/udmabuf. Each
 * subtest is run by udmabuf_test(), which fails it if it leaves a pinned page
 * or an open descriptor behind.
 */
void udmabuf_test(void (*test)(int dev), int dev);

void udmabuf_create_subtests(int dev);
void udmabuf_contents_subtests(int dev);
void udmabuf_mmap_subtests(int dev);
void udmabuf_vmap_subtests(int dev);
void udmabuf_reject_subtests(int dev);
void udmabuf_stress_subtests(int dev);
void udmabuf_reclaim_subtests(int dev);
void udmabuf_persist_subtests(int dev);

/* memfds, sizes in bytes; sealed against shrinking unless they are said not to be */
int unsealed_memfd(enum backing backing, size_t size);
int sealed_memfd(enum backing backing, size_t size);
void seal(int memfd, int seals);
int reopen(int fd, int flags);

/* dma-bufs: with __ they return a negative error, without it an error fails */
int __create(int dev, int memfd, uint64_t offset, uint64_t size);
int create(int dev, int memfd, uint64_t offset, uint64_t size);
int __create_list(int dev, uint32_t count,
		  const struct udmabuf_create_item *items, uint32_t flags);
int create_list(int dev, uint32_t count,
		const struct udmabuf_create_item *items);
size_t fd_size(int fd);

void *map_fd(int fd, size_t size);
void unmap(void *ptr, size_t size);

/*
 * The pattern of a page depends on a seed and the page's number, so that no
 * page can be taken for another. @first is the number of the page at @ptr.
 */
void fill(void *ptr, size_t first, size_t count, uint64_t seed);
size_t count_filled(const void *ptr, size_t first, size_t count, uint64_t seed);
size_t count_zero(const void *ptr, size_t count);

/* Counters; hugetlb() and vmstat() as the kernel shows them, in pages */
int64_t vmstat(const char *name);
int64_t hugetlb(size_t huge_size, const char *name);
int64_t free_memory(void);
int64_t pins_held(void);

/* Settings that are put back when the subtest or the program ends */
__attribute__((format(printf, 2, 3)))
void set(const char *path, const char *fmt, ...);
int64_t module_attribute(int dev, const char *name);
void set_module_attribute(int dev, const char *name, int64_t value);
void drop_caches(void);

#endif
