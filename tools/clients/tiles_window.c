// SPDX-License-Identifier: MIT
/* A connection, and a window on it with a grid of tiles, each a surface of its own. */

#define _GNU_SOURCE		/* memfd_create */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tiles.h"
#include "xdg-shell-client-protocol.h"

#define WIDTH (COLUMNS * TILE_WIDTH)
#define HEIGHT (ROWS * TILE_HEIGHT)

static void registry_global(void *data, struct wl_registry *registry, uint32_t name,
			    const char *interface, uint32_t version)
{
	struct window *window = data;

	if (!strcmp(interface, wl_compositor_interface.name))
		window->compositor = wl_registry_bind(registry, name,
						      &wl_compositor_interface, 4);
	else if (!strcmp(interface, wl_subcompositor_interface.name))
		window->subcompositor = wl_registry_bind(registry, name,
							 &wl_subcompositor_interface, 1);
	else if (!strcmp(interface, wl_shm_interface.name))
		window->shm = wl_registry_bind(registry, name, &wl_shm_interface, 1);
	else if (!strcmp(interface, xdg_wm_base_interface.name))
		window->wm_base = wl_registry_bind(registry, name,
						   &xdg_wm_base_interface, 1);
}

static void registry_global_remove(void *data, struct wl_registry *registry,
				   uint32_t name)
{
}

static const struct wl_registry_listener registry_listener = {
	.global		= registry_global,
	.global_remove	= registry_global_remove,
};

static void xdg_surface_configure(void *data, struct xdg_surface *surface,
				  uint32_t serial)
{
	struct window *window = data;

	xdg_surface_ack_configure(surface, serial);
	window->configured = true;
}

static const struct xdg_surface_listener xdg_surface_listener = {
	.configure = xdg_surface_configure,
};

static void toplevel_configure(void *data, struct xdg_toplevel *toplevel,
			       int32_t width, int32_t height, struct wl_array *states)
{
}

static void toplevel_close(void *data, struct xdg_toplevel *toplevel)
{
	die("the compositor closes the window");
}

static const struct xdg_toplevel_listener toplevel_listener = {
	.configure	= toplevel_configure,
	.close		= toplevel_close,
};

/* One colour, for all of the window. */
static struct wl_buffer *make_background(struct window *window, uint32_t colour)
{
	size_t size = WIDTH * HEIGHT * 4;
	int fd = memfd_create("background", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct wl_shm_pool *pool;
	struct wl_buffer *buffer;
	uint32_t *pixels;

	if (fd < 0 || ftruncate(fd, size))
		die("memfd: %m");
	pixels = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (pixels == MAP_FAILED)
		die("mmap: %m");
	for (size_t i = 0; i < size / 4; i++)
		pixels[i] = colour;
	munmap(pixels, size);
	pool = wl_shm_create_pool(window->shm, fd, size);
	buffer = wl_shm_pool_create_buffer(pool, 0, WIDTH, HEIGHT, WIDTH * 4,
					   WL_SHM_FORMAT_XRGB8888);
	wl_shm_pool_destroy(pool);
	close(fd);
	return buffer;
}

static void callback_done(void *data, struct wl_callback *callback, uint32_t time)
{
	bool *done = data;

	*done = true;
	wl_callback_destroy(callback);
}

static const struct wl_callback_listener callback_listener = {
	.done = callback_done,
};

/* A frame is called done when the output has been drawn with what was committed. */
void window_wait_frame(struct wl_display *display, struct wl_event_queue *queue,
		       struct wl_surface *surface)
{
	struct wl_surface *wrapper = surface;
	struct wl_callback *callback;
	bool done = false;

