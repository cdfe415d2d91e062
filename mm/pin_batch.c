// SPDX-License-Identifier: GPL-2.0
/*
 * Pin the next few folios of a memfd. What is ready in the page cache is pinned
 * by pin_fast(). Else folios are first brought into the page cache with valid
 * contents, and, if they lie in movable memory, pinned by memfd_pin_folios(),
 * which migrates them. Nothing holds a folio in its file before it is pinned,
 * so that is checked afterwards.
 */
#include <linux/hugetlb.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
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
		index = folio_first_index(folio, shift) + folio_nr_pages(folio);
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
 * Of @nr folios pinned, from page @index on, keep those before the first one that
 * is not good. Returns their number, or what is wrong with the first one.
 */
static long keep_good(struct address_space *mapping, pgoff_t index,
		      struct folio **folios, long nr)
{
	unsigned int shift = cache_index_shift(mapping);
	int err = 0;
	long i, good;

	for (good = 0; good < nr; good++) {
		err = check_pinned(folios[good], mapping, index >> shift);
		if (err)
			break;
		index = folio_first_index(folios[good], shift) +
			folio_nr_pages(folios[good]);
	}
	for (i = good; i < nr; i++)
		unpin_folio(folios[i]);
	return good ?: err;
}

/*
 * Pin folios that are there but in movable memory, or were a moment ago. All of
 * them lie in the page cache from page @index to page @last.
 */
static long pin_movable(struct file *memfd, pgoff_t index, pgoff_t last,
			struct folio **folios, unsigned int max)
{
	struct inode *inode = file_inode(memfd);
	bool huge = is_file_hugepages(memfd);
	unsigned long movable = 0;
	pgoff_t first, offset;
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
				 (loff_t)last << PAGE_SHIFT, folios, max,
				 &offset);
	if (huge)
		inode_unlock_shared(inode);
	if (movable)
		trace_memfd_migrate(inode, index, last, movable, min(ret, 0L));
	if (ret > 0)
		return keep_good(memfd->f_mapping, index, folios, ret);
	/* A folio that could not be migrated may be idle in a moment. */
	return ret == -ENOMEM ? -EBUSY : ret;
}

/*
 * Make up to @max folios ready, from page @index to page @last, and pin them.
 * Returns their number, or a negative error; -EAGAIN means that the file changed
 * meanwhile, -EBUSY that a folio was in use and could not be migrated.
 */
static long pin_slow(struct file *memfd, pgoff_t index, pgoff_t last,
		     struct folio **folios, unsigned int max)
{
	struct address_space *mapping = memfd->f_mapping;
	unsigned int shift = cache_index_shift(mapping);
	unsigned int flags;
	unsigned long nr;
	long ret;

	flags = memalloc_pin_save();
	if (is_file_hugepages(memfd)) {
		nr = pages_per_huge_page(hstate_file(memfd));
		last = min(last, round_down(index, nr) + max * nr - 1);
		ret = hugetlb_populate(memfd, index, last);
	} else {
		ret = shmem_populate(mapping, index, &last, max);
	}
	memalloc_pin_restore(flags);
	/*
	 * Perhaps there are free huge pages, but all in movable memory. Once they
	 * are in the file they can be migrated, to memory from outside the pool.
	 */
	if (ret == -ENOMEM && HUGETLB_MIGRATES && is_file_hugepages(memfd))
		ret = hugetlb_populate(memfd, index, last);
	if (ret)
		return ret;

	nr = pin_fast(mapping, index >> shift, last >> shift, folios, max);
	return nr ?: pin_movable(memfd, index, last, folios, max);
}

/**
 * pin_batch() - pin the next folios of a memfd
 * @memfd: a file on shmem or hugetlbfs
 * @index: page index in the file
 * @last: last page index, within i_size
 * @folios: where to put them
 * @max: entries in @folios, at most PIN_BATCH
 *
 * Pins the folio that holds @index, and as many of those after it as come
 * easily. Each has valid contents, is in its place in the file, and not in
 * movable memory.
 *
 * Context: may sleep; see memfd_pin_range().
 *
 * Return: number of folios pinned, at least 1, or an error of memfd_pin_range(),
 * with none pinned.
 */
long pin_batch(struct file *memfd, pgoff_t index, pgoff_t last,
	       struct folio **folios, unsigned int max)
{
	struct address_space *mapping = memfd->f_mapping;
	unsigned int shift = cache_index_shift(mapping);
	unsigned int tries = 0;
	long nr;

	do {
		cond_resched();
		if (fatal_signal_pending(current))
			return -EINTR;
		nr = pin_fast(mapping, index >> shift, last >> shift, folios,
			      max);
		if (!nr)
			nr = pin_slow(memfd, index, last, folios,
				      min(max, (unsigned int)PIN_SLOW_BATCH));
	} while ((nr == -EAGAIN || nr == -EBUSY) && tries++ < PIN_RETRIES);
	return nr == -EBUSY ? -ENOMEM : nr;
}
