/* SPDX-License-Identifier: MIT */
/*
 * What the mempinfd tests share.
 */
#ifndef MEMPINFD_HELPER_H
#define MEMPINFD_HELPER_H

#include <linux/mempinfd.h>

#include "charge_helper.h"
#include "pin_helper.h"
#include "process_helper.h"
#include "uffd_helper.h"

/*
 * Runs a subtest, and fails it if it leaves a pinned page, a charge or an open
 * descriptor behind
 */
void mempinfd_test(void (*test)(void));

/* The ioctls: with __ they return a negative error, without it an error fails */
int open_mempinfd(void);
int __pin(int fd, const void *addr, uint64_t size);
int __unpin(int fd, const void *addr, uint64_t size);
void pin(int fd, const void *addr, uint64_t size);
void unpin(int fd, const void *addr, uint64_t size);

#endif
