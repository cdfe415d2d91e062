// SPDX-License-Identifier: MIT
/*
 * Holes are filled as a touch by the caller would fill them, where the caller has the
 * file mapped: userfaultfd is waited for, and madvise() and reservations count.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "igt.h"
#include "phys_helper.h"
#include "pin_test_helper.h"
#include "process_helper.h"
#include "udmabuf_stranger.h"
#include "uffd_helper.h"

#define NODE		"/sys/devices/system/node/node"
#define SIZE		(4 * PMD)
#define NPAGES		(SIZE / page_size())

static const struct kind {
	const char *name;
	enum backing backing;
} kinds[] = {
	{ "shmem", SHMEM },
	{ "hugetlb", HUGE_2M },
};

static const struct kind *current;

static void set_pool(int node, size_t count)
{
	char path[96];

	snprintf(path, sizeof(path), NODE "%d/hugepages/hugepages-2048kB/nr_hugepages",
		 node);
	set(path, "%zu", count);
}

static size_t unit(void)
{
	return folio_size(current->backing);
}

struct request {
	int dev, memfd, dmabuf;
};

static void *create_thread(void *arg)
{
	struct request *request = arg;

	request->dmabuf = __create(request->dev, request->memfd, 0, SIZE);
	return NULL;
}

/* A page, or a huge one, arrives with what fill() puts there. */
static int arrive(int uffd, char *mem, size_t offset, void *data)
{
	fill(data, offset / page_size(), unit() / page_size(), 1);
	return uffd_arrive(uffd, mem + offset, data, unit());
}

/*
 * Half of the file is there, and the other half comes when it is asked for. @alias: the
 * file is mapped at a lower address, too, of which userfaultfd knows nothing.
 */
static void check_userfaultfd(int dev, bool alias)
{
	struct request request = { .dev = dev, .memfd = sealed_memfd(current->backing, SIZE) };
	char *area = reserve(2 * SIZE), *mem, *asked;
	void *data = anon(unit()), *buf;
	pthread_t thread;
	int uffd;

	require_pinnable(current->backing);
	mem = map_fd_at(area + SIZE, request.memfd, SIZE);
	if (alias)
		madvise(map_fd_at(area, request.memfd, SIZE), SIZE, MADV_HUGEPAGE);
	uffd = make_stall(mem, SIZE);
	for (size_t offset = 0; offset < SIZE / 2; offset += unit())
		igt_assert_eq(arrive(uffd, mem, offset, data), 0);
	igt_assert_eq(pthread_create(&thread, NULL, create_thread, &request), 0);
	for (size_t offset = SIZE / 2; offset < SIZE; offset += unit()) {
		asked = await_fault(uffd, -1);
		igt_assert_eq((asked - mem) / unit(), offset / unit());
		igt_assert_eq(arrive(uffd, mem, offset, data), 0);
	}
	igt_assert_eq(pthread_join(thread, NULL), 0);
	igt_assert_lte(0, request.dmabuf);
	buf = map_fd(request.dmabuf, SIZE);
	igt_assert_eq(count_filled(buf, 0, NPAGES, 1), NPAGES);
	igt_assert_eq(count_shared(buf, mem, NPAGES), NPAGES);
	unmap(buf, SIZE);
	close(request.dmabuf);
	close(uffd);
	unmap(data, unit());
	unmap(area, 2 * SIZE);
	close(request.memfd);
}

static void test_userfaultfd(int dev)
{
	check_userfaultfd(dev, false);
}

static void test_userfaultfd_alias(int dev)
{
	check_userfaultfd(dev, true);
}

/* Who looks after the mapping does not do so for the kernel, until all pages are there. */
static void test_userfaultfd_user(int dev)
{
	int memfd = sealed_memfd(current->backing, SIZE), uffd;
	char *mem = map_fd(memfd, SIZE);
	void *data = anon(unit());

	require_pinnable(current->backing);
	uffd = make_user_stall(mem, SIZE);
	for (size_t offset = 0; offset < SIZE; offset += unit()) {
		igt_assert_eq(__create(dev, memfd, 0, SIZE), -EFAULT);
		/* Nothing has taken its place. */
		igt_assert_eq(arrive(uffd, mem, offset, data), 0);
	}
	close(create(dev, memfd, 0, SIZE));
	igt_assert_eq(count_filled(mem, 0, NPAGES, 1), NPAGES);
	close(uffd);
	unmap(mem, SIZE);
	unmap(data, unit());
	close(memfd);
}

