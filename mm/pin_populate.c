// SPDX-License-Identifier: GPL-2.0
/*
 * Bring folios of a memfd into the page cache, with valid contents, so that they can
 * be pinned there: holes are filled, swapped folios read, and those that fallocate()
 * left without contents are zeroed.
 *
 * Who shares the file may hold the lock of a folio, or of the inode, for as long as
 * he likes. So these are waited for such that a signal ends it, and not in
 * functions of the kernel that cannot be killed. What is left are moments between the
 * look and their lock, and reading from swap, which shmem does not do otherwise.
 */
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <uapi/linux/falloc.h>

#include "pin.h"
#include "pin_count.h"

/*
 * Zero a folio that fallocate() left without contents; now, and not on top of what a
 * device has written, as the first access after a pin would. Returns 0, also if it is
 * no longer of the file, or an error of pin_lock_folio().
 */
static int zero_fallocated(struct folio *folio, struct file *memfd,
			   const struct pin_cursor *cursor)
{
	int err = pin_lock_folio(folio, cursor);

	if (err)
		return err;
	if (folio->mapping == memfd->f_mapping && !folio_test_uptodate(folio)) {
		folio_zero_range(folio, 0, folio_size(folio));
		flush_dcache_folio(folio);
		folio_mark_uptodate(folio);
	}
	folio_unlock(folio);
	return 0;
}

/*
 * Read page @index from swap, where it is @swapped, or fill the hole that there is. Returns
 * the folio with a reference, or an ERR_PTR.
 */
static struct folio *shmem_bring_in(struct file *memfd, struct pin_cursor *cursor,
				    pgoff_t index, bool swapped)
{
	struct address_space *mapping = memfd->f_mapping;
	struct page *page;
	int ret;

	if (cursor->nonblock && swapped)
		return ERR_PTR(-EAGAIN);
	if (index >= cursor->untouched && !swapped) {
		ret = pin_touch(memfd, cursor, index);
		if (ret < 0)
			return ERR_PTR(ret);
		if (ret)
			return filemap_get_folio(mapping, index);
	}
	page = shmem_read_mapping_page_gfp(mapping, index,
					   mapping_gfp_mask(mapping));
	return IS_ERR(page) ? ERR_CAST(page) : held_folio(page);
}

/* How many pages the page cache has of the file. */
static unsigned long count_pages(const struct address_space *mapping)
{
	/*
	 * Others change it by plain stores, with the cache's lock held. It may be the
	 * number of before: then a hole is taken for one that others have just filled,
	 * and shmem itself finds what is there.
	 */
	return data_race(READ_ONCE(mapping->nrpages));
}

/* How often the calling thread has slept, or made way for others: also here, in between. */
static unsigned long nr_switches(void)
{
	return READ_ONCE(current->nvcsw) + READ_ONCE(current->nivcsw);
}

/*
 * Have folios with valid contents from page @index on. What is there already need not
 * be unlocked. Lowers *@last to the last page that was dealt with.
 */
