// SPDX-License-Identifier: MIT
/*
 * A driver that maps a udmabuf into the kernel (vmap): vivid, the virtual video
 * camera, writes its frames that way when it is given dma-bufs to put them in.
 */
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "igt.h"
#include "udmabuf.h"
#include "vivid_helper.h"

/* A frame of 640 x 360 pixels of 4 bytes is exactly 225 pages. */
/* Pictures that fill whole pages, of 4 KiB or of 16 KiB */
#define SCALE		(page_size() == 4096 ? 1 : 2)
#define WIDTH		(640 * SCALE)
#define HEIGHT		(360 * SCALE)
#define FRAME_PAGES	225

/* Without the frame counter in the picture, one frame is like the other. */
static void hide_text(int camera)
{
	struct v4l2_query_ext_ctrl query = {
		.id = V4L2_CTRL_FLAG_NEXT_CTRL,
	};
	struct v4l2_control control = { 0 };

	while (!ioctl(camera, VIDIOC_QUERY_EXT_CTRL, &query) &&
	       strcmp(query.name, "OSD Text Mode"))
		query.id |= V4L2_CTRL_FLAG_NEXT_CTRL;
	control.id = query.id;
	control.value = query.maximum;	/* "None" */
	igt_assert_eq(ioctl(camera, VIDIOC_S_CTRL, &control), 0);
}

/* Has the camera fill all buffers: @dmabufs, or its own if that is NULL. */
static void capture(int camera, unsigned int count, const int *dmabufs)
{
	int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	struct v4l2_buffer buffer;

	for (unsigned int i = 0; i < count; i++) {
		if (dmabufs) {
			igt_assert_eq(queue_dmabuf(camera, i, dmabufs[i],
						   pages(FRAME_PAGES)), 0);
			continue;
		}
		buffer = (struct v4l2_buffer) {
			.index = i,
			.type = type,
			.memory = V4L2_MEMORY_MMAP,
		};
		igt_assert_eq(ioctl(camera, VIDIOC_QBUF, &buffer), 0);
	}
	igt_assert_eq(ioctl(camera, VIDIOC_STREAMON, &type), 0);
	for (unsigned int i = 0; i < count; i++) {
		memset(&buffer, 0, sizeof(buffer));
		buffer.type = type;
		buffer.memory = dmabufs ? V4L2_MEMORY_DMABUF : V4L2_MEMORY_MMAP;
		igt_assert_eq(ioctl(camera, VIDIOC_DQBUF, &buffer), 0);
		igt_assert(!(buffer.flags & V4L2_BUF_FLAG_ERROR));
	}
	igt_assert_eq(ioctl(camera, VIDIOC_STREAMOFF, &type), 0);
}

/* A frame in memory that the camera allocated itself. */
static void *reference_frame(int camera)
{
	unsigned int count = request_buffers(camera, V4L2_MEMORY_MMAP);
	struct v4l2_buffer buffer = {
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
		.memory = V4L2_MEMORY_MMAP,
	};
	void *copy = malloc(pages(FRAME_PAGES)), *frame;

	igt_assert(copy);
	capture(camera, count, NULL);
	igt_assert_eq(ioctl(camera, VIDIOC_QUERYBUF, &buffer), 0);
	frame = mmap(NULL, pages(FRAME_PAGES), PROT_READ, MAP_SHARED, camera,
		     buffer.m.offset);
	igt_assert(frame != MAP_FAILED);
	memcpy(copy, frame, pages(FRAME_PAGES));
	unmap(frame, pages(FRAME_PAGES));
	return copy;
}

/* The first frame at page @first, the others behind it, a page apart. */
static void check_vmap(int dev, enum backing backing, size_t first)
{
	size_t size = pages(2048), step = FRAME_PAGES + 1;
	int camera, memfd, dmabufs[MAX_BUFFERS] = { 0 };
	unsigned int count;
	void *reference;
	char *mem;

	camera = open_camera(VIVID_VMAP);
	hide_text(camera);
	igt_assert_eq(set_frame(camera, V4L2_PIX_FMT_XBGR32, WIDTH, HEIGHT),
		      pages(FRAME_PAGES));
	reference = reference_frame(camera);
	close(camera);

	camera = open_camera(VIVID_VMAP);
	hide_text(camera);
	igt_assert_eq(set_frame(camera, V4L2_PIX_FMT_XBGR32, WIDTH, HEIGHT),
		      pages(FRAME_PAGES));
	count = request_buffers(camera, V4L2_MEMORY_DMABUF);
	igt_assert(pages(first + count * step) <= size);
	memfd = sealed_memfd(backing, size);
	mem = map_fd(memfd, size);
	fill(mem, 0, size / page_size(), 1);
	for (unsigned int i = 0; i < count; i++)
		dmabufs[i] = create(dev, memfd, pages(first + i * step),
				    pages(FRAME_PAGES));
	capture(camera, count, dmabufs);
	for (unsigned int i = 0; i < count; i++) {
		size_t from = first + i * step;

		igt_assert_eq(memcmp(mem + pages(from), reference,
				     pages(FRAME_PAGES)), 0);
		igt_assert_eq(count_filled(mem + pages(from + FRAME_PAGES),
					   from + FRAME_PAGES, 1, 1), 1);
		close(dmabufs[i]);
	}
	igt_assert_eq(count_filled(mem, 0, first, 1), first);

	close(camera);
	unmap(mem, size);
	close(memfd);
	free(reference);
}

static void test_vmap(int dev)
{
	check_vmap(dev, SHMEM, 3);
}

static void test_vmap_hugetlb_middle(int dev)
{
	check_vmap(dev, HUGE_2M, 301);
}

void udmabuf_vmap_subtests(int dev)
{
	igt_describe("A driver that maps the dma-buf into the kernel, the virtual camera vivid, "
		     "puts the same frame into it as into its own memory");
	igt_subtest("vmap-vivid")
		udmabuf_test(test_vmap, dev);
	igt_describe("The same from the middle of a 2 MiB hugetlb page on");
	igt_subtest("vmap-vivid-hugetlb-middle")
		udmabuf_test(test_vmap_hugetlb_middle, dev);
}
