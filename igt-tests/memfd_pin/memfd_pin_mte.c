// SPDX-License-Identifier: MIT
/*
 * Memory with tags (MTE of arm64): a memfd that its owner has mapped with PROT_MTE is
 * pinned. Devices and mappings of the dma-buf see no tags, and leave them as they are.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "igt.h"
#include "memfd_pin.h"
#include "pin_test_helper.h"
#include "process_helper.h"
#include "udmabuf_helper.h"

#define SIZE		MIB(4)
#define NPAGES		(SIZE / page_size())
#define GRANULE		16	/* bytes that have a tag, of 4 bits */

#ifdef __aarch64__
/* With the tag in bits 56 to 59 of the pointer */
static void store_tag(void *ptr)
{
	asm volatile(".arch_extension memtag\n\tstg %0, [%0]" : : "r"(ptr) : "memory");
}

static unsigned int load_tag(uintptr_t ptr)
{
	asm volatile(".arch_extension memtag\n\tldg %0, [%0]" : "+r"(ptr) : : "memory");
	return ptr >> 56 & 15;
}

static bool has_mte(void)
{
	return getauxval(AT_HWCAP2) & HWCAP2_MTE;
}
#else
#define PROT_MTE	0

static void store_tag(void *ptr)
{
	(void)ptr;
}

static unsigned int load_tag(uintptr_t ptr)
{
	(void)ptr;
	return 0;
}

static bool has_mte(void)
{
	return false;
}
#endif

static char *with_tag(const void *ptr, unsigned int tag)
{
	return (char *)((uintptr_t)ptr | (uintptr_t)tag << 56);
}

/* Neighbours differ, and so do pages. */
static unsigned int tag_of(size_t offset)
{
	return (offset / GRANULE + offset / page_size() * 7) % 15 + 1;
}

static char *map_tagged(int memfd, size_t size)
{
	char *mem = mmap(NULL, size, PROT_READ | PROT_WRITE | PROT_MTE, MAP_SHARED,
			 memfd, 0);

	igt_assert(mem != MAP_FAILED);
	return mem;
}

static void set_tags(char *mem, size_t size)
{
	for (size_t i = 0; i < size; i += GRANULE)
		store_tag(with_tag(mem + i, tag_of(i)));
}

static size_t count_tags(const char *mem, size_t size)
{
	size_t found = 0;

	for (size_t i = 0; i < size; i += GRANULE)
		found += load_tag((uintptr_t)mem + i) == tag_of(i);
	return found;
}

static size_t count_no_tags(const char *mem, size_t size)
{
	size_t found = 0;

	for (size_t i = 0; i < size; i += GRANULE)
		found += !load_tag((uintptr_t)mem + i);
	return found;
}

/* Whether accesses by a pointer with a wrong tag fail */
static void check_tags(bool check)
{
	unsigned long how = check ? PR_TAGGED_ADDR_ENABLE | PR_MTE_TCF_SYNC : 0;

	igt_assert_eq(prctl(PR_SET_TAGGED_ADDR_CTRL, how, 0, 0, 0), 0);
}

static void check_mapping(const char *mem, char *buf)
{
	size_t last = SIZE - GRANULE;

	igt_assert_eq(mprotect(buf, SIZE, PROT_READ | PROT_WRITE | PROT_MTE), -1);
	igt_assert_eq(errno, EINVAL);
	igt_assert_eq_u64(count_no_tags(buf, SIZE), SIZE / GRANULE);

	check_tags(true);
	igt_assert_eq(write_signal(with_tag(mem + last, tag_of(last))), 0);
	igt_assert_eq(write_signal(with_tag(mem + last, tag_of(last) - 1)), SIGSEGV);
	igt_assert_eq(write_signal(with_tag(buf + last, tag_of(last))), 0);
	igt_assert_eq(write_signal(with_tag(buf + last, tag_of(last) - 1)), 0);
	check_tags(false);
}

