// SPDX-License-Identifier: GPL-2.0
/*
 * Pin folios straight from the page cache, without a lock and without a look
 * at those that may need more: what is absent, swapped out, not uptodate,
 * failed, or in movable memory is left to the slow path.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/xarray.h>

#include "pin.h"
#include "pin_count.h"

/* What a small folio's flags must be, and a large one's but for PG_head. */
#define FLAGS_LOOKED_AT	(BIT(PG_locked) | BIT(PG_uptodate) | BIT(PG_head) | \
			 __PG_HWPOISON)
#define FLAGS_GOOD	BIT(PG_uptodate)

/*
 * Whether a folio that is pinned now holds what is at @index of the file, and is
 * going to. Nobody who can see a pin takes a folio out of its file, but for
 * truncation and holes. Swap-out looks at the pins under the folio lock: if it
 * holds the lock now, it may not have seen this one. A folio that is not in the
 * file at all, because it was freed and used anew, has another mapping.
 */
static bool small_is_good(struct folio *folio, struct address_space *mapping,
			  pgoff_t index)
{
	/* Before mapping and index, which change under the folio lock. */
	unsigned long flags = smp_load_acquire(folio_flags(folio, 0));

	return (flags & FLAGS_LOOKED_AT) == FLAGS_GOOD &&
	       folio->mapping == mapping && folio->index == index &&
	       !may_be_movable(folio);
}

static bool large_is_good(struct folio *folio, struct address_space *mapping,
			  pgoff_t index, unsigned int shift)
{
	/* Before mapping and index, which change under the folio lock. */
	unsigned long flags = smp_load_acquire(folio_flags(folio, 0));

	return (flags & FLAGS_LOOKED_AT) == (FLAGS_GOOD | BIT(PG_head)) &&
	       !folio_contain_hwpoisoned_page(folio) &&
	       folio->mapping == mapping && !may_be_movable(folio) &&
	       index - folio->index < folio_nr_pages(folio) >> shift;
}

/*
 * Pin the large folio that was in the file a moment ago. Nothing but the count of
 * references may be written as long as it is not sure that it is one.
 */
static bool pin_large(struct folio *folio, struct address_space *mapping,
		      pgoff_t index, unsigned int shift)
{
	if (!try_get_refs(folio, 1))
		return false;
	if (folio->mapping != mapping || !folio_test_large(folio)) {
		folio_put(folio);
		return false;
	}
	atomic_inc(&folio->_pincount);
	if (large_is_good(folio, mapping, index, shift))
		return true;
	put_pin(folio);
	return false;
}

/*
 * Pin the small folio at @index. The pin comes first and then the look at what it
 * is, which saves doing both twice.
 */
static bool pin_small(struct folio *folio, struct address_space *mapping,
		      pgoff_t index)
{
	if (!try_get_refs(folio, GUP_PIN_COUNTING_BIAS))
		return false;
	if (small_is_good(folio, mapping, index))
		return true;
	folio_put_refs(folio, GUP_PIN_COUNTING_BIAS);
	return false;
}

/* Not nothing, a swapped folio, or an internal entry of the XArray. */
static bool is_folio(void *entry)
{
	return entry && IS_ALIGNED((unsigned long)entry, 4);
}

/*
 * The entry for @index, if it is in the same node of the XArray as the one that
 * @xas was set to.
 */
static void *next_in_node(struct xa_state *xas, pgoff_t index)
{
	struct xa_node *node = xas->xa_node;

	if (!node || (index ^ xas->xa_index) >> node->shift >= XA_CHUNK_SIZE)
		return NULL;
	return xa_entry(xas->xa, node, (index >> node->shift) & XA_CHUNK_MASK);
}

/**
 * pin_fast() - pin folios that are ready for it
 * @mapping: of a file on shmem or hugetlbfs
 * @index: index in the page cache, see cache_index_shift()
 * @last: last index
 * @folios: where to put them
 * @max: entries in @folios
 *
 * Pins the folio that holds @index, the one after it, and so on, until one is
 * not ready.
 *
 * Context: any but interrupts.
 *
 * Return: number of folios pinned, 0 if the first one is not ready.
 */
unsigned int pin_fast(struct address_space *mapping, pgoff_t index,
		      pgoff_t last, struct folio **folios, unsigned int max)
{
	struct pin_counter counter = { .item = NR_FOLL_PIN_ACQUIRED };
	unsigned int shift = cache_index_shift(mapping);
	XA_STATE(xas, &mapping->i_pages, index);
	struct folio *folio;
	unsigned int nr = 0;

	rcu_read_lock();
	while (nr < max && index <= last) {
		xas_set(&xas, index);
		folio = xas_load(&xas);
		if (!is_folio(folio))
			break;
		while (folio_test_large(folio)) {
			if (!pin_large(folio, mapping, index, shift))
				goto out;
			count_pin(&counter, folio);
			folios[nr++] = folio;
			index = folio->index + (folio_nr_pages(folio) >> shift);
			if (nr == max || index > last)
				goto out;
			folio = next_in_node(&xas, index);
			if (!is_folio(folio))
				break;
		}
		if (!is_folio(folio))
			continue;
		/* Small folios are the entries of a leaf. */
		do {
			if (!pin_small(folio, mapping, index))
				goto out;
			count_pin(&counter, folio);
			folios[nr++] = folio;
			if (nr == max || index++ == last ||
			    !(index & XA_CHUNK_MASK) || !xas.xa_node)
				break;
			folio = xa_entry(xas.xa, xas.xa_node,
					 index & XA_CHUNK_MASK);
		} while (is_folio(folio) && !folio_test_large(folio));
	}
out:
	rcu_read_unlock();
	flush_pins(&counter);
	return nr;
}

/**
 * unpin_fast() - release a run of pinned folios
 * @pfn: frame number of a page in the first folio
 * @end: frame number after the last page
 * @dirty: whether they may have been written to
 * @counter: of NR_FOLL_PIN_RELEASED, to be flushed by the caller
 *
 * Each folio that has pages in the run loses one pin.
 *
 * Context: may sleep; takes folio locks if @dirty.
 */
void unpin_fast(unsigned long pfn, unsigned long end, bool dirty,
		struct pin_counter *counter)
{
	struct folio *folio;

	while (pfn < end) {
		folio = page_folio(pfn_to_page(pfn));
		pfn = folio_pfn(folio) + folio_nr_pages(folio);
		if (dirty && !folio_test_dirty(folio)) {
			folio_lock(folio);
			folio_mark_dirty(folio);
			folio_unlock(folio);
		}
		count_pin(counter, folio);
		put_pin(folio);
		if (counter->total % PIN_BATCH == 0)
			cond_resched();
	}
}
