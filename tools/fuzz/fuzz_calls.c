// SPDX-License-Identifier: MIT
/*
 * The grammar: what can be asked for, of files, of dma-bufs and of who has them. What has
 * to do with mappings is in fuzz_memory.c.
 */
#include <drm/drm.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/falloc.h>
#include <linux/mempinfd.h>
#include <linux/pin_test.h>
#include <linux/udmabuf_ext.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fuzz.h"
#include "fuzz_memory.h"

#define F_SEAL_BITS	0x3f
#define HUGE		(2ul << 20)

/* As most programs seal, so that most dma-bufs can be made */
static long do_memfd(const uint32_t *arg)
{
	unsigned int flags = MFD_ALLOW_SEALING | MFD_CLOEXEC;
	size_t size = size_of(arg[1]);
	int fd;

	if (arg[0] % 5 == 0) {
		flags |= MFD_HUGETLB;
		size = (size + HUGE) & -HUGE;
	}
	fd = memfd_create("fuzz", flags);
	if (fd >= 0)
		ftruncate(fd, size);
	return new_fd(MEMFD, fd);
}

static long do_file(const uint32_t *arg)
{
	static const char *const paths[] = { "/dev/shm", "/tmp", "/dev/null", "/dev/zero" };
	const char *path = paths[arg[0] % ARRAY_SIZE(paths)];
	int fd = arg[0] % ARRAY_SIZE(paths) < 2 ? open(path, O_TMPFILE | O_RDWR, 0600) :
						  open(path, O_RDWR);

	if (fd >= 0)
		ftruncate(fd, size_of(arg[1]));
	return new_fd(OTHER, fd);
}

static long do_device(const uint32_t *arg)
{
	static const enum kind kinds[] = { DEVICE, DEVICE, MEMPINFD, VGEM, PIN_TEST };

	return open_device(kinds[arg[0] % ARRAY_SIZE(kinds)], arg[1] % 8 ? O_RDWR : O_RDONLY);
}

static long do_truncate(const uint32_t *arg)
{
	return ftruncate(pick_fd(MEMFD, arg[0]), size_of(arg[1]));
}

static long do_fallocate(const uint32_t *arg)
{
	static const int modes[] = {
		0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
		FALLOC_FL_COLLAPSE_RANGE,
	};

	return fallocate(pick_fd(MEMFD, arg[0]), modes[arg[1] % ARRAY_SIZE(modes)],
			 size_of(arg[2]), size_of(arg[3]));
}

static long do_seal(const uint32_t *arg)
{
	static const unsigned int seals[] = {
		F_SEAL_SHRINK, F_SEAL_SHRINK, F_SEAL_SHRINK, F_SEAL_SHRINK | F_SEAL_GROW,
		F_SEAL_SHRINK | F_SEAL_SEAL, F_SEAL_WRITE, 0x10 /* F_SEAL_FUTURE_WRITE */,
	};
	unsigned int chosen = arg[1] % 16 ? seals[arg[1] % ARRAY_SIZE(seals)] :
		arg[1] >> 8 & F_SEAL_BITS;

	return fcntl(pick_fd(MEMFD, arg[0]), F_ADD_SEALS, chosen);
}

static long do_write(const uint32_t *arg)
{
	static char data[64 << 10];
	int fd = pick_fd(MEMFD, arg[0]);
	size_t size = size_of(arg[2]);

	return pwrite(fd, data, size < sizeof(data) ? size : sizeof(data), size_of(arg[1]));
}

static long do_read(const uint32_t *arg)
{
	static char data[LANES][8 << 10];

	return pread(pick_fd(arg[0] % 4 ? MEMFD : DMABUF, arg[0]), data[arg[1] % LANES],
		     sizeof(data[0]), size_of(arg[1]));
}

