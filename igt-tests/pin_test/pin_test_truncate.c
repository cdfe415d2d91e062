// SPDX-License-Identifier: MIT
/*
 * Files that are truncated, or get holes, while they are pinned: the pins keep the
 * pages as they are, and the file gets others.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>

#include "hugetlb_helper.h"
#include "igt.h"
#include "mount_helper.h"
#include "pin_test.h"

/* Two transparent huge pages at least */
#define SIZE	(current->backing == THP && PMD > MIB(2) ? 2 * PMD : MIB(32))
#define NPAGES	(SIZE / page_size())

/* Where each page takes several system calls, not all are looked at. */
#define STEP	13

static const struct kind {
	const char *name;
	enum backing backing;
	const char *type;	/* of the filesystem, of a memfd NULL */
	const char *options;	/* and twice SIZE */
} kinds[] = {
	{ "shmem", SHMEM, NULL, NULL },
	{ "thp", THP, NULL, NULL },
	{ "tmpfs", SHMEM, "tmpfs", "" },
	{ "hugetlb", HUGE_2M, NULL, NULL },
	{ "subpool", HUGE_2M, "hugetlbfs", "pagesize=2M," },
};

static const struct kind *current;
static unsigned int call;

/* A file all of which is pinned, and what was free when there was none */
struct pinned {
	int file, dev;
	char *mem;
	size_t step;		/* pages from one entry of @dev to the next */
	uint64_t *frames;	/* of the entries */
	struct pool pool;
	int64_t mount;
};

/* There is room for as many pages more as the file has. */
static struct pinned new_pinned(void)
{
	struct pinned pinned = { .step = 1 };
	char options[32];

	require_pinnable(current->backing);
	pinned.file = unsealed_memfd(current->backing, 2 * SIZE);
	igt_assert_eq(ftruncate(pinned.file, SIZE), 0);
	pinned.pool = pool();
	if (current->type) {
		close(pinned.file);
		snprintf(options, sizeof(options), "%ssize=%zuM", current->options,
			 2 * SIZE / MIB(1));
		mount_dir("none", current->type, options);
		pinned.mount = mount_free();
		pinned.file = create_file(MOUNT_DIR "/file", SIZE);
	}
	pinned.mem = map_fd(pinned.file, SIZE);
	fill(pinned.mem, 0, NPAGES, 1);
	if (current->backing == THP)
		igt_require_f(count_flagged(pinned.mem, NPAGES, KPF_THP) ==
			      NPAGES, "no transparent huge pages\n");

	pinned.dev = pin_memfd(call, pinned.file, 0, SIZE);
	if (call == PIN_TEST_MEMFD_FOLIOS)
		pinned.step = folio_size(current->backing) / page_size();
	pinned.frames = calloc(NPAGES, sizeof(*pinned.frames));
	igt_assert(pinned.frames);
	for (size_t i = 0; i < NPAGES; i += pinned.step) {
		struct pin_test_page page = query(pinned.dev, i / pinned.step);

		pinned.frames[i] = page.pfn + page.index;
	}
	return pinned;
}

/*
 * What is in use of the pool of huge pages, and of the filesystem, in bytes. Of
 * tmpfs, it is what belongs to files, of hugetlbfs, also what is pinned.
 */
static void check_used(const struct pinned *pinned, size_t file, size_t parted)
{
	bool is_hugetlb = current->backing == HUGE_2M;

	check_pool(pinned->pool, 0, is_hugetlb ? -(int)((file + parted) / HUGE) :
		   0, 0, 0);
	if (current->type)
		igt_assert_eq_s64(mount_free(), pinned->mount - (int64_t)
				  (file + (is_hugetlb ? parted : 0)));
}

/* The pins have what was in the file when it was pinned. */
static void check_kept(const struct pinned *pinned)
{
	void *data = malloc(page_size());

	igt_assert(data);
	for (size_t i = 0; i < NPAGES; i += pinned->step) {
		igt_assert_eq_s64(pread(pinned->dev, data, page_size(),
					pages(i / pinned->step)), page_size());
		igt_assert_eq(count_filled(data, i, 1, 1), 1);
	}
	free(data);
}

static bool is_pinned(const struct pinned *pinned, uint64_t frame)
{
	for (size_t i = 0; i < NPAGES; i += pinned->step)
		if (frame - pinned->frames[i] < pinned->step)
			return true;
	return false;
}

/* Before page @at the file has the pinned pages, and from there on others. */
static void check_parted(const struct pinned *pinned, size_t at)
{
	for (size_t i = 0; i < NPAGES; i += STEP)
		igt_assert_eq(is_pinned(pinned, page_frame(pinned->mem +
							   pages(i))), i < at);
}

static void check_file(const struct pinned *pinned, size_t at, uint64_t seed)
{
	igt_assert_eq(count_filled(pinned->mem, 0, at, 1), at);
	igt_assert_eq(count_filled(pinned->mem + pages(at), at, NPAGES - at,
				   seed), NPAGES - at);
}

