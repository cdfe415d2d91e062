// SPDX-License-Identifier: GPL-2.0
/*
 * Pin folios straight from the page cache, without a lock and without a look
 * at those that may need more: what is absent, swapped out, not uptodate,
 * failed, or in movable memory is left to the slow path. And release them.
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

/* They also tell a folio's zone and node. */
#define FLAGS_ZONE	((unsigned long)ZONEID_MASK << ZONEID_PGSHIFT)
#define NO_ZONE		ULONG_MAX

/* Not nothing, a swapped folio, or an internal entry of the XArray. */
static bool is_folio(void *entry)
{
	return entry && IS_ALIGNED((unsigned long)entry, 4);
}

/*
 * Without a reference it may be anything by now, a tail page too, of which
 * folio_test_large() must not be asked.
 */
static bool is_large(struct folio *folio)
{
	return READ_ONCE(*folio_flags_word(folio)) & BIT(PG_head);
}

/*
 * Look at the flags of a folio that is pinned now; @head is PG_head or nothing.
 * Most folios lie in the zone of the one before, @zone, which was looked at then,
 * and is that of @counter.
 */
static __always_inline bool flags_are_good(struct folio *folio,
					   unsigned long head,
					   unsigned long *zone,
					   struct pin_counter *counter)
{
	/* Before mapping and index, which change under the folio lock. */
	unsigned long flags = smp_load_acquire(folio_flags_word(folio));

	flags &= FLAGS_LOOKED_AT | FLAGS_ZONE;
	if (likely(flags == (*zone | FLAGS_GOOD | head)))
		return true;
	if ((flags & FLAGS_LOOKED_AT) != (FLAGS_GOOD | head) ||
	    may_be_movable(folio))
		return false;
	*zone = flags & FLAGS_ZONE;
	count_for(counter, folio);
	return true;
}

/*
 * Pin small folios: the entries of a leaf, from @folio on. The pin comes first and
 * then the look at what it is, which saves doing both twice: whether it holds what
 * is at that index of the file, and is going to. Nobody who can see a pin takes a
 * folio out of its file, but for truncation and holes. Swap-out looks at the pins
 * under the folio lock: if it holds the lock now, it may not have seen this one. A
 * folio that is not in the file at all, because it was freed and used anew, has
 * another mapping.
 */
static void pin_leaf(struct address_space *mapping, struct xa_state *xas,
		     struct folio *folio, struct pin_cursor *cursor)
{
	struct pin_counter counter = { .item = NR_FOLL_PIN_ACQUIRED };
	struct xa_node *node = xas->xa_node;
	struct pin_cursor cur = *cursor;
	unsigned long zone = NO_ZONE;
	pgoff_t end;

	/* A tree of one entry has no node. */
	end = 1 + (node ? min(cur.last, cur.index | XA_CHUNK_MASK) : cur.index);
	while (try_get_refs(folio, GUP_PIN_COUNTING_BIAS)) {
		if (!flags_are_good(folio, 0, &zone, &counter) ||
		    folio->mapping != mapping || folio->index != cur.index ||
		    !add_folio_span(&cur, folio, 0, 1)) {
			folio_put_refs(folio, GUP_PIN_COUNTING_BIAS);
			break;
		}
		counter.nr++;
		if (cur.index == end)
			break;
		folio = xa_entry(xas->xa, node, cur.index & XA_CHUNK_MASK);
		if (!is_folio(folio))
			break;
	}
	flush_pins(&counter);
	cur.nr_folios += cur.index - cursor->index;
	*cursor = cur;
}

/* The last index that is in the node of the XArray that @xas is at. */
static pgoff_t last_in_node(const struct xa_state *xas)
{
	if (!xas->xa_node)
		return xas->xa_index;
	return xas->xa_index | ((XA_CHUNK_SIZE << xas->xa_node->shift) - 1);
}

/*
 * Pin large folios, up to PIN_BATCH of them, from @folio on. As long as it is not
 * sure that it is large, nothing of it but the count of references may be written.
 */
