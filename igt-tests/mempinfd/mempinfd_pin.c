// SPDX-License-Identifier: MIT
/*
 * What MEMPINFD_PIN does to memory of every kind: all of its pages are pinned,
 * where they are they stay, and they remain the pages that the program sees.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "igt.h"
#include "mempinfd.h"
#include "phys_helper.h"

#define SIZE	MIB(4)
#define NPAGES	(SIZE / page_size())

static void *map_anon(void)
{
	return anon_small(SIZE);
}

static void *map_anon_thp(void)
{
	return anon_thp(SIZE);
}

static void *map_memfd(enum backing backing, int flags)
{
	int memfd = unsealed_memfd(backing, SIZE);
	void *mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags, memfd, 0);

	igt_assert(mem != MAP_FAILED);
	close(memfd);
	return mem;
}

static void *map_anon_hugetlb(void)
{
	void *mem;

	/* Leaves behind as many free huge pages as it had. */
	close(unsealed_memfd(HUGE_2M, SIZE));
	mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	igt_require_f(mem != MAP_FAILED, "no huge pages\n");
	return mem;
}

static void *map_shared_anon(void)
{
	void *mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	igt_assert(mem != MAP_FAILED);
	return mem;
}

static void *map_shmem(void)
{
	return map_memfd(SHMEM, MAP_SHARED);
}

static void *map_shmem_thp(void)
{
	return map_memfd(THP, MAP_SHARED);
}

static void *map_hugetlb(void)
{
	return map_memfd(HUGE_2M, MAP_SHARED);
}

static void *map_private(void)
{
	return map_memfd(SHMEM, MAP_PRIVATE);
}

static const struct kind {
	const char *name;
	void *(*map)(void);
	uint64_t flag; /* a KPF_ flag that its pages have */
} kinds[] = {
	{ "anon", map_anon, KPF_ANON },
	{ "anon-thp", map_anon_thp, KPF_THP },
	{ "anon-hugetlb", map_anon_hugetlb, KPF_HUGE },
	{ "anon-shared", map_shared_anon, KPF_SWAPBACKED },
	{ "memfd", map_shmem, KPF_SWAPBACKED },
	{ "memfd-thp", map_shmem_thp, KPF_THP },
	{ "memfd-hugetlb", map_hugetlb, KPF_HUGE },
	{ "memfd-private", map_private, KPF_ANON },
};

static const struct kind *current;

static void get_frames(uint64_t *frames, const char *mem)
{
	for (size_t i = 0; i < NPAGES; i += 61)
		frames[i] = page_frame(mem + pages(i));
}

static void check_frames(const uint64_t *frames, const char *mem)
{
	for (size_t i = 0; i < NPAGES; i += 61)
		igt_assert_eq_u64(page_frame(mem + pages(i)), frames[i]);
}

/* What is pinned is neither moved nor taken away, and can be used as ever. */
static void check_pinned(char *mem)
{
	uint64_t *frames = calloc(NPAGES, sizeof(*frames));

	igt_assert(frames);
	get_frames(frames, mem);
	igt_assert_eq(write_line("/proc/sys/vm/compact_memory", "1"), 0);
	madvise(mem, SIZE, MADV_PAGEOUT);
	drop_caches();
	check_frames(frames, mem);

	fill(mem, 0, NPAGES, 2);
	igt_assert_eq(count_filled(mem, 0, NPAGES, 2), NPAGES);
	check_frames(frames, mem);
	free(frames);
}

/*
 * Where huge pages are in movable memory, not all kernels can move them when they are
 * pinned, and no version finds one elsewhere for a page that is not there yet.
 */
static void pin_all(int fd, char *mem, bool touched)
{
	int error = touched ? (hugetlb_is_pinnable() ? 0 : -ENOMEM) : -EFAULT;
	int64_t pins = pins_held();
	int ret = __pin(fd, mem, SIZE);

	if (ret && ret == error && current->flag == KPF_HUGE && has_movable()) {
		igt_assert_eq_s64(pins_held(), pins);
		igt_require_f(false, "all huge pages are in movable memory\n");
	}
	igt_assert_eq(ret, 0);
	igt_assert_eq_s64(pins_held() - pins, NPAGES);
}

static void test_pin(void)
{
	int fd = open_mempinfd();
	char *mem = current->map();
	int64_t pins;

	fill(mem, 0, NPAGES, 1);
	igt_require_f(frame_flags(page_frame(mem)) & 1ULL << current->flag,
		      "the kernel has no such page at hand\n");
	pins = pins_held();
	pin_all(fd, mem, true);
	igt_assert_eq(count_filled(mem, 0, NPAGES, 1), NPAGES);
	check_pinned(mem);
	unpin(fd, mem, SIZE);
	igt_assert_eq_s64(pins_held(), pins);
	igt_assert_eq(count_filled(mem, 0, NPAGES, 2), NPAGES);
	unmap(mem, SIZE);
	close(fd);
}

