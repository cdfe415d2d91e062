// SPDX-License-Identifier: MIT
/*
 * Fault injection: the kernel lets the n-th allocation of a thread fail, counted
 * from when n is written to its fail-nth, and what that must not change is looked at.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "charge_helper.h"
#include "fail_nth.h"
#include "hugetlb_helper.h"
#include "igt.h"

#define DEBUGFS		"/sys/kernel/debug/"

/* Far more than any call that is tried here allocates */
#define MAX_ALLOCATIONS	5000

static const char * const injectors[] = {
	DEBUGFS "failslab/", DEBUGFS "fail_page_alloc/",
};

const struct content contents[6] = {
	{ "shmem", SHMEM, false },
	{ "shmem-holes", SHMEM, true },
	{ "thp", THP, false },
	{ "thp-holes", THP, true },
	{ "hugetlb", HUGE_2M, false },
	{ "hugetlb-holes", HUGE_2M, true },
};

static void set_injector(const char *injector, const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "%s%s", injector, name);
	set(path, "%s", value);
}

/* Any allocation may fail, of whatever size and kind, and nobody talks about it. */
static void set_up_injection(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(injectors); i++) {
		set_injector(injectors[i], "ignore-gfp-wait", "N");
		set_injector(injectors[i], "verbose", "0");
	}
	set_injector(injectors[1], "ignore-gfp-highmem", "N");
	set_injector(injectors[1], "min-order", "0");
}

void leave_out(const char *function)
{
	uint64_t addr, start = 0, end = UINT64_MAX;
	char line[256], name[128], value[32];
	FILE *file = fopen("/proc/kallsyms", "r");

	igt_assert(file);
	while (!start && fgets(line, sizeof(line), file))
		if (sscanf(line, "%" SCNx64 " %*c %127s", &addr, name) == 2 &&
		    !strcmp(name, function))
			start = addr;
	igt_require_f(start, "the kernel has no %s\n", function);
	rewind(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%" SCNx64, &addr) == 1 && addr > start && addr < end)
			end = addr;
	fclose(file);

	for (size_t i = 0; i < ARRAY_SIZE(injectors); i++) {
		snprintf(value, sizeof(value), "%#" PRIx64, start);
		set_injector(injectors[i], "reject-start", value);
		snprintf(value, sizeof(value), "%#" PRIx64, end);
		set_injector(injectors[i], "reject-end", value);
	}
}

bool allocates_under(const char *lock)
{
	bool found = false, it = false, allocates = false;
	FILE *file = fopen("/proc/lockdep", "r");
	char line[256], *name;

	igt_require_f(file, "no lockdep\n");
	/* Each lock, and in the lines after it those that were taken under it */
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		name = strrchr(line, ' ');
		if (!name)
			continue;
		if (strncmp(line, " -> ", 4))
			it = !strcmp(name + 1, lock);
		found |= it;
		allocates |= it && !strcmp(name + 1, "fs_reclaim");
	}
	fclose(file);
	igt_assert_f(found, "there is no lock %s\n", lock);
	return allocates;
}

/* @n is 0: no more of them */
static void write_nth(int fd, unsigned int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);

	igt_assert_eq(pwrite(fd, text, len, 0), len);
}

/* How many allocations are yet to succeed, and the one that fails; 0 if it has. */
static unsigned int read_nth(int fd)
{
	char text[16] = "";

	igt_assert_lt(0, pread(fd, text, sizeof(text) - 1, 0));
	return strtoul(text, NULL, 10);
}

struct state {
	int64_t pins, charge;
	int fds;
};

static struct state state(void)
{
	return (struct state) {
		.pins = pins_held(),
		.charge = charged(-1),
		.fds = count_open_fds(),
	};
}

static void check_state(struct state was)
{
	struct state is = state();

	igt_assert_eq_s64(is.pins, was.pins);
	igt_assert_eq_s64(is.charge, was.charge);
	igt_assert_eq(is.fds, was.fds);
}

/* Huge pages that are taken from those that anybody can have */
static int64_t huge_pages_taken(void)
{
	struct pool is = pool();

	return is.total - is.free + is.reserved;
}

void try_all(const struct trial *trial)
{
	int fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	unsigned int n = 0, failed = 0;
	bool injected;
	int result;

	igt_assert_lte(0, fd);
	set_up_injection();
	do {
		int64_t taken = huge_pages_taken();
		struct state idle = state(), ready;

		igt_assert_lt(++n, MAX_ALLOCATIONS);
		trial->prepare();
		ready = state();

		write_nth(fd, n);
		result = trial->attempt();
		injected = !read_nth(fd);
		write_nth(fd, 0);

		if (result < 0) {
			igt_assert_f(injected && !trial->never_fails &&
				     result == -ENOMEM,
				     "allocation %u failed%s: %s\n", n,
				     injected ? "" : " not", strerror(-result));
			failed++;
			check_state(ready);
			if (trial->check)
				trial->check();
			result = trial->attempt();
			igt_assert_f(result >= 0, "after allocation %u: %s\n", n,
				     strerror(-result));
		}
		trial->finish(result);
		check_state(idle);
		igt_assert_eq_s64(huge_pages_taken(), taken);
	} while (injected);

	/* Else nothing was tried. */
	igt_assert(failed || trial->never_fails);
	igt_info("%u allocations, of which %u are needed\n", n - 1, failed);
	close(fd);
}

/* Memory */

size_t content_pages(const struct content *content)
{
	return content->backing == SHMEM ? 16 : MIB(4) / page_size();
}

int content_memfd(const struct content *content)
{
	size_t count = content_pages(content);
	int64_t thp = vmstat("nr_shmem_hugepages");
	int memfd;
	void *mem;

	set_shmem_thp("never");
	memfd = unsealed_memfd(content->backing, pages(count));
	if (content->holes)
		return memfd;
	mem = map_fd(memfd, pages(count));
	fill(mem, 0, count, 1);
	unmap(mem, pages(count));
	if (content->backing == THP)
		igt_require_f(vmstat("nr_shmem_hugepages") - thp == 2,
			      "no transparent huge pages for shmem\n");
	return memfd;
}

void check_content(const struct content *content, const void *mem)
{
	size_t count = content_pages(content);

	igt_assert_eq(content->holes ? count_zero(mem, count) :
				       count_filled(mem, 0, count, 1), count);
}
