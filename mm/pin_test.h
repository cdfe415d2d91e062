/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of pin_test.ko share: the pins of one call, a device that is attached
 * to a dma-buf, and a look at page tables.
 */
#ifndef _MM_PIN_TEST_H
#define _MM_PIN_TEST_H

#include <linux/dma-direction.h>
#include <linux/err.h>
#include <linux/memfd_pin.h>
#include <linux/mmu_notifier.h>
#include <linux/pin_account.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <uapi/linux/pin_test.h>

struct device;
struct dma_buf_attachment;
struct file;
struct folio;
struct mm_struct;
struct page;
struct sg_table;
struct test_edu;

/**
 * struct test_pins - the pins of one call
 * @range: what was asked for
 * @nr_pages: how many pages that are
 * @nr: entries pinned, 0 if there are none
 * @pages: the pages, of the calls that take addresses
 * @folios: the folios, of PIN_TEST_MEMFD_FOLIOS
 * @memfd_pins: the buffer, of PIN_TEST_MEMFD
 * @file: the memfd; may be NULL, to see what the call says of it
 * @mm: whose address space it is, of PIN_TEST_REMOTE
 * @charge: what is charged, but for PIN_TEST_MEMFD, which charges by itself
 * @offset: byte offset of the start in the first folio
 * @notifier: looks after the range, with PIN_TEST_NOTIFY
 * @watched: whether @notifier is registered
 * @lock: protects @nr against @notifier
 */
struct test_pins {
	struct pin_test_range range;
	unsigned long nr_pages;
	unsigned long nr;
	struct page **pages;
	struct folio **folios;
	struct memfd_pins memfd_pins;
	struct file *file;
	struct mm_struct *mm;
	struct pin_charge charge;
	pgoff_t offset;
	struct mmu_interval_notifier notifier;
	bool watched;
	spinlock_t lock; /* of nr */
};

int test_pins_init(struct test_pins *pins, const struct pin_test_range *range);
int test_pins_pin(struct test_pins *pins);
void test_pins_unpin(struct test_pins *pins, bool dirty);
void test_pins_exit(struct test_pins *pins);
struct page *test_pins_get_page(struct test_pins *pins, unsigned long i);
bool test_pins_writable(const struct test_pins *pins);
size_t test_pins_bytes(const struct test_pins *pins);

int test_pins_watch(struct test_pins *pins);
int test_pins_pin_watched(struct test_pins *pins);
void test_pins_unwatch(struct test_pins *pins);

/**
 * struct test_attachment - a device that is attached to a dma-buf
 * @dev: the device
 * @edu: QEMU's, if that is the device
 * @attach: the attachment, which holds a reference on the dma-buf; NULL if there is
 *	none
 * @sgt: its mapping; NULL if there is none
 * @dir: in which direction it is mapped, or is going to be; DMA_NONE: not at all
 * @trim: change the first segment of a mapping
 * @trimmed: that of @sgt has been changed
 */
struct test_attachment {
	struct device *dev;
	struct test_edu *edu;
	struct dma_buf_attachment *attach;
	struct sg_table *sgt;
	enum dma_data_direction dir;
	bool trim;
	bool trimmed;
};

int test_attach(struct test_attachment *test, struct pin_test_attach *arg);
int test_map(struct test_attachment *test, unsigned long dir);
int test_dma(struct test_attachment *test, const struct pin_test_dma *arg, bool write);
u64 test_detach(struct test_attachment *test);

#ifdef CONFIG_PCI
struct test_edu *test_edu_get(void);
void test_edu_put(struct test_edu *edu);
struct device *test_edu_device(struct test_edu *edu);
int test_edu_copy(struct test_edu *edu, dma_addr_t addr, size_t size, u64 user, bool write);
#else
static inline struct test_edu *test_edu_get(void)
{
	return ERR_PTR(-ENODEV);
}

static inline void test_edu_put(struct test_edu *edu)
{
}

static inline struct device *test_edu_device(struct test_edu *edu)
{
	return NULL;
}

static inline int test_edu_copy(struct test_edu *edu, dma_addr_t addr, size_t size,
				u64 user, bool write)
{
	return -ENODEV;
}
#endif

#ifdef CONFIG_ARM64_CONTPTE
int test_entry(struct pin_test_entry *arg);
#else
static inline int test_entry(struct pin_test_entry *arg)
{
	arg->contiguous = 0;
	arg->block = 0;
	return 0;
}
#endif

#endif /* _MM_PIN_TEST_H */
