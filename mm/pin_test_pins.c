// SPDX-License-Identifier: GPL-2.0
/*
 * The calls that pin_test.ko makes, each as a user of the function would make it,
 * and what they return.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pin_fast_only.h>
#include <linux/preempt.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "pin_test.h"

#define DRIVER	"pin_test"
#define FLAGS	(PIN_TEST_WRITE | PIN_TEST_LONGTERM | PIN_TEST_GET | \
		 PIN_TEST_NOTIFY)

/*
 * Asked for no page, the kernel's fast walk does not know where to end. Our
 * pin_user_pages_fast_only() does.
 */
#ifdef KERNEL_HAS_PIN_FAST_ONLY
#define FAST_ONLY_KNOWS_ZERO	false
#else
#define FAST_ONLY_KNOWS_ZERO	true
#endif

static bool is_memfd_call(const struct pin_test_range *range)
{
	return range->call == PIN_TEST_MEMFD ||
	       range->call == PIN_TEST_MEMFD_FOLIOS;
}

static bool may_be_no_pages(const struct pin_test_range *range)
{
	return range->call == PIN_TEST_FAST_ONLY && FAST_ONLY_KNOWS_ZERO;
}

static bool is_longterm(const struct pin_test_range *range)
{
	return range->call == PIN_TEST_MEMFD_FOLIOS ||
	       range->flags & PIN_TEST_LONGTERM;
}

static unsigned int gup_flags(const struct pin_test_range *range)
{
	return (range->flags & PIN_TEST_WRITE ? FOLL_WRITE : 0) |
	       (range->flags & PIN_TEST_LONGTERM ? FOLL_LONGTERM : 0) |
	       (range->flags & PIN_TEST_GET ? FOLL_GET : 0);
}

/* Byte offset in the memfd of the last byte; what is wrong stays wrong. */
static loff_t last_byte(const struct pin_test_range *range)
{
	return range->start + range->size - 1;
}

/* The pages that a range of bytes touches, or 1 if it makes no sense. */
static unsigned long pages_touched(const struct pin_test_range *range)
{
	loff_t last = last_byte(range);

	if ((loff_t)range->start < 0 || last < (loff_t)range->start)
		return 1;
	return (last >> PAGE_SHIFT) - (range->start >> PAGE_SHIFT) + 1;
}

static int get_remote_mm(struct test_pins *pins)
{
	struct pid *pid = find_get_pid(pins->range.fd);
	struct task_struct *task = get_pid_task(pid, PIDTYPE_PID);

	if (task) {
		pins->mm = get_task_mm(task);
		put_task_struct(task);
	}
	put_pid(pid);
	return pins->mm ? 0 : -ESRCH;
}

/**
 * test_pins_init() - get ready for a call
 * @pins: zeroed; to be given to test_pins_exit() also after an error
 * @range: what is going to be pinned
 *
 * Context: may sleep.
 *
 * Return: 0, -EINVAL, -EMSGSIZE if the call cannot be given that number of pages,
 * -ENOMEM, -ESRCH if there is no such process, or an error of pin_charge() or
 * test_pins_watch().
 */
