// SPDX-License-Identifier: GPL-2.0
/*
 * pin_user_pages_fast_only() for modules, where the kernel does not export one.
 */
#include <linux/export.h>
#include <linux/pin_fast_only.h>

#ifndef KERNEL_HAS_PIN_FAST_ONLY
#include "../../mm/pin_fast_only.c"
#else
/* The kernel takes pins at once, and needs no second look. */
int pin_user_pages_fast_watched(unsigned long start, int nr_pages,
				unsigned int gup_flags, struct page **pages)
{
	return pin_user_pages_fast_only(start, nr_pages, gup_flags, pages);
}
EXPORT_SYMBOL_GPL(pin_user_pages_fast_watched);

/* The kernel's own cannot be made to fail. */
void pin_fast_only_debugfs(struct dentry *parent)
{
}
#endif
