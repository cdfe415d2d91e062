// SPDX-License-Identifier: GPL-2.0
/*
 * udmabuf - dma-bufs made of memfd memory
 *
 * Mappings of such a dma-buf in a process. A fault maps all of the 2 MiB around it
 * that one entry of the second level (PMD) spans: by that entry itself where memory
 * and address suit each other, else by filling a page table.
 *
 * Faults hold mmap_lock or the VMA's lock for reading, and run concurrently. Others
 * take away what is mapped only when they hold it for writing: reclaim, khugepaged
 * and MADV_DONTNEED leave VM_PFNMAP mappings alone. So a page table that has been
 * seen does not become a PMD mapping under a fault, nor the other way round.
 */
#include <linux/dma-buf.h>
#include <linux/memfd_pin.h>
#include <linux/mm.h>
#include <linux/personality.h>
#include <linux/pgtable.h>
#include <linux/sched.h>
#include <uapi/linux/udmabuf_ext.h>

#include "udmabuf.h"

/*
 * What a fault maps: @nr pages from @start on, the first of which has the frame @pfn.
 * It lies in the span before number @next_span, whose frames end at @pfn_end.
 */
struct fault_range {
	const struct memfd_pins *pins;
	struct vm_area_struct *vma;
	unsigned long start;
	unsigned long nr;
	unsigned long next_span;
	unsigned long pfn;
	unsigned long pfn_end;
};

static void set_first_page(struct fault_range *range, unsigned long index)
{
	const struct memfd_span *span;

	range->next_span = memfd_pins_find(range->pins, index);
	span = memfd_pins_span(range->pins, range->next_span++);
	range->pfn = span->pfn + (index - span->index);
	range->pfn_end = span->pfn + span->nr;
}

/* From the page at which the fault is to all that is within the PMD and the VMA. */
static void widen_range(struct fault_range *range, struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long end, index;

	range->start = max(vmf->address & PMD_MASK, vma->vm_start);
	end = pmd_addr_end(range->start, vma->vm_end);
	index = vmf->pgoff - ((vmf->address - range->start) >> PAGE_SHIFT);
	range->nr = min((end - range->start) >> PAGE_SHIFT, range->pins->nr_pages - index);
	set_first_page(range, index);
}

static bool is_poisoned(unsigned long pfn)
{
	struct page *page = pfn_to_page(pfn);

	if (PageHWPoison(page))
		return true;
	/*
	 * A huge page of hugetlbfs fails as a whole. A page that is none's tail has a list of
	 * reclaim's in that word, which is written to plainly and never looks like a tail.
	 */
	return data_race(PageTail(page)) && PageHWPoison(compound_head(page)) && PageHuge(page);
}

/*
 * How many entries can be set at once, of at most @max: up to the first that must not be.
 * Only arm64 makes more of many than of one: of those that are aligned, blocks that the
 * TLB can hold as one entry. It does not make them later, as the entries are special.
 * Elsewhere it would only cost to count them.
 */
static unsigned int count_settable(pte_t *pte, unsigned long pfn, unsigned long max)
{
	unsigned int nr = 0;

	if (!IS_ENABLED(CONFIG_ARM64_CONTPTE))
		max = 1;
	while (nr < max && pte_none(ptep_get(pte + nr)) && !is_poisoned(pfn + nr))
		nr++;
	return nr;
}

/*
 * Called for the first page of the range only, which saves a call for each: the page
 * table that has the entries of all is locked.
 */
static int fill_page_table(pte_t *pte, unsigned long addr, void *data)
{
	const struct fault_range *range = data;
	unsigned long pfn = range->pfn, pfn_end = range->pfn_end;
	unsigned long next_span = range->next_span, left = range->nr, spans = 0;
	struct mm_struct *mm = range->vma->vm_mm;
	pgprot_t prot = range->vma->vm_page_prot;
	const struct memfd_span *span = NULL;
	unsigned int nr;

	for (; left; left -= nr, pfn += nr, pte += nr, addr += nr * PAGE_SIZE) {
		if (pfn == pfn_end) {
			if (!spans) {
				span = memfd_pins_spans(range->pins, next_span, &spans);
				next_span += spans;
			}
			pfn = span->pfn;
			pfn_end = pfn + span->nr;
			span++;
			spans--;
		}
		nr = count_settable(pte, pfn, min(left, pfn_end - pfn));
		if (nr)
			set_ptes(mm, addr, pte, pte_mkspecial(pfn_pte(pfn, prot)), nr);
		else
			nr = 1;
	}
	return 0;
}

#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
static bool any_poisoned(unsigned long pfn, unsigned long end)
{
	struct folio *folio;

	while (pfn < end) {
		folio = held_folio(pfn_to_page(pfn));
		if (folio_contain_hwpoisoned_page(folio))
			return true;
		pfn = folio_pfn(folio) + folio_nr_pages(folio);
	}
	return false;
}

