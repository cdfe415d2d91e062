// SPDX-License-Identifier: MIT
/*
 * Processes that end, or are killed, while they pin a lot of memory: they are gone
 * soon, and nothing stays pinned.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "igt.h"
#include "memfd_pin.h"
#include "phys_helper.h"
#include "udmabuf_helper.h"

/* A dma-buf of one file several times over, so that it can be larger than memory. */
struct job {
	int dev, memfd;
	size_t size;
	uint32_t count;
	int exit_fd;	/* not 0: a thread pins, and the process ends at a byte there */
};

/* Returns as __create_list(). */
static int pin_all(const struct job *job)
{
	struct udmabuf_create_item *items = calloc(job->count, sizeof(*items));

	if (!items)
		return -ENOMEM;
	for (uint32_t i = 0; i < job->count; i++) {
		items[i].memfd = job->memfd;
		items[i].size = job->size;
	}
	return __create_list(job->dev, job->count, items, 0);
}

static void *pin_thread(void *arg)
{
	pin_all(arg);
	return NULL;
}

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void sleep_until(int64_t when)
{
	struct timespec time = { when / 1000000000, when % 1000000000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL))
		;
}

static pid_t start_job(struct job *job)
{
	pthread_t thread;
	char byte;
	pid_t pid = fork();
	int err;

	igt_assert(pid >= 0);
	if (pid)
		return pid;
	if (job->exit_fd) {
		pthread_create(&thread, NULL, pin_thread, job);
		_exit(read(job->exit_fd, &byte, 1) != 1);
	}
	err = pin_all(job);
	if (err < 0)
		_exit(-err);
	pause();
	_exit(0);
}

static void end_job(const struct job *job, pid_t pid)
{
	int status;

	igt_assert_eq(kill(pid, SIGKILL), 0);
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	igt_assert_f(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
		     "status %#x of %u\n", status, job->count);
}

static void wait_for_pins(pid_t pid, int64_t total)
{
	int status = 0;

	while (vmstat("nr_foll_pin_acquired") < total)
		igt_assert_f(waitpid(pid, &status, WNOHANG) == 0,
			     "it ended with status %#x\n", status);
}

/* Returns how many pins were taken when the killed process is gone. */
static int64_t kill_after(struct job *job, int64_t pins)
{
	int64_t start = vmstat("nr_foll_pin_acquired");
	pid_t pid = start_job(job);

	wait_for_pins(pid, start + pins);
	end_job(job, pid);
	return vmstat("nr_foll_pin_acquired") - start;
}

#define REPEATS		256
#define FILE_SIZE	MIB(64)
#define TRIES		100	/* until one was killed before it was done */

/* The file's pages are there, so that all the time goes into pinning them. */
static void set_up(struct job *job, int dev, enum backing backing, size_t size,
		   uint32_t count)
{
	require_pinnable(backing);
	*job = (struct job) { .dev = dev, .size = size, .count = count };
	set_module_attribute(dev, "parameters/size_limit_mb",
			     (size >> 20) * count);
	job->memfd = sealed_memfd(backing, size);
	igt_assert_f(!fallocate(job->memfd, 0, 0, size), "%s\n",
		     strerror(errno));
}

/* 16 GiB, of which little is pinned before the kill. */
static void check_kill(int dev, enum backing backing)
{
	size_t folio = folio_size(backing);
	int64_t each = FILE_SIZE / folio, before, done;
	bool early = false;
	struct job job;

	set_up(&job, dev, backing, FILE_SIZE, backing == SHMEM ? REPEATS : 1024);
	before = pins_held();
	for (int i = 0; i < 4 || (i < TRIES && !early); i++) {
		done = kill_after(&job, (1 + i % 4) * each / 2);
		igt_assert_eq_s64(pins_held(), before);
		igt_info("%lld of %lld pins were taken\n", (long long)done,
			 (long long)each * job.count);
		early = early || done < each * job.count;
	}
	igt_assert(early);
	close(job.memfd);
}

static void test_kill_shmem(int dev)
{
	check_kill(dev, SHMEM);
}

static void test_kill_hugetlb(int dev)
{
	check_kill(dev, HUGE_2M);
}

/* What is killed while it moves folios lets go of them. */
static void test_kill_movable(int dev)
{
	int64_t before = pins_held();
	struct job job = { .dev = dev, .size = FILE_SIZE, .count = 1 };

	for (int i = 1; i <= 8; i++) {
		size_t count = FILE_SIZE / page_size();
		char *mem;

		job.memfd = sealed_memfd(SHMEM, FILE_SIZE);
		mem = map_fd(job.memfd, FILE_SIZE);
		/* To look where all of them are takes a slow kernel minutes. */
		fill_movable_pages(mem, count / 32);
		fill(mem, 0, count, 1);
		kill_after(&job, count / 10 * i);
		igt_assert_eq_s64(pins_held(), before);
		igt_assert_eq(count_filled(mem, 0, count, 1), count);
		unmap(mem, FILE_SIZE);
		close(job.memfd);
	}
}

