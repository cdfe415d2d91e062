// SPDX-License-Identifier: MIT
/*
 * Programs write to a dma-buf, and end that, or die before they do.
 */
#include <drm/vgem_drm.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup_helper.h"
#include "dma_helper.h"
#include "igt.h"
#include "process_helper.h"
#include "udmabuf_sync.h"

#define BEGIN	(DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW)
#define END	(DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW)

static void test_partial(int dev)
{
	static const uint64_t flags[] = { DMA_BUF_SYNC_WRITE, DMA_BUF_SYNC_RW };
	struct buffer buffer = new_buffer(dev);
	int device = new_device(buffer.dmabuf, PIN_TEST_BIDIRECTIONAL);

	for (unsigned int i = 0; i < ARRAY_SIZE(flags); i++) {
		device_fill(device, 0, NPAGES, 2 + i, false);
		sync_cpu(buffer.dmabuf, DMA_BUF_SYNC_START | flags[i]);
		fill(buffer.mem, 0, 1, 10);
		sync_cpu(buffer.dmabuf, DMA_BUF_SYNC_END | flags[i]);

		igt_assert_eq(device_count(device, 0, 1, 10), 1);
		igt_assert_eq(device_count(device, 1, NPAGES - 1, 2 + i), NPAGES - 1);
		igt_assert_eq(count_filled(buffer.mem, 0, 1, 10), 1);
		igt_assert_eq(count_filled((char *)buffer.mem + page_size(), 1,
					   NPAGES - 1, 2 + i), NPAGES - 1);
	}
	close(device);
	close_buffer(&buffer);
}

/* Whether what the device writes now is seen by who looks. */
static void check_seen(struct buffer *buffer, int device)
{
	owner_fill(buffer, 100);
	device_fill(device, 0, NPAGES, 101, false);
	look(buffer->dmabuf);
	igt_assert_eq(owner_count(buffer, 101), NPAGES);
	/* And the other way round. */
	sync_cpu(buffer->dmabuf, BEGIN);
	owner_fill(buffer, 102);
	sync_cpu(buffer->dmabuf, END);
	igt_assert_eq(device_count(device, 0, NPAGES, 102), NPAGES);
}

static void test_dies(int dev)
{
	struct buffer buffer = new_buffer(dev);
	int device = new_device(buffer.dmabuf, PIN_TEST_BIDIRECTIONAL);
	siginfo_t info;
	pid_t child;
	int status;

	igt_fork(writer, 1)
		sync_cpu(buffer.dmabuf, BEGIN);
	igt_waitchildren();
	check_seen(&buffer, device);

	/* Also as long as nobody has waited for it. */
	own_child(child)
		sync_cpu(buffer.dmabuf, BEGIN);
	igt_assert_eq(waitid(P_PID, child, &info, WEXITED | WNOWAIT), 0);
	check_seen(&buffer, device);
	igt_assert_eq(waitpid(child, &status, 0), child);
	igt_assert_eq(status, 0);
	close(device);
	close_buffer(&buffer);
}

static void *begin_thread(void *arg)
{
	sync_cpu(*(int *)arg, BEGIN);
	return NULL;
}

static void *end_thread(void *arg)
{
	sync_cpu(*(int *)arg, END);
	return NULL;
}

static void run(void *(*thread)(void *), struct buffer *buffer)
{
	pthread_t id;

	igt_assert_eq(pthread_create(&id, NULL, thread, &buffer->dmabuf), 0);
	igt_assert_eq(pthread_join(id, NULL), 0);
}

static void test_thread_dies(int dev)
{
	struct buffer buffer = new_buffer(dev);
	int device = new_device(buffer.dmabuf, PIN_TEST_BIDIRECTIONAL);

	run(begin_thread, &buffer);
	check_seen(&buffer, device);

	/* Who ends it in its stead has begun none, and hands over what others draw. */
	run(begin_thread, &buffer);
	sync_cpu(buffer.dmabuf, END);
	device_fill(device, 0, NPAGES, 2, true);
	owner_fill(&buffer, 3);
	close(device);
	igt_assert_eq(owner_count(&buffer, 3), NPAGES);
	close_buffer(&buffer);
}

