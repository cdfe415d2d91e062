// SPDX-License-Identifier: MIT
/*
 * Buffers of all kinds: of each format, at odd places in their file, in files and pools
 * that change and go away, and used in the order that few programs use them in.
 */

#define _GNU_SOURCE		/* memfd_create, F_ADD_SEALS, O_TMPFILE, mremap */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tiles.h"

#define HUGE_PAGE (2 << 20)

#define FORMAT(id) .name = #id, .format = WL_SHM_FORMAT_##id
#define XRGB .format = WL_SHM_FORMAT_XRGB8888

const struct kind kinds[] = {
	{ FORMAT(XRGB8888) },
	{ FORMAT(ARGB8888) },
	{ FORMAT(XBGR8888) },
	{ FORMAT(ABGR8888) },
	{ FORMAT(RGB565), .pixel_size = 2, .padding = 256 },
	{ FORMAT(ABGR2101010) },
	{ FORMAT(XBGR2101010) },
	{ FORMAT(ABGR16161616), .pixel_size = 8 },
	{ "in the first page", XRGB, .offset = 256 },
	{ "in a later page", XRGB, .offset = 3 * 4096 + 3840 },
	{ "anywhere", XRGB, .offset = 100,
	  .alone = "the compositor does not import its offset" },
	{ "rows apart", XRGB, .padding = 12 },
	{ "rows far apart", XRGB, .padding = 4096 },
	{ "odd rows", .format = WL_SHM_FORMAT_RGB565, .pixel_size = 2, .padding = 258,
	  .alone = "the compositor does not import its stride" },
	{ "small", XRGB, .width = 64, .alone = "it is small" },
	{ "resized", XRGB, .offset = 4096 + 256, .flags = POOL_RESIZED },
	{ "pool gone", XRGB, .flags = POOL_GONE },
	{ "pool forgotten", XRGB, .flags = POOL_FORGOTTEN },
	{ "sealed", XRGB, .seals = F_SEAL_SHRINK },
	{ "cannot grow", XRGB, .seals = F_SEAL_GROW, .offset = 512 },
	{ "on tmpfs", XRGB, .flags = POOL_ON_TMPFS },
	{ "huge pages", XRGB, .offset = 4096, .flags = POOL_HUGE },
	{ "buffer gone", XRGB, .flags = BUFFER_GONE },
	{ "all gone", XRGB, .flags = BUFFER_GONE | POOL_GONE | BUFFER_QUEUED },
	{ "redrawn", XRGB, .flags = BUFFER_REDRAWN },
	{ "own queue", XRGB, .flags = BUFFER_REDRAWN | BUFFER_QUEUED },
	{ "moved", XRGB, .flags = BUFFER_REDRAWN | BUFFER_QUEUED | BUFFER_MOVED },
	{ "wrapped", XRGB, .flags = BUFFER_REDRAWN | BUFFER_QUEUED | BUFFER_WRAPPED },
	{ "dispatcher", XRGB, .flags = BUFFER_DISPATCHED,
	  .alone = "its events go to a dispatcher" },
	{ "while reading", XRGB, .flags = WHILE_READING },
	{ "constructor", XRGB, .entry = ENTRY_CONSTRUCTOR },
	{ "versioned", XRGB, .entry = ENTRY_VERSIONED },
	{ "array flags", XRGB, .entry = ENTRY_ARRAY_FLAGS },
	{ "array", XRGB, .entry = ENTRY_ARRAY },
	{ "array versioned", XRGB, .entry = ENTRY_ARRAY_VERSIONED },
	{ "old", XRGB, .entry = ENTRY_OLD },
	{ "ids doubled", XRGB, .flags = IDS_DOUBLED },
};

const int nr_kinds = sizeof(kinds) / sizeof(kinds[0]);

static int width_of(const struct kind *kind)
{
	return kind->width ?: TILE_WIDTH;
}

