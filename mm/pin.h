/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of memfd_pin.ko share.
 */
#ifndef _MEMFD_PIN_INTERNAL_H
#define _MEMFD_PIN_INTERNAL_H

#include <linux/hugetlb.h>
#include <linux/memfd_pin.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/shmem_fs.h>
#include <linux/types.h>

#include "pin_block.h"

/*
 * Of what kernels before the newest had another idea, include/compat/ says so.
 * The index of a page, in bits to be shifted by for a look into the page cache.
 */
#ifndef cache_index_shift
#define cache_index_shift(mapping)	((void)(mapping), 0U)
#endif

/* Pins what is there, and out of movable memory. */
#ifndef pin_present_folios
#define pin_present_folios	memfd_pin_folios
#endif

/*
 * Folios that are pinned in one go: what a caller may have to wait for between
 * two looks at its signals. Where they have to be brought in or migrated, it is
 * fewer, also because those are kept on the stack.
 */
#define PIN_BATCH	128
#define PIN_SLOW_BATCH	32

/*
 * The part of a file that is still to be pinned, and where its spans go. Indices
 * are those of pages, in the file.
 */
struct pin_cursor {
	pgoff_t index;			/* what to pin next */
	pgoff_t last;
	bool nonblock;			/* -EAGAIN rather than to wait for others */
	pgoff_t untouched;		/* up to here there is no address to touch */
	unsigned long delta_touch;	/* see mm/pin_touch.c, if */
	bool touched;			/* a mapping has been found */
	bool user_faults;		/* userfaultfd looks after a mapping */
	unsigned long delta;		/* what makes it an index in the buffer */
	unsigned long nr_folios;	/* pinned so far */
	struct memfd_span *span;	/* the last span, and the frame that */
	unsigned long next_pfn;		/* follows on it; 0 if there is none */
	struct memfd_span *room, *end;	/* for further spans */
};

/*
 * Add a pinned folio, the part that the range has of it: @offset is that of the
 * cursor in the folio, which has @nr pages. Fails if a span is needed for it and
 * there is no room.
 */
static inline bool add_folio_span(struct pin_cursor *cursor,
				  struct folio *folio, unsigned long offset,
				  unsigned long nr)
{
	unsigned long pfn = folio_pfn(folio) + offset;

	nr = min(nr - offset, cursor->last - cursor->index + 1);
	if (pfn == cursor->next_pfn) {
		cursor->span->nr += nr;
	} else {
		if (cursor->room == cursor->end)
			return false;
		cursor->span = cursor->room++;
		cursor->span->pfn = pfn;
		cursor->span->index = cursor->index + cursor->delta;
		cursor->span->nr = nr;
	}
	cursor->index += nr;
	cursor->next_pfn = pfn + nr;
	return true;
}

/*
 * Lock a folio that others may keep locked. Returns 0, -EINTR, or -EAGAIN. Up to
 * 6.12.117, and in 7.3, who is killed in folio_lock_killable() can take the wake-up with
 * him that the next one waits for.
 */
static inline int pin_lock_folio(struct folio *folio,
				 const struct pin_cursor *cursor)
{
	while (!folio_trylock(folio)) {
		if (cursor->nonblock)
			return -EAGAIN;
		if (folio_wait_locked_killable(folio))
			return -EINTR;
	}
	return 0;
}

bool pin_fast(struct address_space *mapping, struct pin_cursor *cursor);
void unpin_fast(const struct memfd_span *spans, unsigned long nr, bool dirty);
int pin_batch(struct file *memfd, struct pin_cursor *cursor);
int pin_populate(struct file *memfd, struct pin_cursor *cursor, pgoff_t *last);
int pin_touch(struct file *memfd, struct pin_cursor *cursor, pgoff_t index);

static inline bool is_memfd(const struct file *file)
{
	return shmem_file((struct file *)file) || is_file_hugepages(file);
}

/*
 * Memory that long-term pins must stay out of, and that pin_movable() would move. The
 * kernel's functions must find the same, or it would be pinned where it is.
 */
static inline bool may_be_movable(struct folio *folio)
{
	return folio_zonenum(folio) == ZONE_MOVABLE ||
	       folio_block_is_movable(folio);
}

#endif /* _MEMFD_PIN_INTERNAL_H */
