/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between the kernels that the modules are built for. The sources
 * are written for the newest one; this file is included before anything else,
 * and gives older ones what they lack.
 */
#ifndef _PINFOLD_COMPAT_H
#define _PINFOLD_COMPAT_H

#include <linux/file.h>
#include <linux/hugetlb.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#define fd_file(fd)	((fd).file)
#define folio_has_pincount(folio)	folio_test_large(folio)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
/* What maps the owners of a mount's files was a user namespace. */
#define file_mnt_idmap(file)	file_mnt_user_ns(file)

static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}

static inline void vm_flags_clear(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags &= ~flags;
}

/* It returned NULL for what is absent. */
static inline struct folio *
compat_filemap_get_folio(struct address_space *mapping, pgoff_t index)
{
	return filemap_get_folio(mapping, index) ?: ERR_PTR(-ENOENT);
}

#define filemap_get_folio	compat_filemap_get_folio
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
/* It still had it; from then on it is in mm/pin_fast_only.c. */
#define KERNEL_HAS_PIN_FAST_ONLY
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
/* The page cache of hugetlbfs was indexed by huge pages, not by pages. */
static inline unsigned int cache_index_shift(struct address_space *mapping)
{
	if (mapping->host->i_sb->s_magic == HUGETLBFS_MAGIC)
		return huge_page_order(hstate_inode(mapping->host));
	return 0;
}

#define cache_index_shift	cache_index_shift
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
/* They could return VMAs, too. */
#define pin_user_pages(start, nr_pages, gup_flags, pages) \
	pin_user_pages(start, nr_pages, gup_flags, pages, NULL)
#define pin_user_pages_remote(mm, start, nr_pages, gup_flags, pages, locked) \
	pin_user_pages_remote(mm, start, nr_pages, gup_flags, pages, NULL, \
			      locked)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
/* It was only known of each address. */
static inline bool dma_dev_need_sync(const struct device *dev)
{
	return true;
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
/* The file operations that it compared with are not exported. */
static inline bool compat_is_file_hugepages(const struct file *file)
{
	const struct inode *inode = file_inode(file);

	return inode->i_sb->s_magic == HUGETLBFS_MAGIC && S_ISREG(inode->i_mode);
}

#define is_file_hugepages	compat_is_file_hugepages

static inline bool folio_contain_hwpoisoned_page(struct folio *folio)
{
	return folio_test_hwpoison(folio) ||
	       (folio_test_large(folio) && folio_test_has_hwpoisoned(folio));
}

/* Exported by memfd_pin.ko: memfd_pin_folios.c has the kernel-doc. */
#define PINFOLD_HAS_MEMFD_PIN_FOLIOS
long memfd_pin_folios(struct file *memfd, loff_t start, loff_t end,
		      struct folio **folios, unsigned int max_folios,
		      pgoff_t *offset);
void unpin_folio(struct folio *folio);
void unpin_folios(struct folio **folios, unsigned long nfolios);

/* What is there of a memfd is pinned by this one, which it is made of. */
long pin_present_folios(struct file *memfd, loff_t start, loff_t end,
			struct folio **folios, unsigned int max_folios,
			pgoff_t *offset);
#define pin_present_folios	pin_present_folios

/* It did not move huge pages of hugetlbfs out of movable memory. */
#define hugepage_migration_supported(h)	((void)(h), false)
#elif defined(MODULE) && defined(CONFIG_ARM64)
/* Not for modules, but true of all sizes of which there are huge pages. */
#define hugepage_migration_supported(h)	((void)(h), true)
#endif

/* The size, of a folio that is known to be large. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 15, 0)
#ifdef CONFIG_64BIT
#define folio_large_nr_pages(folio)	((unsigned long)(folio)->_folio_nr_pages)
#else
#define folio_large_nr_pages(folio)	((unsigned long)folio_nr_pages(folio))
#endif
#endif

/* Frame numbers came in a type of their own. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
#include <linux/pfn_t.h>
#define vmf_insert_pfn_pmd(vmf, pfn, write) \
	vmf_insert_pfn_pmd(vmf, __pfn_to_pfn_t(pfn, PFN_DEV), write)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
/* Isolation was one of the types of page blocks, and not a bit beside them. */
#define PAGEBLOCK_MIGRATETYPE_MASK	((1UL << PB_migratetype_bits) - 1)
#define PAGEBLOCK_ISO_MASK	0
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0)
/* They had no type of their own. */
#define folio_flags_word(folio)	(&(folio)->flags)

