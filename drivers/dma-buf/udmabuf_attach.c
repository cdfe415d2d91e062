// SPDX-License-Identifier: GPL-2.0
/*
 * udmabuf - dma-bufs made of memfd memory
 *
 * Devices attach to a buffer and map it. i915 is compiled with this and
 * udmabuf_sync.c as well, for its own exports of such memory: they need nothing of the
 * driver but what makes a scatterlist.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/slab.h>

#include "udmabuf_sync.h"

/**
 * udmabuf_attach_device() - attach a device
 * @sync: the buffer's
 * @attachment: the core's, which has the device
 *
 * Context: may sleep; takes the buffer's lock.
 *
 * Return: 0 or -ENOMEM.
 */
int udmabuf_attach_device(struct udmabuf_sync *sync,
			  struct dma_buf_attachment *attachment)
{
	struct udmabuf_attachment *a = kzalloc(sizeof(*a), GFP_KERNEL_ACCOUNT);

	if (!a)
		return -ENOMEM;
	a->dev = attachment->dev;
	attachment->priv = a;
	udmabuf_sync_attach(sync, a);
	return 0;
}

static void free_mapping(struct udmabuf_sync *sync, struct device *dev,
			 struct sg_table *sgt, enum dma_data_direction dir)
{
	dma_unmap_sgtable(dev, sgt, dir, DMA_ATTR_SKIP_CPU_SYNC);
	sync->ops->free_table(sgt);
}

/**
 * udmabuf_map_device() - map the buffer for a device
 * @sync: the buffer's
 * @attachment: of the device
 * @asked: the direction that the importer has asked for
 *
 * A mapping of an attachment is kept for the next ones in the same direction, until
 * it is detached.
 *
 * Context: may sleep; takes the buffer's lock.
 *
 * Return: the mapping, or an ERR_PTR of making the scatterlist or mapping it.
 */
struct sg_table *udmabuf_map_device(struct udmabuf_sync *sync,
				    struct dma_buf_attachment *attachment,
				    enum dma_data_direction asked)
{
	struct udmabuf_attachment *a = attachment->priv;
	struct sg_table *sgt, *kept;
	enum dma_data_direction dir;
	int err;

	kept = udmabuf_sync_map(sync, a, asked, NULL);
	if (kept)
		return kept;

	sgt = sync->ops->make_table(sync, a->dev);
	if (IS_ERR(sgt))
		return sgt;
	/*
	 * Not synced as it is mapped, because a page may be listed twice, or be mapped
	 * for two devices: in one, the DMA API's checks take that for a mistake.
	 */
	dir = asked == DMA_TO_DEVICE ? DMA_TO_DEVICE : DMA_BIDIRECTIONAL;
	err = dma_map_sgtable(a->dev, sgt, dir, DMA_ATTR_SKIP_CPU_SYNC);
	if (err) {
		sync->ops->free_table(sgt);
		return ERR_PTR(err);
	}

	kept = udmabuf_sync_map(sync, a, asked, sgt);
	/* Two at once: only 6.1 lets them. */
	if (kept != sgt)
		free_mapping(sync, a->dev, sgt, dir);
	return kept;
}

/**
 * udmabuf_unmap_device() - unmap the buffer
 * @sync: the buffer's
 * @attachment: of the device
 * @asked: the direction that the importer has asked for
 *
 * Context: may sleep; takes the buffer's lock.
 */
void udmabuf_unmap_device(struct udmabuf_sync *sync,
			  struct dma_buf_attachment *attachment,
			  enum dma_data_direction asked)
{
	udmabuf_sync_unmap(sync, attachment->priv, asked);
}

/**
 * udmabuf_detach_device() - detach a device
 * @sync: the buffer's
 * @attachment: of the device, which has not mapped it any more
 *
 * Context: may sleep; takes the dma_resv and the buffer's lock.
 */
void udmabuf_detach_device(struct udmabuf_sync *sync,
			   struct dma_buf_attachment *attachment)
{
	struct udmabuf_attachment *a = attachment->priv;
	unsigned int dir;

	udmabuf_sync_detach(sync, a);
	for (dir = 0; dir < ARRAY_SIZE(a->sgts); dir++)
		if (a->sgts[dir])
			free_mapping(sync, a->dev, a->sgts[dir], dir);
	kfree(a);
}
