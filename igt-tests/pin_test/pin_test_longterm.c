// SPDX-License-Identifier: MIT
/*
 * FOLL_LONGTERM: such pins stay out of movable memory, and are refused on files of
 * a DAX filesystem. Wants a guest with "movablecore=1G", and one with persistent
 * memory ("memmap=256M!1G").
 */
#include <errno.h>
#include <string.h>

#include "igt.h"
#include "mount_helper.h"
#include "pin_test.h"

static size_t count_movable_entries(int dev, size_t count)
{
	size_t found = 0;

	for (size_t i = 0; i < count; i++)
		found += !strcmp(query(dev, i).zone, "Movable");
	return found;
}

static const struct movable {
	const char *name;
	int memory;		/* of a memfd, or one of these: */
#define ANON		-1
#define ANON_THP	-2
	unsigned int call, flags;
} movables[] = {
	{ "anon", ANON, PIN_TEST_FAST, PIN_TEST_LONGTERM },
	{ "anon-write", ANON, PIN_TEST_FAST, PIN_TEST_LONGTERM | PIN_TEST_WRITE },
	{ "anon-slow", ANON, PIN_TEST_SLOW, PIN_TEST_LONGTERM },
	{ "anon-remote", ANON, PIN_TEST_REMOTE, PIN_TEST_LONGTERM },
	{ "anon-thp", ANON_THP, PIN_TEST_FAST, PIN_TEST_LONGTERM },
	{ "mapped-shmem", SHMEM, PIN_TEST_FAST, PIN_TEST_LONGTERM },
	{ "mapped-hugetlb", HUGE_2M, PIN_TEST_FAST, PIN_TEST_LONGTERM },
	{ "memfd-shmem", SHMEM, PIN_TEST_MEMFD, 0 },
	{ "memfd-thp", THP, PIN_TEST_MEMFD, 0 },
	{ "memfd-hugetlb", HUGE_2M, PIN_TEST_MEMFD, 0 },
	{ "memfd-folios-shmem", SHMEM, PIN_TEST_MEMFD_FOLIOS, 0 },
	{ "memfd-folios-thp", THP, PIN_TEST_MEMFD_FOLIOS, 0 },
	{ "memfd-folios-hugetlb", HUGE_2M, PIN_TEST_MEMFD_FOLIOS, 0 },
};

static const struct movable *current;

static size_t movable_count(void)
{
	return current->memory == ANON || current->memory == SHMEM ?
	       64 : 2 * HUGE_PAGES;
}

/* Written memory; *@memfd is -1 if it is not that of a memfd. */
static char *movable_memory(int *memfd)
{
	size_t count = movable_count();
	char *mem;

	*memfd = -1;
	if (current->memory == ANON) {
		mem = anon_small(pages(count));
	} else if (current->memory == ANON_THP) {
		mem = anon_thp(2 * HUGE);
	} else {
		*memfd = unsealed_memfd(current->memory, pages(count));
		mem = map_fd(*memfd, pages(count));
	}
	fill(mem, 0, count, 1);
	return mem;
}

static int pin_longterm(const char *mem, int memfd, size_t *entries)
{
	*entries = movable_count();
	if (current->call < PIN_TEST_MEMFD)
		return pin(current->call, current->flags, mem, *entries);
	if (current->call == PIN_TEST_MEMFD_FOLIOS && current->memory != SHMEM)
		*entries /= HUGE_PAGES;
	return pin_memfd(current->call, memfd, 0, pages(movable_count()));
}

static void test_movable(void)
{
	size_t count = movable_count(), entries;
	int memfd, dev;
	char *mem;

	require_movable();
	if (current->memory == HUGE_2M)
		require_pinnable(HUGE_2M);
	mem = movable_memory(&memfd);

	/* A short pin leaves it where it is, and tells where that is. */
	dev = pin(PIN_TEST_FAST, 0, mem, count);
	igt_require_f(count_movable_entries(dev, count),
		      "the memory does not come from ZONE_MOVABLE\n");
	unpin(dev, PIN_TEST_CLEAN);

	dev = pin_longterm(mem, memfd, &entries);
	igt_assert_eq(count_movable_entries(dev, entries), 0);
	/* It is what is mapped: the process and the device see the same. */
	igt_assert_eq(count_filled(mem, 0, count, 1), count);
	if (entries == count)
		igt_assert_eq(device_count_filled(dev, count, 1), count);
	fill(mem, 0, count, 2);
	if (entries == count)
		igt_assert_eq(device_count_filled(dev, count, 2), count);
	unpin(dev, PIN_TEST_DIRTY);
	igt_assert_eq(count_filled(mem, 0, count, 2), count);

	unmap(mem, pages(count));
	if (memfd >= 0)
		close(memfd);
}

