// SPDX-License-Identifier: GPL-2.0
/*
 * Pins that an MMU notifier ends: how a driver that cannot wait for anybody keeps
 * from holding pages that are not mapped any more.
 */
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/signal.h>

#include "pin_test.h"

/*
 * Pages that may not be the process's any more, on which unpin_user_pages() of a debug
 * kernel insists.
 */
static void drop_pages(struct page **pages, unsigned long nr)
{
	unsigned long i;

	for (i = 0; i < nr; i++)
		unpin_user_page_range_dirty_lock(pages[i], 1, false);
}

/* Unpins all. Does not sleep, so it need not ask whether it may. */
static bool invalidate(struct mmu_interval_notifier *notifier,
		       const struct mmu_notifier_range *range,
		       unsigned long seq)
{
	struct test_pins *pins = container_of(notifier, struct test_pins,
					      notifier);
	unsigned long nr;

	spin_lock(&pins->lock);
	mmu_interval_set_seq(notifier, seq);
	nr = pins->nr;
	pins->nr = 0;
	spin_unlock(&pins->lock);
	/* The array stays until the notifier is removed, which waits for us. */
	drop_pages(pins->pages, nr);
	return true;
}

static const struct mmu_interval_notifier_ops notifier_ops = {
	.invalidate = invalidate,
};

/**
 * test_pins_watch() - register an MMU notifier for the range
 * @pins: ready for a call, by test_pins_pin_watched()
 *
 * Context: may sleep; takes mmap_lock.
 *
 * Return: 0, or -EINVAL if the call does not take addresses of the caller, or an
 * error of mmu_interval_notifier_insert().
 */
int test_pins_watch(struct test_pins *pins)
{
	int err;

	if (!pins->pages || pins->mm)
		return -EINVAL;
	err = mmu_interval_notifier_insert(&pins->notifier, current->mm,
					   pins->range.start & PAGE_MASK,
					   pins->nr_pages << PAGE_SHIFT,
					   &notifier_ops);
	pins->watched = !err;
	return err;
}

/**
 * test_pins_pin_watched() - make the call, until nothing has changed meanwhile
 * @pins: with a notifier
 *
 * Context: may sleep.
 *
 * Return: as test_pins_pin(), or -EINTR.
 */
int test_pins_pin_watched(struct test_pins *pins)
{
	unsigned long seq, nr;
	int err;

	for (;;) {
		seq = mmu_interval_read_begin(&pins->notifier);
		err = test_pins_pin(pins);
		if (err)
			return err;

		/* Until the sequence is seen to hold, they are no one else's. */
		spin_lock(&pins->lock);
		if (!mmu_interval_read_retry(&pins->notifier, seq)) {
			spin_unlock(&pins->lock);
			return 0;
		}
		nr = pins->nr;
		pins->nr = 0;
		spin_unlock(&pins->lock);
		drop_pages(pins->pages, nr);
		if (fatal_signal_pending(current))
			return -EINTR;
	}
}

/**
 * test_pins_unwatch() - remove the MMU notifier, if there is one
 * @pins: pins that are there still, stay
 *
 * Context: may sleep, waits for the notifier.
 */
void test_pins_unwatch(struct test_pins *pins)
{
	if (pins->watched)
		mmu_interval_notifier_remove(&pins->notifier);
	pins->watched = false;
}
