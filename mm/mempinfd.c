// SPDX-License-Identifier: GPL-2.0
/*
 * mempinfd - a file descriptor that holds pins of user memory, for devices that
 * share virtual addresses
 *
 * Each open file has a tree of the ranges that were pinned through it. A range
 * belongs to the address space that asked for it, and outlives it if need be.
 *
 * Lock order: an open file's lock guards its tree and nothing else. It is held
 * for a search, never while pages are pinned or released: a fault can wait for
 * user space (userfaultfd, FUSE) as long as that likes. mmap_lock is taken to look
 * at what is mapped, and for the pins, with nothing held.
 */
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/pin_account.h>
#include <linux/pin_mount.h>
#include <linux/rbtree.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <uapi/linux/mempinfd.h>

#include "pin_count.h"

/* Pages that are pinned or released in one go: a page full of pointers. */
#define BATCH		((unsigned long)(PAGE_SIZE / sizeof(struct page *)))

/* What a device does to pages, as long as it likes */
#define PIN_FLAGS	(FOLL_WRITE | FOLL_LONGTERM)

/* The first block of runs takes so many bytes, each further one twice as many. */
#define MIN_BLOCK	64

/* Pages whose frames follow each other. Each has a pin of its own. */
struct run {
	unsigned long pfn;
	unsigned long nr;
};

struct run_block {
	struct list_head link;
	u32 nr;
	u32 size; /* bytes */
	struct run runs[];
};

/*
 * @held counts all pages of each folio, as often as pages of it come in a row, and once
 * for each page beyond that. It is charged as soon as it is known.
 */
struct pinned_range {
	struct rb_node node;
	struct mm_struct *mm; /* mmgrab(): only to be compared with */
	unsigned long start, end; /* page-aligned addresses */
	bool ready; /* all is pinned; under the file's lock */
	struct list_head blocks;
	struct pin_charge charge;
	unsigned long held; /* pages that the pins keep */
	unsigned long rest; /* of the last folio's, those that are not in the range */
	struct pin_mount *mounts;
};

struct mempinfd {
	struct mutex lock; /* ranges, and whether they are ready */
	struct rb_root ranges;
};

/* Ranges of a file are ordered, and equal where they overlap. */
static int compare_ranges(const struct pinned_range *a,
			  const struct pinned_range *b)
{
	if (a->mm != b->mm)
		return a->mm < b->mm ? -1 : 1;
	if (a->end <= b->start)
		return -1;
	return a->start >= b->end;
}

static int compare_nodes(struct rb_node *a, const struct rb_node *b)
{
	return compare_ranges(rb_entry(a, struct pinned_range, node),
			      rb_entry(b, struct pinned_range, node));
}

static int compare_key(const void *key, const struct rb_node *node)
{
	return compare_ranges(key, rb_entry(node, struct pinned_range, node));
}

/* What the caller means: whole pages of its own address space. */
static int get_range(struct pinned_range *range, const void __user *arg)
{
	struct mempinfd_range user;
	unsigned long addr;
	u64 end;

	if (copy_from_user(&user, arg, sizeof(user)))
		return -EFAULT;
	if (!user.size || check_add_overflow(user.addr, user.size, &end) ||
	    end > PAGE_MASK)
		return -EINVAL;
	addr = untagged_addr((unsigned long)user.addr);
	range->mm = current->mm;
	range->start = addr & PAGE_MASK;
	range->end = PAGE_ALIGN(addr + user.size);
	return 0;
}

/* The run that pages can be added to, or NULL if there is no memory for one. */
static struct run *new_run(struct pinned_range *range)
{
	struct run_block *block;
	u32 size = MIN_BLOCK;

	if (!list_empty(&range->blocks)) {
		block = list_last_entry(&range->blocks, struct run_block, link);
		if (struct_size(block, runs, block->nr + 1) <= block->size)
			return &block->runs[block->nr++];
		size = min(2 * block->size, (u32)PAGE_SIZE);
	}
	block = kmalloc(size, GFP_KERNEL_ACCOUNT);
	if (!block)
		return NULL;
	block->size = size;
	block->nr = 1;
	list_add_tail(&block->link, &range->blocks);
	return &block->runs[0];
}

static struct run *last_run(struct pinned_range *range)
{
	struct run_block *block;

	if (list_empty(&range->blocks))
		return NULL;
	block = list_last_entry(&range->blocks, struct run_block, link);
	return &block->runs[block->nr - 1];
}

static struct folio *last_folio(struct pinned_range *range)
{
	struct run *run = last_run(range);

	return run ? held_folio(pfn_to_page(run->pfn + run->nr - 1)) : NULL;
}