static void test_execs(int dev)
{
	struct buffer buffer = new_buffer(dev);
	int device = new_device(buffer.dmabuf, PIN_TEST_BIDIRECTIONAL);
	int sockets[2], status;
	pid_t child;

	make_sockets(sockets);
	own_child(child) {
		sync_cpu(buffer.dmabuf, BEGIN);
		igt_assert_eq(dup2(sockets[1], 0), 0);
		igt_assert_eq(dup2(sockets[1], 1), 1);
		close(sockets[0]);
		close(sockets[1]);
		execlp("cat", "cat", NULL);
		_exit(1);
	}
	close(sockets[1]);
	/* When it answers, it is cat. */
	tell(sockets[0]);
	await(sockets[0]);
	check_seen(&buffer, device);
	close(sockets[0]);
	igt_assert_eq(waitpid(child, &status, 0), child);
	igt_assert_eq(status, 0);
	close(device);
	close_buffer(&buffer);
}

static void do_nothing(int sig)
{
	(void)sig;
}

/* A signal comes while it waits for a device that has not finished. */
static void test_interrupted(int dev)
{
	struct dma_buf_sync begin = { .flags = BEGIN };
	struct buffer buffer = new_buffer(dev);
	int device = new_device(buffer.dmabuf, PIN_TEST_BIDIRECTIONAL);
	struct sigaction action = { .sa_handler = do_nothing };
	int vgem = drm_open_driver(DRIVER_VGEM), sockets[2], status;
	struct drm_vgem_fence_attach fence = {
		.handle = prime_fd_to_handle(vgem, buffer.dmabuf),
		.flags = VGEM_FENCE_WRITE,
	};
	struct drm_vgem_fence_signal finished = {};
	pid_t child;

	igt_assert_eq(ioctl(vgem, DRM_IOCTL_VGEM_FENCE_ATTACH, &fence), 0);
	finished.fence = fence.out_fence;
	make_sockets(sockets);
	own_child(child) {
		close(sockets[0]);
		sigaction(SIGUSR1, &action, NULL);
		igt_assert_eq(ioctl(buffer.dmabuf, DMA_BUF_IOCTL_SYNC, &begin), -1);
		igt_assert_eq(errno, EINTR);
		tell(sockets[1]);
		await(sockets[1]);
	}
	close(sockets[1]);
	await_wait_in(child, "dma_fence");
	igt_assert_eq(kill(child, SIGUSR1), 0);
	await(sockets[0]);
	igt_assert_eq(ioctl(vgem, DRM_IOCTL_VGEM_FENCE_SIGNAL, &finished), 0);
	/* It lives on, and has begun nothing. */
	check_seen(&buffer, device);
	tell(sockets[0]);
	igt_assert_eq(waitpid(child, &status, 0), child);
	igt_assert_eq(status, 0);
	close(sockets[0]);
	gem_close(vgem, fence.handle);
	drm_close_driver(vgem);
	close(device);
	close_buffer(&buffer);
}

static void test_ends(int dev)
{
	struct buffer buffer = new_buffer(dev);
	int device = new_device(buffer.dmabuf, PIN_TEST_BIDIRECTIONAL);

	sync_cpu(buffer.dmabuf, BEGIN);
	sync_cpu(buffer.dmabuf, BEGIN);
	/* Its own second access does not undo what it has written since the first. */
	owner_fill(&buffer, 2);
	sync_cpu(buffer.dmabuf, BEGIN);
	look(buffer.dmabuf);
	igt_assert_eq(owner_count(&buffer, 2), NPAGES);
	sync_cpu(buffer.dmabuf, END);
	igt_assert_eq(device_count(device, 0, NPAGES, 2), NPAGES);
	check_seen(&buffer, device);
	/* To end it once more does nothing to later ones. */
	sync_cpu(buffer.dmabuf, END);
	check_seen(&buffer, device);
	/* It also ends with the dma-buf: nothing of it is left. */
	sync_cpu(buffer.dmabuf, BEGIN);
	close(device);
	close_buffer(&buffer);
}

