// SPDX-License-Identifier: MIT
/*
 * What the tests of udmabufs on a display share: pictures in memfds.
 */
#include <sched.h>
#include <string.h>

#include "igt.h"
#include "kms_udmabuf.h"

#define SIZE		MIB(4)
#define PATTERN		7

/*
 * From the middle of one huge page into the next; or, of small ones, such that no
 * two of them can be taken for one piece.
 */
const struct place places[4] = {
	[SMALL] = { "shmem", SHMEM, 3, 1 },
	[THP_MIDDLE] = { "thp-middle", THP, 450, 1 },
	[HUGETLB_MIDDLE] = { "hugetlb-middle", HUGE_2M, 450, 1 },
	[SCATTERED] = { "scattered", SHMEM, 5, 2 },
};

static void (*current)(int dev, int vkms);
static int display;

void await_pins(int64_t count)
{
	while (pins_held() != count)
		sched_yield();
}

static void run_and_wait(int dev)
{
	int64_t pins = pins_held();

	current(dev, display);
	await_pins(pins);
}

void kms_test(void (*test)(int dev, int vkms), int dev, int vkms)
{
	current = test;
	display = vkms;
	/* In case the last subtest failed halfway. */
	restore_settings();
	show_nothing(vkms);
	udmabuf_test(run_and_wait, dev);
}

static uint32_t colour(int pixel, uint32_t number)
{
	return 0xff000000 | (((pixel + 1) * 0x9e3779b1 ^ number * 0x85ebca6b) >> 8);
}

void draw(uint32_t *pixels, uint32_t number)
{
	for (int i = 0; i < FRAME_PIXELS; i++)
		pixels[i] = colour(i, number);
}

int count_wrong(const uint32_t *pixels, uint32_t number)
{
	int wrong = 0;

	for (int i = 0; i < FRAME_PIXELS; i++)
		wrong += pixels[i] != colour(i, number);
	return wrong;
}

static size_t file_page(const struct place *place, size_t i)
{
	return place->first + i * place->step;
}

static char *page_at(const struct frame *frame, size_t i)
{
	return frame->mem + pages(file_page(frame->place, i));
}

void draw_frame(const struct frame *frame, uint32_t number)
{
	char *picture = malloc(pages(FRAME_PAGES));

	igt_assert(picture);
	draw((uint32_t *)picture, number);
	for (size_t i = 0; i < FRAME_PAGES; i++)
		memcpy(page_at(frame, i), picture + pages(i), page_size());
	free(picture);
}

int count_wrong_in_frame(const struct frame *frame, uint32_t number)
{
	char *picture = malloc(pages(FRAME_PAGES));
	int wrong;

	igt_assert(picture);
	for (size_t i = 0; i < FRAME_PAGES; i++)
		memcpy(picture + pages(i), page_at(frame, i), page_size());
	wrong = count_wrong((uint32_t *)picture, number);
	free(picture);
	return wrong;
}

void check_beside(const struct frame *frame)
{
	size_t next = 0;

	for (size_t page = 0; page < SIZE / page_size(); page++)
		if (next < FRAME_PAGES && page == file_page(frame->place, next))
			next++;
		else
			igt_assert_eq(count_filled(frame->mem + pages(page), page, 1,
						   PATTERN), 1);
}

struct frame make_frame(int dev, const struct place *place)
{
	struct frame frame = { .place = place };
	struct udmabuf_create_item items[FRAME_PAGES];
	int64_t thp = vmstat("nr_shmem_hugepages");

	frame.memfd = sealed_memfd(place->backing, SIZE);
	frame.mem = map_fd(frame.memfd, SIZE);
	fill(frame.mem, 0, SIZE / page_size(), PATTERN);
	if (place->backing == THP)
		igt_require_f(vmstat("nr_shmem_hugepages") - thp == (int64_t)(whole_folios(THP, SIZE) / PMD),
			      "no transparent huge pages for shmem\n");
	for (size_t i = 0; i < FRAME_PAGES; i++)
		items[i] = (struct udmabuf_create_item) {
			.memfd = frame.memfd,
			.offset = pages(file_page(place, i)),
			.size = page_size(),
		};
	frame.dmabuf = create_list(dev, FRAME_PAGES, items);
	return frame;
}

void close_frame(struct frame *frame)
{
	unmap(frame->mem, SIZE);
	close(frame->memfd);
	close(frame->dmabuf);
}
