/* SPDX-License-Identifier: MIT */
/*
 * The files of the memfd_pin test program; @dev is the descriptor of
 * /dev/udmabuf, whose dma-bufs hold the pins.
 */
#ifndef MEMFD_PIN_H
#define MEMFD_PIN_H

#include "pin_test_helper.h"

void memfd_pin_holes_subtests(int dev);
void memfd_pin_hugetlb_subtests(int dev);
void memfd_pin_movable_subtests(int dev);
void memfd_pin_offline_subtests(int dev);
void memfd_pin_cma_subtests(int dev);
void memfd_pin_mte_subtests(int dev);
void memfd_pin_busy_subtests(int dev);
void memfd_pin_reclaim_subtests(int dev);
void memfd_pin_thp_subtests(int dev);
void memfd_pin_seals_subtests(int dev);
void memfd_pin_kill_subtests(int dev);
void memfd_pin_failure_subtests(int dev);

/* Writes to a file that has pages in ZONE_MOVABLE then, as new files have, or skips */
void fill_movable_pages(void *mem, size_t count);

/* The dma-buf has the pages that the file has, and none of them is movable. */
void check_shared(void *buf, void *mem, size_t count);

/*
 * A memfd of CMA_PAGES, filled with seed 1 and mapped at *@mem, with what @blocks says of
 * its pages, some of which lie in a CMA area: the subtest is skipped if there is none
 */
#define CMA_PAGES	(MIB(32) / page_size())

int memfd_in_cma(enum backing backing, char **mem, struct pin_test_block *blocks);

#endif
