// SPDX-License-Identifier: MIT
/*
 * A display that shows what is in a udmabuf.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <xf86drm.h>

#include "igt.h"
#include "kms_udmabuf.h"
#include "process_helper.h"

static const struct place *place;

/* Has the display write to memory of its own what it shows, pixel by pixel. */
static void check_shown(int vkms, uint32_t fb, uint32_t number)
{
	struct own_fb own = make_own_fb(vkms);

	show(vkms, fb, own.fb);
	igt_assert_eq(count_wrong(own.pixels, number), 0);
	close_own_fb(vkms, &own);
}

static void test_show(int dev, int vkms)
{
	struct frame frame = make_frame(dev, place);
	uint32_t fb = import_fb(vkms, frame.dmabuf);

	draw_frame(&frame, 1);
	check_shown(vkms, fb, 1);
	check_beside(&frame);
	remove_fb(vkms, fb);
	close_frame(&frame);
}

/* The display is told nothing between the first picture and the second. */
static void test_crc(int dev, int vkms)
{
	struct frame frame = make_frame(dev, &places[SMALL]);
	uint32_t fb = import_fb(vkms, frame.dmabuf), crcs[2];
	struct own_fb own = make_own_fb(vkms);

	show(vkms, own.fb, 0);
	for (int i = 0; i < 2; i++) {
		draw(own.pixels, i);
		crcs[i] = shown_crc(vkms);
	}
	igt_assert(crcs[0] != crcs[1]);

	draw_frame(&frame, 0);
	show(vkms, fb, 0);
	igt_assert_eq_u64(shown_crc(vkms), crcs[0]);
	draw_frame(&frame, 1);
	igt_assert_eq_u64(shown_crc(vkms), crcs[1]);
	close_own_fb(vkms, &own);
	remove_fb(vkms, fb);
	close_frame(&frame);
}

/* As a compositor's client does it: both in one memfd, and shown in turn. */
static void test_flip(int dev, int vkms)
{
	int memfd = sealed_memfd(SHMEM, pages(2 * FRAME_PAGES)), dmabufs[2];
	char *mem = map_fd(memfd, pages(2 * FRAME_PAGES));
	uint32_t fbs[2];

	for (int i = 0; i < 2; i++) {
		dmabufs[i] = create(dev, memfd, i * pages(FRAME_PAGES),
				    pages(FRAME_PAGES));
		fbs[i] = import_fb(vkms, dmabufs[i]);
	}
	for (int i = 0; i < 4; i++) {
		draw((uint32_t *)(mem + pages(i % 2 * FRAME_PAGES)), i);
		check_shown(vkms, fbs[i % 2], i);
	}
	for (int i = 0; i < 2; i++) {
		remove_fb(vkms, fbs[i]);
		close(dmabufs[i]);
	}
	unmap(mem, pages(2 * FRAME_PAGES));
	close(memfd);
}

/* A page less than the picture needs */
static void test_too_small(int dev, int vkms)
{
	int memfd = sealed_memfd(SHMEM, pages(FRAME_PAGES));
	int dmabuf = create(dev, memfd, 0, pages(FRAME_PAGES - 1));
	uint32_t handle = prime_fd_to_handle(vkms, dmabuf), fb;

	igt_assert_eq(__add_fb(vkms, handle, &fb), -EINVAL);
	gem_close(vkms, handle);
	close(dmabuf);
	close(memfd);
}

/* Nobody has it but the display. */
static void test_outlives(int dev, int vkms)
{
	int64_t pins = pins_held();
	struct frame frame = make_frame(dev, &places[SMALL]);
	uint32_t fb = import_fb(vkms, frame.dmabuf);

	draw_frame(&frame, 1);
	close_frame(&frame);
	drop_caches();
	igt_assert_eq_s64(pins_held() - pins, FRAME_PAGES);
	check_shown(vkms, fb, 1);
	remove_fb(vkms, fb);
	await_pins(pins);
}

static int master;

static void be_master(void)
{
	drmSetMaster(master);
}

/* On the screen, and known to nobody else, when its process dies. */
static void test_killed(int dev, int vkms)
{
	int64_t pins = pins_held();
	int sockets[2], status;
	pid_t pid;

	make_sockets(sockets);
	master = vkms;
	undo_at_end(be_master);
	igt_assert_eq(drmDropMaster(vkms), 0);
	own_child(pid) {
		int display = open_vkms();
		struct frame frame = make_frame(dev, &places[SMALL]);

		show(display, import_fb(display, frame.dmabuf), 0);
		close_frame(&frame);
		tell(sockets[1]);
		pause();
	}
	close(sockets[1]);
	await(sockets[0]);
	igt_assert_eq_s64(pins_held() - pins, FRAME_PAGES);
	igt_assert_eq(kill(pid, SIGKILL), 0);
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	close(sockets[0]);
	await_pins(pins);
}

void kms_udmabuf_show_subtests(int dev, int vkms)
{
	/*
	 * Before anything is written: when vkms lets go of what it has written to, it
	 * stops to make checksums, too.
	 */
	igt_describe("The checksum is that of the same picture in the display's own memory, and "
		     "follows what is written to the memfd without a new import or commit");
	igt_subtest("show-crc")
		kms_test(test_crc, dev, vkms);
	for (place = places; place < places + ARRAY_SIZE(places); place++) {
		igt_describe_f("What is shown is what was written to the memfd, pixel by pixel, "
			       "with %s", place->name);
		igt_subtest_f("show-%s", place->name)
			kms_test(test_show, dev, vkms);
	}
	igt_describe("Two dma-bufs of one memfd, shown in turn");
	igt_subtest("show-flip")
		kms_test(test_flip, dev, vkms);
	igt_describe("A dma-buf that is smaller than the picture is refused");
	igt_subtest("show-too-small")
		kms_test(test_too_small, dev, vkms);
	igt_describe("The picture stays when memfd, dma-buf and handle are closed; its pages stay "
		     "pinned as long as the framebuffer is there, and not longer");
	igt_subtest("show-outlives")
		kms_test(test_outlives, dev, vkms);
	igt_describe("Nothing stays pinned when a process dies whose frame is on the screen");
	igt_subtest("show-killed")
		kms_test(test_killed, dev, vkms);
}
