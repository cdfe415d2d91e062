/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Long-term pins on ranges of memfds, kept as spans of contiguous pages.
 */
#ifndef _LINUX_MEMFD_PIN_H
#define _LINUX_MEMFD_PIN_H

#include <linux/bits.h>
#include <linux/mm.h>
#include <linux/pin_account.h>
#include <linux/types.h>

struct device;
struct file;
struct sg_table;

/**
 * struct memfd_span - physically contiguous pages at consecutive indices
 * @pfn: frame number of the first page
 * @index: page index of the first page in the buffer
 * @nr: number of pages, at least 1
 *
 * A span covers a folio, a part of one, or several folios whose frames follow
 * each other. Each folio in it holds one pin for it.
 */
struct memfd_span {
	unsigned long pfn;
	u32 index;
	u32 nr;
};

#define MEMFD_SPANS_PER_CHUNK	(PAGE_SIZE / sizeof(struct memfd_span))

/**
 * struct memfd_pins - the pinned pages behind a buffer
 * @nr_pages: pages in the buffer
 * @nr_spans: spans in the buffer, in the order of their indices
 * @max_spans: spans that there is room for
 * @max_chunks: entries allocated in @chunks
 * @only: the first span, as long as there is no room for others
 * @chunks: arrays of MEMFD_SPANS_PER_CHUNK spans, the first one may be shorter
 * @charge: what is charged for the pages, at least @nr_pages; nothing for those that
 *	reclaim can have, or that the caller pins
 * @dev: device number of the first range's filesystem, and
 * @ino: number of its inode, for tracing
 *
 * A buffer is one or more file ranges, charged together by memfd_pins_charge()
 * and then put end to end by memfd_pin_range(). Zero initialised it is empty.
 * Adding and releasing need exclusive access;
 * between the two it does not change and may be read without a lock.
 */
struct memfd_pins {
	unsigned long nr_pages;
	unsigned long nr_spans;
	u32 max_spans;
	u32 max_chunks;
	struct memfd_span only;
	struct memfd_span **chunks;
	struct pin_charge charge;
	dev_t dev;
	unsigned long ino;
};

/**
 * held_folio() - the folio of a page
 * @page: a page with a pin, or another reference, of the caller's
 *
 * Context: any.
 *
 * Return: the folio, which stays that of the page until the caller lets go of it.
 */
static inline struct folio *held_folio(struct page *page)
{
	/*
	 * Reclaim keeps its list in the word that says whose tail this is, and writes to
	 * it plainly. What it writes never looks like a tail's.
	 */
	return data_race(page_folio(page));
}

/**
 * DOC: Flags of memfd_pin_range()
 *
 * MEMFD_PIN_NONBLOCK: fail with -EAGAIN rather than to wait for anybody.
 *
 * MEMFD_PIN_UNCHARGED: memory reclaim can have the pages, so nobody is charged for them.
 */
#define MEMFD_PIN_NONBLOCK	BIT(0)
#define MEMFD_PIN_UNCHARGED	BIT(1)

int memfd_pins_charge(struct memfd_pins *pins, const char *driver,
		      unsigned long nr_pages);
int memfd_pin_range(struct memfd_pins *pins, struct file *memfd,
		    loff_t start, loff_t end, unsigned int flags);
void memfd_pins_release(struct memfd_pins *pins, bool dirty);
unsigned long memfd_pins_find(const struct memfd_pins *pins,
			      unsigned long index);
int memfd_pin_get_seals(struct file *memfd);
unsigned int memfd_pins_add_pages(struct memfd_pins *pins, struct page **pages,
				  unsigned int nr);
void memfd_pins_forget(struct memfd_pins *pins);
struct sg_table *memfd_pins_sgt(const struct memfd_pins *pins, struct device *dev,
				size_t max_segment);
struct sg_table *memfd_pins_copy_sgt(const struct sg_table *sgt);
void memfd_pins_free_sgt(struct sg_table *sgt);

/**
 * memfd_pins_span() - a span by its number
 * @pins: the buffer
 * @i: number of the span, below @pins->nr_spans
 *
 * Return: the span; it stays where it is until a range is added.
 */
static inline const struct memfd_span *
memfd_pins_span(const struct memfd_pins *pins, unsigned long i)
{
	if (pins->max_spans <= 1)
		return &pins->only;
	return &pins->chunks[i / MEMFD_SPANS_PER_CHUNK]
			    [i % MEMFD_SPANS_PER_CHUNK];
}

/**
 * memfd_pins_spans() - spans of a buffer that lie side by side
 * @pins: the buffer
 * @i: number of the first one, below @pins->nr_spans
 * @nr: returns how many there are, MEMFD_SPANS_PER_CHUNK at most
 *
 * To walk all spans, some hundreds between two looks at signals:
 * for (i = 0; i < pins->nr_spans; i += nr) spans = memfd_pins_spans(pins, i, &nr);
 *
 * Return: the first one, as memfd_pins_span().
 */
static inline const struct memfd_span *
memfd_pins_spans(const struct memfd_pins *pins, unsigned long i,
		 unsigned long *nr)
{
	*nr = min(pins->nr_spans - i,
		  MEMFD_SPANS_PER_CHUNK - i % MEMFD_SPANS_PER_CHUNK);
	return memfd_pins_span(pins, i);
}

#endif /* _LINUX_MEMFD_PIN_H */
