// SPDX-License-Identifier: MIT
/*
 * Tests of the accounting of long-term pins: each is charged to the user who
 * asked, until it is gone. Pins by way of /dev/udmabuf. The tests of the limits
 * are in pin_account_limits.c and pin_account_share.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/udmabuf_ext.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "igt.h"
#include "pin_account.h"

/**
 * TEST: pin account
 * Category: Core
 * Mega feature: General Core features
 * Sub-category: Memory management tests
 * Functionality: accounting of pinned memory
 * Test category: functionality test
 * Description: Pins memory as one user or several, and looks at what they are
 *              charged and where they are stopped
 *
 * SUBTEST: charge
 * Description: A dma-buf is charged by its size, and shown with its process
 *
 * SUBTEST: charge-list
 * Description: So is one of many slices, also of the same page
 *
 * SUBTEST: charge-hugetlb
 * Description: So is one of huge pages, which count as one folio each
 *
 * SUBTEST: failed-create
 * Description: What could not be created is not charged
 *
 * SUBTEST: last-reference
 * Description: The charge stays as long as a descriptor or a mapping is there
 *
 * SUBTEST: process-gone
 * Description: It stays with the user who asked when the process has ended, and
 *              goes when another user drops the last reference
 *
 * SUBTEST: setuid
 * Description: It stays with the user who asked when the process becomes another
 *
 * SUBTEST: limit
 * Description: Over the limit is ENOMEM, and nothing is pinned; room that is given
 *              back can be used again
 *
 * SUBTEST: limit-lowered
 * Description: A limit below what is pinned stops new pins only
 *
 * SUBTEST: limit-none
 * Description: A limit of 0 is none
 *
 * SUBTEST: limit-privileged
 * Description: CAP_IPC_LOCK is not limited, but counts
 *
 * SUBTEST: limit-other-user
 * Description: One user at the limit does not stop another
 *
 * SUBTEST: limit-threads
 * Description: Threads that meet at the limit do not pass it together
 *
 * SUBTEST: limit-userns
 * Description: Root in a user's own namespace is still that user
 *
 * SUBTEST: limit-subuid
 * Description: So is any other user ID in it
 *
 * SUBTEST: limit-container
 * Description: In a container that root has made, it is the container's root
 *
 * SUBTEST: limit-identity
 * Description: In one where each user is the same as outside, it is that user, and
 *              not root
 *
 * SUBTEST: limit-nested
 * Description: Who makes a namespace within such a one is charged for all of it
 *
 * SUBTEST: share-alone
 * Description: One process gets process_share times what it leaves to others, in one
 *              piece or page by page, and is told how much that is
 *
 * SUBTEST: share-three
 * Description: Two processes of a user that take what they can get leave room for a
 *              third one
 *
 * SUBTEST: share-two-equal
 * Description: Two that take turns get the same
 *
 * SUBTEST: share-first
 * Description: Who has nothing yet gets a small buffer, as long as there is room
 *
 * SUBTEST: share-process-gone
 * Description: What a process has pinned stays its own after its end
 *
 * SUBTEST: share-changed
 * Description: The share can change while there are pins, and be none
 *
 * SUBTEST: share-shown
 * Description: debugfs shows what a user's next process may pin
 *
 * SUBTEST: no-audit
 * Description: Limits that are asked for or hit are no denied capability for the
 *              audit log
 *
 * SUBTEST: strict
 * Description: In strict mode RLIMIT_MEMLOCK holds, too, together with other
 *              kinds of locked memory
 *
 * SUBTEST: strict-rlimit-zero
 * Description: In strict mode RLIMIT_MEMLOCK of 0 is EPERM
 *
 * SUBTEST: strict-switched
 * Description: The mode can change while pins are held
 *
 * SUBTEST: root-only
 * Description: Only root sees who has what, and nobody sees a pointer
 *
 * SUBTEST: tracepoints
 * Description: Pin, unpin and a limit hit are traced with file, range, folios
 *              and result
 */

IGT_TEST_DESCRIPTION("Charges and limits of pinned memory");

#define TRACING	"/sys/kernel/tracing/"

