// SPDX-License-Identifier: MIT
/*
 * Mappings of a udmabuf by page tables whose entries make blocks: arm64 marks those of
 * 16 pages (with pages of 16 KiB, of 128) that are contiguous and aligned, and a TLB then
 * holds them as one. They must come to be, and go when a part of one is changed.
 */
#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>

#include "igt.h"
#include "process_helper.h"
#include "udmabuf_pmd.h"

/* What one entry of the level above spans */
#define TABLE_PAGES	(page_size() / sizeof(uint64_t))

/* Pages of a block, which the first use finds out */
static size_t block;

static int look_up(int device, const char *ptr, struct pin_test_entry *entry)
{
	*entry = (struct pin_test_entry){ .addr = (uintptr_t)ptr };
	return ioctl(device, PIN_TEST_ENTRY, entry) ? -errno : 0;
}

/* Pages that are mapped, if need be by blocks. */
static size_t count_entries(const char *buf, size_t first, size_t count, bool in_block)
{
	int device = open_device(), err;
	struct pin_test_entry entry;
	size_t found = 0;

	for (size_t page = first; page < first + count; page++) {
		err = look_up(device, buf + pages(page), &entry);
		if (!err)
			found += entry.contiguous || !in_block;
		else
			igt_assert_eq(err, -ENODATA);
	}
	close(device);
	return found;
}

static size_t count_mapped(const char *buf, size_t first, size_t count)
{
	return count_entries(buf, first, count, false);
}

static size_t count_folded(const char *buf, size_t first, size_t count)
{
	return count_entries(buf, first, count, true);
}

/*
 * @shift: pages from where there could be blocks. At this address, memory that is
 * contiguous in 2 MiB is not mapped by an entry of the level above.
 */
static struct layout contiguous(enum backing backing, size_t shift)
{
	return (struct layout){ "contiguous", backing, 0, block + shift, false };
}

static struct buffer map_blocks(int dev)
{
	struct layout layout = contiguous(HUGE_2M, 0);
	struct buffer buffer = map_buffer(dev, &layout);

	touch(buffer.buf, NPAGES, false);
	igt_assert_eq(count_folded(buffer.buf, 0, NPAGES), NPAGES);
	return buffer;
}

static void free_blocks(const struct buffer *buffer)
{
	struct layout layout = contiguous(HUGE_2M, 0);

	free_buffer(buffer, &layout);
}

static void check_fold(int dev, const struct layout *layout, size_t folded)
{
	struct buffer buffer = map_buffer(dev, layout);

	igt_assert_eq(count_mapped(buffer.buf, 0, NPAGES), 0);
	touch(buffer.buf, NPAGES, false);
	igt_assert_eq(count_mapped(buffer.buf, 0, NPAGES), NPAGES);
	igt_assert_eq(count_folded(buffer.buf, 0, NPAGES), folded);
	check_contents(&buffer);
	igt_assert_eq(count_folded(buffer.buf, 0, NPAGES), folded);
	free_buffer(&buffer, layout);
}

static void test_fold(int dev)
{
	struct layout suits = contiguous(HUGE_2M, 0), shifted = contiguous(HUGE_2M, 1);

	check_fold(dev, &suits, NPAGES);
	check_fold(dev, &shifted, 0);
	/* They do not follow each other. */
	check_fold(dev, both[1], 0);
}

static void check_window(const struct buffer *buffer, size_t first, size_t count)
{
	size_t begin = (first + block - 1) / block * block;
	size_t end = (first + count) / block * block;
	char *buf = buffer->buf;

	igt_assert(mmap(buf, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE |
			MAP_ANONYMOUS | MAP_FIXED, -1, 0) == buf);
	map_at(buf + pages(first), buffer->dmabuf, first, count, PROT_READ | PROT_WRITE);
	igt_assert_eq(count_filled(buf + pages(first), first, count, 1), count);
	igt_assert_eq(count_folded(buf, 0, NPAGES), begin < end ? end - begin : 0);
	igt_assert_eq(count_mapped(buf, 0, NPAGES), count);
	igt_assert_eq(count_zero(buf, first), first);
	igt_assert_eq(count_zero(buf + pages(first + count), NPAGES - first - count),
		      NPAGES - first - count);
}