static int stride_of(const struct kind *kind)
{
	return width_of(kind) * (kind->pixel_size ?: 4) + kind->padding;
}

static size_t frame_size(const struct kind *kind)
{
	return (size_t)stride_of(kind) * TILE_HEIGHT;
}

static uint8_t *pixels_of(const struct tile *tile, int i)
{
	return (uint8_t *)tile->map + tile->kind->offset + i * frame_size(tile->kind);
}

static int make_file(const struct kind *kind)
{
	int fd;

	if (kind->flags & POOL_ON_TMPFS)
		fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	else
		fd = memfd_create(kind->name, MFD_CLOEXEC | MFD_ALLOW_SEALING |
				  (kind->flags & POOL_HUGE ? MFD_HUGETLB : 0));
	if (fd < 0)
		die("%s: no file: %m", kind->name);
	return fd;
}

static void map_file(struct tile *tile, int fd, size_t size)
{
	if (ftruncate(fd, size))
		die("%s: ftruncate: %m", tile->kind->name);
	if (tile->map)
		munmap(tile->map, tile->size);
	tile->size = size;
	tile->map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (tile->map == MAP_FAILED)
		die("%s: mmap: %m", tile->kind->name);
}

static void draw(const struct tile *tile, int i, unsigned int seed)
{
	const struct kind *kind = tile->kind;
	int stride = stride_of(kind);
	uint8_t *pixels = pixels_of(tile, i);

	for (int y = 0; y < TILE_HEIGHT; y++)
		for (int x = 0; x < stride; x++)
			pixels[y * stride + x] = x / 2 + y + 40 * seed +
						 (x % 4) * (y / 8);
}

static void buffer_release(void *data, struct wl_buffer *buffer)
{
	struct tile *tile = data;

	for (int i = 0; i < 2; i++) {
		if (buffer != tile->buffers[i])
			continue;
		if (!tile->busy[i])
			die("%s: released twice", tile->kind->name);
		tile->busy[i] = false;
	}
}

static const struct wl_buffer_listener buffer_listener = {
	.release = buffer_release,
};

static int dispatch_buffer(const void *data, void *proxy, uint32_t opcode,
			   const struct wl_message *message,
			   union wl_argument *arguments)
{
	buffer_release(wl_proxy_get_user_data(proxy), proxy);
	return 0;
}

static struct wl_buffer *make_buffer(struct tile *tile, struct wl_shm_pool *pool, int i)
{
	const struct kind *kind = tile->kind;
	struct wl_shm_pool *factory = pool;
	struct wl_buffer *buffer;

	if (kind->flags & BUFFER_WRAPPED) {
		factory = wl_proxy_create_wrapper(pool);
		wl_proxy_set_queue((struct wl_proxy *)factory, tile->queue);
	}
	buffer = entry_create_buffer(kind->entry, factory,
				     kind->offset + i * frame_size(kind),
				     width_of(kind), TILE_HEIGHT, stride_of(kind),
				     kind->format);
	if (kind->flags & BUFFER_WRAPPED)
		wl_proxy_wrapper_destroy(factory);
	else if (tile->queue && !(kind->flags & BUFFER_MOVED))
		wl_proxy_set_queue((struct wl_proxy *)buffer, tile->queue);

	if (kind->flags & BUFFER_DISPATCHED)
		wl_proxy_add_dispatcher((struct wl_proxy *)buffer, dispatch_buffer, NULL,
					tile);
	else
		wl_buffer_add_listener(buffer, &buffer_listener, tile);
	return buffer;
}

