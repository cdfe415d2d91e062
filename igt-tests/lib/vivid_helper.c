// SPDX-License-Identifier: MIT
/*
 * vivid, the virtual video camera, as a device that is given dma-bufs.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "igt.h"
#include "pin_helper.h"
#include "vivid_helper.h"

#define ALLOCATORS	"/sys/module/vivid/parameters/allocators"

static void load_vivid(int allocator)
{
	char command[80], loaded[8] = "";

	/* An array: of the first device, then of others that there are not. */
	if (!read_line(ALLOCATORS, loaded, sizeof(loaded)) &&
	    strtol(loaded, NULL, 10) != allocator)
		igt_assert_eq(igt_system_quiet("modprobe -r vivid"), 0);
	snprintf(command, sizeof(command),
		 "modprobe vivid n_devs=1 node_types=0x1 allocators=%d", allocator);
	igt_require_f(igt_system_quiet(command) == 0, "no vivid module\n");
}

int open_camera(int allocator)
{
	char name[32] = "";
	int fd = -1;
	glob_t nodes;

	load_vivid(allocator);
	igt_assert_eq(glob("/sys/class/video4linux/video*", 0, NULL, &nodes), 0);
	for (size_t i = 0; i < nodes.gl_pathc && fd < 0; i++) {
		char path[300];

		snprintf(path, sizeof(path), "%s/name", nodes.gl_pathv[i]);
		igt_assert_eq(read_line(path, name, sizeof(name)), 0);
		if (strncmp(name, "vivid", 5))
			continue;
		snprintf(path, sizeof(path), "/dev/%s",
			 strrchr(nodes.gl_pathv[i], '/') + 1);
		fd = open(path, O_RDWR | O_CLOEXEC);
		igt_assert_f(fd >= 0, "%s: %s\n", path, strerror(errno));
	}
	globfree(&nodes);
	igt_require_f(fd >= 0, "vivid has made no camera\n");
	return fd;
}

uint32_t set_frame(int camera, uint32_t pixelformat, unsigned int width,
		   unsigned int height)
{
	struct v4l2_format format = {
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
		.fmt.pix = {
			.width = width,
			.height = height,
			.pixelformat = pixelformat,
			.field = V4L2_FIELD_NONE,
		},
	};

	igt_assert_eq(ioctl(camera, VIDIOC_S_FMT, &format), 0);
	return format.fmt.pix.sizeimage;
}

unsigned int request_buffers(int camera, enum v4l2_memory memory)
{
	struct v4l2_requestbuffers request = {
		.count = 2,
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
		.memory = memory,
	};

	igt_assert_eq(ioctl(camera, VIDIOC_REQBUFS, &request), 0);
	igt_assert_lte(request.count, MAX_BUFFERS);
	return request.count;
}

int queue_dmabuf(int camera, unsigned int index, int dmabuf, uint32_t size)
{
	struct v4l2_buffer buffer = {
		.index = index,
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
		.memory = V4L2_MEMORY_DMABUF,
		.m.fd = dmabuf,
		.length = size,
	};

	return ioctl(camera, VIDIOC_QBUF, &buffer) ? -errno : 0;
}
