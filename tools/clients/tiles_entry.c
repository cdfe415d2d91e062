// SPDX-License-Identifier: MIT
/*
 * The requests that matter here, through each of the functions that libwayland has had
 * for them in its life.
 */

#include "tiles.h"

/*
 * Sends a request by the function of some age. @arguments are the same twice: as an
 * array, and one by one.
 */
#define REQUEST(entry, proxy, opcode, interface, arguments, ...)			\
({											\
	struct wl_proxy *p = (struct wl_proxy *)(proxy), *r = NULL;			\
	const struct wl_interface *i = interface;					\
	uint32_t version = wl_proxy_get_version(p);					\
											\
	switch (entry) {								\
	case ENTRY_FLAGS:								\
		r = wl_proxy_marshal_flags(p, opcode, i, version, 0, ##__VA_ARGS__);	\
		break;									\
	case ENTRY_CONSTRUCTOR:								\
		if (i)									\
			r = wl_proxy_marshal_constructor(p, opcode, i, ##__VA_ARGS__);	\
		else									\
			wl_proxy_marshal(p, opcode, ##__VA_ARGS__);			\
		break;									\
	case ENTRY_VERSIONED:								\
		r = wl_proxy_marshal_constructor_versioned(p, opcode, i, version,	\
							   ##__VA_ARGS__);		\
		break;									\
	case ENTRY_ARRAY_FLAGS:								\
		r = wl_proxy_marshal_array_flags(p, opcode, i, version, 0, arguments);	\
		break;									\
	case ENTRY_ARRAY:								\
		if (i)									\
			r = wl_proxy_marshal_array_constructor(p, opcode, arguments, i); \
		else									\
			wl_proxy_marshal_array(p, opcode, arguments);			\
		break;									\
	case ENTRY_ARRAY_VERSIONED:							\
		r = wl_proxy_marshal_array_constructor_versioned(p, opcode, arguments,	\
								 i, version);		\
		break;									\
	case ENTRY_OLD:									\
		if (i)									\
			(arguments)->o = (void *)(r = wl_proxy_create(p, i));		\
		wl_proxy_marshal_array(p, opcode, arguments);				\
		break;									\
	}										\
	r;										\
})

struct wl_shm_pool *entry_create_pool(enum entry entry, struct wl_shm *shm, int fd,
				      int size)
{
	union wl_argument arguments[] = { { .o = NULL }, { .h = fd }, { .i = size } };

	return (struct wl_shm_pool *)REQUEST(entry, shm, WL_SHM_CREATE_POOL,
					     &wl_shm_pool_interface, arguments,
					     NULL, fd, size);
}

struct wl_buffer *entry_create_buffer(enum entry entry, struct wl_shm_pool *pool,
				      int offset, int width, int height, int stride,
				      uint32_t format)
{
	union wl_argument arguments[] = {
		{ .o = NULL }, { .i = offset }, { .i = width }, { .i = height },
		{ .i = stride }, { .u = format },
	};

	return (struct wl_buffer *)REQUEST(entry, pool, WL_SHM_POOL_CREATE_BUFFER,
					   &wl_buffer_interface, arguments, NULL, offset,
					   width, height, stride, format);
}

void entry_attach(enum entry entry, struct wl_surface *surface,
		  struct wl_buffer *buffer)
{
	union wl_argument arguments[] = {
		{ .o = (struct wl_object *)buffer }, { .i = 0 }, { .i = 0 },
	};

	REQUEST(entry, surface, WL_SURFACE_ATTACH, NULL, arguments, buffer, 0, 0);
	if (arguments[0].o != (struct wl_object *)buffer)
		die("the arguments were changed");
}

void entry_commit(enum entry entry, struct wl_surface *surface)
{
	union wl_argument none[1] = { 0 };

	REQUEST(entry, surface, WL_SURFACE_COMMIT, NULL, none);
}

void entry_destroy_pool(enum entry entry, struct wl_shm_pool *pool)
{
	union wl_argument none[1] = { 0 };

	REQUEST(entry, pool, WL_SHM_POOL_DESTROY, NULL, none);
	wl_proxy_destroy((struct wl_proxy *)pool);
}

void entry_destroy_buffer(enum entry entry, struct wl_buffer *buffer)
{
	union wl_argument none[1] = { 0 };

	REQUEST(entry, buffer, WL_BUFFER_DESTROY, NULL, none);
	wl_proxy_destroy((struct wl_proxy *)buffer);
}
