// SPDX-License-Identifier: MIT
/*
 * Tests of what a process may pin of its user's limit, see pin_account.c: as much as
 * leaves something to the user's other processes.
 */
#include <errno.h>
#include <linux/udmabuf_ext.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "igt.h"
#include "pin_account.h"

/* Pages in the limit that the tests set, and the limit in MiB */
#define LIMIT		256
#define LIMIT_MIB	(pages(LIMIT) / MIB(1))

/*
 * A process gets a page as long as it has less than @share times what is left then;
 * as the rule is written, page by page.
 */
static size_t room(size_t share, size_t left, size_t held)
{
	size_t n = 0;

	while (left && held < share * left) {
		held++;
		left--;
		n++;
	}
	return n;
}

static size_t available(int dev)
{
	struct udmabuf_info info;

	igt_assert_eq(ioctl(dev, UDMABUF_GET_INFO, &info), 0);
	return info.available / page_size();
}

/* As many dma-bufs of @count pages as there can be; returns how many there are. */
static size_t take_all(int dev, size_t count)
{
	size_t n = 0;
	int fd;

	for (;;) {
		fd = __create_pages(dev, count);
		if (fd < 0)
			break;
		n++;
	}
	igt_assert_eq(fd, -ENOMEM);
	return n;
}

static void limit_share(unsigned int share)
{
	limit_users(LIMIT_MIB);
	set(PROCESS_SHARE, "%u", share);
}

/* What a process gets is the same in one piece and page by page. */
static void check_alone(int dev, size_t share)
{
	const size_t most = room(share, LIMIT, 0);

	limit_share(share);
	igt_fork(child, 1) {
		int fd;

		become(USER);
		igt_assert_eq(available(dev), most);
		igt_assert_eq(__create_pages(dev, most + 1), -ENOMEM);
		fd = create_pages(dev, most);
		igt_assert_eq(available(dev), 0);
		igt_assert_eq(__create_pages(dev, 1), -ENOMEM);
		close(fd);
		igt_assert_eq(available(dev), most);

		for (size_t held = 0; held < most; held++) {
			igt_assert_eq(available(dev),
				      room(share, LIMIT - held, held));
			create_pages(dev, 1);
		}
		igt_assert_eq(take_all(dev, 1), 0);
	}
	igt_waitchildren();
	igt_assert(!listed(USER));
}

static void test_alone(int dev)
{
	check_alone(dev, 1);
	check_alone(dev, 2);
	check_alone(dev, 4);
	check_alone(dev, 100);
	igt_assert_eq(room(4, LIMIT, 0), (4 * LIMIT + 4) / 5);
}

/*
 * Two processes that take what they can get, one before the other, and a third one that
 * comes last.
 */
static void test_three(int dev)
{
	const size_t first = room(4, LIMIT, 0);
	const size_t second = room(4, LIMIT - first, 0);
	int greedy[2][2], last[2];

	limit_share(4);
	for (int i = 0; i < 2; i++) {
		make_sockets(greedy[i]);
		igt_fork(child, 1) {
			int socket = greedy[i][1];

			close(greedy[i][0]);
			become(USER);
			igt_assert_eq(take_all(dev, 1), i ? second : first);
			tell(socket);
			await(socket);
			igt_assert_eq(take_all(dev, 1), 0);
			tell(socket);
			await(socket);
		}
		close(greedy[i][1]);
		await(greedy[i][0]);
	}
	igt_assert_eq_s64(charged(USER), pages(first + second));

	make_sockets(last);
	igt_fork(child, 1) {
		const size_t left = LIMIT - first - second;
		int cursor, fds[4];

		become(USER);
		igt_assert_eq(available(dev), room(4, left, 0));
		cursor = create_pages(dev, 4);
		close(cursor);
		/* While it has something, others get no more than before. */
		for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
			fds[i] = create_pages(dev, 1);
		for (int i = 0; i < 2; i++) {
			tell(greedy[i][0]);
			await(greedy[i][0]);
		}
		igt_assert_eq(available(dev), room(4, left - 4, 4));
		for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
			close(fds[i]);
		tell(last[1]);
	}
	close(last[1]);
	/* Their turn comes by the third one, and then, to end, from here. */
	await(last[0]);
	for (int i = 0; i < 2; i++)
		tell(greedy[i][0]);
	igt_waitchildren();
	igt_assert(!listed(USER));
	for (int i = 0; i < 2; i++)
		close(greedy[i][0]);
	close(last[0]);
}

