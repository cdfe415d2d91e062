// SPDX-License-Identifier: MIT
/*
 * vkms, the display that exists only in the kernel: what it shows is written to
 * another framebuffer or summed up.
 */
#include <drm_fourcc.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

#include "igt.h"
#include "kms_helper.h"
#include "pin_helper.h"

#define DEBUGFS	"/sys/kernel/debug/dri/%u/%s"

/* Ten pictures a second, which an emulated processor can put together. */
static const drmModeModeInfo mode = {
	.clock = 1674,
	.hdisplay = FRAME_WIDTH,
	.hsync_start = FRAME_WIDTH + 8,
	.hsync_end = FRAME_WIDTH + 18,
	.htotal = FRAME_WIDTH + 28,
	.vdisplay = FRAME_HEIGHT,
	.vsync_start = FRAME_HEIGHT + 3,
	.vsync_end = FRAME_HEIGHT + 6,
	.vtotal = FRAME_HEIGHT + 10,
	.vrefresh = 10,
	.type = DRM_MODE_TYPE_USERDEF,
	.name = "igt",
};

/* What there is one of in vkms, by its number there */
static uint32_t crtc, plane, connector, mode_blob;

static int open_card(const char *driver)
{
	for (int minor = 0; minor < 64; minor++) {
		drmVersion *version;
		char path[32];
		int fd;

		snprintf(path, sizeof(path), "/dev/dri/card%d", minor);
		fd = open(path, O_RDWR | O_CLOEXEC);
		version = fd < 0 ? NULL : drmGetVersion(fd);
		if (version && !strcmp(version->name, driver)) {
			drmFreeVersion(version);
			return fd;
		}
		drmFreeVersion(version);
		close(fd);
	}
	return -1;
}

/* The id and value of a property; fails the subtest if the object has none. */
static uint32_t property(int vkms, uint32_t object, const char *name,
			 uint64_t *value)
{
	drmModeObjectProperties *all;
	uint32_t id = 0;

	all = drmModeObjectGetProperties(vkms, object, DRM_MODE_OBJECT_ANY);
	igt_assert(all);
	for (uint32_t i = 0; i < all->count_props && !id; i++) {
		drmModePropertyRes *one = drmModeGetProperty(vkms, all->props[i]);

		igt_assert(one);
		if (!strcmp(one->name, name)) {
			id = one->prop_id;
			if (value)
				*value = all->prop_values[i];
		}
		drmModeFreeProperty(one);
	}
	drmModeFreeObjectProperties(all);
	igt_assert_f(id, "object %u has no %s\n", object, name);
	return id;
}

static void find_objects(int vkms)
{
	drmModeRes *resources = drmModeGetResources(vkms);
	drmModePlaneRes *planes = drmModeGetPlaneResources(vkms);

	igt_assert(resources && planes);
	crtc = resources->crtcs[0];
	plane = 0;
	for (uint32_t i = 0; i < planes->count_planes && !plane; i++) {
		uint64_t type;

		property(vkms, planes->planes[i], "type", &type);
		if (type == DRM_PLANE_TYPE_PRIMARY)
			plane = planes->planes[i];
	}
	connector = 0;
	for (int i = 0; i < resources->count_connectors && !connector; i++) {
		drmModeConnector *one =
			drmModeGetConnector(vkms, resources->connectors[i]);

		if (one && one->connector_type == DRM_MODE_CONNECTOR_WRITEBACK)
			connector = one->connector_id;
		drmModeFreeConnector(one);
	}
	drmModeFreePlaneResources(planes);
	drmModeFreeResources(resources);
	igt_assert(plane);
	igt_require_f(connector, "vkms cannot write what it shows\n");
}