static void test_untouched(void)
{
	int fd = open_mempinfd();
	char *mem = current->map();
	int64_t pins = pins_held();

	pin_all(fd, mem, false);
	igt_assert_eq(count_zero(mem, NPAGES), NPAGES);
	check_pinned(mem);
	unpin(fd, mem, SIZE);
	igt_assert_eq_s64(pins_held(), pins);
	unmap(mem, SIZE);
	close(fd);
}

/* Bytes of three pages, of the first and last only one; then of one only. */
static void test_unaligned(void)
{
	int fd = open_mempinfd();
	char *mem = anon(pages(8));
	int64_t pins = pins_held();

	pin(fd, mem + pages(2) - 1, page_size() + 2);
	igt_assert_eq_s64(pins_held() - pins, 3);
	unpin(fd, mem + pages(2) - 1, page_size() + 2);

	pin(fd, mem + pages(2), page_size() + 1);
	igt_assert_eq_s64(pins_held() - pins, 2);
	unpin(fd, mem + pages(2), page_size() + 1);

	pin(fd, mem + pages(2) - 1, 1);
	igt_assert_eq_s64(pins_held() - pins, 1);
	unpin(fd, mem + pages(2) - 1, 1);

	igt_assert_eq_s64(pins_held(), pins);
	unmap(mem, pages(8));
	close(fd);
}

