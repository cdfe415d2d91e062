// SPDX-License-Identifier: MIT
/*
 * Tests of dma-bufs of files that somebody else has, too, and may do anything with:
 * the list of all subtests, the program, and those about locks. The others are in
 * udmabuf_stranger_*.c.
 */

/**
 * TEST: udmabuf stranger
 * Category: Core
 * Mega feature: General Core features
 * Sub-category: Memory management tests
 * Functionality: dma-buf
 * Test category: functionality test
 * Description: Makes dma-bufs of files while their owners keep locks, add seals, or
 *              hold pages back
 *
 * SUBTEST: inode-lock-%s
 * Description: The owner's write() never ends, and keeps the inode lock: it is not
 *              waited for, with %arg[1]
 *
 * arg[1]:
 *
 * @plain:		UDMABUF_CREATE_EXT without flags
 * @unsealed:		UDMABUF_FLAGS_UNSEALED
 * @readonly:		UDMABUF_FLAGS_READONLY
 * @nonblock:		UDMABUF_FLAGS_NONBLOCK
 */

/**
 * SUBTEST: seal-being-added
 * Description: While F_SEAL_WRITE waits for other pins: a dma-buf or EBUSY
 *
 * SUBTEST: punch-userfaultfd
 * Description: While a hole is punched, which takes long, who waits for userfaultfd in it
 *              can be killed, and else gets what comes
 *
 * SUBTEST: nonblock-%s
 * Description: UDMABUF_FLAGS_NONBLOCK takes it: %arg[1]
 *
 * arg[1]:
 *
 * @shmem:		small pages
 * @thp:		transparent huge pages
 * @hugetlb:		2 MiB hugetlb pages
 * @holes:		pages that were never touched
 * @fallocated:		pages that still have to be zeroed
 */

/**
 * SUBTEST: nonblock-again-%s
 * Description: UDMABUF_FLAGS_NONBLOCK says EAGAIN and pins nothing: %arg[1]
 *
 * arg[1]:
 *
 * @locked:		a folio is locked
 * @locked-fallocated:	so is one that still has to be zeroed
 * @swapped:		pages are in swap
 * @movable:		pages have to be moved
 * @hugetlb-holes:	a huge page is missing
 * @userfaultfd:	a page is still to come, in a mapping of the caller
 * @advised:		a mapping of the caller asks for huge pages
 */

/**
 * SUBTEST: touch-userfaultfd-%s
 * Description: A page that is still to come is waited for, and is what has come: %arg[1]
 *
 * SUBTEST: touch-userfaultfd-kill-%s
 * Description: Who waits for it can be killed; it can come afterwards: %arg[1]
 *
 * SUBTEST: touch-userfaultfd-alias-%s
 * Description: So it is where the file is mapped a second time, as handlers do: %arg[1]
 *
 * SUBTEST: touch-userfaultfd-user-%s
 * Description: Not one that only user space waits for (UFFD_USER_MODE_ONLY): %arg[1]
 *
 * SUBTEST: touch-side-by-side-%s
 * Description: Two mappings that have a part of the file in common, one behind the
 *              other: %arg[1]
 *
 * SUBTEST: touch-policy-%s
 * Description: The pages come from the node that mbind() names: %arg[1]
 *
 * arg[1]:
 *
 * @shmem:		small pages
 * @hugetlb:		2 MiB hugetlb pages
 */

/**
 * SUBTEST: touch-killed-early
 * Description: Who is killed while looking for the mapping puts nothing where a page
 *              is still to come
 *
 * SUBTEST: touch-filled-ahead
 * Description: What another program puts behind a page that is still to come is seen, and
 *              its lock waited for such that a signal ends it
 *
 * SUBTEST: touch-advise-%s
 * Description: A hole gets what madvise() says of the caller's mapping: %arg[1]
 *
 * arg[1]:
 *
 * @hugepage:		huge pages, where they come only if asked for
 * @nohugepage:		small pages, where huge ones would come
 * @parts:		both, for two mappings of parts of the file
 */

