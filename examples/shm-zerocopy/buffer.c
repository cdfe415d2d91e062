// SPDX-License-Identifier: MIT
/*
 * Pools and buffers of the program, and the dma-bufs in their place.
 *
 * The program's wl_buffer stays what it is, one of wl_shm. When it is attached to a
 * surface, another wl_buffer is attached in its place, its twin, made of a dma-buf of
 * the same pages. So whatever else a program does with a buffer (an icon, the target
 * of a screenshot) is as it was, and what cannot have a twin is just attached.
 *
 * Objects are known by their display and their id: a program may have several proxies
 * for the same object, to send requests with (wl_proxy_create_wrapper()).
 */

#define _GNU_SOURCE		/* recursive mutexes */
#include <drm_fourcc.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "linux-dmabuf-v1-client-protocol.h"
#include "shm-zerocopy.h"

/*
 * Smaller ones are cursors, icons and the like. A copy of them costs less than the
 * import, and cursor planes mostly take wl_shm only.
 */
#define MIN_SIZE 65536		/* bytes */

struct pool {
	struct wl_list link;
	struct wl_display *display;
	uint32_t id;			/* 0: destroyed, but not all of its buffers */
	int file;
	unsigned int users;
};

struct buffer {
	struct wl_list link;
	struct wl_display *display;
	uint32_t id;
	struct wl_proxy *proxy;		/* the program's; NULL: it is destroyed */
	struct pool *pool;		/* NULL when there is, or will be, no twin */
	int32_t offset, width, height, stride;
	uint32_t fourcc;
	bool dispatched;		/* by a function instead of listeners */
	bool sealed;			/* when it was made */

	struct wl_buffer *twin;		/* NULL: none */
	int dmabuf;
	uint32_t surface;		/* to which it is attached until the commit */
	bool held;			/* by the compositor, from commit to release */
};

static struct wl_list pools = { &pools, &pools };
static struct wl_list buffers = { &buffers, &buffers };
/* Of all displays: those that the program has destroyed, and that have a twin yet */
static atomic_uint orphans;
static pthread_mutex_t mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

void lock(void)
{
	pthread_mutex_lock(&mutex);
}

void unlock(void)
{
	pthread_mutex_unlock(&mutex);
}

static struct pool *find_pool(struct wl_proxy *proxy)
{
	struct wl_display *display = wl_proxy_get_display(proxy);
	uint32_t id = wl_proxy_get_id(proxy);
	struct pool *pool;

	wl_list_for_each(pool, &pools, link)
		if (pool->display == display && pool->id == id)
			return pool;
	return NULL;
}

static struct buffer *find_buffer(struct wl_proxy *proxy)
{
	struct wl_display *display = wl_proxy_get_display(proxy);
	uint32_t id = wl_proxy_get_id(proxy);
	struct buffer *buffer;

	wl_list_for_each(buffer, &buffers, link)
		if (buffer->display == display && buffer->id == id && buffer->proxy)
			return buffer;
	return NULL;
}

static void put_pool(struct pool *pool)
{
	if (!pool || --pool->users)
		return;
	wl_list_remove(&pool->link);
	close(pool->file);
	free(pool);
}

void pool_created(struct wl_proxy *proxy, int file)
{
	struct wl_display *display = wl_proxy_get_display(proxy);
	struct pool *pool;

	lock();
	if (display_find(display)) {
		pool = calloc(1, sizeof(*pool));
		if (!pool)
			goto out;
		pool->display = display;
		pool->id = wl_proxy_get_id(proxy);
		pool->users = 1;
		/* The program mostly closes its own at once. */
		pool->file = fcntl(file, F_DUPFD_CLOEXEC, 0);
		wl_list_insert(&pools, &pool->link);
		if (pool->file < 0)
			put_pool(pool);
	}
out:
	unlock();
}

void pool_destroyed(struct wl_proxy *proxy)
{
	struct pool *pool;

	lock();
	pool = find_pool(proxy);
	if (pool) {
		pool->id = 0;
		put_pool(pool);
	}
	unlock();
}

