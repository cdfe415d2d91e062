/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Devices that use a buffer, and CPU access to it: see udmabuf_sync.c.
 */
#ifndef _UDMABUF_SYNC_H
#define _UDMABUF_SYNC_H

#include <linux/dma-direction.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>

struct device;
struct dma_resv;
struct sg_table;
struct udmabuf_writer;
struct udmabuf_writers;

/**
 * struct udmabuf_sync - who accesses a buffer
 * @lock: protects the attachments and writers; taken inside dma_resv (which 6.1 does not
 *	hold when it maps), nothing is taken inside it
 * @attachments: list of struct udmabuf_attachment, the latest first
 * @writers: CPU accesses in progress that may write; NULL: there have been none
 * @handed_over: memory was last handed over by an access that had not begun
 * @resv: fences of the devices' accesses; set when there is a dma-buf
 */
struct udmabuf_sync {
	struct mutex lock; /* attachments, writers, handed_over */
	struct hlist_head attachments;
	struct udmabuf_writers *writers;
	bool handed_over;
	struct dma_resv *resv;
};

/**
 * struct udmabuf_mapping - the buffer as it is mapped for a device
 * @sgt: what is synced, and at last unmapped; NULL: it is not mapped
 * @lent: what the importer has, which may change it (RDMA lets it begin within the first
 *	segment, and puts that back; rockchip maps it once more, and for the last time); the
 *	same as @sgt where there is nothing to sync
 */
struct udmabuf_mapping {
	struct sg_table *sgt;
	struct sg_table *lent;
};

/**
 * struct udmabuf_attachment - a device that uses the buffer
 * @link: in struct udmabuf_sync's attachments
 * @dev: the device
 * @maps: its mappings, DMA_BIDIRECTIONAL and DMA_TO_DEVICE
 * @mapped: how often its importer has it mapped, by direction asked for
 * @newer: what the device sees may be newer than memory
 * @synced: when they were the same
 */
struct udmabuf_attachment {
	struct hlist_node link;
	struct device *dev;
	struct udmabuf_mapping maps[DMA_FROM_DEVICE];
	unsigned int mapped[DMA_NONE];
	bool newer;
	ktime_t synced;
};

void udmabuf_sync_init(struct udmabuf_sync *sync);
void udmabuf_sync_exit(struct udmabuf_sync *sync);
void udmabuf_sync_attach(struct udmabuf_sync *sync, struct udmabuf_attachment *a);
void udmabuf_sync_detach(struct udmabuf_sync *sync, struct udmabuf_attachment *a);
struct sg_table *udmabuf_sync_map(struct udmabuf_sync *sync,
				  struct udmabuf_attachment *a,
				  enum dma_data_direction asked,
				  const struct udmabuf_mapping *map);
void udmabuf_sync_unmap(struct udmabuf_sync *sync, struct udmabuf_attachment *a,
			enum dma_data_direction asked);
int udmabuf_sync_begin(struct udmabuf_sync *sync, enum dma_data_direction dir);
int udmabuf_sync_end(struct udmabuf_sync *sync, enum dma_data_direction dir);

struct udmabuf_writer *udmabuf_new_writer(struct udmabuf_sync *sync);
void udmabuf_free_writer(struct udmabuf_writer *writer);
void udmabuf_add_writer(struct udmabuf_sync *sync, struct udmabuf_writer *writer);
void udmabuf_remove_writer(struct udmabuf_sync *sync, struct udmabuf_writer *writer);
struct udmabuf_writer *udmabuf_find_writer(struct udmabuf_sync *sync, bool any_thread);
int udmabuf_lock_writers(struct udmabuf_sync *sync, bool killable);
bool udmabuf_has_writers(struct udmabuf_sync *sync);
void udmabuf_free_writers(struct udmabuf_sync *sync);

#endif /* _UDMABUF_SYNC_H */