/*
 * Two mappings side by side have a part of the file in common, which in the second one
 * lies where the first one would have the next part.
 */
static void test_side_by_side(int dev)
{
	int memfd = sealed_memfd(current->backing, SIZE);
	char *area = reserve(SIZE), *mem;

	require_pinnable(current->backing);
	mem = mmap(area, SIZE / 2, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memfd, 0);
	igt_assert(mem != MAP_FAILED);
	mem = mmap(area + SIZE / 2, SIZE / 2, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_FIXED, memfd, SIZE / 4);
	igt_assert(mem != MAP_FAILED);
	madvise(area, SIZE, MADV_HUGEPAGE);
	igt_assert_eq(create_in_time(dev, 0, memfd, SIZE / 4 * 3), 0);
	unmap(area, SIZE);
	close(memfd);
}

/* The child has a mapping of its own, and tells its parent's process nothing else. */
static void test_userfaultfd_kill(int dev)
{
	int memfd = sealed_memfd(current->backing, SIZE), uffd, sockets[2], status;
	int64_t pins = pins_held();
	void *data = anon(unit());
	char *mem;
	pid_t child;

	require_pinnable(current->backing);
	require_uffd();
	make_sockets(sockets);
	own_child(child) {
		mem = map_fd(memfd, SIZE);
		uffd = make_stall(mem, SIZE);
		send_fd(sockets[1], uffd);
		_exit(__create(dev, memfd, 0, SIZE) < 0);
	}
	close(sockets[1]);
	uffd = receive_fd(sockets[0]);
	await_fault(uffd, sockets[0]);
	igt_assert_eq(kill(child, SIGKILL), 0);
	igt_assert_eq(waitpid(child, &status, 0), child);
	igt_assert(WIFSIGNALED(status));
	igt_assert_eq_s64(pins_held(), pins);
	close(uffd);
	close(sockets[0]);

	/* Nothing has taken its place meanwhile. */
	mem = map_fd(memfd, SIZE);
	uffd = make_stall(mem, SIZE);
	igt_assert_eq(arrive(uffd, mem, 0, data), 0);
	close(uffd);
	unmap(mem, SIZE);
	unmap(data, unit());
	close(memfd);
}

/*
 * Who is killed while looking for the mapping has not found that there is none: nothing is
 * put where a page is still to come. There are many others to be looked at.
 */
#define MANY		6000
#define KILL_ROUNDS	20

/* The child is about to ask, and has a mapping that userfaultfd looks after. */
static pid_t start_create(int dev, int memfd, char *mem)
{
	int sockets[2];
	pid_t child;

	make_sockets(sockets);
	own_child(child) {
		make_stall(mem, SIZE);
		tell(sockets[1]);
		__create(dev, memfd, 0, SIZE);
	}
	close(sockets[1]);
	await(sockets[0]);
	close(sockets[0]);
	return child;
}

static void test_killed_early(int dev)
{
	int64_t pins = pins_held();
	int memfd, status;
	char *others, *mem;
	pid_t child;

	require_uffd();
	memfd = sealed_memfd(SHMEM, SIZE);
	mem = map_fd(memfd, SIZE);
	others = anon(pages(MANY));
	for (size_t i = 0; i < MANY; i += 2)
		igt_assert_eq(mprotect(others + pages(i), page_size(), PROT_NONE), 0);
	for (int round = 0; round < KILL_ROUNDS; round++) {
		child = start_create(dev, memfd, mem);
		for (int i = 0; i < round; i++)
			sched_yield();
		igt_assert_eq(kill(child, SIGKILL), 0);
		igt_assert_eq(waitpid(child, &status, 0), child);
		igt_assert(WIFSIGNALED(status));
		igt_assert_eq_s64(fd_allocated(memfd), 0);
	}
	igt_assert_eq_s64(pins_held(), pins);
	unmap(mem, SIZE);
	unmap(others, pages(MANY));
	close(memfd);
}

