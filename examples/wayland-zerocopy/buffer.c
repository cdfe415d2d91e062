// SPDX-License-Identifier: MIT
/*
 * Two frames in one memfd, and how they become wl_buffers: each as a dma-buf that
 * udmabuf makes of its part of the memfd, or both from a wl_shm pool.
 */

#define _GNU_SOURCE		/* memfd_create, F_ADD_SEALS */
#include <drm/drm_fourcc.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "linux-dmabuf-v1-client-protocol.h"
#include "zerocopy.h"

#define UDMABUF_NODE "/dev/udmabuf"

/* The strictest alignment of a linear row among common GPUs, in bytes. */
#define STRIDE_ALIGN 256

static size_t round_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

/* The memfd of a pool whose width, height and format are set. */
void pool_create(struct pool *pool, bool huge)
{
	size_t frame_size;
	struct stat st;
	char *map;

	pool->stride = round_up(pool->width * pool->format->bytes, STRIDE_ALIGN);
	/* udmabuf wants whole pages; both frames may share a huge one. */
	frame_size = round_up((size_t)pool->stride * pool->height,
			      sysconf(_SC_PAGESIZE));

	pool->memfd = memfd_create("wayland-zerocopy",
				   MFD_CLOEXEC | MFD_ALLOW_SEALING |
				   (huge ? MFD_HUGETLB : 0));
	if (pool->memfd < 0 || fstat(pool->memfd, &st) < 0)
		die(STATUS_NO_MEMORY, "cannot make a memfd%s: %m",
		    huge ? " of huge pages" : "");

	/* The block size of a hugetlb file is that of its pages. */
	pool->size = round_up(2 * frame_size, st.st_blksize);
	if (ftruncate(pool->memfd, pool->size) < 0)
		die(STATUS_NO_MEMORY, "cannot size the memfd to %zu bytes: %m",
		    pool->size);

	map = mmap(NULL, pool->size, PROT_READ | PROT_WRITE, MAP_SHARED,
		   pool->memfd, 0);
	if (map == MAP_FAILED && huge)
		die(STATUS_NO_MEMORY,
		    "cannot get %zu huge pages of %ld kB (see vm.nr_hugepages): %m",
		    pool->size / st.st_blksize, (long)st.st_blksize / 1024);
	if (map == MAP_FAILED)
		die(STATUS_NO_MEMORY, "cannot map the memfd: %m");

	/* Nobody pins pages of a file that may lose them. */
	if (fcntl(pool->memfd, F_ADD_SEALS, F_SEAL_SHRINK) < 0)
		die(STATUS_ERROR, "cannot seal the memfd: %m");

	for (int i = 0; i < 2; i++) {
		pool->buffers[i].offset = i * frame_size;
		pool->buffers[i].pixels = map + i * frame_size;
		pool->buffers[i].dmabuf = -1;
	}
}

static void buffer_release(void *data, struct wl_buffer *wl_buffer)
{
	struct buffer *buffer = data;

	buffer->busy = false;
}

static const struct wl_buffer_listener buffer_listener = {
	.release = buffer_release,
};

struct import {
	struct wl_buffer *wl_buffer;
	bool failed;
};

static void params_created(void *data, struct zwp_linux_buffer_params_v1 *params,
			   struct wl_buffer *wl_buffer)
{
	struct import *import = data;

	import->wl_buffer = wl_buffer;
}

static void params_failed(void *data, struct zwp_linux_buffer_params_v1 *params)
{
	struct import *import = data;

	import->failed = true;
}

static const struct zwp_linux_buffer_params_v1_listener params_listener = {
	.created	= params_created,
	.failed		= params_failed,
};

static struct wl_buffer *import_dmabuf(const struct pool *pool, int dmabuf,
				       uint64_t modifier, struct window *window)
{
	struct zwp_linux_buffer_params_v1 *params;
	struct import import = { 0 };

	params = zwp_linux_dmabuf_v1_create_params(window->dmabuf);
	zwp_linux_buffer_params_v1_add_listener(params, &params_listener, &import);
	zwp_linux_buffer_params_v1_add(params, dmabuf, 0, 0, pool->stride,
				       modifier >> 32, modifier & UINT32_MAX);
	zwp_linux_buffer_params_v1_create(params, pool->width, pool->height,
					  pool->format->fourcc, 0);
	while (!import.wl_buffer && !import.failed && !window->closed)
		window_wait(window, -1);
	if (import.failed)
		die(STATUS_REJECTED,
		    "the compositor cannot import the dma-buf (%s, %dx%d, stride %d)",
		    pool->format->name, pool->width, pool->height, pool->stride);
	zwp_linux_buffer_params_v1_destroy(params);
	return import.wl_buffer;
}

