// SPDX-License-Identifier: MIT
/*
 * What the udmabuf tests share: dma-bufs of memfds, and the driver's parameters.
 */
#include <drm.h>
#include <drm_mode.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "igt.h"
#include "udmabuf_helper.h"

/*
 * The module behind /dev/udmabuf is known by the name of its misc device. Ours
 * has another name than its device where the kernel has no udmabuf.
 */
static void module_path(int dev, const char *name, char *path, size_t len)
{
	char link[64], target[128] = "";
	const char *module;
	struct stat st;

	igt_assert_eq(fstat(dev, &st), 0);
	snprintf(link, sizeof(link), "/sys/dev/char/%u:%u",
		 major(st.st_rdev), minor(st.st_rdev));
	igt_assert(readlink(link, target, sizeof(target) - 1) > 0);
	for (char *c = strrchr(target, '/'); *c; c++)
		if (*c == '-')
			*c = '_';
	module = strrchr(target, '/') + 1;
	if (!strcmp(module, "udmabuf") && access("/sys/module/udmabuf", F_OK))
		module = "udmabuf_pinfold";
	snprintf(path, len, "/sys/module/%s/%s", module, name);
}

int64_t module_attribute(int dev, const char *name)
{
	char path[256], line[32];

	module_path(dev, name, path, sizeof(path));
	igt_require_f(!read_line(path, line, sizeof(line)), "no %s\n", path);
	return strtoll(line, NULL, 10);
}

void set_module_attribute(int dev, const char *name, int64_t value)
{
	char path[256];

	module_path(dev, name, path, sizeof(path));
	set(path, "%" PRId64, value);
}

int __set_module_attribute(int dev, const char *name, int64_t value)
{
	char path[256], text[32];

	module_path(dev, name, path, sizeof(path));
	snprintf(text, sizeof(text), "%" PRId64, value);
	return write_line(path, text);
}

int open_udmabuf(void)
{
	int dev = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);

	igt_require_f(dev >= 0, "/dev/udmabuf: %s\n", strerror(errno));
	igt_require_f(geteuid() == 0, "needs to be root\n");
	return dev;
}

void udmabuf_test(void (*test)(int dev), int dev)
{
	int64_t pins;
	int fds;

	/* In case the last subtest failed halfway. */
	restore_settings();
	pins = pins_held();
	fds = count_open_fds();

	test(dev);

	restore_settings();
	igt_assert_eq(count_open_fds(), fds);
	igt_assert_eq_s64(pins_held(), pins);
}

/* dma-bufs */

int __create(int dev, int memfd, uint64_t offset, uint64_t size)
{
	struct udmabuf_create arg = {
		.memfd = memfd,
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.offset = offset,
		.size = size,
	};
	int fd = ioctl(dev, UDMABUF_CREATE, &arg);

	return fd < 0 ? -errno : fd;
}

int create(int dev, int memfd, uint64_t offset, uint64_t size)
{
	int fd = __create(dev, memfd, offset, size);

	igt_assert_f(fd >= 0, "UDMABUF_CREATE: %s\n", strerror(-fd));
	igt_assert_eq_u64(fd_size(fd), size);
	return fd;
}

int __create_list(int dev, uint32_t count,
		  const struct udmabuf_create_item *items, uint32_t flags)
{
	size_t size = count * sizeof(*items);
	struct udmabuf_create_list *list = malloc(sizeof(*list) + size);
	int fd;

	igt_assert(list);
	list->flags = flags;
	list->count = count;
	memcpy(list->list, items, size);
	fd = ioctl(dev, UDMABUF_CREATE_LIST, list);
	if (fd < 0)
		fd = -errno;
	free(list);
	return fd;
}

int create_list(int dev, uint32_t count,
		const struct udmabuf_create_item *items)
{
	int fd = __create_list(dev, count, items, UDMABUF_FLAGS_CLOEXEC);

	igt_assert_f(fd >= 0, "UDMABUF_CREATE_LIST: %s\n", strerror(-fd));
	return fd;
}

uint64_t next_vgem_offset(int vgem, size_t size)
{
	struct drm_mode_create_dumb dumb = {
		.width = size / 4,
		.height = 1,
		.bpp = 32,
	};
	struct drm_mode_map_dumb map = {};

	igt_assert_eq(ioctl(vgem, DRM_IOCTL_MODE_CREATE_DUMB, &dumb), 0);
	igt_assert_eq_u64(dumb.size, size);
	map.handle = dumb.handle;
	igt_assert_eq(ioctl(vgem, DRM_IOCTL_MODE_MAP_DUMB, &map), 0);
	gem_close(vgem, dumb.handle);
	return map.offset;
}
