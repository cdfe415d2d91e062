/* SPDX-License-Identifier: MIT */
/*
 * The files of the memfd_pin test program; @dev is the descriptor of
 * /dev/udmabuf, whose dma-bufs hold the pins.
 */
#ifndef MEMFD_PIN_H
#define MEMFD_PIN_H

void memfd_pin_holes_subtests(int dev);
void memfd_pin_hugetlb_subtests(int dev);
void memfd_pin_movable_subtests(int dev);
void memfd_pin_cma_subtests(int dev);
void memfd_pin_busy_subtests(int dev);
void memfd_pin_reclaim_subtests(int dev);
void memfd_pin_thp_subtests(int dev);
void memfd_pin_seals_subtests(int dev);
void memfd_pin_kill_subtests(int dev);
void memfd_pin_failure_subtests(int dev);

#endif
