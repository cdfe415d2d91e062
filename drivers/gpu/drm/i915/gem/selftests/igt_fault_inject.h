/* SPDX-License-Identifier: MIT */
/*
 * Instead of <linux/fault-inject.h>, for kernels that cannot let anything fail: selftests
 * of i915 do not even compile there. tools/i915 has it included where it is measured.
 */
#ifndef __IGT_FAULT_INJECT_H__
#define __IGT_FAULT_INJECT_H__

#include <linux/atomic.h>
#include <linux/types.h>

#define _LINUX_FAULT_INJECT_H

struct fault_attr {
	unsigned long probability;
	unsigned long interval;
	atomic_t times;
};

static inline bool should_fail(struct fault_attr *attr, ssize_t size)
{
	return false;
}

#endif /* __IGT_FAULT_INJECT_H__ */