/* A folio that somebody holds cannot be migrated, and is not pinned as it is. */
static void test_movable_held(void)
{
	size_t count = movable_count();
	int memfd, held, dev;
	int64_t pins, nr;
	char *mem;

	require_movable();
	if (current->memory == HUGE_2M && current->call < PIN_TEST_MEMFD)
		require_pinnable(HUGE_2M);
	mem = movable_memory(&memfd);
	held = pin(PIN_TEST_FAST, 0, mem + pages(count / 2), 1);
	igt_require_f(count_movable_entries(held, 1),
		      "the memory does not come from ZONE_MOVABLE\n");
	pins = pins_held();
	dev = open_device();
	if (current->call < PIN_TEST_MEMFD)
		nr = __pin(dev, current->call, current->flags, mem, count);
	else
		nr = __pin_memfd(dev, current->call, memfd, 0, pages(count));
	igt_info("%s: %lld\n", current->name, (long long)nr);
	/* By address, a short pin ends before it. */
	if (current->call < PIN_TEST_MEMFD && nr > 0) {
		igt_assert_lte(nr, count / 2);
		igt_assert_eq(count_movable_entries(dev, nr), 0);
	} else {
		igt_assert_eq_s64(nr, -ENOMEM);
		igt_assert_eq_s64(pins_held(), pins);
	}
	close(dev);
	unpin(held, PIN_TEST_CLEAN);
	unmap(mem, pages(count));
	if (memfd >= 0)
		close(memfd);
}

/* FS-DAX */

/* A new file of 16 pages */
static int dax_file(void)
{
	const char *device = pmem_device();
	char command[64];

	snprintf(command, sizeof(command), "mke2fs -q -F -t ext4 -b 4096 %s", device);
	igt_require_f(!igt_system_quiet(command), "no mke2fs\n");
	mount_dir(device, "ext4", "dax=always");
	return create_file(MOUNT_DIR "/file", pages(16));
}

static const struct pin_call *dax_call;

static void test_dax(void)
{
	int fd = dax_file();
	char *mem = map_fd(fd, pages(16));

	fill(mem, 0, 16, 1);

	/* Of a short pin it has nothing against. */
	igt_assert_eq_s64(try_pin(dax_call->call, PIN_TEST_WRITE, mem, 16), 16);
	igt_assert_eq_s64(try_pin(dax_call->call, PIN_TEST_LONGTERM, mem, 16),
			  -EOPNOTSUPP);
	igt_assert_eq_s64(try_pin(dax_call->call,
				  PIN_TEST_LONGTERM | PIN_TEST_WRITE, mem, 16),
			  -EOPNOTSUPP);
	igt_assert_eq(count_filled(mem, 0, 16, 1), 16);
	unmap(mem, pages(16));
	close(fd);
	unmount_dir();
}

/* Nor is a file there a memfd. */
static void test_dax_memfd(void)
{
	int fd = dax_file(), dev = open_device();

	igt_assert_eq_s64(__pin_memfd(dev, PIN_TEST_MEMFD, fd, 0, pages(16)),
			  -EINVAL);
	igt_assert_eq_s64(__pin_memfd(dev, PIN_TEST_MEMFD_FOLIOS, fd, 0,
				      pages(16)), -EINVAL);
	close(fd);
	close(dev);
	unmount_dir();
}

/* With the page tables filled, GUP-fast is what sees it first. */
static void test_dax_fast_only(void)
{
	int fd = dax_file();
	char *mem = map_fd(fd, pages(16));

	fill(mem, 0, 16, 1);
	igt_assert_eq_s64(try_pin(PIN_TEST_FAST_ONLY, PIN_TEST_WRITE, mem, 16), 16);
	igt_assert_eq_s64(try_pin(PIN_TEST_FAST_ONLY, PIN_TEST_LONGTERM, mem,
				  16), 0);
	unmap(mem, pages(16));
	close(fd);
	unmount_dir();
}

void pin_longterm_subtests(void)
{
	for (current = movables; current < movables + ARRAY_SIZE(movables);
	     current++) {
		igt_describe_f("Memory in ZONE_MOVABLE is somewhere else, with its contents, when "
			       "it is pinned long-term: %s", current->name);
		igt_subtest_f("longterm-movable-%s", current->name)
			pin_test(test_movable);
	}
	for (current = movables; current < movables + ARRAY_SIZE(movables);
	     current++) {
		igt_describe_f("What cannot be migrated is not pinned, and nothing stays pinned: "
			       "%s", current->name);
		igt_subtest_f("longterm-held-%s", current->name)
			pin_test(test_movable_held);
	}
	for (dax_call = pin_calls; dax_call < pin_calls + ARRAY_SIZE(pin_calls);
	     dax_call++)
		if (!dax_call->memfd && !dax_call->flags &&
		    dax_call->call != PIN_TEST_FAST_ONLY) {
			igt_describe_f("FOLL_LONGTERM is refused on a DAX filesystem, by %s",
				       dax_call->name);
			igt_subtest_f("longterm-dax-%s", dax_call->name)
				pin_test(test_dax);
		}
	igt_describe("FOLL_LONGTERM is refused on a DAX filesystem, by "
		     "pin_user_pages_fast_only(), which pins nothing");
	igt_subtest("longterm-dax-fast-only")
		pin_test(test_dax_fast_only);
	igt_describe("FOLL_LONGTERM is refused on a DAX filesystem, by memfd_pin_range() and "
		     "memfd_pin_folios(), with EINVAL");
	igt_subtest("longterm-dax-memfd")
		pin_test(test_dax_memfd);
}
