// SPDX-License-Identifier: GPL-2.0
/*
 * A mount of hugetlbfs that has a size or a reservation counts its pages until they
 * are free, wherever they are by then. If it went before that, the last one of
 * them would be counted in freed memory. So who pins them holds the mount.
 */
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/mount.h>
#include <linux/pin_mount.h>
#include <linux/sched.h>
#include <linux/slab.h>

/**
 * struct pin_mount - a mount that is held
 * @next: the next one
 * @mnt: the mount, one for each filesystem
 */
struct pin_mount {
	struct pin_mount *next;
	struct vfsmount *mnt;
};

/**
 * pin_mount_hold() - hold the mount of a file whose pages are going to be pinned
 * @mounts: list of what is held; NULL: nothing yet
 * @file: any file
 *
 * Does nothing if the filesystem does not count its pages, or is held already. Only
 * root makes filesystems that do, so the list is short.
 *
 * Context: may allocate; takes no locks, the caller may hold mmap_lock.
 *
 * Return: 0 or -ENOMEM.
 */
int pin_mount_hold(struct pin_mount **mounts, struct file *file)
{
	struct vfsmount *mnt = file->f_path.mnt;
	struct pin_mount *mount;

	if (!is_file_hugepages(file) || !HUGETLBFS_SB(mnt->mnt_sb)->spool)
		return 0;
	for (mount = *mounts; mount; mount = mount->next)
		if (mount->mnt->mnt_sb == mnt->mnt_sb)
			return 0;
	mount = kmalloc(sizeof(*mount), GFP_KERNEL_ACCOUNT);
	if (!mount)
		return -ENOMEM;
	mount->mnt = mntget(mnt);
	mount->next = *mounts;
	*mounts = mount;
	return 0;
}
EXPORT_SYMBOL_GPL(pin_mount_hold);

/**
 * pin_mount_held() - whether a folio can be kept
 * @mounts: list of what is held
 * @folio: a folio that is pinned
 *
 * Context: any.
 *
 * Return: true, if it is counted by no mount, or by one of the list.
 */
bool pin_mount_held(const struct pin_mount *mounts, struct folio *folio)
{
	struct hugepage_subpool *spool;

	if (!folio_test_hugetlb(folio))
		return true;
	spool = hugetlb_folio_subpool(folio);
	if (!spool)
		return true;
	for (; mounts; mounts = mounts->next)
		if (HUGETLBFS_SB(mounts->mnt->mnt_sb)->spool == spool)
			return true;
	return false;
}
EXPORT_SYMBOL_GPL(pin_mount_held);

/**
 * pin_mounts_release() - let go of the mounts, after the pins
 * @mounts: list of what is held; empty afterwards
 *
 * Context: process context, may sleep.
 */
void pin_mounts_release(struct pin_mount **mounts)
{
	struct pin_mount *mount;

	while (*mounts) {
		mount = *mounts;
		*mounts = mount->next;
		mntput(mount->mnt);
		kfree(mount);
		cond_resched();
	}
}
EXPORT_SYMBOL_GPL(pin_mounts_release);