/* The same file, opened once more: for reading, most of the time */
static long do_reopen(const uint32_t *arg)
{
	int slot = pick_slot(arg[0] % 4 ? MEMFD : DMABUF, arg[0]);
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", slot_fd(slot));
	return new_fd(arg[0] % 4 ? MEMFD : OTHER,
		      open(path, (arg[1] % 3 ? O_RDONLY : O_RDWR) | O_CLOEXEC));
}

static long do_dup(const uint32_t *arg)
{
	enum kind kind = arg[1] % 2 ? DMABUF : MEMFD;

	return new_fd(kind, dup(pick_fd(kind, arg[0])));
}

static long do_close(const uint32_t *arg)
{
	static const enum kind kinds[] = { DMABUF, DMABUF, MEMFD, FENCE, NONE };

	return drop_fd(pick_slot(kinds[arg[1] % ARRAY_SIZE(kinds)], arg[0]));
}

/* Through a socket, closed at the sender before it is received, or never received */
static long do_send(const uint32_t *arg)
{
	enum kind kind = arg[1] % 4 ? DMABUF : NONE;
	int fd = pick_fd(kind, arg[0]), sockets[2];
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = {};
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	long ret;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets))
		return -1;
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	ret = sendmsg(sockets[0], &msg, 0);
	close(sockets[0]);
	if (ret > 0 && arg[1] >> 8 & 1) {
		ret = recvmsg(sockets[1], &msg, MSG_CMSG_CLOEXEC);
		cmsg = CMSG_FIRSTHDR(&msg);
		if (ret > 0 && cmsg) {
			memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
			new_fd(kind, fd);
		}
	}
	close(sockets[1]);
	return ret;
}

static long do_create(const uint32_t *arg)
{
	struct udmabuf_create create = {
		.memfd = pick_fd(MEMFD, arg[0]),
		.flags = arg[1] % 16 ? UDMABUF_FLAGS_CLOEXEC : arg[1] >> 8,
		.offset = arg[2] % 3 ? 0 : size_of(arg[2] >> 2),
		.size = size_of(arg[3]),
	};
	struct stat st;

	if (arg[3] % 2 && !fstat(create.memfd, &st))
		create.size = st.st_size - create.offset;
	return new_fd(DMABUF, ioctl(pick_fd(DEVICE, arg[1]), UDMABUF_CREATE, &create));
}

static unsigned int fill_items(struct udmabuf_create_item *items, unsigned int most,
			       const uint32_t *arg)
{
	unsigned int nr = arg[2] % 8 ? arg[2] % 8 : arg[2] >> 8 & 0xff;

	if (nr > most)
		nr = most;
	for (unsigned int i = 0; i < nr; i++) {
		struct udmabuf_create_item *item = &items[i];
		struct stat st;

		item->memfd = pick_fd(MEMFD, arg[0] * (i + 1));
		item->offset = (arg[1] >> i % 32) % 4 * PAGE;
		item->size = size_of(arg[3] >> i % 4);
		/* One that is too long spoils the list. */
		if (arg[3] % 8 && !fstat(item->memfd, &st))
			item->size = (st.st_size - item->offset) >> i % 3 & -PAGE;
	}
	return nr;
}

static long do_create_list(const uint32_t *arg)
{
	struct {
		struct udmabuf_create_list head;
		struct udmabuf_create_item items[64];
	} list = { .head.flags = arg[0] % 16 ? UDMABUF_FLAGS_CLOEXEC : arg[0] >> 8 };

	list.head.count = fill_items(list.items, ARRAY_SIZE(list.items), arg);
	if (arg[2] % 64 == 63)
		list.head.count = arg[2] >> 3;
	return new_fd(DMABUF, ioctl(pick_fd(DEVICE, arg[1]), UDMABUF_CREATE_LIST, &list));
}

