// SPDX-License-Identifier: GPL-2.0
/*
 * What a compositor does with a terminal that scrolls: the terminal's next frame is a
 * slice of the same large pool, a little further on. A dma-buf of it is made and
 * imported, and then that of the last frame closed.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/pin_test.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bench_helper.h"

#define POOL		MIB(32)
#define SLICE		(322 * PAGE)	/* what foot's frame has of KWin */
#define STEPS		16

/* By how many percent a slice overlaps with the one before */
static const unsigned int overlaps[] = { 90, 50, 0 };

/* By a device that takes long segments, as a GPU's driver says; without making that */
static uint64_t import(int test, int dmabuf)
{
	struct pin_test_attach arg = { .fd = dmabuf, .max_seg_size = UINT32_MAX & ~(PAGE - 1) };

	if (ioctl(test, PIN_TEST_ATTACH, &arg))
		err(1, "PIN_TEST_ATTACH");
	return arg.attach_ns;
}

static uint64_t forget(int test)
{
	uint64_t ns;

	if (ioctl(test, PIN_TEST_DETACH, &ns))
		err(1, "PIN_TEST_DETACH");
	return ns;
}

static int open_test(void)
{
	int test = open("/dev/pin_test", O_RDWR | O_CLOEXEC);

	if (test < 0)
		err(1, "/dev/pin_test");
	return test;
}

static void measure(const struct kind *kind, const struct driver *driver, int memfd,
		    unsigned int overlap)
{
	size_t step = SLICE / PAGE * (100 - overlap) / 100 * PAGE;
	uint64_t created = 0, imported = 0, closed = 0, start;
	int tests[2] = { open_test(), open_test() }, dmabufs[2];

	dmabufs[0] = create(driver, memfd, SLICE);
	import(tests[0], dmabufs[0]);
	for (int i = 1; i <= STEPS; i++) {
		int new = i % 2, old = !new;

		start = now();
		dmabufs[new] = create_slice(driver, memfd, i * step, SLICE);
		created += now() - start;
		imported += import(tests[new], dmabufs[new]);
		closed += forget(tests[old]);
		start = now();
		close(dmabufs[old]);
		closed += now() - start;
	}
	forget(tests[STEPS % 2]);
	close(dmabufs[STEPS % 2]);
	close(tests[0]);
	close(tests[1]);
	result("\"kind\": \"%s\", \"driver\": \"%s\", \"step\": \"slices\", "
	       "\"overlap\": %u, \"create\": %llu, \"import\": %llu, \"close\": %llu",
	       kind->name, driver->name, overlap, (unsigned long long)created / STEPS,
	       (unsigned long long)imported / STEPS, (unsigned long long)closed / STEPS);
}

void bench_slices(const struct kind *kind)
{
	int memfd;

	if (kind->unit > HUGE || !has_huge_pages(kind, POOL))
		return;
	memfd = make_memfd(kind, POOL);
	for (size_t i = 0; i < ARRAY_SIZE(overlaps); i++)
		for (size_t d = 0; d < ARRAY_SIZE(drivers); d++)
			measure(kind, &drivers[d], memfd, overlaps[i]);
	close(memfd);
}