int test_pins_init(struct test_pins *pins, const struct pin_test_range *range)
{
	s64 nr = div_s64(range->size, PAGE_SIZE);

	if (range->call > PIN_TEST_MEMFD_FOLIOS || range->reserved ||
	    range->flags & ~FLAGS)
		return -EINVAL;
	pins->range = *range;
	spin_lock_init(&pins->lock);

	if (is_memfd_call(range)) {
		pins->file = fget(range->fd);
		nr = pages_touched(range);
	} else if (nr != (int)nr || (nr <= 0 && !may_be_no_pages(range))) {
		return -EMSGSIZE;
	}
	if (range->call == PIN_TEST_REMOTE && get_remote_mm(pins))
		return -ESRCH;

	/* Even of a negative number, and of none, the call gets an array. */
	pins->nr_pages = max(nr, 1LL);
	if (range->call == PIN_TEST_MEMFD)
		return 0;
	if (is_longterm(range)) {
		int err = pin_charge(&pins->charge, DRIVER, pins->nr_pages);

		if (err)
			return err;
	}
	if (is_memfd_call(range))
		pins->folios = kvcalloc(pins->nr_pages, sizeof(*pins->folios),
					GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	else
		pins->pages = kvcalloc(pins->nr_pages, sizeof(*pins->pages),
				       GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!pins->folios && !pins->pages)
		return -ENOMEM;
	return range->flags & PIN_TEST_NOTIFY ? test_pins_watch(pins) : 0;
}

static long pin_memfd(struct test_pins *pins)
{
	int err = memfd_pins_charge(&pins->memfd_pins, DRIVER, pins->nr_pages);

	if (!err)
		err = memfd_pin_range(&pins->memfd_pins, pins->file,
				      pins->range.start,
				      last_byte(&pins->range), 0);
	if (err) {
		memfd_pins_release(&pins->memfd_pins, false);
		return err;
	}
	return pins->memfd_pins.nr_pages;
}

static long pin_pages(struct test_pins *pins)
{
	unsigned int flags = gup_flags(&pins->range);
	unsigned long start = pins->range.start;
	int nr = div_s64(pins->range.size, PAGE_SIZE);
	struct mm_struct *mm = pins->mm ?: current->mm;
	int locked = 1;
	long ret;

	if (pins->range.call == PIN_TEST_FAST)
		return pin_user_pages_fast(start, nr, flags, pins->pages);
	if (pins->range.call == PIN_TEST_FAST_ONLY) {
		/* It must not sleep: kernels built for that complain. */
		preempt_disable();
		if (pins->watched)
			ret = pin_user_pages_fast_watched(start, nr, flags,
							  pins->pages);
		else
			ret = pin_user_pages_fast_only(start, nr, flags,
						       pins->pages);
		preempt_enable();
		return ret;
	}

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	/* Before 6.5, who gives up mmap_lock could not keep FOLL_LONGTERM. */
	if (pins->mm)
		ret = pin_user_pages_remote(mm, start, nr, flags, pins->pages,
					    flags & FOLL_LONGTERM ? NULL :
								    &locked);
	else
		ret = pin_user_pages(start, nr, flags, pins->pages);
	if (locked)
		mmap_read_unlock(mm);
	return ret;
}

/**
 * test_pins_pin() - make the call
 * @pins: ready for it, with nothing pinned
 *
 * Context: may sleep.
 *
 * Return: 0, with the number of what was pinned in @pins->nr, or the call's
 * error, with nothing pinned.
 */
int test_pins_pin(struct test_pins *pins)
{
	long nr;

	switch (pins->range.call) {
	case PIN_TEST_MEMFD:
		nr = pin_memfd(pins);
		break;
	case PIN_TEST_MEMFD_FOLIOS:
		nr = memfd_pin_folios(pins->file, pins->range.start,
				      last_byte(&pins->range), pins->folios,
				      pins->nr_pages, &pins->offset);
		break;
	default:
		nr = pin_pages(pins);
	}
	if (nr < 0)
		return nr;
	spin_lock(&pins->lock);
	pins->nr = nr;
	spin_unlock(&pins->lock);
	return 0;
}

/**
 * test_pins_unpin() - unpin what was pinned
 * @pins: afterwards without pins; without any, nothing happens
 * @dirty: whether to mark the pages dirty
 *
 * Context: may sleep.
 */
void test_pins_unpin(struct test_pins *pins, bool dirty)
{
	unsigned long i;

	if (!pins->nr)
		return;
	if (pins->pages)
		unpin_user_pages_dirty_lock(pins->pages, pins->nr, dirty);
	else if (!pins->folios)
		memfd_pins_release(&pins->memfd_pins, dirty);
	else if (!dirty)
		unpin_folios(pins->folios, pins->nr);
	else
		for (i = 0; i < pins->nr; i++)
			unpin_user_page_range_dirty_lock(&pins->folios[i]->page,
							 1, true);
	pins->nr = 0;
}

/**
 * test_pins_exit() - give back what test_pins_init() got
 * @pins: without pins; as new afterwards
 *
 * Context: may sleep.
 */
void test_pins_exit(struct test_pins *pins)
{
	kvfree(pins->pages);
	kvfree(pins->folios);
	pin_uncharge(&pins->charge);
	if (pins->file)
		fput(pins->file);
	if (pins->mm)
		mmput(pins->mm);
	memset(pins, 0, sizeof(*pins));
	spin_lock_init(&pins->lock);
}

static struct page *entry_page(const struct test_pins *pins, unsigned long i)
{
	const struct memfd_span *span;

	if (pins->pages)
		return pins->pages[i];
	if (pins->folios)
		return folio_page(pins->folios[i], 0);
	span = memfd_pins_span(&pins->memfd_pins,
			       memfd_pins_find(&pins->memfd_pins, i));
	return pfn_to_page(span->pfn + i - span->index);
}

/**
 * test_pins_get_page() - get a pinned page by its number
 * @pins: the pins, ready for a call
 * @i: number of the entry
 *
 * Context: process context, does not sleep.
 *
 * Return: the page, of a folio the first one, with a reference: the pin may go any
 * time if an MMU notifier looks after it. NULL if there are not so many.
 */
struct page *test_pins_get_page(struct test_pins *pins, unsigned long i)
{
	struct page *page = NULL;

	spin_lock(&pins->lock);
	if (i < pins->nr) {
		page = entry_page(pins, i);
		get_page(page);
	}
	spin_unlock(&pins->lock);
	return page;
}

/**
 * test_pins_writable() - whether the pinned pages may be written
 * @pins: the pins
 *
 * Return: whether they were pinned for writing.
 */
bool test_pins_writable(const struct test_pins *pins)
{
	if (pins->file)
		return pins->file->f_mode & FMODE_WRITE;
	return pins->range.flags & PIN_TEST_WRITE;
}

/**
 * test_pins_bytes() - memory that is used to remember what is pinned
 * @pins: the pins
 *
 * Return: bytes; of an array only what is filled.
 */
size_t test_pins_bytes(const struct test_pins *pins)
{
	const struct memfd_pins *memfd_pins = &pins->memfd_pins;

	if (pins->pages || pins->folios)
		return pins->nr * sizeof(void *);
	return memfd_pins->max_chunks * sizeof(*memfd_pins->chunks) +
	       memfd_pins->max_spans * sizeof(struct memfd_span);
}