/*
 * While the first page of some is still to come, another program puts one behind it,
 * takes another one away, so that they are as many as before, and keeps that locked. It is
 * no hole any more, and to fill it would be to wait for the lock.
 */
static void test_filled_ahead(int dev)
{
	int memfd, locker, uffd, sockets[2], status;
	struct pin_test_lock lock = { .index = 3 };
	const size_t other = 100;
	void *data;
	bool ended;
	pid_t child;

	igt_require_f(!access("/dev/pin_test", F_OK), "no /dev/pin_test\n");
	require_uffd();
	memfd = sealed_memfd(SHMEM, SIZE);
	data = anon(page_size());
	igt_assert_eq(pwrite(memfd, data, 1, pages(other)), 1);
	lock.fd = memfd;
	locker = open_device();
	make_sockets(sockets);
	own_child(child) {
		close(sockets[0]);
		uffd = make_stall(map_fd(memfd, SIZE), SIZE);
		send_fd(sockets[1], uffd);
		_exit(__create(dev, memfd, 0, pages(lock.index + 1)) < 0);
	}
	close(sockets[1]);
	uffd = receive_fd(sockets[0]);
	for (size_t i = 0; i < lock.index; i++) {
		void *asked = await_fault(uffd, sockets[0]);

		if (!i) {
			igt_assert_eq(fallocate(memfd, FALLOC_FL_PUNCH_HOLE |
						FALLOC_FL_KEEP_SIZE, pages(other),
						page_size()), 0);
			igt_assert_eq(pwrite(memfd, data, 1, pages(lock.index)), 1);
			igt_assert_eq(ioctl(locker, PIN_TEST_LOCK, &lock), 0);
		}
		igt_assert_eq(uffd_arrive(uffd, asked, data, page_size()), 0);
	}
	await_wait_in(child, "folio");
	ended = can_be_killed(child);
	igt_assert_eq(ioctl(locker, PIN_TEST_UNLOCK), 0);
	close(uffd);
	igt_assert_eq(waitpid(child, &status, 0), child);
	igt_assert_f(ended, "it waited for the lock\n");
	close(locker);
	close(sockets[0]);
	unmap(data, page_size());
	close(memfd);
}

/* A mapping from byte @offset of the file on, at an address that suits huge pages */
static char *map_advised(int memfd, size_t offset, size_t size, int advice)
{
	char *mem = reserve(size);

	mem = mmap(mem, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memfd, offset);
	igt_assert(mem != MAP_FAILED);
	igt_require_f(!madvise(mem, size, advice), "no transparent huge pages\n");
	return mem;
}

static void check_advice(int dev, const char *enabled, int advice, size_t huge)
{
	int memfd, dmabuf;
	char *mem;

	set_shmem_thp(enabled);
	memfd = sealed_memfd(SHMEM, SIZE);
	mem = map_advised(memfd, 0, SIZE, advice);
	dmabuf = create(dev, memfd, 0, SIZE);
	igt_assert_eq(count_flagged(mem, NPAGES, KPF_THP), huge);
	close(dmabuf);
	unmap(mem, SIZE);
	close(memfd);
}

static void test_hugepage(int dev)
{
	check_advice(dev, "advise", MADV_HUGEPAGE, NPAGES);
}

static void test_nohugepage(int dev)
{
	check_advice(dev, "always", MADV_NOHUGEPAGE, 0);
}

/* The first quarter is mapped plainly, the last one not at all. */
static void test_parts(int dev)
{
	size_t part = SIZE / 4;
	char *plain, *huge, *small, *all;
	int memfd, dmabuf;

	set_shmem_thp("advise");
	memfd = sealed_memfd(SHMEM, SIZE);
	plain = map_fd(memfd, part);
	small = map_advised(memfd, 2 * part, part, MADV_NOHUGEPAGE);
	huge = map_advised(memfd, part, part, MADV_HUGEPAGE);
	dmabuf = create(dev, memfd, 0, SIZE);
	all = map_fd(memfd, SIZE);
	igt_assert_eq(count_flagged(all, part / page_size(), KPF_THP), 0);
	igt_assert_eq(count_flagged(all + part, part / page_size(), KPF_THP),
		      part / page_size());
	igt_assert_eq(count_flagged(all + 2 * part, 2 * part / page_size(), KPF_THP), 0);
	close(dmabuf);
	unmap(all, SIZE);
	unmap(huge, part);
	unmap(small, part);
	unmap(plain, part);
	close(memfd);
}

