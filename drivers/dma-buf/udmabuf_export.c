// SPDX-License-Identifier: GPL-2.0
/*
 * udmabuf - dma-bufs made of memfd memory
 *
 * What devices and the CPU do with such a dma-buf, in the order in which it
 * lives. Everything walks or searches the list of pinned spans.
 */
#include <linux/dma-buf.h>
#include <linux/iosys-map.h>
#include <linux/memfd_pin.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <uapi/linux/fcntl.h>
#include <uapi/linux/udmabuf_ext.h>

#include "udmabuf.h"

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

#define UDMABUF_OPS						\
	.attach			= udmabuf_attach,		\
	.detach			= udmabuf_detach,		\
	.map_dma_buf		= udmabuf_map,			\
	.unmap_dma_buf		= udmabuf_unmap,		\
	.begin_cpu_access	= udmabuf_begin_cpu_access,	\
	.end_cpu_access		= udmabuf_end_cpu_access,	\
	.mmap			= udmabuf_mmap,			\
	.release		= udmabuf_release

static const struct dma_buf_ops udmabuf_ops = {
	UDMABUF_OPS,
	.vmap			= udmabuf_vmap,
	.vunmap			= udmabuf_vunmap,
};

static const struct dma_buf_ops udmabuf_no_vmap_ops = { UDMABUF_OPS };

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
 * @owner: the driver that it is made for, which uses this module; or NULL
 * @file_flags: O_RDWR or O_RDONLY: of the dma-buf's file
 *
 * Context: may sleep.
 *
 * Return: the dma-buf, or what dma_buf_export() returns as an ERR_PTR.
 */
struct dma_buf *udmabuf_export(struct udmabuf *ubuf, char *name, struct module *owner,
			       int file_flags)
{
	DEFINE_DMA_BUF_EXPORT_INFO(exp_info);
	struct dma_buf *dmabuf;

	exp_info.exp_name = "udmabuf";
	/* Fences go after release(), and may be that module's own. */
	if (owner)
		exp_info.owner = owner;
	exp_info.ops = can_vmap(ubuf) ? &udmabuf_ops : &udmabuf_no_vmap_ops;
	exp_info.size = ubuf->pins.nr_pages << PAGE_SHIFT;
	exp_info.flags = file_flags;
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
