// SPDX-License-Identifier: MIT
/*
 * A device attaches to a dma-buf and maps it at once, by way of /dev/pin_test: what
 * it is given is as few pieces as the memory allows.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#include "igt.h"
#include "phys_helper.h"
#include "pin_test_helper.h"
#include "udmabuf.h"

#define NPAGES		((unsigned int)(4 * HUGE_PAGES))
#define DEFAULT_SEG	(64 << 10)

/* One page in so many lies elsewhere in the dma-buf than in the memfd; 0: none */
static const struct memory {
	const char *name;
	enum backing backing;
	unsigned int out_of_order;
} memories[] = {
	{ "shmem", SHMEM, 0 },
	{ "shmem-mixed", SHMEM, 8 },
	{ "thp", THP, 0 },
	{ "hugetlb", HUGE_2M, 0 },
	{ "hugetlb-mixed", HUGE_2M, 8 },
};

static const struct memory *current;

static int __attach(int test, int fd, uint32_t max_seg_size,
		    struct pin_test_attach *arg)
{
	*arg = (struct pin_test_attach) {
		.fd = fd,
		.max_seg_size = max_seg_size,
	};
	return ioctl(test, PIN_TEST_ATTACH, arg) ? -errno : 0;
}

static struct pin_test_attach attach(int test, int fd, uint32_t max_seg_size)
{
	struct pin_test_attach arg;

	igt_assert_eq(__attach(test, fd, max_seg_size, &arg), 0);
	return arg;
}

static void detach(int test)
{
	uint64_t ns;

	igt_assert_eq(ioctl(test, PIN_TEST_DETACH, &ns), 0);
}

/* The page of the memfd that is page @i of the dma-buf */
static unsigned int source(unsigned int i)
{
	unsigned int n = current->out_of_order;

	return n && i % n == 0 ? (i + 3 * n) % NPAGES : i;
}

static bool begins_slice(unsigned int i)
{
	return !i || source(i) != source(i - 1) + 1;
}

static int make_dmabuf(int dev, int memfd)
{
	struct udmabuf_create_item items[NPAGES];
	unsigned int count = 0;

	for (unsigned int i = 0; i < NPAGES; i++) {
		if (begins_slice(i))
			items[count++] = (struct udmabuf_create_item) {
				.memfd = memfd,
				.offset = pages(source(i)),
			};
		items[count - 1].size += page_size();
	}
	return create_list(dev, count, items);
}

/*
 * Pieces of at most @max pages that lie in one slice, and follow each other in
 * memory as in the dma-buf. Slices that happen to do so stay apart.
 */
static unsigned int count_pieces(int memfd, size_t max)
{
	int pins = pin_memfd(PIN_TEST_MEMFD, memfd, 0, pages(NPAGES));
	unsigned int count = 0;
	uint64_t next = 0;
	size_t len = 0;

	for (unsigned int i = 0; i < NPAGES; i++) {
		struct pin_test_page page = query(pins, source(i));

		if (begins_slice(i) || page.pfn + page.index != next ||
		    len == max) {
			count++;
			len = 0;
		}
		next = page.pfn + page.index + 1;
		len++;
	}
	unpin(pins, PIN_TEST_CLEAN);
	return count;
}

static void check_attach(int test, int fd, int memfd, uint32_t max_seg_size)
{
	size_t max = (max_seg_size ?: DEFAULT_SEG) / page_size();
	struct pin_test_attach arg = attach(test, fd, max_seg_size);

	igt_assert_eq(arg.entries, count_pieces(memfd, max));
	igt_assert_eq(arg.segments, arg.entries);
	igt_assert_eq_u64(arg.bytes, pages(NPAGES));
	detach(test);
}

static void test_attach(int dev)
{
	int memfd = sealed_memfd(current->backing, pages(NPAGES));
	int test = open_device(), fd;
	void *mem = map_fd(memfd, pages(NPAGES));

	fill(mem, 0, NPAGES, 1);
	unmap(mem, pages(NPAGES));
	fd = make_dmabuf(dev, memfd);
	check_attach(test, fd, memfd, 0);
	check_attach(test, fd, memfd, UINT32_MAX & ~(page_size() - 1));
	/* Neither a power of two, nor a divider of any folio's size */
	check_attach(test, fd, memfd, pages(7));
	check_attach(test, fd, memfd, page_size());
	close(fd);
	close(test);
	close(memfd);
}

static void test_refused(int dev)
{
	int memfd = sealed_memfd(SHMEM, page_size()), test = open_device();
	int fd = create(dev, memfd, 0, page_size()), gone = dup(fd);
	struct pin_test_attach arg;
	int64_t pins = pins_held();
	uint64_t ns;

	close(gone);
	igt_assert_eq(__attach(test, gone, 0, &arg), -EBADF);
	igt_assert_eq(__attach(test, -1, 0, &arg), -EBADF);
	igt_assert_eq(__attach(test, memfd, 0, &arg), -EINVAL);
	igt_assert_eq(__attach(test, fd, page_size() + 1, &arg), -EINVAL);
	arg = (struct pin_test_attach) { .fd = fd, .flags = PIN_TEST_NONCOHERENT | PIN_TEST_EDU };
	igt_assert_eq(ioctl(test, PIN_TEST_ATTACH, &arg), -1);
	igt_assert_eq(errno, EINVAL);
	igt_assert_eq(ioctl(test, PIN_TEST_DETACH, &ns), -1);
	igt_assert_eq(errno, ENODATA);

	attach(test, fd, 0);
	igt_assert_eq(__attach(test, fd, 0, &arg), -EBUSY);
	/* The device has the memory for as long as it is attached. */
	close(fd);
	igt_assert_eq_s64(pins_held(), pins);
	close(test);
	igt_assert_eq_s64(pins_held(), pins - 1);
	close(memfd);
}

void udmabuf_attach_subtests(int dev)
{
	for (current = memories; current < memories + ARRAY_SIZE(memories);
	     current++) {
		igt_describe_f("A device that attaches and maps at once gets %s in as few pieces "
			       "as lie in memory, and split no more than its longest segment "
			       "asks for", current->name);
		igt_subtest_f("attach-%s", current->name) {
			igt_require_f(!access("/dev/pin_test", F_OK),
				      "no /dev/pin_test\n");
			require_pinnable(current->backing);
			udmabuf_test(test_attach, dev);
		}
	}
	igt_describe("The test device refuses what is no dma-buf, and lets go of what it was "
		     "attached to when it is closed");
	igt_subtest("attach-refused") {
		igt_require_f(!access("/dev/pin_test", F_OK),
			      "no /dev/pin_test\n");
		udmabuf_test(test_refused, dev);
	}
}