/*
 * Whether a PMD is to map the range depends on the mapping alone, so that concurrent
 * faults agree: apply_to_page_range() warns when it comes upon a PMD mapping. The
 * exception is memory that fails meanwhile.
 */
static vm_fault_t map_by_pmd(struct vm_fault *vmf, const struct fault_range *range,
			     unsigned long fault_pfn)
{
	pmd_t pmd = pmdp_get(vmf->pmd);

	if (range->nr != PTRS_PER_PTE || !IS_ALIGNED(range->pfn, PTRS_PER_PTE) ||
	    range->pfn_end - range->pfn < PTRS_PER_PTE)
		return VM_FAULT_FALLBACK;
	/* The CPU may have none, or Xen may not let us. */
	if (!has_transparent_hugepage())
		return VM_FAULT_FALLBACK;

	/* It was made when writes were being watched for. */
	if (pmd_leaf(pmd))
		return vmf_insert_pfn_pmd(vmf, range->pfn, vmf->flags & FAULT_FLAG_WRITE);
	/* mremap() can have moved a page table here. */
	if (!pmd_none(pmd))
		return VM_FAULT_FALLBACK;
	if (any_poisoned(range->pfn, range->pfn + PTRS_PER_PTE)) {
		/* Another fault came before the failure; vmf_insert_pfn() wants no leaf. */
		if (pmd_leaf(pmdp_get(vmf->pmd)))
			return VM_FAULT_NOPAGE;
		return vmf_insert_pfn(vmf->vma, vmf->address, fault_pfn);
	}
	/* Writable if the VMA is so. */
	return vmf_insert_pfn_pmd(vmf, range->pfn, false);
}
#else
/*
 * Before 6.12, GUP-fast would pin what such a PMD maps, and follow_pte(), by which KVM
 * maps it into guests, would fail.
 */
static vm_fault_t map_by_pmd(struct vm_fault *vmf, const struct fault_range *range,
			     unsigned long fault_pfn)
{
	return VM_FAULT_FALLBACK;
}
#endif

static vm_fault_t udmabuf_fault(struct vm_fault *vmf)
{
	struct udmabuf *ubuf = vmf->vma->vm_private_data;
	struct fault_range range = { .pins = &ubuf->pins, .vma = vmf->vma };
	unsigned long fault_pfn;
	vm_fault_t ret;

	if (vmf->pgoff >= ubuf->pins.nr_pages)
		return VM_FAULT_SIGBUS;
	set_first_page(&range, vmf->pgoff);
	fault_pfn = range.pfn;
	if (is_poisoned(fault_pfn))
		return VM_FAULT_HWPOISON;

	widen_range(&range, vmf);
	ret = map_by_pmd(vmf, &range, fault_pfn);
	if (ret != VM_FAULT_FALLBACK)
		return ret;
	if (apply_to_page_range(vmf->vma->vm_mm, range.start, PAGE_SIZE,
				fill_page_table, &range))
		return VM_FAULT_OOM;
	return VM_FAULT_NOPAGE;
}

#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
/*
 * The core asks here first where transparent huge pages are enabled, and does not
 * allocate a page table before. Where they are not, udmabuf_fault() maps the same.
 */
static vm_fault_t udmabuf_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	return order == PMD_ORDER ? udmabuf_fault(vmf) : VM_FAULT_FALLBACK;
}
#endif

static const struct vm_operations_struct udmabuf_vm_ops = {
	.fault = udmabuf_fault,
#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
	.huge_fault = udmabuf_huge_fault,
#endif
};

/**
 * udmabuf_mmap() - map a dma-buf into a process
 * @dmabuf: the dma-buf, one of ours
 * @vma: where, within the dma-buf's size
 *
 * Context: as mmap() calls it, with mmap_lock held.
 *
 * Return: 0; -EINVAL for a private mapping; -EACCES for a writable one of a
 * read-only dma-buf; -EPERM for one that is to be executed.
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

	/*
	 * As on a mount with noexec, which the file may come from. There, PROT_READ does
	 * not imply PROT_EXEC for old programs.
	 */
	if (vma->vm_flags & VM_EXEC) {
		if (!(current->personality & READ_IMPLIES_EXEC))
			return -EPERM;
		vm_flags_clear(vma, VM_EXEC);
		vma->vm_page_prot = vm_get_page_prot(vma->vm_flags);
	}
	vm_flags_clear(vma, VM_MAYEXEC);

	vma->vm_ops = &udmabuf_vm_ops;
	vma->vm_private_data = ubuf;
	vm_flags_set(vma, VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	return 0;
}