static void test_windows(int dev)
{
	struct layout layout = contiguous(HUGE_2M, 0);
	struct buffer buffer = make_buffer(dev, &layout);

	check_window(&buffer, 0, block);
	check_window(&buffer, 0, block - 1);
	check_window(&buffer, 1, block - 1);
	check_window(&buffer, block - 1, 2);
	check_window(&buffer, 3, 3 * block - 3);
	check_window(&buffer, block, 2 * block + 1);
	check_window(&buffer, block / 2, 3 * block);
	free_buffer(&buffer, &layout);
}

/* Two halves are a block together, but of memory that is not contiguous. */
static void test_spans(int dev)
{
	size_t huge = HUGE_PAGES, half = block / 2;
	const struct span {
		size_t first, count;	/* pages in the file */
		bool folded;
	} spans[] = {
		{ 0, block, true },
		{ huge, half, false },
		{ 2 * huge, half, false },
		/* The address does not suit it. */
		{ 3 * huge + half, half, false },
		{ 4 * huge, block, false },
		{ huge, half, false },
		{ 2 * huge, block, true },
	};
	struct udmabuf_create_item items[ARRAY_SIZE(spans)];
	int memfd = sealed_memfd(HUGE_2M, 5 * HUGE), dmabuf;
	char *mem = map_fd(memfd, 5 * HUGE), *room, *buf;
	size_t count = 0;

	fill(mem, 0, 5 * huge, 1);
	for (size_t i = 0; i < ARRAY_SIZE(spans); i++) {
		items[i] = (struct udmabuf_create_item){
			.memfd = memfd,
			.offset = pages(spans[i].first),
			.size = pages(spans[i].count),
		};
		count += spans[i].count;
	}
	dmabuf = create_list(dev, ARRAY_SIZE(items), items);
	room = reserve(pages(count));
	buf = map_at(room, dmabuf, 0, count, PROT_READ | PROT_WRITE);
	for (size_t i = 0; i < ARRAY_SIZE(spans); i++) {
		const struct span *span = &spans[i];

		igt_assert_eq(count_filled(buf, span->first, span->count, 1),
			      span->count);
		igt_assert_eq(count_folded(buf, 0, span->count),
			      span->folded ? span->count : 0);
		buf += pages(span->count);
	}
	unmap(room, pages(count));
	unmap(mem, 5 * HUGE);
	close(dmabuf);
	close(memfd);
}

/* Of all blocks but one, in which that was changed */
static void check_others(const struct buffer *buffer, size_t changed)
{
	size_t begin = changed / block * block;

	igt_assert_eq(count_folded(buffer->buf, begin, block), 0);
	igt_assert_eq(count_folded(buffer->buf, 0, NPAGES), NPAGES - block);
}

static void test_protect(int dev)
{
	struct buffer buffer = map_blocks(dev);
	size_t page = 2 * block + 7;
	char *ptr = buffer.buf + pages(page);

	igt_assert_eq(mprotect(ptr, page_size(), PROT_READ), 0);
	check_others(&buffer, page);
	igt_assert_eq(count_filled(buffer.buf, 0, NPAGES, 1), NPAGES);
	igt_assert_eq(write_signal(ptr), SIGSEGV);
	igt_assert_eq(write_signal(ptr - pages(1)), 0);
	igt_assert_eq(write_signal(ptr + pages(1)), 0);
	igt_assert_eq(write_signal(buffer.buf + pages(2 * block)), 0);
	igt_assert_eq(write_signal(buffer.buf + pages(3 * block - 1)), 0);
	check_others(&buffer, page);

	igt_assert_eq(mprotect(ptr, page_size(), PROT_READ | PROT_WRITE), 0);
	check_contents(&buffer);

	/* All of it, and then a page is to be written to. */
	igt_assert_eq(mprotect(buffer.buf, SIZE, PROT_READ), 0);
	igt_assert_eq(count_filled(buffer.buf, 0, NPAGES, 1), NPAGES);
	igt_assert_eq(mprotect(ptr, page_size(), PROT_READ | PROT_WRITE), 0);
	igt_assert_eq(write_signal(ptr - pages(1)), SIGSEGV);
	igt_assert_eq(write_signal(ptr), 0);
	igt_assert_eq(write_signal(ptr + pages(1)), SIGSEGV);
	igt_assert_eq(mprotect(buffer.buf, SIZE, PROT_READ | PROT_WRITE), 0);
	check_contents(&buffer);
	free_blocks(&buffer);
}

