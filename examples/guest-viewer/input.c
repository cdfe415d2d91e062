// SPDX-License-Identifier: MIT
/* The keyboards and pointers of the compositor's seats, handed on to the guest. */

#include <stdlib.h>
#include <unistd.h>

#include "viewer.h"

#define KEYS	0x118			/* with the buttons of a mouse */
#define BUTTONS	0x110			/* the first of them */

static struct seat {
	struct seat *next;
	struct wl_seat *seat;
	uint32_t name;
	struct wl_pointer *pointer;
	bool inside;			/* the window, since the event of that serial */
	uint32_t serial;
	struct wl_keyboard *keyboard;
	bool held[KEYS];
} *seats;

static struct console *console;

static void button_changed(struct seat *seat, uint32_t button, bool pressed)
{
	console_button(console, button, pressed);
	if (button >= BUTTONS && button < KEYS)
		seat->held[button] = pressed;
}

static void key_changed(struct seat *seat, uint32_t key, bool pressed)
{
	console_key(console, key, pressed);
	if (key < BUTTONS)
		seat->held[key] = pressed;
}

/* The guest must not go on with what was held down. */
static void release_buttons(struct seat *seat)
{
	for (uint32_t button = BUTTONS; button < KEYS; button++)
		if (seat->held[button])
			button_changed(seat, button, false);
}

static void release_keys(struct seat *seat)
{
	for (uint32_t key = 0; key < BUTTONS; key++)
		if (seat->held[key])
			key_changed(seat, key, false);
}

static void pointer_enter(void *data, struct wl_pointer *pointer, uint32_t serial,
			  struct wl_surface *surface, wl_fixed_t x, wl_fixed_t y)
{
	struct seat *seat = data;

	seat->inside = true;
	seat->serial = serial;
	cursor_set(pointer, serial);
	console_move(console, wl_fixed_to_int(x), wl_fixed_to_int(y));
}

static void pointer_leave(void *data, struct wl_pointer *pointer, uint32_t serial,
			  struct wl_surface *surface)
{
	struct seat *seat = data;

	seat->inside = false;
	release_buttons(seat);
}

static void pointer_motion(void *data, struct wl_pointer *pointer, uint32_t time,
			   wl_fixed_t x, wl_fixed_t y)
{
	console_move(console, wl_fixed_to_int(x), wl_fixed_to_int(y));
}

static void pointer_button(void *data, struct wl_pointer *pointer, uint32_t serial,
			   uint32_t time, uint32_t button, uint32_t state)
{
	button_changed(data, button, state == WL_POINTER_BUTTON_STATE_PRESSED);
}

static void pointer_axis(void *data, struct wl_pointer *pointer, uint32_t time,
			 uint32_t axis, wl_fixed_t value)
{
	if (axis == WL_POINTER_AXIS_VERTICAL_SCROLL && value)
		console_wheel(console, value > 0);
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

/* With those that are held down already. */
static void keyboard_enter(void *data, struct wl_keyboard *keyboard, uint32_t serial,
			   struct wl_surface *surface, struct wl_array *keys)
{
	uint32_t *key;

	wl_array_for_each(key, keys)
		key_changed(data, *key, true);
}

static void keyboard_leave(void *data, struct wl_keyboard *keyboard, uint32_t serial,
			   struct wl_surface *surface)
{
	release_keys(data);
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

static void drop_pointer(struct seat *seat)
{
	if (seat->pointer)
		wl_pointer_destroy(seat->pointer);
	seat->pointer = NULL;
	seat->inside = false;
	release_buttons(seat);
}

static void drop_keyboard(struct seat *seat)
{
	if (seat->keyboard)
		wl_keyboard_destroy(seat->keyboard);
	seat->keyboard = NULL;
	release_keys(seat);
}

/* Devices come and go with the seat's capabilities. */
static void seat_capabilities(void *data, struct wl_seat *wl_seat, uint32_t capabilities)
{
	struct seat *seat = data;

	if (!(capabilities & WL_SEAT_CAPABILITY_POINTER)) {
		drop_pointer(seat);
	} else if (!seat->pointer) {
		seat->pointer = wl_seat_get_pointer(wl_seat);
		wl_pointer_add_listener(seat->pointer, &pointer_listener, seat);
	}
	if (!(capabilities & WL_SEAT_CAPABILITY_KEYBOARD)) {
		drop_keyboard(seat);
	} else if (!seat->keyboard) {
		seat->keyboard = wl_seat_get_keyboard(wl_seat);
		wl_keyboard_add_listener(seat->keyboard, &keyboard_listener, seat);
	}
}

static const struct wl_seat_listener seat_listener = {
	.capabilities = seat_capabilities,
};

void input_add_seat(struct wl_seat *wl_seat, uint32_t name)
{
	struct seat *seat = calloc(1, sizeof(*seat));

	if (!seat)
		die("out of memory");
	*seat = (struct seat) { .next = seats, .seat = wl_seat, .name = name };
	seats = seat;
	wl_seat_add_listener(wl_seat, &seat_listener, seat);
}

void input_remove_seat(uint32_t name)
{
	struct seat **at, *seat;

	for (at = &seats; *at; at = &(*at)->next) {
		if ((*at)->name != name)
			continue;
		seat = *at;
		*at = seat->next;
		drop_pointer(seat);
		drop_keyboard(seat);
		wl_seat_destroy(seat->seat);
		free(seat);
		return;
	}
}

void input_set_cursor(void)
{
	for (struct seat *seat = seats; seat; seat = seat->next)
		if (seat->inside)
			cursor_set(seat->pointer, seat->serial);
}

void input_start(struct console *to)
{
	console = to;
}

void input_stop(void)
{
	for (struct seat *seat = seats; seat; seat = seat->next) {
		release_buttons(seat);
		release_keys(seat);
	}
}