static int shmem_populate(struct file *memfd, struct pin_cursor *cursor,
			  pgoff_t *last)
{
	struct address_space *mapping = memfd->f_mapping;
	pgoff_t index = cursor->index, hole_end = index;
	unsigned long nrpages = 0, switches = 0;
	struct folio *folio;
	unsigned int i;
	void *entry;
	int err = 0;

	for (i = 0; i < PIN_SLOW_BATCH && index <= *last && !err; i++) {
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		/*
		 * Most that is brought in is new, and was never touched. A hole that
		 * was seen is one until others add pages, for which they have time
		 * whenever this sleeps, also to take away as many.
		 */
		entry = NULL;
		if (index >= hole_end || count_pages(mapping) != nrpages ||
		    nr_switches() != switches) {
			nrpages = count_pages(mapping);
			switches = nr_switches();
			hole_end = index;
			entry = xa_find(&mapping->i_pages, &hole_end, *last,
					XA_PRESENT);
			if (!entry)
				hole_end = *last + 1;
			else if (hole_end > index)
				entry = NULL;
		}
		if (!entry || xa_is_value(entry)) {
			folio = shmem_bring_in(memfd, cursor, index, entry);
			nrpages += IS_ERR(folio) ? 0 : folio_nr_pages(folio);
		} else {
			folio = filemap_get_folio(mapping, index);
		}
		if (IS_ERR(folio)) {
			err = PTR_ERR(folio);
			break;
		}
		if (folio_contain_hwpoisoned_page(folio))
			err = -EIO;
		else if (unlikely(!folio_test_uptodate(folio)))
			err = zero_fallocated(folio, memfd, cursor);
		if (!err)
			index = folio_next_index(folio);
		folio_put(folio);
	}
	*last = min(*last, index - 1);
	/* What is there is to be pinned, whatever there is behind it. */
	if (index > cursor->index)
		return 0;
	return err == -ENOENT ? -EAGAIN : err;
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
 * Fill a hole in hugetlbfs at page @index. memfd_pin_folios() of 6.12 would take huge
 * pages for it that others have reserved; hugetlbfs itself accounts right. It is
 * called without the checks of vfs_fallocate(): to fill a hole needs no right to
 * write, a read access by mmap() fills it too.
 */
static int hugetlb_fill(struct file *memfd, pgoff_t index)
{
	struct inode *inode = file_inode(memfd);
	loff_t offset = (loff_t)index << PAGE_SHIFT;
	int err;

	/* It fills holes beyond the end, too. */
	if (offset >= i_size_read(inode))
		return -EINVAL;
	sb_start_write(inode->i_sb);
	/* One byte: the page may end past i_size, which can be sealed. */
	err = memfd->f_op->fallocate(memfd, FALLOC_FL_KEEP_SIZE, offset, 1);
	sb_end_write(inode->i_sb);
	if (err == -EINTR && !fatal_signal_pending(current))
		return -ERESTARTSYS;
	return err == -ENOSPC ? -ENOMEM : err;
}

/* So often a page that was filled in may go again before the next look. */
#define SAME_HOLE	10

/* Fill the holes from where the cursor is to page @last. */
static int hugetlb_populate(struct file *memfd, struct pin_cursor *cursor,
			    pgoff_t last)
{
	pgoff_t index = cursor->index, before = ULONG_MAX;
	struct inode *inode = file_inode(memfd);
	unsigned int same = 0;
	int err;

	while ((err = hugetlb_look(memfd, &index, last)) == -ENOENT) {
		same = index == before ? same + 1 : 0;
		before = index;
		if (cursor->nonblock || same > SAME_HOLE)
			return -EAGAIN;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		/*
		 * Wait for the inode lock such that it can be ended. Who punches holes
		 * holds it, and others that a fault would wait for.
		 */
		if (down_read_killable(&inode->i_rwsem))
			return -EINTR;
		inode_unlock_shared(inode);
		err = index < cursor->untouched ? 0 :
					  pin_touch(memfd, cursor, index);
		if (!err)
			err = hugetlb_fill(memfd, index);
		if (err < 0)
			break;
	}
	return err;
}

/**
 * pin_populate() - bring in what is next to be pinned of a memfd
 * @memfd: a file on shmem or hugetlbfs
 * @cursor: what is to be pinned; it stays where it is
 * @last: returns the index of the last page that was dealt with, of a few folios
 *
 * Nothing keeps the folios where they are then.
 *
 * Context: may sleep; takes mmap_lock, folio locks, and the inode lock of hugetlbfs.
 *
 * Return: 0 if at least the next page was there, or an error of memfd_pin_range();
 * -EAGAIN if it has gone again.
 */
int pin_populate(struct file *memfd, struct pin_cursor *cursor, pgoff_t *last)
{
	bool huge = is_file_hugepages(memfd);
	unsigned int flags;
	unsigned long nr;
	int err;

	*last = cursor->last;
	flags = memalloc_pin_save();
	if (huge) {
		nr = pages_per_huge_page(hstate_file(memfd));
		*last = min(*last, round_down(cursor->index, nr) +
				   PIN_SLOW_BATCH * nr - 1);
		err = hugetlb_populate(memfd, cursor, *last);
	} else {
		err = shmem_populate(memfd, cursor, last);
	}
	memalloc_pin_restore(flags);
	/*
	 * Perhaps there are free huge pages, but all in movable memory. Once they
	 * are in the file they can be migrated, to memory from outside the pool.
	 */
	if (err == -ENOMEM && huge &&
	    hugepage_migration_supported(hstate_file(memfd)))
		err = hugetlb_populate(memfd, cursor, *last);
	return err;
}
