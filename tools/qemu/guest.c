// SPDX-License-Identifier: MIT
/*
 * The only program of the virtual machine that QEMU is tried with: shows pictures by
 * DRM, or leaves the screen to the kernel's console, and does what it is told on the
 * serial line, answering each line with one.
 *
 *   show	a new frame, of the size of the screen, instead of the last one
 *   draw N	picture N in it
 *   fragment	nearly all pages that are left free have no free neighbour
 *   cursor	a cursor of CURSOR * CURSOR pixels, each with its number
 *   say TEXT	a message of the kernel
 *   read	what the console's framebuffer has goes to the other port
 *
 * What comes from a keyboard or a mouse has a line of its own: type, code and value.
 */
#include <drm.h>
#include <drm_fourcc.h>
#include <drm_mode.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE		4096UL
#define PAGE_PIXELS	(PAGE / 4)

/*
 * KiB that stay free besides, since the kernel needs some; where there are large
 * pieces, a frame gets those first.
 */
#define RESERVE		(4 << 10)

/* The first one of the second virtio device */
#define PORT		"/dev/vport1p1"

#define CURSOR		64
#define HOT_X		5
#define HOT_Y		7

/* A dumb buffer. */
struct bo {
	uint32_t handle;
	uint32_t pitch;			/* bytes */
	uint32_t *pixels;
	size_t size;			/* bytes */
};

struct frame {
	struct bo bo;
	uint32_t fb;
};

static int card;
static uint32_t connector, crtc;
static struct drm_mode_modeinfo mode;

