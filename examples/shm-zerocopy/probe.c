// SPDX-License-Identifier: MIT
/*
 * Asking a compositor what it can import. A buffer that is wanted at once, without
 * asking, is a protocol error if it cannot be imported, and ends the program. Here is
 * the request that can fail. It is made for small buffers first, of each format that the
 * compositor says it takes, and with rows that suit a GPU less and less: what it refuses
 * of them, it is not asked for again.
 */

#define _GNU_SOURCE		/* memfd_create */
#include <drm_fourcc.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "linux-dmabuf-v1-client-protocol.h"
#include "shm-zerocopy.h"

#define SIDE 32			/* pixels */
#define STRIDE (SIDE * 8)	/* bytes: room for the widest pixels */

/* Powers of two from 4 bytes on; all GPUs that we know of are content with the last. */
#define NALIGNS 7
#define ALIGN(i) (4u << (i))
/*
 * Where pixels begin cannot be found out so: an image of AMD's begins at a multiple of this,
 * as its address has no other bits, and the driver takes any offset without a word.
 */
#define OFFSET_ALIGN ALIGN(NALIGNS - 1)
/* Where none of them will do. */
#define PAGE_ALIGN ((uint32_t)sysconf(_SC_PAGESIZE))

/* Room for rows and pixels at the worst places. */
#define SIZE (SIDE * (STRIDE + ALIGN(NALIGNS - 1)) + ALIGN(NALIGNS - 1))

static void params_created(void *data, struct zwp_linux_buffer_params_v1 *params,
			   struct wl_buffer *buffer)
{
	struct attempt *attempt = data;

	attempt->created = true;
	wl_buffer_destroy(buffer);
}

static void params_failed(void *data, struct zwp_linux_buffer_params_v1 *params)
{
}

static const struct zwp_linux_buffer_params_v1_listener params_listener = {
	.created	= params_created,
	.failed		= params_failed,
};

struct zwp_linux_buffer_params_v1 *params_of(struct zwp_linux_dmabuf_v1 *global,
					     int dmabuf, const struct layout *layout)
{
	struct zwp_linux_buffer_params_v1 *params;

	params = zwp_linux_dmabuf_v1_create_params(global);
	if (params)
		zwp_linux_buffer_params_v1_add(params, dmabuf, 0, layout->offset,
					       layout->stride,
					       DRM_FORMAT_MOD_LINEAR >> 32,
					       DRM_FORMAT_MOD_LINEAR & UINT32_MAX);
	return params;
}

void attempt_start(struct attempt *attempt, struct zwp_linux_dmabuf_v1 *global,
		   int dmabuf, const struct layout *layout)
{
	attempt->created = false;
	attempt->params = params_of(global, dmabuf, layout);
	if (!attempt->params)
		return;
	zwp_linux_buffer_params_v1_add_listener(attempt->params, &params_listener,
						attempt);
	zwp_linux_buffer_params_v1_create(attempt->params, layout->width,
					  layout->height, layout->fourcc, 0);
}

bool attempt_succeeded(const struct attempt *attempt)
{
	if (attempt->params)
		zwp_linux_buffer_params_v1_destroy(attempt->params);
	return attempt->created;
}

static void try(struct attempt *attempt, const struct display *display, int dmabuf,
		uint32_t fourcc, uint32_t stride, uint32_t offset)
{
	const struct layout layout = { fourcc, SIDE, SIDE, stride, offset };

	attempt_start(attempt, display->dmabuf, dmabuf, &layout);
}

/* The least alignment that will do, and so will all above it. */
static uint32_t least_align(const struct attempt *attempts)
{
	uint32_t least = PAGE_ALIGN;
	bool good = true;

	for (int i = NALIGNS - 1; i >= 0; i--) {
		good = attempt_succeeded(&attempts[i]) && good;
		if (good)
			least = ALIGN(i);
	}
	return least;
}

static int create_dmabuf(void)
{
	int dmabuf, memfd = memfd_create("wl-zerocopy", MFD_CLOEXEC);

	if (memfd < 0)
		return -errno;
	dmabuf = ftruncate(memfd, SIZE) ? -errno : udmabuf_create(memfd, 0, SIZE);
	close(memfd);
	return dmabuf;
}

void probe(struct display *display, uint32_t offered)
{
	struct attempt formats[32] = { 0 };
	struct attempt strides[NALIGNS] = { 0 }, offset = { 0 };
	int dmabuf = create_dmabuf();

	if (dmabuf < 0) {
		say("udmabuf refuses %d bytes: %s", SIZE, strerror(-dmabuf));
		return;
	}
	for (int i = 0; i < 32; i++)
		if (offered & 1u << i)
			try(&formats[i], display, dmabuf, format_fourcc(i), STRIDE, 0);
	/* Which other formats do not change. */
	if (offered & 1u << FORMAT_XRGB8888) {
		for (int i = 0; i < NALIGNS; i++)
			try(&strides[i], display, dmabuf, DRM_FORMAT_XRGB8888,
			    STRIDE + ALIGN(i), 0);
		try(&offset, display, dmabuf, DRM_FORMAT_XRGB8888, STRIDE, OFFSET_ALIGN);
	}
	wl_display_roundtrip_queue(display->wl_display, display->queue);

	for (int i = 0; i < 32; i++) {
		if (!attempt_succeeded(&formats[i]))
			continue;
		display->formats |= 1u << i;
		say("the compositor imports %s",
		    fourcc_name(format_fourcc(i)).name);
	}
	display->stride_align = least_align(strides);
	display->offset_align = attempt_succeeded(&offset) ? OFFSET_ALIGN : PAGE_ALIGN;
	say("strides and offsets that are multiples of %u and %u bytes",
	    display->stride_align, display->offset_align);
	close(dmabuf);
}