/* Two that take turns get the same, four ninths each. */
static void test_two_equal(int dev)
{
	int sockets[2][2];

	limit_share(4);
	for (int i = 0; i < 2; i++) {
		make_sockets(sockets[i]);
		igt_fork(child, 1) {
			int socket = sockets[i][1];
			size_t held = 0;
			char byte;

			close(sockets[i][0]);
			if (i)
				close(sockets[0][0]);
			become(USER);
			while (read(socket, &byte, 1) == 1) {
				held += __create_pages(dev, 1) >= 0;
				tell(socket);
			}
			igt_assert_lte(4 * LIMIT / 9, held);
			igt_assert_lte(held, 4 * LIMIT / 9 + 1);
		}
		close(sockets[i][1]);
	}
	for (size_t turn = 0; turn < LIMIT / 2; turn++)
		for (int i = 0; i < 2; i++) {
			tell(sockets[i][0]);
			await(sockets[i][0]);
		}
	for (int i = 0; i < 2; i++)
		close(sockets[i][0]);
	igt_waitchildren();
	igt_assert(!listed(USER));
}

/* As long as there is a page, who has none gets it. */
static void test_first(int dev)
{
	limit_share(4);
	igt_fork(child, 1) {
		int sockets[2];

		/* Privileged, it leaves only what it wants to. */
		igt_assert_eq(setresuid(USER, 0, 0), 0);
		create_pages(dev, LIMIT - 8);
		make_sockets(sockets);
		/* Four pages, in one buffer, then one each. */
		for (int i = 0; i < 6; i++) {
			pid_t pid = fork();

			igt_assert_lte(0, pid);
			if (!pid) {
				int fd, count = i ? 1 : 4;

				become(USER);
				fd = __create_pages(dev, count);
				tell(sockets[1]);
				await(sockets[1]);
				_exit(i == 5 ? fd != -ENOMEM : fd < 0);
			}
			await(sockets[0]);
		}
		for (int i = 0; i < 6; i++)
			tell(sockets[0]);
		for (int i = 0; i < 6; i++) {
			int status;

			igt_assert_lte(0, wait(&status));
			igt_assert_eq(status, 0);
		}
		close(sockets[0]);
		close(sockets[1]);
	}
	igt_waitchildren();
	igt_assert(!listed(USER));
}

/*
 * What a process has asked for stays its own when it has ended, whoever has the
 * descriptor: another one has all that the user has left to share.
 */
static void test_gone(int dev)
{
	const size_t first = room(4, LIMIT, 0);

	limit_share(4);
	igt_fork(child, 1) {
		int sockets[2], fd, status;
		pid_t pid;

		become(USER);
		make_sockets(sockets);
		pid = fork();
		igt_assert_lte(0, pid);
		if (!pid) {
			fd = __create_pages(dev, first);
			if (fd < 0)
				_exit(1);
			send_fd(sockets[1], fd);
			_exit(0);
		}
		close(sockets[1]);
		fd = receive_fd(sockets[0]);
		igt_assert_eq(waitpid(pid, &status, 0), pid);
		igt_assert_eq(status, 0);
		igt_assert_eq(available(dev), room(4, LIMIT - first, 0));
		create_pages(dev, room(4, LIMIT - first, 0));
		close(fd);
		igt_assert_lt(room(4, LIMIT - first, 0), available(dev));
		close(sockets[0]);
	}
	igt_waitchildren();
	igt_assert(!listed(USER));
}

