/* SPDX-License-Identifier: MIT */
/*
 * A control group of the test's own, with one controller.
 */
#ifndef CGROUP_HELPER_H
#define CGROUP_HELPER_H

#include <stdint.h>

/*
 * Make one and go there, until the subtest ends at the latest; skips the subtest where the
 * controller is absent
 */
void cgroup_enter(const char *controller);
void cgroup_leave(void);

/* Write to one of its files: 0 or a negative error */
int cgroup_write(const char *name, const char *line);
/* A number that one of its files has */
int64_t cgroup_read(const char *name);

#endif
