// SPDX-License-Identifier: MIT
/*
 * The functions of libwayland-client that the program gets ours instead of. Its
 * requests go through eight of them: old programs, and those in other languages than
 * C, call others than those that wayland-scanner writes calls of today. All end in
 * wl_proxy_marshal_array_flags(), and so do ours, with the arguments in an array.
 */

#define _GNU_SOURCE		/* RTLD_NEXT */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm-zerocopy.h"

#define EXPORT __attribute__((visibility("default")))

/* As many as libwayland takes. */
#define MAX_ARGS 20

static void *next_function(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (function)
		return function;
	fprintf(stderr, "wl-zerocopy: libwayland-client has no %s()\n", name);
	abort();
}

/* The function of libwayland that has the same name as one of ours. */
#define NEXT(name)						\
({								\
	static typeof(name) *function;				\
								\
	if (!function)						\
		function = next_function(#name);		\
	function;						\
})

/*
 * A proxy starts with its interface, in all versions of libwayland, but only from 1.24
 * on there is a function for it.
 */
static const struct wl_interface *get_interface(struct wl_proxy *proxy)
{
	const struct wl_interface *interface = *(const struct wl_interface **)proxy;

	if (interface->name == wl_proxy_get_class(proxy))
		return interface;
	fprintf(stderr, "wl-zerocopy: unknown version of libwayland-client\n");
	abort();
}

static void collect(struct wl_proxy *proxy, uint32_t opcode, va_list list,
		    union wl_argument *arguments)
{
	const char *c = get_interface(proxy)->methods[opcode].signature;
	int n = 0;

	for (; *c && n < MAX_ARGS; c++) {
		switch (*c) {
		case 'i':
			arguments[n++].i = va_arg(list, int32_t);
			break;
		case 'u':
			arguments[n++].u = va_arg(list, uint32_t);
			break;
		case 'f':
			arguments[n++].f = va_arg(list, wl_fixed_t);
			break;
		case 's':
			arguments[n++].s = va_arg(list, const char *);
			break;
		case 'o':
		case 'n':
			arguments[n++].o = va_arg(list, struct wl_object *);
			break;
		case 'a':
			arguments[n++].a = va_arg(list, struct wl_array *);
			break;
		case 'h':
			arguments[n++].h = va_arg(list, int32_t);
			break;
		}
	}
}

enum request {
	ANY,
	CREATE_POOL,
	DESTROY_POOL,
	CREATE_BUFFER,
	DESTROY_BUFFER,
	ATTACH,
	COMMIT,
	DESTROY_SURFACE,
};

static enum request which(struct wl_proxy *proxy, uint32_t opcode)
{
	static const struct {
		const struct wl_interface *interface;
		uint32_t opcode;
		enum request request;
	} known[] = {
		{ &wl_surface_interface, WL_SURFACE_ATTACH, ATTACH },
		{ &wl_surface_interface, WL_SURFACE_COMMIT, COMMIT },
		{ &wl_surface_interface, WL_SURFACE_DESTROY, DESTROY_SURFACE },
		{ &wl_buffer_interface, WL_BUFFER_DESTROY, DESTROY_BUFFER },
		{ &wl_shm_pool_interface, WL_SHM_POOL_CREATE_BUFFER, CREATE_BUFFER },
		{ &wl_shm_pool_interface, WL_SHM_POOL_DESTROY, DESTROY_POOL },
		{ &wl_shm_interface, WL_SHM_CREATE_POOL, CREATE_POOL },
	};
	const char *class = wl_proxy_get_class(proxy);

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].opcode == opcode &&
		    !strcmp(known[i].interface->name, class))
			return known[i].request;
	return ANY;
}

/* Programs of long ago have made its proxy by themselves. */
static struct wl_proxy *new_object(const struct wl_interface *interface,
				   struct wl_proxy *returned,
				   const union wl_argument *arguments)
{
	return interface ? returned : (struct wl_proxy *)arguments[0].o;
}

EXPORT struct wl_proxy *
wl_proxy_marshal_array_flags(struct wl_proxy *proxy, uint32_t opcode,
			     const struct wl_interface *interface, uint32_t version,
			     uint32_t flags, union wl_argument *arguments)
{
	enum request request = which(proxy, opcode);
	struct wl_proxy *returned, *created = NULL, *own = NULL;

	if (request != DESTROY_BUFFER)
		orphans_reap(proxy);
	if (request == ATTACH) {
		own = (struct wl_proxy *)arguments[0].o;
		arguments[0].o = (struct wl_object *)buffer_attached(proxy, own);
	} else if (request == COMMIT) {
		surface_committed(proxy);
	} else if (request == DESTROY_SURFACE) {
		surface_destroyed(proxy);
	} else if (request == DESTROY_BUFFER) {
		buffer_destroyed(proxy);
	} else if (request == DESTROY_POOL) {
		pool_destroyed(proxy);
	}

	returned = NEXT(wl_proxy_marshal_array_flags)(proxy, opcode, interface,
						      version, flags, arguments);

	if (request == ATTACH)
		arguments[0].o = (struct wl_object *)own;
	if (request == CREATE_POOL || request == CREATE_BUFFER)
		created = new_object(interface, returned, arguments);
	if (created && request == CREATE_POOL)
		pool_created(created, arguments[1].h);
	else if (created)
		buffer_created(proxy, created, arguments);
	return returned;
}