static void test_ends_in_thread(int dev)
{
	struct buffer buffer = new_buffer(dev);
	int device = new_device(buffer.dmabuf, PIN_TEST_BIDIRECTIONAL);

	sync_cpu(buffer.dmabuf, BEGIN);
	owner_fill(&buffer, 2);
	run(end_thread, &buffer);
	igt_assert_eq(device_count(device, 0, NPAGES, 2), NPAGES);
	check_seen(&buffer, device);
	close(device);
	close_buffer(&buffer);
}

static void test_stranger(int dev)
{
	struct buffer buffer = new_buffer(dev);
	int device = new_device(buffer.dmabuf, PIN_TEST_BIDIRECTIONAL);

	sync_cpu(buffer.dmabuf, BEGIN);
	owner_fill(&buffer, 2);
	igt_fork(stranger, 1) {
		sync_cpu(buffer.dmabuf, END);
		look(buffer.dmabuf);
	}
	igt_waitchildren();
	/* It has handed over what was there by then. */
	igt_assert_eq(device_count(device, 0, NPAGES, 2), NPAGES);

	owner_fill(&buffer, 3);
	igt_fork(stranger, 1) {
		look(buffer.dmabuf);
		sync_cpu(buffer.dmabuf, BEGIN);
		sync_cpu(buffer.dmabuf, END);
		look(buffer.dmabuf);
	}
	igt_waitchildren();
	igt_assert_eq(owner_count(&buffer, 3), NPAGES);
	sync_cpu(buffer.dmabuf, END);
	igt_assert_eq(device_count(device, 0, NPAGES, 3), NPAGES);
	check_seen(&buffer, device);
	close(device);
	close_buffer(&buffer);
}

#define ROUNDS	50

struct worker {
	struct buffer *buffer;
	unsigned int page;
};

/* Odd ones do not come to the end of their last access. */
static void *write_page(void *arg)
{
	const struct worker *worker = arg;
	char *page = (char *)worker->buffer->mem + pages(worker->page);

	for (int i = 0; i < ROUNDS; i++) {
		sync_cpu(worker->buffer->dmabuf, BEGIN);
		fill(page, worker->page, 1, i);
		if (i == ROUNDS - 1 && worker->page % 2)
			break;
		sync_cpu(worker->buffer->dmabuf, END);
		igt_assert_eq(count_filled(page, worker->page, 1, i), 1);
	}
	return NULL;
}

static void test_many(int dev)
{
	struct buffer buffer = new_buffer(dev);
	int device = new_device(buffer.dmabuf, PIN_TEST_BIDIRECTIONAL);
	struct worker workers[NPAGES];
	pthread_t threads[NPAGES];

	for (unsigned int i = 0; i < NPAGES; i++) {
		workers[i] = (struct worker) { &buffer, i };
		igt_assert_eq(pthread_create(&threads[i], NULL, write_page,
					     &workers[i]), 0);
	}
	for (unsigned int i = 0; i < NPAGES; i++)
		igt_assert_eq(pthread_join(threads[i], NULL), 0);
	for (unsigned int i = 0; i < NPAGES; i += 2)
		igt_assert_eq(device_count(device, i, 1, ROUNDS - 1), 1);
	check_seen(&buffer, device);
	close(device);
	close_buffer(&buffer);
}

#define TOGETHER	1000
#define IN_TURN		6000
#define ROOM		(MIB(1) * 3 / 4)
#define LOOKS		10000

static atomic_uint begun;

static void *begin_and_stay(void *arg)
{
	sync_cpu(*(int *)arg, BEGIN);
	begun++;
	pause();
	return NULL;
}

