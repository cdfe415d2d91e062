// SPDX-License-Identifier: MIT
/*
 * What can be seen of dma-bufs from outside: their names, the list of them in
 * debugfs, and tracepoints.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/dma-buf.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "igt.h"
#include "mount_helper.h"
#include "udmabuf_ext.h"

#define DEBUGFS	"/sys/kernel/debug/udmabuf/"
#define BUFFERS	DEBUGFS "buffers"
#define TRACING	"/sys/kernel/tracing/"

#define NPAGES	4

static uint64_t inode_of(int fd)
{
	struct stat st;

	igt_assert_eq(fstat(fd, &st), 0);
	return st.st_ino;
}

static int create_named(int dev, const char *name)
{
	int memfd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), dmabuf;

	igt_assert_lte(0, memfd);
	igt_assert_eq(ftruncate(memfd, pages(NPAGES)), 0);
	seal(memfd, F_SEAL_SHRINK);
	dmabuf = create(dev, memfd, 0, pages(NPAGES));
	close(memfd);
	return dmabuf;
}

/* A line of the list, of which the numbers may be missing. */
struct line {
	uint64_t inode, bytes;
	int pid;
	unsigned int uid, attachments;
	char folios[64], flags[32], name[128];
};

static bool parse(const char *text, struct line *line)
{
	line->name[0] = '\0';
	return sscanf(text, "%" SCNu64 " %d %u %" SCNu64 " %63s %u %31s %127[^\n]",
		      &line->inode, &line->pid, &line->uid, &line->bytes,
		      line->folios, &line->attachments, line->flags,
		      line->name) >= 7;
}

static FILE *open_buffers(void)
{
	FILE *file = fopen(BUFFERS, "r");

	igt_require_f(file || !access(DEBUGFS, F_OK), "no debugfs\n");
	igt_assert_f(file, "no %s\n", BUFFERS);
	return file;
}

/* The line of a dma-buf; one that is not listed has the inode 0. */
static struct line listed(int dmabuf)
{
	struct line line, found = {};
	uint64_t inode = inode_of(dmabuf);
	FILE *file = open_buffers();
	char text[256];

	igt_assert(fgets(text, sizeof(text), file));
	igt_assert_eq(strcmp(text, "inode pid uid bytes folios attachments flags "
			     "name\n"), 0);
	while (fgets(text, sizeof(text), file)) {
		igt_assert_f(parse(text, &line), "%s", text);
		if (line.inode == inode)
			found = line;
	}
	fclose(file);
	return found;
}

static void check_name(int dmabuf, const char *name, const char *escaped)
{
	char path[64], link[256] = "", text[512] = "", want[256];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", dmabuf);
	igt_assert(readlink(path, link, sizeof(link) - 1) > 0);
	snprintf(want, sizeof(want), "/dmabuf:%s", name);
	igt_assert_f(!strcmp(link, want), "%s, not %s\n", link, want);

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", dmabuf);
	file = fopen(path, "r");
	igt_assert(file && fread(text, 1, sizeof(text) - 1, file) > 0);
	fclose(file);
	igt_assert(strstr(text, "exp_name:\tudmabuf\n"));
	snprintf(want, sizeof(want), "name:\t%s\n", name);
	igt_assert_f(strstr(text, want), "%s", text);

	igt_assert_f(!strcmp(listed(dmabuf).name, escaped), "%s, not %s\n",
		     listed(dmabuf).name, escaped);
}

