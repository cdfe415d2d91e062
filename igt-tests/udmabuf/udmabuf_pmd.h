/* SPDX-License-Identifier: MIT */
/*
 * What the tests of mappings share that are faulted 2 MiB at a time: buffers of
 * every kind of memory, and where they are mapped.
 */
#ifndef UDMABUF_PMD_H
#define UDMABUF_PMD_H

#include <stdbool.h>
#include <sys/mman.h>

#include "pin_test_helper.h"
#include "udmabuf.h"

#define SIZE		(4 * PMD)
#define NPAGES		(SIZE / page_size())

struct layout {
	const char *name;
	enum backing backing;
	size_t first;		/* page in the file where the buffer begins */
	size_t shift;		/* pages from where a PMD begins to its address */
	bool by_pmd;		/* where a PMD can map some of it */
};

extern const struct layout layouts[7];

/* One that is mapped by PMDs, and one by page tables */
extern const struct layout * const both[2];

struct buffer {
	int memfd, dmabuf;
	char *room;		/* address space, from where a PMD begins on */
	char *mem;		/* the memfd, as far as the buffer has it */
	char *buf;		/* where the dma-buf is to be mapped, or is */
};

/* A buffer whose pages are filled with seed 1, mapped or not */
struct buffer make_buffer(int dev, const struct layout *layout);
struct buffer map_buffer(int dev, const struct layout *layout);
void free_buffer(const struct buffer *buffer, const struct layout *layout);
char *map_at(char *at, int fd, size_t first, size_t count, int prot);

/* The mapping has the memfd's pages, filled with seed 1, and is writable */
void check_contents(const struct buffer *buffer);

/* The faults that it takes to read, or write, a byte of each page */
long touch(char *buf, size_t count, bool write);

void udmabuf_pmd_change_subtests(int dev);

#endif
