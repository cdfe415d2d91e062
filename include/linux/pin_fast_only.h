/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pin_user_pages_fast_only() for kernels since 6.3, which have it no more.
 *
 * A module gets it from memfd_pin.ko. A driver that is built in a kernel tree
 * cannot: it compiles mm/pin_fast_only.c into itself, and calls
 * pin_fast_only_debugfs() for the switch.
 */
#ifndef _LINUX_PIN_FAST_ONLY_H
#define _LINUX_PIN_FAST_ONLY_H

#include <linux/mm.h>
#include <linux/types.h>

struct dentry;

/* The switch: every n-th call pins nothing. */
extern u32 pin_fast_only_interval;

int pin_user_pages_fast_only(unsigned long start, int nr_pages,
			     unsigned int gup_flags, struct page **pages);
void pin_fast_only_debugfs(struct dentry *parent);

#endif /* _LINUX_PIN_FAST_ONLY_H */
