/* SPDX-License-Identifier: MIT */
/* What the parts of the viewer know of each other. */

#ifndef VIEWER_H
#define VIEWER_H

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <wayland-client.h>

_Noreturn void die(const char *message, ...)
	__attribute__((format(printf, 1, 2)));

/* qmp.c: how to get at the display of a QEMU that has "-display dbus,p2p=yes" */

/* Returns a socket on which QEMU speaks D-Bus. */
int qmp_open_display(const char *path);

/* console.c: the guest's screen and its keyboard and mouse, by D-Bus */

struct console;

struct console *console_open(int fd, sd_event *event);
/* All that was called has been sent. */
void console_close(struct console *console);
void console_key(struct console *console, uint32_t evdev, bool pressed);
void console_button(struct console *console, uint32_t evdev, bool pressed);
void console_wheel(struct console *console, bool down);
void console_move(struct console *console, int x, int y);

/* scanout.c: what the guest shows, as wl_buffers */

/* Pixels in a dma-buf, or in a memfd, from @offset (bytes) on. */
struct image {
	int fd;				/* the caller's; duplicated if need be */
	uint64_t offset;
	uint32_t width, height;		/* pixels */
	uint32_t stride;		/* bytes */
	uint32_t fourcc;		/* 0: not known */
	uint64_t modifier;
	bool bottom_up;
};

/* Returns false, and nothing changes, if it is nothing that can be shown. */
bool scanout_show(const struct image *image);
/* Shows nothing, and says so, in place of an image that cannot be shown. */
void scanout_refuse(const struct image *image);
void scanout_show_data(const struct image *image, const void *data, size_t size);
void scanout_update(int x, int y, int width, int height);
void scanout_update_data(int x, int y, int width, int height, uint32_t stride,
			 const void *data, size_t size);
void scanout_disable(void);
uint32_t fourcc_of_pixman(uint32_t format);

/* window.c: the connection to the compositor, and a window on it */

struct zwp_linux_dmabuf_v1;

struct window {
	struct wl_display *display;
	struct wl_compositor *compositor;
	struct wl_shm *shm;
	struct zwp_linux_dmabuf_v1 *dmabuf;
	bool closed;
};

extern struct window window;

void window_open(sd_event *event, const char *title);
void window_show(struct wl_buffer *buffer, int width, int height, bool bottom_up);
void window_damage(int x, int y, int width, int height);
void window_wait(void);
void window_dispatch(void);
/* Whether the compositor says that it takes dma-bufs of that kind. */
bool window_takes(uint32_t fourcc, uint64_t modifier);
int window_new_memfd(size_t size);
/* Takes @fd. In bytes: @offset and @stride. */
struct wl_buffer *window_new_shm_buffer(int fd, int32_t offset, int width, int height,
					int stride, uint32_t format);

/* input.c: what the compositor's seats send; @name is that in the registry */

void input_add_seat(struct wl_seat *seat, uint32_t name);
void input_remove_seat(uint32_t name);
/* Each pointer in the window by cursor_set(), once more. */
void input_set_cursor(void);
/* Before that they have nothing to send, since nothing is shown. */
void input_start(struct console *console);
/* What is held down is let go. */
void input_stop(void);

/* cursor.c: what a pointer looks like */

/*
 * @pixels, of @size bytes, are ARGB8888, premultiplied. Returns false if they are not
 * enough.
 */
bool cursor_define(int width, int height, int hot_x, int hot_y, const void *pixels,
		   size_t size);
void cursor_hide(bool hidden);
void cursor_set(struct wl_pointer *pointer, uint32_t serial);

/* A message for who watches: --verbose. */
void note(const char *message, ...) __attribute__((format(printf, 1, 2)));

#endif
