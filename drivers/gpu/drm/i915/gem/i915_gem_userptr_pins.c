// SPDX-License-Identifier: MIT
/*
 * Pinned user memory as a list of runs: how it grows, is handed to a device, and
 * is released.
 */
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/pin_fast_only.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/swap.h>

#include "i915_gem_userptr.h"

static void finish_release(struct work_struct *work);

/**
 * userptr_pins_alloc() - make an empty list of pinned pages
 * @wq: where a release that must not wait may leave the rest of its work, or NULL
 * @by_folio: whether the pages will be pinned once per folio
 *
 * Context: may sleep.
 *
 * Return: the list, or NULL if there is no memory.
 */
struct userptr_pins *userptr_pins_alloc(struct workqueue_struct *wq,
					bool by_folio)
{
	struct userptr_pins *pins;

	pins = kzalloc(sizeof(*pins), GFP_KERNEL_ACCOUNT);
	if (!pins)
		return NULL;
	pins->by_folio = by_folio;
	pins->wq = wq;
	/* The release cannot allocate: it may be memory reclaim that asks for it. */
	INIT_WORK(&pins->work, finish_release);
	return pins;
}

/**
 * userptr_pins_reserve() - make room for more runs
 * @pins: the list
 * @nr: how many runs are going to be added at most
 *
 * Comes before the pages are pinned, so that nothing can fail after it.
 *
 * Context: may sleep.
 *
 * Return: 0 or -ENOMEM.
 */
int userptr_pins_reserve(struct userptr_pins *pins, u32 nr)
{
	struct userptr_run *runs;
	u32 max;

	if (pins->max_runs - pins->nr_runs >= nr)
		return 0;
	max = max(2 * pins->nr_runs, pins->nr_runs + nr);
	runs = kvrealloc(pins->runs, array_size(max, sizeof(*runs)),
			 GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!runs)
		return -ENOMEM;
	pins->runs = runs;
	pins->max_runs = max;
	return 0;
}

/**
 * userptr_pins_add() - append pinned pages
 * @pins: the list, with room made by userptr_pins_reserve()
 * @pfn: frame number of the first page
 * @nr: number of contiguous pages
 *
 * Where the pages follow the last run's, they become part of it. In a list that
 * is pinned by folio a folio is appended once, with all its pages.
 */
void userptr_pins_add(struct userptr_pins *pins, unsigned long pfn, u32 nr)
{
	struct userptr_run *last = pins->runs + pins->nr_runs - 1;

	if (pins->nr_runs && pfn == last->pfn + last->nr)
		last->nr += nr;
	else
		pins->runs[pins->nr_runs++] = (struct userptr_run) {
			.pfn = pfn, .index = pins->nr_pages, .nr = nr,
		};
	pins->nr_pages += nr;
}

/**
 * userptr_pins_pfn() - find a page
 * @pins: the list
 * @index: page index in the object, below @pins->nr_pages
 *
 * Context: any.
 *
 * Return: the page's frame number.
 */
unsigned long userptr_pins_pfn(const struct userptr_pins *pins, u32 index)
{
	u32 low = 0, high = pins->nr_runs - 1, mid;

	while (low < high) {
		mid = high - (high - low) / 2;
		if (pins->runs[mid].index <= index)
			low = mid;
		else
			high = mid - 1;
	}
	return pins->runs[low].pfn + (index - pins->runs[low].index);
}

/*
 * Walk through the segments of all runs, none of which has more than @max pages
 * or crosses a multiple of @boundary frames, and fill them into the list @sg, if
 * there is one. Returns their number.
 */
static unsigned int walk_segments(const struct userptr_pins *pins,
				  unsigned long max, unsigned long boundary,
				  struct scatterlist *sg)
{
	unsigned long pfn, end, nr;
	unsigned int segments = 0;
	u32 i;

	for (i = 0; i < pins->nr_runs; i++) {
		pfn = pins->runs[i].pfn;
		end = pfn + pins->runs[i].nr;
		for (; pfn < end; pfn += nr, segments++) {
			nr = min3(end - pfn, max,
				  boundary - (pfn & (boundary - 1)));
			if (sg) {
				sg_set_page(sg, pfn_to_page(pfn),
					    nr << PAGE_SHIFT, 0);
				sg = sg_next(sg);
			}
			cond_resched();
		}
	}
	return segments;
}

/**
 * userptr_pins_sgt() - make a scatterlist of all pages
 * @pins: the list, not empty
 * @dev: the device that the scatterlist is for
 * @max_segment: bytes that an entry has at most, at least a page
 *
 * There is one entry per run, unless the limits of the device ask for more.
 *
 * Context: may sleep.
 *
 * Return: the table, not mapped yet, for sg_free_table() and kfree(), or
 * ERR_PTR(-ENOMEM).
 */
struct sg_table *userptr_pins_sgt(const struct userptr_pins *pins,
				  struct device *dev, size_t max_segment)
{
	unsigned long boundary = dma_get_seg_boundary_nr_pages(dev, PAGE_SHIFT);
	unsigned long max = max_segment >> PAGE_SHIFT;
	struct sg_table *sgt;