int __create_pages(int dev, size_t count)
{
	int memfd = sealed_memfd(SHMEM, pages(count));
	int ret = __create(dev, memfd, 0, pages(count));

	close(memfd);
	return ret;
}

int create_pages(int dev, size_t count)
{
	int fd = __create_pages(dev, count);

	igt_assert_f(fd >= 0, "UDMABUF_CREATE: %s\n", strerror(-fd));
	return fd;
}

static void test_charge(int dev)
{
	int64_t before = charged(getuid());
	struct owner owner;
	int fd;

	fd = create_pages(dev, 100);
	igt_assert_eq_s64(charged(getuid()), before + pages(100));
	owner = owner_of(getuid(), getpid(), "udmabuf");
	igt_assert_eq_s64(owner.bytes, pages(100));
	igt_assert_eq_s64(owner.folios, 100);
	igt_assert_eq(strcmp(owner.command, "pin_account"), 0);
	close(fd);
	igt_assert_eq_s64(charged(getuid()), before);
	igt_assert_eq_s64(owner_of(getuid(), getpid(), "udmabuf").bytes, 0);
}

static void test_charge_list(int dev)
{
	int memfd = sealed_memfd(SHMEM, pages(2));
	struct udmabuf_create_item items[10];
	struct owner owner;
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(items); i++)
		items[i] = (struct udmabuf_create_item) {
			.memfd = memfd,
			.size = pages(1 + i % 2),
		};
	fd = create_list(dev, ARRAY_SIZE(items), items);
	close(memfd);
	owner = owner_of(getuid(), getpid(), "udmabuf");
	igt_assert_eq_s64(owner.bytes, pages(15));
	igt_assert_eq_s64(owner.folios, 15);
	close(fd);
}

static void test_charge_hugetlb(int dev)
{
	int memfd = sealed_memfd(HUGE_2M, MIB(8));
	struct owner owner;
	int fd;

	fd = create(dev, memfd, MIB(1), MIB(6));
	owner = owner_of(getuid(), getpid(), "udmabuf");
	igt_assert_eq_s64(owner.bytes, MIB(6));
	igt_assert_eq_s64(owner.folios, 4);
	close(fd);
	close(memfd);
}

static void test_failed_create(int dev)
{
	int memfd = sealed_memfd(SHMEM, pages(4));
	int64_t before = charged(getuid());
	struct udmabuf_create_item items[] = {
		{ .memfd = memfd, .size = pages(4) },
		{ .memfd = -1, .size = pages(4) },
	};

	igt_assert_eq(__create(dev, memfd, 0, pages(5)), -EINVAL);
	igt_assert_eq(__create_list(dev, 2, items, 0), -EBADFD);
	close(memfd);
	memfd = unsealed_memfd(SHMEM, pages(4));
	igt_assert_eq(__create(dev, memfd, 0, pages(4)), -EINVAL);
	close(memfd);
	igt_assert_eq_s64(charged(getuid()), before);
}

static void test_last_reference(int dev)
{
	int64_t before = charged(getuid());
	int fd, copy;
	void *ptr;

	fd = create_pages(dev, 8);
	copy = dup(fd);
	igt_assert_lte(0, copy);
	close(fd);
	igt_assert_eq_s64(charged(getuid()), before + pages(8));
	ptr = map_fd(copy, pages(8));
	close(copy);
	igt_assert_eq_s64(charged(getuid()), before + pages(8));
	unmap(ptr, pages(8));
	igt_assert_eq_s64(charged(getuid()), before);
}

/* A process that holds the descriptors of its parent may drop the last one. */
static void test_process_gone(int dev)
{
	int status, fd;
	pid_t child;
	int sockets[2];

	make_sockets(sockets);
	/*
	 * The maker shares its descriptors with the parent, ends, and leaves the
	 * dma-buf to it.
	 */
	child = syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
	igt_assert_lte(0, child);
	if (!child) {
		if (syscall(SYS_setresuid, USER, USER, USER))
			_exit(255);
		fd = __create_pages(dev, 16);
		_exit(fd < 0 ? 255 : fd);
	}
	igt_assert_eq(waitpid(child, &status, 0), child);
	igt_assert(WIFEXITED(status) && WEXITSTATUS(status) != 255);
	fd = WEXITSTATUS(status);
	igt_assert_eq_s64(charged(USER), pages(16));
	igt_assert_eq_s64(owner_of(USER, child, "udmabuf").bytes, pages(16));

	igt_fork(holder, 1) {
		close(sockets[0]);
		become(OTHER);
		tell(sockets[1]);
		await(sockets[1]);
	}
	close(sockets[1]);
	await(sockets[0]);
	close(fd);
	igt_assert_eq_s64(charged(USER), pages(16));
	igt_assert(!listed(OTHER));
	tell(sockets[0]);
	igt_waitchildren();
	igt_assert(!listed(USER));
	close(sockets[0]);
}

