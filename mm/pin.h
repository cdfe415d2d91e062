/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of memfd_pin.ko share.
 */
#ifndef _MEMFD_PIN_INTERNAL_H
#define _MEMFD_PIN_INTERNAL_H

#include <linux/types.h>

struct address_space;
struct folio;

unsigned int pin_fast(struct address_space *mapping, pgoff_t index,
		      pgoff_t last, struct folio **folios, unsigned int max);

#endif /* _MEMFD_PIN_INTERNAL_H */