static void test_name(int dev)
{
	static const struct {
		const char *memfd, *name, *escaped;
	} names[] = {
		{ "frame", "frame", "frame" },
		{ "", "", "" },
		{ "a b/c", "a b/c", "a b/c" },
		{ "tab\tand\nline", "tab\tand\nline", "tab\\011and\\012line" },
		{ "back\\slash", "back\\slash", "back\\134slash" },
		{ "%s%n\"'<&", "%s%n\"'<&", "%s%n\"'<&" },
		{ "Gr\xc3\xbc\xc3\x9f", "Gr\xc3\xbc\xc3\x9f", "Gr\xc3\xbc\xc3\x9f" },
		{ "memfd:twice", "memfd:twice", "memfd:twice" },
		/* As long as a dma-buf's can be */
		{ "abcdefghijklmnopqrstuvwxyz0123456789",
		  "abcdefghijklmnopqrstuvwxyz01234",
		  "abcdefghijklmnopqrstuvwxyz01234" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int dmabuf = create_named(dev, names[i].memfd);

		check_name(dmabuf, names[i].name, names[i].escaped);
		close(dmabuf);
	}
}

static void test_name_set(int dev)
{
	int dmabuf = create_named(dev, "first");

	igt_assert_eq(ioctl(dmabuf, DMA_BUF_SET_NAME_B, (uintptr_t)"second"), 0);
	check_name(dmabuf, "second", "second");
	igt_assert_eq(ioctl(dmabuf, DMA_BUF_SET_NAME_B, (uintptr_t)"a\nb"), 0);
	check_name(dmabuf, "a\nb", "a\\012b");
	igt_assert_eq(ioctl(dmabuf, DMA_BUF_SET_NAME_B, (uintptr_t)""), 0);
	check_name(dmabuf, "", "");
	close(dmabuf);
}

/* Of a list, the first one gives the name; of a file, it is the last part. */
static void test_name_list(int dev)
{
	int memfd = sealed_memfd(SHMEM, pages(NPAGES)), fd, dmabuf;
	struct udmabuf_create_item items[2] = {};

	mount_dir("tmpfs", "tmpfs", "size=1M");
	fd = create_file(MOUNT_DIR "/pool", pages(NPAGES));
	items[0].memfd = fd;
	items[0].size = pages(1);
	items[1].memfd = memfd;
	items[1].size = pages(1);
	dmabuf = __create_ext(dev, UDMABUF_FLAGS_UNSEALED, 2, items);
	igt_assert_lte(0, dmabuf);
	check_name(dmabuf, "pool", "pool");
	igt_assert_eq(unlink(MOUNT_DIR "/pool"), 0);
	close(fd);
	check_name(dmabuf, "pool", "pool");
	close(dmabuf);
	close(memfd);
	unmount_dir();
}

static void check_line(int dmabuf, uint64_t bytes, const char *folios,
		       unsigned int attachments, const char *flags)
{
	struct line line = listed(dmabuf);

	igt_assert_eq_u64(line.inode, inode_of(dmabuf));
	igt_assert_eq(line.pid, getpid());
	igt_assert_eq(line.uid, getuid());
	igt_assert_eq_u64(line.bytes, bytes);
	igt_assert_f(!strcmp(line.folios, folios), "%s\n", line.folios);
	igt_assert_eq(line.attachments, attachments);
	igt_assert_f(!strcmp(line.flags, flags), "%s\n", line.flags);
	igt_assert_f(!strcmp(line.name, "udmabuf-test"), "%s\n", line.name);
}

static void test_list(int dev)
{
	int small = filled_memfd(SHMEM, MIB(2)), thp = filled_memfd(THP, MIB(4));
	int huge = filled_memfd(HUGE_2M, MIB(4)), dmabuf, last;
	int drm = drm_open_driver(DRIVER_VGEM);
	struct udmabuf_create_item items[] = {
		{ .memfd = small, .offset = pages(1), .size = pages(5) },
		{ .memfd = huge, .offset = MIB(1), .size = MIB(2) },
		{ .memfd = thp, .offset = 0, .size = pages(3) },
	};
	uint32_t handle;

	dmabuf = create_flags(dev, UDMABUF_FLAGS_UNSEALED, small, 0, pages(7));
	check_line(dmabuf, pages(7), "0:7", 0, "rw,unsealed");
	close(dmabuf);
	dmabuf = create_flags(dev, UDMABUF_FLAGS_UNSEALED | UDMABUF_FLAGS_READONLY,
			      thp, MIB(1), MIB(2));
	check_line(dmabuf, MIB(2), "9:2", 0, "r-,unsealed");
	close(dmabuf);
	seal(huge, F_SEAL_SHRINK);
	dmabuf = create_flags(dev, UDMABUF_FLAGS_READONLY, huge, pages(7), pages(2));
	check_line(dmabuf, pages(2), "9:1", 0, "r-");
	close(dmabuf);

	dmabuf = __create_ext(dev, UDMABUF_FLAGS_UNSEALED, 3, items);
	igt_assert_lte(0, dmabuf);
	check_line(dmabuf, pages(8) + MIB(2), "0:5,9:3", 0, "rw,unsealed");
	igt_assert_eq(import_into(drm, dmabuf, &handle), 0);
	check_line(dmabuf, pages(8) + MIB(2), "0:5,9:3", 1, "rw,unsealed");
	gem_close(drm, handle);
	drm_close_driver(drm);
	check_line(dmabuf, pages(8) + MIB(2), "0:5,9:3", 0, "rw,unsealed");

	/* The last one to hold it is a mapping. */
	last = dup(dmabuf);
	igt_assert_lte(0, last);
	close(dmabuf);
	check_line(last, pages(8) + MIB(2), "0:5,9:3", 0, "rw,unsealed");
	close(last);
	close(huge);
	close(thp);
	close(small);
}

#define USER	4714

static void test_list_user(int dev)
{
	int to_parent[2], to_child[2], dmabuf;
	struct line line;
	char byte;

	igt_assert(!pipe(to_parent) && !pipe(to_child));
	igt_fork(child, 1) {
		igt_assert_eq(setresuid(USER, USER, USER), 0);
		dmabuf = create_named(dev, "user's");
		igt_assert_eq(open(BUFFERS, O_RDONLY), -1);
		igt_assert_eq(errno, EACCES);
		igt_assert_eq(write(to_parent[1], &dmabuf, sizeof(dmabuf)),
			      sizeof(dmabuf));
		igt_assert_eq(read(to_child[0], &byte, 1), 1);
	}
	close(to_parent[1]);
	if (read(to_parent[0], &dmabuf, sizeof(dmabuf)) == sizeof(dmabuf)) {
		FILE *file = fopen(BUFFERS, "r");
		char text[256];
		bool found = false;

		igt_assert(file);
		while (fgets(text, sizeof(text), file))
			found |= parse(text, &line) && line.uid == USER &&
				 line.bytes == pages(NPAGES) &&
				 !strcmp(line.name, "user's");
		fclose(file);
		igt_assert_eq(write(to_child[1], "", 1), 1);
		igt_waitchildren();
		igt_assert(found);
	}
	igt_waitchildren();
	close(to_parent[0]);
	close(to_child[0]);
	close(to_child[1]);
}

#define MANY	300

struct churn {
	int dev, memfd;
	atomic_bool stop;
};

static void *churn_thread(void *arg)
{
	struct churn *churn = arg;
	int fds[64];

	while (!churn->stop) {
		for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
			fds[i] = create(churn->dev, churn->memfd, 0, page_size());
		for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
			close(fds[i]);
	}
	return NULL;
}

/* Of so many, all are there in each reading, once, whoever comes and goes. */
static void test_list_many(int dev)
{
	struct churn churn = {
		.dev = dev,
		.memfd = sealed_memfd(SHMEM, page_size()),
	};
	int churned[200], dmabufs[MANY];
	uint64_t inodes[MANY];
	pthread_t thread;

	/* Some that were there first, and are going to go. */
	for (size_t i = 0; i < ARRAY_SIZE(churned); i++)
		churned[i] = create(dev, churn.memfd, 0, page_size());
	for (size_t i = 0; i < MANY; i++) {
		dmabufs[i] = create(dev, churn.memfd, 0, page_size());
		inodes[i] = inode_of(dmabufs[i]);
	}
	igt_assert_eq(pthread_create(&thread, NULL, churn_thread, &churn), 0);
	for (size_t turn = 0; turn < ARRAY_SIZE(churned); turn += 10) {
		unsigned int seen[MANY] = {}, closed = 0;
		FILE *file = open_buffers();
		struct line line;
		char text[256];

		/* Several times what one read returns. */
		while (fgets(text, sizeof(text), file)) {
			if (!parse(text, &line))
				continue;
			for (size_t i = 0; i < MANY; i++)
				seen[i] += line.inode == inodes[i];
			if (closed < 10)
				close(churned[turn + closed++]);
		}
		fclose(file);
		for (size_t i = 0; i < MANY; i++)
			igt_assert_f(seen[i] == 1, "number %zu: %u times\n", i,
				     seen[i]);
	}
	churn.stop = true;
	pthread_join(thread, NULL);
	for (size_t i = 0; i < MANY; i++)
		close(dmabufs[i]);
	close(churn.memfd);
}

static void test_list_root_only(int dev)
{
	int dmabuf = create_named(dev, "plain");
	char text[4096] = "";
	struct stat st;
	FILE *file;

	fclose(open_buffers());
	igt_assert_eq(stat(BUFFERS, &st), 0);
	igt_assert_eq(st.st_mode & 0777, 0400);
	file = fopen(BUFFERS, "r");
	igt_assert(file && fread(text, 1, sizeof(text) - 1, file) > 0);
	fclose(file);
	igt_assert(!strstr(text, "0x") && !strstr(text, "ffff"));
	close(dmabuf);
}

/* How many lines of the trace have all of the words. */
static int traced(const char *event, const char *words)
{
	FILE *file = fopen(TRACING "trace", "r");
	char line[512];
	int found = 0;

	igt_assert(file);
	while (fgets(line, sizeof(line), file)) {
		char *text = strstr(line, event);

		/* Flags are a hexadecimal number, and nothing else is. */
		if (text)
			igt_assert(!strstr(text, "ffff"));
		found += text && strstr(text, words);
	}
	fclose(file);
	return found;
}

static void clear_trace(void)
{
	int fd = open(TRACING "trace", O_WRONLY | O_TRUNC | O_CLOEXEC);

	igt_assert_lte(0, fd);
	close(fd);
}

static void test_tracepoints(int dev)
{
	int memfd = sealed_memfd(HUGE_2M, MIB(4)), fd, dup_fd;
	struct udmabuf_create_item items[] = {
		{ .memfd = memfd, .offset = 0, .size = MIB(3) },
		{ .memfd = memfd, .offset = pages(1), .size = pages(2) },
		{ .memfd = memfd, .offset = pages(3), .size = pages(2) },
	};
	char words[128];

	igt_require_f(!access(TRACING "events", F_OK), "no tracepoints\n");
	igt_assert_eq(access(TRACING "events/udmabuf", F_OK), 0);
	set(TRACING "events/udmabuf/enable", "1");
	clear_trace();
	fd = __create_ext(dev, UDMABUF_FLAGS_READONLY, 3, items);
	igt_assert_lte(0, fd);
	snprintf(words, sizeof(words), "ino=%" PRIu64 " pages=%zu folios=3 ",
		 inode_of(fd), MIB(3) / page_size() + 4);
	igt_assert_eq(traced("udmabuf_create:", words), 1);
	igt_assert_eq(traced("udmabuf_create:", "flags=0x2\n"), 1);
	dup_fd = dup(fd);
	close(fd);
	igt_assert_eq(traced("udmabuf_release:", words), 0);
	close(dup_fd);
	igt_assert_eq(traced("udmabuf_release:", words), 1);

	/* What fails is not made. */
	clear_trace();
	items[2].memfd = -1;
	igt_assert_eq(__create_ext(dev, 0, 3, items), -EBADFD);
	igt_assert_eq(traced("udmabuf_create:", ""), 0);
	igt_assert_eq(traced("udmabuf_release:", ""), 0);
	set(TRACING "events/udmabuf/enable", "0");
	close(memfd);
}

void udmabuf_ext_show_subtests(int dev)
{
	igt_describe("A dma-buf has its memfd's name, whatever is in it");
	igt_subtest("name")
		udmabuf_test(test_name, dev);
	igt_describe("DMA_BUF_SET_NAME gives it another one");
	igt_subtest("name-set")
		udmabuf_test(test_name_set, dev);
	igt_describe("The first file of a list gives the name");
	igt_subtest("name-list")
		udmabuf_test(test_name_list, dev);
	igt_describe("Each dma-buf is listed, with process, user, size, folios, attachments and "
		     "flags");
	igt_subtest("debugfs-list")
		udmabuf_test(test_list, dev);
	igt_describe("So are those of other users, who cannot see it");
	igt_subtest("debugfs-list-user")
		udmabuf_test(test_list_user, dev);
	igt_describe("None is left out while others come and go");
	igt_subtest("debugfs-list-many")
		udmabuf_test(test_list_many, dev);
	igt_describe("Only root sees the list, and nobody a pointer");
	igt_subtest("debugfs-root-only")
		udmabuf_test(test_list_root_only, dev);
	igt_describe("Creation and release are traced");
	igt_subtest("tracepoints")
		udmabuf_test(test_tracepoints, dev);
}