/* Of another file, a private one, and one that has gone. */
static void test_no_mapping(int dev)
{
	int memfd, other, dmabuf;
	char *mem, *mem_other, *private;

	set_shmem_thp("advise");
	memfd = sealed_memfd(SHMEM, SIZE);
	other = sealed_memfd(SHMEM, SIZE);
	mem_other = map_advised(other, 0, SIZE, MADV_HUGEPAGE);
	private = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, memfd, 0);
	igt_assert(private != MAP_FAILED);
	igt_assert_eq(madvise(private, SIZE, MADV_HUGEPAGE), 0);
	unmap(map_advised(memfd, 0, SIZE, MADV_HUGEPAGE), SIZE);
	dmabuf = create(dev, memfd, 0, SIZE);
	mem = map_fd(memfd, SIZE);
	igt_assert_eq(count_flagged(mem, NPAGES, KPF_THP), 0);
	close(dmabuf);
	unmap(mem, SIZE);
	unmap(private, SIZE);
	unmap(mem_other, SIZE);
	close(other);
	close(memfd);
}

static void *map_noreserve(int memfd)
{
	void *mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			 memfd, 0);

	igt_assert(mem != MAP_FAILED);
	return mem;
}

/* Memory of node @node alone, for what is touched in the mapping */
static void bind_to(void *mem, unsigned int node)
{
	unsigned long nodes = 1UL << node;

	igt_assert_eq(syscall(SYS_mbind, mem, SIZE, MPOL_BIND, &nodes,
			      8 * sizeof(nodes), 0), 0);
}

static size_t count_on_node(const char *mem, int node)
{
	size_t count = 0;
	int found;

	for (size_t i = 0; i < NPAGES; i++) {
		found = -1;
		igt_assert_eq(syscall(SYS_get_mempolicy, &found, NULL, 0, mem + pages(i),
				      MPOL_F_NODE | MPOL_F_ADDR), 0);
		count += found == node;
	}
	return count;
}

static void test_policy(int dev)
{
	igt_require_f(!access(NODE "1", F_OK), "one node (numa=fake=2 makes two)\n");
	require_pinnable(current->backing);
	for (int node = 0; node < 2; node++) {
		int memfd, dmabuf;
		char *mem;

		memfd = sealed_memfd(current->backing, SIZE);
		/* Of as many as the file needs, each node had only a half. */
		if (current->backing == HUGE_2M)
			for (int n = 0; n < 2; n++)
				set_pool(n, 2 * SIZE / MIB(2));
		mem = map_fd(memfd, SIZE);
		bind_to(mem, node);
		dmabuf = create(dev, memfd, 0, SIZE);
		igt_assert_eq(count_on_node(mem, node), NPAGES);
		close(dmabuf);
		unmap(mem, SIZE);
		close(memfd);
	}
}

/* A touch would be a SIGBUS. */
static void test_none_free(int dev)
{
	int memfd = sealed_memfd(HUGE_2M, SIZE), other;
	void *mem = map_noreserve(memfd), *taken;
	int64_t left = hugetlb(MIB(2), "free_hugepages") - hugetlb(MIB(2), "resv_hugepages");

	require_pinnable(HUGE_2M);
	/* All that is left is another file's. */
	other = memfd_create("other", MFD_HUGETLB | MFD_HUGE_2MB | MFD_CLOEXEC);
	igt_assert_eq(ftruncate(other, left * MIB(2)), 0);
	taken = map_fd(other, left * MIB(2));
	igt_assert_eq(__create(dev, memfd, 0, SIZE), -ENOMEM);
	unmap(taken, left * MIB(2));
	close(other);
	close(create(dev, memfd, 0, SIZE));
	unmap(mem, SIZE);
	close(memfd);
}