/* Writes a page while a program with many threads does, which then dies. */
static void test_die_together(int dev)
{
	struct buffer buffer = new_buffer(dev);
	int device = new_device(buffer.dmabuf, PIN_TEST_BIDIRECTIONAL);
	int sockets[2];
	pid_t child;

	make_sockets(sockets);
	own_child(child) {
		pthread_t thread;

		close(sockets[0]);
		for (unsigned int i = 0; i < TOGETHER; i++)
			igt_assert_eq(pthread_create(&thread, NULL, begin_and_stay,
						     &buffer.dmabuf), 0);
		while (begun < TOGETHER)
			sched_yield();
		tell(sockets[1]);
		await(sockets[1]);
	}
	close(sockets[1]);
	await(sockets[0]);
	/* Its own access is the one that it ends. */
	sync_cpu(buffer.dmabuf, BEGIN);
	owner_fill(&buffer, 2);
	sync_cpu(buffer.dmabuf, END);
	igt_assert_eq(device_count(device, 0, NPAGES, 2), NPAGES);
	owner_fill(&buffer, 3);
	look(buffer.dmabuf);
	igt_assert_eq(owner_count(&buffer, 3), NPAGES);

	tell(sockets[0]);
	igt_assert_eq(waitpid(child, NULL, 0), child);
	close(sockets[0]);
	check_seen(&buffer, device);
	close(device);
	close_buffer(&buffer);
}

/*
 * While a thread is writing, many others begin to and die. What is known of those takes
 * no more memory than some threads do, which the kernel frees a little later.
 */
static void test_die_in_turn(int dev)
{
	struct buffer buffer = new_buffer(dev);
	int device = new_device(buffer.dmabuf, PIN_TEST_BIDIRECTIONAL);
	int64_t before, grown;

	cgroup_enter("memory");
	sync_cpu(buffer.dmabuf, BEGIN);
	owner_fill(&buffer, 2);
	run(begin_thread, &buffer);
	before = cgroup_read("memory.current");
	for (unsigned int i = 0; i < IN_TURN; i++)
		run(begin_thread, &buffer);
	for (int i = 0; i < LOOKS; i++) {
		grown = cgroup_read("memory.current") - before;
		if (grown < (int64_t)ROOM)
			break;
		usleep(1000);
	}
	igt_assert_f(grown < (int64_t)ROOM, "takes %" PRId64 " bytes\n", grown);

	look(buffer.dmabuf);
	igt_assert_eq(owner_count(&buffer, 2), NPAGES);
	sync_cpu(buffer.dmabuf, END);
	check_seen(&buffer, device);
	close(device);
	close_buffer(&buffer);
	cgroup_leave();
}

void udmabuf_sync_writer_subtests(int dev)
{
	igt_describe("Who writes only a part leaves what a device wrote in the rest");
	igt_subtest("writer-partial")
		udmabuf_test(test_partial, dev);
	igt_describe("A write access hides what devices write no longer than until its program "
		     "has died");
	igt_subtest("writer-dies")
		udmabuf_test(test_dies, dev);
	igt_describe("A write access hides what devices write no longer than until its thread has "
		     "gone");
	igt_subtest("writer-thread-dies")
		udmabuf_test(test_thread_dies, dev);
	igt_describe("A write access hides what devices write no longer than until its program "
		     "has been replaced by another one");
	igt_subtest("writer-execs")
		udmabuf_test(test_execs, dev);
	igt_describe("A write access that a signal has kept from beginning hides nothing that "
		     "devices write");
	igt_subtest("writer-interrupted")
		udmabuf_test(test_interrupted, dev);
	igt_describe("A write access hides what devices write no longer than until it ends, also "
		     "if it was begun twice");
	igt_subtest("writer-ends")
		udmabuf_test(test_ends, dev);
	igt_describe("A write access hides what devices write no longer than until another thread "
		     "of its program ends it");
	igt_subtest("writer-ends-in-thread")
		udmabuf_test(test_ends_in_thread, dev);
	igt_describe("Another program that looks, or ends what it has not begun, changes nothing "
		     "about a write access that is going on");
	igt_subtest("writer-and-stranger")
		udmabuf_test(test_stranger, dev);
	igt_describe("Many threads write, each its part, and some of them die");
	igt_subtest("writers-many")
		udmabuf_test(test_many, dev);
	igt_describe("Among a thousand threads of another program, an access is found; when all "
		     "of them die at once, none is left");
	igt_subtest("writers-die-together")
		udmabuf_test(test_die_together, dev);
	igt_describe("While a thread is writing, thousands of others begin to and die: that is "
		     "not remembered");
	igt_subtest("writers-die-in-turn")
		udmabuf_test(test_die_in_turn, dev);
}