static void truncate_at(const struct pinned *pinned, size_t at)
{
	int dev = open_device();
	char byte;

	igt_assert_eq(ftruncate(pinned->file, pages(at)), 0);
	igt_assert_eq_s64(fd_size(pinned->file), pages(at));
	igt_assert_eq(pread(pinned->file, &byte, 1, pages(at)), 0);
	igt_assert_eq_s64(__pin_memfd(dev, call, pinned->file, pages(at), 1),
			  -EINVAL);
	close(dev);
}

static void punch_at(const struct pinned *pinned, size_t at)
{
	igt_assert_eq(fallocate(pinned->file, FALLOC_FL_PUNCH_HOLE |
				FALLOC_FL_KEEP_SIZE, pages(at),
				SIZE - pages(at)), 0);
	igt_assert_eq_s64(fd_size(pinned->file), SIZE);
}

/*
 * The memory of shmem is in no count of its own, but comes and goes in such amounts
 * that others cannot be taken for it.
 */
static bool has_freed(int64_t before, int64_t size)
{
	const int64_t others = SIZE * 3 / 8;

	return free_memory_changes(before, size - others, size + others);
}

/* Part the file from the pages after the first @at. */
static void check_cut(void (*cut)(const struct pinned *pinned, size_t at),
		      size_t at)
{
	struct pinned pinned = new_pinned();
	size_t count = NPAGES - at;
	int64_t free_before;

	check_used(&pinned, SIZE, 0);
	check_parted(&pinned, NPAGES);
	free_before = free_memory();
	cut(&pinned, at);
	igt_assert(has_freed(free_before, 0));
	check_used(&pinned, pages(at), pages(count));
	check_kept(&pinned);

	igt_assert_eq(ftruncate(pinned.file, SIZE), 0);
	igt_assert_eq(count_zero(pinned.mem + pages(at), count), count);
	fill(pinned.mem + pages(at), at, count, 2);
	check_used(&pinned, SIZE, pages(count));
	check_parted(&pinned, at);
	check_kept(&pinned);

	/* Nor does the file get what the device still writes. */
	for (size_t i = at; i < NPAGES; i += pinned.step)
		device_write(pinned.dev, i / pinned.step, 0);
	check_file(&pinned, at, 2);

	free_before = free_memory();
	unpin(pinned.dev, PIN_TEST_DIRTY);
	if (current->backing != HUGE_2M)
		igt_assert(has_freed(free_before, pages(count)));
	check_used(&pinned, SIZE, 0);
	check_file(&pinned, at, 2);

	unmap(pinned.mem, SIZE);
	close(pinned.file);
	if (current->type)
		igt_assert_eq(unlink(MOUNT_DIR "/file"), 0);
	check_used(&pinned, 0, 0);
	unmount_dir();
	free(pinned.frames);
}

static void test_truncate(void)
{
	check_cut(truncate_at, 0);
	check_cut(truncate_at, NPAGES / 2);
}

static void test_punch(void)
{
	check_cut(punch_at, 0);
	check_cut(punch_at, NPAGES / 2);
}

/*
 * The end is inside a huge page, which stays in the file as it is pinned: what lies
 * behind the end becomes zero for both.
 */
static void test_truncate_inside(void)
{
	size_t at = NPAGES / 2 + 100, end = NPAGES / 2 + PMD_PAGES;
	struct pinned pinned = new_pinned();

	truncate_at(&pinned, at);
	igt_assert_eq(ftruncate(pinned.file, SIZE), 0);
	igt_assert_eq(count_filled(pinned.mem, 0, at, 1), at);
	igt_assert_eq(count_zero(pinned.mem + pages(at), NPAGES - at),
		      NPAGES - at);
	check_parted(&pinned, end);

	for (size_t i = 0; i < NPAGES; i += pinned.step) {
		device_write(pinned.dev, i / pinned.step, ~0ULL - i);
		igt_assert_eq_u64(*(uint64_t *)(pinned.mem + pages(i)),
				  i < end ? ~0ULL - i : 0);
	}
	unpin(pinned.dev, PIN_TEST_DIRTY);
	unmap(pinned.mem, SIZE);
	close(pinned.file);
	free(pinned.frames);
}

static void subtests_of(const char *name, const char *function)
{
	for (current = kinds; current < kinds + ARRAY_SIZE(kinds); current++) {
		igt_describe_f("The end of a file that %s() has pinned is cut off and put on "
			       "again: the pins keep the old pages and what is in them, and "
			       "the file gets new ones, with %s", function, current->name);
		igt_subtest_f("%s-truncate-%s", name, current->name)
			pin_test(test_truncate);
		igt_describe_f("The same with holes, %s() and %s", function, current->name);
		igt_subtest_f("%s-punch-%s", name, current->name)
			pin_test(test_punch);
		if (current->backing != THP)
			continue;
		igt_describe_f("Of a transparent huge page that the end of the file divides, "
			       "pins by %s() and the file go on to share all pages", function);
		igt_subtest_f("%s-truncate-%s-inside", name, current->name)
			pin_test(test_truncate_inside);
	}
}

void pin_truncate_subtests(void)
{
	call = PIN_TEST_MEMFD;
	subtests_of("memfd", "memfd_pin_range");
	call = PIN_TEST_MEMFD_FOLIOS;
	subtests_of("memfd-folios", "memfd_pin_folios");
}