void buffer_created(struct wl_proxy *proxy, struct wl_proxy *created,
		    const union wl_argument *arguments)
{
	struct buffer *buffer;
	struct pool *pool;

	lock();
	pool = find_pool(proxy);
	buffer = pool ? calloc(1, sizeof(*buffer)) : NULL;
	if (buffer) {
		pool->users++;
		buffer->display = pool->display;
		buffer->id = wl_proxy_get_id(created);
		buffer->proxy = created;
		buffer->pool = pool;
		buffer->offset = arguments[1].i;
		buffer->width = arguments[2].i;
		buffer->height = arguments[3].i;
		buffer->stride = arguments[4].i;
		buffer->fourcc = format_from_shm(arguments[5].u);
		buffer->sealed = is_sealed(pool->file);
		buffer->dmabuf = -1;
		wl_list_insert(&buffers, &buffer->link);
	}
	unlock();
}

static void drop_twin(struct buffer *buffer)
{
	struct display *display = display_find(buffer->display);

	if (!buffer->twin)
		return;
	wl_buffer_destroy(buffer->twin);
	buffer->twin = NULL;
	close(buffer->dmabuf);
	display->buffers--;
	if (!buffer->proxy)
		orphans--;
}

static void free_buffer(struct buffer *buffer)
{
	drop_twin(buffer);
	put_pool(buffer->pool);
	wl_list_remove(&buffer->link);
	free(buffer);
}

/*
 * Who destroys a wl_shm buffer that is on screen mostly sees it stay there, since
 * the compositor has copied it. Its twin is kept for that until the compositor lets
 * go of it. The program may destroy the queue of the buffer any time now.
 */
void buffer_destroyed(struct wl_proxy *proxy)
{
	struct display *display;
	struct buffer *buffer;

	lock();
	buffer = find_buffer(proxy);
	if (buffer && buffer->twin && (buffer->held || buffer->surface)) {
		display = display_find(buffer->display);
		buffer->proxy = NULL;
		orphans++;
		wl_proxy_set_queue((struct wl_proxy *)buffer->twin, display->queue);
	} else if (buffer) {
		free_buffer(buffer);
	}
	unlock();
}

void buffer_dispatched(struct wl_proxy *proxy)
{
	struct buffer *buffer;

	lock();
	buffer = find_buffer(proxy);
	if (buffer)
		buffer->dispatched = true;
	unlock();
}

void buffer_moved(struct wl_proxy *proxy, struct wl_event_queue *queue)
{
	struct buffer *buffer;

	lock();
	buffer = find_buffer(proxy);
	if (buffer && buffer->twin)
		wl_proxy_set_queue((struct wl_proxy *)buffer->twin, queue);
	unlock();
}

/*
 * The program takes it for its own buffer's. A compositor may release a dma-buf that
 * a GPU still reads, as kernel drivers know of each other's work; the program does
 * not, and has to wait before it writes.
 */
static void twin_release(void *data, struct wl_buffer *twin)
{
	const struct wl_buffer_listener *listener = NULL;
	struct buffer *buffer;
	void *user_data = NULL;
	struct wl_buffer *own = NULL;

	lock();
	wl_list_for_each(buffer, &buffers, link) {
		if (buffer->twin != twin)
			continue;
		buffer->held = false;
		if (!buffer->proxy) {
			free_buffer(buffer);
			break;
		}
		udmabuf_wait(buffer->dmabuf);
		own = (struct wl_buffer *)buffer->proxy;
		listener = wl_proxy_get_listener(buffer->proxy);
		user_data = wl_proxy_get_user_data(buffer->proxy);
		break;
	}
	unlock();
	if (listener && listener->release)
		listener->release(user_data, own);
}

static const struct wl_buffer_listener twin_listener = {
	.release = twin_release,
};

static struct wl_buffer *import(const struct display *display, int dmabuf,
				const struct layout *layout)
{
	struct zwp_linux_buffer_params_v1 *params;
	struct wl_buffer *twin;

	params = params_of(display->dmabuf, dmabuf, layout);
	if (!params)
		return NULL;
	twin = zwp_linux_buffer_params_v1_create_immed(params, layout->width,
						       layout->height,
						       layout->fourcc, 0);
	zwp_linux_buffer_params_v1_destroy(params);
	return twin;
}

