/* SPDX-License-Identifier: MIT */
/*
 * Memory of which user space holds pages back, by userfaultfd.
 */
#ifndef UFFD_HELPER_H
#define UFFD_HELPER_H

#include <stddef.h>

/* Before a child makes one, which cannot skip the subtest */
void require_uffd(void);

/* One for a range that only user space waits for: the kernel cannot have the pages */
int make_user_stall(void *addr, size_t size);

/*
 * A userfaultfd for a range: who touches it first waits until the page arrives or the
 * userfaultfd is closed
 */
int make_stall(void *addr, size_t size);

/*
 * The address that somebody waits for. It is a failure if that one ends instead, and
 * closes @socket's peer or writes to it; -1: there is none. His page comes: 0 or a
 * negative error
 */
void *await_fault(int uffd, int socket);
int uffd_arrive(int uffd, void *addr, const void *data, size_t size);

#endif