/* The process ends while one of its threads pins. */
static void test_exit(int dev)
{
	int64_t each = FILE_SIZE / page_size(), before, start;
	struct job job;
	int end[2];

	set_up(&job, dev, SHMEM, FILE_SIZE, REPEATS);
	igt_assert_eq(pipe(end), 0);
	job.exit_fd = end[0];
	before = pins_held();
	for (int i = 0; i < 3; i++) {
		int status;
		pid_t pid;

		start = vmstat("nr_foll_pin_acquired");
		pid = start_job(&job);
		wait_for_pins(pid, start + each);
		igt_assert_eq(write(end[1], "", 1), 1);
		igt_assert_eq(waitpid(pid, &status, 0), pid);
		igt_assert_eq(status, 0);
		igt_assert_eq_s64(pins_held(), before);
		igt_assert(vmstat("nr_foll_pin_acquired") - start <
			   each * REPEATS);
	}
	close(end[0]);
	close(end[1]);
	close(job.memfd);
}

/*
 * Print how long it takes from the signal until the process is gone, when a tenth,
 * a half and nearly all of 4 GiB is pinned. What is good enough is for those to say
 * who know what else the machine does: see tools/bench/kill.
 */
static void time_kill(int dev, const char *name, enum backing backing,
		      size_t size)
{
	static const int percents[] = { 10, 50, 90 };
	uint32_t count = GIB(4) / size;
	struct udmabuf_create_item *items;
	int64_t took, start;
	struct job job;
	int dmabuf;

	set_up(&job, dev, backing, size, count);
	items = calloc(count, sizeof(*items));
	igt_assert(items);
	for (uint32_t i = 0; i < count; i++) {
		items[i].memfd = job.memfd;
		items[i].size = size;
	}
	/* The first time it zeroes the pages. */
	for (int i = 0; i < 2; i++) {
		start = now();
		dmabuf = create_list(dev, count, items);
		took = now() - start;
		close(dmabuf);
	}
	free(items);

	for (size_t i = 0; i < ARRAY_SIZE(percents); i++) {
		pid_t pid = start_job(&job);

		sleep_until(now() + took * percents[i] / 100);
		start = now();
		end_job(&job, pid);
		igt_info("%s: 4 GiB pinned in %.1f ms, killed after %d %%: "
			 "gone in %.3f ms\n", name, took / 1e6, percents[i],
			 (now() - start) / 1e6);
	}
	close(job.memfd);
}

static void test_time_small(int dev)
{
	time_kill(dev, "small folios", SHMEM, FILE_SIZE);
}

static void test_time_distinct(int dev)
{
	igt_require_f(free_memory() > (int64_t)GIB(5),
		      "needs 5 GiB of free memory\n");
	time_kill(dev, "4 GiB of small folios", SHMEM, GIB(4));
}

static void test_time_hugetlb(int dev)
{
	time_kill(dev, "2 MiB folios", HUGE_2M, FILE_SIZE);
}

void memfd_pin_kill_subtests(int dev)
{
	igt_describe("SIGKILL at several points leaves nothing pinned, with small pages; and most "
		     "of them were never pinned");
	igt_subtest("kill-shmem")
		udmabuf_test(test_kill_shmem, dev);
	igt_describe("SIGKILL at several points leaves nothing pinned, with 2 MiB hugetlb pages");
	igt_subtest("kill-hugetlb")
		udmabuf_test(test_kill_hugetlb, dev);
	igt_describe("SIGKILL at several points leaves nothing pinned, with small pages that have "
		     "to be moved");
	igt_subtest("kill-movable")
		udmabuf_test(test_kill_movable, dev);
	igt_describe("exit() of a process of which one thread pins");
	igt_subtest("exit-while-pinning")
		udmabuf_test(test_exit, dev);
	igt_describe("Prints how long a process that pins 4 GiB lives on after SIGKILL, with 64 "
		     "MiB of small pages many times over");
	igt_subtest("kill-time-small")
		udmabuf_test(test_time_small, dev);
	igt_describe("Prints how long a process that pins 4 GiB lives on after SIGKILL, with 4 "
		     "GiB of small pages");
	igt_subtest("kill-time-distinct")
		udmabuf_test(test_time_distinct, dev);
	igt_describe("Prints how long a process that pins 4 GiB lives on after SIGKILL, with 64 "
		     "MiB of 2 MiB hugetlb pages many times over");
	igt_subtest("kill-time-hugetlb")
		udmabuf_test(test_time_hugetlb, dev);
}