static int open_udmabuf(void)
{
	int fd = open(UDMABUF_NODE, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		die(STATUS_NO_UDMABUF,
		    "there is no " UDMABUF_NODE " (modprobe udmabuf_pinfold, or udmabuf?)");
	if (errno == EACCES || errno == EPERM)
		die(STATUS_NO_PERMISSION,
		    "no permission to open " UDMABUF_NODE " (group kvm, or a seat)");
	die(STATUS_ERROR, "cannot open " UDMABUF_NODE ": %m");
}

void pool_share_udmabuf(struct pool *pool, struct window *window)
{
	unsigned int offers = format_offers(pool->format);
	uint64_t modifier = offers & OFFER_LINEAR ? DRM_FORMAT_MOD_LINEAR
						  : DRM_FORMAT_MOD_INVALID;
	int udmabuf = open_udmabuf();

	for (int i = 0; i < 2 && !window->closed; i++) {
		struct buffer *buffer = &pool->buffers[i];
		struct udmabuf_create create = {
			.memfd	= pool->memfd,
			.flags	= UDMABUF_FLAGS_CLOEXEC,
			.offset	= buffer->offset,
			.size	= round_up((size_t)pool->stride * pool->height,
					   sysconf(_SC_PAGESIZE)),
		};

		buffer->dmabuf = ioctl(udmabuf, UDMABUF_CREATE, &create);
		if (buffer->dmabuf < 0)
			die(STATUS_NO_DMABUF,
			    "udmabuf refuses %llu bytes at offset %llu (parameter user_limit_mb or size_limit_mb?): %m",
			    (unsigned long long)create.size,
			    (unsigned long long)create.offset);

		buffer->wl_buffer = import_dmabuf(pool, buffer->dmabuf, modifier,
						  window);
		if (buffer->wl_buffer)
			wl_buffer_add_listener(buffer->wl_buffer,
					       &buffer_listener, buffer);
	}
	close(udmabuf);
}

void pool_share_shm(struct pool *pool, struct window *window)
{
	struct wl_shm_pool *shm_pool;

	shm_pool = wl_shm_create_pool(window->shm, pool->memfd, pool->size);
	for (int i = 0; i < 2; i++) {
		struct buffer *buffer = &pool->buffers[i];

		buffer->wl_buffer = wl_shm_pool_create_buffer(shm_pool,
							      buffer->offset,
							      pool->width,
							      pool->height,
							      pool->stride,
							      pool->format->shm);
		wl_buffer_add_listener(buffer->wl_buffer, &buffer_listener, buffer);
	}
	wl_shm_pool_destroy(shm_pool);
}

/* NULL while the compositor has both. */
struct buffer *pool_free_buffer(struct pool *pool)
{
	for (int i = 0; i < 2; i++)
		if (!pool->buffers[i].busy)
			return &pool->buffers[i];
	return NULL;
}

static void buffer_sync(struct buffer *buffer, uint64_t flags)
{
	struct dma_buf_sync sync = { .flags = flags | DMA_BUF_SYNC_WRITE };

	if (buffer->dmabuf < 0)
		return;
	while (ioctl(buffer->dmabuf, DMA_BUF_IOCTL_SYNC, &sync) < 0)
		if (errno != EINTR && errno != EAGAIN)
			die(STATUS_ERROR, "DMA_BUF_IOCTL_SYNC: %m");
}

/*
 * Where devices see memory through caches or bounce buffers of their own, what
 * the CPU writes between these two reaches them.
 */
void buffer_begin_write(struct buffer *buffer)
{
	buffer_sync(buffer, DMA_BUF_SYNC_START);
}

void buffer_end_write(struct buffer *buffer)
{
	buffer_sync(buffer, DMA_BUF_SYNC_END);
}
