// SPDX-License-Identifier: MIT
/*
 * The connection to the compositor, a window on it, and waiting for what the
 * compositor has to say.
 */

#define _GNU_SOURCE		/* ppoll */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "linux-dmabuf-v1-client-protocol.h"
#include "presentation-time-client-protocol.h"
#include "xdg-shell-client-protocol.h"
#include "zerocopy.h"

static volatile sig_atomic_t interrupted;

static void on_signal(int signal)
{
	interrupted = 1;
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	sigset_t stop;

	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static _Noreturn void die_disconnected(struct wl_display *display)
{
	const struct wl_interface *interface = NULL;
	uint32_t code, id;

	if (wl_display_get_error(display) != EPROTO)
		die(STATUS_DISCONNECTED, "the compositor closed the connection");

	code = wl_display_get_protocol_error(display, &interface, &id);
	if (interface == &zwp_linux_buffer_params_v1_interface)
		die(STATUS_REJECTED, "the compositor rejects the dma-buf: error %u of %s",
		    code, interface->name);
	die(STATUS_DISCONNECTED, "protocol error %u of %s", code,
	    interface ? interface->name : "an unknown interface");
}

/* Signals are blocked but for the wait, so that none is missed before it. */
bool window_wait(struct window *window, int fd)
{
	struct wl_display *display = window->display;
	struct pollfd fds[2] = {
		{ .fd = wl_display_get_fd(display), .events = POLLIN },
		{ .fd = fd, .events = POLLIN },
	};
	sigset_t none;
	int n;

	while (wl_display_prepare_read(display) < 0)
		if (wl_display_dispatch_pending(display) < 0)
			die_disconnected(display);

	if (wl_display_flush(display) < 0) {
		if (errno == EAGAIN)
			fds[0].events |= POLLOUT;
		/* Otherwise the reason is still to be read. */
	}

	sigemptyset(&none);
	n = ppoll(fds, 2, NULL, &none);
	if (n > 0 && fds[0].revents & ~POLLOUT) {
		if (wl_display_read_events(display) < 0)
			die_disconnected(display);
	} else {
		wl_display_cancel_read(display);
	}
	if (wl_display_dispatch_pending(display) < 0)
		die_disconnected(display);

	if (interrupted)
		window->closed = true;
	return n > 0 && fds[1].revents;
}

static void sync_done(void *data, struct wl_callback *callback, uint32_t serial)
{
	struct window *window = data;

	wl_callback_destroy(callback);
	window->synced = true;
}

static const struct wl_callback_listener sync_listener = {
	.done = sync_done,
};

void window_roundtrip(struct window *window)
{
	window->synced = false;
	wl_callback_add_listener(wl_display_sync(window->display), &sync_listener, window);
	while (!window->synced && !window->closed)
		window_wait(window, -1);
}

void window_settle(struct window *window)
{
	while (window->feedback.pending && !window->closed)
		window_wait(window, -1);
}

static void wm_base_ping(void *data, struct xdg_wm_base *wm_base, uint32_t serial)
{
	xdg_wm_base_pong(wm_base, serial);
}

static const struct xdg_wm_base_listener wm_base_listener = {
	.ping = wm_base_ping,
};

static uint32_t lesser(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static void registry_global(void *data, struct wl_registry *registry,
			    uint32_t name, const char *interface, uint32_t version)
{
	struct window *window = data;

	if (!strcmp(interface, wl_compositor_interface.name) && version >= 4) {
		window->compositor = wl_registry_bind(registry, name,
						      &wl_compositor_interface, 4);
	} else if (!strcmp(interface, wl_subcompositor_interface.name)) {
		window->subcompositor = wl_registry_bind(registry, name,
							 &wl_subcompositor_interface, 1);
	} else if (!strcmp(interface, wl_shm_interface.name)) {
		window->shm = wl_registry_bind(registry, name, &wl_shm_interface, 1);
		format_listen_shm(window->shm);
	} else if (!strcmp(interface, zwp_linux_dmabuf_v1_interface.name) &&
		   version >= 3) {
		window->dmabuf = wl_registry_bind(registry, name,
						  &zwp_linux_dmabuf_v1_interface,
						  lesser(version, 5));
		format_listen_dmabuf(window->dmabuf);
	} else if (!strcmp(interface, xdg_wm_base_interface.name)) {
		window->wm_base = wl_registry_bind(registry, name,
						   &xdg_wm_base_interface, 1);
		xdg_wm_base_add_listener(window->wm_base, &wm_base_listener, NULL);
	} else if (!strcmp(interface, wp_presentation_interface.name)) {
		window->feedback.presentation =
			wl_registry_bind(registry, name, &wp_presentation_interface, 1);
	}
}

static void registry_global_remove(void *data, struct wl_registry *registry,
				   uint32_t name)
{
}

static const struct wl_registry_listener registry_listener = {
	.global		= registry_global,
	.global_remove	= registry_global_remove,
};

/* Afterwards it is known which formats the compositor takes. */
void window_connect(struct window *window)
{
	struct wl_registry *registry;

	window->display = wl_display_connect(NULL);
	if (!window->display)
		die(STATUS_NO_COMPOSITOR,
		    "no Wayland compositor (WAYLAND_DISPLAY, XDG_RUNTIME_DIR): %m");

	registry = wl_display_get_registry(window->display);
	wl_registry_add_listener(registry, &registry_listener, window);
	window_roundtrip(window);
	if (!window->compositor)
		die(STATUS_NO_PROTOCOL, "the compositor has no wl_compositor version 4");
	if (!window->subcompositor)
		die(STATUS_NO_PROTOCOL, "the compositor has no wl_subcompositor");
	if (!window->wm_base)
		die(STATUS_NO_PROTOCOL, "the compositor has no xdg_wm_base (xdg-shell)");
	window_roundtrip(window);
	/* Until now, a signal has simply ended the wait for a compositor, and us. */
	catch_signals();
}

static void xdg_surface_configure(void *data, struct xdg_surface *xdg_surface,
				  uint32_t serial)
{
	struct window *window = data;

	xdg_surface_ack_configure(xdg_surface, serial);
	window->configured = true;
}

static const struct xdg_surface_listener xdg_surface_listener = {
	.configure = xdg_surface_configure,
};

/* The size is a suggestion, except in these two states. */
static void toplevel_configure(void *data, struct xdg_toplevel *toplevel,
			       int32_t width, int32_t height,
			       struct wl_array *states)
{
	struct window *window = data;
	uint32_t *state;

	wl_array_for_each(state, states) {
		/* 0: the compositor leaves it to us. */
		bool larger = (width && window->width > width) ||
			      (height && window->height > height);
		bool smaller = window->width < width || window->height < height;

		if ((*state == XDG_TOPLEVEL_STATE_FULLSCREEN && larger) ||
		    (*state == XDG_TOPLEVEL_STATE_MAXIMIZED && (larger || smaller)))
			die(STATUS_USAGE, "the compositor wants a window of %dx%d (see --size)",
			    width, height);
	}
}

static void toplevel_close(void *data, struct xdg_toplevel *toplevel)
{
	struct window *window = data;

	window->closed = true;
}

static const struct xdg_toplevel_listener toplevel_listener = {
	.configure	= toplevel_configure,
	.close		= toplevel_close,
};

/* Returns when the compositor is ready for the first frame. */
void window_open(struct window *window, const char *title, int width, int height)
{
	struct xdg_surface *xdg_surface;
	struct xdg_toplevel *toplevel;
	struct wl_region *opaque;

	window->width = width;
	window->height = height;
	window->surface = wl_compositor_create_surface(window->compositor);
	xdg_surface = xdg_wm_base_get_xdg_surface(window->wm_base, window->surface);
	xdg_surface_add_listener(xdg_surface, &xdg_surface_listener, window);
	toplevel = xdg_surface_get_toplevel(xdg_surface);
	xdg_toplevel_add_listener(toplevel, &toplevel_listener, window);
	xdg_toplevel_set_title(toplevel, title);
	xdg_toplevel_set_app_id(toplevel, "wayland-zerocopy");
	xdg_toplevel_set_min_size(toplevel, width, height);
	xdg_toplevel_set_max_size(toplevel, width, height);
	if (window->fullscreen)
		xdg_toplevel_set_fullscreen(toplevel, NULL);

	opaque = wl_compositor_create_region(window->compositor);
	wl_region_add(opaque, 0, 0, width, height);
	wl_surface_set_opaque_region(window->surface, opaque);
	wl_region_destroy(opaque);
	wl_surface_commit(window->surface);

	while (!window->configured && !window->closed)
		window_wait(window, -1);
	window->frame_due = true;
}

static void frame_done(void *data, struct wl_callback *callback, uint32_t time)
{
	struct window *window = data;

	wl_callback_destroy(callback);
	window->frame_due = true;
}

static const struct wl_callback_listener frame_listener = {
	.done = frame_done,
};

static void show_on(struct window *window, struct wl_surface *surface,
		    struct buffer *buffer)
{
	struct wl_callback *callback = wl_surface_frame(surface);

	wl_callback_add_listener(callback, &frame_listener, window);
	wl_surface_attach(surface, buffer->wl_buffer, 0, 0);
	wl_surface_damage_buffer(surface, 0, 0, INT32_MAX, INT32_MAX);
	wl_surface_commit(surface);
	buffer->busy = true;
	window->frame_due = false;
}

void window_show(struct window *window, struct buffer *buffer)
{
	feedback_ask(&window->feedback, window->surface);
	show_on(window, window->surface, buffer);
}

/* A sub-surface appears when its parent is committed, which changes nothing else. */
void window_cover(struct window *window, struct buffer *buffer)
{
	window->cover = wl_compositor_create_surface(window->compositor);
	window->subsurface = wl_subcompositor_get_subsurface(window->subcompositor,
							     window->cover,
							     window->surface);
	show_on(window, window->cover, buffer);
	wl_surface_commit(window->surface);
	while (!window->frame_due && !window->closed)
		window_wait(window, -1);
}

void window_uncover(struct window *window)
{
	wl_subsurface_destroy(window->subsurface);
	wl_surface_destroy(window->cover);
	window_roundtrip(window);
}