EXPORT struct wl_proxy *
wl_proxy_marshal_flags(struct wl_proxy *proxy, uint32_t opcode,
		       const struct wl_interface *interface, uint32_t version,
		       uint32_t flags, ...)
{
	union wl_argument arguments[MAX_ARGS];
	va_list list;

	va_start(list, flags);
	collect(proxy, opcode, list, arguments);
	va_end(list);
	return wl_proxy_marshal_array_flags(proxy, opcode, interface, version, flags,
					    arguments);
}

EXPORT struct wl_proxy *
wl_proxy_marshal_array_constructor_versioned(struct wl_proxy *proxy, uint32_t opcode,
					     union wl_argument *arguments,
					     const struct wl_interface *interface,
					     uint32_t version)
{
	return wl_proxy_marshal_array_flags(proxy, opcode, interface, version, 0,
					    arguments);
}

EXPORT struct wl_proxy *
wl_proxy_marshal_array_constructor(struct wl_proxy *proxy, uint32_t opcode,
				   union wl_argument *arguments,
				   const struct wl_interface *interface)
{
	return wl_proxy_marshal_array_flags(proxy, opcode, interface,
					    wl_proxy_get_version(proxy), 0, arguments);
}

EXPORT void
wl_proxy_marshal_array(struct wl_proxy *proxy, uint32_t opcode,
		       union wl_argument *arguments)
{
	wl_proxy_marshal_array_constructor(proxy, opcode, arguments, NULL);
}

EXPORT struct wl_proxy *
wl_proxy_marshal_constructor_versioned(struct wl_proxy *proxy, uint32_t opcode,
				       const struct wl_interface *interface,
				       uint32_t version, ...)
{
	union wl_argument arguments[MAX_ARGS];
	va_list list;

	va_start(list, version);
	collect(proxy, opcode, list, arguments);
	va_end(list);
	return wl_proxy_marshal_array_flags(proxy, opcode, interface, version, 0,
					    arguments);
}

EXPORT struct wl_proxy *
wl_proxy_marshal_constructor(struct wl_proxy *proxy, uint32_t opcode,
			     const struct wl_interface *interface, ...)
{
	union wl_argument arguments[MAX_ARGS];
	va_list list;

	va_start(list, interface);
	collect(proxy, opcode, list, arguments);
	va_end(list);
	return wl_proxy_marshal_array_constructor(proxy, opcode, arguments, interface);
}

EXPORT void
wl_proxy_marshal(struct wl_proxy *proxy, uint32_t opcode, ...)
{
	union wl_argument arguments[MAX_ARGS];
	va_list list;

	va_start(list, opcode);
	collect(proxy, opcode, list, arguments);
	va_end(list);
	wl_proxy_marshal_array(proxy, opcode, arguments);
}

/* Also of those objects whose destruction the compositor is not told of. */
EXPORT void
wl_proxy_destroy(struct wl_proxy *proxy)
{
	const char *class = wl_proxy_get_class(proxy);

	if (!strcmp(class, wl_buffer_interface.name))
		buffer_destroyed(proxy);
	else if (!strcmp(class, wl_shm_pool_interface.name))
		pool_destroyed(proxy);
	else if (!strcmp(class, wl_surface_interface.name))
		surface_destroyed(proxy);
	NEXT(wl_proxy_destroy)(proxy);
}

EXPORT void
wl_proxy_set_queue(struct wl_proxy *proxy, struct wl_event_queue *queue)
{
	if (!strcmp(wl_proxy_get_class(proxy), wl_buffer_interface.name))
		buffer_moved(proxy, queue);
	NEXT(wl_proxy_set_queue)(proxy, queue);
}

EXPORT int
wl_proxy_add_dispatcher(struct wl_proxy *proxy, wl_dispatcher_func_t function,
			const void *implementation, void *data)
{
	if (!strcmp(wl_proxy_get_class(proxy), wl_buffer_interface.name))
		buffer_dispatched(proxy);
	return NEXT(wl_proxy_add_dispatcher)(proxy, function, implementation, data);
}

struct wl_display *connect_unseen(const char *name)
{
	return NEXT(wl_display_connect)(name);
}

EXPORT struct wl_display *
wl_display_connect(const char *name)
{
	/* A connection that somebody else has made, and that it is told of but once */
	bool inherited = getenv("WAYLAND_SOCKET");
	struct wl_display *wl_display = NEXT(wl_display_connect)(name);

	if (wl_display && inherited)
		say("no dma-bufs: the connection was inherited, and there is no other");
	else if (wl_display)
		display_open(wl_display, name);
	return wl_display;
}

EXPORT void
wl_display_disconnect(struct wl_display *wl_display)
{
	struct display *display;

	lock();
	display = display_find(wl_display);
	if (display)
		display_close(display);
	unlock();
	NEXT(wl_display_disconnect)(wl_display);
}