	sgt = kmalloc(sizeof(*sgt), GFP_KERNEL);
	if (!sgt)
		return ERR_PTR(-ENOMEM);
	if (sg_alloc_table(sgt, walk_segments(pins, max, boundary, NULL),
			   GFP_KERNEL)) {
		kfree(sgt);
		return ERR_PTR(-ENOMEM);
	}
	walk_segments(pins, max, boundary, sgt->sgl);
	return sgt;
}

/*
 * Only the folio lock keeps the file of a folio in place while that is told what
 * has become dirty.
 */
static bool make_dirty(struct folio *folio, bool may_wait)
{
	if (folio_test_dirty(folio))
		return true;
	if (may_wait)
		folio_lock(folio);
	else if (!folio_trylock(folio))
		return false;
	folio_mark_dirty(folio);
	folio_unlock(folio);
	return true;
}

/*
 * Unpin the pages of a run, or those before the first folio that would have to
 * be waited for; the run keeps the others. Returns whether there are none.
 */
static bool unpin_run(struct userptr_pins *pins, struct userptr_run *run,
		      bool dirty, bool may_wait)
{
	struct folio *folio;
	struct page *page;
	u32 nr;

	while (run->nr) {
		page = pfn_to_page(run->pfn);
		folio = page_folio(page);
		nr = min_t(unsigned long, run->nr,
			   folio_nr_pages(folio) - folio_page_idx(folio, page));
		if (dirty && !make_dirty(folio, may_wait))
			return false;
		/* Those of hugetlbfs do not age. */
		if (!folio_test_hugetlb(folio))
			folio_mark_accessed(folio);
		unpin_user_folio(folio, pins->by_folio ? 1 : nr);
		run->pfn += nr;
		run->nr -= nr;
		cond_resched();
	}
	return true;
}

static void free_list(struct userptr_pins *pins)
{
	kvfree(pins->runs);
	kfree(pins);
}

/* All that userptr_pins_free_nowait() has left over is dirty. */
static void finish_release(struct work_struct *work)
{
	userptr_pins_free(container_of(work, struct userptr_pins, work), true);
}

/**
 * userptr_pins_free() - unpin all pages and free the list
 * @pins: the list
 * @dirty: whether anybody may have written to the pages through the pins
 *
 * Context: may sleep; takes folio locks if @dirty.
 */
void userptr_pins_free(struct userptr_pins *pins, bool dirty)
{
	u32 i;

	for (i = 0; i < pins->nr_runs; i++)
		unpin_run(pins, &pins->runs[i], dirty, true);
	free_list(pins);
}

/**
 * userptr_pins_free_nowait() - unpin all pages and free the list, soon
 * @pins: the list, made with a workqueue
 * @dirty: whether anybody may have written to the pages through the pins
 *
 * Whoever holds the lock of a folio may be waiting for the caller, so what is
 * locked and has to be dirtied stays pinned, and is left to the workqueue, which
 * has to be flushed or destroyed before the module is unloaded.
 *
 * Context: may sleep, but waits for no folio lock and does not allocate.
 */
void userptr_pins_free_nowait(struct userptr_pins *pins, bool dirty)
{
	u32 i, left = 0;

	for (i = 0; i < pins->nr_runs; i++)
		if (!unpin_run(pins, &pins->runs[i], dirty, false))
			pins->runs[left++] = pins->runs[i];
	pins->nr_runs = left;
	if (left)
		queue_work(pins->wq, &pins->work);
	else
		free_list(pins);
}

/**
 * userptr_pin_user() - pin a range of the process's memory
 * @wq: for a later release that must not wait
 * @start: user address of the first page
 * @nr_pages: number of pages
 * @gup_flags: FOLL_WRITE or 0
 *
 * What the page tables tell at once is pinned without sleeping, and only the
 * rest may wait for page faults. The pins are not long-term ones: an MMU notifier
 * has to tell when the pages are not the process's any more.
 *
 * Context: may sleep and takes mmap_lock; of the process, see current->mm.
 *
 * Return: the pages, or an ERR_PTR: -EFAULT for what cannot be accessed like
 * this, -ENOMEM, -EINTR for a fatal signal, or others of pin_user_pages_fast().
 */
struct userptr_pins *userptr_pin_user(struct workqueue_struct *wq,
				      unsigned long start, u32 nr_pages,
				      unsigned int gup_flags)
{
	struct page *pages[USERPTR_BATCH];
	struct userptr_pins *pins;
	unsigned long addr;
	int i, nr, err;

	pins = userptr_pins_alloc(wq, false);
	if (!pins)
		return ERR_PTR(-ENOMEM);

	while (pins->nr_pages < nr_pages) {
		nr = min_t(u32, nr_pages - pins->nr_pages, USERPTR_BATCH);
		addr = start + ((unsigned long)pins->nr_pages << PAGE_SHIFT);

		err = fatal_signal_pending(current) ? -EINTR :
						      userptr_pins_reserve(pins, nr);
		if (err)
			goto err_free;

		i = pin_user_pages_fast_only(addr, nr, gup_flags, pages);
		if (!i)
			i = pin_user_pages_fast(addr, nr, gup_flags, pages);
		if (i <= 0) {
			err = i ?: -EFAULT;
			goto err_free;
		}
		nr = i;
		for (i = 0; i < nr; i++)
			userptr_pins_add(pins, page_to_pfn(pages[i]), 1);
		cond_resched();
	}
	return pins;

err_free:
	userptr_pins_free(pins, false);
	return ERR_PTR(err);
}
