// SPDX-License-Identifier: MIT
/*
 * Mappings of a udmabuf, 2 MiB at a time: each fault maps all that one entry of the
 * second page table level (PMD) spans, by that entry itself where address and
 * memory suit each other.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "igt.h"
#include "phys_helper.h"
#include "udmabuf_pmd.h"

const struct layout layouts[7] = {
	{ "thp", THP, 0, 0, true },
	{ "hugetlb", HUGE_PMD, 0, 0, true },
	{ "hugetlb-middle", HUGE_PMD, 200, 200, true },
	{ "hugetlb-shifted", HUGE_PMD, 0, 1, false },
	{ "hugetlb-middle-shifted", HUGE_PMD, 200, 0, false },
	{ "scattered", SHMEM, 0, 0, false },
	{ "scattered-shifted", SHMEM, 3, 500, false },
};

const struct layout * const both[2] = { &layouts[1], &layouts[5] };

static const struct layout *current;

char *map_at(char *at, int fd, size_t first, size_t count, int prot)
{
	igt_assert(mmap(at, pages(count), prot, MAP_SHARED | MAP_FIXED, fd,
			pages(first)) == at);
	return at;
}

/* No two pages of it follow each other in memory, if they are small. */
static void touch_scattered(char *mem, size_t count)
{
	for (size_t i = 0; i < count; i++)
		WRITE_ONCE(mem[pages(i * 5 % count)], 1);
}

struct buffer make_buffer(int dev, const struct layout *layout)
{
	size_t file_size = SIZE + PMD;
	struct buffer buffer = {
		.memfd = sealed_memfd(layout->backing, file_size),
		.room = reserve(2 * SIZE),
	};

	if (layout->backing == SHMEM)
		set_shmem_thp("never");
	buffer.mem = map_fd(buffer.memfd, file_size);
	touch_scattered(buffer.mem, file_size / page_size());
	buffer.mem += pages(layout->first);
	buffer.buf = buffer.room + pages(layout->shift);
	fill(buffer.mem, 0, NPAGES, 1);
	buffer.dmabuf = create(dev, buffer.memfd, pages(layout->first), SIZE);
	return buffer;
}

struct buffer map_buffer(int dev, const struct layout *layout)
{
	struct buffer buffer = make_buffer(dev, layout);

	map_at(buffer.buf, buffer.dmabuf, 0, NPAGES, PROT_READ | PROT_WRITE);
	return buffer;
}

void free_buffer(const struct buffer *buffer, const struct layout *layout)
{
	unmap(buffer->mem - pages(layout->first), SIZE + PMD);
	unmap(buffer->room, 2 * SIZE);
	close(buffer->dmabuf);
	close(buffer->memfd);
}

static long count_faults(void)
{
	struct rusage usage;

	igt_assert_eq(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_minflt;
}

long touch(char *buf, size_t count, bool write)
{
	long faults;

	count_faults();
	faults = count_faults();
	for (size_t i = 0; i < count; i++, buf += page_size()) {
		char byte = READ_ONCE(*buf);

		if (write)
			WRITE_ONCE(*buf, byte);
	}
	return count_faults() - faults;
}

void check_contents(const struct buffer *buffer)
{
	igt_assert_eq(count_filled(buffer->buf, 0, NPAGES, 1), NPAGES);
	fill(buffer->buf, 0, NPAGES, 2);
	igt_assert_eq(count_filled(buffer->mem, 0, NPAGES, 2), NPAGES);
	fill(buffer->mem, 0, NPAGES, 1);
	igt_assert_eq(count_filled(buffer->buf, 0, NPAGES, 1), NPAGES);
}

/* x86 processors tell, and Xen may say no in their stead (clearcpuid=pse at boot, too). */
static bool cpu_maps_by_pmd(void)
{
	FILE *file = fopen("/proc/cpuinfo", "r");
	bool pse = true;
	char line[8192];

	igt_assert(file);
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, "flags", 5))
			pse = strstr(line, " pse ");
	fclose(file);
	return pse;
}

static bool kernel_maps_by_pmd(void)
{
	return kernel_since(6, 12) && cpu_maps_by_pmd();
}

static size_t page_tables(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	size_t kib = 0;
	char line[128];

	igt_assert(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "VmPTE: %zu kB", &kib) == 1)
			break;
	fclose(file);
	igt_assert(kib);
	return kib * 1024 / page_size();
}

