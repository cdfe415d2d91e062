// SPDX-License-Identifier: MIT
/*
 * Plays the part of QEMU for a viewer of its display: QMP on a socket, whose path is the
 * argument, and then D-Bus. For each word on standard input it shows a screen, of which
 * the first row is at the top or not, or that nobody can show, and says when the viewer
 * has answered. The upper half is red, and the lower one blue.
 */

#define _GNU_SOURCE		/* memfd_create */
#include <drm_fourcc.h>
#include <err.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <systemd/sd-bus.h>

#define WIDTH	320
#define HEIGHT	240
#define STRIDE	(WIDTH * 4)
#define SIZE	(STRIDE * HEIGHT)
#define RED	0xff0000
#define BLUE	0x0000ff
#define X8R8G8B8 0x20020888	/* as pixman calls it */

static uint32_t pixels[WIDTH * HEIGHT];
static int listener = -1;	/* the viewer's, when it has registered it */

static void check(int result, const char *what)
{
	if (result < 0)
		errx(1, "%s: %s", what, strerror(-result));
}

/* Each command is one message; only one has a descriptor with it. */
static int answer(int fd)
{
	static const char done[] = "{\"return\": {}}\n";
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char text[4096];
	struct iovec data = { text, sizeof(text) };
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	int passed = -1;

	if (recvmsg(fd, &message, 0) <= 0)
		errx(1, "the viewer has gone");
	if (message.msg_controllen)
		memcpy(&passed, CMSG_DATA(&control.header), sizeof(passed));
	if (write(fd, done, strlen(done)) < 0)
		err(1, "the viewer");
	return passed;
}

/* Returns the socket of D-Bus. */
static int qmp(const char *path)
{
	static const char greeting[] = "{\"QMP\": {}}\n";
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), display;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(fd, 1))
		err(1, "%s", path);
	puts("ready");
	fd = accept(fd, NULL, NULL);
	if (fd < 0 || write(fd, greeting, strlen(greeting)) < 0)
		err(1, "%s", path);
	answer(fd);
	display = answer(fd);
	answer(fd);
	return display;
}

static int on_register(sd_bus_message *message, void *data, sd_bus_error *error)
{
	int fd;

	check(sd_bus_message_read(message, "h", &fd), "RegisterListener");
	listener = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return sd_bus_reply_method_return(message, NULL);
}

static const sd_bus_vtable console[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("RegisterListener", "h", "", on_register, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END
};

static sd_bus *new_server(int fd)
{
	sd_id128_t id;
	sd_bus *bus;

	check(sd_id128_randomize(&id), "random");
	check(sd_bus_new(&bus), "D-Bus");
	check(sd_bus_set_fd(bus, fd, fd), "D-Bus");
	check(sd_bus_set_server(bus, true, id), "D-Bus");
	return bus;
}

static int new_dmabuf(void)
{
	struct udmabuf_create create = { .flags = UDMABUF_FLAGS_CLOEXEC, .size = SIZE };
	int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), dmabuf;

	create.memfd = memfd_create("screen", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (ftruncate(create.memfd, SIZE) || fcntl(create.memfd, F_ADD_SEALS, F_SEAL_SHRINK) ||
	    write(create.memfd, pixels, SIZE) != SIZE)
		err(1, "memfd");
	dmabuf = ioctl(device, UDMABUF_CREATE, &create);
	if (dmabuf < 0)
		err(1, "udmabuf");
	close(create.memfd);
	close(device);
	return dmabuf;
}

static sd_bus_message *new_call(sd_bus *bus, const char *method)
{
	sd_bus_message *call;

	check(sd_bus_message_new_method_call(bus, &call, NULL, "/org/qemu/Display1/Listener",
					     "org.qemu.Display1.Listener", method), method);
	return call;
}

static sd_bus_message *new_scanout_dmabuf(sd_bus *bus, uint64_t modifier, bool y0_top)
{
	sd_bus_message *call = new_call(bus, "ScanoutDMABUF");
	int dmabuf = new_dmabuf();

	check(sd_bus_message_append(call, "huuuutb", dmabuf, WIDTH, HEIGHT, STRIDE,
				    DRM_FORMAT_XRGB8888, modifier, y0_top), "ScanoutDMABUF");
	close(dmabuf);
	return call;
}

static sd_bus_message *new_scanout(sd_bus *bus, uint32_t format)
{
	sd_bus_message *call = new_call(bus, "Scanout");

	check(sd_bus_message_append(call, "uuuu", WIDTH, HEIGHT, STRIDE, format), "Scanout");
	check(sd_bus_message_append_array(call, 'y', pixels, SIZE), "Scanout");
	return call;
}

static sd_bus_message *new_screen(sd_bus *bus, const char *name)
{
	if (!strcmp(name, "dmabuf"))
		return new_scanout_dmabuf(bus, DRM_FORMAT_MOD_LINEAR, false);
	if (!strcmp(name, "bottom-up"))
		return new_scanout_dmabuf(bus, DRM_FORMAT_MOD_LINEAR, true);
	if (!strcmp(name, "tiled"))
		return new_scanout_dmabuf(bus, I915_FORMAT_MOD_X_TILED, false);
	if (!strcmp(name, "copied"))
		return new_scanout(bus, X8R8G8B8);
	if (!strcmp(name, "unknown"))
		return new_scanout(bus, 0);
	errx(1, "no screen is called %s", name);
}

int main(int argc, char **argv)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	char name[16];
	sd_bus *bus;

	if (argc != 2)
		errx(1, "it takes a path");
	setlinebuf(stdout);
	for (int i = 0; i < WIDTH * HEIGHT; i++)
		pixels[i] = i < WIDTH * HEIGHT / 2 ? RED : BLUE;
	bus = new_server(qmp(argv[1]));
	check(sd_bus_add_object_vtable(bus, NULL, "/org/qemu/Display1/Console_0",
				       "org.qemu.Display1.Console", console, NULL), "D-Bus");
	check(sd_bus_start(bus), "D-Bus");
	while (listener < 0) {
		check(sd_bus_wait(bus, UINT64_MAX), "D-Bus");
		while (sd_bus_process(bus, NULL) > 0)
			;
	}
	sd_bus_flush(bus);
	bus = new_server(listener);
	check(sd_bus_start(bus), "D-Bus, to the viewer");
	while (scanf("%15s", name) == 1) {
		check(sd_bus_call(bus, new_screen(bus, name), 0, &error, NULL), name);
		printf("shown %s\n", name);
	}
	return 0;
}
