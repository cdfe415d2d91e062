// SPDX-License-Identifier: MIT
/*
 * A compositor that shows nothing, and imports dma-bufs as some GPUs do: only those
 * whose height is a multiple of 64, which a small buffer does not tell. Who wants another
 * one at once is disconnected, as by any compositor. Of sealed wl_shm pools it makes
 * dma-bufs by itself (picky_shm.c). It says what it is asked to import that is not small,
 * and, for each commit of a surface, what kind of buffer and of which size is attached.
 * Its argument is the name of its socket.
 */

#include <drm_fourcc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "linux-dmabuf-v1-server-protocol.h"
#include "picky.h"

#define HEIGHT_ALIGN 64		/* pixels */
#define SMALL HEIGHT_ALIGN

static void destroy(struct wl_client *client, struct wl_resource *resource)
{
	wl_resource_destroy(resource);
}

/* dma-bufs */

static bool imports(int height)
{
	return height % HEIGHT_ALIGN == 0 || height < SMALL;
}

static void params_add(struct wl_client *client, struct wl_resource *params, int32_t fd,
		       uint32_t plane, uint32_t offset, uint32_t stride, uint32_t hi,
		       uint32_t lo)
{
	close(fd);
}

static void params_create(struct wl_client *client, struct wl_resource *params,
			  int32_t width, int32_t height, uint32_t format, uint32_t flags)
{
	if (height >= SMALL)
		printf("asked %dx%d\n", width, height);
	if (imports(height))
		zwp_linux_buffer_params_v1_send_created(params,
							make_buffer(client, 0, width,
								    height, DMABUF));
	else
		zwp_linux_buffer_params_v1_send_failed(params);
}

static void params_create_immed(struct wl_client *client, struct wl_resource *params,
				uint32_t id, int32_t width, int32_t height,
				uint32_t format, uint32_t flags)
{
	if (imports(height))
		make_buffer(client, id, width, height, DMABUF);
	else
		wl_resource_post_error(params,
				       ZWP_LINUX_BUFFER_PARAMS_V1_ERROR_INVALID_WL_BUFFER,
				       "importing the supplied dmabufs failed");
}

static const struct zwp_linux_buffer_params_v1_interface params_requests = {
	.destroy	= destroy,
	.add		= params_add,
	.create		= params_create,
	.create_immed	= params_create_immed,
};

static void dmabuf_create_params(struct wl_client *client, struct wl_resource *dmabuf,
				 uint32_t id)
{
	wl_resource_set_implementation(wl_resource_create(client,
							  &zwp_linux_buffer_params_v1_interface,
							  3, id),
				       &params_requests, NULL, NULL);
}

static const struct zwp_linux_dmabuf_v1_interface dmabuf_requests = {
	.destroy	= destroy,
	.create_params	= dmabuf_create_params,
};

static void bind_dmabuf(struct wl_client *client, void *data, uint32_t version,
			uint32_t id)
{
	struct wl_resource *dmabuf;

	dmabuf = wl_resource_create(client, &zwp_linux_dmabuf_v1_interface, version, id);
	wl_resource_set_implementation(dmabuf, &dmabuf_requests, NULL, NULL);
	zwp_linux_dmabuf_v1_send_modifier(dmabuf, DRM_FORMAT_XRGB8888,
					  DRM_FORMAT_MOD_LINEAR >> 32,
					  DRM_FORMAT_MOD_LINEAR & UINT32_MAX);
}

/* Surfaces: what is attached is told, and released at once. */

static void surface_attach(struct wl_client *client, struct wl_resource *surface,
			   struct wl_resource *buffer, int32_t x, int32_t y)
{
	wl_resource_set_user_data(surface, buffer);
}

static void surface_commit(struct wl_client *client, struct wl_resource *surface)
{
	static const char *const names[] = {
		[DMABUF] = "dma-buf", [SHM] = "wl_shm", [SHARED] = "shared",
	};
	struct wl_resource *resource = wl_resource_get_user_data(surface);
	const struct buffer *buffer = wl_resource_get_user_data(resource);

	printf("%s %dx%d\n", names[buffer->kind], buffer->width, buffer->height);
	wl_buffer_send_release(resource);
}

static const struct wl_surface_interface surface_requests = {
	.destroy	= destroy,
	.attach		= surface_attach,
	.commit		= surface_commit,
};

static void create_surface(struct wl_client *client, struct wl_resource *compositor,
			   uint32_t id)
{
	wl_resource_set_implementation(wl_resource_create(client, &wl_surface_interface,
							  1, id),
				       &surface_requests, NULL, NULL);
}

static const struct wl_compositor_interface compositor_requests = {
	.create_surface = create_surface,
};

static void bind_compositor(struct wl_client *client, void *data, uint32_t version,
			    uint32_t id)
{
	wl_resource_set_implementation(wl_resource_create(client, &wl_compositor_interface,
							  version, id),
				       &compositor_requests, NULL, NULL);
}

int main(int argc, char **argv)
{
	struct wl_display *display = wl_display_create();

	if (argc != 2 || !display || wl_display_add_socket(display, argv[1]))
		return 1;
	setlinebuf(stdout);
	wl_global_create(display, &wl_shm_interface, 1, NULL, bind_shm);
	wl_global_create(display, &wl_compositor_interface, 1, NULL, bind_compositor);
	wl_global_create(display, &zwp_linux_dmabuf_v1_interface, 3, NULL, bind_dmabuf);
	puts("ready");
	wl_display_run(display);
	return 0;
}
