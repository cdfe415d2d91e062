// SPDX-License-Identifier: MIT
/*
 * A display that writes what it shows into a udmabuf.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "igt.h"
#include "kms_udmabuf.h"
#include "udmabuf_ext_helper.h"

static const struct place *place;

static struct own_fb shown_picture(int vkms, uint32_t number)
{
	struct own_fb own = make_own_fb(vkms);

	draw(own.pixels, number);
	return own;
}

/* The second one by the same import */
static void test_write(int dev, int vkms)
{
	struct frame frame = make_frame(dev, place);
	uint32_t fb = import_fb(vkms, frame.dmabuf);
	struct own_fb own = shown_picture(vkms, 1);

	show(vkms, own.fb, fb);
	igt_assert_eq(count_wrong_in_frame(&frame, 1), 0);
	draw(own.pixels, 2);
	show(vkms, own.fb, fb);
	igt_assert_eq(count_wrong_in_frame(&frame, 2), 0);
	check_beside(&frame);
	close_own_fb(vkms, &own);
	remove_fb(vkms, fb);
	close_frame(&frame);
}

/* From one udmabuf to another, without memory of the display's own. */
static void test_copy(int dev, int vkms)
{
	struct frame from = make_frame(dev, &places[SCATTERED]);
	struct frame to = make_frame(dev, &places[THP_MIDDLE]);
	uint32_t shown = import_fb(vkms, from.dmabuf);
	uint32_t written = import_fb(vkms, to.dmabuf);

	draw_frame(&from, 1);
	show(vkms, shown, written);
	igt_assert_eq(count_wrong_in_frame(&to, 1), 0);
	igt_assert_eq(count_wrong_in_frame(&from, 1), 0);
	check_beside(&from);
	check_beside(&to);
	remove_fb(vkms, written);
	remove_fb(vkms, shown);
	close_frame(&to);
	close_frame(&from);
}

/* Nobody but the display has ever touched the memory when all is let go of. */
static void test_survives(int dev, int vkms)
{
	int memfd = sealed_memfd(SHMEM, pages(FRAME_PAGES));
	int dmabuf = create(dev, memfd, 0, pages(FRAME_PAGES));
	uint32_t fb = import_fb(vkms, dmabuf);
	struct own_fb own = shown_picture(vkms, 1);
	int64_t pins = pins_held();
	char *mem;

	show(vkms, own.fb, fb);
	close_own_fb(vkms, &own);
	remove_fb(vkms, fb);
	close(dmabuf);
	await_pins(pins - FRAME_PAGES);
	drop_caches();
	mem = map_fd(memfd, pages(FRAME_PAGES));
	igt_assert_eq(count_wrong((uint32_t *)mem, 1), 0);
	unmap(mem, pages(FRAME_PAGES));
	close(memfd);
}

/*
 * vkms maps what it shows or writes into the kernel, which is not to be had of a
 * read-only dma-buf, even where the administrator lets it attach.
 */
static void test_readonly(int dev, int vkms)
{
	int memfd = sealed_memfd(SHMEM, pages(FRAME_PAGES)), dmabuf;
	struct own_fb own = shown_picture(vkms, 1);
	char *mem = map_fd(memfd, pages(FRAME_PAGES));
	uint32_t handle, fb;

	draw((uint32_t *)mem, 2);
	seal(memfd, F_SEAL_FUTURE_WRITE);
	dmabuf = create_flags(dev, UDMABUF_FLAGS_READONLY, memfd, 0,
			      pages(FRAME_PAGES));
	igt_assert_eq(import_into(vkms, dmabuf, &handle), -EPERM);
	set_module_attribute(dev, READONLY_ATTACH, UDMABUF_ATTACH_ALWAYS);
	fb = import_fb(vkms, dmabuf);
	igt_assert_eq(__show(vkms, fb, 0), -EINVAL);
	igt_assert_eq(__show(vkms, own.fb, fb), -EINVAL);
	igt_assert_eq(count_wrong((uint32_t *)mem, 2), 0);
	remove_fb(vkms, fb);
	close(dmabuf);
	close_own_fb(vkms, &own);
	unmap(mem, pages(FRAME_PAGES));
	close(memfd);
}

void kms_udmabuf_write_subtests(int dev, int vkms)
{
	for (place = places; place < places + ARRAY_SIZE(places); place++) {
		igt_describe_f("What the display writes is in the memfd, and in no page beside "
			       "it, with %s", place->name);
		igt_subtest_f("write-%s", place->name)
			kms_test(test_write, dev, vkms);
	}
	igt_describe("Shown from one udmabuf and written to another");
	igt_subtest("write-copy")
		kms_test(test_copy, dev, vkms);
	igt_describe("What was written to holes of the memfd survives the end of the dma-buf and "
		     "drop_caches");
	igt_subtest("write-survives-reclaim")
		kms_test(test_survives, dev, vkms);
	igt_describe("A read-only dma-buf is neither shown nor written to");
	igt_subtest("write-readonly")
		kms_test(test_readonly, dev, vkms);
}
