// SPDX-License-Identifier: MIT
/*
 * The pixel formats that the client can draw, and in which of them, with which
 * modifiers, the compositor takes buffers.
 */

#include <drm/drm_fourcc.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "linux-dmabuf-v1-client-protocol.h"
#include "zerocopy.h"

static uint32_t pack_xrgb8888(uint8_t r, uint8_t g, uint8_t b)
{
	return 0xff000000u | r << 16 | g << 8 | b;
}

static uint32_t pack_xbgr8888(uint8_t r, uint8_t g, uint8_t b)
{
	return 0xff000000u | b << 16 | g << 8 | r;
}

static uint32_t pack_rgb565(uint8_t r, uint8_t g, uint8_t b)
{
	return r >> 3 << 11 | g >> 2 << 5 | b >> 3;
}

static const struct format formats[] = {
	{ "XRGB8888", DRM_FORMAT_XRGB8888, WL_SHM_FORMAT_XRGB8888, 4, pack_xrgb8888 },
	{ "ARGB8888", DRM_FORMAT_ARGB8888, WL_SHM_FORMAT_ARGB8888, 4, pack_xrgb8888 },
	{ "XBGR8888", DRM_FORMAT_XBGR8888, WL_SHM_FORMAT_XBGR8888, 4, pack_xbgr8888 },
	{ "ABGR8888", DRM_FORMAT_ABGR8888, WL_SHM_FORMAT_ABGR8888, 4, pack_xbgr8888 },
	{ "RGB565", DRM_FORMAT_RGB565, WL_SHM_FORMAT_RGB565, 2, pack_rgb565 },
};

#define NFORMATS (sizeof(formats) / sizeof(formats[0]))

static unsigned int offers[NFORMATS];

const struct format *format_by_name(const char *name)
{
	for (size_t i = 0; i < NFORMATS; i++)
		if (!strcasecmp(formats[i].name, name))
			return &formats[i];
	return NULL;
}

unsigned int format_offers(const struct format *format)
{
	return offers[format - formats];
}

/* Names on standard error those that have any of these offers, 0: all. */
void format_print_names(unsigned int wanted)
{
	for (size_t i = 0; i < NFORMATS; i++)
		if (!wanted || offers[i] & wanted)
			fprintf(stderr, " %s", formats[i].name);
	fputc('\n', stderr);
}

static void offer_dmabuf(uint32_t fourcc, uint64_t modifier)
{
	for (size_t i = 0; i < NFORMATS; i++) {
		if (formats[i].fourcc != fourcc)
			continue;
		if (modifier == DRM_FORMAT_MOD_LINEAR)
			offers[i] |= OFFER_LINEAR;
		else if (modifier == DRM_FORMAT_MOD_INVALID)
			offers[i] |= OFFER_IMPLICIT;
	}
}

static void shm_format(void *data, struct wl_shm *shm, uint32_t format)
{
	for (size_t i = 0; i < NFORMATS; i++)
		if (formats[i].shm == format)
			offers[i] |= OFFER_SHM;
}

static const struct wl_shm_listener shm_listener = {
	.format = shm_format,
};

void format_listen_shm(struct wl_shm *shm)
{
	wl_shm_add_listener(shm, &shm_listener, NULL);
}

/* Version 3 names pairs of format and modifier in events. */

static void dmabuf_format(void *data, struct zwp_linux_dmabuf_v1 *dmabuf,
			  uint32_t format)
{
	/* Says less than the modifier events that come with it. */
}

static void dmabuf_modifier(void *data, struct zwp_linux_dmabuf_v1 *dmabuf,
			    uint32_t format, uint32_t hi, uint32_t lo)
{
	offer_dmabuf(format, (uint64_t)hi << 32 | lo);
}

static const struct zwp_linux_dmabuf_v1_listener dmabuf_listener = {
	.format		= dmabuf_format,
	.modifier	= dmabuf_modifier,
};

/*
 * From version 4 on the pairs are in a table, which comes as a file descriptor,
 * and the tranches list those that can be used by their index in it.
 */

struct table_entry {
	uint32_t format;
	uint32_t padding;
	uint64_t modifier;
};

static const struct table_entry *table = MAP_FAILED;
static size_t table_size;		/* bytes */

static void drop_table(void)
{
	if (table != MAP_FAILED)
		munmap((void *)table, table_size);
	table = MAP_FAILED;
}

static void feedback_format_table(void *data,
				  struct zwp_linux_dmabuf_feedback_v1 *feedback,
				  int fd, uint32_t size)
{
	struct stat st;

	drop_table();
	if (fstat(fd, &st) || st.st_size < size)
		die(STATUS_ERROR, "the compositor's table of formats is shorter than it says");
	table_size = size;
	table = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (table == MAP_FAILED)
		die(STATUS_ERROR, "cannot map the compositor's table of formats: %m");
}

static void feedback_tranche_formats(void *data,
				     struct zwp_linux_dmabuf_feedback_v1 *feedback,
				     struct wl_array *indices)
{
	uint16_t *index;

	if (table == MAP_FAILED)
		return;
	wl_array_for_each(index, indices)
		if (*index < table_size / sizeof(*table))
			offer_dmabuf(table[*index].format, table[*index].modifier);
}

static void feedback_done(void *data, struct zwp_linux_dmabuf_feedback_v1 *feedback)
{
	/* Buffers are made once: what becomes better later is of no use. */
	drop_table();
	zwp_linux_dmabuf_feedback_v1_destroy(feedback);
}

/*
 * The devices do not matter: system memory is not on any of them, and whether
 * the compositor's can read it turns out when it imports the buffer.
 */
static void feedback_device(void *data, struct zwp_linux_dmabuf_feedback_v1 *feedback,
			    struct wl_array *device)
{
}

static void feedback_tranche_flags(void *data,
				   struct zwp_linux_dmabuf_feedback_v1 *feedback,
				   uint32_t flags)
{
}

static void feedback_tranche_done(void *data,
				  struct zwp_linux_dmabuf_feedback_v1 *feedback)
{
}

static const struct zwp_linux_dmabuf_feedback_v1_listener feedback_listener = {
	.done			= feedback_done,
	.format_table		= feedback_format_table,
	.main_device		= feedback_device,
	.tranche_done		= feedback_tranche_done,
	.tranche_target_device	= feedback_device,
	.tranche_formats	= feedback_tranche_formats,
	.tranche_flags		= feedback_tranche_flags,
};

void format_listen_dmabuf(struct zwp_linux_dmabuf_v1 *dmabuf)
{
	struct zwp_linux_dmabuf_feedback_v1 *feedback;

	zwp_linux_dmabuf_v1_add_listener(dmabuf, &dmabuf_listener, NULL);
	if (zwp_linux_dmabuf_v1_get_version(dmabuf) <
	    ZWP_LINUX_DMABUF_V1_GET_DEFAULT_FEEDBACK_SINCE_VERSION)
		return;
	feedback = zwp_linux_dmabuf_v1_get_default_feedback(dmabuf);
	zwp_linux_dmabuf_feedback_v1_add_listener(feedback, &feedback_listener, NULL);
}
