// SPDX-License-Identifier: GPL-2.0
/*
 * Pin the next few folios of a memfd. What is ready in the page cache is pinned
 * by pin_fast(). Else folios are first brought into the page cache with valid
 * contents, and, if they lie in movable memory, pinned by memfd_pin_folios(),
 * which migrates them. Nothing holds a folio in its file before it is pinned,
 * so that is checked afterwards.
 */
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <trace/events/memfd_pin.h>
#include <uapi/linux/falloc.h>

#include "pin.h"
#include "pin_count.h"

/*
 * How often a batch may lose a race against another user of the file (hole
 * punching, reclaim, references that hold off migration) before the caller is
 * told. Each loss needs its own, well-timed event; a file on which that happens
 * ten times in a row is being changed on purpose.
 */
#define PIN_RETRIES	10

/*
 * Bring the folios from @index on into the page cache, with valid contents:
 * holes are filled, swapped folios read, and folios that fallocate() left
 * without contents are zeroed now and not, as after a pin it would be, on top
 * of what a device has written. Lowers *@last to the last page that is there
 * when the batch is full.
 */
static int shmem_populate(struct address_space *mapping, pgoff_t index,
			  pgoff_t *last, unsigned int max)
{
	struct folio *folio;
	struct page *page;
	unsigned int i;

	for (i = 0; i < max && index <= *last; i++) {
		if (fatal_signal_pending(current))
			return -EINTR;
		page = shmem_read_mapping_page_gfp(mapping, index,
						   mapping_gfp_mask(mapping));
		if (IS_ERR(page))
			return PTR_ERR(page);
		folio = page_folio(page);
		index = folio_next_index(folio);
		folio_put(folio);
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

/* Of the folios from page @index to page @last, how many may be movable? */
static unsigned long count_movable(struct address_space *mapping, pgoff_t index,
				   pgoff_t last)
{
	unsigned int shift = cache_index_shift(mapping);
	unsigned long nr = 0;
	struct folio *folio;

	while (index <= last) {
		folio = filemap_get_folio(mapping, index >> shift);
		if (IS_ERR(folio))
			break;
		nr += may_be_movable(folio);
		index = (folio->index << shift) + folio_nr_pages(folio);
		folio_put(folio);
	}
	return nr;
}

/*
 * Does a folio that is pinned now still hold the page at @index of the cache,
 * with valid contents? Returns 0, -EAGAIN if it does not, -EIO if memory has failed,
 * -ENOMEM if it has all the pins it can take, -EINTR.
 */
static int check_pinned(struct folio *folio, struct address_space *mapping,
			pgoff_t index)
{
	/*
	 * Swap-out looks at the pins under the folio lock and then takes the
	 * folio out of the file. If it holds the lock it may have missed the
	 * pin: wait for it. If it takes the lock later, it sees the pin, which
	 * is why the pin must be visible before the lock is looked at.
	 */
	smp_mb();
	if (folio_test_locked(folio)) {
		if (folio_lock_killable(folio))
			return -EINTR;
		folio_unlock(folio);
	}

	/* The lock before what changes under it. */
	smp_rmb();
	if (READ_ONCE(folio->mapping) != mapping || !folio_contains(folio, index) ||
	    !folio_test_uptodate(folio))
		return -EAGAIN;

	if (folio_contain_hwpoisoned_page(folio))
		return -EIO;

	if (too_many_pins(folio))
		return -ENOMEM;
	return 0;
}

/*
 * Of @nr folios pinned, keep those before the first one that is not good. Returns
 * 0, or what is wrong with the first one.
 */
static int keep_good(struct address_space *mapping, struct pin_cursor *cursor,
		     struct folio **folios, long nr)
{
	unsigned int shift = cache_index_shift(mapping);
	struct folio *folio;
	long i, good;
	int err = 0;

	for (good = 0; good < nr; good++) {
		folio = folios[good];
		err = check_pinned(folio, mapping, cursor->index >> shift);
		if (err ||
		    !add_folio_span(cursor, folio,
				    cursor->index - (folio->index << shift),
				    folio_nr_pages(folio)))
			break;
	}
	cursor->nr_folios += good;
	for (i = good; i < nr; i++)
		unpin_folio(folios[i]);
	return good ? 0 : err;
}

/*
 * Pin folios that are there but in movable memory, or were a moment ago: those from
 * where the cursor is to page @last.
 */
static int pin_movable(struct file *memfd, struct pin_cursor *cursor,
		       pgoff_t last)
{
	struct folio *folios[PIN_SLOW_BATCH];
	struct inode *inode = file_inode(memfd);
	bool huge = is_file_hugepages(memfd);
	pgoff_t index = cursor->index, first, offset;
	unsigned long movable = 0;
	long ret;

	/*
	 * With the inode lock held nobody can punch a new hole. Another user of
	 * the file may hold it for long, in fallocate(). What has failed must not
	 * come to memfd_pin_folios(), which tries to migrate it forever.
	 */
	if (huge) {
		if (down_read_killable(&inode->i_rwsem))
			return -EINTR;
		first = index;
		ret = hugetlb_look(memfd, &first, last);
		if (ret) {
			inode_unlock_shared(inode);
			return ret == -ENOENT ? -EAGAIN : ret;
		}
	}
	if (trace_memfd_migrate_enabled())
		movable = count_movable(memfd->f_mapping, index, last);
	ret = pin_present_folios(memfd, (loff_t)index << PAGE_SHIFT,
				 (loff_t)last << PAGE_SHIFT, folios,
				 PIN_SLOW_BATCH, &offset);
	if (huge)
		inode_unlock_shared(inode);
	if (movable)
		trace_memfd_migrate(inode, index, last, movable, min(ret, 0L));
	if (ret > 0)
		return keep_good(memfd->f_mapping, cursor, folios, ret);
	/* A folio that could not be migrated may be idle in a moment. */
	return ret == -ENOMEM ? -EBUSY : ret;
}

/*
 * Make a few folios ready and pin them. Returns 0, or a negative error; -EAGAIN
 * means that the file changed meanwhile, -EBUSY that a folio was in use and could
 * not be migrated.
 */
static int pin_slow(struct file *memfd, struct pin_cursor *cursor)
{
	struct address_space *mapping = memfd->f_mapping;
	pgoff_t index = cursor->index, last = cursor->last;
	unsigned int flags;
	unsigned long nr;
	int err;

	flags = memalloc_pin_save();
	if (is_file_hugepages(memfd)) {
		nr = pages_per_huge_page(hstate_file(memfd));
		last = min(last, round_down(index, nr) + PIN_SLOW_BATCH * nr - 1);
		err = hugetlb_populate(memfd, index, last);
	} else {
		err = shmem_populate(mapping, index, &last, PIN_SLOW_BATCH);
	}
	memalloc_pin_restore(flags);
	/*
	 * Perhaps there are free huge pages, but all in movable memory. Once they
	 * are in the file they can be migrated, to memory from outside the pool.
	 */
	if (err == -ENOMEM && HUGETLB_MIGRATES && is_file_hugepages(memfd))
		err = hugetlb_populate(memfd, index, last);
	if (err)
		return err;

	if (pin_fast(mapping, cursor))
		return 0;
	return pin_movable(memfd, cursor, last);
}

/**
 * pin_batch() - pin the next folios of a memfd
 * @memfd: a file on shmem or hugetlbfs
 * @cursor: what to pin, up to i_size, with room for a span at least; moved on
 *
 * Pins the folio that holds the next page, and as many of those after it as
 * come easily, but not more than PIN_BATCH. Each has valid contents, is in its place
 * in the file, and not in movable memory.
 *
 * Context: may sleep; see memfd_pin_range().
 *
 * Return: 0 if at least one folio was pinned, or an error of memfd_pin_range().
 */
int pin_batch(struct file *memfd, struct pin_cursor *cursor)
{
	unsigned int tries;
	int err;

	for (tries = 0;; tries++) {
		cond_resched();
		if (fatal_signal_pending(current))
			return -EINTR;
		if (pin_fast(memfd->f_mapping, cursor))
			return 0;
		err = pin_slow(memfd, cursor);
		if ((err != -EAGAIN && err != -EBUSY) || tries == PIN_RETRIES)
			break;
		/*
		 * Two that migrate the same folio are in each other's way, and who
		 * has only begun to use it needs a moment.
		 */
		if (err == -EBUSY)
			schedule_timeout_killable(1 + tries);
	}
	return err == -EBUSY ? -ENOMEM : err;
}