static void pin_large(struct address_space *mapping, struct xa_state *xas,
		      struct folio *folio, struct pin_cursor *cursor)
{
	struct pin_counter counter = { .item = NR_FOLL_PIN_ACQUIRED };
	unsigned int shift = cache_index_shift(mapping), nr_folios = 0;
	unsigned long nr, offset, zone = NO_ZONE;
	struct pin_cursor cur = *cursor;
	pgoff_t index, last = last_in_node(xas);

	do {
		if (!try_get_refs(folio, 1))
			break;
		if (folio->mapping != mapping || !is_large(folio)) {
			folio_put(folio);
			break;
		}
		atomic_inc(&folio->_pincount);
		nr = folio_nr_pages(folio);
		offset = cur.index - (folio->index << shift);
		if (!flags_are_good(folio, BIT(PG_head), &zone, &counter) ||
		    folio_test_has_hwpoisoned(folio) ||
		    folio->mapping != mapping || offset >= nr ||
		    !add_folio_span(&cur, folio, offset, nr)) {
			put_pin(folio);
			break;
		}
		counter.nr++;
		if (++nr_folios == PIN_BATCH || cur.index > cur.last)
			break;

		index = cur.index >> shift;
		if (index <= last) {
			folio = xa_entry(xas->xa, xas->xa_node,
					 (index >> xas->xa_node->shift) &
					 XA_CHUNK_MASK);
		} else {
			xas_set(xas, index);
			folio = xas_load(xas);
			/* Where there is nothing there is no node. */
			if (!is_folio(folio))
				break;
			last = last_in_node(xas);
		}
	} while (is_folio(folio));
	flush_pins(&counter);
	cur.nr_folios += nr_folios;
	*cursor = cur;
}

/**
 * pin_fast() - pin folios that are ready for it
 * @mapping: of a file on shmem or hugetlbfs
 * @cursor: what to pin, with room for a span at least; moved on
 *
 * Pins the folio that holds the next page, the one after it, and so on, until
 * one is not ready, or a batch is full.
 *
 * Context: any but interrupts.
 *
 * Return: whether any folio was pinned.
 */
bool pin_fast(struct address_space *mapping, struct pin_cursor *cursor)
{
	pgoff_t index = cursor->index;
	XA_STATE(xas, &mapping->i_pages, index >> cache_index_shift(mapping));
	struct folio *folio;

	rcu_read_lock();
	folio = xas_load(&xas);
	if (is_folio(folio)) {
		if (is_large(folio))
			pin_large(mapping, &xas, folio, cursor);
		else
			pin_leaf(mapping, &xas, folio, cursor);
	}
	rcu_read_unlock();
	return cursor->index != index;
}

/*
 * Without the folio lock, which keeps the mapping alive, because it is not needed:
 * on shmem and hugetlbfs the flag is all there is to it. Nobody cleans or drops a
 * folio that has a pin.
 */
static void mark_dirty(struct folio *folio)
{
	if (!folio_test_dirty(folio))
		folio_set_dirty(folio);
}

/**
 * unpin_fast() - release pinned folios
 * @spans: pages of the folios
 * @nr: number of spans
 * @dirty: whether they may have been written to
 *
 * Each folio that has pages in a span loses one pin for that.
 *
 * Context: may sleep.
 */
void unpin_fast(const struct memfd_span *spans, unsigned long nr, bool dirty)
{
	struct pin_counter counter = { .item = NR_FOLL_PIN_RELEASED };
	const struct memfd_span *span;
	unsigned int nr_folios = 0;
	struct folio *folio;
	unsigned long pfn;

	for (span = spans; span < spans + nr; span++) {
		pfn = span->pfn;
		do {
			folio = page_folio(pfn_to_page(pfn));
			if (dirty)
				mark_dirty(folio);
			count_pin(&counter, folio);
			pfn = folio_pfn(folio) + folio_nr_pages(folio);
			put_pin(folio);
			if (++nr_folios % PIN_BATCH == 0)
				cond_resched();
		} while (pfn < span->pfn + span->nr);
	}
	flush_pins(&counter);
}
