// SPDX-License-Identifier: MIT
/*
 * Compositors that make dma-bufs of wl_shm buffers by themselves, as KWin does since 6.7
 * of pools that are sealed against shrinking, when a buffer is made. Nothing tells the
 * client; but the driver tells what its user has pinned, and that is more when there is
 * such a buffer, by just its size, and less again when it is gone. Where others pin at
 * the same moment, or the compositor is another user's, it is not seen: then the pages
 * are shared twice, which costs a charge and no copy.
 */

#define _GNU_SOURCE		/* memfd_create, F_GET_SEALS */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shm-zerocopy.h"

#define PAGES 61		/* of the buffer that is tried; what nobody else pins */

bool is_sealed(int file)
{
	int seals = fcntl(file, F_GET_SEALS);

	return seals >= 0 && seals & F_SEAL_SHRINK &&
	       !(seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE));
}

static int sealed_file(size_t size)
{
	int file = memfd_create("wl-zerocopy", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (file >= 0 && (ftruncate(file, size) || fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK))) {
		close(file);
		return -1;
	}
	return file;
}

bool shares_sealed(struct wl_display *display, struct wl_shm *shm)
{
	const int page = sysconf(_SC_PAGESIZE);
	const size_t size = PAGES * page;
	uint64_t before, with, after;
	struct wl_shm_pool *pool;
	struct wl_buffer *buffer;
	int file = sealed_file(size);

	if (file < 0)
		return false;
	before = udmabuf_pinned();
	pool = wl_shm_create_pool(shm, file, size);
	buffer = wl_shm_pool_create_buffer(pool, 0, page / 4, PAGES, page,
					   WL_SHM_FORMAT_XRGB8888);
	wl_display_roundtrip(display);
	with = udmabuf_pinned();
	wl_buffer_destroy(buffer);
	wl_shm_pool_destroy(pool);
	wl_display_roundtrip(display);
	after = udmabuf_pinned();
	close(file);
	return with - before == size && with - after == size;
}
