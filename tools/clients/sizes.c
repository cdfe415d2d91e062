// SPDX-License-Identifier: MIT
/*
 * A Wayland client that commits wl_shm buffers of several sizes, without a window, for
 * a compositor that looks at nothing else (picky.c). It does not know of
 * examples/shm-zerocopy. With the argument "sealed", its pools cannot shrink; with
 * "orphan", the first buffer is destroyed while it is shown, and its surface after it, and
 * then it has to be without dma-bufs.
 */

#define _GNU_SOURCE		/* memfd_create */
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <wayland-client.h>

static const struct {
	int width, height;
} sizes[] = {
	{ 256, 256 }, { 300, 217 }, { 256, 256 }, { 300, 217 }, { 257, 320 }, { 256, 255 },
};

static struct wl_compositor *compositor;
static struct wl_shm *shm;
static int seals;

static void registry_global(void *data, struct wl_registry *registry, uint32_t name,
			    const char *interface, uint32_t version)
{
	if (!strcmp(interface, wl_compositor_interface.name))
		compositor = wl_registry_bind(registry, name, &wl_compositor_interface, 1);
	else if (!strcmp(interface, wl_shm_interface.name))
		shm = wl_registry_bind(registry, name, &wl_shm_interface, 1);
}

static void registry_global_remove(void *data, struct wl_registry *registry,
				   uint32_t name)
{
}

static const struct wl_registry_listener registry_listener = {
	.global		= registry_global,
	.global_remove	= registry_global_remove,
};

static struct wl_buffer *make_buffer(int width, int height)
{
	/* Rows that suit any GPU */
	int stride = (width * 4 + 255) / 256 * 256;
	int memfd = memfd_create("sizes", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct wl_shm_pool *pool;
	struct wl_buffer *buffer;

	if (memfd < 0 || ftruncate(memfd, stride * height) ||
	    fcntl(memfd, F_ADD_SEALS, seals))
		err(1, "memfd");
	pool = wl_shm_create_pool(shm, memfd, stride * height);
	buffer = wl_shm_pool_create_buffer(pool, 0, width, height, stride,
					   WL_SHM_FORMAT_XRGB8888);
	wl_shm_pool_destroy(pool);
	close(memfd);
	return buffer;
}

static int count_dmabufs(void)
{
	char path[32], target[16];
	int found = 0;

	for (int fd = 0; fd < 256; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		found += readlink(path, target, sizeof(target)) >= 8 &&
			 !strncmp(target, "/dmabuf:", 8);
	}
	return found;
}

static void orphan(struct wl_display *display, struct wl_surface *surface)
{
	struct wl_buffer *buffer = make_buffer(sizes[0].width, sizes[0].height);

	wl_surface_attach(surface, buffer, 0, 0);
	wl_surface_commit(surface);
	wl_buffer_destroy(buffer);
	wl_surface_destroy(surface);
	/* What is still to be sent is a descriptor, too. */
	wl_display_flush(display);
	if (count_dmabufs() != 1)
		errx(1, "%d dma-bufs of a buffer that is shown", count_dmabufs());
	if (wl_display_roundtrip(display) < 0)
		err(1, "the connection has broken");
	wl_surface_destroy(wl_compositor_create_surface(compositor));
	if (count_dmabufs())
		errx(1, "the compositor has let go of it, and the program has not");
}

int main(int argc, char **argv)
{
	struct wl_display *display = wl_display_connect(NULL);
	struct wl_registry *registry;
	struct wl_surface *surface;
	struct wl_buffer *buffer;

	if (argc > 1 && !strcmp(argv[1], "sealed"))
		seals = F_SEAL_SHRINK;
	if (!display)
		err(1, "no compositor");
	registry = wl_display_get_registry(display);
	wl_registry_add_listener(registry, &registry_listener, NULL);
	if (wl_display_roundtrip(display) < 0 || !compositor || !shm)
		errx(1, "the compositor lacks a protocol");
	surface = wl_compositor_create_surface(compositor);
	if (argc > 1 && !strcmp(argv[1], "orphan")) {
		orphan(display, surface);
		return 0;
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		buffer = make_buffer(sizes[i].width, sizes[i].height);
		wl_surface_attach(surface, buffer, 0, 0);
		wl_surface_commit(surface);
		if (wl_display_roundtrip(display) < 0)
			err(1, "%dx%d: the connection has broken", sizes[i].width,
			    sizes[i].height);
		wl_buffer_destroy(buffer);
	}
	wl_display_disconnect(display);
	return 0;
}