int open_vkms(void)
{
	int vkms;

	igt_require_f(igt_system_quiet("modprobe vkms") == 0, "no vkms module\n");
	vkms = open_card("vkms");
	igt_require_f(vkms >= 0, "vkms has made no device\n");
	igt_assert_eq(drmSetMaster(vkms), 0);
	igt_assert_eq(drmSetClientCap(vkms, DRM_CLIENT_CAP_ATOMIC, 1), 0);
	igt_assert_eq(drmSetClientCap(vkms, DRM_CLIENT_CAP_WRITEBACK_CONNECTORS, 1), 0);
	find_objects(vkms);
	/* A compositor may have left something on the screen. */
	igt_assert_eq(drmModeSetCrtc(vkms, crtc, 0, 0, 0, NULL, 0, NULL), 0);
	igt_assert_eq(drmModeCreatePropertyBlob(vkms, &mode, sizeof(mode), &mode_blob),
		      0);
	return vkms;
}

/* Framebuffers */

/* At the beginning: Linux 6.12's vkms adds an offset twice. */
int __add_fb(int vkms, uint32_t handle, uint32_t *fb)
{
	uint32_t handles[4] = { handle }, pitches[4] = { FRAME_WIDTH * 4 };
	uint32_t offsets[4] = { 0 };
	uint64_t modifiers[4] = { DRM_FORMAT_MOD_LINEAR };

	return drmModeAddFB2WithModifiers(vkms, FRAME_WIDTH, FRAME_HEIGHT,
					  DRM_FORMAT_XRGB8888, handles, pitches,
					  offsets, modifiers, fb,
					  DRM_MODE_FB_MODIFIERS);
}

uint32_t import_fb(int vkms, int dmabuf)
{
	uint32_t handle = prime_fd_to_handle(vkms, dmabuf), fb;

	igt_assert_eq(__add_fb(vkms, handle, &fb), 0);
	gem_close(vkms, handle);
	return fb;
}

void remove_fb(int vkms, uint32_t fb)
{
	igt_assert_eq(drmModeRmFB(vkms, fb), 0);
}

struct own_fb make_own_fb(int vkms)
{
	struct own_fb own;
	uint64_t size, offset;
	uint32_t pitch;

	igt_assert_eq(drmModeCreateDumbBuffer(vkms, FRAME_WIDTH, FRAME_HEIGHT, 32, 0,
					      &own.handle, &pitch, &size), 0);
	igt_assert_eq(pitch, FRAME_WIDTH * 4);
	igt_assert_eq(__add_fb(vkms, own.handle, &own.fb), 0);
	igt_assert_eq(drmModeMapDumbBuffer(vkms, own.handle, &offset), 0);
	own.pixels = mmap(NULL, pages(FRAME_PAGES), PROT_READ | PROT_WRITE, MAP_SHARED,
			  vkms, offset);
	igt_assert(own.pixels != MAP_FAILED);
	return own;
}

void close_own_fb(int vkms, struct own_fb *own)
{
	unmap(own->pixels, pages(FRAME_PAGES));
	remove_fb(vkms, own->fb);
	gem_close(vkms, own->handle);
}

/* What is on the screen */

static void add(drmModeAtomicReq *request, int vkms, uint32_t object,
		const char *name, uint64_t value)
{
	uint32_t id = property(vkms, object, name, NULL);

	igt_assert_lt(0, drmModeAtomicAddProperty(request, object, id, value));
}

static void add_plane(drmModeAtomicReq *request, int vkms, uint32_t fb)
{
	int width = fb ? FRAME_WIDTH : 0, height = fb ? FRAME_HEIGHT : 0;

	add(request, vkms, plane, "FB_ID", fb);
	add(request, vkms, plane, "CRTC_ID", fb ? crtc : 0);
	add(request, vkms, plane, "SRC_W", (uint64_t)width << 16);
	add(request, vkms, plane, "SRC_H", (uint64_t)height << 16);
	add(request, vkms, plane, "CRTC_W", width);
	add(request, vkms, plane, "CRTC_H", height);
}

