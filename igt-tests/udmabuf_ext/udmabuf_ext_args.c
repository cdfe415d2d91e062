// SPDX-License-Identifier: MIT
/*
 * UDMABUF_CREATE_EXT: the arguments, and that nothing is left behind where it
 * fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "igt.h"
#include "udmabuf_ext.h"

#define NPAGES	16

static int good_memfd(void)
{
	return sealed_memfd(SHMEM, pages(NPAGES));
}

static int create_error(int dev, struct udmabuf_create_ext *arg)
{
	return ioctl(dev, UDMABUF_CREATE_EXT, arg) ? -errno : 0;
}

/* With nothing pinned, or this would be EBUSY, and no descriptor in use. */
static void check_nothing_left(int memfd, int fds)
{
	igt_assert_eq(count_open_fds(), fds);
	seal(memfd, F_SEAL_WRITE);
	close(memfd);
}

/* Without flags it is UDMABUF_CREATE_LIST. */
static void test_plain(int dev)
{
	int memfd = good_memfd(), other = good_memfd(), dmabuf;
	char *mem = map_fd(memfd, pages(NPAGES)), *buf;
	struct udmabuf_create_item items[] = {
		{ .memfd = memfd, .offset = pages(3), .size = pages(2) },
		{ .memfd = other, .offset = 0, .size = pages(1) },
		{ .memfd = memfd, .offset = 0, .size = pages(4) },
	};

	fill(mem, 0, NPAGES, 1);
	dmabuf = __create_ext(dev, 0, ARRAY_SIZE(items), items);
	igt_assert_lte(0, dmabuf);
	igt_assert_eq_u64(fd_size(dmabuf), pages(7));
	igt_assert_eq(fcntl(dmabuf, F_GETFL) & O_ACCMODE, O_RDWR);
	buf = map_fd(dmabuf, pages(7));
	igt_assert_eq(count_filled(buf, 3, 2, 1), 2);
	igt_assert_eq(count_zero(buf + pages(2), 1), 1);
	igt_assert_eq(count_filled(buf + pages(3), 0, 4, 1), 4);
	fill(buf + pages(3), 0, 4, 2);
	igt_assert_eq(count_filled(mem, 0, 4, 2), 4);
	unmap(buf, pages(7));
	unmap(mem, pages(NPAGES));
	close(dmabuf);
	close(other);
	close(memfd);
}

/* What UDMABUF_CREATE refuses is refused here, as long as no flag asks for it. */
static void test_plain_refused(int dev)
{
	int memfd = unsealed_memfd(SHMEM, pages(NPAGES)), readonly;

	igt_assert_eq(__create_flags(dev, 0, memfd, 0, pages(NPAGES)), -EINVAL);
	seal(memfd, F_SEAL_SHRINK);
	readonly = reopen(memfd, O_RDONLY);
	igt_assert_eq(__create_flags(dev, 0, readonly, 0, pages(NPAGES)), -EACCES);
	close(readonly);
	igt_assert_eq(__create_flags(dev, 0, memfd, 0, pages(NPAGES + 1)), -EINVAL);
	igt_assert_eq(__create_flags(dev, 0, memfd, 1, page_size()), -EINVAL);
	igt_assert_eq(__create_flags(dev, 0, memfd, 0, 0), -EINVAL);
	igt_assert_eq(__create_flags(dev, 0, -1, 0, page_size()), -EBADFD);
	igt_assert_eq(__create_flags(dev, 0, dev, 0, page_size()), -EBADFD);
	seal(memfd, F_SEAL_FUTURE_WRITE);
	igt_assert_eq(__create_flags(dev, 0, memfd, 0, pages(NPAGES)), -EINVAL);
	check_nothing_left(memfd, count_open_fds());
}

static void test_unknown_flags(int dev)
{
	int memfd = good_memfd(), fds = count_open_fds();

	for (int bit = 0; bit < 32; bit++)
		if (!(get_info(dev).flags & 1U << bit))
			igt_assert_eq(__create_flags(dev, 1U << bit, memfd, 0,
						     pages(NPAGES)), -EINVAL);
	igt_assert_eq(__create_flags(dev, UINT32_MAX, memfd, 0, pages(NPAGES)),
		      -EINVAL);
	check_nothing_left(memfd, fds);
}

static void test_reserved(int dev)
{
	int memfd = good_memfd(), fds = count_open_fds();
	struct udmabuf_create_item item = { .memfd = memfd, .size = pages(1) };
	struct udmabuf_create_ext arg = {
		.count = 1,
		.items = (uintptr_t)&item,
		.fd = 12345,
		.reserved = 1,
	};

	igt_assert_eq(create_error(dev, &arg), -EINVAL);
	igt_assert_eq(arg.fd, 12345);
	arg.reserved = 1U << 31;
	igt_assert_eq(create_error(dev, &arg), -EINVAL);
	check_nothing_left(memfd, fds);
}

