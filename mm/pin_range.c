// SPDX-License-Identifier: GPL-2.0
/*
 * memfd_pin - pin ranges of memfds for long-term DMA
 *
 * A range is pinned in batches. What is ready in the page cache is pinned by
 * pin_fast(). Else folios are first brought into the page cache with valid
 * contents, and then pinned by memfd_pin_folios(), which migrates them out of
 * movable memory. Nothing holds a folio in its file before it is pinned, so
 * that is checked afterwards.
 */
#include <linux/hugetlb.h>
#include <linux/memfd.h>
#include <linux/memfd_pin.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <uapi/linux/falloc.h>

#include "pin.h"

/*
 * Folios that are looked up, pinned and checked in one go: what a caller may
 * have to wait for between two looks at its signals, and stack space.
 */
#define PIN_BATCH	32

/*
 * How often a batch may lose a race against another user of the file (hole
 * punching, reclaim, references that hold off migration) before the caller is
 * told. Each loss needs its own, well-timed event; a file on which that happens
 * ten times in a row is being changed on purpose.
 */
#define PIN_RETRIES	10

/**
 * memfd_pin_get_seals() - the seals of a file
 * @memfd: any file
 *
 * The kernel's own memfd_fcntl() is not exported. Seals can be added at any
 * time unless the inode lock is held. F_SEAL_WRITE is not added to a file
 * that has pinned pages.
 *
 * Return: F_SEAL_* flags, or -EINVAL if @memfd is neither on shmem nor on
 * hugetlbfs.
 */
int memfd_pin_get_seals(struct file *memfd)
{
	if (shmem_file(memfd))
		return READ_ONCE(SHMEM_I(file_inode(memfd))->seals);
	if (is_file_hugepages(memfd))
		return READ_ONCE(HUGETLBFS_I(file_inode(memfd))->seals);
	return -EINVAL;
}
EXPORT_SYMBOL_GPL(memfd_pin_get_seals);

/*
 * Bring the folios from @index on into the page cache, with valid contents:
 * holes are filled, swapped folios read, and folios that fallocate() left
 * without contents are zeroed now and not, as after a pin it would be, on top
 * of what a device has written. Lowers *@last to the last page that is there
 * when the batch is full.
 */
static int shmem_populate(struct address_space *mapping, pgoff_t index,
			  pgoff_t *last)
{
	struct folio *folio;
	struct page *page;
	int i;

	for (i = 0; i < PIN_BATCH && index <= *last; i++) {
		if (fatal_signal_pending(current))
			return -EINTR;
		page = shmem_read_mapping_page_gfp(mapping, index,
						   mapping_gfp_mask(mapping));
		if (IS_ERR(page))
			return PTR_ERR(page);
		folio = page_folio(page);
		index = folio_next_index(folio);
		folio_put(folio);
		cond_resched();
	}
	*last = min(*last, index - 1);
	return 0;
}

/* Index of the first page in [@index, @last] whose huge page is absent. */
static pgoff_t hugetlb_next_hole(struct file *memfd, pgoff_t index,
				 pgoff_t last)
{
	unsigned long nr = pages_per_huge_page(hstate_file(memfd));
	struct folio *folio;

	for (index = round_down(index, nr); index <= last; index += nr) {
		folio = filemap_get_folio(memfd->f_mapping, index);
		if (IS_ERR(folio))
			break;
		folio_put(folio);
	}
	return index;
}

/*
 * Fill the holes in [@index, @last]. memfd_pin_folios() of 6.12 would take
 * huge pages for them that others have reserved; hugetlbfs itself accounts
 * right. It is called without the checks of vfs_fallocate(): to fill a hole
 * needs no right to write, a read access by mmap() fills it too.
 */