static long do_create_ext(const uint32_t *arg)
{
	struct udmabuf_create_item items[64] = {};
	struct udmabuf_create_ext ext = {
		.flags = arg[0] >> 4 & 0xf,
		.items = (uintptr_t)items,
	};
	long ret;

	ext.count = fill_items(items, ARRAY_SIZE(items), arg);
	if (arg[1] % 32 == 0)
		ext.items = (uintptr_t)pick_map(arg[0])->addr + 4096 - 24;
	ext.reserved = arg[1] % 64 == 1;
	ret = ioctl(pick_fd(DEVICE, arg[1]), UDMABUF_CREATE_EXT, &ext);
	return ret < 0 ? ret : new_fd(DMABUF, ext.fd);
}

static long do_info(const uint32_t *arg)
{
	struct udmabuf_info info;

	return ioctl(pick_fd(DEVICE, arg[0]), UDMABUF_GET_INFO,
		     arg[1] % 16 ? &info : pick_map(arg[1])->addr);
}

static long do_sync(const uint32_t *arg)
{
	struct dma_buf_sync sync = { .flags = arg[1] % 16 ? arg[1] >> 4 & 7 : arg[1] };

	return ioctl(pick_fd(DMABUF, arg[0]), DMA_BUF_IOCTL_SYNC, &sync);
}

static long do_poll(const uint32_t *arg)
{
	struct pollfd fds = {
		.fd = pick_fd(DMABUF, arg[0]), .events = arg[1] % 2 ? POLLIN : POLLOUT,
	};

	return poll(&fds, 1, 0);
}

static long do_fence(const uint32_t *arg)
{
	struct dma_buf_export_sync_file file = { .flags = 1 + arg[1] % 3 };
	struct dma_buf_import_sync_file import = {
		.flags = 1 + arg[1] % 3, .fd = pick_fd(FENCE, arg[1]),
	};
	long ret;

	if (arg[1] >> 8 & 1)
		return ioctl(pick_fd(DMABUF, arg[0]), DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &import);
	ret = ioctl(pick_fd(DMABUF, arg[0]), DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &file);
	return ret < 0 ? ret : new_fd(FENCE, file.fd);
}

static long do_name(const uint32_t *arg)
{
	static const char *const names[] = { "a", "fuzz", "a name that is longer than 32 letters" };

	return ioctl(pick_fd(DMABUF, arg[0]), DMA_BUF_SET_NAME,
		     names[arg[1] % ARRAY_SIZE(names)]);
}

/* As a GEM object of another driver, which may be the only one that is left */
static long do_import(const uint32_t *arg)
{
	struct drm_prime_handle prime = { .fd = pick_fd(DMABUF, arg[0]) };
	struct drm_gem_close gem = {};
	int vgem = pick_fd(VGEM, arg[1]);

	if (ioctl(vgem, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime))
		return -1;
	if (arg[2] % 4 == 0) {
		prime.flags = DRM_CLOEXEC | DRM_RDWR;
		if (!ioctl(vgem, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime))
			new_fd(DMABUF, prime.fd);
	}
	gem.handle = prime.handle;
	return arg[2] % 3 ? 0 : ioctl(vgem, DRM_IOCTL_GEM_CLOSE, &gem);
}

static long do_attach(const uint32_t *arg)
{
	struct pin_test_attach attach = {
		.fd = pick_fd(DMABUF, arg[0]),
		.max_seg_size = arg[2] % 4 ? 64 << 20 : size_of(arg[2] >> 2),
		.flags = arg[1] % 16 == 0,
	};

	return ioctl(pick_fd(PIN_TEST, arg[1]), PIN_TEST_ATTACH, &attach);
}

static long do_device_io(const uint32_t *arg)
{
	struct pin_test_dma dma = {
		.offset = arg[1] % 2 ? 0 : size_of(arg[1] >> 1),
		.size = size_of(arg[2]),
		.data = (uintptr_t)pick_map(arg[3])->addr,
		.flags = arg[3] >> 8 & 1,
	};
	uint64_t ns;

	switch (arg[3] >> 16 & 3) {
	case 0:
		return ioctl(pick_fd(PIN_TEST, arg[0]), PIN_TEST_DETACH, &ns);
	case 1:
		return ioctl(pick_fd(PIN_TEST, arg[0]), PIN_TEST_DMA_WRITE, &dma);
	default:
		dma.flags = 0;
		return ioctl(pick_fd(PIN_TEST, arg[0]), PIN_TEST_DMA_READ, &dma);
	}
}

