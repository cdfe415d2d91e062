// SPDX-License-Identifier: MIT
/*
 * The whole of it is two ioctls: one asks the driver what it can, the other has it make a
 * dma-buf of the pages that a buffer lies in, sealed or not. With the kernel's own driver,
 * the older call does so for sealed pools. Nothing of this may fail the client: it asked
 * for wl_shm, and gets an upload where there is an error.
 */

#define _GNU_SOURCE		/* F_GET_SEALS */
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/udmabuf_ext.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "shm-import.h"

int shm_importer_open(struct shm_importer *importer, const char *path)
{
	struct udmabuf_info info;

	importer->device = open(path, O_RDWR | O_CLOEXEC);
	if (importer->device < 0)
		return -errno;
	importer->flags = UDMABUF_FLAGS_CLOEXEC;
	if (!ioctl(importer->device, UDMABUF_GET_INFO, &info))
		importer->flags |= info.flags & (UDMABUF_FLAGS_UNSEALED |
						 UDMABUF_FLAGS_NONBLOCK);
	return 0;
}

/* The kernel's own driver would tell by EINVAL, which can mean other things, too. */
static bool is_sealed(int pool)
{
	int seals = fcntl(pool, F_GET_SEALS);

	return seals >= 0 && seals & F_SEAL_SHRINK &&
	       !(seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE));
}

int shm_import(const struct shm_importer *importer, const struct shm_buffer *buffer,
	       bool wait, uint32_t *plane_offset)
{
	const uint64_t page = sysconf(_SC_PAGESIZE);
	uint64_t end = buffer->offset + (uint64_t)buffer->stride * buffer->height;
	struct udmabuf_create_item item = {
		.memfd	= buffer->pool,
		.offset	= buffer->offset & -page,
		.size	= ((end + page - 1) & -page) - (buffer->offset & -page),
	};
	struct udmabuf_create_ext create = {
		.flags	= importer->flags & ~(wait ? UDMABUF_FLAGS_NONBLOCK : 0),
		.count	= 1,
		.items	= (uintptr_t)&item,
	};
	struct udmabuf_create sealed = {
		.memfd	= item.memfd,
		.flags	= UDMABUF_FLAGS_CLOEXEC,
		.offset	= item.offset,
		.size	= item.size,
	};
	int dmabuf;

	*plane_offset = buffer->offset - item.offset;
	if (importer->flags & UDMABUF_FLAGS_UNSEALED)
		return ioctl(importer->device, UDMABUF_CREATE_EXT, &create) ? -errno :
									      create.fd;
	if (!is_sealed(buffer->pool))
		return -EINVAL;
	dmabuf = ioctl(importer->device, UDMABUF_CREATE, &sealed);
	return dmabuf < 0 ? -errno : dmabuf;
}

/*
 * The end of an access that was not begun here: the client's. To begin one would bring
 * back what a device sees, and undo what the client has written. The kernel's own driver
 * says EINVAL, having nothing to do.
 */
void shm_hand_over(int dmabuf)
{
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE };

	while (ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync) && errno == EINTR)
		;
}
