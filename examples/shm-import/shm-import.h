/* SPDX-License-Identifier: MIT */
/* A dma-buf of a wl_shm buffer, for compositors: to be taken along as it is. */

#ifndef SHM_IMPORT_H
#define SHM_IMPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The driver: a descriptor, flags of UDMABUF_CREATE_EXT, or none: it has no such call */
struct shm_importer {
	int device;
	uint32_t flags;
};

/* How pixels lie in a client's pool: format as in <drm_fourcc.h>, bytes, pixels */
struct shm_buffer {
	int pool;
	uint32_t format, offset, stride;
	int32_t width, height;
};

/*
 * Once, at the start; @path is "/dev/udmabuf". 0, or a negative errno: upload all buffers
 * as ever.
 */
int shm_importer_open(struct shm_importer *importer, const char *path);

/*
 * A descriptor of a dma-buf, in which the plane begins at *@plane_offset bytes; or a
 * negative errno: upload this buffer. That its rows lie in the pool has been checked
 * before, as for any wl_shm buffer, and that they begin where the GPU can: a multiple of
 * 256 bytes suits all, and not all drivers refuse others.
 *
 * -EAGAIN: something has to be waited for, and @wait is false. Upload it, or ask again
 * in another thread, with @wait: that can take as long as a client likes.
 * -EINVAL: the driver is the kernel's own, and the pool is not sealed as it wants, or
 * ends within a page.
 * -ENOMEM: the compositor's user may not pin more.
 */
int shm_import(const struct shm_importer *importer, const struct shm_buffer *buffer,
	       bool wait, uint32_t *plane_offset);

/*
 * When a client has committed the buffer, and before the GPU reads: its caches, and
 * devices that see a copy, get what the client has written.
 */
void shm_hand_over(int dmabuf);

#endif
