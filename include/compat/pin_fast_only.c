// SPDX-License-Identifier: GPL-2.0
/*
 * pin_user_pages_fast_only() for modules, where the kernel does not export one.
 */
#include <linux/export.h>
#include <linux/pin_fast_only.h>

#ifdef PINFOLD_HAS_PIN_FAST_ONLY
#include "../../mm/pin_fast_only.c"
EXPORT_SYMBOL_GPL(pin_user_pages_fast_only);
/* For tests */
EXPORT_SYMBOL_GPL(pin_fast_only_interval);
#else
/* The kernel's own cannot be made to fail. */
void pin_fast_only_debugfs(struct dentry *parent)
{
}
#endif
