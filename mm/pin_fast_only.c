// SPDX-License-Identifier: GPL-2.0
/*
 * pin_user_pages_fast_only(), made of get_user_pages_fast_only(), which takes
 * references only.
 */
#include <linux/debugfs.h>
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/pin_fast_only.h>
#include <linux/sched/coredump.h>
#include <linux/sched.h>
#include <linux/seqlock.h>
#include <linux/vmstat.h>

#include "pin_count.h"

/* Pages that are looked up twice in one go: stack space. */
#define FAST_ONLY_BATCH	32
#define WATCHED_BATCH	512	/* which need no room on the stack */

/* What get_user_pages_fast_only() can honour, and warns of where it cannot. */
#define FAST_ONLY_FLAGS	(FOLL_WRITE | FOLL_FORCE | FOLL_NOFAULT)

u32 pin_fast_only_interval;
/* For tests */
EXPORT_SYMBOL_GPL(pin_fast_only_interval);
static atomic_t fail_calls, fail_failed;

/**
 * pin_fast_only_debugfs() - make the switch that lets calls fail
 * @parent: folder in debugfs; what is made goes with it
 *
 * Makes the folder fail_fast_only: as long as "interval" is n and not 0, every
 * n-th call of pin_user_pages_fast_only() pins nothing, so that the callers' way
 * out is used. "calls" and "failed" count meanwhile.
 *
 * Context: may sleep.
 */
void pin_fast_only_debugfs(struct dentry *parent)
{
	struct dentry *dir = debugfs_create_dir("fail_fast_only", parent);

	debugfs_create_u32("interval", 0600, dir, &pin_fast_only_interval);
	debugfs_create_atomic_t("calls", 0600, dir, &fail_calls);
	debugfs_create_atomic_t("failed", 0600, dir, &fail_failed);
}

static bool fail_this_call(void)
{
	u32 interval = READ_ONCE(pin_fast_only_interval);

	if (!interval || (u32)atomic_inc_return(&fail_calls) % interval)
		return false;
	atomic_inc(&fail_failed);
	return true;
}

static noinline int large_run_length(struct folio *folio, struct page **pages, int nr)
{
	struct page **page = pages, **end, *next = pages[0];
	unsigned long left;

	left = folio_nr_pages(folio) - folio_page_idx(folio, next);
	end = pages + min_t(unsigned long, nr, left);
	do {
		page++;
		next++;
	} while (page < end && *page == next);
	return page - pages;
}

/*
 * How many of @pages, from the first one on, lie side by side in its folio: what is done
 * to a folio is done once for them.
 */
static inline int run_length(struct folio *folio, struct page **pages, int nr)
{
	return folio_test_large(folio) ? large_run_length(folio, pages, nr) : 1;
}

/* Make pins of references. The zero page is not counted, nor is its pin. */
static void refs_to_pins(struct page **pages, int nr)
{
	struct pin_counter counter = { .item = NR_FOLL_PIN_ACQUIRED };
	struct folio *folio;
	int i, n;

	for (i = 0; i < nr; i += n) {
		folio = held_folio(pages[i]);
		n = run_length(folio, pages + i, nr - i);
		if (is_zero_page(pages[i])) {
			folio_put_refs(folio, n);
			continue;
		}
		folio_refs_to_pins(folio, n);
		count_pins(&counter, folio, n);
	}
	flush_pins(&counter);
}

/*
 * By folio: unpin_user_pages() of a debug kernel insists on pages that the process has
 * for itself, and those that it has not are what is let go here.
 */
static void undo_pins(struct page **pages, int nr)
{
	struct folio *folio;
	int i, n;

	for (i = 0; i < nr; i += n) {
		folio = held_folio(pages[i]);
		n = run_length(folio, pages + i, nr - i);
		unpin_user_folio(folio, n);
	}
}

/*
 * How many of the pages of a folio, from the first one on, are not going to be replaced.
 * An anonymous page that others have too is, when one of them writes. That it is not
 * shared is said by the page itself, or, where one PMD maps all of a folio, only by the
 * folio's first page.
 */
static int that_stay(struct folio *folio, struct page **pages, int nr)
{
	int n = 0;

	if (!folio_test_anon(folio))
		return nr;
	if (folio_test_large(folio) && folio_entire_mapcount(folio) &&
	    PageAnonExclusive(&folio->page))
		return nr;
	while (n < nr && PageAnonExclusive(pages[n]))
		n++;
	return n;
}

/* How many pinned pages, from the first one on, are not going to be replaced. */
static int find_replaced(struct page **pages, int nr)
{
	struct folio *folio;
	int i, n, stay;

	for (i = 0; i < nr; i += n) {
		folio = held_folio(pages[i]);
		n = run_length(folio, pages + i, nr - i);
		stay = too_many_pins(folio) ? 0 : that_stay(folio, pages + i, n);
		if (stay < n)
			return i + stay;
	}
	return nr;
}

