// SPDX-License-Identifier: GPL-2.0
/*
 * Fill a hole in a memfd as its owner's touch would. Where the caller has the file
 * mapped, that mapping says how: userfaultfd may have the page yet to come, and
 * what would be put there in its stead could not be replaced any more; madvise() asks
 * for huge pages, and mbind() for a node. The filesystem knows nothing of all that.
 */
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

/* What the cursor remembers of a mapping: the distance from pages to addresses. */
static unsigned long delta_of(const struct vm_area_struct *vma)
{
	return (vma->vm_start >> PAGE_SHIFT) - vma->vm_pgoff;
}

/*
 * The mapping that was found the last time, if it has page @index, too, and is still
 * the one to be taken.
 */
static struct vm_area_struct *same_mapping(struct mm_struct *mm, struct file *memfd,
					   const struct pin_cursor *cursor,
					   pgoff_t index)
{
	struct vm_area_struct *vma;

	if (!cursor->touched)
		return NULL;
	vma = vma_lookup(mm, (index + cursor->delta_touch) << PAGE_SHIFT);
	if (!vma || !maps_page(vma, memfd, index) ||
	    delta_of(vma) != cursor->delta_touch)
		return NULL;
	return userfaultfd_missing(vma) || !cursor->user_faults ? vma : NULL;
}

/*
 * The mapping through which to touch page @index, or NULL. The file can be mapped more
 * than once: where userfaultfd looks after one of them, the page comes to that. If
 * there is none, the cursor knows afterwards up to where that is so.
 */
static struct vm_area_struct *find_mapping(struct mm_struct *mm, struct file *memfd,
					   struct pin_cursor *cursor, pgoff_t index)
{
	VMA_ITERATOR(vmi, mm, 0);
	struct vm_area_struct *vma, *found;
	pgoff_t next = ULONG_MAX;

	found = same_mapping(mm, memfd, cursor, index);
	if (found)
		return found;
	cursor->user_faults = false;
	for_each_vma(vmi, vma) {
		if (fatal_signal_pending(current))
			return NULL;
		cond_resched();
		if (!maps_page(vma, memfd, max(vma->vm_pgoff, index)))
			continue;
		cursor->user_faults |= userfaultfd_missing(vma);
		if (vma->vm_pgoff > index)
			next = min(next, vma->vm_pgoff);
		else if (!found || userfaultfd_missing(vma))
			found = vma;
	}
	if (found) {
		cursor->touched = true;
		cursor->delta_touch = delta_of(found);
	} else {
		cursor->untouched = next;
	}
	return found;
}

/*
 * A read, as all that is shared appears by it. If userfaultfd has nothing to do with it,
 * the filesystem can say what is wrong: it has SIGBUS for all of that.
 */
static int touch(struct mm_struct *mm, struct vm_area_struct *vma, unsigned long addr)
{
	bool user_faults = userfaultfd_missing(vma), unlocked = false;
	int err;

	err = fixup_user_fault(mm, addr, 0, &unlocked);
	if (err != -EFAULT)
		return err ?: 1;
	/* Meanwhile it may have been mapped elsewhere: that is to be looked at anew. */
	if (unlocked)
		return 1;
	return user_faults ? -EFAULT : 0;
}

/*
 * While fallocate() is at work on a file of shmem, a fault waits for it, and no signal
 * ends that, which may take long if a stranger keeps a folio locked. The filesystem does
 * not wait; but it knows nothing of userfaultfd.
 */
static bool in_fallocate(struct file *memfd)
{
	return !is_file_hugepages(memfd) && READ_ONCE(file_inode(memfd)->i_private);
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
 * mapping has no page for it (UFFD_FEATURE_SIGBUS, UFFDIO_POISON), or does not do so for
 * the kernel (UFFD_USER_MODE_ONLY); -ENOMEM; -EINTR.
 */
int pin_touch(struct file *memfd, struct pin_cursor *cursor, pgoff_t index)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	int ret = 0;

	if (!mm)
		return 0;
again:
	if (cursor->nonblock) {
		/* Threads of the caller are no strangers, but may be in a fault. */
		if (!mmap_read_trylock(mm))
			return -EAGAIN;
	} else if (mmap_read_lock_killable(mm)) {
		return -EINTR;
	}
	vma = find_mapping(mm, memfd, cursor, index);
	if (!vma && fatal_signal_pending(current)) {
		/* Not all were looked at. */
		ret = -EINTR;
	} else if (vma && cursor->nonblock) {
		ret = -EAGAIN;
	} else if (vma && !in_fallocate(memfd)) {
		ret = touch(mm, vma, (index + cursor->delta_touch) << PAGE_SHIFT);
	} else if (vma && userfaultfd_missing(vma)) {
		mmap_read_unlock(mm);
		schedule_timeout_killable(1);
		if (fatal_signal_pending(current))
			return -EINTR;
		goto again;
	}
	mmap_read_unlock(mm);
	return ret;
}