/* The kernel panics, and QEMU ends. */
static _Noreturn void fail(const char *what)
{
	printf("failed: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void drm(unsigned long request, void *argument, const char *what)
{
	if (ioctl(card, request, argument))
		fail(what);
}

/* From then on the screen is not the kernel's. */
static void find_screen(void)
{
	struct drm_mode_card_res resources = {
		.crtc_id_ptr = (uintptr_t)&crtc, .count_crtcs = 1,
		.connector_id_ptr = (uintptr_t)&connector, .count_connectors = 1,
	};
	struct drm_mode_modeinfo modes[64];
	struct drm_mode_get_connector got = { 0 };

	card = open("/dev/dri/card0", O_RDWR);
	if (card < 0)
		fail("/dev/dri/card0");
	drm(DRM_IOCTL_MODE_GETRESOURCES, &resources, "GETRESOURCES");
	got.connector_id = connector;
	drm(DRM_IOCTL_MODE_GETCONNECTOR, &got, "GETCONNECTOR");
	if (!got.count_modes || got.count_modes > 64)
		fail("modes");
	got.count_props = 0;
	got.count_encoders = 0;
	got.modes_ptr = (uintptr_t)modes;
	drm(DRM_IOCTL_MODE_GETCONNECTOR, &got, "GETCONNECTOR");
	mode = modes[0];
	for (uint32_t i = 0; i < got.count_modes; i++)
		if (modes[i].type & DRM_MODE_TYPE_PREFERRED)
			mode = modes[i];
}

static struct bo make_bo(uint32_t width, uint32_t height)
{
	struct drm_mode_create_dumb dumb = {
		.width = width, .height = height, .bpp = 32,
	};
	struct drm_mode_map_dumb map = { 0 };
	void *pixels;

	drm(DRM_IOCTL_MODE_CREATE_DUMB, &dumb, "CREATE_DUMB");
	map.handle = dumb.handle;
	drm(DRM_IOCTL_MODE_MAP_DUMB, &map, "MAP_DUMB");
	pixels = mmap(NULL, dumb.size, PROT_READ | PROT_WRITE, MAP_SHARED, card,
		      map.offset);
	if (pixels == MAP_FAILED)
		fail("mmap");
	return (struct bo) {
		.handle = dumb.handle, .pitch = dumb.pitch, .pixels = pixels,
		.size = dumb.size,
	};
}

static struct frame make_frame(void)
{
	struct frame frame = { .bo = make_bo(mode.hdisplay, mode.vdisplay) };
	struct drm_mode_fb_cmd2 fb = {
		.width = mode.hdisplay, .height = mode.vdisplay,
		.pixel_format = DRM_FORMAT_XRGB8888,
		.handles = { frame.bo.handle }, .pitches = { frame.bo.pitch },
	};

	drm(DRM_IOCTL_MODE_ADDFB2, &fb, "ADDFB2");
	frame.fb = fb.fb_id;
	return frame;
}

static void remove_frame(struct frame *frame)
{
	struct drm_mode_destroy_dumb dumb = { .handle = frame->bo.handle };

	if (!dumb.handle)
		return;
	munmap(frame->bo.pixels, frame->bo.size);
	drm(DRM_IOCTL_MODE_RMFB, &frame->fb, "RMFB");
	drm(DRM_IOCTL_MODE_DESTROY_DUMB, &dumb, "DESTROY_DUMB");
}

/* Each page has its number in red and green, and no two neighbours are the same. */
static void draw(struct frame *frame, uint32_t number)
{
	struct drm_mode_fb_dirty_cmd dirty = { .fb_id = frame->fb };

	for (uint32_t page = 0; page < frame->bo.size / PAGE; page++) {
		uint32_t *pixel = frame->bo.pixels + page * PAGE_PIXELS;

		for (uint32_t i = 0; i < PAGE_PIXELS; i++)
			pixel[i] = page << 8 | ((i + page + number) & 0xff);
	}
	drm(DRM_IOCTL_MODE_DIRTYFB, &dirty, "DIRTYFB");
	printf("drawn %u\n", number);
}

static void show(struct frame *frame)
{
	struct drm_mode_crtc set = {
		.set_connectors_ptr = (uintptr_t)&connector, .count_connectors = 1,
		.mode_valid = 1,
	};
	struct frame old = *frame;

	if (!crtc)
		find_screen();
	*frame = make_frame();
	set.crtc_id = crtc;
	set.mode = mode;
	set.fb_id = frame->fb;
	drm(DRM_IOCTL_MODE_SETCRTC, &set, "SETCRTC");
	remove_frame(&old);
	printf("shown %u %u\n", mode.hdisplay, mode.vdisplay);
}

static void set_cursor(void)
{
	struct bo bo = make_bo(CURSOR, CURSOR);
	struct drm_mode_cursor2 cursor = {
		.flags = DRM_MODE_CURSOR_BO, .crtc_id = crtc, .handle = bo.handle,
		.width = CURSOR, .height = CURSOR, .hot_x = HOT_X, .hot_y = HOT_Y,
	};

	for (uint32_t i = 0; i < CURSOR * CURSOR; i++)
		bo.pixels[i] = 0xff000000 | i;
	drm(DRM_IOCTL_MODE_CURSOR2, &cursor, "CURSOR2");
	printf("cursor %u %u %u\n", CURSOR, HOT_X, HOT_Y);
}

static unsigned long free_kib(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	unsigned long kib = 0;
	char line[80];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemFree: %lu", &kib) == 1)
			break;
	if (!kib)
		fail("meminfo");
	fclose(file);
	return kib;
}

/*
 * All but the reserve is taken, and every second page given back. What a CPU keeps for
 * itself is not counted as free, and is taken first.
 */
static void fragment(void)
{
	size_t room = 2 * free_kib() << 10, size = 0;
	char *mem = mmap(NULL, room, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (mem == MAP_FAILED)
		fail("mmap");
	for (unsigned long kib; (kib = free_kib()) > RESERVE; ) {
		size_t more = (kib - RESERVE) << 10;

		if (madvise(mem + size, more, MADV_POPULATE_WRITE))
			fail("madvise");
		size += more;
	}
	for (size_t at = 0; at < size; at += 2 * PAGE)
		if (madvise(mem + at, PAGE, MADV_DONTNEED))
			fail("madvise");
	printf("fragmented %zu\n", size);
}

/* With its end of line. When it has been written, it is on the screen. */
static void say(const char *text)
{
	int fd = open("/dev/kmsg", O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail("/dev/kmsg");
	close(fd);
	puts("said");
}

/* Without DRM: whoever opens its device takes the screen from the console. */
static void read_console(void)
{
	int from = open("/dev/fb0", O_RDONLY), to;
	static char pixels[1 << 15];
	size_t sum = 0;
	ssize_t size;

	if (from < 0)
		fail("/dev/fb0");
	/* There when the kernel has been told of it. */
	while ((to = open(PORT, O_WRONLY)) < 0)
		if (errno != ENOENT || sched_yield())
			fail(PORT);
	while ((size = read(from, pixels, sizeof(pixels))) > 0) {
		if (write(to, pixels, size) != size)
			fail("write");
		sum += size;
	}
	if (size < 0)
		fail("read");
	close(from);
	close(to);
	printf("read %zu\n", sum);
}

/* A process for each device; both end with the machine. */
static void say_input(unsigned int device)
{
	struct input_event event;
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/dev/input/event%u", device);
	fd = open(path, O_RDONLY);
	if (fd < 0 || fork())
		return;
	while (read(fd, &event, sizeof(event)) == sizeof(event))
		if (event.type != EV_SYN)
			printf("input %u %u %d\n", event.type, event.code, event.value);
	exit(1);
}

int main(void)
{
	struct frame frame = { 0 };
	char line[80];

	mkdir("/proc", 0755);
	if (mount("proc", "/proc", "proc", 0, NULL) ||
	    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL))
		fail("mount");
	/* The console may be on the screen. */
	if (!freopen("/dev/ttyS0", "r", stdin) || !freopen("/dev/ttyS0", "w", stdout))
		fail("/dev/ttyS0");
	setvbuf(stdout, NULL, _IOLBF, 0);
	say_input(0);
	say_input(1);
	puts("ready");
	while (fgets(line, sizeof(line), stdin)) {
		if (!strcmp(line, "show\n"))
			show(&frame);
		else if (!strcmp(line, "fragment\n"))
			fragment();
		else if (!strcmp(line, "cursor\n"))
			set_cursor();
		else if (!strcmp(line, "read\n"))
			read_console();
		else if (!strncmp(line, "say ", 4))
			say(line + 4);
		else if (!strncmp(line, "draw ", 5))
			draw(&frame, atoi(line + 5));
	}
	return 0;
}
