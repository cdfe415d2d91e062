/* SPDX-License-Identifier: MIT */
/*
 * The subtests of each file, each run by pin_test()
 */
#ifndef PIN_TEST_H
#define PIN_TEST_H

#include "pin_test_helper.h"

void pin_count_subtests(void);
void pin_longterm_subtests(void);
void pin_case_subtests(void);
void pin_memfd_subtests(void);
void pin_mount_subtests(void);
void pin_truncate_subtests(void);
void pin_fast_only_subtests(void);
void pin_fork_subtests(void);
void pin_race_subtests(void);

#endif