/* Pool, buffers and what is in them; the pool is gone afterwards. */
static void make_buffers(struct tile *tile)
{
	const struct kind *kind = tile->kind;
	int nr = kind->flags & BUFFER_REDRAWN ? 2 : 1;
	size_t size = kind->offset + nr * frame_size(kind);
	int fd = make_file(kind);
	struct wl_shm_pool *pool;

	if (kind->flags & POOL_HUGE)
		size = HUGE_PAGE;
	map_file(tile, fd, kind->flags & POOL_RESIZED ? 4096 : size);
	if (kind->seals && fcntl(fd, F_ADD_SEALS, kind->seals))
		die("%s: F_ADD_SEALS: %m", kind->name);
	pool = entry_create_pool(kind->entry, tile->window->shm, fd, tile->size);
	if (kind->flags & POOL_RESIZED) {
		map_file(tile, fd, size);
		wl_shm_pool_resize(pool, size);
	}
	if (kind->flags & POOL_GONE)
		close(fd);
	if (kind->flags & IDS_DOUBLED)
		tile->doubles[0] = window_double_pool(pool);
	for (int i = 0; i < nr; i++) {
		draw(tile, i, i);
		tile->buffers[i] = make_buffer(tile, pool, i);
	}
	if (kind->flags & IDS_DOUBLED)
		tile->doubles[1] = window_double_buffer(tile->buffers[0]);
	if (kind->flags & POOL_FORGOTTEN)
		wl_proxy_destroy((struct wl_proxy *)pool);
	else
		entry_destroy_pool(kind->entry, pool);
	if (!(kind->flags & POOL_GONE))
		close(fd);
}

static void show(struct tile *tile, int i)
{
	struct wl_display *display = tile->window->display;
	enum entry entry = tile->kind->entry;

	tile->busy[i] = true;
	if (tile->kind->flags & WHILE_READING)
		while (wl_display_prepare_read(display))
			wl_display_dispatch_pending(display);
	entry_attach(entry, tile->surface, tile->buffers[i]);
	wl_surface_damage(tile->surface, 0, 0, INT32_MAX, INT32_MAX);
	entry_commit(entry, tile->surface);
	if (tile->kind->flags & WHILE_READING)
		wl_display_cancel_read(display);
	if (tile->kind->flags & BUFFER_MOVED)
		wl_proxy_set_queue((struct wl_proxy *)tile->buffers[i], tile->queue);
	window_wait_frame(display, tile->queue, tile->surface);
}

/* As a program does that has two buffers: it draws to the one that is free. */
static void redraw(struct tile *tile)
{
	int free = 1;

	for (int frame = 2; frame < 6; frame++) {
		while (tile->busy[free])
			window_wait_frame(tile->window->display, tile->queue,
					  tile->surface);
		draw(tile, free, frame);
		show(tile, free);
		free = !free;
	}
}

void tile_show(struct tile *tile, struct window *window, const struct kind *kind,
	       int index)
{
	*tile = (struct tile){ .kind = kind, .window = window };
	tile->surface = window_tile(window, index);
	if (kind->flags & BUFFER_QUEUED)
		tile->queue = wl_display_create_queue(window->display);
	make_buffers(tile);
	show(tile, 0);
	if (kind->flags & BUFFER_REDRAWN)
		redraw(tile);
	if (kind->flags & BUFFER_GONE) {
		entry_destroy_buffer(kind->entry, tile->buffers[0]);
		tile->buffers[0] = NULL;
	}
	if (kind->flags & BUFFER_GONE && tile->queue) {
		wl_event_queue_destroy(tile->queue);
		tile->queue = NULL;
	}
}

/* Of two buffers, it is the first that is shown in the end. */
void tile_scribble(struct tile *tile)
{
	memset(pixels_of(tile, 0), 0x80, frame_size(tile->kind));
}

void tile_destroy(struct tile *tile)
{
	wl_surface_destroy(tile->surface);
	for (int i = 0; i < 2; i++) {
		if (tile->buffers[i])
			entry_destroy_buffer(tile->kind->entry, tile->buffers[i]);
		if (tile->doubles[i])
			wl_display_disconnect(tile->doubles[i]);
	}
	if (tile->queue)
		wl_event_queue_destroy(tile->queue);
	munmap(tile->map, tile->size);
}
