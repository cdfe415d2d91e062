/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of udmabuf share.
 */
#ifndef _UDMABUF_H
#define _UDMABUF_H

#include <linux/list.h>
#include <linux/memfd_pin.h>
#include <linux/types.h>
#include <linux/uidgid.h>

#include "udmabuf_sync.h"

struct dentry;
struct dma_buf;
struct module;
struct pin_mount;
struct udmabuf_create_item;
struct vm_area_struct;

/**
 * struct udmabuf - what a dma-buf of ours is made of
 * @pins: the pages
 * @sync: devices and CPU accesses; its lock is also taken inside the list's lock (see
 *	udmabuf_debug.c)
 * @flags: UDMABUF_FLAGS_READONLY and UDMABUF_FLAGS_UNSEALED
 * @uid: the user that made it
 * @mounts: mounts that have to outlive the pages
 * @dmabuf: the dma-buf, and
 * @ino: its inode number
 * @link: in a list of udmabuf_debug.c, and
 * @number: its number there
 *
 * One byte more than 256 is 256 more that are allocated and cleared.
 */
struct udmabuf {
	struct memfd_pins pins;
	struct udmabuf_sync sync;
	unsigned int flags;
	kuid_t uid;
	struct pin_mount *mounts;
	struct dma_buf *dmabuf;
	unsigned long ino;
	struct list_head link;
	u64 number;
};

extern unsigned int udmabuf_readonly_attach;

u64 udmabuf_features(void);
unsigned long udmabuf_size_limit(void);
struct dma_buf *udmabuf_create(unsigned int flags, u32 count,
			       const struct udmabuf_create_item *list);
void udmabuf_free(struct udmabuf *ubuf, bool dirty);
struct dma_buf *udmabuf_export(struct udmabuf *ubuf, char *name, struct module *owner,
			       int file_flags);
int udmabuf_attach(struct dma_buf *dmabuf, struct dma_buf_attachment *attachment);
struct sg_table *udmabuf_map(struct dma_buf_attachment *attachment,
			     enum dma_data_direction asked);
void udmabuf_unmap(struct dma_buf_attachment *attachment, struct sg_table *sgt,
		   enum dma_data_direction asked);
void udmabuf_detach(struct dma_buf *dmabuf, struct dma_buf_attachment *attachment);
unsigned int udmabuf_attachments(struct udmabuf *ubuf);
int udmabuf_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma);
void udmabuf_list_add(struct udmabuf *ubuf);
void udmabuf_list_del(struct udmabuf *ubuf);
void udmabuf_debug_init(void);
void udmabuf_debug_exit(void);

#endif /* _UDMABUF_H */
