// SPDX-License-Identifier: GPL-2.0
/*
 * Pin the next few folios of a memfd. What is ready in the page cache is pinned
 * by pin_fast(). Else folios are first brought in by pin_populate(). One that is
 * locked is waited for and pinned under its lock; those in movable memory are
 * pinned by memfd_pin_folios(), which migrates them. Nothing holds a folio in its file
 * before it is pinned, so that is checked afterwards.
 */
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <trace/events/memfd_pin.h>

#include "pin.h"
#include "pin_count.h"

/*
 * How often a batch may lose a race against another user of the file before the caller
 * is told: against hole punching and reclaim, which under pressure can swap a folio out
 * as soon as it is there; and against references that hold off migration. Each loss
 * needs its own, well-timed event; a file on which that happens so often in a row
 * is being changed on purpose.
 */
#define PIN_RETRIES	100
#define PIN_MIGRATIONS	10

/*
 * Pauses for others to be done with what they have isolated: 10 seconds. Who moves some GiB
 * from one node to another has all of that isolated from the beginning to the end.
 */
#define PIN_ISOLATED	500
#define PIN_PAUSE_MS	20

/*
 * Pages that are enough to migrate at once, when they are of large folios. All of them are
 * isolated from the LRU lists first; once half of what is on these lists is, compaction,
 * which may be needed to migrate a large folio, waits until it is less. It would wait for
 * us, for ever: see too_many_isolated() in mm/compaction.c.
 */
#define PIN_MIGRATE_PAGES	512

/*
 * Does a folio hold the page at @index of the cache, with valid contents, and may it
 * be pinned once more? It is pinned already, or locked. Returns 0, -EAGAIN if it
 * does not, -EIO if memory has failed, -ENOMEM if it has all the pins it can take.
 */
static int check_folio(struct folio *folio, struct address_space *mapping,
		       pgoff_t index)
{
	if (READ_ONCE(folio->mapping) != mapping || !folio_contains(folio, index) ||
	    !folio_test_uptodate(folio))
		return -EAGAIN;

	if (folio_contain_hwpoisoned_page(folio))
		return -EIO;

	if (too_many_pins(folio))
		return -ENOMEM;
	return 0;
}

/* As check_folio(), of a folio that was pinned without its lock; or -EINTR. */
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
	if (folio_wait_locked_killable(folio))
		return -EINTR;

	/* The lock before what changes under it. */
	smp_rmb();
	return check_folio(folio, mapping, index);
}

/*
 * Pin the folio of the next page under its lock, for which pin_fast() does not wait.
 * Returns 0, -EXDEV if it may have to be migrated first, or as check_pinned(); the
 * cursor says whether to wait.
 */
static int pin_locked(struct address_space *mapping, struct pin_cursor *cursor)
{
	struct pin_counter counter = { .item = NR_FOLL_PIN_ACQUIRED };
	unsigned int shift = cache_index_shift(mapping);
	pgoff_t index = cursor->index >> shift;
	struct folio *folio;
	int err;

	folio = filemap_get_folio(mapping, index);
	if (IS_ERR(folio))
		return -EAGAIN;
	err = pin_lock_folio(folio, cursor);
	if (err) {
		folio_put(folio);
		return err;
	}
	err = check_folio(folio, mapping, index);
	if (!err && may_be_movable(folio))
		err = -EXDEV;
	if (!err) {
		folio_refs_to_pins(folio, 1);
		count_pin(&counter, folio);
		flush_pins(&counter);
		/* There is room for a span. */
		add_folio_span(cursor, folio,
			       cursor->index - (folio->index << shift),
			       folio_nr_pages(folio));
		cursor->nr_folios++;
	}
	folio_unlock(folio);
	if (err)
		folio_put(folio);
	return err;
}

/*
 * Of a folio that was not locked a moment ago; it may go on to the swap cache now, of
 * which folio_contains() must not be asked.
 */
static bool is_part_of(struct folio *folio, struct address_space *mapping, pgoff_t index)
{
	/* The lock before what changes under it. */
	smp_rmb();
	return READ_ONCE(folio->mapping) == mapping && folio_contains(folio, index);
}

/*
 * Whether somebody else has taken it off its list, to migrate it, say. Of a small folio that
 * is not to be known: it may only be in some CPU's batch, on its way to the list.
 */
static bool is_isolated(struct folio *folio)
{
	if (folio_test_hugetlb(folio))
		return !folio_test_hugetlb_migratable(folio);
	return folio_test_large(folio) && !folio_test_lru(folio);
}

/*
 * Of a few folios from page @index on, up to the first one that is not there, has
 * failed, or is locked or isolated, find the last that has to be migrated. Those between
 * may lie where they can stay: from CMA areas, memory comes page by page in turn with
 * other. The kernel's function does not wait for a lock such that it can be killed, and
 * tries forever to migrate what has failed, or what others have isolated. Returns how many
 * have to be migrated, and the last page in *@last. It is one at least, or -EAGAIN, -EIO,
 * or -EINPROGRESS.
 */
