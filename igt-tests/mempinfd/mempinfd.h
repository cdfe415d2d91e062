/* SPDX-License-Identifier: MIT */
/*
 * The subtests of each file, each run by mempinfd_test()
 */
#ifndef MEMPINFD_H
#define MEMPINFD_H

#include "mempinfd_helper.h"

void mempinfd_pin_subtests(void);
void mempinfd_unpin_subtests(void);
void mempinfd_reject_subtests(void);
void mempinfd_file_subtests(void);
void mempinfd_life_subtests(void);
void mempinfd_limit_subtests(void);
void mempinfd_folio_subtests(void);
void mempinfd_mount_subtests(void);
void mempinfd_present_subtests(void);
void mempinfd_stress_subtests(void);

#endif
