/* SPDX-License-Identifier: MIT */
/*
 * What the test programs share: memory of every kind, page patterns, and the
 * kernel's counters and settings.
 */
#ifndef PIN_HELPER_H
#define PIN_HELPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

#ifndef MFD_HUGE_SHIFT
#define MFD_HUGE_SHIFT	26
#define MFD_HUGE_2MB	(21U << MFD_HUGE_SHIFT)
#endif

#define MIB(n)		((size_t)(n) << 20)
#define GIB(n)		((size_t)(n) << 30)
#define HUGE		MIB(2)
#define HUGE_PAGES	(HUGE / page_size())

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
 * @THP: transparent huge pages of shmem, of the size that a PMD spans
 * @HUGE_2M: hugetlb pages of 2 MiB
 * @HUGE_PMD: hugetlb pages of the size that a PMD spans
 * @HUGE_1G: hugetlb pages of 1 GiB
 */
enum backing {
	SHMEM,
	THP,
	HUGE_2M,
	HUGE_PMD,
	HUGE_1G,
};

/* What an entry of a page middle directory (PMD) spans */
#define PMD		pmd_size()
#define PMD_PAGES	(PMD / page_size())
size_t pmd_size(void);

/* The size of a folio, and a size rounded up to whole ones, as files have them */
size_t folio_size(enum backing backing);
size_t whole_folios(enum backing backing, size_t size);

/* memfds, sizes in bytes; sealed against shrinking unless they are said not to be */
int unsealed_memfd(enum backing backing, size_t size);
int sealed_memfd(enum backing backing, size_t size);
void seal(int memfd, int seals);
int reopen(int fd, int flags);

size_t fd_size(int fd);
/* Of its pages, in bytes: what it has of them, and not holes */
int64_t fd_allocated(int fd);
void *map_fd(int fd, size_t size);
void unmap(void *ptr, size_t size);

/* Address space from a multiple of the size of a PMD on, and mappings to fill it with */
void *reserve(size_t size);
void *map_fd_at(void *at, int fd, size_t size);

/*
 * Private anonymous memory, not touched, at an address that 2 MiB divide: of pages
 * as the system chooses them, of small ones, or of transparent huge ones
 */
void *anon(size_t size);
void *anon_small(size_t size);
void *anon_thp(size_t size);

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
bool free_memory_changes(int64_t before, int64_t least, int64_t most);
int64_t pins_held(void);

/* Settings that are put back when the subtest or the program ends */
__attribute__((format(printf, 2, 3)))
void set(const char *path, const char *fmt, ...);
/* Transparent huge pages: of the size of a PMD for shmem, of 2 MiB for private memory */
void set_shmem_thp(const char *policy);
void set_anon_thp(const char *policy);
/* What else is undone then, before, even if the subtest fails: no more than once */
void undo_at_end(void (*undo)(void));
void restore_settings(void);
void drop_caches(void);

/* Files of one line: 0 or a negative error */
int read_line(const char *path, char *line, size_t size);
int write_line(const char *path, const char *line);
int count_open_fds(void);

bool kernel_since(int major, int minor);

#endif
