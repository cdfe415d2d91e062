// SPDX-License-Identifier: GPL-2.0
/*
 * pin_user_pages_fast_only() for modules, where the kernel does not export one.
 */
#include <linux/pin_fast_only.h>

#ifndef KERNEL_HAS_PIN_FAST_ONLY
#include "../../mm/pin_fast_only.c"
#else
/* The kernel's own cannot be made to fail. */
void pin_fast_only_debugfs(struct dentry *parent)
{
}
#endif
