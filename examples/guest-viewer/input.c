// SPDX-License-Identifier: MIT
/* The compositor's keyboard and pointer, handed on to the guest. */

#include <unistd.h>

#include "viewer.h"

static void pointer_enter(void *data, struct wl_pointer *pointer, uint32_t serial,
			  struct wl_surface *surface, wl_fixed_t x, wl_fixed_t y)
{
	console_move(data, wl_fixed_to_int(x), wl_fixed_to_int(y));
}

static void pointer_leave(void *data, struct wl_pointer *pointer, uint32_t serial,
			  struct wl_surface *surface)
{
}

static void pointer_motion(void *data, struct wl_pointer *pointer, uint32_t time,
			   wl_fixed_t x, wl_fixed_t y)
{
	console_move(data, wl_fixed_to_int(x), wl_fixed_to_int(y));
}

static void pointer_button(void *data, struct wl_pointer *pointer, uint32_t serial,
			   uint32_t time, uint32_t button, uint32_t state)
{
	console_button(data, button, state == WL_POINTER_BUTTON_STATE_PRESSED);
}

static void pointer_axis(void *data, struct wl_pointer *pointer, uint32_t time,
			 uint32_t axis, wl_fixed_t value)
{
	if (axis == WL_POINTER_AXIS_VERTICAL_SCROLL && value)
		console_wheel(data, value > 0);
}

static const struct wl_pointer_listener pointer_listener = {
	.enter	= pointer_enter,
	.leave	= pointer_leave,
	.motion	= pointer_motion,
	.button	= pointer_button,
	.axis	= pointer_axis,
};

static void keyboard_keymap(void *data, struct wl_keyboard *keyboard,
			    uint32_t format, int32_t fd, uint32_t size)
{
	/* Keys go to the guest by number; what they mean it knows itself. */
	close(fd);
}

#define KEYS 256

static bool held[KEYS];

static void key_changed(struct console *console, uint32_t key, bool pressed)
{
	console_key(console, key, pressed);
	if (key < KEYS)
		held[key] = pressed;
}

/* With those that are held down already. */
static void keyboard_enter(void *data, struct wl_keyboard *keyboard, uint32_t serial,
			   struct wl_surface *surface, struct wl_array *keys)
{
	uint32_t *key;

	wl_array_for_each(key, keys)
		key_changed(data, *key, true);
}

/* The guest must not go on repeating what was held down. */
static void keyboard_leave(void *data, struct wl_keyboard *keyboard, uint32_t serial,
			   struct wl_surface *surface)
{
	for (uint32_t key = 0; key < KEYS; key++)
		if (held[key])
			key_changed(data, key, false);
}

static void keyboard_key(void *data, struct wl_keyboard *keyboard, uint32_t serial,
			 uint32_t time, uint32_t key, uint32_t state)
{
	key_changed(data, key, state == WL_KEYBOARD_KEY_STATE_PRESSED);
}

static void keyboard_modifiers(void *data, struct wl_keyboard *keyboard,
			       uint32_t serial, uint32_t depressed, uint32_t latched,
			       uint32_t locked, uint32_t group)
{
}

static const struct wl_keyboard_listener keyboard_listener = {
	.keymap		= keyboard_keymap,
	.enter		= keyboard_enter,
	.leave		= keyboard_leave,
	.key		= keyboard_key,
	.modifiers	= keyboard_modifiers,
};

/* Devices come and go with the seat's capabilities. */
static void seat_capabilities(void *data, struct wl_seat *seat, uint32_t capabilities)
{
	static struct wl_pointer *pointer;
	static struct wl_keyboard *keyboard;

	if (capabilities & WL_SEAT_CAPABILITY_POINTER && !pointer) {
		pointer = wl_seat_get_pointer(seat);
		wl_pointer_add_listener(pointer, &pointer_listener, data);
	} else if (!(capabilities & WL_SEAT_CAPABILITY_POINTER) && pointer) {
		wl_pointer_destroy(pointer);
		pointer = NULL;
	}
	if (capabilities & WL_SEAT_CAPABILITY_KEYBOARD && !keyboard) {
		keyboard = wl_seat_get_keyboard(seat);
		wl_keyboard_add_listener(keyboard, &keyboard_listener, data);
	} else if (!(capabilities & WL_SEAT_CAPABILITY_KEYBOARD) && keyboard) {
		wl_keyboard_destroy(keyboard);
		keyboard = NULL;
	}
}

static const struct wl_seat_listener seat_listener = {
	.capabilities = seat_capabilities,
};

void input_listen(struct wl_seat *seat, struct console *console)
{
	wl_seat_add_listener(seat, &seat_listener, console);
}