static int hugetlb_populate(struct file *memfd, pgoff_t index, pgoff_t last)
{
	struct super_block *sb = file_inode(memfd)->i_sb;
	int err = 0;

	sb_start_write(sb);
	while (!err) {
		index = hugetlb_next_hole(memfd, index, last);
		if (index > last)
			break;
		/* One byte: the page may end past i_size, which can be sealed. */
		err = memfd->f_op->fallocate(memfd, FALLOC_FL_KEEP_SIZE,
					     (loff_t)index << PAGE_SHIFT, 1);
	}
	sb_end_write(sb);

	if (err == -EINTR)
		return fatal_signal_pending(current) ? -EINTR : -ERESTARTSYS;
	return err == -ENOSPC ? -ENOMEM : err;
}

/*
 * Make up to PIN_BATCH folios ready and pin them, from page @index to byte
 * @end. Returns their number, or a negative error; -EAGAIN means that the file
 * changed meanwhile, -EBUSY that a folio was in use and could not be migrated.
 */
static long pin_slow(struct file *memfd, pgoff_t index, loff_t end,
		     struct folio **folios)
{
	pgoff_t last = end >> PAGE_SHIFT;
	struct inode *inode = file_inode(memfd);
	bool huge = is_file_hugepages(memfd);
	unsigned int flags;
	unsigned long nr;
	pgoff_t offset;
	long ret;

	flags = memalloc_pin_save();
	if (huge) {
		nr = pages_per_huge_page(hstate_file(memfd));
		last = min(last, round_down(index, nr) + PIN_BATCH * nr - 1);
		ret = hugetlb_populate(memfd, index, last);
	} else {
		ret = shmem_populate(memfd->f_mapping, index, &last);
	}
	memalloc_pin_restore(flags);
	if (ret)
		return ret;

	/*
	 * With the inode lock held nobody can punch a new hole. Another user of
	 * the file may hold it for long, in fallocate().
	 */
	if (huge) {
		if (down_read_killable(&inode->i_rwsem))
			return -EINTR;
		if (hugetlb_next_hole(memfd, index, last) <= last) {
			inode_unlock_shared(inode);
			return -EAGAIN;
		}
	}
	end = min(end, ((loff_t)(last + 1) << PAGE_SHIFT) - 1);
	ret = memfd_pin_folios(memfd, (loff_t)index << PAGE_SHIFT, end,
			       folios, PIN_BATCH, &offset);
	if (huge)
		inode_unlock_shared(inode);
	/* A folio that could not be migrated may be idle in a moment. */
	return ret == -ENOMEM ? -EBUSY : ret;
}

/*
 * Does a folio that is pinned now still hold the page at @index, with valid
 * contents? Returns 0, -EAGAIN if it does not, -EIO if memory has failed,
 * -ENOMEM if it has all the pins it can take, -EINTR.
 */
static int check_pinned(struct folio *folio, struct address_space *mapping,
			pgoff_t index)
{
	/*
	 * Swap-out looks at the pins under the folio lock and then takes the
	 * folio out of the file. If it holds the lock it may have missed the
	 * pin: wait for it. If it takes the lock later, it sees the pin, which
	 * is why the pin must be visible before the lock is looked at.
	 */
	smp_mb();
	if (folio_test_locked(folio)) {
		if (folio_lock_killable(folio))
			return -EINTR;
		folio_unlock(folio);
	}

	if (folio->mapping != mapping || !folio_contains(folio, index) ||
	    !folio_test_uptodate(folio))
		return -EAGAIN;

	if (folio_test_hwpoison(folio) ||
	    (folio_test_large(folio) && !folio_test_hugetlb(folio) &&
	     folio_test_has_hwpoisoned(folio)))
		return -EIO;

	/*
	 * A pin on a small folio is 1024 references. Nothing keeps a user from
	 * naming one page a million times, so stop at half of what the count
	 * can hold: that leaves room for the batches of a million threads.
	 */
	if (folio_ref_count(folio) > INT_MAX / 2)
		return -ENOMEM;
	return 0;
}

