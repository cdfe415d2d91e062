/* SPDX-License-Identifier: MIT */
/*
 * A device that uses a dma-buf, by way of /dev/pin_test, and the CPU's access to it.
 */
#ifndef DMA_HELPER_H
#define DMA_HELPER_H

#include <linux/dma-buf.h>
#include <linux/pin_test.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* DMA_BUF_IOCTL_SYNC */
void sync_cpu(int dmabuf, uint64_t flags);

/* Begins and ends an access that only reads. */
void look(int dmabuf);

/*
 * A new device that has the dma-buf mapped as PIN_TEST_MAP says; close() ends it. The second
 * one is what PIN_TEST_ATTACH says, and returns in @attach.
 */
int new_device(int dmabuf, unsigned long direction);
int new_device_as(struct pin_test_attach *attach, unsigned long direction);
void device_map(int device, unsigned long direction);
void device_detach(int device);

/*
 * Pages of the dma-buf, as the device sees them, filled as fill() does. With @fence it
 * tells others, as drivers of GPUs do.
 */
void device_fill(int device, size_t first, size_t count, uint64_t seed, bool fence);
size_t device_count(int device, size_t first, size_t count, uint64_t seed);

#endif
