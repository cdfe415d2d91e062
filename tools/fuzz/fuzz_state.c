// SPDX-License-Identifier: MIT
/*
 * What a program has got hold of: descriptors by kind, and mappings, each with a place of
 * its own in an area where nothing else is ever mapped; and what may go wrong on the way.
 */
#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "fuzz.h"

#define SLOTS		24
#define MAPS		8

static struct {
	atomic_int fd;
	atomic_int kind;
} slots[SLOTS];
static atomic_uint next_slot;
static struct mapping maps[MAPS];

static __thread sigjmp_buf fault;
static __thread volatile sig_atomic_t may_fault;

void state_init(void)
{
	char *area;

	for (size_t i = 0; i < SLOTS; i++)
		slots[i].fd = -1;
	/* Aligned, so that a huge page may be mapped at the beginning of each place. */
	area = mmap(NULL, (MAPS + 1) * PLACE_SIZE, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	area = (char *)(((uintptr_t)area + PLACE_SIZE - 1) & -PLACE_SIZE);
	for (size_t i = 0; i < MAPS; i++)
		maps[i] = (struct mapping){ area + i * PLACE_SIZE, 0 };
}

int new_fd(enum kind kind, int fd)
{
	unsigned int slot = next_slot++ % SLOTS;
	int old;

	if (fd < 0)
		return fd;
	slots[slot].kind = kind;
	old = atomic_exchange(&slots[slot].fd, fd);
	if (old >= 0)
		close(old);
	return fd;
}

/* The card that is vgem's: others may be there, and take the numbers before. */
static int open_vgem(int flags)
{
	char path[32];
	glob_t found;
	int fd = -1;

	if (!glob("/sys/devices/*/vgem/drm/card*", 0, NULL, &found)) {
		snprintf(path, sizeof(path), "/dev/dri/%s", strrchr(found.gl_pathv[0], '/') + 1);
		fd = open(path, flags);
	}
	globfree(&found);
	return fd;
}

/* @flags: as of open(2) */
int open_device(enum kind kind, int flags)
{
	static const char *const paths[] = {
		[DEVICE] = "/dev/udmabuf",
		[MEMPINFD] = "/dev/mempinfd",
		[PIN_TEST] = "/dev/pin_test",
	};

	flags |= O_CLOEXEC;
	return new_fd(kind, kind == VGEM ? open_vgem(flags) : open(paths[kind], flags));
}

/* One of this kind, if there is one; now and then, any. */
int pick_slot(enum kind kind, uint32_t arg)
{
	unsigned int first = arg % SLOTS;

	if (kind == NONE || (arg >> 8) % 16 == 0)
		return first;
	for (unsigned int i = 0; i < SLOTS; i++) {
		unsigned int slot = (first + i) % SLOTS;

		if (slots[slot].kind == (int)kind && slots[slot].fd >= 0)
			return slot;
	}
	return first;
}

int slot_fd(int slot)
{
	return slots[slot].fd;
}

int pick_fd(enum kind kind, uint32_t arg)
{
	return slot_fd(pick_slot(kind, arg));
}

int drop_fd(int slot)
{
	int fd = atomic_exchange(&slots[slot].fd, -1);

	return fd >= 0 ? close(fd) : fd;
}

/* One that is mapped, if there is one */
struct mapping *pick_map(uint32_t arg)
{
	for (unsigned int i = 0; i < MAPS; i++) {
		struct mapping *map = &maps[(arg + i) % MAPS];

		if (map->size)
			return map;
	}
	return &maps[arg % MAPS];
}

/* One to be mapped anew */
struct mapping *pick_place(uint32_t arg)
{
	return &maps[arg % MAPS];
}

size_t size_of(uint32_t arg)
{
	static const unsigned int nr[] = {
		1, 2, 3, 4, 1, 8, 15, 16, 17, 2, 31, 64, 100, 256, 512, 513, 1024, 0,
	};
	static const int odd[] = { 1, -1, 2048, 8 };
	size_t size = nr[arg % ARRAY_SIZE(nr)] * PAGE;

	if ((arg >> 8) % 16 == 0)
		size += odd[(arg >> 16) % ARRAY_SIZE(odd)];
	if ((arg >> 8) % 256 == 1)
		size = -size;
	return size;
}

static void on_fault(int sig)
{
	if (may_fault)
		siglongjmp(fault, 1);
	_exit(sig);
}

void touch_init(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS };
	struct sigaction action = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, NULL);
}

/* False if the memory is not there */
bool touch(volatile char *addr, bool write)
{
	bool there = false;

	if (!sigsetjmp(fault, 0)) {
		may_fault = 1;
		if (write)
			*addr = 1;
		else
			(void)*addr;
		there = true;
	}
	may_fault = 0;
	return there;
}

/* That allocation of this thread from now on fails, where the kernel can do that; 0: none */
long fail_nth(unsigned int nth)
{
	int fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	char line[16];
	long ret;

	if (fd < 0)
		return fd;
	snprintf(line, sizeof(line), "%u", nth);
	ret = write(fd, line, strlen(line));
	close(fd);
	return ret;
}

/* The process that runs programs, each in a child */
pid_t worker;

/* Whoever changes its user, or is a child of that, has to say so again. */
void end_with_parent(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* It may have ended before. */
	if (getppid() != parent)
		_exit(0);
}
