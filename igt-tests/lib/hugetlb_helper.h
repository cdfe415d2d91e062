/* SPDX-License-Identifier: MIT */
/*
 * The kernel's pool of huge pages of 2 MiB, and how many of them are in use.
 */
#ifndef HUGETLB_HELPER_H
#define HUGETLB_HELPER_H

#include <stdint.h>

#define POOL	"/sys/kernel/mm/hugepages/hugepages-2048kB/"

struct pool {
	int64_t total, free, reserved, surplus;
};

struct pool pool(void);

/* The pool is as it was, but for what was added to each count */
void check_pool(struct pool was, int total, int free, int reserved, int surplus);

#endif
