// SPDX-License-Identifier: MIT
/*
 * Pin the folios of a file on shmem or hugetlbfs that a user range is a shared
 * mapping of.
 */
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/memfd_pin.h>
#include <linux/mm.h>
#include <linux/mmu_context.h>
#include <linux/pin_mount.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/userfaultfd_k.h>

#include "i915_gem_userptr.h"

/* Of Debian's kernels, those without it have no guards in files, either. */
#ifndef VM_MAYBE_GUARD
#define VM_MAYBE_GUARD	0
#endif

/* Whether the folios of the file are the memory that the user has there. */
static bool is_plain_mapping(struct vm_area_struct *vma, unsigned long end,
			     bool write)
{
	unsigned long access = write ? VM_WRITE : VM_READ;

	if (end > vma->vm_end || !vma->vm_file)
		return false;
	if ((vma->vm_flags & (VM_SHARED | access)) != (VM_SHARED | access))
		return false;
	/* Of guards (MADV_GUARD_INSTALL) only the page table says where they are. */
	if (vma->vm_flags & (VM_PFNMAP | VM_MIXEDMAP | VM_IO | VM_MAYBE_GUARD))
		return false;
	/* A hole is not filled before user space has been asked. */
	if (userfaultfd_armed(vma))
		return false;
	return shmem_file(vma->vm_file) || is_file_hugepages(vma->vm_file);
}

/**
 * userptr_find_file() - find the file behind a user range
 * @mm: the process
 * @start: user address, page-aligned
 * @size: length in bytes, page-aligned
 * @write: whether the memory is going to be written to
 * @keys: whether a protection key that the calling thread has not may be in the way
 * @index: where to put the page index of @start in the file
 *
 * The range has to lie in one shared mapping of a file on shmem or hugetlbfs that
 * allows the access, without userfaultfd or guards.
 *
 * Context: may sleep; takes mmap_lock.
 *
 * Return: the file, for fput(); NULL if there is none like that; ERR_PTR(-EINTR)
 * for a fatal signal.
 */
struct file *userptr_find_file(struct mm_struct *mm, unsigned long start,
			       unsigned long size, bool write, bool keys,
			       pgoff_t *index)
{
	struct vm_area_struct *vma;
	struct file *file = NULL;

	if (mmap_read_lock_killable(mm))
		return ERR_PTR(-EINTR);
	vma = vma_lookup(mm, start);
	if (vma && is_plain_mapping(vma, start + size, write) &&
	    (!keys || arch_vma_access_permitted(vma, write, false, false))) {
		file = get_file(vma->vm_file);
		*index = vma->vm_pgoff + ((start - vma->vm_start) >> PAGE_SHIFT);
	}
	mmap_read_unlock(mm);
	return file;
}

/**
 * userptr_in_file() - whether all folios are still in the file that they were pinned in
 * @pages: folios of a file, pinned
 *
 * A folio that is pinned leaves its file for good if a hole is punched.
 *
 * Context: may sleep. Where nothing but this tells of holes, with the inode lock held.
 *
 * Return: true or false; either if there is a fatal signal.
 */
bool userptr_in_file(const struct memfd_pins *pages)
{
	const struct memfd_span *span;
	unsigned long i, pfn, end;
	struct folio *folio;

	for (i = 0; i < pages->nr_spans; i++) {
		span = memfd_pins_span(pages, i);
		end = span->pfn + span->nr;
		for (pfn = span->pfn; pfn < end;) {
			folio = page_folio(pfn_to_page(pfn));
			if (!READ_ONCE(folio->mapping))
				return false;
			pfn = folio_pfn(folio) + folio_nr_pages(folio);
			cond_resched();
		}
		if (fatal_signal_pending(current))
			break;
	}
	return true;
}

/*
 * Whether what is pinned is what the file has there: 0, or -EAGAIN. There may have been
 * a hole punched since, of which the notifier told before the folios went, and so
 * perhaps before anybody asked for its sequence. Who punches holes later tells later, for
 * the inode lock is held now. Others can keep that lock, and are not waited for: then
 * it is -EBUSY.
 */
static int check_holes(struct file *file, const struct memfd_pins *pages)
{
	struct inode *inode = file_inode(file);
	bool there;

	if (!inode_trylock_shared(inode))
		return -EBUSY;
	there = userptr_in_file(pages);
	inode_unlock_shared(inode);
	if (fatal_signal_pending(current))
		return -EINTR;
	return there ? 0 : -EAGAIN;
}

/**
 * userptr_pin_file() - pin a range of a file
 * @wq: for userptr_pins_free()
 * @file: a file on shmem or hugetlbfs
 * @index: page index of the range in the file
 * @nr_pages: number of pages
 *
 * Pins every folio once, as memfd_pin_range() does, but charges nobody for it: the
 * shrinker can have the pages. What is pinned is what the file holds there, as long as
 * the range is not truncated or punched out; whoever has an MMU notifier on a mapping
 * of it reads the sequence before, and again when this has returned.
 *
 * Context: may sleep; as memfd_pin_range().
 *
 * Return: the pages, or an ERR_PTR: -EBUSY if somebody has the inode locked, -EAGAIN
 * if a hole has been punched meanwhile, or those of memfd_pin_range().
 */
struct userptr_pins *userptr_pin_file(struct workqueue_struct *wq,
				      struct file *file, pgoff_t index,
				      u32 nr_pages)
{
	loff_t start = (loff_t)index << PAGE_SHIFT;
	struct userptr_pins *pins;
	int err;

	pins = userptr_pins_alloc(wq, true);
	if (!pins)
		return ERR_PTR(-ENOMEM);
	err = pin_mount_hold(&pins->mounts, file);
	if (!err)
		err = memfd_pin_range(&pins->pages, file, start,
				      start + ((loff_t)nr_pages << PAGE_SHIFT) - 1,
				      MEMFD_PIN_UNCHARGED);
	if (!err)
		err = check_holes(file, &pins->pages);
	if (err) {
		userptr_pins_free(pins, false);
		return ERR_PTR(err);
	}
	return pins;
}
