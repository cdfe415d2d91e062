// SPDX-License-Identifier: GPL-2.0
/*
 * The longest that a compositor spends in making a dma-buf of a client's pool, with
 * UDMABUF_FLAGS_NONBLOCK, while the client does what takes long: it makes the pool
 * larger and smaller, adds seals, or takes pages out of it and touches them. The
 * compositor's own time, and how often it has slept in a call.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/udmabuf_ext.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench_helper.h"

#define FRAME	MIB(33)		/* 3840x2160, 4 bytes a pixel, and some more */
#define GROWN	MIB(64)
#define CALLS	200

static atomic_bool stop;
static int memfd;

static void *grow(void *arg)
{
	while (!stop) {
		fallocate(memfd, 0, FRAME, GROWN);
		fallocate(memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FRAME, GROWN);
	}
	return arg;
}

static void *add_seals(void *arg)
{
	while (!stop)
		fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE);
	return arg;
}

static void *punch(void *arg)
{
	volatile char *mem = arg;

	while (!stop) {
		fallocate(memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, MIB(16), MIB(1));
		for (size_t i = MIB(16); i < MIB(17); i += PAGE)
			mem[i] = 1;
	}
	return arg;
}

static void measure(const char *client, int dev)
{
	struct udmabuf_create_item item = { .memfd = memfd, .size = FRAME };
	struct udmabuf_create_ext arg = {
		.flags = UDMABUF_FLAGS_CLOEXEC | UDMABUF_FLAGS_NONBLOCK,
		.count = 1,
		.items = (uintptr_t)&item,
	};
	uint64_t start, took, longest = 0;
	int made = 0, refused = 0, err;
	long slept = 0, before;

	for (int i = 0; i < CALLS; i++) {
		before = sleeps();
		start = thread_time();
		err = ioctl(dev, UDMABUF_CREATE_EXT, &arg) ? errno : 0;
		took = thread_time() - start;
		slept += sleeps() - before;
		if (err && err != EAGAIN && err != EBUSY)
			errx(1, "UDMABUF_CREATE_EXT: %s", strerror(err));
		made += !err;
		refused += !!err;
		if (!err)
			close(arg.fd);
		if (took > longest)
			longest = took;
	}
	result("\"step\": \"hostile\", \"client\": \"%s\", \"size\": %zu, \"made\": %d, "
	       "\"refused\": %d, \"sleeps\": %ld, \"longest_ns\": %llu", client, FRAME,
	       made, refused, slept, (unsigned long long)longest);
}

void bench_hostile(const struct kind *kind)
{
	static const struct {
		const char *name;
		void *(*run)(void *mem);
	} clients[] = {
		{ "idle", NULL }, { "grows", grow }, { "seals", add_seals }, { "punches", punch },
	};
	pthread_t thread;
	int shared;
	void *mem;

	if (strcmp(kind->name, "4k-contiguous"))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		memfd = make_memfd(kind, FRAME + GROWN);
		/* Or else the seal is added for good. */
		shared = create(&drivers[1], memfd, PAGE);
		/* Who has it mapped for writing cannot add the seal. */
		mem = clients[i].run == punch ?
		      mmap(NULL, FRAME, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0) : NULL;
		if (mem == MAP_FAILED)
			err(1, "mmap of a memfd");
		stop = false;
		if (clients[i].run && pthread_create(&thread, NULL, clients[i].run, mem))
			errx(1, "pthread_create");
		measure(clients[i].name, drivers[1].dev);
		stop = true;
		if (clients[i].run)
			pthread_join(thread, NULL);
		if (mem)
			munmap(mem, FRAME);
		close(shared);
		close(memfd);
	}
}
