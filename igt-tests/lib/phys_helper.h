/* SPDX-License-Identifier: MIT */
/*
 * Where the memory behind an address lies: frames, zones and the kernel's flags.
 */
#ifndef PHYS_HELPER_H
#define PHYS_HELPER_H

#include <linux/kernel-page-flags.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pin_helper.h"

/*
 * Pages are counted from the one at the address given; each is read first. Of
 * dma-bufs the kernel does not show frames.
 */
uint64_t page_frame(const void *ptr);
size_t count_movable(const void *ptr, size_t count);
size_t count_flagged(const void *ptr, size_t count, int flag);

/*
 * Skips the subtest if transparent huge pages were wanted, and the kernel had only small
 * ones for some of it
 */
void require_kind(enum backing backing, const void *ptr, size_t count);

/* Pages of two mappings that are the same: what is written to one is in the other */
size_t count_shared(void *a, void *b, size_t count);

/* Whether the page table has an entry for the page, which is not touched */
bool is_present(const void *ptr);

/*
 * ZONE_MOVABLE; the subtest is skipped where there is none. Huge pages of hugetlbfs
 * always lie there, and before 6.11 nothing can move them to be pinned.
 */
bool has_movable(void);
void require_movable(void);
void require_pinnable(enum backing backing);
bool hugetlb_is_pinnable(void);
bool is_movable(uint64_t frame);

/* Bits are KPF_ of <linux/kernel-page-flags.h> */
uint64_t frame_flags(uint64_t frame);

/*
 * Failures of memory, made by the kernel's hwpoison-inject module. Who maps the frame gets
 * a signal. They are taken back where the kernel can, when the frame is not used any more.
 */
void require_hwpoison(void);
void fail_frame(uint64_t frame);
void mend_frame(uint64_t frame);

#endif