#define mm_flags_test(flag, mm)	test_bit(flag, &(mm)->flags)
#define mm_flags_set(flag, mm)	set_bit(flag, &(mm)->flags)
#endif

/* Tail pages of optimized huge pages seemed to have the references of their head. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 1, 0)
static inline int compat_folio_ref_count(struct folio *folio)
{
	return page_is_fake_head(&folio->page) ? 0 : folio_ref_count(folio);
}

#define folio_ref_count	compat_folio_ref_count
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
static inline void set_ptes(struct mm_struct *mm, unsigned long addr, pte_t *ptep,
			    pte_t pte, unsigned int nr)
{
	for (; nr; nr--, ptep++, addr += PAGE_SIZE) {
		set_pte_at(mm, addr, ptep, pte);
		pte = pfn_pte(pte_pfn(pte) + 1, pte_pgprot(pte));
	}
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
/*
 * GUP let long-term pins write to pages of files that are written back to a disk,
 * behind the back of the filesystem. What can be swapped has none. Keeps the pins
 * before the first one of those.
 */
static inline int compat_keep_writable(struct page **pages, int nr)
{
	struct folio *folio;
	int i;

	for (i = 0; i < nr; i++) {
		folio = page_folio(pages[i]);
		if (READ_ONCE(folio->mapping) && !folio_test_anon(folio) &&
		    !folio_test_swapbacked(folio) && !folio_test_hugetlb(folio)) {
			unpin_user_pages(pages + i, nr - i);
			return i ?: -EFAULT;
		}
	}
	return nr;
}

/*
 * For a long-term pin, GUP did not wait for user space to provide a page, and did
 * not move a huge page of hugetlbfs, but failed with a warning. So have the pages
 * brought in before, and fail without a warning.
 */
static inline int compat_pin_within_pmd(unsigned long start, int nr,
					unsigned int flags, struct page **pages)
{
	unsigned int saved;
	bool stuck = false;
	int i;

	saved = memalloc_pin_save();
	if (flags & FOLL_NOFAULT)
		nr = get_user_pages_fast_only(start, nr, flags & FOLL_WRITE,
					      pages);
	else
		nr = get_user_pages_fast(start, nr, flags & ~FOLL_LONGTERM,
					 pages);
	memalloc_pin_restore(saved);
	if (nr <= 0)
		return nr;
	for (i = 0; i < nr; i++) {
		stuck |= PageHuge(pages[i]) && is_zone_movable_page(pages[i]);
		put_page(pages[i]);
	}
	if (stuck)
		return -ENOMEM;
	nr = pin_user_pages_fast(start, nr, flags, pages);
	return flags & FOLL_WRITE ? compat_keep_writable(pages, nr) : nr;
}

static inline int compat_pin_user_pages_fast(unsigned long start, int nr,
					     unsigned int flags,
					     struct page **pages)
{
	int done = 0, some, ret;

	if (!(flags & FOLL_LONGTERM))
		return pin_user_pages_fast(start, nr, flags, pages);
	while (done < nr) {
		some = min_t(unsigned long, nr - done,
			     (PMD_SIZE - (start & ~PMD_MASK)) >> PAGE_SHIFT);
		ret = compat_pin_within_pmd(start, some, flags, pages + done);
		if (ret <= 0)
			return done ?: ret;
		done += ret;
		start += (unsigned long)ret << PAGE_SHIFT;
		if (ret < some)
			break;
	}
	return done;
}

#define pin_user_pages_fast	compat_pin_user_pages_fast
#endif

/* It was a bit of the device, of which only some architectures know. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 3, 0)
#if defined(CONFIG_ARCH_HAS_SYNC_DMA_FOR_DEVICE) || \
	defined(CONFIG_ARCH_HAS_SYNC_DMA_FOR_CPU) || \
	defined(CONFIG_ARCH_HAS_SYNC_DMA_FOR_CPU_ALL)
#define dev_assign_dma_coherent(dev, coherent)	((dev)->dma_coherent = (coherent))
#else
#define dev_assign_dma_coherent(dev, coherent)	((void)(dev), (void)(coherent))
#endif
#endif

/* The name of a namespace of symbols was not a string. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#include <linux/module.h>
#undef MODULE_IMPORT_NS
#define MODULE_IMPORT_NS(name)	MODULE_INFO(import_ns, name)
#endif

#endif /* _PINFOLD_COMPAT_H */
