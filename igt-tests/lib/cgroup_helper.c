// SPDX-License-Identifier: MIT
/*
 * A control group of the test's own, with one controller.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup_helper.h"
#include "igt.h"
#include "pin_helper.h"

#define ROOT		"/sys/fs/cgroup/"
#define LOOKS		10000

static char group[64];

int cgroup_write(const char *name, const char *line)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", group, name);
	return write_line(path, line);
}

int64_t cgroup_read(const char *name)
{
	char path[128], line[32];

	snprintf(path, sizeof(path), "%s/%s", group, name);
	igt_assert_eq(read_line(path, line, sizeof(line)), 0);
	return strtoll(line, NULL, 10);
}

/* Also called when the program exits, so nothing in here may fail a test. */
void cgroup_leave(void)
{
	if (!group[0])
		return;
	write_line(ROOT "cgroup.procs", "0");
	/* A thread that was joined may still be on its way out of the group. */
	for (int i = 0; i < LOOKS && rmdir(group) && errno == EBUSY; i++)
		usleep(1000);
	group[0] = '\0';
}

void cgroup_enter(const char *controller)
{
	char line[32];

	cgroup_leave();
	snprintf(line, sizeof(line), "+%s", controller);
	igt_require_f(!write_line(ROOT "cgroup.subtree_control", line),
		      "no %s controller\n", controller);
	snprintf(group, sizeof(group), ROOT "pinfold-test-%d", getpid());
	igt_assert_f(!mkdir(group, 0700), "%s: %s\n", group, strerror(errno));
	undo_at_end(cgroup_leave);
	igt_assert_eq(cgroup_write("cgroup.procs", "0"), 0);
}
