/* SPDX-License-Identifier: MIT */
/*
 * Who is charged for pinned memory, and how much, as memfd_pin.ko shows it.
 */
#ifndef CHARGE_HELPER_H
#define CHARGE_HELPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PIN_DEBUGFS	"/sys/kernel/debug/memfd_pin/"

/*
 * Parameters: the limit in MiB, the share that a process has of it, and whether locked
 * memory counts, too
 */
#define USER_LIMIT	"/sys/module/memfd_pin/parameters/user_limit_mb"
#define PROCESS_SHARE	"/sys/module/memfd_pin/parameters/process_share"
#define STRICT		"/sys/module/memfd_pin/parameters/strict"

/* Ordinary users, who have no capabilities and nothing else pinned */
#define USER	4711
#define OTHER	4712

void become(uid_t user);

/* A limit of users alone: a process may take all of it, and leave nothing to others. */
void limit_users(unsigned int mib);

/* Bytes that a user is charged for, all together if @uid is -1 */
int64_t charged(int uid);
/* Who has nothing pinned is not listed. */
bool listed(uid_t user);

/* What a process is charged for, by a driver: zeroes, if nothing */
struct owner {
	int64_t bytes;
	int64_t folios;
	char command[32];
};

struct owner owner_of(uid_t user, pid_t process, const char *driver);

#endif