/* A fault for each PMD, and a page table for those that need one. */
static void check_cost(struct buffer *buffer, size_t shift, bool by_pmd)
{
	size_t whole = (shift + NPAGES) / PMD_PAGES - (shift + PMD_PAGES - 1) / PMD_PAGES;
	size_t parts = (shift + NPAGES + PMD_PAGES - 1) / PMD_PAGES - shift / PMD_PAGES;
	size_t tables = page_tables();

	igt_assert_eq(touch(buffer->buf, NPAGES, false), parts);
	/* One more may be of the level above. */
	tables = page_tables() - tables;
	igt_info("%zu page tables for %zu PMDs\n", tables, parts);
	if (by_pmd)
		igt_assert_lte(tables, parts - whole + 1);
	else
		igt_assert_lte(parts, tables);

	/* All of it is writable now, too. */
	igt_assert_eq(touch(buffer->buf, NPAGES, true), 0);
}

static void test_faults(int dev)
{
	struct buffer buffer = map_buffer(dev, current);

	check_cost(&buffer, current->shift, current->by_pmd && kernel_maps_by_pmd());
	check_contents(&buffer);
	free_buffer(&buffer, current);
}

/* In a memfd, the first of as many small pages as a PMD spans that lie as one could map them */
static size_t find_contiguous(char *mem, size_t count)
{
	uint64_t next = 0, frame;
	size_t i, nr = 0;

	for (i = 0; i < count && nr < PMD_PAGES; i++) {
		frame = page_frame(mem + pages(i));
		nr = frame % PMD_PAGES == 0 ? 1 : nr && frame == next ? nr + 1 : 0;
		next = frame + 1;
	}
	igt_require_f(nr == PMD_PAGES, "no small pages follow each other in memory\n");
	return i - nr;
}

/* Memory need not have come as a huge page. */
static void test_contiguous(int dev)
{
	const size_t size = MIB(128);
	char *mem, *room = reserve(3 * PMD), *buf = room, *beside;
	int memfd = sealed_memfd(SHMEM, size), all, dmabuf;
	size_t first, tables;

	/* Without such entries there is no such file. */
	if (kernel_maps_by_pmd())
		set_shmem_thp("never");
	mem = map_fd(memfd, size);
	memset(mem, 1, size);
	/* Pinned, they stay where they are. */
	all = create(dev, memfd, 0, size);
	first = find_contiguous(mem, size / page_size());
	dmabuf = create(dev, memfd, pages(first), PMD);
	fill(mem + pages(first), 0, PMD_PAGES, 1);

	/* With a table of the level above, which it has in common with what lies behind. */
	if (((uintptr_t)buf + PMD) % (PMD * PMD_PAGES) == 0)
		buf += PMD;
	beside = buf + PMD;
	igt_assert(mmap(beside, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE |
			MAP_ANONYMOUS | MAP_FIXED, -1, 0) == beside);
	*beside = 1;

	map_at(buf, dmabuf, 0, PMD_PAGES, PROT_READ | PROT_WRITE);
	tables = page_tables();
	igt_assert_eq(touch(buf, PMD_PAGES, true), 1);
	igt_assert_eq(page_tables() - tables, kernel_maps_by_pmd() ? 0 : 1);
	igt_assert_eq(count_filled(buf, 0, PMD_PAGES, 1), PMD_PAGES);
	fill(buf, 0, PMD_PAGES, 2);
	igt_assert_eq(count_filled(mem + pages(first), 0, PMD_PAGES, 2), PMD_PAGES);
	unmap(room, 3 * PMD);
	unmap(mem, size);
	close(dmabuf);
	close(all);
	close(memfd);
}

/* Transparent huge pages are nobody's wish. */
static void test_thp_never(int dev)
{
	struct buffer buffer;

	set("/sys/kernel/mm/transparent_hugepage/enabled", "never");
	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		buffer = map_buffer(dev, both[i]);
		check_cost(&buffer, 0, both[i]->by_pmd && kernel_maps_by_pmd());
		check_contents(&buffer);
		free_buffer(&buffer, both[i]);
	}
}

/* Some pages of huge ones, and small ones between them. */
static void test_mixed(int dev)
{
	int huge = sealed_memfd(HUGE_PMD, SIZE), small = sealed_memfd(SHMEM, SIZE);
	char *in_huge = map_fd(huge, SIZE), *in_small = map_fd(small, SIZE);
	struct udmabuf_create_item items[] = {
		{ .memfd = huge, .offset = 0, .size = PMD / 2 },
		{ .memfd = small, .offset = 0, .size = PMD / 2 },
		{ .memfd = huge, .offset = PMD, .size = PMD },
		{ .memfd = small, .offset = PMD / 2, .size = pages(1) },
		{ .memfd = huge, .offset = 2 * PMD + pages(1), .size = 3 * PMD / 2 },
	};
	size_t count = 7 * PMD_PAGES / 2 + 1, page = 0;
	char *room = reserve(SIZE);
	int dmabuf;

	for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
		size_t nr = items[i].size / page_size();

		fill((items[i].memfd == (uint32_t)huge ? in_huge : in_small) + items[i].offset,
		     page, nr, 1);
		page += nr;
	}
	dmabuf = create_list(dev, ARRAY_SIZE(items), items);
	for (size_t first = 0; first < count; first += PMD_PAGES / 3 + 3) {
		map_at(room, dmabuf, first, count - first, PROT_READ | PROT_WRITE);
		igt_assert_eq(count_filled(room, first, count - first, 1), count - first);
		unmap(room, pages(count - first));
	}
	unmap(room, SIZE);
	unmap(in_huge, SIZE);
	unmap(in_small, SIZE);
	close(dmabuf);
	close(huge);
	close(small);
}

