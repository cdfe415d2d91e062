// SPDX-License-Identifier: MIT
/*
 * The part of the grammar that has to do with mappings: of memfds, of dma-bufs, and without
 * a file.
 */
#include <fcntl.h>
#include <linux/mempinfd.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fuzz.h"
#include "fuzz_memory.h"

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* A part of a mapping: all of it, most of the time */
static struct iovec part_of(const struct mapping *map, uint32_t from, uint32_t size)
{
	size_t begin = from % 2 ? 0 : least(size_of(from >> 1), map->size) & -PAGE;

	return (struct iovec){
		(char *)map->addr + begin,
		size % 2 ? map->size - begin : least(size_of(size >> 1), map->size - begin),
	};
}

long do_mmap(const uint32_t *arg)
{
	static const enum kind kinds[] = { DMABUF, DMABUF, DMABUF, MEMFD, MEMFD, NONE };
	enum kind kind = kinds[arg[0] % ARRAY_SIZE(kinds)];
	struct mapping *map = pick_place(arg[1]);
	/*
	 * Linux (6.12 and 7.3) forgets what a private mapping of huge pages has reserved
	 * beside a part that mremap() moves.
	 */
	int flags = MAP_FIXED | (arg[2] % 16 ? MAP_SHARED : MAP_PRIVATE | MAP_NORESERVE);
	int fd = -1, prot;
	size_t size = size_of(arg[3]), offset = arg[2] >> 4 & 1 ? size_of(arg[2] >> 8) : 0;
	struct stat st;

	if (kind == NONE) {
		flags = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS;
	} else {
		fd = pick_fd(kind, arg[0] >> 8);
		if (arg[3] % 2 && !fstat(fd, &st))
			size = st.st_size - offset;
	}
	if (arg[1] >> 8 & 1)
		flags |= MAP_POPULATE;
	prot = arg[1] >> 9 & 3 ? PROT_READ | PROT_WRITE : PROT_READ;
	if (mmap(map->addr, size % PLACE_SIZE, prot, flags, fd, offset) == MAP_FAILED)
		return -1;
	map->size = size % PLACE_SIZE;
	return 0;
}

long do_munmap(const uint32_t *arg)
{
	struct iovec part = part_of(pick_map(arg[0]), arg[1], arg[2]);

	return munmap(part.iov_base, part.iov_len);
}

long do_mremap(const uint32_t *arg)
{
	struct mapping *map = pick_map(arg[0]), *to = pick_place(arg[1]);
	struct iovec part = part_of(map, arg[2], arg[3]);
	size_t size = arg[1] >> 8 & 1 ? part.iov_len : size_of(arg[1] >> 9) % PLACE_SIZE;

	if (map == to)
		return -1;
	if (mremap(part.iov_base, part.iov_len, size, MREMAP_MAYMOVE | MREMAP_FIXED,
		   to->addr) == MAP_FAILED)
		return -1;
	to->size = size;
	return 0;
}

long do_mprotect(const uint32_t *arg)
{
	static const int prots[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE };
	struct iovec part = part_of(pick_map(arg[0]), arg[1], arg[2]);

	return mprotect(part.iov_base, part.iov_len, prots[arg[0] >> 8 & 1 ? 2 : arg[1] % 3]);
}

long do_madvise(const uint32_t *arg)
{
	static const int advices[] = {
		MADV_DONTNEED, MADV_REMOVE, MADV_DONTFORK, MADV_DOFORK, MADV_HUGEPAGE,
		MADV_NOHUGEPAGE, MADV_COLD, MADV_PAGEOUT, 22 /* MADV_POPULATE_READ */,
		23 /* MADV_POPULATE_WRITE */, 25 /* MADV_COLLAPSE */, MADV_WILLNEED, MADV_FREE,
		MADV_MERGEABLE, MADV_HUGEPAGE, MADV_PAGEOUT, 25,
	};
	struct iovec part = part_of(pick_map(arg[0]), arg[1], arg[2]);

	return madvise(part.iov_base, part.iov_len,
		       advices[(arg[0] >> 8) % ARRAY_SIZE(advices)]);
}

static long touch_pages(const uint32_t *arg)
{
	struct iovec part = part_of(pick_map(arg[0]), arg[1], arg[2]);
	size_t step = arg[2] >> 8 & 3 ? PAGE : 64 * PAGE;
	long there = 0;

	for (size_t at = 0; at < part.iov_len; at += step)
		there += touch((char *)part.iov_base + at, arg[1] >> 16 & 1);
	return there ? there : -1;
}

long do_touch(const uint32_t *arg)
{
	return touch_pages(arg);
}

/* A child has all that the parent has, for as long as it lives. */
long do_fork(const uint32_t *arg)
{
	pid_t parent = getpid(), pid;

	/* The kernel tells of a stack that it cannot allocate. */
	fail_nth(0);
	pid = fork();
	if (pid)
		return pid;
	end_with_parent(parent);
	touch_pages(arg);
	if (arg[0] >> 8 & 1)
		pause();
	_exit(0);
}

/* What has been pinned, by whichever thread, is what can be unpinned. */
static struct mempinfd_range pinned[4];

static long pin_call(unsigned long call, uint32_t fd, struct mempinfd_range *range)
{
	return ioctl(pick_fd(MEMPINFD, fd), call, range);
}

long do_pin(const uint32_t *arg)
{
	struct iovec part = part_of(pick_map(arg[0]), arg[1], arg[2]);
	struct mempinfd_range range = { (uintptr_t)part.iov_base, part.iov_len };
	long ret = pin_call(MEMPINFD_PIN, arg[0] >> 8, &range);

	if (ret >= 0)
		pinned[arg[0] % ARRAY_SIZE(pinned)] = range;
	return ret;
}

long do_unpin(const uint32_t *arg)
{
	struct mempinfd_range range = pinned[arg[1] % ARRAY_SIZE(pinned)];

	for (size_t i = 0; !range.size && i < ARRAY_SIZE(pinned); i++)
		range = pinned[i];
	if ((arg[1] >> 8) % 8 == 0)
		range.addr += PAGE;
	return pin_call(MEMPINFD_UNPIN, arg[0], &range);
}

long do_lock(const uint32_t *arg)
{
	struct mapping *map = pick_map(arg[0]);

	return arg[1] % 2 ? mlock(map->addr, map->size) : munlock(map->addr, map->size);
}

/* The kernel looks at the pages itself, as it does for direct I/O. */
long do_vm_read(const uint32_t *arg)
{
	static char data[4 * PAGE];
	struct iovec local = { data, sizeof(data) }, remote = { pick_map(arg[0])->addr,
								sizeof(data) };

	if (arg[1] % 2)
		return process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
	return process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
}

/* Nobody ever brings the pages that are missing: who waits for them goes on when the
 * descriptor is closed, or is ended.
 */
long do_stall(const uint32_t *arg)
{
	struct mapping *map = pick_map(arg[0]);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { (uintptr_t)map->addr, map->size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return fd;
	if (ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &range)) {
		close(fd);
		return -1;
	}
	return new_fd(OTHER, fd);
}
