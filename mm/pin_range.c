// SPDX-License-Identifier: GPL-2.0
/*
 * memfd_pin - pin ranges of memfds for long-term DMA
 *
 * A range is pinned in batches of folios, which are kept as spans of contiguous
 * pages.
 */
#include <linux/memfd_pin.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <trace/events/memfd_pin.h>

#include "pin.h"

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
#ifdef CONFIG_HUGETLBFS
	if (is_file_hugepages(memfd))
		return READ_ONCE(HUGETLBFS_I(file_inode(memfd))->seals);
#endif
	return -EINVAL;
}
EXPORT_SYMBOL_GPL(memfd_pin_get_seals);

/* Make room for one chunk more in the list of chunks. */
static int grow_list(struct memfd_pins *pins)
{
	u32 max = max(4U, 2 * pins->max_chunks);
	struct memfd_span **chunks;

	chunks = kvcalloc(max, sizeof(*chunks), GFP_KERNEL_ACCOUNT);
	if (!chunks)
		return -ENOMEM;
	if (pins->chunks)
		memcpy(chunks, pins->chunks,
		       pins->max_chunks * sizeof(*chunks));
	kvfree(pins->chunks);
	pins->chunks = chunks;
	pins->max_chunks = max;
	return 0;
}

/* While the list grows, what is in it may change. */
static struct memfd_span *get_span(struct memfd_pins *pins, unsigned long i)
{
	return (struct memfd_span *)memfd_pins_span(pins, i);
}

/* Spans that a chunk has room for at least: a kmalloc() of 128 bytes. */
#define MIN_CHUNK	8UL

/*
 * Make room for more spans. The first one lies in @pins itself; then there is a
 * chunk that grows up to its size, and then there are further ones. How many it
 * takes is guessed from the part that is pinned, up to page @index of the buffer.
 */
static int add_room(struct memfd_pins *pins, unsigned long index)
{
	unsigned long n = pins->max_spans / MEMFD_SPANS_PER_CHUNK;
	unsigned long max = MEMFD_SPANS_PER_CHUNK;
	struct memfd_span *chunk;

	if (!pins->max_spans) {
		pins->max_spans = 1;
		return 0;
	}
	if (n == pins->max_chunks && grow_list(pins))
		return -ENOMEM;
	if (!n)
		max = min(max, max3(pins->charge.nr_pages / index *
				    pins->max_spans,
				    2UL * pins->max_spans, MIN_CHUNK));
	chunk = krealloc(pins->chunks[n], max * sizeof(*chunk),
			 GFP_KERNEL_ACCOUNT);
	if (!chunk)
		return -ENOMEM;
	if (pins->max_spans == 1)
		chunk[0] = pins->only;
	pins->chunks[n] = chunk;
	pins->max_spans = n * MEMFD_SPANS_PER_CHUNK + max;
	return 0;
}

/* Have room for a span at least, up to the end of a chunk. */
static int find_room(struct memfd_pins *pins, struct pin_cursor *cursor)
{
	unsigned long i = pins->nr_spans;

	if (i == pins->max_spans &&
	    add_room(pins, cursor->index + cursor->delta))
		return -ENOMEM;
	cursor->room = get_span(pins, i);
	cursor->end = cursor->room + min(pins->max_spans - i,
					 MEMFD_SPANS_PER_CHUNK -
					 i % MEMFD_SPANS_PER_CHUNK);
	/* The chunk may have moved. */
	if (i % MEMFD_SPANS_PER_CHUNK)
		cursor->span = cursor->room - 1;
	return 0;
}

static void free_chunks(struct memfd_pins *pins)
{
	unsigned long i;

	for (i = 0; i < pins->max_chunks; i++) {
		kfree(pins->chunks[i]);
		cond_resched();
	}
	kvfree(pins->chunks);
}

/* Unpin the spans from number @mark on, and forget them. */
static void unpin_spans(struct memfd_pins *pins, unsigned long mark, bool dirty)
{
	const struct memfd_span *spans;
	unsigned long i, nr;

	for (i = mark; i < pins->nr_spans; i += nr) {
		spans = memfd_pins_spans(pins, i, &nr);
		unpin_fast(spans, nr, dirty);
	}
	pins->nr_spans = mark;
}