/**
 * SUBTEST: touch-no-mapping
 * Description: Without a mapping that says otherwise a hole gets what the file has
 *
 * SUBTEST: touch-hugetlb-none-free
 * Description: ENOMEM when a mapped huge page is not to be had
 *
 * SUBTEST: touch-hugetlb-reserved
 * Description: A mapping's reservation is used, and no other
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "igt.h"
#include "pin_test_helper.h"
#include "process_helper.h"
#include "udmabuf_stranger.h"
#include "uffd_helper.h"

#define SIZE		MIB(1)
#define NPAGES		(SIZE / page_size())

int create_in_time(int dev, uint32_t flags, int memfd, uint64_t size)
{
	pid_t child = fork();
	bool ended;
	int status;

	igt_assert_lte(0, child);
	if (!child) {
		int fd = __create_flags(dev, flags, memfd, 0, size);

		_exit(fd < 0 ? -fd : 0);
	}
	ended = ends_in_time(child);
	if (!ended)
		kill(child, SIGKILL);
	waitpid(child, &status, 0);
	igt_assert_f(ended, "UDMABUF_CREATE_EXT has waited for long\n");
	igt_assert(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

static const struct lock_kind {
	const char *name;
	uint32_t flags;
} lock_kinds[] = {
	{ "plain", 0 },
	{ "unsealed", UDMABUF_FLAGS_UNSEALED },
	{ "readonly", UDMABUF_FLAGS_READONLY },
	{ "nonblock", UDMABUF_FLAGS_NONBLOCK },
};

static const struct lock_kind *lock_kind;

struct writer {
	int memfd;
	void *source;
};

static void *write_thread(void *arg)
{
	const struct writer *writer = arg;

	/* Fails when the source is given up. */
	return (void *)(intptr_t)pwrite(writer->memfd, writer->source, page_size(), 0);
}

/* The source of a write is held back, and so is its end. */
static void test_inode_lock(int dev)
{
	struct writer writer = { .source = anon_small(page_size()) };
	int uffd = make_stall(writer.source, page_size());
	pthread_t thread;
	void *mem;

	writer.memfd = lock_kind->flags & UDMABUF_FLAGS_UNSEALED ?
		       unsealed_memfd(SHMEM, SIZE) : sealed_memfd(SHMEM, SIZE);
	mem = map_fd(writer.memfd, SIZE);
	fill(mem, 0, NPAGES, 1);
	/* Out of movable memory, if it came to lie there. */
	close(create_flags(dev, UDMABUF_FLAGS_UNSEALED, writer.memfd, 0, SIZE));
	igt_assert_eq(pthread_create(&thread, NULL, write_thread, &writer), 0);
	await_fault(uffd, -1);

	igt_assert_eq(create_in_time(dev, lock_kind->flags, writer.memfd, SIZE), 0);

	close(uffd);
	igt_assert_eq(pthread_join(thread, NULL), 0);
	unmap(mem, SIZE);
	unmap(writer.source, page_size());
	close(writer.memfd);
}

struct sealer {
	int memfd;
	atomic_bool stop;
};

static void *seal_thread(void *arg)
{
	struct sealer *sealer = arg;

	while (!sealer->stop && fcntl(sealer->memfd, F_ADD_SEALS, F_SEAL_WRITE) &&
	       errno == EBUSY)
		;
	return (void *)(intptr_t)!sealer->stop;
}

/* The seal cannot be added, as there is a dma-buf, but takes its time to find out. */
static void test_seal_being_added(int dev)
{
	struct sealer sealer = { .memfd = sealed_memfd(SHMEM, SIZE) };
	int shared = create(dev, sealer.memfd, 0, SIZE), made = 0, busy = 0, dmabuf;
	pthread_t thread;
	void *ended;

	igt_assert_eq(pthread_create(&thread, NULL, seal_thread, &sealer), 0);
	while (!busy || !made) {
		dmabuf = __create(dev, sealer.memfd, 0, SIZE);
		if (dmabuf >= 0) {
			made++;
			close(dmabuf);
		} else {
			igt_assert_eq(dmabuf, -EBUSY);
			busy++;
		}
	}
	sealer.stop = true;
	igt_assert_eq(pthread_join(thread, &ended), 0);
	igt_assert_f(!ended, "the seal was added to what is pinned\n");
	close(create(dev, sealer.memfd, 0, SIZE));
	close(shared);
	close(sealer.memfd);
}