static void test_reserved(int dev)
{
	int memfd = sealed_memfd(HUGE_2M, SIZE), dmabuf;
	int64_t reserved = hugetlb(MIB(2), "resv_hugepages");
	void *mem = map_fd(memfd, SIZE);

	require_pinnable(HUGE_2M);
	igt_assert_eq_s64(hugetlb(MIB(2), "resv_hugepages"), reserved + SIZE / MIB(2));
	dmabuf = create(dev, memfd, 0, SIZE);
	igt_assert_eq_s64(hugetlb(MIB(2), "resv_hugepages"), reserved);
	igt_assert_eq(count_zero(mem, NPAGES), NPAGES);
	close(dmabuf);
	unmap(mem, SIZE);
	close(memfd);
	igt_assert_eq_s64(hugetlb(MIB(2), "resv_hugepages"), reserved);
}

void udmabuf_stranger_touch_subtests(int dev)
{
	for (current = kinds; current < kinds + ARRAY_SIZE(kinds); current++) {
		igt_describe_f("A page that is still to come is waited for, and is what has come: "
			       "%s", current->name);
		igt_subtest_f("touch-userfaultfd-%s", current->name)
			udmabuf_test(test_userfaultfd, dev);
		igt_describe_f("Who waits for it can be killed; it can come afterwards: %s",
			       current->name);
		igt_subtest_f("touch-userfaultfd-kill-%s", current->name)
			udmabuf_test(test_userfaultfd_kill, dev);
		igt_describe_f("So it is where the file is mapped a second time, as handlers do: "
			       "%s", current->name);
		igt_subtest_f("touch-userfaultfd-alias-%s", current->name)
			udmabuf_test(test_userfaultfd_alias, dev);
		igt_describe_f("Not one that only user space waits for (UFFD_USER_MODE_ONLY): %s",
			       current->name);
		igt_subtest_f("touch-userfaultfd-user-%s", current->name)
			udmabuf_test(test_userfaultfd_user, dev);
		igt_describe_f("Two mappings that have a part of the file in common, one behind "
			       "the other: %s", current->name);
		igt_subtest_f("touch-side-by-side-%s", current->name)
			udmabuf_test(test_side_by_side, dev);
		igt_describe_f("The pages come from the node that mbind() names: %s",
			       current->name);
		igt_subtest_f("touch-policy-%s", current->name)
			udmabuf_test(test_policy, dev);
	}
	igt_describe("Who is killed while looking for the mapping puts nothing where a page is "
		     "still to come");
	igt_subtest("touch-killed-early")
		udmabuf_test(test_killed_early, dev);
	igt_describe("What another program puts behind a page that is still to come is seen, and "
		     "its lock waited for such that a signal ends it");
	igt_subtest("touch-filled-ahead")
		udmabuf_test(test_filled_ahead, dev);
	igt_describe("A hole gets what madvise() says of the caller's mapping: huge pages, where "
		     "they come only if asked for");
	igt_subtest("touch-advise-hugepage")
		udmabuf_test(test_hugepage, dev);
	igt_describe("A hole gets what madvise() says of the caller's mapping: small pages, where "
		     "huge ones would come");
	igt_subtest("touch-advise-nohugepage")
		udmabuf_test(test_nohugepage, dev);
	igt_describe("A hole gets what madvise() says of the caller's mapping: both, for two "
		     "mappings of parts of the file");
	igt_subtest("touch-advise-parts")
		udmabuf_test(test_parts, dev);
	igt_describe("Without a mapping that says otherwise a hole gets what the file has");
	igt_subtest("touch-no-mapping")
		udmabuf_test(test_no_mapping, dev);
	igt_describe("ENOMEM when a mapped huge page is not to be had");
	igt_subtest("touch-hugetlb-none-free")
		udmabuf_test(test_none_free, dev);
	igt_describe("A mapping's reservation is used, and no other");
	igt_subtest("touch-hugetlb-reserved")
		udmabuf_test(test_reserved, dev);
}
