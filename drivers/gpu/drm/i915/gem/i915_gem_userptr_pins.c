// SPDX-License-Identifier: MIT
/*
 * Pinned user memory: pages that are pinned one by one, and how all are released.
 */
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/pin_fast_only.h>
#include <linux/pin_mount.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/swap.h>

#include "i915_gem_userptr.h"

static void finish_release(struct work_struct *work);

/* Pages that are pinned between two looks at the signals. */
#define USERPTR_BATCH	128

/* Between two looks at whether a folio is locked yet */
#define USERPTR_RETRY_MS	20

/**
 * userptr_pins_alloc() - make an empty list of pinned pages
 * @wq: where a release that must not wait may leave the rest of its work
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

/*
 * Only the folio lock keeps the file of a folio in place while that is told what
 * has become dirty.
 */
static bool make_dirty(struct folio *folio)
{
	if (folio_test_dirty(folio))
		return true;
	if (!folio_trylock(folio))
		return false;
	folio_mark_dirty(folio);
	folio_unlock(folio);
	return true;
}

/*
 * Unpin what is pinned page by page, up to the first folio that would have to be waited
 * for. Returns whether there is none.
 */
static bool unpin_pages(struct userptr_pins *pins, bool dirty)
{
	const struct memfd_span *span;
	struct folio *folio;
	struct page *page;
	u32 nr;

	while (pins->span < pins->pages.nr_spans) {
		span = memfd_pins_span(&pins->pages, pins->span);
		page = pfn_to_page(span->pfn + pins->page);
		folio = page_folio(page);
		nr = min_t(unsigned long, span->nr - pins->page,
			   folio_nr_pages(folio) - folio_page_idx(folio, page));
		if (dirty && !make_dirty(folio))
			return false;
		/* Those of hugetlbfs do not age. */
		if (!folio_test_hugetlb(folio))
			folio_mark_accessed(folio);
		unpin_user_folio(folio, nr);
		pins->page += nr;
		if (pins->page == span->nr) {
			pins->span++;
			pins->page = 0;
		}
		cond_resched();
	}
	memfd_pins_forget(&pins->pages);
	return true;
}

/* Of a memfd, folios are marked without a lock. */
static bool unpin(struct userptr_pins *pins, bool dirty)
{
	if (!pins->by_folio)
		return unpin_pages(pins, dirty);
	memfd_pins_release(&pins->pages, dirty);
	pin_mounts_release(&pins->mounts);
	return true;
}

/*
 * All that userptr_pins_free() has left over is dirty. A filesystem in user space can
 * keep a folio locked for as long as it likes: the queue is not to wait for it, which has
 * other work to do.
 */
static void finish_release(struct work_struct *work)
{
	struct userptr_pins *pins = container_of(work, struct userptr_pins, work);

	if (unpin(pins, true)) {
		kfree(pins);
		return;
	}
	msleep(USERPTR_RETRY_MS);
	queue_work(pins->wq, &pins->work);
}

/**
 * userptr_pins_free() - unpin all pages and free the list, soon
 * @pins: the list
 * @dirty: whether anybody may have written to the pages through the pins
 *
 * Whoever holds the lock of a folio may be waiting for the caller, so what is
 * locked and has to be dirtied stays pinned, and is left to the workqueue, which
 * has to be flushed or destroyed before the module is unloaded.
 *
 * Context: may sleep, but waits for no folio lock and does not allocate.
 */
void userptr_pins_free(struct userptr_pins *pins, bool dirty)
{
	if (unpin(pins, dirty))
		kfree(pins);
	else
		queue_work(pins->wq, &pins->work);
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
	unsigned long addr, done;
	unsigned int added;
	int nr, err;

	pins = userptr_pins_alloc(wq, false);
	if (!pins)
		return ERR_PTR(-ENOMEM);

	for (done = 0; done < nr_pages; done += nr) {
		if (fatal_signal_pending(current)) {
			err = -EINTR;
			goto err_free;
		}
		nr = min_t(u32, nr_pages - done, USERPTR_BATCH);
		addr = start + (done << PAGE_SHIFT);
		err = pin_user_pages_fast_watched(addr, nr, gup_flags, pages);
		if (!err)
			err = pin_user_pages_fast(addr, nr, gup_flags, pages);
		if (err <= 0) {
			err = err ?: -EFAULT;
			goto err_free;
		}
		nr = err;
		added = memfd_pins_add_pages(&pins->pages, pages, nr);
		if (added < nr) {
			/* They may not be the process's any more. */
			for (; added < nr; added++)
				unpin_user_folio(page_folio(pages[added]), 1);
			err = -ENOMEM;
			goto err_free;
		}
		cond_resched();
	}
	return pins;

err_free:
	userptr_pins_free(pins, false);
	return ERR_PTR(err);
}
