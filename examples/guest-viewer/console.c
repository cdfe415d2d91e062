// SPDX-License-Identifier: MIT
/*
 * The first console of a QEMU guest, by D-Bus: QEMU calls methods of ours when
 * the screen changes, on a connection of its own, and we call methods of it for
 * the keyboard and the mouse.
 */

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "viewer.h"

#define CONSOLE		"/org/qemu/Display1/Console_0"
#define LISTENER	"/org/qemu/Display1/Listener"
#define UNIX_MAP	"org.qemu.Display1.Listener.Unix.Map"

struct console {
	sd_bus *bus;
	sd_bus *listener;
	bool relative;			/* how the guest's mouse moves */
	int x, y;			/* the last position, if so */
};

static int bad_message(sd_bus_error *error)
{
	return sd_bus_error_set_const(error, SD_BUS_ERROR_INVALID_ARGS,
				      "arguments of another type");
}

static int on_scanout(sd_bus_message *message, void *data, sd_bus_error *error)
{
	struct image image = { .fd = -1 };
	uint32_t format;
	const void *pixels;
	size_t size;

	if (sd_bus_message_read(message, "uuuu", &image.width, &image.height,
				&image.stride, &format) < 0 ||
	    sd_bus_message_read_array(message, 'y', &pixels, &size) < 0)
		return bad_message(error);
	image.fourcc = fourcc_of_pixman(format);
	scanout_show_data(&image, pixels, size);
	return sd_bus_reply_method_return(message, NULL);
}

static int on_update(sd_bus_message *message, void *data, sd_bus_error *error)
{
	uint32_t stride, format;
	int x, y, width, height;
	const void *pixels;
	size_t size;

	if (sd_bus_message_read(message, "iiiiuu", &x, &y, &width, &height, &stride,
				&format) < 0 ||
	    sd_bus_message_read_array(message, 'y', &pixels, &size) < 0)
		return bad_message(error);
	scanout_update_data(x, y, width, height, stride, pixels, size);
	return sd_bus_reply_method_return(message, NULL);
}

/*
 * A blob resource is linear, and a texture of OpenGL is what the GPU's driver likes; those
 * whose first row is at the bottom are what y0_top is for.
 */
static int on_scanout_dmabuf(sd_bus_message *message, void *data,
			     sd_bus_error *error)
{
	struct image image = { 0 };
	int y0_top;

	if (sd_bus_message_read(message, "huuuutb", &image.fd, &image.width,
				&image.height, &image.stride, &image.fourcc,
				&image.modifier, &y0_top) < 0)
		return bad_message(error);
	image.bottom_up = y0_top;
	if (!scanout_show(&image))
		scanout_refuse(&image);
	return sd_bus_reply_method_return(message, NULL);
}

static int on_scanout_map(sd_bus_message *message, void *data, sd_bus_error *error)
{
	struct image image = { 0 };
	uint32_t offset, format;

	if (sd_bus_message_read(message, "huuuuu", &image.fd, &offset, &image.width,
				&image.height, &image.stride, &format) < 0)
		return bad_message(error);
	image.offset = offset;
	image.fourcc = fourcc_of_pixman(format);
	/* QEMU 10.0 sends its standard input for a blob resource. */
	if (!scanout_show(&image))
		return sd_bus_error_set_const(error, SD_BUS_ERROR_INVALID_ARGS,
					      "nothing that can be shown");
	return sd_bus_reply_method_return(message, NULL);
}

static int on_update_shared(sd_bus_message *message, void *data, sd_bus_error *error)
{
	int x, y, width, height;

	if (sd_bus_message_read(message, "iiii", &x, &y, &width, &height) < 0)
		return bad_message(error);
	scanout_update(x, y, width, height);
	return sd_bus_reply_method_return(message, NULL);
}

static int on_disable(sd_bus_message *message, void *data, sd_bus_error *error)
{
	scanout_disable();
	return sd_bus_reply_method_return(message, NULL);
}

