/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How FOLL_PIN pins are counted. The kernel exports no way to turn a reference
 * into a pin (folio_add_pins() of 7.2 adds to pins that are there already), and
 * its ways to release one cost more than the rest of it. So this does by hand
 * what mm/gup.c does: a small folio's pin is GUP_PIN_COUNTING_BIAS references, a
 * large folio's is one reference and one in _pincount. Pins that are taken here
 * may be released by the kernel's functions, and the other way round. (On 32 bits, a
 * folio of two pages is a small one here.)
 */
#ifndef _PIN_COUNT_H
#define _PIN_COUNT_H

#include <linux/memfd_pin.h>
#include <linux/mm.h>
#include <linux/vmstat.h>

/*
 * A pin on a small folio is 1024 references. Nothing keeps a user from naming one
 * page a million times, so no more than half of what the count can hold is used: the
 * rest has room for a million pins more, of batches that have not looked yet.
 */
#define PIN_MAX_REFS	(INT_MAX / 2)

static inline bool too_many_pins(struct folio *folio)
{
	/* What has gone over the top is negative. */
	return (unsigned int)folio_ref_count(folio) > PIN_MAX_REFS;
}

/*
 * Turn references into pins. NR_FOLL_PIN_ACQUIRED of the folio's node is the
 * caller's to count.
 */
static inline void folio_refs_to_pins(struct folio *folio, int nr)
{
	if (folio_has_pincount(folio))
		atomic_add(nr, &folio->_pincount);
	else
		folio_ref_add(folio, nr * (GUP_PIN_COUNTING_BIAS - 1));
}

/* Undo one of folio_refs_to_pins() and the reference; NR_FOLL_PIN_RELEASED is the caller's. */
static inline void put_pin(struct folio *folio)
{
	if (folio_has_pincount(folio)) {
		atomic_dec(&folio->_pincount);
		folio_put(folio);
	} else {
		folio_put_refs(folio, GUP_PIN_COUNTING_BIAS);
	}
}

/*
 * Counts pins for NR_FOLL_PIN_ACQUIRED or _RELEASED, as many as possible at once:
 * as long as they are of the same node.
 */
struct pin_counter {
	enum node_stat_item item;
	int nid;
	long nr;
};

static inline void flush_pins(struct pin_counter *counter)
{
	if (counter->nr)
		mod_node_page_state(NODE_DATA(counter->nid), counter->item,
				    counter->nr);
	counter->nr = 0;
}

/* What is counted from now on is of the folio's node. */
static inline void count_for(struct pin_counter *counter, struct folio *folio)
{
	if (folio_nid(folio) != counter->nid) {
		flush_pins(counter);
		counter->nid = folio_nid(folio);
	}
}

static inline void count_pins(struct pin_counter *counter, struct folio *folio,
			      long nr)
{
	count_for(counter, folio);
	counter->nr += nr;
}

static inline void count_pin(struct pin_counter *counter, struct folio *folio)
{
	count_pins(counter, folio, 1);
}

#endif /* _PIN_COUNT_H */
