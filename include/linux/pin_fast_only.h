/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pin_user_pages_fast_only() for kernels since 6.3, which have it no more.
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
int pin_user_pages_fast_watched(unsigned long start, int nr_pages,
				unsigned int gup_flags, struct page **pages);
void pin_fast_only_debugfs(struct dentry *parent);

#endif /* _LINUX_PIN_FAST_ONLY_H */
