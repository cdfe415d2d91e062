/* SPDX-License-Identifier: MIT */
/*
 * vivid, the virtual video camera, as a device that is given dma-bufs.
 */
#ifndef VIVID_HELPER_H
#define VIVID_HELPER_H

#include <linux/videodev2.h>

/* How vivid gets at the memory of a dma-buf; in both cases the CPU writes it. */
#define VIVID_VMAP	0	/* only maps it into the kernel */
#define VIVID_DMA	1	/* maps it for DMA first, as a device that writes */

/* Skips the subtest where there is no vivid. */
int open_camera(int allocator);

/* Frames of 4 bytes a pixel; returns their size in bytes. */
uint32_t set_frame(int camera, uint32_t pixelformat, unsigned int width,
		   unsigned int height);

/* The camera insists on a few buffers; more than MAX_BUFFERS it does not ask for. */
#define MAX_BUFFERS	8
unsigned int request_buffers(int camera, enum v4l2_memory memory);

/* Hand over a dma-buf: 0 or a negative error */
int queue_dmabuf(int camera, unsigned int index, int dmabuf, uint32_t size);

#endif
