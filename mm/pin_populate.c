// SPDX-License-Identifier: GPL-2.0
/*
 * Bring folios of a memfd into the page cache, with valid contents, so that they can
 * be pinned there: holes are filled, swapped folios read, and those that fallocate()
 * left without contents are zeroed.
 *
 * Who shares the file may hold the lock of a folio, or of the inode, for as long as
 * he likes. So these are waited for such that a signal ends it, and not in
 * functions of the kernel that cannot be killed. What is left are moments between the
 * look and their lock.
 */
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <uapi/linux/falloc.h>

#include "pin.h"

/*
 * Zero a folio that fallocate() left without contents; now, and not on top of what a
 * device has written, as the first access after a pin would. Returns 0, also if it is
 * no longer of the file, or -EINTR.
 */
static int zero_fallocated(struct folio *folio, struct address_space *mapping)
{
	if (folio_lock_killable(folio))
		return -EINTR;
	if (folio->mapping == mapping && !folio_test_uptodate(folio)) {
		folio_zero_range(folio, 0, folio_size(folio));
		flush_dcache_folio(folio);
		folio_mark_uptodate(folio);
	}
	folio_unlock(folio);
	return 0;
}

/*
 * Have a folio with valid contents at page @index. Returns the index of the page
 * after it in *@next. What is there already need not be unlocked.
 */
static int shmem_populate_one(struct address_space *mapping, pgoff_t index,
			      pgoff_t *next)
{
	struct folio *folio = filemap_get_folio(mapping, index);
	struct page *page;
	int err = 0;

	if (IS_ERR(folio)) {
		page = shmem_read_mapping_page_gfp(mapping, index,
						   mapping_gfp_mask(mapping));
		if (IS_ERR(page))
			return PTR_ERR(page);
		folio = page_folio(page);
	} else if (folio_contain_hwpoisoned_page(folio)) {
		err = -EIO;
	} else if (!folio_test_uptodate(folio)) {
		err = zero_fallocated(folio, mapping);
	}
	*next = folio_next_index(folio);
	folio_put(folio);
	return err;
}

static int shmem_populate(struct address_space *mapping, pgoff_t index,
			  pgoff_t *last)
{
	unsigned int i;
	int err;

	for (i = 0; i < PIN_SLOW_BATCH && index <= *last; i++) {
		if (fatal_signal_pending(current))
			return -EINTR;
		err = shmem_populate_one(mapping, index, &index);
		if (err)
			return err;
		cond_resched();
	}
	*last = min(*last, index - 1);
	return 0;
}

/*
 * Look at the huge pages from page *@index to page @last. Returns 0 if all are
 * there; -ENOENT if one is absent, and its index in *@index; -EIO if one has failed.
 */
static int hugetlb_look(struct file *memfd, pgoff_t *index, pgoff_t last)
{
	unsigned long nr = pages_per_huge_page(hstate_file(memfd));
	unsigned int shift = cache_index_shift(memfd->f_mapping);
	struct folio *folio;
	bool failed;

	for (*index = round_down(*index, nr); *index <= last; *index += nr) {
		folio = filemap_get_folio(memfd->f_mapping, *index >> shift);
		if (IS_ERR(folio))
			return -ENOENT;
		failed = folio_test_hwpoison(folio);
		folio_put(folio);
		if (failed)
			return -EIO;
	}
	return 0;
}

/*
 * Fill the holes in [@index, @last]. memfd_pin_folios() of 6.12 would take
 * huge pages for them that others have reserved; hugetlbfs itself accounts
 * right. It is called without the checks of vfs_fallocate(): to fill a hole
 * needs no right to write, a read access by mmap() fills it too.
 */
static int hugetlb_populate(struct file *memfd, pgoff_t index, pgoff_t last)
{
	struct super_block *sb = file_inode(memfd)->i_sb;
	int err;

	sb_start_write(sb);
	do {
		err = hugetlb_look(memfd, &index, last);
		if (err != -ENOENT)
			break;
		/* Wait for the inode lock such that it can be ended. */
		if (down_read_killable(&file_inode(memfd)->i_rwsem)) {
			err = -EINTR;
			break;
		}
		inode_unlock_shared(file_inode(memfd));
		/* It fills holes beyond the end, too. */
		err = -EINVAL;
		if ((loff_t)index << PAGE_SHIFT >= i_size_read(file_inode(memfd)))
			break;
		/* One byte: the page may end past i_size, which can be sealed. */
		err = memfd->f_op->fallocate(memfd, FALLOC_FL_KEEP_SIZE,
					     (loff_t)index << PAGE_SHIFT, 1);
	} while (!err);
	sb_end_write(sb);

	if (err == -EINTR)
		return fatal_signal_pending(current) ? -EINTR : -ERESTARTSYS;
	return err == -ENOSPC ? -ENOMEM : err;
}

/**
 * pin_populate() - bring in what is next to be pinned of a memfd
 * @memfd: a file on shmem or hugetlbfs
 * @index: index of the page to begin at, in the file
 * @last: index of the last page; returns that of the last one that was dealt with,
 *	after at most PIN_SLOW_BATCH folios
 *
 * Nothing keeps the folios where they are then.
 *
 * Context: may sleep; takes the inode lock of hugetlbfs, and folio locks.
 *
 * Return: 0, or an error of memfd_pin_range().
 */
int pin_populate(struct file *memfd, pgoff_t index, pgoff_t *last)
{
	bool huge = is_file_hugepages(memfd);
	unsigned int flags;
	unsigned long nr;
	int err;

	flags = memalloc_pin_save();
	if (huge) {
		nr = pages_per_huge_page(hstate_file(memfd));
		*last = min(*last, round_down(index, nr) + PIN_SLOW_BATCH * nr - 1);
		err = hugetlb_populate(memfd, index, *last);
	} else {
		err = shmem_populate(memfd->f_mapping, index, last);
	}
	memalloc_pin_restore(flags);
	/*
	 * Perhaps there are free huge pages, but all in movable memory. Once they
	 * are in the file they can be migrated, to memory from outside the pool.
	 */
	if (err == -ENOMEM && HUGETLB_MIGRATES && huge)
		err = hugetlb_populate(memfd, index, *last);
	return err;
}