/* How many pinned pages, from the first one on, the process still has there. */
static int look_again(unsigned long start, int nr, unsigned int gup_flags,
		      struct page **pages)
{
	struct page *again[FAST_ONLY_BATCH];
	int got, same = 0;

	got = get_user_pages_fast_only(start, nr, gup_flags, again);
	if (got <= 0)
		return 0;
	while (same < got && pages[same] == again[same])
		same++;
	release_pages(again, got);
	return same;
}

/*
 * References do not keep fork() and reclaim from sharing a page, or from taking
 * it away; pins do, from the moment on at which they can be seen. So the page
 * tables are read again after that, and what changed in between is let go; unless
 * somebody else is told of what changes.
 */
static int pin_some(unsigned long start, int nr, unsigned int gup_flags,
		    struct page **pages, bool watched)
{
	struct mm_struct *mm = current->mm;
	unsigned int seq;
	int good;

	/* Without this, fork() does not even look for pins. */
	if (!mm_flags_test(MMF_HAS_PINNED, mm))
		mm_flags_set(MMF_HAS_PINNED, mm);

	/* Fork write-protects without a TLB flush that would tell of it. */
	seq = raw_read_seqcount(&mm->write_protect_seq);
	if (seq & 1)
		return 0;

	nr = get_user_pages_fast_only(start, nr, gup_flags, pages);
	if (nr <= 0)
		return 0;
	refs_to_pins(pages, nr);
	/* The pins before the second look; pairs with whoever clears an entry. */
	smp_mb();

	good = watched ? nr : look_again(start, nr, gup_flags, pages);
	good = find_replaced(pages, good);
	if (read_seqcount_retry(&mm->write_protect_seq, seq))
		good = 0;

	undo_pins(pages + good, nr - good);
	return good;
}

static int pin_all(unsigned long start, int nr_pages, unsigned int gup_flags,
		   struct page **pages, bool watched)
{
	int done = 0, some, nr;

	if (gup_flags & ~FAST_ONLY_FLAGS || !current->mm || fail_this_call())
		return 0;

	while (done < nr_pages) {
		nr = min(nr_pages - done, watched ? WATCHED_BATCH : FAST_ONLY_BATCH);
		some = pin_some(start + (unsigned long)done * PAGE_SIZE, nr,
				gup_flags, pages + done, watched);
		done += some;
		if (some < nr)
			break;
	}
	return done;
}

/**
 * pin_user_pages_fast_only() - pin user pages without sleeping
 * @start: user address of the first page
 * @nr_pages: number of pages
 * @gup_flags: FOLL_WRITE, FOLL_FORCE, FOLL_NOFAULT, or 0
 * @pages: where to put them
 *
 * Pins (FOLL_PIN) those pages that are there and may be accessed as they are,
 * from the first one on. Where the page tables do not say so at once it stops,
 * and the caller has to go on with pin_user_pages(), which may sleep. An
 * anonymous page is only pinned if this process has it for itself, which it has
 * not after fork(), also for reading. Where the zero page is returned, it is not
 * counted; unpin_user_pages() knows. FOLL_GET and FOLL_LONGTERM are refused: these
 * are pins, and nothing is migrated here.
 *
 * Context: any in which the task's mm is its own, IRQs enabled or not.
 *
 * Return: number of pages pinned, 0 if none could be; never negative.
 */
int pin_user_pages_fast_only(unsigned long start, int nr_pages,
			     unsigned int gup_flags, struct page **pages)
{
	return pin_all(start, nr_pages, gup_flags, pages, false);
}
EXPORT_SYMBOL_GPL(pin_user_pages_fast_only);

/**
 * pin_user_pages_fast_watched() - the same for who has an MMU notifier on the range
 * @start: user address of the first page
 * @nr_pages: number of pages
 * @gup_flags: as pin_user_pages_fast_only()
 * @pages: where to put them
 *
 * For less than pin_user_pages_fast_only(), pins pages that the process had at some moment
 * of the call. It may not have them any more: the notifier has been told of that, so the
 * caller has read its sequence before (mmu_interval_read_begin()), and lets the pages go if
 * it has changed afterwards (mmu_interval_read_retry()): with unpin_user_folio() or
 * unpin_user_page_range_dirty_lock(), since unpin_user_pages() of a debug kernel insists on
 * pages that the process has for itself still.
 *
 * Context: as pin_user_pages_fast_only().
 *
 * Return: as pin_user_pages_fast_only().
 */
int pin_user_pages_fast_watched(unsigned long start, int nr_pages,
				unsigned int gup_flags, struct page **pages)
{
	return pin_all(start, nr_pages, gup_flags, pages, true);
}
EXPORT_SYMBOL_GPL(pin_user_pages_fast_watched);
