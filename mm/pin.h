/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of memfd_pin.ko share.
 */
#ifndef _MEMFD_PIN_INTERNAL_H
#define _MEMFD_PIN_INTERNAL_H

#include <linux/mm.h>
#include <linux/types.h>

struct pin_counter;

/*
 * Folios that are looked up, pinned and checked in one go: what a caller may
 * have to wait for between two looks at its signals, and stack space.
 */
#define PIN_BATCH	32

unsigned int pin_fast(struct address_space *mapping, pgoff_t index,
		      pgoff_t last, struct folio **folios, unsigned int max);
void unpin_fast(unsigned long pfn, unsigned long end, bool dirty,
		struct pin_counter *counter);
long pin_batch(struct file *memfd, pgoff_t index, pgoff_t last,
	       struct folio **folios, unsigned int max);

/*
 * Memory that long-term pins must stay out of. Which page blocks of a zone are
 * CMA is not told to modules: if there are any, let the slow path see to it.
 */
static inline bool may_be_movable(struct folio *folio)
{
	return folio_zonenum(folio) == ZONE_MOVABLE ||
	       zone_cma_pages(folio_zone(folio));
}

/* Page index in the file of a folio; @shift is its cache_index_shift(). */
static inline pgoff_t folio_first_index(const struct folio *folio,
					unsigned int shift)
{
	return folio->index << shift;
}

#endif /* _MEMFD_PIN_INTERNAL_H */
