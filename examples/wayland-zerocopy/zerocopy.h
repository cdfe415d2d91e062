/* SPDX-License-Identifier: MIT */
/* What the parts of the client know of each other. */

#ifndef ZEROCOPY_H
#define ZEROCOPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <wayland-client.h>

/* Exit statuses: --help lists them. */
enum status {
	STATUS_OK,
	STATUS_ERROR,
	STATUS_USAGE,
	STATUS_NO_COMPOSITOR,
	STATUS_NO_PROTOCOL,
	STATUS_NO_FORMAT,
	STATUS_NO_UDMABUF,
	STATUS_NO_PERMISSION,
	STATUS_NO_DMABUF,
	STATUS_NO_MEMORY,
	STATUS_REJECTED,
	STATUS_DISCONNECTED,
};

_Noreturn void die(enum status status, const char *message, ...)
	__attribute__((format(printf, 2, 3)));

/* format.c: pixel formats, and what the compositor makes of them */

struct format {
	const char *name;
	uint32_t fourcc;
	uint32_t shm;			/* as wl_shm calls it */
	int bytes;			/* per pixel */
	uint32_t (*pack)(uint8_t r, uint8_t g, uint8_t b);
};

/* How a format may be used, as seen so far. */
enum {
	OFFER_SHM	= 1 << 0,	/* in a wl_shm pool */
	OFFER_LINEAR	= 1 << 1,	/* in a dma-buf, DRM_FORMAT_MOD_LINEAR */
	OFFER_IMPLICIT	= 1 << 2,	/* in a dma-buf, DRM_FORMAT_MOD_INVALID */
};

const struct format *format_by_name(const char *name);
unsigned int format_offers(const struct format *format);
void format_print_names(unsigned int offers);

struct zwp_linux_dmabuf_v1;
void format_listen_shm(struct wl_shm *shm);
void format_listen_dmabuf(struct zwp_linux_dmabuf_v1 *dmabuf);

/* feedback.c: how frames got on the screen */

struct wp_presentation;

struct feedback {
	struct wp_presentation *presentation;	/* NULL: nobody tells */
	unsigned int presented, pending;	/* frames */
	unsigned int scanned_out;		/* of those presented */
};

/* For the frame that is committed next. */
void feedback_ask(struct feedback *count, struct wl_surface *surface);

/* window.c: the connection, and a window on it */

struct window {
	struct wl_display *display;
	struct wl_compositor *compositor;
	struct wl_subcompositor *subcompositor;
	struct wl_shm *shm;
	struct zwp_linux_dmabuf_v1 *dmabuf;
	struct xdg_wm_base *wm_base;
	struct feedback feedback;

	int width, height;		/* pixels */
	struct wl_surface *surface;
	struct wl_surface *cover;	/* on top of it, at times */
	struct wl_subsurface *subsurface;
	bool fullscreen;
	bool configured;
	bool synced;			/* the last round trip has come back */
	bool frame_due;			/* the compositor wants to see a frame */
	bool closed;
};

struct buffer;

void window_connect(struct window *window);
void window_open(struct window *window, const char *title, int width, int height);
void window_show(struct window *window, struct buffer *buffer);
/* Hides the window's buffer behind another, and returns when that is on screen. */
void window_cover(struct window *window, struct buffer *buffer);
void window_uncover(struct window *window);
/* Waits for the compositor, and returns true if fd (-1: none) became readable. */
bool window_wait(struct window *window, int fd);
void window_roundtrip(struct window *window);
/* Waits until it is known how each frame got on the screen. */
void window_settle(struct window *window);

/* buffer.c: two frames in one memfd, and the wl_buffers made of them */

struct buffer {
	struct wl_buffer *wl_buffer;
	void *pixels;			/* in the memfd, mapped */
	off_t offset;			/* of the pixels in the memfd, in bytes */
	int dmabuf;			/* -1 with wl_shm */
	bool busy;			/* the compositor may read it */
};

struct pool {
	const struct format *format;
	int width, height;		/* pixels */
	int stride;			/* bytes */
	int memfd;
	size_t size;			/* of the memfd, in bytes */
	struct buffer buffers[2];
};

void pool_create(struct pool *pool, bool huge);
void pool_share_udmabuf(struct pool *pool, struct window *window);
void pool_share_shm(struct pool *pool, struct window *window);
struct buffer *pool_free_buffer(struct pool *pool);
void buffer_begin_write(struct buffer *buffer);
void buffer_end_write(struct buffer *buffer);

/* draw.c: the pictures */

void draw_prepare(const struct pool *pool);
void draw_frame(const struct pool *pool, void *pixels, unsigned int number);
void draw_rectangle(const struct pool *pool, void *pixels, int x, int y,
		    int width, int height, uint32_t rgb);

/* clock.c: what a frame costs */

struct cost {
	unsigned int frames;
	double seconds, client_cpu, compositor_cpu;
	pid_t compositor;		/* 0: unknown, and so is its CPU time */
};

void cost_begin(struct cost *cost, struct wl_display *display);
void cost_end(struct cost *cost);

#endif