static void check_backing(int dev, enum backing backing)
{
	int memfd = sealed_memfd(backing, SIZE), dmabuf;
	char *mem = map_tagged(memfd, SIZE), *buf;

	fill(mem, 0, NPAGES, 1);
	igt_assert_eq_u64(count_no_tags(mem, SIZE), SIZE / GRANULE);
	set_tags(mem, SIZE);
	dmabuf = create(dev, memfd, 0, SIZE);
	igt_assert_eq_u64(count_tags(mem, SIZE), SIZE / GRANULE);
	igt_assert_eq(count_filled(mem, 0, NPAGES, 1), NPAGES);

	igt_assert(mmap(NULL, SIZE, PROT_READ | PROT_WRITE | PROT_MTE, MAP_SHARED,
			dmabuf, 0) == MAP_FAILED);
	igt_assert_eq(errno, EINVAL);
	buf = map_fd(dmabuf, SIZE);
	igt_assert_eq(count_filled(buf, 0, NPAGES, 1), NPAGES);
	fill(buf, 0, NPAGES, 2);
	check_mapping(mem, buf);

	unmap(buf, SIZE);
	close(dmabuf);
	igt_assert_eq_u64(count_tags(mem, SIZE), SIZE / GRANULE);
	igt_assert_eq(count_filled(mem, 0, NPAGES, 2), NPAGES);
	unmap(mem, SIZE);
	close(memfd);
}

static void require_mte(void)
{
	igt_require_f(has_mte(), "the CPU has no MTE, or the kernel does not use it\n");
}

static void test_tags(int dev)
{
	require_mte();
	check_backing(dev, SHMEM);
	check_backing(dev, THP);
}

/* There have been no tags when it was pinned: they are cleared, and nothing else. */
static void test_late(int dev)
{
	int memfd = sealed_memfd(SHMEM, SIZE), dmabuf;
	char *mem, *buf;

	require_mte();
	dmabuf = create(dev, memfd, 0, SIZE);
	buf = map_fd(dmabuf, SIZE);
	fill(buf, 0, NPAGES, 1);
	mem = map_tagged(memfd, SIZE);
	igt_assert_eq(count_filled(mem, 0, NPAGES, 1), NPAGES);
	igt_assert_eq_u64(count_no_tags(mem, SIZE), SIZE / GRANULE);
	set_tags(mem, SIZE);
	igt_assert_eq(count_filled(buf, 0, NPAGES, 1), NPAGES);
	igt_assert_eq_u64(count_tags(mem, SIZE), SIZE / GRANULE);
	unmap(mem, SIZE);
	unmap(buf, SIZE);
	close(dmabuf);
	close(memfd);
}

/* What is moved to be pinned takes its tags with it. */
static void test_cma(int dev)
{
	struct pin_test_block *blocks = calloc(CMA_PAGES, sizeof(*blocks));
	size_t moved = 0, size = pages(CMA_PAGES);
	int memfd, dmabuf;
	char *mem, *tagged;

	igt_assert(blocks);
	require_mte();
	memfd = memfd_in_cma(SHMEM, &mem, blocks);
	tagged = map_tagged(memfd, size);
	set_tags(tagged, size);
	dmabuf = create(dev, memfd, 0, size);
	for (size_t i = 0; i < CMA_PAGES; i++)
		moved += query_block(memfd, i).pfn != blocks[i].pfn;
	igt_info("%zu of %zu pages moved\n", moved, CMA_PAGES);
	igt_assert(moved);
	igt_assert_eq_u64(count_tags(tagged, size), size / GRANULE);
	igt_assert_eq(count_filled(tagged, 0, CMA_PAGES, 1), CMA_PAGES);
	close(dmabuf);
	unmap(tagged, size);
	unmap(mem, size);
	close(memfd);
	free(blocks);
}

void memfd_pin_mte_subtests(int dev)
{
	igt_describe("On arm64, memory that its owner has given tags keeps them; mappings of the "
		     "dma-buf have none, and cannot get some");
	igt_subtest("mte-tags")
		udmabuf_test(test_tags, dev);
	igt_describe("Memory that is pinned gets tags");
	igt_subtest("mte-late")
		udmabuf_test(test_late, dev);
	igt_describe("Tags go with what is moved out of a CMA area");
	igt_subtest("mte-cma")
		udmabuf_test(test_cma, dev);
}
