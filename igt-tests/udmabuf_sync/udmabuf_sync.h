/* SPDX-License-Identifier: MIT */
/*
 * What the tests of CPU access share: a buffer and what sees it.
 */
#ifndef UDMABUF_SYNC_H
#define UDMABUF_SYNC_H

#include <stddef.h>
#include <stdint.h>

#include "udmabuf_helper.h"

#define NPAGES		16

void udmabuf_sync_owner_subtests(int dev);
void udmabuf_sync_writer_subtests(int dev);
void udmabuf_sync_device_subtests(int dev);
void udmabuf_sync_cache_subtests(int dev);
void udmabuf_sync_iommu_subtests(int dev);

/* The buffer of a subtest: a dma-buf, and its memory as the owner of the memfd has it */
struct buffer {
	int memfd, dmabuf;
	void *mem;
};

/* Filled with seed 1; to be closed when no device has it any more */
struct buffer new_buffer(int dev);
void close_buffer(struct buffer *buffer);

/* The owner writes, and nobody is told; pages that have what the seed says */
void owner_fill(struct buffer *buffer, uint64_t seed);
size_t owner_count(const struct buffer *buffer, uint64_t seed);

#endif
