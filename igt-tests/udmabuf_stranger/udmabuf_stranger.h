/* SPDX-License-Identifier: MIT */
/*
 * What the tests of dma-bufs of other people's files share.
 */
#ifndef UDMABUF_STRANGER_H
#define UDMABUF_STRANGER_H

#include <stdbool.h>
#include <stdint.h>

#include "udmabuf_ext_helper.h"

void udmabuf_stranger_nonblock_subtests(int dev);
void udmabuf_stranger_touch_subtests(int dev);

/*
 * Makes a dma-buf in a process of its own, and returns the error or 0. Fails if that
 * has not ended long after it should have, and then ends it.
 */
int create_in_time(int dev, uint32_t flags, int memfd, uint64_t size);

#endif
