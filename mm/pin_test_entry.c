// SPDX-License-Identifier: GPL-2.0
/*
 * What maps an address: pin_test.ko looks at page tables, for tests of who fills them.
 * Built where there is something to see, which is CONFIG_ARM64_CONTPTE.
 */
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/sched.h>

#include "pin_test.h"

/**
 * test_entry() - look at the page table entry that maps an address
 * @arg: which address; results are returned in it
 *
 * Context: process context, may sleep; takes mmap_lock.
 *
 * Return: 0, -ENODATA if there is no entry, or not in a mapping of frames, -EINTR for a
 * fatal signal.
 */
int test_entry(struct pin_test_entry *arg)
{
	struct follow_pfnmap_args args = { .address = arg->addr };
	int err = -ENODATA;

	if (mmap_read_lock_killable(current->mm))
		return -EINTR;
	args.vma = vma_lookup(current->mm, arg->addr);
	if (args.vma && !follow_pfnmap_start(&args)) {
		arg->contiguous = !!(pgprot_val(args.pgprot) & PTE_CONT);
		arg->block = CONT_PTES;
		follow_pfnmap_end(&args);
		err = 0;
	}
	mmap_read_unlock(current->mm);
	return err;
}
