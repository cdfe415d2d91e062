// SPDX-License-Identifier: MIT
/*
 * The only program of the virtual machine that QEMU is tried with: shows pictures by
 * DRM, or leaves the screen to the kernel's console, and does what it is told on the
 * serial line, answering each line with one.
 *
 *   show	a new frame, of the size of the screen, instead of the last one
 *   draw N	picture N in it
 *   import	as show, of a memfd, by a dma-buf of it that the GPU's driver imports
 *   import readonly, import small
 *		the same of a dma-buf that is read-only, or that has half of the pages
 *   write N	as draw, but nobody is told
 *   release	the last frame goes, with nothing instead
 *   pins	how many pages are pinned
 *   log		what the kernel has warned of since it was last asked
 *   fork	what follows is done by a child
 *   die		which is killed; then its parent goes on
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
#include <linux/udmabuf_ext.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <syslog.h>
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

/* A dumb buffer, or a memfd. */
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

	if (crtc)
		return;
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

static int make_udmabuf(int memfd, size_t size, uint32_t flags)
{
	struct udmabuf_create_item item = { .memfd = memfd, .size = size };
	struct udmabuf_create_ext create = {
		.flags = flags, .count = 1, .items = (uintptr_t)&item,
	};
	int device = open("/dev/udmabuf", O_RDWR);

	if (device < 0 || ioctl(device, UDMABUF_CREATE_EXT, &create))
		fail("/dev/udmabuf");
	close(device);
	return create.fd;
}

/* When it returns, only the GPU has the dma-buf. */
static bool import_bo(struct bo *bo, size_t size, uint32_t flags)
{
	struct drm_prime_handle prime = { 0 };
	int memfd = memfd_create("frame", MFD_ALLOW_SEALING);
	bool imported;
	void *pixels;

	if (memfd < 0 || ftruncate(memfd, size) ||
	    fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK))
		fail("memfd");
	pixels = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	if (pixels == MAP_FAILED || madvise(pixels, size, MADV_POPULATE_WRITE))
		fail("mmap");
	prime.fd = make_udmabuf(memfd, size, flags);
	close(memfd);
	imported = !ioctl(card, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime);
	if (!imported) {
		printf("refused %s\n", strerrorname_np(errno));
		munmap(pixels, size);
	}
	close(prime.fd);
	*bo = (struct bo) {
		.handle = prime.handle, .pitch = 4 * mode.hdisplay, .pixels = pixels,
		.size = size,
	};
	return imported;
}

static struct frame make_frame(struct bo bo)
{
	struct drm_mode_fb_cmd2 fb = {
		.width = mode.hdisplay, .height = mode.vdisplay,
		.pixel_format = DRM_FORMAT_XRGB8888,
		.handles = { bo.handle }, .pitches = { bo.pitch },
	};

	drm(DRM_IOCTL_MODE_ADDFB2, &fb, "ADDFB2");
	return (struct frame) { .bo = bo, .fb = fb.fb_id };
}

static void remove_frame(struct frame *frame)
{
	struct drm_gem_close handle = { .handle = frame->bo.handle };

	if (!handle.handle)
		return;
	munmap(frame->bo.pixels, frame->bo.size);
	drm(DRM_IOCTL_MODE_RMFB, &frame->fb, "RMFB");
	drm(DRM_IOCTL_GEM_CLOSE, &handle, "GEM_CLOSE");
	frame->bo.handle = 0;
}

/* Each page has its number in red and green, and no two neighbours are the same. */
static void write_picture(struct frame *frame, uint32_t number)
{
	for (uint32_t page = 0; page < frame->bo.size / PAGE; page++) {
		uint32_t *pixel = frame->bo.pixels + page * PAGE_PIXELS;

		for (uint32_t i = 0; i < PAGE_PIXELS; i++)
			pixel[i] = page << 8 | ((i + page + number) & 0xff);
	}
}