static void test_setuid(int dev)
{
	int sockets[2];

	make_sockets(sockets);
	igt_fork(child, 1) {
		int fd;

		close(sockets[0]);
		/* Stays privileged, so that it may go from one user to another. */
		igt_assert_eq(setresuid(USER, 0, 0), 0);
		fd = create_pages(dev, 16);
		igt_assert_eq(setresuid(OTHER, 0, 0), 0);
		tell(sockets[1]);
		await(sockets[1]);
		close(fd);
	}
	close(sockets[1]);
	await(sockets[0]);
	igt_assert_eq_s64(charged(USER), pages(16));
	igt_assert(!listed(OTHER));
	tell(sockets[0]);
	igt_waitchildren();
	igt_assert(!listed(USER));
	igt_assert(!listed(OTHER));
	close(sockets[0]);
}

static void test_root_only(int dev)
{
	static const char * const files[] = { PIN_DEBUGFS "users", PIN_DEBUGFS "owners" };
	int fd = create_pages(dev, 1);
	char text[4096] = "";
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		FILE *file = fopen(files[i], "r");

		igt_assert_eq(stat(files[i], &st), 0);
		igt_assert_eq(st.st_mode & 0777, 0400);
		igt_assert(file && fread(text, 1, sizeof(text) - 1, file) > 0);
		fclose(file);
		igt_assert(!strstr(text, "0x") && !strstr(text, "ffff"));
	}
	close(fd);
}

/* The first line of the trace that has all of the words. */
static bool traced(const char *event, const char *words)
{
	FILE *file = fopen(TRACING "trace", "r");
	char line[512];
	bool found = false;

	igt_assert(file);
	while (!found && fgets(line, sizeof(line), file))
		found = strstr(line, event) && strstr(line, words);
	fclose(file);
	return found;
}

static void test_tracepoints(int dev)
{
	int memfd = sealed_memfd(SHMEM, pages(16)), fd;
	char words[128];
	struct stat st;

	igt_require_f(!access(TRACING "events", F_OK), "no tracepoints\n");
	igt_assert_eq(access(TRACING "events/memfd_pin", F_OK), 0);
	limit_users(1);
	set(TRACING "events/memfd_pin/enable", "1");
	igt_assert_eq(write_line(TRACING "trace", ""), 0);
	fd = create(dev, memfd, pages(4), pages(8));
	close(fd);
	igt_assert_eq(fstat(memfd, &st), 0);
	close(memfd);
	igt_fork(child, 1) {
		become(USER);
		igt_assert_eq(__create_pages(dev, 300), -ENOMEM);
	}
	igt_waitchildren();
	set(TRACING "events/memfd_pin/enable", "0");

	snprintf(words, sizeof(words), "ino=%lu pages=4-11 folios=8 result=0",
		 (unsigned long)st.st_ino);
	igt_assert(traced("memfd_pin:", words));
	snprintf(words, sizeof(words), "ino=%lu pages=0-7 folios=8 dirty=1",
		 (unsigned long)st.st_ino);
	igt_assert(traced("memfd_unpin:", words));
	snprintf(words, sizeof(words),
		 "uid=4711 driver=udmabuf pages=300 limit=%zu result=-12",
		 MIB(1) / page_size());
	igt_assert(traced("memfd_pin_limit:", words));
}

/* Of the options of the kernel's capable(): not audited */
#define CAP_OPT_NOAUDIT	2

