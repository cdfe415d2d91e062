// SPDX-License-Identifier: MIT
/*
 * What the guest shows, as wl_buffers. Guests flip between a few framebuffers, so
 * those that were shown last are kept.
 */

#define _GNU_SOURCE		/* F_GET_SEALS */
#include <drm/drm_fourcc.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/magic.h>
#include <linux/udmabuf.h>
#include <linux/udmabuf_ext.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "linux-dmabuf-v1-client-protocol.h"
#include "viewer.h"

#define KEPT	4
#define PAGE	((uint64_t)sysconf(_SC_PAGESIZE))

static struct kept {
	struct wl_buffer *buffer;
	struct image image;		/* its fd is ours, and keeps the inode */
	dev_t dev;
	ino_t ino;
	unsigned long used;
} kept[KEPT];

static struct kept *shown;		/* what was last */
static bool hidden;			/* the display is disabled */

/* Pixels that came by D-Bus, for want of something better. */
static struct {
	struct image image;
	uint8_t *pixels;
	size_t size;			/* bytes */
} copy = { .image.fd = -1 };

uint32_t fourcc_of_pixman(uint32_t format)
{
	switch (format) {
	case 0x20020888:		/* x8r8g8b8 */
	case 0x20028888:		/* a8r8g8b8: there is nothing behind a screen */
		return DRM_FORMAT_XRGB8888;
	case 0x20030888:		/* x8b8g8r8 */
	case 0x20038888:
		return DRM_FORMAT_XBGR8888;
	case 0x20080888:		/* b8g8r8x8 */
	case 0x20088888:
		return DRM_FORMAT_BGRX8888;
	case 0x10020565:		/* r5g6b5 */
		return DRM_FORMAT_RGB565;
	default:
		return 0;
	}
}

static unsigned int bytes_per_pixel(uint32_t fourcc)
{
	return fourcc == DRM_FORMAT_RGB565 ? 2 : 4;
}

static bool is_dmabuf(int fd)
{
	struct statfs fs;

	return !fstatfs(fd, &fs) && fs.f_type == DMA_BUF_MAGIC;
}

static int open_udmabuf(void)
{
	static int dev = -1;

	if (dev < 0)
		dev = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	return dev;
}

/*
 * A dma-buf of those pages of a memfd that have the image, which then begins at
 * another offset. Stock drivers only take memfds that are sealed.
 */
static int share_memfd(struct image *image)
{
	uint64_t start = image->offset & ~(PAGE - 1);
	uint64_t end = image->offset + (uint64_t)image->stride * image->height;
	struct udmabuf_create_item item = {
		.memfd = image->fd,
		.offset = start,
		.size = (end - start + PAGE - 1) & ~(PAGE - 1),
	};
	struct udmabuf_create_ext create = {
		.flags = UDMABUF_FLAGS_CLOEXEC | UDMABUF_FLAGS_UNSEALED,
		.count = 1,
		.items = (uintptr_t)&item,
	};
	struct udmabuf_create stock = {
		.memfd = image->fd,
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.offset = item.offset,
		.size = item.size,
	};
	int dev = open_udmabuf();

	image->offset -= start;
	if (dev < 0)
		return -1;
	if (!ioctl(dev, UDMABUF_CREATE_EXT, &create))
		return create.fd;
	return errno == ENOTTY ? ioctl(dev, UDMABUF_CREATE, &stock) : -1;
}

struct import {
	struct wl_buffer *buffer;
	bool failed;
};

static void on_created(void *data, struct zwp_linux_buffer_params_v1 *params,
		       struct wl_buffer *buffer)
{
	((struct import *)data)->buffer = buffer;
}

static void on_failed(void *data, struct zwp_linux_buffer_params_v1 *params)
{
	((struct import *)data)->failed = true;
}

static const struct zwp_linux_buffer_params_v1_listener params_listener = {
	.created	= on_created,
	.failed		= on_failed,
};

/*
 * What the CPU has written, be it the guest's, to devices with bounce buffers. An end
 * without a beginning, which would bring back what they see.
 */
static void hand_over(const struct kept *entry)
{
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE };

	while (ioctl(entry->image.fd, DMA_BUF_IOCTL_SYNC, &sync) && errno == EINTR)
		;
}