static void test_count(int dev)
{
	const uint32_t limit = get_info(dev).list_limit;
	struct udmabuf_create_item *items = calloc(limit + 1, sizeof(*items));
	int memfd = good_memfd(), fds = count_open_fds(), dmabuf;

	igt_assert(items);
	for (uint32_t i = 0; i <= limit; i++) {
		items[i].memfd = memfd;
		items[i].size = page_size();
	}
	igt_assert_eq(__create_ext(dev, 0, 0, items), -EINVAL);
	igt_assert_eq(__create_ext(dev, 0, limit + 1, items), -EINVAL);
	igt_assert_eq(__create_ext(dev, 0, 1U << 31, items), -EINVAL);
	igt_assert_eq(__create_ext(dev, 0, UINT32_MAX, items), -EINVAL);
	dmabuf = __create_ext(dev, 0, limit, items);
	igt_assert_lte(0, dmabuf);
	igt_assert_eq_u64(fd_size(dmabuf), pages(limit));
	close(dmabuf);

	/* A limit that no array can reach is none that lets it overflow. */
	set_module_attribute(dev, LIST_LIMIT, UINT32_MAX);
	igt_assert_eq(__create_ext(dev, 0, UINT32_MAX, items), -EINVAL);
	free(items);
	check_nothing_left(memfd, fds);
}

