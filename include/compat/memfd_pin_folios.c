// SPDX-License-Identifier: GPL-2.0
/*
 * memfd_pin_folios() and unpin_folios() for kernels before 6.11, for us and for
 * other modules, and how to migrate a memfd's folios there: by GUP, through a
 * mapping that lives as long as the call. Huge pages of hugetlbfs stay.
 */
#ifdef PINFOLD_HAS_MEMFD_PIN_FOLIOS

#include <linux/export.h>
#include <linux/mman.h>
#include <linux/sched.h>

#include "../../mm/pin.h"

/* Address of a new mapping of the file, or a negative error. */
static unsigned long map_for_gup(struct file *memfd, loff_t base,
				 unsigned long len)
{
	unsigned long addr;

	addr = vm_mmap(memfd, 0, len, PROT_READ, MAP_SHARED | MAP_NORESERVE,
		       base);
	/* These kernels refuse it for any file that is sealed against writing. */
	if (addr == -EPERM)
		addr = vm_mmap(memfd, 0, len, PROT_READ,
			       MAP_PRIVATE | MAP_NORESERVE, base);
	/* The limit of locked memory, where mlockall() is in force. */
	return addr == -EAGAIN ? -ENOMEM : addr;
}

/**
 * pin_present_folios() - pin folios that are present, migrating them if need be
 * @memfd: a file on shmem, open for reading
 * @start: byte offset of the start of the range in the file
 * @end: byte offset of a byte in the last page
 * @folios: where to put them
 * @max_folios: entries in @folios
 * @offset: not set
 *
 * Another thread may put something else at the address of the mapping: the
 * caller has to check that what it got is part of the file.
 *
 * Context: as memfd_pin_folios(), in a task that has an mm; takes mmap_lock.
 *
 * Return: number of folios pinned, or a negative error: -ENOMEM if there is no
 * memory or address space or a folio could not be migrated, -EAGAIN if one needs no
 * migration or the file has become too short for it, -EACCES if @memfd cannot be read,
 * -EINTR. What has become a hole meanwhile is filled.
 */
long pin_present_folios(struct file *memfd, loff_t start, loff_t end,
			struct folio **folios, unsigned int max_folios,
			pgoff_t *offset)
{
	unsigned long addr, len;
	unsigned int nr = 0;
	struct folio *folio;
	struct page *page;
	loff_t base;
	long ret;

	if (!current->mm)
		return -ENOMEM;
	base = round_down(start, PAGE_SIZE);
	len = round_up(end + 1, PAGE_SIZE) - base;
	addr = map_for_gup(memfd, base, len);
	if (IS_ERR_VALUE(addr))
		return addr;

	while (start <= end && nr < max_folios) {
		ret = pin_user_pages_fast(addr + (start - base), 1,
					  FOLL_LONGTERM, &page);
		if (ret != 1)
			break;
		folio = page_folio(page);
		folios[nr++] = folio;
		start = round_down(start, folio_size(folio)) +
			folio_size(folio);
	}
	vm_munmap(addr, len);
	if (nr)
		return nr;
	return !ret || ret == -EFAULT ? -EAGAIN : ret;
}

/* The folios of spans, once each. Returns their number. */
static unsigned int list_folios(const struct memfd_span *span,
				const struct memfd_span *end,
				struct folio **folios)
{
	unsigned int nr = 0;
	unsigned long pfn;

	for (; span < end; span++) {
		pfn = span->pfn;
		while (pfn < span->pfn + span->nr) {
			folios[nr] = page_folio(pfn_to_page(pfn));
			pfn = folio_pfn(folios[nr]) + folio_nr_pages(folios[nr]);
			nr++;
		}
	}
	return nr;
}

/**
 * memfd_pin_folios() - pin the folios of a range of a memfd
 * @memfd: a file on shmem or hugetlbfs
 * @start: byte offset of the start of the range in the file
 * @end: byte offset of its last byte
 * @folios: where to put them
 * @max_folios: entries in @folios
 * @offset: set to the byte offset of @start in the first folio
 *
 * As in mainline since 6.11. The pins are long-term FOLL_PIN pins, one per
 * folio; holes in the range are filled. The caller does what accounting there
 * is to be.
 *
 * Context: may sleep; takes the inode lock, folio locks and mmap_lock.
 *
 * Return: number of folios pinned, less than the range has only if @folios is
 * full, or an error of memfd_pin_range(), with none pinned.
 */
long memfd_pin_folios(struct file *memfd, loff_t start, loff_t end,
		      struct folio **folios, unsigned int max_folios,
		      pgoff_t *offset)
{
	struct memfd_span spans[PIN_SLOW_BATCH];
	struct pin_cursor cursor = { .index = start >> PAGE_SHIFT };
	pgoff_t last = end >> PAGE_SHIFT;
	unsigned int nr = 0, shift;
	int err;

	if (start < 0 || start > end || !max_folios)
		return -EINVAL;
	if (!memfd || !is_memfd(memfd) || end >= i_size_read(file_inode(memfd)))
		return -EINVAL;

	shift = cache_index_shift(memfd->f_mapping);
	while (cursor.index <= last && nr < max_folios) {
		/* No folio has less than one page. */
		cursor.last = min(last, cursor.index + max_folios - nr - 1);
		cursor.next_pfn = 0;
		cursor.room = spans;
		cursor.end = spans + ARRAY_SIZE(spans);
		err = pin_batch(memfd, &cursor);
		if (err) {
			unpin_folios(folios, nr);
			return err;
		}
		nr += list_folios(spans, cursor.room, folios + nr);
		/* The last one may end later than was asked for. */
		cursor.index = (folios[nr - 1]->index << shift) +
			       folio_nr_pages(folios[nr - 1]);
	}
	*offset = offset_in_folio(folios[0], start);
	return nr;
}
EXPORT_SYMBOL_GPL(memfd_pin_folios);

/**
 * unpin_folio() - release a pin of memfd_pin_folios()
 * @folio: the folio
 *
 * Context: any but interrupts.
 */
void unpin_folio(struct folio *folio)
{
	unpin_user_page(folio_page(folio, 0));
}
EXPORT_SYMBOL_GPL(unpin_folio);

/**
 * unpin_folios() - release pins of memfd_pin_folios()
 * @folios: the folios
 * @nfolios: their number
 *
 * Context: may sleep.
 */
void unpin_folios(struct folio **folios, unsigned long nfolios)
{
	unsigned long i;

	for (i = 0; i < nfolios; i++) {
		unpin_folio(folios[i]);
		cond_resched();
	}
}
EXPORT_SYMBOL_GPL(unpin_folios);

#endif /* PINFOLD_HAS_MEMFD_PIN_FOLIOS */