/*
 * NULL: the compositor does not take it. It may be a stride or a size that is not for its
 * GPU, which the guest can choose. A kind that it has not offered would be an error of ours.
 */
static struct wl_buffer *import(const struct image *image)
{
	struct zwp_linux_buffer_params_v1 *params;
	uint64_t modifier = image->modifier;
	struct import import = { 0 };

	/* Drivers of older GPUs know no modifiers. */
	if (modifier == DRM_FORMAT_MOD_LINEAR && !window_takes(image->fourcc, modifier))
		modifier = DRM_FORMAT_MOD_INVALID;
	if (!window_takes(image->fourcc, modifier))
		return NULL;
	params = zwp_linux_dmabuf_v1_create_params(window.dmabuf);
	zwp_linux_buffer_params_v1_add_listener(params, &params_listener, &import);
	zwp_linux_buffer_params_v1_add(params, image->fd, 0, image->offset,
				       image->stride, modifier >> 32,
				       modifier & UINT32_MAX);
	zwp_linux_buffer_params_v1_create(params, image->width, image->height,
					  image->fourcc, 0);
	while (!import.buffer && !import.failed)
		window_wait();
	zwp_linux_buffer_params_v1_destroy(params);
	return import.buffer;
}

/* A copy less is better, but this is what each compositor takes. */
static struct wl_buffer *share_by_shm(const struct image *image, off_t size)
{
	uint64_t end = image->offset + (uint64_t)image->stride * image->height;

	if (image->fourcc != DRM_FORMAT_XRGB8888 || end > (uint64_t)size || end > INT32_MAX)
		return NULL;
	return window_new_shm_buffer(fcntl(image->fd, F_DUPFD_CLOEXEC, 0), image->offset,
				     image->width, image->height, image->stride,
				     WL_SHM_FORMAT_XRGB8888);
}

static bool is_same(const struct kept *entry, const struct image *image,
		    const struct stat *st)
{
	return entry->buffer && entry->ino == st->st_ino && entry->dev == st->st_dev &&
	       entry->image.offset == image->offset &&
	       entry->image.width == image->width &&
	       entry->image.height == image->height &&
	       entry->image.stride == image->stride &&
	       entry->image.fourcc == image->fourcc &&
	       entry->image.modifier == image->modifier &&
	       entry->image.bottom_up == image->bottom_up;
}

static void drop(struct kept *entry)
{
	if (!entry->buffer)
		return;
	wl_buffer_destroy(entry->buffer);
	close(entry->image.fd);
	entry->buffer = NULL;
}

/* The entry that has it, or one that is free. */
static struct kept *find(const struct image *image, const struct stat *st)
{
	struct kept *oldest = &kept[0];

	for (struct kept *entry = kept; entry < kept + KEPT; entry++) {
		if (is_same(entry, image, st))
			return entry;
		if (!entry->buffer || (oldest->buffer && entry->used < oldest->used))
			oldest = entry;
	}
	drop(oldest);
	return oldest;
}

static bool is_sound(const struct image *image)
{
	return image->width && image->height && image->width <= INT16_MAX &&
	       image->height <= INT16_MAX &&
	       image->stride / bytes_per_pixel(image->fourcc) >= image->width;
}

/* Fills a free entry. Returns false if there is no way to show the image. */
static bool share(struct kept *entry, const struct image *image, const struct stat *st,
		  bool memfd)
{
	struct image shared = *image;
	struct stat dmabuf;

	shared.fd = memfd ? share_memfd(&shared) : fcntl(image->fd, F_DUPFD_CLOEXEC, 0);
	if (shared.fd < 0)
		note("screen %ux%u, no dma-buf: %m", image->width, image->height);
	else
		entry->buffer = import(&shared);
	if (entry->buffer) {
		fstat(shared.fd, &dmabuf);
		note("screen %ux%u, %s, inode %lu", image->width, image->height,
		     memfd ? "dma-buf of a memfd" : "dma-buf",
		     (unsigned long)dmabuf.st_ino);
	} else {
		close(shared.fd);
		shared.fd = fcntl(image->fd, F_DUPFD_CLOEXEC, 0);
		if (memfd)
			entry->buffer = share_by_shm(image, st->st_size);
		if (!entry->buffer) {
			close(shared.fd);
			return false;
		}
		note("screen %ux%u, by wl_shm", image->width, image->height);
	}
	entry->image = *image;
	entry->image.fd = shared.fd;
	entry->dev = st->st_dev;
	entry->ino = st->st_ino;
	return true;
}

