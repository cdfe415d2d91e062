// SPDX-License-Identifier: MIT
/*
 * Connections to compositors. All that could fail, or would have to wait, is done when
 * the program has just connected: nobody else reads from the connection then. Later
 * the program may be anywhere, even between wl_display_prepare_read() and
 * wl_display_read_events(), where whoever waits for the compositor waits for ever: what
 * there is to ask then is asked on a connection of our own (trial.c).
 */

#include <drm_fourcc.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "linux-dmabuf-v1-client-protocol.h"
#include "shm-zerocopy.h"

/*
 * Each is a descriptor in the program and in the compositor, which must not run out
 * of them.
 */
#define MAX_BUFFERS 64

static struct wl_list displays = { &displays, &displays };

static void dmabuf_format(void *data, struct zwp_linux_dmabuf_v1 *dmabuf,
			  uint32_t fourcc)
{
	/* Says less than the modifier events that come with it. */
}

static void dmabuf_modifier(void *data, struct zwp_linux_dmabuf_v1 *dmabuf,
			    uint32_t fourcc, uint32_t hi, uint32_t lo)
{
	uint32_t *offered = data;
	int index = format_index(fourcc);

	if (index >= 0 && ((uint64_t)hi << 32 | lo) == DRM_FORMAT_MOD_LINEAR)
		*offered |= 1u << index;
}

static const struct zwp_linux_dmabuf_v1_listener dmabuf_listener = {
	.format		= dmabuf_format,
	.modifier	= dmabuf_modifier,
};

static void registry_global(void *data, struct wl_registry *registry, uint32_t name,
			    const char *interface, uint32_t version)
{
	struct display *display = data;

	if (strcmp(interface, zwp_linux_dmabuf_v1_interface.name) ||
	    version < DMABUF_VERSION || display->dmabuf)
		return;
	display->dmabuf = wl_registry_bind(registry, name,
					   &zwp_linux_dmabuf_v1_interface,
					   DMABUF_VERSION);
}

static void registry_global_remove(void *data, struct wl_registry *registry,
				   uint32_t name)
{
}

static const struct wl_registry_listener registry_listener = {
	.global		= registry_global,
	.global_remove	= registry_global_remove,
};

/* A proxy for the display whose children belong to our queue. */
static struct wl_registry *get_registry(const struct display *display)
{
	struct wl_display *wrapper = wl_proxy_create_wrapper(display->wl_display);
	struct wl_registry *registry;

	if (!wrapper)
		return NULL;
	wl_proxy_set_queue((struct wl_proxy *)wrapper, display->queue);
	registry = wl_display_get_registry(wrapper);
	wl_proxy_wrapper_destroy(wrapper);
	return registry;
}

static void look_for_formats(struct display *display)
{
	struct wl_registry *registry = get_registry(display);
	uint32_t offered = 0;

	if (!registry)
		return;
	wl_registry_add_listener(registry, &registry_listener, display);
	if (wl_display_roundtrip_queue(display->wl_display, display->queue) >= 0 &&
	    display->dmabuf) {
		zwp_linux_dmabuf_v1_add_listener(display->dmabuf, &dmabuf_listener,
						 &offered);
		if (wl_display_roundtrip_queue(display->wl_display,
					       display->queue) >= 0 && offered)
			probe(display, offered);
	}
	/* What it would tell later, nobody would take from our queue. */
	wl_registry_destroy(registry);
}

static void display_free(struct display *display)
{
	trial_close(display->trial);
	if (display->dmabuf)
		zwp_linux_dmabuf_v1_destroy(display->dmabuf);
	if (display->queue)
		wl_event_queue_destroy(display->queue);
	free(display);
}

/* Why it is not, or NULL. */
static const char *make_usable(struct display *display, const char *name)
{
	look_for_formats(display);
	if (!display->dmabuf)
		return "the compositor has no zwp_linux_dmabuf_v1";
	if (!display->formats)
		return "the compositor cannot import linear ones of our driver";
	display->trial = trial_open(connect_unseen(name));
	if (!display->trial)
		return "there is no second connection, to try them on";
	return NULL;
}

void display_open(struct wl_display *wl_display, const char *name)
{
	const char *useless = "no memory";
	struct display *display;

	if (!udmabuf_usable())
		return;
	display = calloc(1, sizeof(*display));
	if (!display)
		return;
	display->wl_display = wl_display;
	display->queue = wl_display_create_queue_with_name(wl_display, "wl-zerocopy");
	if (display->queue)
		useless = make_usable(display, name);
	if (useless) {
		say("no dma-bufs: %s", useless);
		display_free(display);
		return;
	}
	lock();
	wl_list_insert(&displays, &display->link);
	unlock();
}

struct display *display_find(struct wl_display *wl_display)
{
	struct display *display;

	wl_list_for_each(display, &displays, link)
		if (display->wl_display == wl_display)
			return display;
	return NULL;
}

void display_close(struct display *display)
{
	buffers_close(display);
	wl_list_remove(&display->link);
	display_free(display);
}

const char *display_refuses(const struct display *display,
			    const struct layout *layout)
{
	int index = format_index(layout->fourcc);

	if (index < 0 || !(display->formats & 1u << index))
		return "the compositor does not import its format";
	if (layout->stride % display->stride_align)
		return "the compositor does not import its stride";
	if (layout->offset % display->offset_align)
		return "the compositor does not import its offset";
	if (display->buffers >= MAX_BUFFERS)
		return "the connection has as many as it may have";
	return NULL;
}