/* Make room for the chunk number @n. */
static int add_chunk(struct memfd_pins *pins, unsigned long n)
{
	unsigned long max = max(8UL, 2 * pins->max_chunks);
	struct memfd_span **chunks;

	if (n == pins->max_chunks) {
		chunks = kvcalloc(max, sizeof(*chunks), GFP_KERNEL_ACCOUNT);
		if (!chunks)
			return -ENOMEM;
		if (n)
			memcpy(chunks, pins->chunks, n * sizeof(*chunks));
		kvfree(pins->chunks);
		pins->chunks = chunks;
		pins->max_chunks = max;
	}
	if (!pins->chunks[n])
		pins->chunks[n] = kmalloc(PAGE_SIZE, GFP_KERNEL_ACCOUNT);
	return pins->chunks[n] ? 0 : -ENOMEM;
}

/*
 * Append @nr pages from page @first of @folio on, and take over the pin. Spans
 * below @mark are not touched: they belong to other ranges.
 */
static int append_folio(struct memfd_pins *pins, unsigned long mark,
			struct folio *folio, unsigned long first,
			unsigned long nr)
{
	unsigned long pfn = folio_pfn(folio) + first;
	unsigned long i = pins->nr_spans;
	struct memfd_span *span;
	int err;

	if (i > mark) {
		span = memfd_pins_span(pins, i - 1);
		if (span->pfn + span->nr == pfn)
			goto merge;
	}

	if (i % MEMFD_SPANS_PER_CHUNK == 0) {
		err = add_chunk(pins, i / MEMFD_SPANS_PER_CHUNK);
		if (err)
			return err;
	}
	span = memfd_pins_span(pins, i);
	span->pfn = pfn;
	span->index = pins->nr_pages;
	span->nr = 0;
	pins->nr_spans++;
merge:
	span->nr += nr;
	pins->nr_pages += nr;
	return 0;
}

/* Unpin the spans from number @mark on. */
static void unpin_spans(struct memfd_pins *pins, unsigned long mark, bool dirty)
{
	unsigned long i, pfn, end;
	struct memfd_span *span;
	struct folio *folio;

	for (i = mark; i < pins->nr_spans; i++) {
		span = memfd_pins_span(pins, i);
		end = span->pfn + span->nr;
		for (pfn = span->pfn; pfn < end;) {
			folio = page_folio(pfn_to_page(pfn));
			pfn = folio_pfn(folio) + folio_nr_pages(folio);
			unpin_user_page_range_dirty_lock(&folio->page, 1,
							 dirty);
			cond_resched();
		}
	}
}

/**
 * memfd_pin_range() - append a pinned range of a memfd to a buffer
 * @pins: the buffer
 * @memfd: a file on shmem or hugetlbfs
 * @start: byte offset of the start of the range in the file
 * @end: byte offset of its last byte
 *
 * Pins every folio behind the pages that the range touches, once and
 * long-term (FOLL_PIN, out of ZONE_MOVABLE and CMA), and appends the pages to
 * the buffer. Where the range begins inside a large folio, so does the first
 * span. Holes are filled as an access through a mapping would fill them. The
 * contents are valid when this returns and stay connected with the file until
 * the range is truncated or punched out; to prevent that, or to hold off later
 * seals, is the caller's part: pin, then look at the seals again under the
 * inode lock (an F_ADD_SEALS that came earlier shows, a later one sees the
 * pins).
 *
 * Context: may sleep and allocate. Takes the inode lock, folio locks and what
 * migration takes, so the caller holds none of inode lock, mmap_lock and
 * dma_resv. Sees fatal signals after at most 32 folios.
 *
 * Return: 0, or an error, with the same pages in the buffer as before; it is
 * to be released in both cases:
 * * -EINVAL: @memfd is not on shmem or hugetlbfs, the range is empty, negative
 *   or ends past i_size, or the buffer would have more than U32_MAX pages
 * * -ENOMEM: no memory, no huge page, a folio could not be migrated out of
 *   movable memory, or it is pinned too many times
 * * -ENOSPC: the filesystem is full
 * * -EIO: memory failure in the range, or swap could not be read
 * * -EAGAIN: the file was changed under the range too often
 * * -EINTR: fatal signal
 * * -ERESTARTSYS: signal while a huge page was to be allocated
 */
