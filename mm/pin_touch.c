// SPDX-License-Identifier: GPL-2.0
/*
 * Fill a hole in a memfd as its owner's touch would. Where the caller has the file
 * mapped, that mapping says how: userfaultfd may have the page yet to come, and
 * what would be put there in its stead could not be replaced any more; madvise() asks
 * for huge pages, and mbind() for a node. The filesystem knows nothing of all that.
 */
#include <linux/huge_mm.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/userfaultfd_k.h>

#include "pin.h"

/*
 * Whether a touch differs from what the filesystem does by itself. hugetlbfs has the
 * reservation and the policy in the mapping. On shmem mbind() goes to the file.
 */
static bool touch_differs(struct vm_area_struct *vma)
{
	if (!(vma->vm_flags & VM_MAYSHARE) || !(vma->vm_flags & VM_READ))
		return false;
	return is_vm_hugetlb_page(vma) || userfaultfd_missing(vma) ||
	       vma->vm_flags & (VM_HUGEPAGE | VM_NOHUGEPAGE);
}

static bool maps_page(struct vm_area_struct *vma, struct file *memfd, pgoff_t index)
{
	return vma->vm_file && vma->vm_file->f_mapping == memfd->f_mapping &&
	       touch_differs(vma) && index >= vma->vm_pgoff &&
	       index - vma->vm_pgoff < vma_pages(vma);
}

/*
 * The mapping through which to touch page @index, or NULL. Most are the one that it
 * was the last time, of which the cursor knows the distance from pages to addresses.
 * If there is none, it knows afterwards up to where that is so.
 */
static struct vm_area_struct *find_mapping(struct mm_struct *mm, struct file *memfd,
					   struct pin_cursor *cursor, pgoff_t index)
{
	VMA_ITERATOR(vmi, mm, 0);
	struct vm_area_struct *vma;
	pgoff_t next = ULONG_MAX;

	vma = vma_lookup(mm, (index + cursor->delta_touch) << PAGE_SHIFT);
	if (vma && maps_page(vma, memfd, index))
		return vma;
	for_each_vma(vmi, vma) {
		if (fatal_signal_pending(current))
			return NULL;
		cond_resched();
		if (maps_page(vma, memfd, index)) {
			cursor->delta_touch = (vma->vm_start >> PAGE_SHIFT) -
					      vma->vm_pgoff;
			return vma;
		}
		if (vma->vm_pgoff > index && maps_page(vma, memfd, vma->vm_pgoff))
			next = min(next, vma->vm_pgoff);
	}
	cursor->untouched = next;
	return NULL;
}

/*
 * A read, as all that is shared appears by it. When huge pages are short, hugetlbfs
 * has SIGBUS for it; but the caller gets to know what the filesystem says.
 */
static int touch(struct mm_struct *mm, struct vm_area_struct *vma, unsigned long addr)
{
	bool may_fail = is_vm_hugetlb_page(vma) && !userfaultfd_missing(vma);
	bool unlocked = false;
	int err;

	err = fixup_user_fault(mm, addr, 0, &unlocked);
	if (err == -EFAULT && may_fail)
		return 0;
	return err ?: 1;
}

/**
 * pin_touch() - bring in a page that is absent by a mapping that the caller has
 * @memfd: a file on shmem or hugetlbfs
 * @cursor: says whether to wait; remembers what was found out about mappings
 * @index: of the page in the file, of a huge page of hugetlbfs the first one; not below
 *	@cursor->untouched, for which it is known that there is nothing to touch
 *
 * Context: may sleep; takes mmap_lock, and waits for user space where userfaultfd
 * looks after the mapping, until a fatal signal. Holds nothing meanwhile.
 *
 * Return: 1 if the page has been touched, and may be there; 0 if the caller has no
 * mapping that matters, or a huge page is not to be had by it. Errors are -EAGAIN: there
 * is such a mapping, and the cursor does not wait; -EFAULT: whoever looks after the
 * mapping has no page for it (UFFD_FEATURE_SIGBUS, UFFDIO_POISON), or the file ends
 * before; -ENOMEM, -EIO as of any fault; -EINTR.
 */
int pin_touch(struct file *memfd, struct pin_cursor *cursor, pgoff_t index)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	int ret = 0;

	if (!mm)
		return 0;
	if (cursor->nonblock) {
		/* Threads of the caller are no strangers, but may be in a fault. */
		if (!mmap_read_trylock(mm))
			return -EAGAIN;
	} else if (mmap_read_lock_killable(mm)) {
		return -EINTR;
	}
	vma = find_mapping(mm, memfd, cursor, index);
	if (vma)
		ret = cursor->nonblock ? -EAGAIN :
		      touch(mm, vma, (index + cursor->delta_touch) << PAGE_SHIFT);
	mmap_read_unlock(mm);
	return ret;
}