/* Charge what pins on @nr pages keep, that follow those in the range. */
static int charge_held(struct pinned_range *range, struct page **pages, long nr)
{
	struct folio *folio = last_folio(range);
	long i;

	for (i = 0; i < nr; i++) {
		if (held_folio(pages[i]) != folio) {
			folio = held_folio(pages[i]);
			range->rest = folio_nr_pages(folio);
			range->held += range->rest;
		}
		if (range->rest)
			range->rest--;
		else
			range->held++;
	}
	if (range->held <= range->charge.nr_pages)
		return 0;
	return pin_charge_more(&range->charge,
			       range->held - range->charge.nr_pages);
}

/* Take over the pins of @nr pages that follow those in the range. */
static int append_pages(struct pinned_range *range, struct page **pages, long nr)
{
	struct folio *folio = last_folio(range);
	struct run *run = last_run(range);
	unsigned long pfn, folios = 0;
	bool follows;
	int err = 0;
	long i;

	for (i = 0; i < nr; i++) {
		pfn = page_to_pfn(pages[i]);
		follows = run && run->pfn + run->nr == pfn;
		/* A page that comes once more begins a run. */
		if (held_folio(pages[i]) != folio || !follows) {
			/* It can be mapped, and pinned, at a million addresses. */
			err = too_many_pins(held_folio(pages[i])) ? -ENOMEM : 0;
			if (err)
				break;
		}
		folios += held_folio(pages[i]) != folio;
		folio = held_folio(pages[i]);
		if (!follows) {
			run = new_run(range);
			err = -ENOMEM;
			if (!run)
				break;
			err = 0;
			run->pfn = pfn;
			run->nr = 0;
		}
		run->nr++;
	}
	pin_charge_folios(&range->charge, folios);
	unpin_user_pages(pages + i, nr - i);
	return err;
}

/* How many pages are pinned one by one, before there is a look at many again */
struct pace {
	unsigned long singles;
	unsigned long next; /* the next time */
};

/*
 * Pin up to @nr pages, or an error. A fault can wait for user space, so that nothing is
 * pinned meanwhile that is not charged yet: only pages that are there are pinned
 * together, and what has to be faulted in is pinned alone. It mostly is not the only one.
 */
static long pin_some(unsigned long addr, unsigned long nr, struct pace *pace,
		     struct page **pages)
{
	long ret;

	if (!pace->singles) {
		ret = pin_user_pages_fast(addr, nr, PIN_FLAGS | FOLL_NOFAULT,
					  pages);
		if (ret && ret != -EFAULT) {
			pace->next = 1;
			return ret;
		}
		pace->singles = pace->next;
		pace->next = min(2 * pace->next, BATCH);
	}
	ret = pin_user_pages_fast(addr, 1, PIN_FLAGS, pages);
	if (ret <= 0)
		return ret ?: -EFAULT;
	/* A large folio brings others along. */
	pace->singles = folio_test_large(held_folio(pages[0])) ? 0 :
			pace->singles - 1;
	return ret;
}

static int pin_pages(struct pinned_range *range, struct page **pages)
{
	struct pace pace = { .next = 1 };
	unsigned long addr = range->start;
	long nr;
	int err;

	err = pin_mounts_hold_mapped(&range->mounts, range->start, range->end);
	while (!err && addr < range->end) {
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		nr = pin_some(addr, min((range->end - addr) >> PAGE_SHIFT, BATCH),
			      &pace, pages);
		if (nr < 0)
			return nr;
		if (!pin_mounts_held(range->mounts, pages, nr)) {
			unpin_user_pages(pages, nr);
			err = pin_mounts_hold_mapped(&range->mounts, addr,
						     addr + (nr << PAGE_SHIFT));
			continue;
		}
		err = charge_held(range, pages, nr);
		if (err) {
			unpin_user_pages(pages, nr);
			return err;
		}
		err = append_pages(range, pages, nr);
		addr += nr << PAGE_SHIFT;
	}
	return err;
}

/*
 * What is on shmem, on hugetlbfs or anonymous is marked dirty without the folio lock,
 * which somebody else may keep; there, the flag is all there is to it.
 */
static void unpin_run(const struct run *run, bool dirty)
{
	unsigned long done, nr;
	struct folio *folio;
	struct page *page;
	bool lock;

	for (done = 0; done < run->nr; done += nr) {
		page = pfn_to_page(run->pfn + done);
		folio = held_folio(page);
		nr = folio_nr_pages(folio) - folio_page_idx(folio, page);
		nr = min(nr, run->nr - done);
		lock = !folio_test_swapbacked(folio) && !folio_test_hugetlb(folio);
		if (dirty && !lock && !folio_test_dirty(folio))
			folio_set_dirty(folio);
		unpin_user_page_range_dirty_lock(page, nr, dirty && lock);
		cond_resched();
	}
}