int memfd_pin_range(struct memfd_pins *pins, struct file *memfd,
		    loff_t start, loff_t end)
{
	unsigned long mark = pins->nr_spans, nr_pages = pins->nr_pages;
	struct folio *folios[PIN_BATCH];
	unsigned int tries = 0;
	pgoff_t index, last;
	long nr, i;
	int err;

	if (!memfd || (!shmem_file(memfd) && !is_file_hugepages(memfd)))
		return -EINVAL;
	if (start < 0 || start > end || end >= i_size_read(file_inode(memfd)))
		return -EINVAL;

	index = start >> PAGE_SHIFT;
	last = end >> PAGE_SHIFT;
	if (last - index >= U32_MAX - nr_pages)
		return -EINVAL;

	while (index <= last) {
		nr = pin_fast(memfd->f_mapping, index, last, folios, PIN_BATCH);
		if (!nr)
			nr = pin_slow(memfd, index, end, folios);
		err = nr < 0 ? nr : 0;
		for (i = 0; i < nr && index <= last; i++) {
			struct folio *folio = folios[i];
			unsigned long first, count;

			err = check_pinned(folio, memfd->f_mapping, index);
			if (err)
				break;
			first = index - folio->index;
			count = min(folio_nr_pages(folio) - first,
				    last - index + 1);
			err = append_folio(pins, mark, folio, first, count);
			if (err)
				break;
			index += count;
			tries = 0;
		}
		for (; i < nr; i++)
			unpin_folio(folios[i]);

		if ((err == -EAGAIN || err == -EBUSY) && tries++ < PIN_RETRIES)
			err = 0;
		if (err == -EBUSY)
			err = -ENOMEM;
		if (!err && fatal_signal_pending(current))
			err = -EINTR;
		if (err)
			goto err_unpin;
		cond_resched();
	}
	return 0;

err_unpin:
	unpin_spans(pins, mark, false);
	pins->nr_spans = mark;
	pins->nr_pages = nr_pages;
	return err;
}
EXPORT_SYMBOL_GPL(memfd_pin_range);

/**
 * memfd_pins_release() - unpin all of a buffer
 * @pins: the buffer; it is empty afterwards
 * @dirty: whether anybody may have written to it; without the mark, reclaim
 *	drops what was written
 *
 * Context: may sleep; takes folio locks if @dirty.
 */
void memfd_pins_release(struct memfd_pins *pins, bool dirty)
{
	unsigned long i;

	unpin_spans(pins, 0, dirty);
	for (i = 0; i < pins->max_chunks; i++) {
		kfree(pins->chunks[i]);
		cond_resched();
	}
	kvfree(pins->chunks);
	memset(pins, 0, sizeof(*pins));
}
EXPORT_SYMBOL_GPL(memfd_pins_release);

/**
 * memfd_pins_find() - the span that holds a page
 * @pins: the buffer
 * @index: page index in the buffer, below @pins->nr_pages
 *
 * Context: any.
 *
 * Return: the number of the span, for memfd_pins_span().
 */
unsigned long memfd_pins_find(const struct memfd_pins *pins,
			      unsigned long index)
{
	unsigned long low = 0, high = pins->nr_spans - 1, mid;

	while (low < high) {
		mid = (low + high + 1) / 2;
		if (memfd_pins_span(pins, mid)->index <= index)
			low = mid;
		else
			high = mid - 1;
	}
	return low;
}
EXPORT_SYMBOL_GPL(memfd_pins_find);

MODULE_DESCRIPTION("Long-term pins on memfd ranges");
MODULE_LICENSE("GPL");
