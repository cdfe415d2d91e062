// SPDX-License-Identifier: MIT
/*
 * The formats that we know. All have one plane of pixels, as in a wl_shm buffer
 * there is one stride: how several planes follow each other in it, compositors
 * need not agree on.
 */

#include <drm_fourcc.h>

#include "shm-zerocopy.h"

static const struct {
	uint32_t fourcc;
	unsigned int pixel_size;	/* bytes */
} formats[] = {
	[FORMAT_XRGB8888] = { DRM_FORMAT_XRGB8888, 4 },
	{ DRM_FORMAT_ARGB8888, 4 },
	{ DRM_FORMAT_XBGR8888, 4 },
	{ DRM_FORMAT_ABGR8888, 4 },
	{ DRM_FORMAT_RGBX8888, 4 },
	{ DRM_FORMAT_RGBA8888, 4 },
	{ DRM_FORMAT_BGRX8888, 4 },
	{ DRM_FORMAT_BGRA8888, 4 },
	{ DRM_FORMAT_XRGB2101010, 4 },
	{ DRM_FORMAT_ARGB2101010, 4 },
	{ DRM_FORMAT_XBGR2101010, 4 },
	{ DRM_FORMAT_ABGR2101010, 4 },
	{ DRM_FORMAT_RGB565, 2 },
	{ DRM_FORMAT_XBGR16161616F, 8 },
	{ DRM_FORMAT_ABGR16161616F, 8 },
	{ DRM_FORMAT_XBGR16161616, 8 },
	{ DRM_FORMAT_ABGR16161616, 8 },
};

uint32_t format_from_shm(uint32_t shm)
{
	switch (shm) {
	case WL_SHM_FORMAT_ARGB8888:
		return DRM_FORMAT_ARGB8888;
	case WL_SHM_FORMAT_XRGB8888:
		return DRM_FORMAT_XRGB8888;
	default:
		return shm;
	}
}

int format_index(uint32_t fourcc)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (formats[i].fourcc == fourcc)
			return i;
	return -1;
}

uint32_t format_fourcc(int index)
{
	return formats[index].fourcc;
}

unsigned int format_pixel_size(uint32_t fourcc)
{
	return formats[format_index(fourcc)].pixel_size;
}