bool scanout_show(const struct image *image)
{
	static unsigned long counter;
	struct kept *entry;
	struct stat st;
	bool memfd;

	if (!image->fourcc || !is_sound(image)) {
		note("screen %ux%u of a format that is not known", image->width,
		     image->height);
		return false;
	}
	if (fstat(image->fd, &st))
		die("what QEMU shows cannot be looked at: %m");
	memfd = fcntl(image->fd, F_GET_SEALS) >= 0;
	if (!memfd && !is_dmabuf(image->fd))
		return false;

	entry = find(image, &st);
	if (!entry->buffer && !share(entry, image, &st, memfd))
		return false;
	entry->used = ++counter;
	shown = entry;
	hidden = false;
	hand_over(entry);
	window_show(entry->buffer, image->width, image->height, image->bottom_up);
	return true;
}

void scanout_refuse(const struct image *image)
{
	static bool told;

	if (!told)
		fprintf(stderr, "guest-viewer: a screen of %ux%u cannot be shown: neither "
			"as a dma-buf (%.4s, stride %u, modifier 0x%llx) nor by wl_shm\n",
			image->width, image->height,
			image->fourcc ? (const char *)&image->fourcc : "????",
			image->stride, (unsigned long long)image->modifier);
	told = true;
	shown = NULL;
	scanout_disable();
}

/*
 * QEMU disables the display also when it lets go of an old frame, after a new one. QEMU
 * 10.0 thereby takes back the message about the new one, if that is not on its way yet:
 * then there is only the old one to show, until the guest shows another.
 */
void scanout_update(int x, int y, int width, int height)
{
	note("update %dx%d at %d,%d", width, height, x, y);
	if (shown)
		hand_over(shown);
	if (hidden && shown) {
		hidden = false;
		window_show(shown->buffer, shown->image.width, shown->image.height,
			    shown->image.bottom_up);
	}
	window_damage(x, y, width, height);
}

static void drop_copy(void)
{
	if (copy.image.fd < 0)
		return;
	munmap(copy.pixels, copy.size);
	close(copy.image.fd);
	copy.image.fd = -1;
}

static void new_copy(const struct image *image)
{
	copy.image = *image;
	copy.size = ((size_t)image->stride * image->height + PAGE - 1) & ~(PAGE - 1);
	copy.image.fd = window_new_memfd(copy.size);
	copy.pixels = mmap(NULL, copy.size, PROT_READ | PROT_WRITE, MAP_SHARED,
			   copy.image.fd, 0);
	if (copy.pixels == MAP_FAILED)
		die("cannot map a memfd: %m");
}

void scanout_show_data(const struct image *image, const void *data, size_t size)
{
	drop_copy();
	if (!image->fourcc || !is_sound(image) ||
	    size < (size_t)image->stride * image->height) {
		scanout_refuse(image);
		return;
	}
	note("screen %ux%u, copied by D-Bus", image->width, image->height);
	new_copy(image);
	memcpy(copy.pixels, data, (size_t)image->stride * image->height);
	if (!scanout_show(&copy.image))
		scanout_refuse(image);
}

void scanout_update_data(int x, int y, int width, int height, uint32_t stride,
			 const void *data, size_t size)
{
	const struct image *image = &copy.image;
	unsigned int bytes = bytes_per_pixel(image->fourcc);

	if (image->fd < 0 || x < 0 || y < 0 || width <= 0 || height <= 0 ||
	    (unsigned int)x + width > image->width ||
	    (unsigned int)y + height > image->height ||
	    size < (size_t)stride * (height - 1) + (size_t)width * bytes)
		return;
	for (int i = 0; i < height; i++)
		memcpy(copy.pixels + (size_t)(y + i) * image->stride + (size_t)x * bytes,
		       (const uint8_t *)data + (size_t)i * stride, (size_t)width * bytes);
	scanout_update(x, y, width, height);
}

/* Frames that are shown no more are the guest's again. */
void scanout_disable(void)
{
	note("disabled");
	hidden = true;
	window_show(NULL, 0, 0, false);
	for (struct kept *entry = kept; entry < kept + KEPT; entry++)
		if (entry != shown)
			drop(entry);
}
