// SPDX-License-Identifier: MIT
/* The connection to the compositor, and a window that has the size of its buffer. */

#define _GNU_SOURCE		/* memfd_create, F_ADD_SEALS */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "linux-dmabuf-v1-client-protocol.h"
#include "viewer.h"
#include "xdg-shell-client-protocol.h"

struct window window;

/* What dma-bufs the compositor takes, by its own word */
struct offer {
	uint32_t fourcc;
	uint64_t modifier;
};
static struct wl_array offers;

static sd_event_source *connection;
static struct xdg_wm_base *wm_base;
static struct wl_surface *surface;
static struct xdg_toplevel *toplevel;
static struct wl_buffer *shown, *black;
static int width, height;		/* pixels */
static bool configured;

static _Noreturn void die_disconnected(void)
{
	const struct wl_interface *interface = NULL;
	uint32_t id, code;

	code = wl_display_get_protocol_error(window.display, &interface, &id);
	if (interface)
		die("the compositor complains: error %u of %s", code, interface->name);
	die("the compositor closed the connection");
}

static void wm_base_ping(void *data, struct xdg_wm_base *base, uint32_t serial)
{
	xdg_wm_base_pong(base, serial);
}

static const struct xdg_wm_base_listener wm_base_listener = {
	.ping = wm_base_ping,
};

static void on_format(void *data, struct zwp_linux_dmabuf_v1 *dmabuf, uint32_t format)
{
	/* Says less than the modifier events that come with it. */
}

static void on_modifier(void *data, struct zwp_linux_dmabuf_v1 *dmabuf, uint32_t format,
			uint32_t hi, uint32_t lo)
{
	struct offer *offer = wl_array_add(&offers, sizeof(*offer));

	if (!offer)
		die("out of memory");
	*offer = (struct offer){ format, (uint64_t)hi << 32 | lo };
}

static const struct zwp_linux_dmabuf_v1_listener dmabuf_listener = {
	.format		= on_format,
	.modifier	= on_modifier,
};

bool window_takes(uint32_t fourcc, uint64_t modifier)
{
	const struct offer *offer;

	wl_array_for_each(offer, &offers)
		if (offer->fourcc == fourcc && offer->modifier == modifier)
			return true;
	return false;
}

static void on_global(void *data, struct wl_registry *registry, uint32_t name,
		      const char *interface, uint32_t version)
{
	if (!strcmp(interface, wl_compositor_interface.name) && version >= 4) {
		window.compositor = wl_registry_bind(registry, name,
						     &wl_compositor_interface, 4);
	} else if (!strcmp(interface, wl_shm_interface.name)) {
		window.shm = wl_registry_bind(registry, name, &wl_shm_interface, 1);
	} else if (!strcmp(interface, wl_seat_interface.name)) {
		input_add_seat(wl_registry_bind(registry, name, &wl_seat_interface, 1),
			       name);
	} else if (!strcmp(interface, zwp_linux_dmabuf_v1_interface.name) &&
		   version >= 3) {
		window.dmabuf = wl_registry_bind(registry, name,
						 &zwp_linux_dmabuf_v1_interface, 3);
		zwp_linux_dmabuf_v1_add_listener(window.dmabuf, &dmabuf_listener, NULL);
	} else if (!strcmp(interface, xdg_wm_base_interface.name)) {
		wm_base = wl_registry_bind(registry, name, &xdg_wm_base_interface, 1);
		xdg_wm_base_add_listener(wm_base, &wm_base_listener, NULL);
	}
}

static void on_global_remove(void *data, struct wl_registry *registry, uint32_t name)
{
	input_remove_seat(name);
}

static const struct wl_registry_listener registry_listener = {
	.global		= on_global,
	.global_remove	= on_global_remove,
};

static void on_configure(void *data, struct xdg_surface *xdg_surface, uint32_t serial)
{
	xdg_surface_ack_configure(xdg_surface, serial);
	configured = true;
}

static const struct xdg_surface_listener xdg_surface_listener = {
	.configure = on_configure,
};

/* The guest's screen has the size that it has. */
static void on_toplevel_configure(void *data, struct xdg_toplevel *top, int32_t w,
				  int32_t h, struct wl_array *states)
{
}

static void on_close(void *data, struct xdg_toplevel *top)
{
	window.closed = true;
}

static const struct xdg_toplevel_listener toplevel_listener = {
	.configure	= on_toplevel_configure,
	.close		= on_close,
};

/* There may be nothing to read any more: it is not waited for. */
static int on_ready(sd_event_source *source, int fd, uint32_t events, void *data)
{
	if (!wl_display_prepare_read(window.display) &&
	    wl_display_read_events(window.display) < 0)
		die_disconnected();
	return 0;
}