/* Whether the process asked for CAP_IPC_LOCK in a way that a refusal is logged */
static bool asked_audibly(pid_t pid)
{
	FILE *file = fopen(TRACING "trace", "r");
	unsigned int options;
	char line[512], *where;
	bool found = false;
	int task;

	igt_assert(file);
	while (!found && fgets(line, sizeof(line), file)) {
		where = strstr(line, "pinfold_cap:");
		/* The task is "name-pid", and this one's name has no dash. */
		if (!where || sscanf(strchr(line, '-') + 1, "%d", &task) != 1 ||
		    task != pid)
			continue;
		where = strstr(where, "options=");
		igt_assert(where && sscanf(where, "options=%u", &options) == 1);
		found = !(options & CAP_OPT_NOAUDIT);
	}
	fclose(file);
	return found;
}

static void remove_probe(void)
{
	write_line(TRACING "events/kprobes/pinfold_cap/enable", "0");
	write_line(TRACING "kprobe_events", "-:pinfold_cap");
}

static void test_no_audit(int dev)
{
	int sockets[2];
	pid_t pid;

	undo_at_end(remove_probe);
	remove_probe();
	igt_require_f(!write_line(TRACING "kprobe_events",
				  "p:pinfold_cap cap_capable cap=$arg3:u32 "
				  "options=$arg4:u32"), "no kprobes\n");
	limit_users(1);
	igt_assert_eq(write_line(TRACING "events/kprobes/pinfold_cap/filter",
				 "cap == 14"), 0);
	set(TRACING "events/kprobes/pinfold_cap/enable", "1");
	igt_assert_eq(write_line(TRACING "trace", ""), 0);
	make_sockets(sockets);
	igt_fork(child, 1) {
		struct udmabuf_info info;

		become(USER);
		pid = getpid();
		igt_assert_eq(write(sockets[1], &pid, sizeof(pid)), sizeof(pid));
		igt_assert_eq(ioctl(dev, UDMABUF_GET_INFO, &info), 0);
		close(create_pages(dev, 1));
		igt_assert_eq(__create_pages(dev, 300), -ENOMEM);
	}
	igt_waitchildren();
	igt_assert_eq(read(sockets[0], &pid, sizeof(pid)), sizeof(pid));
	close(sockets[0]);
	close(sockets[1]);
	igt_assert(traced("pinfold_cap:", "cap=14"));
	igt_assert(!asked_audibly(pid));
}

int igt_main()
{
	static int dev = -1;

	igt_fixture() {
		dev = open_udmabuf();
		igt_require_f(!access(USER_LIMIT, W_OK), "no %s\n",
			      USER_LIMIT);
	}

	igt_describe("A dma-buf is charged by its size, and shown with its process");
	igt_subtest("charge")
		udmabuf_test(test_charge, dev);
	igt_describe("So is one of many slices, also of the same page");
	igt_subtest("charge-list")
		udmabuf_test(test_charge_list, dev);
	igt_describe("So is one of huge pages, which count as one folio each");
	igt_subtest("charge-hugetlb")
		udmabuf_test(test_charge_hugetlb, dev);
	igt_describe("What could not be created is not charged");
	igt_subtest("failed-create")
		udmabuf_test(test_failed_create, dev);
	igt_describe("The charge stays as long as a descriptor or a mapping is there");
	igt_subtest("last-reference")
		udmabuf_test(test_last_reference, dev);
	igt_describe("It stays with the user who asked when the process has ended, and goes when "
		     "another user drops the last reference");
	igt_subtest("process-gone")
		udmabuf_test(test_process_gone, dev);
	igt_describe("It stays with the user who asked when the process becomes another");
	igt_subtest("setuid")
		udmabuf_test(test_setuid, dev);
	igt_describe("Only root sees who has what, and nobody sees a pointer");
	igt_subtest("root-only")
		udmabuf_test(test_root_only, dev);
	igt_describe("Pin, unpin and a limit hit are traced with file, range, folios and result");
	igt_subtest("tracepoints")
		udmabuf_test(test_tracepoints, dev);
	igt_describe("Limits that are asked for or hit are no denied capability for the "
		     "audit log");
	igt_subtest("no-audit")
		udmabuf_test(test_no_audit, dev);
	pin_account_limits_subtests(dev);
	pin_account_share_subtests(dev);

	igt_fixture()
		close(dev);
}
