/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of udmabuf share.
 */
#ifndef _UDMABUF_H
#define _UDMABUF_H

#include <linux/list.h>
#include <linux/memfd_pin.h>
#include <linux/mutex.h>

struct dma_buf;
struct vm_area_struct;

/**
 * struct udmabuf - what a dma-buf of ours is made of
 * @pins: the pages
 * @lock: protects @attachments, the change of their mappings, and @writers;
 *	taken inside dma_resv (which 6.1 does not hold when it maps), nothing is
 *	taken inside it
 * @attachments: list of struct udmabuf_attachment
 * @writers: CPU accesses in progress that may write
 */
struct udmabuf {
	struct memfd_pins pins;
	struct mutex lock; /* attachments, writers */
	struct list_head attachments;
	unsigned int writers;
};

struct dma_buf *udmabuf_export(struct memfd_pins *pins);
int udmabuf_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma);

#endif /* _UDMABUF_H */