/* The share can change while there are pins, and 0 stands for all that is left. */
static void test_changed(int dev)
{
	limit_share(1);
	igt_fork(child, 1) {
		igt_assert_eq(setresuid(USER, USER, 0), 0);
		create_pages(dev, LIMIT / 2);
		igt_assert_eq(__create_pages(dev, 1), -ENOMEM);
		igt_assert_eq(seteuid(0), 0);
		igt_assert_eq(write_line(PROCESS_SHARE, "4"), 0);
		igt_assert_eq(seteuid(USER), 0);
		igt_assert_eq(available(dev), room(4, LIMIT / 2, LIMIT / 2));
		igt_assert_eq(seteuid(0), 0);
		igt_assert_eq(write_line(PROCESS_SHARE, "0"), 0);
		igt_assert_eq(seteuid(USER), 0);
		igt_assert_eq(available(dev), LIMIT / 2);
		create_pages(dev, LIMIT / 2);
		igt_assert_eq(__create_pages(dev, 1), -ENOMEM);
		/* Beyond all numbers, as good as none. */
		igt_assert_eq(seteuid(0), 0);
		igt_assert_eq(write_line(PROCESS_SHARE, "4294967295"), 0);
		igt_assert_eq(seteuid(USER), 0);
		igt_assert_eq(available(dev), 0);
	}
	igt_waitchildren();
}

/* What debugfs shows beside what is pinned: what a newcomer may pin. */
static void test_shown(int dev)
{
	igt_require_f(!access(PIN_DEBUGFS, F_OK), "no debugfs\n");
	limit_share(4);
	igt_fork(child, 1) {
		char line[128], *text = NULL;
		unsigned long bytes, limit, left;
		size_t size = 0;
		bool found = false;
		FILE *file;

		igt_assert_eq(setresuid(USER, USER, 0), 0);
		create_pages(dev, 100);
		igt_assert_eq(seteuid(0), 0);
		file = fopen(PIN_DEBUGFS "users", "r");
		igt_assert(file);
		igt_assert_lt(0, getline(&text, &size, file));
		igt_assert_eq(strcmp(text, "uid bytes limit room\n"), 0);
		free(text);
		while (fgets(line, sizeof(line), file)) {
			unsigned int uid;

			if (sscanf(line, "%u %lu %lu %lu", &uid, &bytes, &limit,
				   &left) != 4 || uid != USER)
				continue;
			igt_assert_eq_u64(bytes, pages(100));
			igt_assert_eq_u64(limit, pages(LIMIT));
			igt_assert_eq_u64(left, pages(room(4, LIMIT - 100, 0)));
			found = true;
		}
		fclose(file);
		igt_assert(found);
	}
	igt_waitchildren();
}

void pin_account_share_subtests(int dev)
{
	igt_describe("One process gets process_share times what it leaves to others, in one piece "
		     "or page by page, and is told how much that is");
	igt_subtest("share-alone")
		udmabuf_test(test_alone, dev);
	igt_describe("Two processes of a user that take what they can get leave room for a third "
		     "one");
	igt_subtest("share-three")
		udmabuf_test(test_three, dev);
	igt_describe("Two that take turns get the same");
	igt_subtest("share-two-equal")
		udmabuf_test(test_two_equal, dev);
	igt_describe("Who has nothing yet gets a small buffer, as long as there is room");
	igt_subtest("share-first")
		udmabuf_test(test_first, dev);
	igt_describe("What a process has pinned stays its own after its end");
	igt_subtest("share-process-gone")
		udmabuf_test(test_gone, dev);
	igt_describe("The share can change while there are pins, and be none");
	igt_subtest("share-changed")
		udmabuf_test(test_changed, dev);
	igt_describe("debugfs shows what a user's next process may pin");
	igt_subtest("share-shown")
		udmabuf_test(test_shown, dev);
}