/**
 * memfd_pins_charge() - charge a user for a buffer that is going to be pinned
 * @pins: the buffer, empty
 * @driver: who makes it: a constant, see pin_charge()
 * @nr_pages: pages that the buffer is going to have at most
 *
 * Context: may sleep and allocate.
 *
 * Return: 0, or an error with nothing charged: -EINVAL if @nr_pages is 0 or more
 * than U32_MAX, or those of pin_charge().
 */
int memfd_pins_charge(struct memfd_pins *pins, const char *driver,
		      unsigned long nr_pages)
{
	if (!nr_pages || nr_pages > U32_MAX)
		return -EINVAL;
	return pin_charge(&pins->charge, driver, nr_pages);
}
EXPORT_SYMBOL_GPL(memfd_pins_charge);

/**
 * memfd_pin_range() - append a pinned range of a memfd to a buffer
 * @pins: the buffer, charged by memfd_pins_charge(), unless MEMFD_PIN_UNCHARGED
 * @memfd: a file on shmem or hugetlbfs
 * @start: byte offset of the start of the range in the file
 * @end: byte offset of its last byte, which may lie behind that of the file, in the same
 *	page, as in a mapping
 * @flags: MEMFD_PIN_NONBLOCK, MEMFD_PIN_UNCHARGED
 *
 * Pins every folio behind the pages that the range touches, once and
 * long-term (FOLL_PIN, out of ZONE_MOVABLE and CMA), and appends the pages to
 * the buffer. Where the range begins inside a large folio, so does the first
 * span. Holes are filled as an access through a mapping would fill them, that of the
 * caller if there is one: then userfaultfd is waited for, and advice and policy
 * hold. The contents are valid when this returns and stay connected with the
 * file until the range is truncated or punched out. To prevent that, or to hold off
 * later seals, is the caller's part: mapping_map_writable() keeps F_SEAL_WRITE off
 * until there are pins, which do it then. So is to keep a mount of hugetlbfs with a size
 * or a reservation in place: the last of its pages is counted there, and the kernel
 * does not wait for it.
 *
 * It waits, until a fatal signal, for a folio's lock; for userfaultfd; to fill a hole
 * of hugetlbfs or to migrate a huge page of it for the inode lock; and not for the inode
 * lock of shmem, which any of its users can keep. What is swapped out is read, and what
 * is in movable memory is migrated, by functions of the kernel that no signal ends. They
 * wait for devices, and for locks that others took since we looked.
 * MEMFD_PIN_NONBLOCK has -EAGAIN for all of that; memory for holes is allocated all the
 * same, which may take reclaim.
 *
 * Context: may sleep and allocate. Takes the inode lock, folio locks and what
 * migration takes, and mmap_lock, so the caller holds none of inode lock, mmap_lock and
 * dma_resv. Sees fatal signals after at most 128 folios.
 *
 * Return: 0, or an error, with the same pages in the buffer as before; it is
 * to be released in both cases:
 *
 * * -EINVAL: @memfd is not on shmem or hugetlbfs, the range is empty, negative
 *   or ends past the page of the file's last byte, or the buffer would have more
 *   pages than are charged, or than U32_MAX
 * * -ENOMEM: no memory, no huge page, a folio could not be migrated out of
 *   movable memory (eleven tries, with pauses of 55 timer ticks in all), or it is
 *   pinned too many times
 * * -ENOSPC: the tmpfs is full; of a mount of hugetlbfs it is -ENOMEM
 * * -EIO: memory failure in a folio of the range, or swap could not be read
 * * -EACCES: only before 6.11: a folio has to be migrated, and @memfd is not open
 *   for reading
 * * -EFAULT: userfaultfd has no page for a hole of the caller's mapping, or none for
 *   the kernel
 * * -EAGAIN: the file was changed under the range too often, or MEMFD_PIN_NONBLOCK
 *   and it would have to wait
 * * -EINTR: fatal signal
 * * -ERESTARTSYS: signal while a huge page was to be allocated
 */
