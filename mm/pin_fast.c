// SPDX-License-Identifier: GPL-2.0
/*
 * Pin folios straight from the page cache, without a lock and without a look
 * at those that may need more: what is absent, swapped out, not uptodate,
 * failed, or in movable memory is left to the slow path.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/vmstat.h>
#include <linux/xarray.h>

#include "pin.h"
#include "pin_count.h"

/**
 * pin_fast() - pin folios that are ready for it
 * @mapping: of a file on shmem or hugetlbfs
 * @index: index in the page cache, see cache_index_shift()
 * @last: last index
 * @folios: where to put them
 * @max: entries in @folios
 *
 * Pins the folio that holds @index, the one after it, and so on, until one is
 * not ready. Each held its place in the file when it had its reference; the
 * caller has to check again now that it has the pin.
 *
 * Context: any but interrupts.
 *
 * Return: number of folios pinned, 0 if the first one is not ready.
 */
unsigned int pin_fast(struct address_space *mapping, pgoff_t index,
		      pgoff_t last, struct folio **folios, unsigned int max)
{
	unsigned int shift = cache_index_shift(mapping);
	XA_STATE(xas, &mapping->i_pages, index);
	unsigned int nr = 0, counted = 0;
	struct pglist_data *node = NULL;
	struct folio *folio;

	rcu_read_lock();
	for (folio = xas_load(&xas); nr < max && xas.xa_index <= last;
	     folio = xas_next(&xas)) {
		if (!folio || xas_retry(&xas, folio) || xa_is_value(folio))
			break;
		if (!folio_try_get(folio))
			break;
		/* Only now it is sure to be what the slot says. */
		if (folio != xas_reload(&xas) || !folio_test_uptodate(folio) ||
		    folio_test_locked(folio) || folio_test_hwpoison(folio) ||
		    may_be_movable(folio)) {
			folio_put(folio);
			break;
		}

		ref_to_pin(folio);
		if (folio_test_large(folio))
			xas_advance(&xas, folio->index - 1 +
				    (folio_nr_pages(folio) >> shift));
		if (folio_pgdat(folio) != node) {
			if (node)
				mod_node_page_state(node, NR_FOLL_PIN_ACQUIRED,
						    nr - counted);
			counted = nr;
			node = folio_pgdat(folio);
		}
		folios[nr++] = folio;
	}
	rcu_read_unlock();
	if (node)
		mod_node_page_state(node, NR_FOLL_PIN_ACQUIRED, nr - counted);
	return nr;
}