static void test_last_entry_bad(int dev)
{
	int memfd = good_memfd(), fds = count_open_fds();
	struct udmabuf_create_item items[] = {
		{ .memfd = memfd, .offset = 0, .size = pages(NPAGES) },
		{ .memfd = memfd, .offset = 0, .size = pages(1) },
	};
	const struct {
		uint32_t memfd;
		uint64_t offset, size;
		int error;
	} bad[] = {
		{ -1, 0, pages(1), EBADFD },
		{ dev, 0, pages(1), EBADFD },
		{ memfd, pages(NPAGES), pages(1), EINVAL },
		{ memfd, 1, pages(1), EINVAL },
		{ memfd, 0, 0, EINVAL },
		{ memfd, -pages(1), pages(1), EINVAL },
		/* Both follow the first entry, and look as if they wrapped around. */
		{ memfd, pages(NPAGES), -pages(NPAGES), EINVAL },
		{ memfd, pages(NPAGES), -pages(NPAGES - 1), EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		items[1].memfd = bad[i].memfd;
		items[1].offset = bad[i].offset;
		items[1].size = bad[i].size;
		igt_assert_eq(__create_ext(dev, 0, 2, items), -bad[i].error);
	}
	check_nothing_left(memfd, fds);
}

static void test_pointers(int dev)
{
	int memfd = good_memfd(), fds = count_open_fds();
	struct udmabuf_create_item *items;
	struct udmabuf_create_ext *arg;
	char *map;

	/* Two pages, of which only the first can be read. */
	map = mmap(NULL, pages(2), PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	igt_assert(map != MAP_FAILED);
	igt_assert_eq(mprotect(map + page_size(), page_size(), PROT_NONE), 0);

	igt_assert_eq(create_error(dev, NULL), -EFAULT);
	arg = (void *)(map + page_size() - sizeof(*arg) / 2);
	igt_assert_eq(create_error(dev, arg), -EFAULT);

	/* The second entry is out of reach. */
	items = (void *)(map + page_size() - sizeof(*items));
	items->memfd = memfd;
	items->size = pages(1);
	igt_assert_eq(__create_ext(dev, 0, 2, items), -EFAULT);
	igt_assert_eq(__create_ext(dev, 0, 1, NULL), -EFAULT);
	/* In the kernel's half, and in neither. */
	igt_assert_eq(__create_ext(dev, 0, 1, (void *)-page_size()), -EFAULT);
	igt_assert_eq(__create_ext(dev, 0, 1, (void *)(1UL << 62)), -EFAULT);

	unmap(map, pages(2));
	check_nothing_left(memfd, fds);
}

/* The dma-buf is there when it turns out that nobody can be told of it. */
static void test_result_unwritable(int dev)
{
	int memfd = good_memfd(), fds = count_open_fds();
	struct udmabuf_create_item item = {
		.memfd = memfd,
		.size = pages(NPAGES),
	};
	struct udmabuf_create_ext *arg;
	int64_t pins = pins_held();
	int64_t acquired;

	arg = mmap(NULL, page_size(), PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	igt_assert(arg != MAP_FAILED);
	arg->count = 1;
	arg->items = (uintptr_t)&item;
	igt_assert_eq(mprotect(arg, page_size(), PROT_READ), 0);

	acquired = vmstat("nr_foll_pin_acquired");
	igt_assert_eq(create_error(dev, arg), -EFAULT);
	igt_assert_eq_s64(vmstat("nr_foll_pin_acquired") - acquired, NPAGES);
	igt_assert_eq_s64(pins_held(), pins);
	unmap(arg, page_size());
	check_nothing_left(memfd, fds);
}

static void test_no_descriptor(int dev)
{
	int memfd = good_memfd(), fds = count_open_fds(), ret;
	struct rlimit old, none;
	int64_t acquired = vmstat("nr_foll_pin_acquired");

	igt_assert_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	igt_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ret = __create_flags(dev, 0, memfd, 0, pages(NPAGES));
	igt_assert_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	igt_assert_eq(ret, -EMFILE);
	/* That was known before anything was pinned. */
	igt_assert_eq_s64(vmstat("nr_foll_pin_acquired"), acquired);
	check_nothing_left(memfd, fds);
}

static void test_cloexec(int dev)
{
	int memfd = good_memfd();
	struct udmabuf_create_item item = { .memfd = memfd, .size = pages(1) };
	struct udmabuf_create_ext arg = {
		.count = 1,
		.items = (uintptr_t)&item,
	};

	for (int flags = 0; flags < 8; flags++) {
		arg.flags = flags;
		igt_assert_eq(create_error(dev, &arg), 0);
		igt_assert_eq(fcntl(arg.fd, F_GETFD),
			      flags & UDMABUF_FLAGS_CLOEXEC ? FD_CLOEXEC : 0);
		igt_assert_eq(arg.flags, flags);
		igt_assert_eq(arg.count, 1);
		igt_assert_eq_u64(arg.items, (uintptr_t)&item);
		close(arg.fd);
	}
	close(memfd);
}

static void test_size_limit(int dev)
{
	int memfd = good_memfd();
	struct udmabuf_create_item items[MIB(1) / 4096 / NPAGES + 1];
	int dmabuf;

	set_module_attribute(dev, SIZE_LIMIT, 1);
	for (size_t i = 0; i < ARRAY_SIZE(items); i++)
		items[i] = (struct udmabuf_create_item) {
			.memfd = memfd,
			.size = pages(NPAGES),
		};
	dmabuf = __create_ext(dev, 0, MIB(1) / pages(NPAGES), items);
	igt_assert_lte(0, dmabuf);
	close(dmabuf);
	items[MIB(1) / pages(NPAGES)].size = page_size();
	igt_assert_eq(__create_ext(dev, 0, MIB(1) / pages(NPAGES) + 1, items),
		      -EINVAL);
	close(memfd);
}

void udmabuf_ext_args_subtests(int dev)
{
	igt_describe("UDMABUF_CREATE_EXT without flags is UDMABUF_CREATE_LIST");
	igt_subtest("ext-plain")
		udmabuf_test(test_plain, dev);
	igt_describe("It refuses the same things with the same errors");
	igt_subtest("ext-plain-refused")
		udmabuf_test(test_plain_refused, dev);
	igt_describe("Each flag without a meaning is EINVAL");
	igt_subtest("ext-unknown-flags")
		udmabuf_test(test_unknown_flags, dev);
	igt_describe("Reserved fields that are not 0 are EINVAL");
	igt_subtest("ext-reserved")
		udmabuf_test(test_reserved, dev);
	igt_describe("No entries, or more than list_limit, are EINVAL");
	igt_subtest("ext-count")
		udmabuf_test(test_count, dev);
	igt_describe("What is wrong with the last entry undoes what the first one did");
	igt_subtest("ext-last-entry-bad")
		udmabuf_test(test_last_entry_bad, dev);
	igt_describe("Arguments that cannot be read are EFAULT");
	igt_subtest("ext-pointers")
		udmabuf_test(test_pointers, dev);
	igt_describe("A result that cannot be written is EFAULT; no descriptor and no pin "
		     "is left");
	igt_subtest("ext-result-unwritable")
		udmabuf_test(test_result_unwritable, dev);
	igt_describe("EMFILE comes before anything is pinned");
	igt_subtest("ext-no-descriptor")
		udmabuf_test(test_no_descriptor, dev);
	igt_describe("The flag decides over close-on-exec, with all others");
	igt_subtest("ext-cloexec")
		udmabuf_test(test_cloexec, dev);
	igt_describe("More than size_limit_mb is EINVAL");
	igt_subtest("ext-size-limit")
		udmabuf_test(test_size_limit, dev);
}
