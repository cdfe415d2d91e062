/* SPDX-License-Identifier: MIT */
/* What the parts of the library know of each other. */

#ifndef SHM_ZEROCOPY_H
#define SHM_ZEROCOPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <wayland-client.h>

/* How pixels lie in a dma-buf: format, sizes in pixels, others in bytes. */
struct layout {
	uint32_t fourcc;
	int32_t width, height;
	uint32_t stride, offset;
};

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
/* Bytes that the user has pinned, or 0 if that cannot be had. */
uint64_t udmabuf_pinned(void);
/* Before the CPU writes, for devices that still read; and when it has written. */
void udmabuf_wait(int dmabuf);
void udmabuf_hand_over(int dmabuf);

/* display.c: connections to compositors, and what they take */

/* Tells formats by events; later versions do so in a more roundabout way. */
#define DMABUF_VERSION 3

struct display {
	struct wl_list link;
	struct wl_display *wl_display;
	/* Of what is ours alone; the program dispatches its own queues only. */
	struct wl_event_queue *queue;
	struct zwp_linux_dmabuf_v1 *dmabuf;
	struct trial *trial;
	uint32_t formats;		/* bits, by format_index() */
	uint32_t stride_align, offset_align;	/* bytes */
	unsigned int buffers;		/* dma-bufs that it has now */
};

/*
 * Takes part in a connection that was made just now, if its compositor can read
 * dma-bufs of ours. Waits for the compositor. The name is that by which there can be
 * another one.
 */
void display_open(struct wl_display *wl_display, const char *name);
/* Under the lock. NULL: we have no part in it. */
struct display *display_find(struct wl_display *wl_display);
/* Under the lock. Before the program closes the connection. */
void display_close(struct display *display);
/* NULL, or why the compositor might refuse such a buffer. */
const char *display_refuses(const struct display *display,
			    const struct layout *layout);

/* format.c: formats whose pixels lie in one plane */

#define FORMAT_XRGB8888 0		/* its index */

uint32_t format_from_shm(uint32_t shm);
/* From 0 to 31, or -1: we do not know it. */
int format_index(uint32_t fourcc);
uint32_t format_fourcc(int index);
/* In bytes, of a format that has an index. */
unsigned int format_pixel_size(uint32_t fourcc);

/* interpose.c: the functions of libwayland-client */

/* A connection that we have no part in, or NULL. */
struct wl_display *connect_unseen(const char *name);

/* probe.c: asking a compositor */

/* Of a buffer that is made of a dma-buf; NULL: the connection has broken. */
struct zwp_linux_buffer_params_v1 *params_of(struct zwp_linux_dmabuf_v1 *global,
					     int dmabuf, const struct layout *layout);

/* An import that may fail. Between start and end is a round trip. */
struct attempt {
	struct zwp_linux_buffer_params_v1 *params;
	bool created;
};

void attempt_start(struct attempt *attempt, struct zwp_linux_dmabuf_v1 *global,
		   int dmabuf, const struct layout *layout);
bool attempt_succeeded(const struct attempt *attempt);

/* Sets formats and alignments of a display from what the compositor can import. */
void probe(struct display *display, uint32_t offered);

/* trial.c: trying each layout on a connection of our own */

/* Owns the connection, also if it fails; NULL: there is none, or of no use. */
struct trial *trial_open(struct wl_display *wl_display);
void trial_close(struct trial *trial);
/* Under the lock. Waits for the compositor, once for each layout. */
bool trial_imports(struct trial *trial, int dmabuf, const struct layout *layout);

/* Whether the compositor makes dma-bufs by itself, of pools that are sealed. */
bool trial_shares_sealed(const struct trial *trial);

/* sealed.c: what compositors do by themselves */

/* Whether the kernel's own driver would take that file. */
bool is_sealed(int file);
/* Asks on a connection that nobody else uses. */
bool shares_sealed(struct wl_display *display, struct wl_shm *shm);

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
/* Before the request; not for those that the library makes while it does so. */
void orphans_reap(struct wl_proxy *proxy);
/* What to attach in its place: itself, if need be. NULL: nothing is attached. */
struct wl_proxy *buffer_attached(struct wl_proxy *surface, struct wl_proxy *buffer);
void surface_committed(struct wl_proxy *surface);
void surface_destroyed(struct wl_proxy *surface);
void buffers_close(struct display *display);

#endif