/* Returns why there is none, or NULL. */
static const char *make_twin(struct display *display, struct buffer *buffer)
{
	const struct layout layout = {
		.fourcc	= buffer->fourcc,
		.width	= buffer->width,
		.height	= buffer->height,
		.stride	= buffer->stride,
		.offset	= buffer->offset & (sysconf(_SC_PAGESIZE) - 1),
	};
	size_t size = (size_t)buffer->stride * buffer->height;
	const char *refused;

	if (buffer->dispatched)
		return "its events go to a dispatcher";
	if (size < MIN_SIZE)
		return "it is small";
	refused = display_refuses(display, &layout);
	if (refused)
		return refused;
	if ((size_t)buffer->width * format_pixel_size(buffer->fourcc) >
	    (size_t)buffer->stride)
		return "its rows overlap";

	if (trial_shares_sealed(display->trial) && !layout.offset && buffer->sealed)
		return "the compositor makes a dma-buf of it by itself";

	buffer->dmabuf = udmabuf_create(buffer->pool->file, buffer->offset, size);
	if (buffer->dmabuf < 0)
		return strerror(-buffer->dmabuf);
	refused = "the compositor does not import its size";
	if (trial_imports(display->trial, buffer->dmabuf, &layout)) {
		buffer->twin = import(display, buffer->dmabuf, &layout);
		refused = "the connection has broken";
	}
	if (!buffer->twin) {
		close(buffer->dmabuf);
		return refused;
	}
	wl_buffer_add_listener(buffer->twin, &twin_listener, NULL);
	display->buffers++;
	return NULL;
}

static void try_to_make_twin(struct display *display, struct buffer *buffer)
{
	const char *reason = make_twin(display, buffer);
	struct stat st;

	put_pool(buffer->pool);
	buffer->pool = NULL;
	if (reason)
		say("wl_buffer#%u left alone: %s", buffer->id, reason);
	else if (!fstat(buffer->dmabuf, &st))
		say("wl_buffer#%u %dx%d %s stride %d offset %d: dma-buf, inode %lu",
		    buffer->id, buffer->width, buffer->height,
		    fourcc_name(buffer->fourcc).name, buffer->stride, buffer->offset,
		    (unsigned long)st.st_ino);
}

/*
 * What the compositor has let go of since. The program may have no window any more, so
 * this is looked at with each of its requests.
 */
void orphans_reap(struct wl_proxy *proxy)
{
	struct display *display;

	if (!orphans)
		return;
	lock();
	display = display_find(wl_proxy_get_display(proxy));
	if (display)
		wl_display_dispatch_queue_pending(display->wl_display, display->queue);
	unlock();
}

/* What was attached to a surface, and not committed, is not any more. */
static void detach(struct wl_proxy *surface)
{
	struct wl_display *display = wl_proxy_get_display(surface);
	uint32_t id = wl_proxy_get_id(surface);
	struct buffer *buffer, *next;

	wl_list_for_each_safe(buffer, next, &buffers, link) {
		if (buffer->display != display || buffer->surface != id)
			continue;
		buffer->surface = 0;
		if (!buffer->proxy && !buffer->held)
			free_buffer(buffer);
	}
}

struct wl_proxy *buffer_attached(struct wl_proxy *surface, struct wl_proxy *proxy)
{
	struct wl_proxy *attached = proxy;
	struct display *display;
	struct buffer *buffer;

	lock();
	display = display_find(wl_proxy_get_display(surface));
	if (!display)
		goto out;
	detach(surface);
	buffer = proxy ? find_buffer(proxy) : NULL;
	if (buffer && buffer->pool)
		try_to_make_twin(display, buffer);
	if (buffer && buffer->twin) {
		attached = (struct wl_proxy *)buffer->twin;
		wl_proxy_set_queue(attached, wl_proxy_get_queue(buffer->proxy));
		buffer->surface = wl_proxy_get_id(surface);
	}
out:
	unlock();
	return attached;
}

void surface_committed(struct wl_proxy *surface)
{
	struct wl_display *display = wl_proxy_get_display(surface);
	uint32_t id = wl_proxy_get_id(surface);
	struct buffer *buffer;

	lock();
	wl_list_for_each(buffer, &buffers, link) {
		if (buffer->display != display || buffer->surface != id)
			continue;
		buffer->surface = 0;
		buffer->held = true;
		udmabuf_hand_over(buffer->dmabuf);
	}
	unlock();
}

void surface_destroyed(struct wl_proxy *surface)
{
	lock();
	detach(surface);
	unlock();
}

/* The program's own objects do nothing any more when their connection is closed. */
void buffers_close(struct display *display)
{
	struct buffer *buffer, *next_buffer;
	struct pool *pool, *next_pool;

	wl_list_for_each_safe(buffer, next_buffer, &buffers, link)
		if (buffer->display == display->wl_display)
			free_buffer(buffer);
	wl_list_for_each_safe(pool, next_pool, &pools, link)
		if (pool->display == display->wl_display)
			put_pool(pool);
}
