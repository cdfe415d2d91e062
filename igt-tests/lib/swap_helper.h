/* SPDX-License-Identifier: MIT */
/*
 * A swap device in compressed memory, for the tests that want one.
 */
#ifndef SWAP_HELPER_H
#define SWAP_HELPER_H

#include <stddef.h>

/*
 * A device of @size bytes, as such or for swap. They return its path and skip the
 * subtest where there is no zram. There is one at a time, until
 * the subtest ends at the latest.
 */
const char *zram_on(size_t size);
const char *swap_on(size_t size);
void swap_off(void);

#endif