/* What root can read of all of them while they come and go; of addresses, only one page's */
static long do_look(const uint32_t *arg)
{
	static const char *const paths[] = {
		"/sys/kernel/debug/udmabuf/buffers", "/sys/kernel/debug/memfd_pin/owners",
		"/sys/kernel/debug/dma_buf/bufinfo", "/proc/self/smaps",
	};
	int fd = open(paths[arg[0] % ARRAY_SIZE(paths)], O_RDONLY | O_CLOEXEC);
	char data[4096];
	long ret;

	if (fd < 0)
		return fd;
	while ((ret = read(fd, data, sizeof(data))) == (long)sizeof(data) && arg[1] % 4)
		;
	close(fd);
	return ret;
}

/*
 * From now on this thread is one of two strangers, with what has been opened before. Only
 * root may say that nothing fails any more, and to change the user lets the parent die alone.
 */
static long do_user(const uint32_t *arg)
{
	unsigned int user = 1000 + arg[0] % 2;
	long ret;

	fail_nth(0);
	ret = syscall(SYS_setresuid, user, user, -1);
	end_with_parent(worker);
	return ret;
}

static long do_fail(const uint32_t *arg)
{
	return fail_nth(1 + arg[0] % (arg[0] % 2 ? 8 : 64));
}

/* Whoever is in the middle of something is ended. */
static long do_end(const uint32_t *arg)
{
	return arg[0] % 2 ? kill(getpid(), SIGKILL) : 0;
}

const struct call_type call_types[] = {
	{ "memfd", 12, 2, do_memfd },
	{ "file", 2, 2, do_file },
	{ "device", 3, 2, do_device },
	{ "truncate", 4, 2, do_truncate },
	{ "fallocate", 10, 4, do_fallocate },
	{ "seal", 12, 2, do_seal },
	{ "write", 6, 3, do_write },
	{ "read", 3, 2, do_read },
	{ "reopen", 4, 2, do_reopen },
	{ "dup", 3, 2, do_dup },
	{ "close", 8, 2, do_close },
	{ "send", 4, 2, do_send },
	{ "create", 24, 4, do_create },
	{ "create_list", 10, 4, do_create_list },
	{ "create_ext", 16, 4, do_create_ext },
	{ "info", 2, 2, do_info },
	{ "sync", 14, 2, do_sync },
	{ "poll", 2, 2, do_poll },
	{ "fence", 5, 2, do_fence },
	{ "name", 2, 2, do_name },
	{ "import", 6, 3, do_import },
	{ "attach", 10, 3, do_attach },
	{ "device_io", 10, 4, do_device_io },
	{ "look", 3, 2, do_look },
	{ "user", 2, 1, do_user },
	{ "fail", 6, 1, do_fail },
	{ "end", 1, 1, do_end },
	{ "mmap", 20, 4, do_mmap },
	{ "munmap", 5, 3, do_munmap },
	{ "mremap", 5, 4, do_mremap },
	{ "mprotect", 4, 3, do_mprotect },
	{ "madvise", 14, 3, do_madvise },
	{ "touch", 20, 3, do_touch },
	{ "fork", 3, 3, do_fork },
	{ "pin", 12, 3, do_pin },
	{ "unpin", 6, 2, do_unpin },
	{ "lock", 3, 2, do_lock },
	{ "vm_read", 3, 2, do_vm_read },
	{ "stall", 2, 1, do_stall },
};

const size_t call_types_nr = ARRAY_SIZE(call_types);