/*
 * Unpin all of a range that is not in a tree, and free it. @dirty: a device may
 * have written to it, of which the page tables know nothing.
 */
static void release_range(struct pinned_range *range, bool dirty)
{
	struct run_block *block, *next;
	u32 i;

	list_for_each_entry_safe(block, next, &range->blocks, link) {
		for (i = 0; i < block->nr; i++)
			unpin_run(&block->runs[i], dirty);
		kfree(block);
	}
	pin_mounts_release(&range->mounts);
	pin_uncharge(&range->charge);
	mmdrop(range->mm);
	kfree(range);
}

/* Pin a range that has its place in the tree, where it keeps others away. */
static int charge_and_pin(struct pinned_range *range)
{
	struct page **pages;
	int err;

	err = pin_charge(&range->charge, "mempinfd",
			 (range->end - range->start) >> PAGE_SHIFT);
	if (err)
		return err;
	pages = kmalloc_array(BATCH, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	err = pin_pages(range, pages);
	kfree(pages);
	return err;
}

static int ioctl_pin(struct mempinfd *fd, const void __user *arg)
{
	struct pinned_range *range;
	int err;

	range = kzalloc(sizeof(*range), GFP_KERNEL_ACCOUNT);
	if (!range)
		return -ENOMEM;
	err = get_range(range, arg);
	if (!err && !can_do_mlock())
		err = -EPERM;
	if (err) {
		kfree(range);
		return err;
	}
	INIT_LIST_HEAD(&range->blocks);
	mmgrab(range->mm);

	mutex_lock(&fd->lock);
	if (rb_find_add(&range->node, &fd->ranges, compare_nodes))
		err = -EEXIST;
	mutex_unlock(&fd->lock);
	if (err)
		goto err_release;

	err = charge_and_pin(range);
	mutex_lock(&fd->lock);
	if (err)
		rb_erase(&range->node, &fd->ranges);
	else
		range->ready = true;
	mutex_unlock(&fd->lock);
	if (err)
		goto err_release;
	return 0;

err_release:
	release_range(range, false);
	return err;
}

static int ioctl_unpin(struct mempinfd *fd, const void __user *arg)
{
	struct pinned_range key, *range;
	struct rb_node *node;
	int err;

	err = get_range(&key, arg);
	if (err)
		return err;

	mutex_lock(&fd->lock);
	/* If the range itself is in the tree, nothing else there overlaps it. */
	node = rb_find(&key, &fd->ranges, compare_key);
	range = rb_entry_safe(node, struct pinned_range, node);
	if (!range || !range->ready ||
	    range->start != key.start || range->end != key.end)
		err = -EINVAL;
	else
		rb_erase(node, &fd->ranges);
	mutex_unlock(&fd->lock);

	if (!err)
		release_range(range, true);
	return err;
}

static long mempinfd_ioctl(struct file *file, unsigned int cmd,
			   unsigned long arg)
{
	switch (cmd) {
	case MEMPINFD_PIN:
		return ioctl_pin(file->private_data, (void __user *)arg);
	case MEMPINFD_UNPIN:
		return ioctl_unpin(file->private_data, (void __user *)arg);
	default:
		return -ENOTTY;
	}
}

static int mempinfd_open(struct inode *inode, struct file *file)
{
	struct mempinfd *fd = kzalloc(sizeof(*fd), GFP_KERNEL_ACCOUNT);

	if (!fd)
		return -ENOMEM;
	mutex_init(&fd->lock);
	fd->ranges = RB_ROOT;
	file->private_data = fd;
	return 0;
}

/* The last user is gone, so no call is under way, and all ranges are ready. */
static int mempinfd_release(struct inode *inode, struct file *file)
{
	struct mempinfd *fd = file->private_data;
	struct pinned_range *range, *next;

	rbtree_postorder_for_each_entry_safe(range, next, &fd->ranges, node)
		release_range(range, true);
	mutex_destroy(&fd->lock);
	kfree(fd);
	return 0;
}

static const struct file_operations mempinfd_fops = {
	.owner		= THIS_MODULE,
	.open		= mempinfd_open,
	.release	= mempinfd_release,
	.unlocked_ioctl	= mempinfd_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};

/* Only root has the right to open it, until a udev rule gives it to others. */
static struct miscdevice mempinfd_misc = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "mempinfd",
	.fops	= &mempinfd_fops,
};
module_misc_device(mempinfd_misc);

MODULE_DESCRIPTION("Pins of user memory, held by a file descriptor");
#ifdef PINFOLD_VERSION
MODULE_VERSION(PINFOLD_VERSION);
#endif
MODULE_LICENSE("GPL");
