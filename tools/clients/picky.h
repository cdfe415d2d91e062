/* SPDX-License-Identifier: MIT */
/* What the parts of a compositor that shows nothing know of each other. */

#ifndef PICKY_H
#define PICKY_H

#include <wayland-server.h>

enum kind {
	DMABUF,		/* the client's */
	SHM,
	SHARED,		/* of wl_shm, and a dma-buf of it that is ours */
};

/* What a wl_buffer is: sizes in pixels */
struct buffer {
	int width, height;
	enum kind kind;
	int dmabuf;	/* descriptor, or -1 */
};

/* picky_shm.c: wl_shm whose buffers are shared, if the driver takes them */

struct wl_resource *make_buffer(struct wl_client *client, uint32_t id, int width, int height,
				enum kind kind);
void bind_shm(struct wl_client *client, void *data, uint32_t version, uint32_t id);

#endif