/* A window that begins and ends anywhere, between others' pages. */
static void check_window(const struct buffer *buffer, size_t first, size_t count)
{
	char *buf = buffer->buf;

	igt_assert(mmap(buf, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE |
			MAP_ANONYMOUS | MAP_FIXED, -1, 0) == buf);
	map_at(buf + pages(first), buffer->dmabuf, first, count, PROT_READ | PROT_WRITE);
	igt_assert_eq(count_filled(buf + pages(first), first, count, 1), count);
	igt_assert_eq(count_zero(buf, first), first);
	igt_assert_eq(count_zero(buf + pages(first + count), NPAGES - first - count),
		      NPAGES - first - count);
}

static void test_windows(int dev)
{
	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		struct buffer buffer = make_buffer(dev, both[i]);

		check_window(&buffer, 0, PMD_PAGES - 1);
		check_window(&buffer, 1, PMD_PAGES - 1);
		check_window(&buffer, PMD_PAGES - 1, 2);
		check_window(&buffer, 100, 1);
		check_window(&buffer, PMD_PAGES, PMD_PAGES);
		check_window(&buffer, PMD_PAGES + 1, 2 * PMD_PAGES);
		free_buffer(&buffer, both[i]);
	}
}

/*
 * A mapping that spans an entry of the level above a PMD's: where transparent huge pages
 * are enabled, the core asks for that first. All of it is one huge page.
 */
static void test_gib(int dev)
{
	size_t count = GIB(1) / PMD, last = GIB(1) - PMD;
	struct udmabuf_create_item *items = calloc(count, sizeof(*items));
	int memfd = sealed_memfd(HUGE_PMD, PMD), dmabuf;
	char *mem = map_fd(memfd, PMD), *room = reserve(GIB(2)), *buf;

	igt_assert(items);
	for (size_t i = 0; i < count; i++) {
		items[i].memfd = memfd;
		items[i].size = PMD;
	}
	dmabuf = create_list(dev, count, items);
	free(items);
	fill(mem, 0, PMD_PAGES, 1);
	set("/sys/kernel/mm/transparent_hugepage/enabled", "always");
	buf = room + (-(uintptr_t)room & (GIB(1) - 1));
	map_at(buf, dmabuf, 0, GIB(1) / page_size(), PROT_READ | PROT_WRITE);
	igt_assert_eq(count_filled(buf + last, 0, PMD_PAGES, 1), PMD_PAGES);
	fill(buf, 0, PMD_PAGES, 2);
	igt_assert_eq(count_filled(mem, 0, PMD_PAGES, 2), PMD_PAGES);
	unmap(room, GIB(2));
	unmap(mem, PMD);
	close(dmabuf);
	close(memfd);
}

/* Whoever watches for writes has new mappings begin as read-only ones. */
static void test_soft_dirty(int dev)
{
	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		struct buffer buffer = map_buffer(dev, both[i]);

		igt_require_f(!write_line("/proc/self/clear_refs", "4"),
			      "no soft-dirty bits\n");
		touch(buffer.buf, NPAGES, false);
		check_contents(&buffer);
		free_buffer(&buffer, both[i]);
	}
}

static void check_refused(char *buf)
{
	static const unsigned int flags[] = {
		0, PIN_TEST_WRITE, PIN_TEST_LONGTERM, PIN_TEST_WRITE | PIN_TEST_LONGTERM,
	};
	struct iovec local, remote = { .iov_base = buf, .iov_len = page_size() };
	char byte;

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		igt_assert_eq_s64(try_pin(PIN_TEST_FAST, flags[i], buf, 8), -EFAULT);
		igt_assert_eq_s64(try_pin(PIN_TEST_SLOW, flags[i], buf, 8), -EFAULT);
		igt_assert_eq_s64(try_pin(PIN_TEST_REMOTE, flags[i], buf, 8), -EFAULT);
	}
	igt_assert_eq_s64(try_pin(PIN_TEST_FAST_ONLY, 0, buf, 8), 0);
	igt_assert_eq_s64(try_pin(PIN_TEST_FAST_ONLY, PIN_TEST_WRITE, buf, 8), 0);

	local = (struct iovec){ .iov_base = &byte, .iov_len = 1 };
	igt_assert_eq(process_vm_readv(getpid(), &local, 1, &remote, 1, 0), -1);
	igt_assert_eq(errno, EFAULT);
}

