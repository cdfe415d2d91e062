// SPDX-License-Identifier: GPL-2.0
/*
 * udmabuf - dma-bufs made of memfd memory
 *
 * Devices attach to a buffer and map it. A mapping of an attachment is kept for the next
 * ones in the same direction, until it is detached.
 */
#include <linux/device.h>
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/memfd_pin.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <uapi/linux/udmabuf_ext.h>

#include "udmabuf.h"

#ifdef CONFIG_IOMMU_API
/* Drivers of IOMMUs whose entries let a device write to all that it may read */
static const char * const lax_iommus[] = { "mtk-iommu", "sprd-iommu" };

/* Whether a device is kept from writing to what is mapped DMA_TO_DEVICE for it. */
static bool cannot_write(struct device *dev)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);
	const struct device *iommu;

	if (!domain || !iommu_is_dma_domain(domain))
		return false;
	iommu = dev->iommu->iommu_dev->dev->parent;
	return !iommu || !iommu->driver ||
	       match_string(lax_iommus, ARRAY_SIZE(lax_iommus), iommu->driver->name) < 0;
}
#else
static bool cannot_write(struct device *dev)
{
	return false;
}
#endif

static bool may_attach(const struct udmabuf *ubuf, struct device *dev)
{
	if (!(ubuf->flags & UDMABUF_FLAGS_READONLY))
		return true;
	switch (READ_ONCE(udmabuf_readonly_attach)) {
	case UDMABUF_ATTACH_NEVER:
		return false;
	case UDMABUF_ATTACH_ALWAYS:
		return true;
	default:
		return cannot_write(dev);
	}
}

/**
 * udmabuf_attach() - attach a device
 * @dmabuf: the dma-buf, one of ours
 * @attachment: the core's, which has the device
 *
 * Context: may sleep; takes the buffer's lock.
 *
 * Return: 0; -EPERM for a device that might write to a read-only buffer; -ENOMEM.
 */
int udmabuf_attach(struct dma_buf *dmabuf, struct dma_buf_attachment *attachment)
{
	struct udmabuf *ubuf = dmabuf->priv;
	struct udmabuf_attachment *a;

	if (!may_attach(ubuf, attachment->dev))
		return -EPERM;
	a = kzalloc(sizeof(*a), GFP_KERNEL_ACCOUNT);
	if (!a)
		return -ENOMEM;
	a->dev = attachment->dev;
	attachment->priv = a;
	udmabuf_sync_attach(&ubuf->sync, a);
	return 0;
}

/* What the importer may do. Nobody writes by way of a read-only buffer. */
static enum dma_data_direction may_do(const struct udmabuf *ubuf,
				      enum dma_data_direction asked)
{
	return ubuf->flags & UDMABUF_FLAGS_READONLY ? DMA_TO_DEVICE : asked;
}

/*
 * Not synced as it is mapped, because a page may be listed twice, or be mapped for two
 * devices: in one, the DMA API's checks take that for a mistake.
 */
static int make_mapping(const struct udmabuf *ubuf, struct device *dev,
			enum dma_data_direction dir, struct udmabuf_mapping *map)
{
	int err;

	map->sgt = memfd_pins_sgt(&ubuf->pins, dev, SIZE_MAX);
	if (IS_ERR(map->sgt))
		return PTR_ERR(map->sgt);
	err = dma_map_sgtable(dev, map->sgt, dir, DMA_ATTR_SKIP_CPU_SYNC);
	if (err)
		goto err_free;
	map->lent = dma_dev_need_sync(dev) ? memfd_pins_copy_sgt(map->sgt) : map->sgt;
	if (!IS_ERR(map->lent))
		return 0;
	err = PTR_ERR(map->lent);
	dma_unmap_sgtable(dev, map->sgt, dir, DMA_ATTR_SKIP_CPU_SYNC);
err_free:
	memfd_pins_free_sgt(map->sgt);
	return err;
}

static void free_mapping(struct device *dev, const struct udmabuf_mapping *map,
			 enum dma_data_direction dir)
{
	dma_unmap_sgtable(dev, map->sgt, dir, DMA_ATTR_SKIP_CPU_SYNC);
	if (map->lent != map->sgt)
		memfd_pins_free_sgt(map->lent);
	memfd_pins_free_sgt(map->sgt);
}

/**
 * udmabuf_map() - map the buffer for a device
 * @attachment: of the device
 * @asked: the direction that the importer has asked for
 *
 * Context: may sleep; takes the buffer's lock.
 *
 * Return: the mapping, or an ERR_PTR: -EINVAL for DMA_NONE, or of making the scatterlist
 * or mapping it.
 */
struct sg_table *udmabuf_map(struct dma_buf_attachment *attachment,
			     enum dma_data_direction asked)
{
	struct udmabuf *ubuf = attachment->dmabuf->priv;
	struct udmabuf_attachment *a = attachment->priv;
	struct udmabuf_mapping map;
	enum dma_data_direction dir;
	struct sg_table *lent;
	int err;

	if (!valid_dma_direction(asked))
		return ERR_PTR(-EINVAL);
	asked = may_do(ubuf, asked);
	lent = udmabuf_sync_map(&ubuf->sync, a, asked, NULL);
	if (lent)
		return lent;

	dir = asked == DMA_TO_DEVICE ? DMA_TO_DEVICE : DMA_BIDIRECTIONAL;
	err = make_mapping(ubuf, a->dev, dir, &map);
	if (err)
		return ERR_PTR(err);

	lent = udmabuf_sync_map(&ubuf->sync, a, asked, &map);
	/* Two at once: only 6.1 lets them. */
	if (lent != map.lent)
		free_mapping(a->dev, &map, dir);
	return lent;
}

/**
 * udmabuf_unmap() - unmap the buffer
 * @attachment: of the device
 * @sgt: the mapping, which is kept
 * @asked: the direction that the importer has asked for
 *
 * Context: may sleep; takes the buffer's lock.
 */
void udmabuf_unmap(struct dma_buf_attachment *attachment, struct sg_table *sgt,
		   enum dma_data_direction asked)
{
	struct udmabuf *ubuf = attachment->dmabuf->priv;

	udmabuf_sync_unmap(&ubuf->sync, attachment->priv, may_do(ubuf, asked));
}

/**
 * udmabuf_detach() - detach a device
 * @dmabuf: the dma-buf, one of ours
 * @attachment: of the device, which has not mapped it any more
 *
 * Context: may sleep; takes the dma_resv and the buffer's lock.
 */
void udmabuf_detach(struct dma_buf *dmabuf, struct dma_buf_attachment *attachment)
{
	struct udmabuf_attachment *a = attachment->priv;
	struct udmabuf *ubuf = dmabuf->priv;
	unsigned int dir;

	udmabuf_sync_detach(&ubuf->sync, a);
	for (dir = 0; dir < ARRAY_SIZE(a->maps); dir++)
		if (a->maps[dir].sgt)
			free_mapping(a->dev, &a->maps[dir], dir);
	kfree(a);
}

/**
 * udmabuf_attachments() - how many devices are attached
 * @ubuf: the buffer
 *
 * Context: may sleep.
 *
 * Return: their number.
 */
unsigned int udmabuf_attachments(struct udmabuf *ubuf)
{
	struct udmabuf_attachment *a;
	unsigned int nr = 0;

	mutex_lock(&ubuf->sync.lock);
	hlist_for_each_entry(a, &ubuf->sync.attachments, link)
		nr++;
	mutex_unlock(&ubuf->sync.lock);
	return nr;
}
