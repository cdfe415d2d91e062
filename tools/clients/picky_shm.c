// SPDX-License-Identifier: MIT
/*
 * wl_shm for a compositor that makes a dma-buf of each buffer whose pool is sealed
 * against shrinking, by the kernel's own interface, as KWin does, and keeps it as long as
 * the buffer. Nothing is ever mapped.
 */

#include <err.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "picky.h"


static void destroy(struct wl_client *client, struct wl_resource *resource)
{
	wl_resource_destroy(resource);
}

static const struct wl_buffer_interface buffer_requests = {
	.destroy = destroy,
};

static void free_buffer(struct wl_resource *resource)
{
	struct buffer *buffer = wl_resource_get_user_data(resource);

	if (buffer->dmabuf >= 0)
		close(buffer->dmabuf);
	free(buffer);
}

struct wl_resource *make_buffer(struct wl_client *client, uint32_t id, int width, int height,
				enum kind kind)
{
	struct wl_resource *resource;
	struct buffer *buffer = malloc(sizeof(*buffer));

	resource = wl_resource_create(client, &wl_buffer_interface, 1, id);
	if (!resource || !buffer)
		errx(1, "no memory");
	*buffer = (struct buffer){ width, height, kind, -1 };
	wl_resource_set_implementation(resource, &buffer_requests, buffer, free_buffer);
	return resource;
}

static void pool_create_buffer(struct wl_client *client, struct wl_resource *pool,
			       uint32_t id, int32_t offset, int32_t width, int32_t height,
			       int32_t stride, uint32_t format)
{
	const int page = sysconf(_SC_PAGESIZE);
	int fd = (intptr_t)wl_resource_get_user_data(pool);
	struct udmabuf_create create = {
		.memfd = fd, .flags = UDMABUF_FLAGS_CLOEXEC, .offset = offset,
		.size = (stride * height + page - 1) / page * page,
	};
	struct wl_resource *resource = make_buffer(client, id, width, height, SHM);
	struct buffer *buffer = wl_resource_get_user_data(resource);
	int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);

	if (device < 0)
		err(1, "/dev/udmabuf");
	buffer->dmabuf = ioctl(device, UDMABUF_CREATE, &create);
	if (buffer->dmabuf >= 0)
		buffer->kind = SHARED;
	close(device);
}

static void pool_resize(struct wl_client *client, struct wl_resource *pool, int32_t size)
{
}

static void free_pool(struct wl_resource *pool)
{
	close((intptr_t)wl_resource_get_user_data(pool));
}

static const struct wl_shm_pool_interface pool_requests = {
	.create_buffer	= pool_create_buffer,
	.destroy	= destroy,
	.resize		= pool_resize,
};

static void shm_create_pool(struct wl_client *client, struct wl_resource *shm, uint32_t id,
			    int32_t fd, int32_t size)
{
	struct wl_resource *pool = wl_resource_create(client, &wl_shm_pool_interface, 1, id);

	wl_resource_set_implementation(pool, &pool_requests, (void *)(intptr_t)fd,
				       free_pool);
}

static const struct wl_shm_interface shm_requests = {
	.create_pool = shm_create_pool,
};

void bind_shm(struct wl_client *client, void *data, uint32_t version, uint32_t id)
{
	struct wl_resource *shm = wl_resource_create(client, &wl_shm_interface, 1, id);

	wl_resource_set_implementation(shm, &shm_requests, NULL, NULL);
	wl_shm_send_format(shm, WL_SHM_FORMAT_XRGB8888);
}
