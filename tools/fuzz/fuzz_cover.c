// SPDX-License-Identifier: MIT
/*
 * Which of our code a program has reached, by KCOV: the kernel that tools/vm/run calls debug
 * has only our files instrumented.
 */
#include <fcntl.h>
#include <linux/kcov.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

#define ENTRIES		(64 << 10)
#define SEEN_BITS	20
#define SEEN		(1u << SEEN_BITS)

static struct {
	int fd;
	unsigned long *blocks;	/* [0]: how many follow */
} lanes[LANES];
/* Addresses, and pairs of them: 0 is none */
static uint64_t seen_blocks[SEEN], seen_edges[SEEN];
static size_t blocks_nr, edges_nr;

bool cover_open(void)
{
	for (size_t i = 0; i < LANES; i++) {
		int fd = open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC);

		if (fd < 0 || ioctl(fd, KCOV_INIT_TRACE, ENTRIES))
			return false;
		lanes[i].fd = fd;
		lanes[i].blocks = mmap(NULL, ENTRIES * sizeof(long), PROT_READ | PROT_WRITE,
				       MAP_SHARED, fd, 0);
		if (lanes[i].blocks == MAP_FAILED)
			return false;
	}
	return true;
}

/* From now on, of the thread that calls, to its end */
void cover_begin(unsigned int lane)
{
	if (!lanes[lane].blocks)
		return;
	lanes[lane].blocks[0] = 0;
	ioctl(lanes[lane].fd, KCOV_ENABLE, KCOV_TRACE_PC);
}

static bool is_new(uint64_t *set, size_t *nr, uint64_t value)
{
	size_t i = value * 0x9e3779b97f4a7c15 >> (64 - SEEN_BITS);

	while (set[i] && set[i] != value)
		i = (i + 1) % SEEN;
	/* A set that is full would never end the search. */
	if (set[i] == value || *nr >= SEEN / 2)
		return false;
	set[i] = value;
	++*nr;
	return true;
}

/* How much of what the last program reached had not been reached before */
size_t cover_collect(void)
{
	size_t found = 0;

	for (size_t i = 0; i < LANES; i++) {
		unsigned long *blocks = lanes[i].blocks, before = 0, nr;

		if (!blocks)
			continue;
		nr = blocks[0];
		for (unsigned long k = 1; k <= nr && k < ENTRIES; k++) {
			found += is_new(seen_blocks, &blocks_nr, blocks[k]);
			found += is_new(seen_edges, &edges_nr, blocks[k] ^ before << 32);
			before = blocks[k];
		}
		blocks[0] = 0;
	}
	return found;
}

size_t cover_blocks(void)
{
	return blocks_nr;
}

size_t cover_edges(void)
{
	return edges_nr;
}