/* Whatever maps them, the pages are the exporter's, and nobody pins them here. */
static void test_pin_refused(int dev)
{
	igt_require_f(!access("/dev/pin_test", R_OK | W_OK), "no /dev/pin_test\n");
	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		struct buffer buffer = map_buffer(dev, both[i]);

		check_refused(buffer.buf);
		touch(buffer.buf, NPAGES, true);
		check_refused(buffer.buf);
		check_refused(buffer.buf + PMD - pages(4));
		free_buffer(&buffer, both[i]);
	}
}

static int register_userfault(const struct buffer *buffer)
{
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC), ret;
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { .start = (uintptr_t)buffer->buf, .len = SIZE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	igt_require_f(fd >= 0, "no userfaultfd\n");
	igt_assert_eq(ioctl(fd, UFFDIO_API, &api), 0);
	ret = ioctl(fd, UFFDIO_REGISTER, &range) ? -errno : 0;
	close(fd);
	return ret;
}

/* What would take pages out of the page table is refused; looking does no harm. */
static void test_advice(int dev)
{
	static const int advices[] = {
		MADV_DONTNEED, MADV_FREE, MADV_COLD, MADV_PAGEOUT, 25 /* MADV_COLLAPSE */,
	};
	char chunk[4096];

	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		struct buffer buffer = map_buffer(dev, both[i]);
		FILE *smaps;

		touch(buffer.buf, NPAGES, true);
		for (size_t n = 0; n < ARRAY_SIZE(advices); n++)
			igt_assert_eq(madvise(buffer.buf, SIZE, advices[n]), -1);
		igt_assert_eq(register_userfault(&buffer), -EINVAL);
		smaps = fopen("/proc/self/smaps", "r");
		igt_assert(smaps);
		while (fread(chunk, 1, sizeof(chunk), smaps))
			;
		fclose(smaps);
		igt_assert_eq(touch(buffer.buf, NPAGES, true), 0);
		check_contents(&buffer);
		free_buffer(&buffer, both[i]);
	}
}

/* A driver that has imported the buffer maps it. */
static void test_vgem(int dev)
{
	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		int vgem = drm_open_driver(DRIVER_VGEM);
		uint64_t offset = next_vgem_offset(vgem, SIZE);
		struct buffer buffer = make_buffer(dev, both[i]);
		uint32_t handle = prime_fd_to_handle(vgem, buffer.dmabuf);

		igt_assert(mmap(buffer.buf, SIZE, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_FIXED, vgem, offset) == buffer.buf);
		check_cost(&buffer, 0, both[i]->by_pmd && kernel_maps_by_pmd());
		check_contents(&buffer);
		free_buffer(&buffer, both[i]);
		gem_close(vgem, handle);
		drm_close_driver(vgem);
	}
}

void udmabuf_pmd_subtests(int dev)
{
	for (current = layouts; current < layouts + ARRAY_SIZE(layouts); current++) {
		igt_describe_f("A fault maps all of its 2 MiB, with a page table or without, and "
			       "the contents are right, with %s", current->name);
		igt_subtest_f("pmd-faults-%s", current->name)
			udmabuf_test(test_faults, dev);
	}
	igt_describe("The same where transparent huge pages are disabled");
	igt_subtest("pmd-thp-never")
		udmabuf_test(test_thp_never, dev);
	igt_describe("Small pages that follow each other in memory are mapped as one, but where "
		     "the processor cannot (clearcpuid=pse)");
	igt_subtest("pmd-contiguous")
		udmabuf_test(test_contiguous, dev);
	igt_describe("A buffer of huge, parts of huge, and small pages, mapped from anywhere on");
	igt_subtest("pmd-mixed")
		udmabuf_test(test_mixed, dev);
	igt_describe("Small mappings map nothing beside themselves");
	igt_subtest("pmd-windows")
		udmabuf_test(test_windows, dev);
	igt_describe("A mapping of 1 GiB, which could be one entry of the level above");
	igt_subtest("pmd-gib")
		udmabuf_test(test_gib, dev);
	igt_describe("Writing to what was mapped read-only to watch for writes");
	igt_subtest("pmd-soft-dirty")
		udmabuf_test(test_soft_dirty, dev);
	igt_describe("No function that pins user memory pins the pages of a mapping");
	igt_subtest("pmd-pin-refused")
		udmabuf_test(test_pin_refused, dev);
	igt_describe("madvise() and userfaultfd cannot take the pages out of a mapping");
	igt_subtest("pmd-advice")
		udmabuf_test(test_advice, dev);
	igt_describe("Faults in a mapping by vgem, which has imported the buffer");
	igt_subtest("pmd-vgem")
		udmabuf_test(test_vgem, dev);
	udmabuf_pmd_change_subtests(dev);
}
