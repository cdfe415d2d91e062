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

/* What no folio has, of what is looked at */
#define FLAGS_NONE	ULONG_MAX
#define FLAGS_MIXED	BIT(PG_referenced)

/*
 * What was looked at last: the flags that all folios have that are good and lie in
 * the same zone. Where the blocks of a zone are not alike, there are FLAGS_MIXED too,
 * which makes them nobody's, and it holds in one page block.
 */
struct pin_place {
	unsigned long flags;
	unsigned long block;
};

static inline bool is_in_block(struct folio *folio, unsigned long flags,
			       const struct pin_place *place)
{
	return IS_ENABLED(CONFIG_CMA) &&
	       (flags | FLAGS_MIXED) == place->flags &&
	       folio_pfn(folio) >> pageblock_order == place->block;
}

/*
 * Take @refs references on what was a folio a moment ago, with RCU held since
 * then: folio_try_get() for several, with room left. All pages of a folio that
 * has been freed have no references. Those of optimized huge pages may be mapped
 * read-only, and even an exchange that fails is a write: so the look comes first.
 */
static inline bool try_get_refs(struct folio *folio, int refs)
{
	int old = folio_ref_count(folio);

	do {
		if (unlikely(old <= 0 || old > PIN_MAX_REFS))
			return false;
	} while (!atomic_try_cmpxchg(&folio->_refcount, &old, old + refs));
	return true;
}

/* Not nothing, a swapped folio, or an internal entry of the XArray. */
static bool is_folio(void *entry)
{
	return entry && IS_ALIGNED((unsigned long)entry, 4);
}

/*
 * Without a reference it may be anything by now, a tail page too, of which
 * folio_test_large() must not be asked. As a word, they come without its checks.
 */
#ifndef folio_flags_word
#define folio_flags_word(folio)	(&(folio)->flags.f)
#endif

static bool is_large(struct folio *folio)
{
	return test_bit_acquire(PG_head, folio_flags_word(folio));
}

/* What is looked at of the flags of a folio that is pinned now. */
static __always_inline unsigned long read_flags(struct folio *folio)
{
	/* Before mapping and index, which change under the folio lock. */
	unsigned long flags = smp_load_acquire(folio_flags_word(folio));

	return flags & (FLAGS_LOOKED_AT | FLAGS_ZONE);
}

/*
 * Look at the flags of a folio that is pinned now; @head is PG_head or nothing.
 * Most folios lie in the place of the one before, @place, which was looked at then,
 * and whose node is that of @counter.
 */
static __always_inline bool flags_are_good(struct folio *folio,
					   unsigned long head,
					   struct pin_place *place,
					   struct pin_counter *counter)
{
	unsigned long flags = read_flags(folio);

	if (likely(flags == place->flags) || is_in_block(folio, flags, place))
		return true;
	if ((flags & FLAGS_LOOKED_AT) != (FLAGS_GOOD | head) ||
	    may_be_movable(folio))
		return false;
	place->flags = flags;
	if (zone_is_mixed(folio_zone(folio))) {
		place->flags |= FLAGS_MIXED;
		place->block = folio_pfn(folio) >> pageblock_order;
	}
	count_for(counter, folio);
	return true;
}

/* Of which file a folio with a reference is. */
static __always_inline bool is_of(struct folio *folio, struct address_space *mapping)
{
	/*
	 * Whoever takes it out of its file writes this, and the index, by plain stores, with
	 * the folio locked. Why one look is enough: pin_leaf().
	 */
	return data_race(READ_ONCE(folio->mapping)) == mapping;
}