/* For something in between, which a signal may end, and us. */
void window_wait(void)
{
	sigset_t none, blocked;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, &blocked);
	if (wl_display_dispatch(window.display) < 0)
		die_disconnected();
	sigprocmask(SIG_SETMASK, &blocked, NULL);
}

/* To be called before each wait. */
void window_dispatch(void)
{
	uint32_t events = EPOLLIN;

	if (wl_display_dispatch_pending(window.display) < 0)
		die_disconnected();
	/* Another error than that one is to be read. */
	if (wl_display_flush(window.display) < 0 && errno == EAGAIN)
		events |= EPOLLOUT;
	if (sd_event_source_set_io_events(connection, events) < 0)
		die("cannot wait for the compositor");
}

static void require(const void *global, const char *name)
{
	if (!global)
		die("the compositor has no %s", name);
}

void window_open(sd_event *event, const char *title)
{
	struct xdg_surface *xdg_surface;
	struct wl_registry *registry;

	window.display = wl_display_connect(NULL);
	if (!window.display)
		die("no Wayland compositor (WAYLAND_DISPLAY, XDG_RUNTIME_DIR): %m");
	registry = wl_display_get_registry(window.display);
	wl_registry_add_listener(registry, &registry_listener, NULL);
	if (wl_display_roundtrip(window.display) < 0)
		die_disconnected();
	require(window.compositor, "wl_compositor version 4");
	require(wm_base, "xdg_wm_base");
	require(window.shm, "wl_shm");
	require(window.dmabuf, "zwp_linux_dmabuf_v1 version 3");

	surface = wl_compositor_create_surface(window.compositor);
	xdg_surface = xdg_wm_base_get_xdg_surface(wm_base, surface);
	xdg_surface_add_listener(xdg_surface, &xdg_surface_listener, NULL);
	toplevel = xdg_surface_get_toplevel(xdg_surface);
	xdg_toplevel_add_listener(toplevel, &toplevel_listener, NULL);
	xdg_toplevel_set_title(toplevel, title);
	xdg_toplevel_set_app_id(toplevel, "guest-viewer");
	wl_surface_commit(surface);
	while (!configured)
		window_wait();
	if (sd_event_add_io(event, &connection, wl_display_get_fd(window.display), EPOLLIN,
			    on_ready, NULL) < 0)
		die("cannot wait for the compositor");
}

int window_new_memfd(size_t size)
{
	int fd = memfd_create("guest-viewer", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, size) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK))
		die("cannot make a memfd: %m");
	return fd;
}

/* The pool is gone once the buffer is. */
struct wl_buffer *window_new_shm_buffer(int fd, int32_t offset, int w, int h, int stride,
					uint32_t format)
{
	struct wl_shm_pool *pool = wl_shm_create_pool(window.shm, fd, offset + stride * h);
	struct wl_buffer *buffer = wl_shm_pool_create_buffer(pool, offset, w, h, stride,
							     format);

	wl_shm_pool_destroy(pool);
	close(fd);
	return buffer;
}

static void resize(int w, int h)
{
	struct wl_region *opaque;

	if (w == width && h == height)
		return;
	width = w;
	height = h;
	xdg_toplevel_set_min_size(toplevel, w, h);
	xdg_toplevel_set_max_size(toplevel, w, h);
	opaque = wl_compositor_create_region(window.compositor);
	wl_region_add(opaque, 0, 0, w, h);
	wl_surface_set_opaque_region(surface, opaque);
	wl_region_destroy(opaque);
}

/* Without a buffer the window gets black, and keeps its size. */
void window_show(struct wl_buffer *buffer, int w, int h, bool bottom_up)
{
	struct wl_buffer *old = black;

	black = NULL;
	if (buffer)
		resize(w, h);
	else if (width)
		buffer = black = window_new_shm_buffer(
			window_new_memfd((size_t)width * height * 4), 0, width, height,
			width * 4, WL_SHM_FORMAT_XRGB8888);
	shown = buffer;
	wl_surface_set_buffer_transform(surface, bottom_up ?
					WL_OUTPUT_TRANSFORM_FLIPPED_180 :
					WL_OUTPUT_TRANSFORM_NORMAL);
	window_damage(0, 0, INT32_MAX, INT32_MAX);
	if (old)
		wl_buffer_destroy(old);
}

/*
 * The compositor reads the pixels where they are; it is told when to do so again. Where
 * that is, is counted from the top of the screen, also if the buffer has that last.
 */
void window_damage(int x, int y, int w, int h)
{
	if (!shown)
		return;
	wl_surface_attach(surface, shown, 0, 0);
	wl_surface_damage(surface, x, y, w, h);
	wl_surface_commit(surface);
}
