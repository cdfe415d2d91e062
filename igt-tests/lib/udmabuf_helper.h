/* SPDX-License-Identifier: MIT */
/*
 * What the udmabuf tests share: dma-bufs of memfds, and the driver's parameters.
 */
#ifndef UDMABUF_HELPER_H
#define UDMABUF_HELPER_H

#include <linux/udmabuf.h>
#include <stddef.h>
#include <stdint.h>

#include "pin_helper.h"

/*
 * Runs a subtest, and fails it if it leaves a pinned page or an open descriptor
 * behind; @dev is the descriptor of /dev/udmabuf.
 */
void udmabuf_test(void (*test)(int dev), int dev);

/* The device; skips all subtests where there is none, or no right to use it */
int open_udmabuf(void);

/* dma-bufs: with __ they return a negative error, without it an error fails */
int __create(int dev, int memfd, uint64_t offset, uint64_t size);
int create(int dev, int memfd, uint64_t offset, uint64_t size);
int __create_list(int dev, uint32_t count,
		  const struct udmabuf_create_item *items, uint32_t flags);
int create_list(int dev, uint32_t count,
		const struct udmabuf_create_item *items);

/*
 * vgem hands out no mmap offset for an imported buffer, but gives it one: the
 * lowest that is free, which is that of a dumb buffer that was there before. To be
 * called before the import.
 */
uint64_t next_vgem_offset(int vgem, size_t size);

/*
 * Of the driver's module; what is set is put back, see set(). With __ it is not,
 * and a negative error is returned.
 */
int64_t module_attribute(int dev, const char *name);
void set_module_attribute(int dev, const char *name, int64_t value);
int __set_module_attribute(int dev, const char *name, int64_t value);

#endif