static void test_munmap(int dev)
{
	struct buffer buffer = map_blocks(dev);
	size_t page = 2 * block + 7, begin = 2 * block;
	char *buf = buffer.buf, *ptr = buf + pages(page);

	unmap(ptr, page_size());
	check_others(&buffer, page);
	igt_assert_eq(count_mapped(buf, 0, NPAGES), NPAGES - 1);
	igt_assert_eq(count_mapped(buf, page, 1), 0);
	igt_assert_eq(read_signal(ptr), SIGSEGV);
	igt_assert_eq(count_filled(buf, 0, page, 1), page);
	igt_assert_eq(count_filled(ptr + pages(1), page + 1, NPAGES - page - 1, 1),
		      NPAGES - page - 1);

	/* The others are there already. */
	map_at(ptr, buffer.dmabuf, page, 1, PROT_READ | PROT_WRITE);
	check_contents(&buffer);
	check_others(&buffer, page);
	unmap(buf + pages(begin), pages(block));
	map_at(buf + pages(begin), buffer.dmabuf, begin, block, PROT_READ | PROT_WRITE);
	check_contents(&buffer);
	igt_assert_eq(count_folded(buf, 0, NPAGES), NPAGES);
	free_blocks(&buffer);
}

static void move_to(struct buffer *buffer, char *to)
{
	igt_assert(mremap(buffer->buf, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
			  to) == to);
	buffer->buf = to;
}

/*
 * A fault maps what is on its side of @border, which lies between two page tables. There
 * are no blocks. Then the mapping goes to @to, where what is left can have some.
 */
static void check_partly_mapped(int dev, char *border, char *to, bool first)
{
	struct layout shifted = contiguous(HUGE_2M, 1);
	struct buffer buffer = map_buffer(dev, &shifted);
	size_t mapped = block + 5, left = NPAGES - mapped, folded = NPAGES - 2 * block;

	move_to(&buffer, border - pages(first ? mapped : left));
	touch(buffer.buf + pages(first ? 0 : NPAGES - 1), 1, false);
	igt_assert_eq(count_mapped(buffer.buf, 0, NPAGES), mapped);
	igt_assert_eq(count_mapped(buffer.buf, first ? 0 : left, mapped), mapped);
	move_to(&buffer, to);
	igt_assert_eq(count_mapped(buffer.buf, 0, NPAGES), mapped);
	check_contents(&buffer);
	igt_assert_eq(count_folded(buffer.buf, 0, NPAGES), folded);
	igt_assert_eq(count_folded(buffer.buf, first ? 2 * block : 0, folded), folded);
	unmap(buffer.buf, SIZE);
	free_buffer(&buffer, &shifted);
}

static void test_mremap(int dev)
{
	size_t table = pages(TABLE_PAGES), tables = (SIZE + table - 1) / table * table;
	size_t size = 2 * tables + 3 * SIZE;
	struct buffer buffer = map_blocks(dev);
	char *room = reserve(size), *border;

	border = (char *)(((uintptr_t)room + SIZE + table - 1) & -table);
	move_to(&buffer, border + pages(3 * block));
	check_contents(&buffer);
	move_to(&buffer, room + pages(1));
	check_contents(&buffer);
	igt_assert_eq(count_folded(buffer.buf, 0, NPAGES), 0);
	free_blocks(&buffer);

	check_partly_mapped(dev, border, border + tables + pages(block), true);
	check_partly_mapped(dev, border, border + tables + pages(block), false);
	unmap(room, size);
}