/* All at once: the display is on as long as there is something to show. */
static int commit(int vkms, uint32_t fb, uint32_t written, int32_t *fence)
{
	drmModeAtomicReq *request = drmModeAtomicAlloc();
	int err;

	igt_assert(request);
	add_plane(request, vkms, fb);
	add(request, vkms, crtc, "ACTIVE", !!fb);
	add(request, vkms, crtc, "MODE_ID", fb ? mode_blob : 0);
	add(request, vkms, connector, "CRTC_ID", fb ? crtc : 0);
	if (written) {
		add(request, vkms, connector, "WRITEBACK_FB_ID", written);
		add(request, vkms, connector, "WRITEBACK_OUT_FENCE_PTR",
		    (uintptr_t)fence);
	}
	err = drmModeAtomicCommit(vkms, request, DRM_MODE_ATOMIC_ALLOW_MODESET, NULL);
	drmModeAtomicFree(request);
	return err;
}

static int open_debugfs(int vkms, const char *name, int flags)
{
	char path[80];
	struct stat st;
	int fd;

	igt_assert_eq(fstat(vkms, &st), 0);
	snprintf(path, sizeof(path), DEBUGFS, minor(st.st_rdev), name);
	fd = open(path, flags | O_CLOEXEC);
	igt_require_f(fd >= 0, "%s: %s\n", path, strerror(errno));
	return fd;
}

/* References to a framebuffer */
static unsigned int count_fb_refs(int vkms, uint32_t fb)
{
	FILE *all = fdopen(open_debugfs(vkms, "framebuffer", O_RDONLY), "r");
	unsigned int refs = 0, value;
	bool found = false;
	char line[160];

	igt_assert(all);
	while (!refs && fgets(line, sizeof(line), all)) {
		if (sscanf(line, "framebuffer[%u]", &value) == 1)
			found = value == fb;
		else if (found)
			sscanf(line, " refcount=%u", &refs);
	}
	fclose(all);
	igt_assert_f(refs, "no framebuffer %u in debugfs\n", fb);
	return refs;
}

/*
 * When a picture has been written, its fence is signalled, and a worker cleans up
 * behind it, with a reference to the framebuffer until it has done so. It ends by
 * telling vkms to compose no more pictures: one that was asked for meanwhile is never
 * written.
 */
int __show(int vkms, uint32_t fb, uint32_t written)
{
	unsigned int refs = written ? count_fb_refs(vkms, written) : 0;
	int32_t fence = -1;
	int err = commit(vkms, fb, written, &fence);

	if (!err && written) {
		struct pollfd done = { .fd = fence, .events = POLLIN };

		igt_assert_eq(poll(&done, 1, -1), 1);
		igt_assert_eq(done.revents, POLLIN);
		close(fence);
		while (count_fb_refs(vkms, written) != refs)
			sched_yield();
	}
	return err;
}

void show(int vkms, uint32_t fb, uint32_t written)
{
	int err = __show(vkms, fb, written);

	igt_assert_f(!err, "cannot show it: %s\n", strerror(-err));
}

void show_nothing(int vkms)
{
	igt_assert_eq(commit(vkms, 0, 0, NULL), 0);
}

/* A picture that began before this call may still be in the making. */
uint32_t shown_crc(int vkms)
{
	int control = open_debugfs(vkms, "crtc-0/crc/control", O_WRONLY), data;
	uint64_t now, frame;
	unsigned int crc;
	char line[64];
	ssize_t len;

	igt_assert_eq(write(control, "auto", 4), 4);
	close(control);
	data = open_debugfs(vkms, "crtc-0/crc/data", O_RDONLY);
	igt_assert_eq(drmCrtcGetSequence(vkms, crtc, &now, NULL), 0);
	do {
		len = read(data, line, sizeof(line) - 1);
		igt_assert_lt(0, len);
		line[len] = '\0';
		igt_assert_eq(sscanf(line, "%" SCNx64 " %x", &frame, &crc), 2);
	} while ((int32_t)(frame - now) < 2);
	close(data);
	return crc;
}
