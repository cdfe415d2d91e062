// SPDX-License-Identifier: GPL-2.0
/*
 * udmabuf - dma-bufs made of memfd memory
 *
 * What devices and the CPU do with such a dma-buf, in the order in which it
 * lives. Everything walks or searches the list of pinned spans.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/iosys-map.h>
#include <linux/memfd_pin.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <uapi/linux/fcntl.h>
#include <uapi/linux/udmabuf_ext.h>

#include "udmabuf.h"

/* Whether a device is kept from writing to what is mapped DMA_TO_DEVICE for it. */
static bool cannot_write(struct device *dev)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);

	return domain && iommu_is_dma_domain(domain);
}

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

static int udmabuf_attach(struct dma_buf *dmabuf,
			  struct dma_buf_attachment *attachment)
{
	struct udmabuf *ubuf = dmabuf->priv;

	if (!may_attach(ubuf, attachment->dev))
		return -EPERM;
	return udmabuf_attach_device(&ubuf->sync, attachment);
}

/*
 * What a device can take as one segment: no more than @max pages, a bounce
 * buffer being the limit if there is one, and not across a multiple of
 * @boundary frames.
 */
struct segment_limits {
	unsigned long max;
	unsigned long boundary;
};

static struct segment_limits segment_limits(struct device *dev)
{
	size_t max = min_t(size_t, dma_get_max_seg_size(dev),
			   dma_max_mapping_size(dev));

	return (struct segment_limits) {
		.max = max(max >> PAGE_SHIFT, (size_t)1),
		.boundary = dma_get_seg_boundary_nr_pages(dev, PAGE_SHIFT),
	};
}

/* The segments that a span has to be cut into. Returns how many. */
static unsigned long cut_span(struct scatterlist *sg, struct scatterlist *end,
			      const struct memfd_span *span,
			      struct segment_limits limits)
{
	unsigned long pfn = span->pfn, left = span->nr, nr = 0, len;

	for (; left; left -= len, pfn += len, nr++) {
		len = min3(left, limits.max,
			   limits.boundary - (pfn & (limits.boundary - 1)));
		if (sg + nr < end)
			sg_set_page(sg + nr, pfn_to_page(pfn), len << PAGE_SHIFT, 0);
	}
	return nr;
}

/*
 * Fill an array of @max entries with the first segments. Returns how many there are
 * in all, or -EINTR.
 */
static long set_segments(struct scatterlist *sgl, unsigned long max,
			 const struct memfd_pins *pins,
			 struct segment_limits limits)
{
	struct scatterlist *sg = sgl, *end = sgl + max;
	unsigned long mask = limits.boundary - 1, i, nr;
	const struct memfd_span *span, *last;

	for (i = 0; i < pins->nr_spans; i += nr) {
		span = memfd_pins_spans(pins, i, &nr);
		for (last = span + nr; span < last; span++) {
			if (unlikely(span->nr > limits.max || sg >= end ||
				     (span->pfn & mask) + span->nr > mask + 1)) {
				sg += cut_span(sg, end, span, limits);
				continue;
			}
			sg_set_page(sg++, pfn_to_page(span->pfn),
				    span->nr << PAGE_SHIFT, 0);
		}
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return sg - sgl;
}

/*
 * One entry per span; only if there is something that the device cannot take as one
 * is there more. All lie in one array, which costs less than the chained ones of
 * sg_alloc_table(). Returns -ENOMEM or, for a fatal signal, -EINTR as an ERR_PTR.
 */
static struct sg_table *make_table(struct udmabuf_sync *sync, struct device *dev)
{
	const struct memfd_pins *pins = &container_of(sync, struct udmabuf, sync)->pins;
	struct segment_limits limits = segment_limits(dev);
	struct scatterlist *sgl = NULL;
	long nr = pins->nr_spans, max;
	struct sg_table *sgt;

	sgt = kmalloc(sizeof(*sgt), GFP_KERNEL_ACCOUNT);
	if (!sgt)
		return ERR_PTR(-ENOMEM);
	do {
		max = nr;
		kvfree(sgl);
		sgl = max > INT_MAX / sizeof(*sgl) ? NULL :
		      kvcalloc(max, sizeof(*sgl), GFP_KERNEL_ACCOUNT);
		nr = sgl ? set_segments(sgl, max, pins, limits) : -ENOMEM;
	} while (nr > max);
	if (nr < 0) {
		kvfree(sgl);
		kfree(sgt);
		return ERR_PTR(nr);
	}
	sg_mark_end(&sgl[nr - 1]);
	sgt->sgl = sgl;
	sgt->nents = nr;
	sgt->orig_nents = nr;
	return sgt;
}

static void free_table(struct sg_table *sgt)
{
	kvfree(sgt->sgl);
	kfree(sgt);
}

/* Of struct udmabuf */
const struct udmabuf_sync_ops udmabuf_tables = {
	.make_table	= make_table,
	.free_table	= free_table,
};

/* What the importer may do. Nobody writes by way of a read-only buffer. */
static enum dma_data_direction may_do(const struct udmabuf *ubuf,
				      enum dma_data_direction asked)
{
	return ubuf->flags & UDMABUF_FLAGS_READONLY ? DMA_TO_DEVICE : asked;
}

static struct sg_table *udmabuf_map(struct dma_buf_attachment *attachment,
				    enum dma_data_direction asked)
{
	struct udmabuf *ubuf = attachment->dmabuf->priv;

