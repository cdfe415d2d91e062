/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Mounts of hugetlbfs that have to outlive the pinned pages of their files.
 */
#ifndef _LINUX_PIN_MOUNT_H
#define _LINUX_PIN_MOUNT_H

#include <linux/types.h>

struct file;
struct page;
struct pin_mount;

#ifdef CONFIG_HUGETLBFS
int pin_mount_hold(struct pin_mount **mounts, struct file *file);
int pin_mounts_hold_mapped(struct pin_mount **mounts, unsigned long addr,
			   unsigned long end);
bool pin_mounts_held(const struct pin_mount *mounts, struct page **pages, long nr);
void pin_mounts_release(struct pin_mount **mounts);
#else
static inline int pin_mount_hold(struct pin_mount **mounts, struct file *file)
{
	return 0;
}

static inline int pin_mounts_hold_mapped(struct pin_mount **mounts, unsigned long addr,
					 unsigned long end)
{
	return 0;
}

static inline bool pin_mounts_held(const struct pin_mount *mounts, struct page **pages,
				   long nr)
{
	return true;
}

static inline void pin_mounts_release(struct pin_mount **mounts)
{
}
#endif

#endif /* _LINUX_PIN_MOUNT_H */