int memfd_pin_range(struct memfd_pins *pins, struct file *memfd,
		    loff_t start, loff_t end, unsigned int flags)
{
	unsigned long mark = pins->nr_spans;
	struct pin_cursor cursor = {
		.index = start >> PAGE_SHIFT,
		.last = end >> PAGE_SHIFT,
		.nonblock = flags & MEMFD_PIN_NONBLOCK,
	};
	struct memfd_span *room;
	unsigned long max_pages;
	struct inode *inode;
	int err = 0;

	if (!memfd || !is_memfd(memfd))
		return -EINVAL;
	inode = file_inode(memfd);
	if (start < 0 || start > end ||
	    round_down(end, PAGE_SIZE) >= i_size_read(inode))
		return -EINVAL;
	max_pages = flags & MEMFD_PIN_UNCHARGED ? U32_MAX : pins->charge.nr_pages;
	if (cursor.last - cursor.index >= max_pages - pins->nr_pages)
		return -EINVAL;

	cursor.delta = pins->nr_pages - cursor.index;
	while (!err && cursor.index <= cursor.last) {
		err = find_room(pins, &cursor);
		if (err)
			break;
		room = cursor.room;
		err = pin_batch(memfd, &cursor);
		pins->nr_spans += cursor.room - room;
	}
	trace_memfd_pin(inode, start >> PAGE_SHIFT, cursor.last,
			cursor.nr_folios, err);
	if (err) {
		unpin_spans(pins, mark, false);
		return err;
	}
	if (!mark) {
		pins->dev = inode->i_sb->s_dev;
		pins->ino = inode->i_ino;
	}
	pins->nr_pages += cursor.last - (start >> PAGE_SHIFT) + 1;
	pin_charge_folios(&pins->charge, cursor.nr_folios);
	return 0;
}
EXPORT_SYMBOL_GPL(memfd_pin_range);

/**
 * memfd_pins_add_pages() - append pages that the caller has pinned
 * @pins: the buffer, zero initialised, with pages of this function only
 * @pages: the pages, in their order in the buffer
 * @nr: how many
 *
 * It is only the list of pages that the buffer is used for: nothing is charged, and the
 * caller unpins them, before memfd_pins_forget().
 *
 * Context: may sleep and allocate.
 *
 * Return: how many were appended. If there is no memory they are fewer than @nr.
 */
unsigned int memfd_pins_add_pages(struct memfd_pins *pins, struct page **pages,
				  unsigned int nr)
{
	unsigned long max = min_t(unsigned long, nr, U32_MAX - pins->nr_pages);
	struct memfd_span *last = NULL;
	unsigned int i, run, end;
	unsigned long pfn, next;

	if (pins->nr_spans)
		last = get_span(pins, pins->nr_spans - 1);
	for (i = 0; i < max; i = end, pins->nr_pages += run) {
		pfn = page_to_pfn(pages[i]);
		next = pfn + 1;
		end = i + 1;
		while (end < max && page_to_pfn(pages[end]) == next) {
			end++;
			next++;
		}
		run = end - i;
		if (last && pfn == last->pfn + last->nr) {
			last->nr += run;
			continue;
		}
		if (pins->nr_spans == pins->max_spans &&
		    add_room(pins, pins->nr_pages))
			break;
		last = get_span(pins, pins->nr_spans++);
		last->pfn = pfn;
		last->index = pins->nr_pages;
		last->nr = run;
	}
	return i;
}
EXPORT_SYMBOL_GPL(memfd_pins_add_pages);

/**
 * memfd_pins_forget() - free a buffer whose pages are not pinned any more
 * @pins: the buffer; it is empty afterwards. Nothing is charged for it
 *
 * Context: may sleep.
 */
void memfd_pins_forget(struct memfd_pins *pins)
{
	if (pins->chunks)
		free_chunks(pins);
	memset(pins, 0, sizeof(*pins));
}
EXPORT_SYMBOL_GPL(memfd_pins_forget);

/**
 * memfd_pins_release() - unpin all of a buffer, and give back its charge
 * @pins: the buffer; it is empty afterwards
 * @dirty: whether anybody may have written to it; without the mark, reclaim
 *	drops what was written
 *
 * Context: may sleep.
 */
void memfd_pins_release(struct memfd_pins *pins, bool dirty)
{
	if (pins->nr_pages)
		trace_memfd_unpin(pins->dev, pins->ino, pins->nr_pages,
				  pins->charge.nr_folios, dirty);
	unpin_spans(pins, 0, dirty);
	pin_uncharge(&pins->charge);
	memfd_pins_forget(pins);
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
#ifdef PINFOLD_VERSION
MODULE_VERSION(PINFOLD_VERSION);
#endif
MODULE_LICENSE("GPL");