	return udmabuf_map_device(&ubuf->sync, attachment, may_do(ubuf, asked));
}

static void udmabuf_unmap(struct dma_buf_attachment *attachment,
			  struct sg_table *sgt, enum dma_data_direction asked)
{
	struct udmabuf *ubuf = attachment->dmabuf->priv;

	udmabuf_unmap_device(&ubuf->sync, attachment, may_do(ubuf, asked));
}

static void udmabuf_detach(struct dma_buf *dmabuf,
			   struct dma_buf_attachment *attachment)
{
	struct udmabuf *ubuf = dmabuf->priv;

	udmabuf_detach_device(&ubuf->sync, attachment);
}

static int udmabuf_begin_cpu_access(struct dma_buf *dmabuf,
				    enum dma_data_direction dir)
{
	struct udmabuf *ubuf = dmabuf->priv;

	return udmabuf_sync_begin(&ubuf->sync, dir);
}

static int udmabuf_end_cpu_access(struct dma_buf *dmabuf,
				  enum dma_data_direction dir)
{
	struct udmabuf *ubuf = dmabuf->priv;

	return udmabuf_sync_end(&ubuf->sync, dir);
}

static int udmabuf_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct udmabuf *ubuf = dmabuf->priv;
	const struct memfd_span *span;
	unsigned long i, nr = 0;
	struct page **pages;
	unsigned int k;
	void *vaddr;

	/* Only as long as vmap() needs it, which takes nothing else. */
	pages = kvmalloc_array(ubuf->pins.nr_pages, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	for (i = 0; i < ubuf->pins.nr_spans; i++) {
		span = memfd_pins_span(&ubuf->pins, i);
		for (k = 0; k < span->nr; k++) {
			pages[nr++] = pfn_to_page(span->pfn + k);
			cond_resched();
		}
	}
	vaddr = vmap(pages, nr, VM_MAP, PAGE_KERNEL);
	kvfree(pages);
	if (!vaddr)
		return -ENOMEM;

	iosys_map_set_vaddr(map, vaddr);
	return 0;
}

static void udmabuf_vunmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	vunmap(map->vaddr);
}

static void udmabuf_release(struct dma_buf *dmabuf)
{
	struct udmabuf *ubuf = dmabuf->priv;

	udmabuf_list_del(ubuf);
	/* Devices and mappings may have written anywhere, and nobody told us. */
	udmabuf_free(ubuf, !(ubuf->flags & UDMABUF_FLAGS_READONLY));
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

static const struct dma_buf_ops udmabuf_ops = {
	.attach			= udmabuf_attach,
	.detach			= udmabuf_detach,
	.map_dma_buf		= udmabuf_map,
	.unmap_dma_buf		= udmabuf_unmap,
	.begin_cpu_access	= udmabuf_begin_cpu_access,
	.end_cpu_access		= udmabuf_end_cpu_access,
	.mmap			= udmabuf_mmap,
	.vmap			= udmabuf_vmap,
	.vunmap			= udmabuf_vunmap,
	.release		= udmabuf_release,
};

static const struct dma_buf_ops udmabuf_no_vmap_ops = {
	.attach			= udmabuf_attach,
	.detach			= udmabuf_detach,
	.map_dma_buf		= udmabuf_map,
	.unmap_dma_buf		= udmabuf_unmap,
	.begin_cpu_access	= udmabuf_begin_cpu_access,
	.end_cpu_access		= udmabuf_end_cpu_access,
	.mmap			= udmabuf_mmap,
	.release		= udmabuf_release,
};

/*
 * The kernel's own mapping is writable, and has an array of all pages first, which
 * may list the same one very often. What cannot be has no operation for it: to
 * refuse in there makes the core warn, and anybody can ask for it.
 */
static bool can_vmap(const struct udmabuf *ubuf)
{
	return !(ubuf->flags & UDMABUF_FLAGS_READONLY) &&
	       ubuf->pins.nr_pages <= min(totalram_pages(),
					  INT_MAX / sizeof(struct page *));
}

/**
 * udmabuf_export() - make a dma-buf of pinned pages
 * @ubuf: the pages, not empty; when this succeeds, the dma-buf's
 * @name: its name, allocated; when this succeeds, the dma-buf's
 *
 * Context: may sleep.
 *
 * Return: the dma-buf, or what dma_buf_export() returns as an ERR_PTR.
 */
struct dma_buf *udmabuf_export(struct udmabuf *ubuf, char *name)
{
	DEFINE_DMA_BUF_EXPORT_INFO(exp_info);
	struct dma_buf *dmabuf;

	exp_info.exp_name = "udmabuf";
	exp_info.ops = can_vmap(ubuf) ? &udmabuf_ops : &udmabuf_no_vmap_ops;
	exp_info.size = ubuf->pins.nr_pages << PAGE_SHIFT;
	exp_info.flags = ubuf->flags & UDMABUF_FLAGS_READONLY ? O_RDONLY : O_RDWR;
	exp_info.priv = ubuf;
	dmabuf = dma_buf_export(&exp_info);
	if (IS_ERR(dmabuf))
		return dmabuf;
	ubuf->dmabuf = dmabuf;
	ubuf->sync.resv = dmabuf->resv;
	ubuf->ino = file_inode(dmabuf->file)->i_ino;

	/* As DMA_BUF_SET_NAME does, which may replace it. */
	spin_lock(&dmabuf->name_lock);
	dmabuf->name = name;
	spin_unlock(&dmabuf->name_lock);
	udmabuf_list_add(ubuf);
	return dmabuf;
}
