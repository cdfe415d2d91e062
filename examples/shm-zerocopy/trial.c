// SPDX-License-Identifier: MIT
/*
 * Trying whether the compositor imports a buffer, before the program's connection
 * stakes itself on it. Some drivers want heights or strides that are padded, which a
 * small buffer does not show. So each layout is tried once, on a connection of our own,
 * where a refusal ends nothing and nobody else waits for events. The answer comes
 * whatever the program is about to do: compositors do not wait for clients.
 */

#include <stdlib.h>
#include <string.h>

#include "linux-dmabuf-v1-client-protocol.h"
#include "shm-zerocopy.h"

/* Layouts whose outcome is known. A window that is resized has a new one each time. */
#define MAX_KNOWN 64

struct trial {
	struct wl_display *wl_display;
	struct zwp_linux_dmabuf_v1 *dmabuf;
	struct wl_shm *shm;
	bool shares_sealed;
	struct known {
		struct layout layout;
		bool imported;
	} known[MAX_KNOWN];
	unsigned int nr_known, oldest;
};

static void registry_global(void *data, struct wl_registry *registry, uint32_t name,
			    const char *interface, uint32_t version)
{
	struct trial *trial = data;

	if (!trial->dmabuf && version >= DMABUF_VERSION &&
	    !strcmp(interface, zwp_linux_dmabuf_v1_interface.name))
		trial->dmabuf = wl_registry_bind(registry, name,
						 &zwp_linux_dmabuf_v1_interface,
						 DMABUF_VERSION);
	else if (!trial->shm && !strcmp(interface, wl_shm_interface.name))
		trial->shm = wl_registry_bind(registry, name, &wl_shm_interface, 1);
}

static void registry_global_remove(void *data, struct wl_registry *registry,
				   uint32_t name)
{
}

static const struct wl_registry_listener registry_listener = {
	.global		= registry_global,
	.global_remove	= registry_global_remove,
};

struct trial *trial_open(struct wl_display *wl_display)
{
	struct trial *trial = wl_display ? calloc(1, sizeof(*trial)) : NULL;
	struct wl_registry *registry;

	if (!trial)
		return NULL;
	trial->wl_display = wl_display;
	registry = wl_display_get_registry(wl_display);
	if (registry) {
		wl_registry_add_listener(registry, &registry_listener, trial);
		wl_display_roundtrip(wl_display);
		wl_registry_destroy(registry);
	}
	if (!trial->dmabuf) {
		trial_close(trial);
		return NULL;
	}
	trial->shares_sealed = trial->shm && shares_sealed(wl_display, trial->shm);
	if (trial->shares_sealed)
		say("the compositor makes dma-bufs of sealed pools by itself");
	return trial;
}

bool trial_shares_sealed(const struct trial *trial)
{
	return trial->shares_sealed;
}

void trial_close(struct trial *trial)
{
	if (!trial)
		return;
	if (trial->dmabuf)
		zwp_linux_dmabuf_v1_destroy(trial->dmabuf);
	if (trial->shm)
		wl_shm_destroy(trial->shm);
	wl_display_disconnect(trial->wl_display);
	free(trial);
}

static bool same_layout(const struct layout *one, const struct layout *other)
{
	return one->fourcc == other->fourcc && one->width == other->width &&
	       one->height == other->height && one->stride == other->stride &&
	       one->offset == other->offset;
}

static struct known *find(struct trial *trial, const struct layout *layout)
{
	for (unsigned int i = 0; i < trial->nr_known; i++)
		if (same_layout(&trial->known[i].layout, layout))
			return &trial->known[i];
	return NULL;
}

static struct known *add(struct trial *trial, const struct layout *layout, bool imported)
{
	struct known *known;

	if (trial->nr_known < MAX_KNOWN) {
		known = &trial->known[trial->nr_known++];
	} else {
		known = &trial->known[trial->oldest];
		trial->oldest = (trial->oldest + 1) % MAX_KNOWN;
	}
	*known = (struct known){ *layout, imported };
	return known;
}

bool trial_imports(struct trial *trial, int dmabuf, const struct layout *layout)
{
	const struct known *known = find(trial, layout);
	struct attempt attempt;

	if (known)
		return known->imported;
	attempt_start(&attempt, trial->dmabuf, dmabuf, layout);
	wl_display_roundtrip(trial->wl_display);
	return add(trial, layout, attempt_succeeded(&attempt))->imported;
}