static long find_movable(struct address_space *mapping, pgoff_t index,
			 pgoff_t *last)
{
	unsigned int shift = cache_index_shift(mapping), i;
	pgoff_t next = index, end = index, pages = 0;
	struct folio *folio;
	bool movable;
	long nr = 0;
	int err = 0;

	for (i = 0; i < PIN_SLOW_BATCH && pages < PIN_MIGRATE_PAGES &&
	     next <= *last && !err; i++) {
		folio = filemap_get_folio(mapping, next >> shift);
		if (IS_ERR(folio)) {
			err = -EAGAIN;
			break;
		}
		movable = may_be_movable(folio);
		if (folio_contain_hwpoisoned_page(folio))
			err = -EIO;
		else if (folio_test_locked(folio) ||
			 !is_part_of(folio, mapping, next >> shift))
			err = -EAGAIN;
		else if (movable && is_isolated(folio))
			err = -EINPROGRESS;
		else
			next = (folio->index << shift) + folio_nr_pages(folio);
		if (!err && movable) {
			nr++;
			end = next;
			pages += folio_nr_pages(folio);
		}
		folio_put(folio);
	}
	*last = min(*last, end - 1);
	return nr ?: err ?: -EAGAIN;
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
 * Pin folios that are there but in movable memory: those from where the cursor is
 * to page @last.
 */
static int pin_movable(struct file *memfd, struct pin_cursor *cursor,
		       pgoff_t last)
{
	struct folio *folios[PIN_SLOW_BATCH];
	struct inode *inode = file_inode(memfd);
	bool huge = is_file_hugepages(memfd);
	pgoff_t index = cursor->index, offset;
	long movable, ret;

	if (huge && !hugepage_migration_supported(hstate_file(memfd)))
		return -ENOMEM;
	if (cursor->nonblock)
		return -EAGAIN;
	/*
	 * With the inode lock held nobody can punch a new hole, which the kernel's
	 * function would fill. Another user of the file may hold it for long, in
	 * fallocate().
	 */
	if (huge && down_read_killable(&inode->i_rwsem))
		return -EINTR;
	movable = find_movable(memfd->f_mapping, index, &last);
	ret = movable;
	if (movable > 0)
		ret = pin_present_folios(memfd, (loff_t)index << PAGE_SHIFT,
					 (loff_t)last << PAGE_SHIFT, folios,
					 PIN_SLOW_BATCH, &offset);
	if (huge)
		inode_unlock_shared(inode);
	if (movable > 0)
		trace_memfd_migrate(inode, index, last, movable, min(ret, 0L));
	if (ret > 0)
		return keep_good(memfd->f_mapping, cursor, folios, ret);
	/* A folio that could not be migrated may be idle in a moment. */
	return ret == -ENOMEM ? -EBUSY : ret;
}

/*
 * Make a few folios ready and pin them. Returns 0, or a negative error; -EAGAIN
 * means that the file changed meanwhile, -EBUSY that a folio was in use and could
 * not be migrated, -EINPROGRESS that somebody else has isolated it.
 */
static int pin_slow(struct file *memfd, struct pin_cursor *cursor)
{
	pgoff_t last;
	int err;

	err = pin_populate(memfd, cursor, &last);
	if (err || pin_fast(memfd->f_mapping, cursor))
		return err;
	err = pin_locked(memfd->f_mapping, cursor);
	return err == -EXDEV ? pin_movable(memfd, cursor, last) : err;
}

/**
 * pin_batch() - pin the next folios of a memfd
 * @memfd: a file on shmem or hugetlbfs
 * @cursor: what to pin, up to the page that i_size is in, with room for a span at least; moved on
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
	unsigned int changed = 0, busy = 0, isolated = 0;
	int err;

	for (;;) {
		cond_resched();
		if (fatal_signal_pending(current))
			return -EINTR;
		if (pin_fast(memfd->f_mapping, cursor))
			return 0;
		err = pin_slow(memfd, cursor);
		if (cursor->nonblock)
			break;
		if (err == -EAGAIN && changed++ < PIN_RETRIES)
			continue;
		if (err == -EINPROGRESS && isolated++ < PIN_ISOLATED) {
			schedule_timeout_killable(msecs_to_jiffies(PIN_PAUSE_MS));
			continue;
		}
		if (err != -EBUSY || busy++ == PIN_MIGRATIONS)
			break;
		/*
		 * Two that migrate the same folio are in each other's way, and who
		 * has only begun to use it needs a moment.
		 */
		schedule_timeout_killable(busy);
	}
	return err == -EBUSY || err == -EINPROGRESS ? -ENOMEM : err;
}