static int on_cursor_define(sd_bus_message *message, void *data, sd_bus_error *error)
{
	int width, height, hot_x, hot_y;
	const void *pixels;
	size_t size;

	if (sd_bus_message_read(message, "iiii", &width, &height, &hot_x, &hot_y) < 0 ||
	    sd_bus_message_read_array(message, 'y', &pixels, &size) < 0 ||
	    !cursor_define(width, height, hot_x, hot_y, pixels, size))
		return bad_message(error);
	return sd_bus_reply_method_return(message, NULL);
}

/* Comes with each motion, too; but where the pointer is, the compositor knows. */
static int on_mouse_set(sd_bus_message *message, void *data, sd_bus_error *error)
{
	int x, y, visible;

	if (sd_bus_message_read(message, "iii", &x, &y, &visible) < 0)
		return bad_message(error);
	cursor_hide(!visible);
	return sd_bus_reply_method_return(message, NULL);
}

static int get_interfaces(sd_bus *bus, const char *path, const char *interface,
			  const char *property, sd_bus_message *reply, void *data,
			  sd_bus_error *error)
{
	return sd_bus_message_append(reply, "as", 1, UNIX_MAP);
}

static const sd_bus_vtable listener_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Interfaces", "as", get_interfaces, 0, 0),
	SD_BUS_METHOD("Scanout", "uuuuay", "", on_scanout, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Update", "iiiiuuay", "", on_update, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("ScanoutDMABUF", "huuuutb", "", on_scanout_dmabuf,
		      SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("UpdateDMABUF", "iiii", "", on_update_shared,
		      SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Disable", "", "", on_disable, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("MouseSet", "iii", "", on_mouse_set, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("CursorDefine", "iiiiay", "", on_cursor_define,
		      SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END
};

static const sd_bus_vtable map_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("ScanoutMap", "huuuuu", "", on_scanout_map,
		      SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("UpdateMap", "iiii", "", on_update_shared,
		      SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END
};

/*
 * A tablet of the guest's counts only once its driver has begun to work, so this
 * changes while the guest starts.
 */
static int on_mouse_changed(sd_bus_message *message, void *data, sd_bus_error *error)
{
	struct console *console = data;
	const char *name;
	int absolute;

	if (sd_bus_message_skip(message, "s") < 0 ||
	    sd_bus_message_enter_container(message, 'a', "{sv}") < 0)
		return 0;
	while (sd_bus_message_enter_container(message, 'e', "sv") > 0) {
		sd_bus_message_read(message, "s", &name);
		if (strcmp(name, "IsAbsolute"))
			sd_bus_message_skip(message, "v");
		else if (sd_bus_message_read(message, "v", "b", &absolute) > 0)
			console->relative = !absolute;
		sd_bus_message_exit_container(message);
	}
	return 0;
}

static void check(int result, const char *what)
{
	if (result < 0)
		die("%s: %s", what, strerror(-result));
}

static sd_bus *new_peer(int fd)
{
	sd_bus *bus;

	check(sd_bus_new(&bus), "D-Bus");
	check(sd_bus_set_fd(bus, fd, fd), "D-Bus");
	check(sd_bus_set_exit_on_disconnect(bus, true), "D-Bus");
	return bus;
}

/*
 * Once QEMU has answered the last call, it waits for us on the other connection, and
 * answers nothing meanwhile.
 */
struct console *console_open(int fd, sd_event *event)
{
	struct console *console = calloc(1, sizeof(*console));
	sd_bus_error error = SD_BUS_ERROR_NULL;
	int pair[2], absolute = true;

	if (!console || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		die("cannot make a socket: %m");
	console->bus = new_peer(fd);
	check(sd_bus_start(console->bus), "D-Bus, with QEMU");
	/* A guest without a mouse has no such property. */
	sd_bus_get_property_trivial(console->bus, NULL, CONSOLE,
				    "org.qemu.Display1.Mouse", "IsAbsolute", NULL,
				    'b', &absolute);
	console->relative = !absolute;
	check(sd_bus_match_signal(console->bus, NULL, NULL, CONSOLE,
				  "org.freedesktop.DBus.Properties",
				  "PropertiesChanged", on_mouse_changed, console),
	      "D-Bus");
	check(sd_bus_attach_event(console->bus, event, 0), "D-Bus");
	if (sd_bus_call_method(console->bus, NULL, CONSOLE, "org.qemu.Display1.Console",
			       "RegisterListener", &error, NULL, "h", pair[1]) < 0)
		die("QEMU does not show its console: %s", error.message);
	close(pair[1]);

	console->listener = new_peer(pair[0]);
	check(sd_bus_add_object_vtable(console->listener, NULL, LISTENER,
				       "org.qemu.Display1.Listener",
				       listener_vtable, console), "D-Bus");
	check(sd_bus_add_object_vtable(console->listener, NULL, LISTENER, UNIX_MAP,
				       map_vtable, console), "D-Bus");
	check(sd_bus_start(console->listener), "D-Bus, for QEMU");
	check(sd_bus_attach_event(console->listener, event, 0), "D-Bus");
	return console;
}

/* QEMU may have gone already. */
void console_close(struct console *console)
{
	sd_bus_flush(console->bus);
}

/* What becomes of a key is not waited for. */
static void call(struct console *console, const char *interface, const char *method,
		 const char *types, uint32_t a, uint32_t b)
{
	sd_bus_call_method_async(console->bus, NULL, NULL, CONSOLE, interface, method,
				 NULL, NULL, types, a, b);
}

/*
 * QEMU numbers keys as a PC's keyboard of old does, and marks those that came
 * later (its prefix 0xe0) by the highest bit. The first 88 of evdev are the same.
 */
static uint32_t key_number(uint32_t evdev)
{
	static const uint8_t later[] = {
		[96] = 0x9c, [97] = 0x9d, [98] = 0xb5, [99] = 0x54, [100] = 0xb8,
		[102] = 0xc7, [103] = 0xc8, [104] = 0xc9, [105] = 0xcb,
		[106] = 0xcd, [107] = 0xcf, [108] = 0xd0, [109] = 0xd1,
		[110] = 0xd2, [111] = 0xd3, [113] = 0xa0, [114] = 0xae,
		[115] = 0xb0, [116] = 0xde, [117] = 0x59, [119] = 0xc6,
		[121] = 0x7e, [124] = 0x7d, [125] = 0xdb, [126] = 0xdc,
		[127] = 0xdd,
	};

	if (evdev <= 88)
		return evdev;
	return evdev < sizeof(later) ? later[evdev] : 0;
}

void console_key(struct console *console, uint32_t evdev, bool pressed)
{
	uint32_t number = key_number(evdev);

	if (number)
		call(console, "org.qemu.Display1.Keyboard",
		     pressed ? "Press" : "Release", "u", number, 0);
}

static void mouse_button(struct console *console, uint32_t button, bool pressed)
{
	call(console, "org.qemu.Display1.Mouse", pressed ? "Press" : "Release", "u",
	     button, 0);
}

/* BTN_LEFT and so on, and what QEMU calls them. */
void console_button(struct console *console, uint32_t evdev, bool pressed)
{
	static const uint32_t buttons[] = { 0, 2, 1, 5, 6 };
	uint32_t i = evdev - 0x110;

	if (i < sizeof(buttons) / sizeof(buttons[0]))
		mouse_button(console, buttons[i], pressed);
}

void console_wheel(struct console *console, bool down)
{
	mouse_button(console, down ? 4 : 3, true);
	mouse_button(console, down ? 4 : 3, false);
}

void console_move(struct console *console, int x, int y)
{
	if (!console->relative)
		call(console, "org.qemu.Display1.Mouse", "SetAbsPosition", "uu",
		     x < 0 ? 0 : x, y < 0 ? 0 : y);
	else
		call(console, "org.qemu.Display1.Mouse", "RelMotion", "ii",
		     x - console->x, y - console->y);
	console->x = x;
	console->y = y;
}
