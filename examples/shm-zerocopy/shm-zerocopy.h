/* SPDX-License-Identifier: MIT */
/* What the parts of the library know of each other. */

#ifndef SHM_ZEROCOPY_H
#define SHM_ZEROCOPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <wayland-client.h>

/* debug.c: what the user is told, if WL_ZEROCOPY_DEBUG is set */

void say(const char *message, ...) __attribute__((format(printf, 1, 2)));
/* How a format is called: four characters, and 0. */
struct fourcc_name {
	char name[5];
} fourcc_name(uint32_t fourcc);

/* udmabuf.c: the driver */

/* Whether there is a driver that takes files which are not sealed. */
bool udmabuf_usable(void);
/* A dma-buf of the pages that have these bytes of a file, or a negative errno. */
int udmabuf_create(int file, off_t offset, size_t size);
/* Before the CPU writes, and when it has written. */
void udmabuf_begin_write(int dmabuf);
void udmabuf_end_write(int dmabuf);

/* display.c: connections to compositors, and what they take */

struct display {
	struct wl_list link;
	struct wl_display *wl_display;
	/* Of what is ours alone; the program dispatches its own queues only. */
	struct wl_event_queue *queue;
	struct zwp_linux_dmabuf_v1 *dmabuf;
	uint32_t formats;		/* bits, by format_index() */
	uint32_t stride_align, offset_align;	/* bytes */
	unsigned int buffers;		/* dma-bufs that it has now */
	unsigned int orphans;		/* those that the program has destroyed */
};

/*
 * Takes part in a connection that was made just now, if its compositor can read
 * dma-bufs of ours. Waits for the compositor.
 */
void display_open(struct wl_display *wl_display);
/* Under the lock. NULL: we have no part in it. */
struct display *display_find(struct wl_display *wl_display);
/* Under the lock. Before the program closes the connection. */
void display_close(struct display *display);
/* NULL, or why the compositor might refuse such a buffer. */
const char *display_refuses(const struct display *display, uint32_t fourcc,
			    uint32_t stride, uint32_t offset);

/* format.c: formats whose pixels lie in one plane */

#define FORMAT_XRGB8888 0		/* its index */

uint32_t format_from_shm(uint32_t shm);
/* From 0 to 31, or -1: we do not know it. */
int format_index(uint32_t fourcc);
uint32_t format_fourcc(int index);
/* In bytes, of a format that has an index. */
unsigned int format_pixel_size(uint32_t fourcc);

/* probe.c: asking a compositor */

/* Sets formats and alignments of a display from what the compositor can import. */
void probe(struct display *display, uint32_t offered);

/* buffer.c: pools and buffers of the program, and the dma-bufs in their place */

/* Guards all displays, pools and buffers. Recursive; taken before libwayland's own. */
void lock(void);
void unlock(void);

void pool_created(struct wl_proxy *pool, int file);
void pool_destroyed(struct wl_proxy *pool);
void buffer_created(struct wl_proxy *pool, struct wl_proxy *buffer,
		    const union wl_argument *arguments);
void buffer_destroyed(struct wl_proxy *buffer);
void buffer_dispatched(struct wl_proxy *buffer);
void buffer_moved(struct wl_proxy *buffer, struct wl_event_queue *queue);
/* What to attach in its place: itself, if need be. NULL: nothing is attached. */
struct wl_proxy *buffer_attached(struct wl_proxy *surface, struct wl_proxy *buffer);
void surface_committed(struct wl_proxy *surface);
void surface_destroyed(struct wl_proxy *surface);
void buffers_close(struct display *display);

#endif