static void draw(struct frame *frame, uint32_t number)
{
	struct drm_mode_fb_dirty_cmd dirty = { .fb_id = frame->fb };

	write_picture(frame, number);
	drm(DRM_IOCTL_MODE_DIRTYFB, &dirty, "DIRTYFB");
	printf("drawn %u\n", number);
}

static void write_only(struct frame *frame, uint32_t number)
{
	write_picture(frame, number);
	printf("written %u\n", number);
}

static void show(struct frame *frame, struct bo bo)
{
	struct drm_mode_crtc set = {
		.set_connectors_ptr = (uintptr_t)&connector, .count_connectors = 1,
		.mode_valid = 1,
	};
	struct frame old = *frame;

	*frame = make_frame(bo);
	set.crtc_id = crtc;
	set.mode = mode;
	set.fb_id = frame->fb;
	drm(DRM_IOCTL_MODE_SETCRTC, &set, "SETCRTC");
	remove_frame(&old);
	printf("shown %u %u\n", mode.hdisplay, mode.vdisplay);
}

static void show_dumb(struct frame *frame)
{
	find_screen();
	show(frame, make_bo(mode.hdisplay, mode.vdisplay));
}

static void release(struct frame *frame)
{
	remove_frame(frame);
	puts("released");
}

/* Where they lie in this machine's memory */
static void say_pages(const struct bo *bo)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);

	printf("pages");
	for (size_t page = 0; page < bo->size / PAGE; page++) {
		off_t at = ((uintptr_t)bo->pixels / PAGE + page) * sizeof(uint64_t);
		uint64_t entry;

		if (pread(fd, &entry, sizeof(entry), at) != sizeof(entry))
			fail("pagemap");
		printf(" %llu", (unsigned long long)entry & ((1ULL << 55) - 1));
	}
	puts("");
	close(fd);
}

static void show_memfd(struct frame *frame, bool readonly, bool small)
{
	struct bo bo;
	size_t size;

	find_screen();
	size = 4UL * mode.hdisplay * mode.vdisplay / (small ? 2 : 1);
	if (!import_bo(&bo, size, readonly ? UDMABUF_FLAGS_READONLY : 0))
		return;
	say_pages(&bo);
	show(frame, bo);
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

static void say_pins(void)
{
	FILE *file = fopen("/proc/vmstat", "r");
	long pins = 0, count;
	char line[80];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "nr_foll_pin_acquired %ld", &count) == 1)
			pins += count;
		else if (sscanf(line, "nr_foll_pin_released %ld", &count) == 1)
			pins -= count;
	if (!file)
		fail("vmstat");
	fclose(file);
	printf("pins %ld\n", pins);
}

/* A line for each; what is read is one record, with its priority first. */
static void say_log(void)
{
	static int fd = -1;
	char record[1024];
	ssize_t size;

	if (fd < 0)
		fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	while ((size = read(fd, record, sizeof(record) - 1)) > 0) {
		record[size] = 0;
		record[strcspn(record, "\n")] = 0;
		if (LOG_PRI(atoi(record)) <= LOG_WARNING)
			printf("kernel: %s\n", strchr(record, ';') + 1);
	}
	if (errno != EAGAIN)
		fail("/dev/kmsg");
	puts("logged");
}

static void fork_child(void)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		fail("fork");
	if (child && (waitpid(child, &status, 0) != child || !WIFSIGNALED(status)))
		fail("child");
	puts(child ? "died" : "forked");
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
			show_dumb(&frame);
		else if (!strncmp(line, "import", 6))
			show_memfd(&frame, strstr(line, "readonly"), strstr(line, "small"));
		else if (!strcmp(line, "release\n"))
			release(&frame);
		else if (!strcmp(line, "pins\n"))
			say_pins();
		else if (!strcmp(line, "log\n"))
			say_log();
		else if (!strcmp(line, "fork\n"))
			fork_child();
		else if (!strcmp(line, "die\n"))
			kill(getpid(), SIGKILL);
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
		else if (!strncmp(line, "write ", 6))
			write_only(&frame, atoi(line + 6));
	}
	return 0;
}
