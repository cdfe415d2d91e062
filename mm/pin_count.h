/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How FOLL_PIN pins are counted. The kernel exports no way to turn a reference
 * into a pin (folio_add_pins() of 7.2 adds to pins that are there already), so
 * this does by hand what mm/gup.c does: a small folio's pin is
 * GUP_PIN_COUNTING_BIAS references, a large folio's is one reference and one in
 * _pincount. The kernel's own functions release them.
 */
#ifndef _PIN_COUNT_H
#define _PIN_COUNT_H

#include <linux/mm.h>

/*
 * Turn a reference into a pin. NR_FOLL_PIN_ACQUIRED of the folio's node is the
 * caller's to count.
 */
static inline void ref_to_pin(struct folio *folio)
{
	if (folio_test_large(folio))
		atomic_inc(&folio->_pincount);
	else
		folio_ref_add(folio, GUP_PIN_COUNTING_BIAS - 1);
}

/*
 * A pin on a small folio is 1024 references. Nothing keeps a user from naming one
 * page a million times, so no more than half of what the count can hold is used:
 * that leaves room for the batches of a million threads.
 */
static inline bool too_many_pins(struct folio *folio)
{
	return folio_ref_count(folio) > INT_MAX / 2;
}

#endif /* _PIN_COUNT_H */
