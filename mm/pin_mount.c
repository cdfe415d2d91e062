// SPDX-License-Identifier: GPL-2.0
/*
 * A mount of hugetlbfs that has a size or a reservation counts its pages until they
 * are free, wherever they are by then. If it went before that, the last one of
 * them would be counted in freed memory. So who pins them holds the mount.
 */
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/pin_mount.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "pin_count.h"

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
 * pin_mounts_hold_mapped() - hold the mounts of what the caller has mapped
 * @mounts: list of what is held; NULL: nothing yet
 * @addr: user address
 * @end: the first one that is not meant
 *
 * Another thread can map something else before it is pinned, which pin_mounts_held()
 * finds.
 *
 * Context: may sleep and allocate; takes mmap_lock.
 *
 * Return: 0, -ENOMEM, or -EINTR for a fatal signal; what was held then stays so.
 */
int pin_mounts_hold_mapped(struct pin_mount **mounts, unsigned long addr,
			   unsigned long end)
{
	struct vm_area_struct *vma;
	int err = 0;

	if (mmap_read_lock_killable(current->mm))
		return -EINTR;
	for (vma = find_vma(current->mm, addr); vma && vma->vm_start < end;
	     vma = find_vma(current->mm, vma->vm_end)) {
		if (vma->vm_file)
			err = pin_mount_hold(mounts, vma->vm_file);
		if (!err && fatal_signal_pending(current))
			err = -EINTR;
		if (err)
			break;
		cond_resched();
	}
	mmap_read_unlock(current->mm);
	return err;
}
EXPORT_SYMBOL_GPL(pin_mounts_hold_mapped);

/* Whether a folio is counted by no mount, or by one that is held. */
static bool is_held(const struct pin_mount *mounts, struct folio *folio)
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

/**
 * pin_mounts_held() - whether the folios of pages can be kept
 * @mounts: list of what is held
 * @pages: pages that are pinned
 * @nr: how many
 *
 * Context: any.
 *
 * Return: true, if each is counted by no mount, or by one of the list.
 */
bool pin_mounts_held(const struct pin_mount *mounts, struct page **pages, long nr)
{
	long i;

	for (i = 0; i < nr; i++)
		if (!is_held(mounts, held_folio(pages[i])))
			return false;
	return true;
}
EXPORT_SYMBOL_GPL(pin_mounts_held);

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