static __always_inline pgoff_t read_index(struct folio *folio)
{
	/* As in is_of() */
	return data_race(READ_ONCE(folio->index));
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
	struct pin_place place = { .flags = FLAGS_NONE };
	struct pin_cursor cur = *cursor;
	pgoff_t end;

	/* A tree of one entry has no node. */
	end = 1 + (node ? min(cur.last, cur.index | XA_CHUNK_MASK) : cur.index);
	while (try_get_refs(folio, GUP_PIN_COUNTING_BIAS)) {
		if (!flags_are_good(folio, 0, &place, &counter) ||
		    !is_of(folio, mapping) || read_index(folio) != cur.index ||
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

/* The node of the XArray that follows @node in its parent. */
static struct xa_node *node_after(const struct xarray *xa,
				  const struct xa_node *node)
{
	const struct xa_node *parent = xa_parent(xa, node);
	void *entry;

	if (!parent || node->offset == XA_CHUNK_MASK)
		return NULL;
	entry = xa_entry(xa, parent, node->offset + 1);
	return xa_is_node(entry) ? xa_to_node(entry) : NULL;
}

/*
 * Take a reference on a large folio of the file, which may leave the file yet. What
 * was freed and used anew may have PG_head already and its _pincount set to 0 only
 * later; but as long as that is not done, it is in no file.
 */
static __always_inline bool get_large(struct address_space *mapping,
				      struct folio *folio)
{
	if (!try_get_refs(folio, 1))
		return false;
	if (likely(is_large(folio) && is_of(folio, mapping)))
		return true;
	folio_put(folio);
	return false;
}

/*
 * Whether a large folio that is pinned now is, or was since, where it was found, @entry
 * being what is there. Before the reference it may have been freed, and put into the same
 * file elsewhere, where it has its new mapping before its new index.
 */
static __always_inline bool is_in_place(struct folio *folio, void *entry)
{
	/* The entry before the index; pairs with rcu_assign_pointer() in xas_store(). */
	smp_rmb();
	return entry == folio;
}

/*
 * Pin what is like @folio, a large folio that @xas is at and that is pinned, up to
 * its end or that of the range: whole folios of its size, with its @flags. That is
 * how most are, and there is little to do for each but to compare, if there are
 * registers for all of it. Returns how many, @max at most.
 */
static noinline unsigned long pin_alike(struct address_space *mapping,
					struct xa_state *xas,
					struct folio *folio,
					unsigned long flags,
					struct pin_cursor *cur,
					unsigned long max)
{
	unsigned int shift = cache_index_shift(mapping), slots;
	unsigned long nr = folio_large_nr_pages(folio), step = nr >> shift;
	pgoff_t first = cur->index >> shift, index = first, run = first;
	pgoff_t end, stop, per_node;
	struct page *next = folio_page(folio, nr);
	struct xa_node *node = xas->xa_node;
	struct memfd_span *span = cur->span, *before = span;
	void __rcu **slot;

	/* The range may have ended within @folio. */
	if (cur->index > cur->last || !node)
		return 0;
	/* Or else the structs of pages need not lie in a row. */
	if (!IS_ENABLED(CONFIG_SPARSEMEM_VMEMMAP))
		return 0;
	end = first + min(max, (cur->last + 1 - cur->index) / nr) * step;
	per_node = XA_CHUNK_SIZE << node->shift;
	stop = min(end, (xas->xa_index | (per_node - 1)) + 1);
	slot = &node->slots[(index >> node->shift) & XA_CHUNK_MASK];
	slots = step >> node->shift;
	for (;; index += step, slot += slots, next += nr) {
		if (unlikely(index >= stop)) {
			if (index >= end)
				break;
			node = node_after(xas->xa, node);
			if (!node)
				break;
			stop = min(end, index + per_node);
			slot = node->slots;
		}
		folio = rcu_dereference_raw(*slot);
		if (unlikely(&folio->page != next)) {
			if (!is_folio(folio) || cur->room == cur->end)
				break;
			span->nr += (index - run) << shift;
			run = index;
			before = span;
			span = cur->room++;
			span->pfn = folio_pfn(folio);
			span->index = (index << shift) + cur->delta;
			span->nr = 0;
			next = &folio->page;
		}
		if (!get_large(mapping, folio))
			break;
		atomic_inc(&folio->_pincount);
		if (!is_in_place(folio, rcu_dereference_raw(*slot)) ||
		    read_flags(folio) != flags ||
		    folio_test_has_hwpoisoned(folio) ||
		    folio_large_nr_pages(folio) != nr ||
		    !is_of(folio, mapping) || read_index(folio) != index) {
			put_pin(folio);
			break;
		}
	}
	span->nr += (index - run) << shift;
	if (!span->nr) {
		cur->room--;
		span = before;
	}
	cur->span = span;
	cur->next_pfn = span->pfn + span->nr;
	cur->index = index << shift;
	return (index - first) / step;
}

/* Pin large folios, up to PIN_BATCH of them, from @folio on. */
static void pin_large(struct address_space *mapping, struct xa_state *xas,
		      struct folio *folio, struct pin_cursor *cursor)
{
	struct pin_counter counter = { .item = NR_FOLL_PIN_ACQUIRED };
	unsigned int shift = cache_index_shift(mapping), nr_folios = 0;
	struct pin_place place = { .flags = FLAGS_NONE };
	struct pin_cursor cur = *cursor;
	unsigned long nr, offset;

	do {
		if (!get_large(mapping, folio))
			break;
		atomic_inc(&folio->_pincount);
		if (!is_in_place(folio, xas_reload(xas)) ||
		    !flags_are_good(folio, BIT(PG_head), &place, &counter) ||
		    folio_test_has_hwpoisoned(folio) || !is_of(folio, mapping)) {
			put_pin(folio);
			break;
		}
		nr = folio_large_nr_pages(folio);
		offset = cur.index - (read_index(folio) << shift);
		if (offset >= nr || !add_folio_span(&cur, folio, offset, nr)) {
			put_pin(folio);
			break;
		}
		nr = 1;
		if (!(place.flags & FLAGS_MIXED))
			nr += pin_alike(mapping, xas, folio, place.flags, &cur,
					PIN_BATCH - 1 - nr_folios);
		counter.nr += nr;
		nr_folios += nr;
		if (nr_folios == PIN_BATCH || cur.index > cur.last)
			break;
		xas_set(xas, cur.index >> shift);
		folio = xas_load(xas);
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
		if (!is_large(folio))
			pin_leaf(mapping, &xas, folio, cursor);
		/* Elsewhere not each of them has a count of its own. */
		else if (IS_ENABLED(CONFIG_64BIT))
			pin_large(mapping, &xas, folio, cursor);
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
			folio = held_folio(pfn_to_page(pfn));
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
