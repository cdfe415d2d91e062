// SPDX-License-Identifier: MIT
/*
 * The mouse's cursor: the guest's own where it has told QEMU of one, and else the
 * theme's. The compositor moves it.
 */

#include <unistd.h>
#include <wayland-cursor.h>

#include "viewer.h"

#define THEME_SIZE	24		/* pixels; what the theme has besides is ignored */

static struct {
	struct wl_surface *surface;	/* none before it is needed */
	struct wl_buffer *buffer;	/* the guest's */
	int hot_x, hot_y;		/* pixels */
	bool hidden;			/* by the guest */
} cursor;

static void attach(struct wl_buffer *buffer, int hot_x, int hot_y)
{
	wl_surface_attach(cursor.surface, buffer, 0, 0);
	wl_surface_damage_buffer(cursor.surface, 0, 0, INT32_MAX, INT32_MAX);
	wl_surface_commit(cursor.surface);
	if (cursor.buffer)
		wl_buffer_destroy(cursor.buffer);
	cursor.buffer = NULL;
	cursor.hot_x = hot_x;
	cursor.hot_y = hot_y;
}

/* The theme stays loaded, and its buffers with it. Not every theme has the cursor. */
static void attach_default(void)
{
	struct wl_cursor_theme *theme = wl_cursor_theme_load(NULL, THEME_SIZE, window.shm);
	struct wl_cursor *found = NULL;

	if (theme)
		found = wl_cursor_theme_get_cursor(theme, "default");
	if (theme && !found)
		found = wl_cursor_theme_get_cursor(theme, "left_ptr");
	if (found)
		attach(wl_cursor_image_get_buffer(found->images[0]),
		       found->images[0]->hotspot_x, found->images[0]->hotspot_y);
}

bool cursor_define(int width, int height, int hot_x, int hot_y, const void *pixels,
		   size_t size)
{
	size_t needed = (size_t)width * height * 4;
	struct wl_buffer *buffer;
	int fd;

	if (width <= 0 || height <= 0 || width > INT16_MAX || height > INT16_MAX ||
	    size < needed)
		return false;
	fd = window_new_memfd(needed);
	if (write(fd, pixels, needed) != (ssize_t)needed)
		die("cannot write to a memfd: %m");
	if (!cursor.surface)
		cursor.surface = wl_compositor_create_surface(window.compositor);
	buffer = window_new_shm_buffer(fd, 0, width, height, width * 4,
				       WL_SHM_FORMAT_ARGB8888);
	attach(buffer, hot_x, hot_y);
	cursor.buffer = buffer;
	input_set_cursor();
	note("cursor %dx%d, %d,%d", width, height, hot_x, hot_y);
	return true;
}

void cursor_hide(bool hidden)
{
	if (cursor.hidden == hidden)
		return;
	cursor.hidden = hidden;
	input_set_cursor();
}

void cursor_set(struct wl_pointer *pointer, uint32_t serial)
{
	if (!cursor.surface) {
		cursor.surface = wl_compositor_create_surface(window.compositor);
		attach_default();
	}
	wl_pointer_set_cursor(pointer, serial, cursor.hidden ? NULL : cursor.surface,
			      cursor.hot_x, cursor.hot_y);
}
