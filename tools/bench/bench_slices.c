// SPDX-License-Identifier: GPL-2.0
/*
 * What a compositor does with a terminal that scrolls: the terminal's next frame is a
 * slice of the same large pool, a little further on. A dma-buf of it is made and
 * imported, and then that of the last frame closed.
 */
#include <unistd.h>

#include "bench_helper.h"

#define POOL		MIB(32)
#define SLICE		(322 * PAGE)	/* what foot's frame has of KWin */
#define STEPS		16

/* By how many percent a slice overlaps with the one before */
static const unsigned int overlaps[] = { 90, 50, 0 };

static void measure(const struct kind *kind, const struct driver *driver, int memfd,
		    unsigned int overlap)
{
	size_t step = SLICE / PAGE * (100 - overlap) / 100 * PAGE;
	uint64_t created = 0, imported = 0, closed = 0, start;
	int tests[2] = { open_test(), open_test() }, dmabufs[2];

	dmabufs[0] = create(driver, memfd, SLICE);
	attach(tests[0], dmabufs[0], LONG_SEGMENTS);
	for (int i = 1; i <= STEPS; i++) {
		int new = i % 2, old = !new;

		start = now();
		dmabufs[new] = create_slice(driver, memfd, i * step, SLICE);
		created += now() - start;
		imported += attach(tests[new], dmabufs[new], LONG_SEGMENTS).attach_ns;
		closed += detach(tests[old]);
		start = now();
		close(dmabufs[old]);
		closed += now() - start;
	}
	detach(tests[STEPS % 2]);
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