/* The first and the last page that there can be are not special. */
static void test_highest(void)
{
	char *top = (char *)(1ULL << 47) - pages(2), *mem;
	int fd = open_mempinfd();

	mem = mmap(top, pages(1), PROT_READ | PROT_WRITE, MAP_PRIVATE |
		   MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	igt_require_f(mem == top, "the last page is in use\n");
	pin(fd, mem, pages(1));
	unpin(fd, mem, pages(1));
	igt_assert_eq(__pin(fd, mem, pages(2)), -EFAULT);
	unmap(mem, pages(1));
	close(fd);
}

static void test_overlap(void)
{
	int fd = open_mempinfd(), other = open_mempinfd();
	char *mem = anon(pages(16));
	int64_t pins = pins_held();

	pin(fd, mem + pages(4), pages(4));
	igt_assert_eq(__pin(fd, mem + pages(4), pages(4)), -EEXIST);
	igt_assert_eq(__pin(fd, mem + pages(5), pages(1)), -EEXIST);
	igt_assert_eq(__pin(fd, mem, pages(16)), -EEXIST);
	igt_assert_eq(__pin(fd, mem + pages(2), pages(3)), -EEXIST);
	igt_assert_eq(__pin(fd, mem + pages(7), pages(3)), -EEXIST);
	/* No byte in common, but a page. */
	pin(fd, mem + pages(10), 100);
	igt_assert_eq(__pin(fd, mem + pages(10) + 200, 100), -EEXIST);
	igt_assert_eq_s64(pins_held() - pins, 5);

	/* Neighbours, and the same pages through another open file. */
	pin(fd, mem + pages(3), pages(1));
	pin(fd, mem + pages(8), pages(1));
	pin(other, mem, pages(16));
	igt_assert_eq_s64(pins_held() - pins, 7 + 16);
	unpin(fd, mem + pages(4), pages(4));
	unpin(fd, mem + pages(3), pages(1));
	unpin(fd, mem + pages(8), pages(1));
	unpin(fd, mem + pages(10), 100);
	igt_assert_eq_s64(pins_held() - pins, 16);
	close(other);
	unmap(mem, pages(16));
	close(fd);
}

#ifdef __x86_64__

/* As a 32-bit program asks; the kernel sees the lower half of the address. */
static int compat_ioctl(int fd, unsigned long cmd, const void *arg)
{
	long ret = 54;

	asm volatile("int $0x80"
		     : "+a" (ret)
		     : "b" ((long)fd), "c" (cmd), "d" (arg)
		     : "memory", "r8", "r9", "r10", "r11");
	return ret;
}

static void test_compat(void)
{
	int64_t pins = pins_held();
	struct mempinfd_range *range;
	int fd = open_mempinfd();
	char *mem;

	mem = mmap(NULL, pages(4), PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	igt_require_f(mem != MAP_FAILED, "no memory for 32-bit programs\n");
	range = (void *)mem;
	range->addr = (uintptr_t)mem + pages(1);
	range->size = pages(3);
	igt_assert_eq(compat_ioctl(fd, MEMPINFD_PIN, range), 0);
	igt_assert_eq_s64(pins_held() - pins, 3);
	igt_assert_eq(compat_ioctl(fd, MEMPINFD_PIN, range), -EEXIST);
	igt_assert_eq(compat_ioctl(fd, MEMPINFD_UNPIN, range), 0);
	igt_assert_eq_s64(pins_held(), pins);
	igt_assert_eq(compat_ioctl(fd, _IO(0xB9, 0), range), -ENOTTY);
	unmap(mem, pages(4));
	close(fd);
}

#else

static void test_compat(void)
{
	igt_require_f(false, "only for x86-64\n");
}

#endif

/* All huge pages may be in movable memory then, see pin_all(). */
static size_t without_hugetlb_if_movable(size_t count)
{
	return has_movable() ? count - 1 : count;
}

/* What is pinned is the page in the file, for whoever writes and reads it. */
static void test_other_mapping(void)
{
	static const enum backing backings[] = { SHMEM, THP, HUGE_2M };
	size_t count = without_hugetlb_if_movable(ARRAY_SIZE(backings));

	for (size_t i = 0; i < count; i++) {
		int fd = open_mempinfd();
		int memfd = unsealed_memfd(backings[i], SIZE);
		void *mem = map_fd(memfd, SIZE), *other = map_fd(memfd, SIZE);

		pin(fd, mem, SIZE);
		fill(other, 0, NPAGES, 1);
		igt_assert_eq(count_filled(mem, 0, NPAGES, 1), NPAGES);
		fill(mem, 0, NPAGES, 2);
		igt_assert_eq(count_filled(other, 0, NPAGES, 2), NPAGES);
		igt_assert_eq_u64(page_frame(mem), page_frame(other));
		close(fd);
		unmap(mem, SIZE);
		igt_assert_eq(count_filled(other, 0, NPAGES, 2), NPAGES);
		unmap(other, SIZE);
		close(memfd);
	}
}

/* A memfd cannot be sealed against writes while a device may write to it. */
static void test_seal_write(void)
{
	static const enum backing backings[] = { SHMEM, HUGE_2M };
	size_t count = without_hugetlb_if_movable(ARRAY_SIZE(backings));

	for (size_t i = 0; i < count; i++) {
		int fd = open_mempinfd();
		int memfd = unsealed_memfd(backings[i], SIZE);
		void *mem = map_fd(memfd, SIZE);

		pin(fd, mem, SIZE);
		unmap(mem, SIZE);
		igt_assert_eq(fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE), -1);
		igt_assert_eq(errno, EBUSY);
		close(fd);
		seal(memfd, F_SEAL_WRITE);
		close(memfd);
	}
}

/* The memory is moved with its contents when it is pinned. */
static void test_movable(void)
{
	int fd = open_mempinfd();
	char *mem;

	require_movable();
	mem = current->map();
	fill(mem, 0, NPAGES, 1);
	igt_require_f(count_movable(mem, NPAGES),
		      "no page was allocated in the movable zone\n");
	pin_all(fd, mem, true);
	igt_assert_eq(count_movable(mem, NPAGES), 0);
	igt_assert_eq(count_filled(mem, 0, NPAGES, 1), NPAGES);
	check_pinned(mem);
	close(fd);
	unmap(mem, SIZE);
}

void mempinfd_pin_subtests(void)
{
	for (current = kinds; current < kinds + ARRAY_SIZE(kinds); current++) {
		igt_describe_f("Each page of a range is pinned once, keeps its frame and its "
			       "contents, and is released, with %s", current->name);
		igt_subtest_f("pin-%s", current->name)
			mempinfd_test(test_pin);
		igt_describe_f("The same where nothing was written before, with %s",
			       current->name);
		igt_subtest_f("untouched-%s", current->name)
			mempinfd_test(test_untouched);
		igt_describe_f("What is pinned is moved out of ZONE_MOVABLE first, with %s",
			       current->name);
		igt_subtest_f("movable-%s", current->name)
			mempinfd_test(test_movable);
	}
	igt_describe("A range stands for all pages that a byte of it lies in");
	igt_subtest("unaligned")
		mempinfd_test(test_unaligned);
	igt_describe("The last page of the address space, and nothing behind it");
	igt_subtest("highest")
		mempinfd_test(test_highest);
	igt_describe("EEXIST for a range that shares a page with a pinned one, but not for its "
		     "neighbours, nor through another open file");
	igt_subtest("overlap")
		mempinfd_test(test_overlap);
	igt_describe("The ioctls of a 32-bit program");
	igt_subtest("compat")
		mempinfd_test(test_compat);
	igt_describe("What one mapping has pinned is what another one reads and writes");
	igt_subtest("other-mapping")
		mempinfd_test(test_other_mapping);
	igt_describe("F_SEAL_WRITE is refused until the pins are gone");
	igt_subtest("seal-write")
		mempinfd_test(test_seal_write);
}
