/* SPDX-License-Identifier: MIT */
/* What the parts of the tile client know of each other. */

#ifndef TILES_H
#define TILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <wayland-client.h>

#define COLUMNS 6
#define ROWS 7
#define TILE_WIDTH 128		/* pixels */
#define TILE_HEIGHT 128

_Noreturn void die(const char *message, ...) __attribute__((format(printf, 1, 2)));

/* tiles_window.c: a connection, and a window on it that is as large as the output */

struct window {
	struct wl_display *display;
	struct wl_compositor *compositor;
	struct wl_subcompositor *subcompositor;
	struct wl_shm *shm;
	struct xdg_wm_base *wm_base;
	struct wl_surface *surface;
	struct wl_buffer *background;
	bool configured;
};

void window_open(struct window *window, const char *title);
/* A surface in the window's grid. */
struct wl_surface *window_tile(struct window *window, int index);
/* Until what was committed to a surface is on screen. */
void window_wait_frame(struct wl_display *display, struct wl_event_queue *queue,
		       struct wl_surface *surface);
/*
 * Another connection, on which a pool or a buffer has the id of this one, and lies in a file
 * in which there is nothing.
 */
struct wl_display *window_double_pool(struct wl_shm_pool *pool);
struct wl_display *window_double_buffer(struct wl_buffer *buffer);
/* Attaches its background again; it may be hidden. */
void window_attach_background(struct window *window);
/* Shows the window once more, with all that is in its buffers now. */
void window_repaint(struct window *window);

/* tiles_entry.c: requests through each of libwayland's functions for that */

enum entry {
	ENTRY_FLAGS,		/* as wayland-scanner 1.20 and later have it */
	ENTRY_CONSTRUCTOR,
	ENTRY_VERSIONED,	/* as it was before */
	ENTRY_ARRAY_FLAGS,
	ENTRY_ARRAY,
	ENTRY_ARRAY_VERSIONED,
	ENTRY_OLD,		/* proxies made by hand, as before 1.4 */
};

struct wl_shm_pool *entry_create_pool(enum entry entry, struct wl_shm *shm, int fd,
				      int size);
struct wl_buffer *entry_create_buffer(enum entry entry, struct wl_shm_pool *pool,
				      int offset, int width, int height, int stride,
				      uint32_t format);
void entry_attach(enum entry entry, struct wl_surface *surface,
		  struct wl_buffer *buffer);
void entry_commit(enum entry entry, struct wl_surface *surface);
void entry_destroy_pool(enum entry entry, struct wl_shm_pool *pool);
void entry_destroy_buffer(enum entry entry, struct wl_buffer *buffer);

/* tiles_kinds.c: buffers of all kinds */

enum {
	POOL_RESIZED		= 1 << 0,	/* and the buffer lies in the new part */
	POOL_GONE		= 1 << 1,	/* and its file closed, before it is used */
	POOL_FORGOTTEN		= 1 << 2,	/* its proxy goes, without a request */
	POOL_ON_TMPFS		= 1 << 3,	/* a file without a name */
	POOL_HUGE		= 1 << 4,	/* hugetlb pages */
	BUFFER_GONE		= 1 << 5,	/* while it is shown */
	BUFFER_REDRAWN		= 1 << 6,	/* two of them, several times */
	BUFFER_QUEUED		= 1 << 7,	/* on a queue of its own */
	BUFFER_MOVED		= 1 << 8,	/* there after it was attached */
	BUFFER_DISPATCHED	= 1 << 9,	/* by a function, not by listeners */
	BUFFER_WRAPPED		= 1 << 10,	/* made by way of a wrapper of the pool */
	WHILE_READING		= 1 << 11,	/* between prepare_read and read_events */
	IDS_DOUBLED		= 1 << 12,	/* on another connection, and later */
};

struct kind {
	const char *name;
	uint32_t format;
	int pixel_size;		/* bytes, 0: 4 */
	int offset;		/* bytes, in the file */
	int padding;		/* bytes, at the end of each row */
	int width;		/* pixels, 0: that of a tile */
	int seals;
	enum entry entry;
	unsigned int flags;
	const char *alone;	/* why the library leaves it alone, NULL: it does not */
};

extern const struct kind kinds[];
extern const int nr_kinds;

struct tile {
	const struct kind *kind;
	struct window *window;
	struct wl_surface *surface;
	struct wl_event_queue *queue;	/* NULL: the default one */
	struct wl_buffer *buffers[2];	/* the second only if it is redrawn */
	bool busy[2];
	struct wl_display *doubles[2];	/* of its pool and of its buffer */
	void *map;
	size_t size;			/* of the map, in bytes */
};

/* Draws a tile of some kind, and shows it at its place. */
void tile_show(struct tile *tile, struct window *window, const struct kind *kind,
	       int index);
/* Writes to the buffer that is shown, of which the compositor is told nothing. */
void tile_scribble(struct tile *tile);
void tile_destroy(struct tile *tile);

#endif
