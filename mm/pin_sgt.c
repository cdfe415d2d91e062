// SPDX-License-Identifier: GPL-2.0
/*
 * Pinned pages as a scatterlist: one entry per span, and more only where a device
 * cannot take a span as one.
 */
#include <linux/dma-mapping.h>
#include <linux/memfd_pin.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#define COPY_BATCH	4096U	/* entries, of which each costs next to nothing */

/* No more than @max pages, and not across a multiple of @boundary frames. */
struct segment_limits {
	unsigned long max;
	unsigned long boundary;
};

/* Where the device sees bounce buffers, they are the limit. */
static struct segment_limits segment_limits(struct device *dev, size_t max_segment)
{
	size_t max = min3(max_segment, (size_t)dma_get_max_seg_size(dev),
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

/**
 * memfd_pins_sgt() - make a scatterlist of a buffer
 * @pins: the buffer, not empty
 * @dev: the device that the scatterlist is for
 * @max_segment: bytes that an entry may have, besides the device's own limits; an entry
 *	has a page at least
 *
 * All entries lie in one array, which costs less than the chained ones of
 * sg_alloc_table().
 *
 * Context: may sleep.
 *
 * Return: the table, not mapped yet, for memfd_pins_free_sgt(), or -ENOMEM or, for a
 * fatal signal, -EINTR as an ERR_PTR.
 */
struct sg_table *memfd_pins_sgt(const struct memfd_pins *pins, struct device *dev,
				size_t max_segment)
{
	struct segment_limits limits = segment_limits(dev, max_segment);
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
EXPORT_SYMBOL_GPL(memfd_pins_sgt);

/**
 * memfd_pins_copy_sgt() - copy a scatterlist
 * @sgt: of memfd_pins_sgt(), which may be mapped
 *
 * Context: may sleep.
 *
 * Return: a table with the same entries, and the same addresses for the device, for
 * memfd_pins_free_sgt(), or -ENOMEM or, for a fatal signal, -EINTR as an ERR_PTR.
 */
struct sg_table *memfd_pins_copy_sgt(const struct sg_table *sgt)
{
	unsigned int done, nr = sgt->orig_nents, some;
	struct sg_table *copy;

	copy = kmemdup(sgt, sizeof(*sgt), GFP_KERNEL_ACCOUNT);
	if (!copy)
		return ERR_PTR(-ENOMEM);
	copy->sgl = kvmalloc_array(nr, sizeof(*copy->sgl), GFP_KERNEL_ACCOUNT);
	if (!copy->sgl) {
		kfree(copy);
		return ERR_PTR(-ENOMEM);
	}
	for (done = 0; done < nr; done += some) {
		some = min(nr - done, COPY_BATCH);
		memcpy(copy->sgl + done, sgt->sgl + done, some * sizeof(*copy->sgl));
		if (fatal_signal_pending(current)) {
			memfd_pins_free_sgt(copy);
			return ERR_PTR(-EINTR);
		}
		cond_resched();
	}
	return copy;
}
EXPORT_SYMBOL_GPL(memfd_pins_copy_sgt);

/**
 * memfd_pins_free_sgt() - free a scatterlist
 * @sgt: of memfd_pins_sgt() or memfd_pins_copy_sgt(), not mapped any more
 *
 * Context: may sleep.
 */
void memfd_pins_free_sgt(struct sg_table *sgt)
{
	kvfree(sgt->sgl);
	kfree(sgt);
}
EXPORT_SYMBOL_GPL(memfd_pins_free_sgt);
