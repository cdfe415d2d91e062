// SPDX-License-Identifier: MIT
/*
 * Pin the folios of a file on shmem or hugetlbfs that a user range is a shared
 * mapping of.
 *
 * Lock order: the inode lock is taken with none of mmap_lock, an object's lock and
 * dma_resv held.
 */
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/memfd.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/userfaultfd_k.h>
#include <uapi/linux/falloc.h>

#include "i915_gem_userptr.h"

/*
 * How often a batch may find the file changed under its hands. Each time takes an
 * event of its own, so ten in a row are made on purpose.
 */
#define FILE_RETRIES	10

/* Whether the folios of the file are the memory that the user has there. */
static bool is_plain_mapping(struct vm_area_struct *vma, unsigned long end,
			     bool write)
{
	unsigned long access = write ? VM_WRITE : VM_READ;

	if (end > vma->vm_end || !vma->vm_file)
		return false;
	if ((vma->vm_flags & (VM_SHARED | access)) != (VM_SHARED | access))
		return false;
	if (vma->vm_flags & (VM_PFNMAP | VM_MIXEDMAP | VM_IO))
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
 * @index: where to put the page index of @start in the file
 *
 * The range has to lie in one shared mapping of a file on shmem or hugetlbfs that
 * allows the access, without userfaultfd.
 *
 * Context: may sleep; takes mmap_lock.
 *
 * Return: the file, for fput(); NULL if there is none like that; ERR_PTR(-EINTR)
 * for a fatal signal.
 */
struct file *userptr_find_file(struct mm_struct *mm, unsigned long start,
			       unsigned long size, bool write, pgoff_t *index)
{
	struct vm_area_struct *vma;
	struct file *file = NULL;

	if (mmap_read_lock_killable(mm))
		return ERR_PTR(-EINTR);
	vma = vma_lookup(mm, start);
	if (vma && is_plain_mapping(vma, start + size, write)) {
		file = get_file(vma->vm_file);
		*index = vma->vm_pgoff + ((start - vma->vm_start) >> PAGE_SHIFT);
	}
	mmap_read_unlock(mm);
	return file;
}

/*
 * The folio at @index, with a reference, if its contents are there and valid;
 * -ENOENT if they are not, -EIO if memory has failed.
 */
static struct folio *get_ready_folio(struct file *file, pgoff_t index)
{
	struct folio *folio = filemap_get_folio(file->f_mapping, index);
	int err = 0;

	if (IS_ERR(folio))
		return folio;
	if (!folio_test_uptodate(folio))
		err = -ENOENT;
	/* memfd_pin_folios() would try to migrate it again and again. */
	else if (folio_contain_hwpoisoned_page(folio))
		err = -EIO;
	if (!err)
		return folio;
	folio_put(folio);
	return ERR_PTR(err);
}

/*
 * memfd_pin_folios() fills holes, too, but not as it should: folios of shmem that
 * fallocate() has left without contents are pinned as they are, and zeroed on the
 * first access after that, and huge pages are taken that others have reserved
 * (6.12). Each filesystem knows better.
 */
static int fill_hole(struct file *file, pgoff_t index)
{
	loff_t pos = (loff_t)index << PAGE_SHIFT;
	struct folio *folio;

	if (pos >= i_size_read(file_inode(file)))
		return -EINVAL;
	/* One byte: all of a huge page may be more than the file's size. */
	if (is_file_hugepages(file))
		return vfs_fallocate(file, FALLOC_FL_KEEP_SIZE, pos, 1);

	folio = shmem_read_folio(file->f_mapping, index);
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	folio_put(folio);
	return 0;
}

/*
 * Make the folios of a batch ready, from page @index on, and none from page @end
 * on. Returns the index after the last one, or an error.
 */
static long fill_batch(struct file *file, pgoff_t index, pgoff_t end)
{
	unsigned int flags = memalloc_pin_save();
	struct folio *folio;
	unsigned int i;
	int err = 0;

	for (i = 0; i < USERPTR_BATCH && index < end; i++) {
		cond_resched();
		err = -EINTR;
		if (fatal_signal_pending(current))
			break;
		folio = get_ready_folio(file, index);
		if (folio == ERR_PTR(-ENOENT)) {
			err = fill_hole(file, index);
			if (err)
				break;
			folio = get_ready_folio(file, index);
		}
		err = PTR_ERR_OR_ZERO(folio);
		if (err)
			break;
		index = folio_next_index(folio);
		folio_put(folio);
	}
	memalloc_pin_restore(flags);
	/* What was filled a moment ago may be a hole again. */
	return err == -ENOENT ? -EAGAIN : err ?: (long)min(index, end);
}

/* Whether all folios from page @index on and before page @end are ready. */
static int look_at_batch(struct file *file, pgoff_t index, pgoff_t end)
{
	struct folio *folio;

	while (index < end) {
		folio = get_ready_folio(file, index);
		if (IS_ERR(folio))
			return PTR_ERR(folio) == -ENOENT ? -EAGAIN : -EIO;
		index = folio_next_index(folio);
		folio_put(folio);
	}
	return 0;
}

/*
 * Swap-out looks at the pins under the folio lock, and then takes the folio out of
 * the file. Who holds the lock now may have looked before the pin was there; who
 * takes it later sees the pin.
 */
static bool is_still_there(struct folio *folio, struct address_space *mapping,
			   pgoff_t index)
{
	/* The pin before the look at the lock. */
	smp_mb();
	if (folio_test_locked(folio)) {
		folio_lock(folio);
		folio_unlock(folio);
	}
	/* The lock before what changes under it. */
	smp_rmb();
	return READ_ONCE(folio->mapping) == mapping &&
	       folio_contains(folio, index) && folio_test_uptodate(folio);
}

/*
 * Pin folios that fill_batch() has made ready. With the inode lock held, a hole
 * punched later finds the notifier's sequence still to be changed, and one
 * punched before is seen, and not filled by memfd_pin_folios().
 */
static long pin_ready(struct file *file, pgoff_t index, pgoff_t end,
		      struct folio **folios)
{
	struct inode *inode = file_inode(file);
	pgoff_t offset, next = index;
	long nr, i;

	if (down_read_killable(&inode->i_rwsem))
		return -EINTR;
	nr = look_at_batch(file, index, end);
	if (!nr)
		nr = memfd_pin_folios(file, (loff_t)index << PAGE_SHIFT,
				      (loff_t)(end - 1) << PAGE_SHIFT, folios,
				      USERPTR_BATCH, &offset);
	for (i = 0; i < nr; i++) {
		if (!is_still_there(folios[i], file->f_mapping, next)) {
			unpin_folios(folios, nr);
			nr = -EAGAIN;
			break;
		}
		next = folio_next_index(folios[i]);
	}
	inode_unlock_shared(inode);
	return nr ?: -EAGAIN;
}

static long pin_batch(struct file *file, pgoff_t index, pgoff_t end,
		      struct folio **folios)
{
	unsigned int tries = 0;
	long ret;

	do {
		ret = fill_batch(file, index, end);
		if (ret >= 0)
			ret = pin_ready(file, index, ret, folios);
	} while (ret == -EAGAIN && ++tries < FILE_RETRIES);
	return ret;
}

/**
 * userptr_pin_file() - pin a range of a file
 * @wq: for a later release that must not wait, or NULL
 * @file: a file on shmem or hugetlbfs
 * @index: page index of the range in the file
 * @nr_pages: number of pages
 *
 * Pins every folio once, long-term, so not in movable memory, with valid contents.
 * Holes are filled. What is pinned is what the file holds there, as long as the
 * range is not truncated or punched out; whoever has an MMU notifier on a mapping
 * of it reads the sequence before, and again when this has returned.
 *
 * Context: may sleep; takes the inode lock and folio locks.
 *
 * Return: the pages, or an ERR_PTR: -EINVAL if the range ends past the file,
 * -EAGAIN if the file has changed too often, -EINTR for a fatal signal, -ENOMEM,
 * -EIO for failed memory, and what the filesystem says if it cannot fill a hole.
 */
struct userptr_pins *userptr_pin_file(struct workqueue_struct *wq,
				      struct file *file, pgoff_t index,
				      u32 nr_pages)
{
	struct folio *folios[USERPTR_BATCH];
	pgoff_t end = index + nr_pages;
	struct userptr_pins *pins;
	unsigned long first, count;
	long i, nr;
	int err;

	pins = userptr_pins_alloc(wq, true);
	if (!pins)
		return ERR_PTR(-ENOMEM);

	while (index < end) {
		err = userptr_pins_reserve(pins, USERPTR_BATCH);
		if (err)
			goto err_free;
		nr = pin_batch(file, index, end, folios);
		if (nr < 0) {
			err = nr;
			goto err_free;
		}
		/* Up to the end of the object: a folio is in the list once. */
		for (i = 0; i < nr; i++) {
			first = index - folios[i]->index;
			count = min(folio_nr_pages(folios[i]) - first,
				    end - index);
			userptr_pins_add(pins, folio_pfn(folios[i]) + first,
					 count);
			index += count;
		}
	}
	return pins;

err_free:
	userptr_pins_free(pins, false);
	return ERR_PTR(err);
}
