// SPDX-License-Identifier: GPL-2.0
/*
 * udmabuf - dma-bufs made of memfd memory
 *
 * Mappings of such a dma-buf in a process.
 */
#include <linux/dma-buf.h>
#include <linux/memfd_pin.h>
#include <linux/mm.h>
#include <uapi/linux/udmabuf_ext.h>

#include "udmabuf.h"

static vm_fault_t udmabuf_fault(struct vm_fault *vmf)
{
	struct udmabuf *ubuf = vmf->vma->vm_private_data;
	const struct memfd_span *span;

	if (vmf->pgoff >= ubuf->pins.nr_pages)
		return VM_FAULT_SIGBUS;

	span = memfd_pins_span(&ubuf->pins,
			       memfd_pins_find(&ubuf->pins, vmf->pgoff));
	return vmf_insert_pfn(vmf->vma, vmf->address,
			      span->pfn + (vmf->pgoff - span->index));
}

static const struct vm_operations_struct udmabuf_vm_ops = {
	.fault = udmabuf_fault,
};

/**
 * udmabuf_mmap() - map a dma-buf into a process
 * @dmabuf: the dma-buf, one of ours
 * @vma: where, within the dma-buf's size
 *
 * Context: as mmap() calls it, with mmap_lock held.
 *
 * Return: 0; -EINVAL for a private mapping; -EACCES for a writable one of a
 * read-only dma-buf.
 */
int udmabuf_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct udmabuf *ubuf = dmabuf->priv;

	/* The core has checked that the range lies inside the dma-buf. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	/* The core has not: it may be a mapping of a driver's file. */
	if (ubuf->flags & UDMABUF_FLAGS_READONLY) {
		if (vma->vm_flags & VM_WRITE)
			return -EACCES;
		vm_flags_clear(vma, VM_MAYWRITE);
	}

	vma->vm_ops = &udmabuf_vm_ops;
	vma->vm_private_data = ubuf;
	vm_flags_set(vma, VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	return 0;
}