static void test_fork(int dev)
{
	struct buffer buffer = map_blocks(dev);
	size_t page = 2 * block + 7;
	char *buf = buffer.buf, *ptr = buf + pages(page);

	igt_fork(child, 1) {
		check_contents(&buffer);
		fill(buf, 0, NPAGES, 3);
		unmap(ptr, page_size());
		igt_assert_eq(count_filled(buf, 0, page, 3), page);
	}
	igt_waitchildren();
	igt_assert_eq(count_folded(buf, 0, NPAGES), NPAGES);
	igt_assert_eq(count_filled(buf, 0, NPAGES, 3), NPAGES);

	/* They are children that try. */
	igt_assert_eq(madvise(ptr, page_size(), MADV_DONTFORK), 0);
	igt_assert_eq(read_signal(ptr), SIGSEGV);
	igt_assert_eq(write_signal(ptr - pages(1)), 0);
	igt_assert_eq(write_signal(ptr + pages(1)), 0);
	fill(buffer.mem, 0, NPAGES, 1);
	check_contents(&buffer);
	free_blocks(&buffer);
}

/* It is left out wherever it is mapped from then on. */
static void test_failed(int dev)
{
	struct layout layout = contiguous(THP, 0);
	struct buffer buffer = make_buffer(dev, &layout);
	size_t page = HUGE_PAGES + 2 * block + 7;
	char *buf = buffer.buf, *ptr = buf + pages(page);
	uint64_t frame;

	igt_require_f(count_flagged(buffer.mem, NPAGES, KPF_THP) == NPAGES,
		      "no transparent huge pages\n");
	require_hwpoison();
	frame = page_frame(buffer.mem + pages(page));
	unmap(buffer.mem, SIZE + HUGE);
	fail_frame(frame);

	map_at(buf, buffer.dmabuf, 0, NPAGES, PROT_READ | PROT_WRITE);
	igt_assert_eq(count_filled(buf, 0, page, 1), page);
	igt_assert_eq(count_filled(ptr + pages(1), page + 1, NPAGES - page - 1, 1),
		      NPAGES - page - 1);
	check_others(&buffer, page);
	igt_assert_eq(count_mapped(buf, 0, NPAGES), NPAGES - 1);
	igt_assert_eq(count_mapped(buf, page, 1), 0);
	igt_assert_eq(read_signal(ptr), SIGBUS);

	unmap(buffer.room, 2 * SIZE);
	close(buffer.dmabuf);
	close(buffer.memfd);
	mend_frame(frame);
}

static void (*current)(int dev);

static void test_current(int dev)
{
	char *room = reserve(HUGE);
	int memfd = sealed_memfd(SHMEM, page_size()), dmabuf, device, err;
	struct pin_test_entry entry;

	igt_require_f(!access("/dev/pin_test", R_OK | W_OK), "no /dev/pin_test\n");
	dmabuf = create(dev, memfd, 0, page_size());
	map_at(room, dmabuf, 0, 1, PROT_READ);
	touch(room, 1, false);
	device = open_device();
	err = look_up(device, room, &entry);
	block = entry.block;
	close(device);
	unmap(room, HUGE);
	close(dmabuf);
	close(memfd);

	igt_assert_eq(err, 0);
	igt_require_f(block, "the kernel makes no blocks of page table entries\n");
	current(dev);
}

void udmabuf_contpte_subtests(int dev)
{
	static const struct {
		const char *name;
		void (*test)(int dev);
		const char *text;
	} tests[] = {
		{ "fold", test_fold,
		  "Entries of a page table make blocks, where the kernel has some and memory and "
		  "address suit each other, and no blocks elsewhere" },
		{ "windows", test_windows, "Mappings that begin or end within a block" },
		{ "spans", test_spans,
		  "Pieces of memory that are as long as a block, and shorter" },
		{ "protect", test_protect,
		  "A page in the middle of a block is made read-only, and writable again" },
		{ "munmap", test_munmap,
		  "A page in the middle of a block is unmapped, and mapped again" },
		{ "mremap", test_mremap,
		  "Blocks are moved to where there can be some, and to where not; and there, "
		  "faults come upon a block of which some pages are there" },
		{ "fork", test_fork,
		  "A child has what is in the blocks of its parent, but for a page in the "
		  "middle of one that it is not to have" },
		{ "failed", test_failed, "A page in the middle of a block has failed" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
		current = tests[i].test;
		igt_describe(tests[i].text);
		igt_subtest_f("contpte-%s", tests[i].name)
			udmabuf_test(test_current, dev);
	}
}