/* A program that makes a dma-buf of the first page, which userfaultfd has yet to bring */
static pid_t create_first(int dev, int memfd, int *socket)
{
	int sockets[2];
	pid_t child;

	make_sockets(sockets);
	own_child(child) {
		send_fd(sockets[1], make_stall(map_fd(memfd, SIZE), SIZE));
		_exit(__create(dev, memfd, 0, page_size()) < 0);
	}
	close(sockets[1]);
	*socket = sockets[0];
	return child;
}

/* A hole is being punched, which takes until the last page of it can be had. */
static void test_punch(int dev)
{
	struct pin_test_lock lock = { .index = NPAGES - 1 };
	int memfd, locker, uffd, status, killed, made;
	pid_t puncher, first, second;
	void *data, *asked;
	bool ended;

	igt_require_f(!access("/dev/pin_test", F_OK), "no /dev/pin_test\n");
	require_uffd();
	memfd = sealed_memfd(SHMEM, SIZE);
	data = anon(page_size());
	locker = open_device();
	lock.fd = memfd;
	igt_assert_eq(pwrite(memfd, data, 1, pages(lock.index)), 1);
	igt_assert_eq(ioctl(locker, PIN_TEST_LOCK, &lock), 0);
	puncher = fork();
	igt_assert_lte(0, puncher);
	if (!puncher)
		_exit(fallocate(memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SIZE));
	await_wait_in(puncher, "folio");

	first = create_first(dev, memfd, &killed);
	second = create_first(dev, memfd, &made);
	await_wait_in(first, "pin_touch");
	await_wait_in(second, "pin_touch");
	ended = can_be_killed(first);
	igt_assert_eq(waitpid(first, &status, 0), first);
	igt_assert_eq(ioctl(locker, PIN_TEST_UNLOCK), 0);
	igt_assert_eq(waitpid(puncher, &status, 0), puncher);
	igt_assert_eq(status, 0);
	igt_assert_f(ended, "it waited for the hole\n");

	/* The page is the owner's to give. */
	uffd = receive_fd(made);
	asked = await_fault(uffd, made);
	igt_assert_eq(uffd_arrive(uffd, asked, data, page_size()), 0);
	igt_assert_eq(waitpid(second, &status, 0), second);
	igt_assert_eq(status, 0);
	close(uffd);
	close(killed);
	close(made);
	close(locker);
	unmap(data, page_size());
	close(memfd);
}

IGT_TEST_DESCRIPTION("dma-bufs of files that others have, too");

int igt_main()
{
	static int dev = -1;

	igt_fixture() {
		struct udmabuf_info info;

		dev = open_udmabuf();
		igt_require_f(!ioctl(dev, UDMABUF_GET_INFO, &info),
			      "no extensions: %s\n", strerror(errno));
	}
	for (lock_kind = lock_kinds; lock_kind < lock_kinds + ARRAY_SIZE(lock_kinds);
	     lock_kind++) {
		igt_describe_f("The owner's write() never ends, and keeps the inode lock: it is "
			       "not waited for, with %s", lock_kind->name);
		igt_subtest_f("inode-lock-%s", lock_kind->name)
			udmabuf_test(test_inode_lock, dev);
	}
	igt_describe("While F_SEAL_WRITE waits for other pins: a dma-buf or EBUSY");
	igt_subtest("seal-being-added")
		udmabuf_test(test_seal_being_added, dev);
	igt_describe("While a hole is punched, which takes long, who waits for userfaultfd in it "
		     "can be killed, and else gets what comes");
	igt_subtest("punch-userfaultfd")
		udmabuf_test(test_punch, dev);
	udmabuf_stranger_nonblock_subtests(dev);
	udmabuf_stranger_touch_subtests(dev);

	igt_fixture()
		close(dev);
}
