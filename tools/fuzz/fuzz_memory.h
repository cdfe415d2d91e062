/* SPDX-License-Identifier: MIT */
/*
 * Calls of the grammar that have to do with mappings
 */
#ifndef FUZZ_MEMORY_H
#define FUZZ_MEMORY_H

#include <stdint.h>

long do_mmap(const uint32_t *arg);
long do_munmap(const uint32_t *arg);
long do_mremap(const uint32_t *arg);
long do_mprotect(const uint32_t *arg);
long do_madvise(const uint32_t *arg);
long do_touch(const uint32_t *arg);
long do_fork(const uint32_t *arg);
long do_pin(const uint32_t *arg);
long do_unpin(const uint32_t *arg);
long do_lock(const uint32_t *arg);
long do_vm_read(const uint32_t *arg);
long do_stall(const uint32_t *arg);

#endif
