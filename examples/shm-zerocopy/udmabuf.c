// SPDX-License-Identifier: MIT
/*
 * The driver: dma-bufs of files that are not sealed. A driver without that, such
 * as the kernel's own, is of no use here, since hardly any program seals its pools.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/udmabuf_ext.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm-zerocopy.h"

#define UDMABUF_NODE "/dev/udmabuf"

/*
 * Opened each time: the program may close descriptors that it does not know, and
 * what takes their numbers is not ours.
 */
static int open_udmabuf(void)
{
	return open(UDMABUF_NODE, O_RDWR | O_CLOEXEC);
}

uint64_t udmabuf_pinned(void)
{
	struct udmabuf_info info = { 0 };
	int device = open_udmabuf();

	if (device < 0)
		return 0;
	ioctl(device, UDMABUF_GET_INFO, &info);
	close(device);
	return info.pinned;
}

bool udmabuf_usable(void)
{
	struct udmabuf_info info;
	int device = open_udmabuf();
	bool usable;

	if (device < 0) {
		say("no dma-bufs: cannot open " UDMABUF_NODE ": %m");
		return false;
	}
	usable = !ioctl(device, UDMABUF_GET_INFO, &info) &&
		 info.flags & UDMABUF_FLAGS_UNSEALED;
	if (!usable)
		say("no dma-bufs: " UDMABUF_NODE " takes only files that are sealed");
	close(device);
	return usable;
}

/*
 * Pools mostly end with their last pixel, somewhere in a page. The driver takes all of
 * that page.
 */
int udmabuf_create(int file, off_t offset, size_t size)
{
	const off_t page = sysconf(_SC_PAGESIZE);
	off_t start = offset & -page;
	off_t end = (offset + (off_t)size + page - 1) & -page;
	struct udmabuf_create_item item = {
		.memfd = file, .offset = start, .size = end - start,
	};
	struct udmabuf_create_ext create = {
		.flags = UDMABUF_FLAGS_CLOEXEC | UDMABUF_FLAGS_UNSEALED,
		.count = 1,
		.items = (uintptr_t)&item,
	};
	struct stat st;
	int device, ret;

	if (fstat(file, &st))
		return -errno;
	if (st.st_size < offset + (off_t)size)
		return -EINVAL;

	device = open_udmabuf();
	if (device < 0)
		return -errno;
	ret = ioctl(device, UDMABUF_CREATE_EXT, &create) ? -errno : create.fd;
	close(device);
	return ret;
}

void udmabuf_wait(int dmabuf)
{
	struct pollfd pollfd = { .fd = dmabuf, .events = POLLOUT };

	while (poll(&pollfd, 1, -1) < 0 && errno == EINTR)
		;
}

/*
 * An end without a beginning: that would bring back what the GPU sees, and undo
 * what a program has written before it was told to.
 */
void udmabuf_hand_over(int dmabuf)
{
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE };

	while (ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync) && errno == EINTR)
		;
}
