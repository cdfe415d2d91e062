// SPDX-License-Identifier: MIT
/*
 * Who is charged for pinned memory, and how much, as memfd_pin.ko shows it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "charge_helper.h"
#include "igt.h"
#include "pin_helper.h"

void become(uid_t user)
{
	igt_assert_eq(setresgid(user, user, user), 0);
	igt_assert_eq(setresuid(user, user, user), 0);
}

void limit_users(unsigned int mib)
{
	set(USER_LIMIT, "%u", mib);
	set(PROCESS_SHARE, "0");
}

static FILE *open_list(const char *name)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), PIN_DEBUGFS "%s", name);
	file = fopen(path, "r");
	igt_require_f(file || !access(PIN_DEBUGFS, F_OK), "no debugfs\n");
	igt_assert_f(file, "no %s\n", path);
	return file;
}

/* How many users are listed, of one or of all, and for how many bytes. */
static int find_charge(int user, int64_t *total)
{
	FILE *file = open_list("users");
	int64_t bytes;
	char line[128];
	int uid, found = 0;

	*total = 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%d %" SCNd64, &uid, &bytes) == 2 &&
		    (user < 0 || uid == user)) {
			*total += bytes;
			found++;
		}
	fclose(file);
	return found;
}

int64_t charged(int uid)
{
	int64_t total;

	find_charge(uid, &total);
	return total;
}

bool listed(uid_t user)
{
	int64_t total;

	return find_charge(user, &total);
}

struct owner owner_of(uid_t user, pid_t process, const char *driver)
{
	struct owner owner, found = {};
	FILE *file = open_list("owners");
	char line[256], name[32];
	unsigned int uid;
	int pid;

	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%u %d %31s %" SCNd64 " %" SCNd64 " %31[^\n]",
			   &uid, &pid, name, &owner.bytes, &owner.folios,
			   owner.command) == 6 &&
		    uid == user && pid == process && !strcmp(name, driver))
			found = owner;
	fclose(file);
	return found;
}