	if (queue) {
		wrapper = wl_proxy_create_wrapper(surface);
		wl_proxy_set_queue((struct wl_proxy *)wrapper, queue);
	}
	callback = wl_surface_frame(wrapper);
	if (queue)
		wl_proxy_wrapper_destroy(wrapper);
	wl_callback_add_listener(callback, &callback_listener, &done);
	wl_surface_damage(surface, 0, 0, INT32_MAX, INT32_MAX);
	wl_surface_commit(surface);
	while (!done)
		if ((queue ? wl_display_dispatch_queue(display, queue) :
			     wl_display_dispatch(display)) < 0)
			die("the connection has broken: %m");
}

static void open_connection(struct window *window)
{
	struct wl_registry *registry;

	window->display = wl_display_connect(NULL);
	if (!window->display)
		die("no compositor: %m");
	registry = wl_display_get_registry(window->display);
	wl_registry_add_listener(registry, &registry_listener, window);
	wl_display_roundtrip(window->display);
	wl_registry_destroy(registry);
	if (!window->compositor || !window->subcompositor || !window->shm ||
	    !window->wm_base)
		die("the compositor lacks a protocol");
}

void window_open(struct window *window, const char *title)
{
	struct xdg_surface *xdg_surface;
	struct xdg_toplevel *toplevel;

	open_connection(window);
	window->surface = wl_compositor_create_surface(window->compositor);
	xdg_surface = xdg_wm_base_get_xdg_surface(window->wm_base, window->surface);
	xdg_surface_add_listener(xdg_surface, &xdg_surface_listener, window);
	toplevel = xdg_surface_get_toplevel(xdg_surface);
	xdg_toplevel_add_listener(toplevel, &toplevel_listener, window);
	xdg_toplevel_set_title(toplevel, title);
	wl_surface_commit(window->surface);
	while (!window->configured)
		if (wl_display_dispatch(window->display) < 0)
			die("the connection has broken: %m");
	window->background = make_background(window, 0xff203040);
	wl_surface_attach(window->surface, window->background, 0, 0);
	window_wait_frame(window->display, NULL, window->surface);
}

struct wl_surface *window_tile(struct window *window, int index)
{
	struct wl_surface *surface = wl_compositor_create_surface(window->compositor);
	struct wl_subsurface *subsurface;

	subsurface = wl_subcompositor_get_subsurface(window->subcompositor, surface,
						     window->surface);
	wl_subsurface_set_position(subsurface, index % COLUMNS * TILE_WIDTH,
				   index / COLUMNS * TILE_HEIGHT);
	wl_subsurface_set_desync(subsurface);
	/* The parent's commit makes it part of the window. */
	wl_surface_commit(window->surface);
	return surface;
}

/* Ids count up from what open_connection() has made. */
static struct wl_display *make_double(uint32_t id, bool is_buffer)
{
	int size = TILE_WIDTH * TILE_HEIGHT * 4;
	int fd = memfd_create("double", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct window window = { 0 };
	struct wl_shm_pool *pool;
	struct wl_proxy *last;

	if (fd < 0 || ftruncate(fd, size))
		die("memfd: %m");
	open_connection(&window);
	pool = wl_shm_create_pool(window.shm, fd, size);
	for (last = (struct wl_proxy *)pool; wl_proxy_get_id(last) < id;)
		last = is_buffer ?
			(struct wl_proxy *)wl_shm_pool_create_buffer(pool, 0, TILE_WIDTH,
				TILE_HEIGHT, TILE_WIDTH * 4, WL_SHM_FORMAT_XRGB8888) :
			(struct wl_proxy *)wl_shm_create_pool(window.shm, fd, size);
	if (wl_proxy_get_id(last) != id || wl_display_roundtrip(window.display) < 0)
		die("no double of %u", id);
	close(fd);
	return window.display;
}

struct wl_display *window_double_pool(struct wl_shm_pool *pool)
{
	return make_double(wl_proxy_get_id((struct wl_proxy *)pool), false);
}

struct wl_display *window_double_buffer(struct wl_buffer *buffer)
{
	return make_double(wl_proxy_get_id((struct wl_proxy *)buffer), true);
}

void window_attach_background(struct window *window)
{
	wl_surface_attach(window->surface, window->background, 0, 0);
	wl_surface_commit(window->surface);
	if (wl_display_roundtrip(window->display) < 0)
		die("the connection has broken: %m");
}

/* What was hidden for a moment is drawn anew, from where its pixels are. */
void window_repaint(struct window *window)
{
	struct wl_buffer *buffer = make_background(window, 0xff000000);
	struct wl_surface *cover = window_tile(window, 0);

	wl_surface_attach(cover, buffer, 0, 0);
	window_wait_frame(window->display, NULL, cover);
	wl_surface_attach(cover, NULL, 0, 0);
	wl_surface_commit(cover);
	window_wait_frame(window->display, NULL, window->surface);
	wl_surface_destroy(cover);
	wl_buffer_destroy(buffer);
}
