// SPDX-License-Identifier: GPL-2.0
/*
 * pin_test - pin memory on request, for tests of the pin functions
 *
 * See <linux/pin_test.h>. As it tells where memory lies and lets its data be
 * changed, it is for administrators, and not for machines in use.
 */
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/ktime.h>
#include <linux/memfd_pin.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "pin.h"
#include "pin_count.h"
#include "pin_test.h"

/* An open file: the pins of one call, if it is in use, an attachment, and a lock. */
struct pin_test_file {
	struct mutex lock; /* of all of it; taken outside of mmap_lock and dma_resv */
	struct test_pins pins;
	struct test_attachment attachment;
	struct folio *locked; /* by PIN_TEST_LOCK */
	struct file *locked_file; /* who frees it waits for the lock */
	bool in_use;
};

static int pin_test_open(struct inode *inode, struct file *file)
{
	struct pin_test_file *test;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	test = kzalloc(sizeof(*test), GFP_KERNEL_ACCOUNT);
	if (!test)
		return -ENOMEM;
	mutex_init(&test->lock);
	spin_lock_init(&test->pins.lock);
	file->private_data = test;
	return 0;
}

/* The folio of page @index, with a reference, or an ERR_PTR. */
static struct folio *get_folio(struct file *memfd, pgoff_t index)
{
	struct address_space *mapping = memfd->f_mapping;
	struct folio *folio;

	if (!shmem_file(memfd) && !is_file_hugepages(memfd))
		return ERR_PTR(-EINVAL);
	folio = filemap_get_folio(mapping, index >> cache_index_shift(mapping));
	return IS_ERR(folio) ? ERR_PTR(-ENOENT) : folio;
}

static int lock_folio(struct pin_test_file *test, struct file *memfd, pgoff_t index)
{
	struct folio *folio = get_folio(memfd, index);

	if (IS_ERR(folio))
		return PTR_ERR(folio);
	if (folio_lock_killable(folio)) {
		folio_put(folio);
		return -EINTR;
	}
	test->locked = folio;
	return 0;
}

static int pin_test_lock(struct pin_test_file *test, const void __user *argp)
{
	struct pin_test_lock arg;
	struct file *memfd;
	int err;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if (arg.reserved)
		return -EINVAL;
	if (test->locked)
		return -EBUSY;
	memfd = fget(arg.fd);
	if (!memfd)
		return -EBADF;
	err = lock_folio(test, memfd, arg.index);
	if (err)
		fput(memfd);
	else
		test->locked_file = memfd;
	return err;
}

static int pin_test_unlock(struct pin_test_file *test)
{
	if (!test->locked)
		return -ENODATA;
	folio_unlock(test->locked);
	folio_put(test->locked);
	fput(test->locked_file);
	test->locked = NULL;
	return 0;
}

static int pin_test_block(void __user *argp)
{
	struct pin_test_block arg;
	struct folio *folio;
	struct file *memfd;
	unsigned long bits;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	memfd = fget(arg.fd);
	if (!memfd)
		return -EBADF;
	folio = get_folio(memfd, arg.index);
	fput(memfd);
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	bits = folio_block_bits(folio);
	if (block_is_isolated(bits))
		arg.type = PIN_TEST_BLOCK_ISOLATED;
	else if (block_is_cma(bits))
		arg.type = PIN_TEST_BLOCK_CMA;
	else
		arg.type = PIN_TEST_BLOCK_OTHER;
	arg.pfn = folio_pfn(folio);
	folio_put(folio);
	return copy_to_user(argp, &arg, sizeof(arg)) ? -EFAULT : 0;
}

static void end_use(struct pin_test_file *test, bool dirty)
{
	test_pins_unwatch(&test->pins);
	test_pins_unpin(&test->pins, dirty);
	test_pins_exit(&test->pins);
	test->in_use = false;
}

static int pin_test_pin(struct pin_test_file *test, void __user *argp)
{
	struct pin_test_pin arg;
	int err;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if (test->in_use)
		return -EBUSY;
	test->in_use = true;
	err = test_pins_init(&test->pins, &arg.range);
	if (!err && test->pins.watched)
		err = test_pins_pin_watched(&test->pins);
	else if (!err)
		err = test_pins_pin(&test->pins);

	arg.nr = test->pins.nr;
	arg.offset = test->pins.offset;
	if (!err && copy_to_user(argp, &arg, sizeof(arg)))
		err = -EFAULT;
	if (err || !arg.nr)
		end_use(test, false);
	return err;
}

static int pin_test_unpin(struct pin_test_file *test, unsigned long how)
{
	if (how > PIN_TEST_DIRTY)
		return -EINVAL;
	if (!test->in_use)
		return -ENODATA;
	end_use(test, how == PIN_TEST_DIRTY);
	return 0;
}

static u32 page_flags(struct page *page)
{
	struct folio *folio = held_folio(page);
	u32 flags = 0;

	if (is_zero_page(page))
		flags |= PIN_TEST_PAGE_ZERO;
	if (folio_test_anon(folio)) {
		flags |= PIN_TEST_PAGE_ANON;
		if (PageAnonExclusive(folio_test_hugetlb(folio) ?
				      folio_page(folio, 0) : page))
			flags |= PIN_TEST_PAGE_EXCLUSIVE;
	}
	if (folio_test_dirty(folio))
		flags |= PIN_TEST_PAGE_DIRTY;
	if (folio_test_uptodate(folio))
		flags |= PIN_TEST_PAGE_UPTODATE;
	if (folio_contain_hwpoisoned_page(folio))
		flags |= PIN_TEST_PAGE_HWPOISON;
	return flags;
}

static int pin_test_query(struct pin_test_file *test, void __user *argp)
{
	struct pin_test_page arg;
	struct folio *folio;
	struct page *page;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	page = test_pins_get_page(&test->pins, arg.entry);
	if (!page)
		return -EINVAL;
	folio = held_folio(page);
	arg.order = folio_order(folio);
	arg.pfn = folio_pfn(folio);
	arg.index = folio_page_idx(folio, page);
	arg.refs = folio_ref_count(folio) - 1;
	arg.pins = folio_has_pincount(folio) ? atomic_read(&folio->_pincount) :
					     arg.refs / GUP_PIN_COUNTING_BIAS;
	arg.flags = page_flags(page);
	strscpy_pad(arg.zone, page_zone(page)->name, sizeof(arg.zone));
	put_page(page);
	return copy_to_user(argp, &arg, sizeof(arg)) ? -EFAULT : 0;
}

static int bench_loop(struct test_pins *pins, struct pin_test_bench *arg)
{
	u64 start, pinned, end;
	bool complete;
	int err;

	start = ktime_get_ns();
	err = test_pins_pin(pins);
	pinned = ktime_get_ns();
	if (err)
		return err;

	arg->nr = pins->nr;
	arg->bytes = test_pins_bytes(pins);
	complete = pins->folios || pins->nr == pins->nr_pages;
	arg->pin_ns = min(arg->pin_ns, pinned - start);

	start = ktime_get_ns();
	test_pins_unpin(pins, arg->unpin == PIN_TEST_DIRTY);
	end = ktime_get_ns();
	arg->unpin_ns = min(arg->unpin_ns, end - start);
	return complete ? 0 : -ENODATA;
}

static int pin_test_bench(struct pin_test_file *test, void __user *argp)
{
	struct pin_test_bench arg;
	u32 i;
	int err;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if (!arg.loops || arg.unpin > PIN_TEST_DIRTY)
		return -EINVAL;
	if (test->in_use)
		return -EBUSY;
	if (arg.range.flags & PIN_TEST_NOTIFY)
		return -EINVAL;

	arg.pin_ns = U64_MAX;
	arg.unpin_ns = U64_MAX;
	err = test_pins_init(&test->pins, &arg.range);
	for (i = 0; !err && i < arg.loops; i++) {
		err = bench_loop(&test->pins, &arg);
		if (fatal_signal_pending(current))
			err = -EINTR;
		cond_resched();
	}
	test_pins_exit(&test->pins);
	if (!err && copy_to_user(argp, &arg, sizeof(arg)))
		err = -EFAULT;
	return err;
}

static int pin_test_attach(struct pin_test_file *test, void __user *argp)
{
	struct pin_test_attach arg;
	int err;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	err = test_attach(&test->attachment, &arg);
	if (err)
		return err;
	if (copy_to_user(argp, &arg, sizeof(arg))) {
		test_detach(&test->attachment);
		return -EFAULT;
	}
	return 0;
}

static int pin_test_detach(struct pin_test_file *test, u64 __user *argp)
{
	u64 ns;

	if (!test->attachment.attach)
		return -ENODATA;
	ns = test_detach(&test->attachment);
	return put_user(ns, argp);
}

static int pin_test_dma(struct pin_test_file *test, void __user *argp, bool write)
{
	struct pin_test_dma arg;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	return test_dma(&test->attachment, &arg, write);
}

static int pin_test_entry(void __user *argp)
{
	struct pin_test_entry arg;
	int err;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	err = test_entry(&arg);
	if (err)
		return err;
	return copy_to_user(argp, &arg, sizeof(arg)) ? -EFAULT : 0;
}

static long pin_test_ioctl(struct file *file, unsigned int cmd,
			   unsigned long value)
{
	struct pin_test_file *test = file->private_data;
	void __user *argp = (void __user *)value;
	long ret;

	if (mutex_lock_interruptible(&test->lock))
		return -ERESTARTSYS;
	switch (cmd) {
	case PIN_TEST_PIN:
		ret = pin_test_pin(test, argp);
		break;
	case PIN_TEST_UNPIN:
		ret = pin_test_unpin(test, value);
		break;
	case PIN_TEST_QUERY:
		ret = pin_test_query(test, argp);
		break;
	case PIN_TEST_BENCH:
		ret = pin_test_bench(test, argp);
		break;
	case PIN_TEST_ATTACH:
		ret = pin_test_attach(test, argp);
		break;
	case PIN_TEST_DETACH:
		ret = pin_test_detach(test, argp);
		break;
	case PIN_TEST_MAP:
		ret = test_map(&test->attachment, value);
		break;
	case PIN_TEST_DMA_READ:
		ret = pin_test_dma(test, argp, false);
		break;
	case PIN_TEST_DMA_WRITE:
		ret = pin_test_dma(test, argp, true);
		break;
	case PIN_TEST_LOCK:
		ret = pin_test_lock(test, argp);
		break;
	case PIN_TEST_UNLOCK:
		ret = pin_test_unlock(test);
		break;
	case PIN_TEST_BLOCK:
		ret = pin_test_block(argp);
		break;
	case PIN_TEST_ENTRY:
		ret = pin_test_entry(argp);
		break;
	default:
		ret = -ENOTTY;
	}
	mutex_unlock(&test->lock);
	return ret;
}

/* Copy to or from the pages; ends at the last one, or short at a bad address. */
static ssize_t copy_data(struct kiocb *iocb, struct iov_iter *iter, bool write)
{
	struct pin_test_file *test = iocb->ki_filp->private_data;
	size_t offset, len, copied;
	struct page *page;
	ssize_t done = 0;

	if (mutex_lock_interruptible(&test->lock))
		return -ERESTARTSYS;
	if (write && !test_pins_writable(&test->pins))
		done = -EPERM;
	while (done >= 0 && iov_iter_count(iter)) {
		page = test_pins_get_page(&test->pins,
					  iocb->ki_pos >> PAGE_SHIFT);
		if (!page)
			break;
		offset = offset_in_page(iocb->ki_pos);
		len = min(PAGE_SIZE - offset, iov_iter_count(iter));
		if (write)
			copied = copy_page_from_iter(page, offset, len, iter);
		else
			copied = copy_page_to_iter(page, offset, len, iter);
		put_page(page);
		iocb->ki_pos += copied;
		done += copied;
		if (copied < len) {
			done = done ?: -EFAULT;
			break;
		}
		if (fatal_signal_pending(current))
			break;
		cond_resched();
	}
	mutex_unlock(&test->lock);
	return done;
}

static ssize_t pin_test_read_iter(struct kiocb *iocb, struct iov_iter *iter)
{
	return copy_data(iocb, iter, false);
}

static ssize_t pin_test_write_iter(struct kiocb *iocb, struct iov_iter *iter)
{
	return copy_data(iocb, iter, true);
}

static int pin_test_release(struct inode *inode, struct file *file)
{
	struct pin_test_file *test = file->private_data;

	pin_test_unlock(test);
	end_use(test, false);
	if (test->attachment.attach)
		test_detach(&test->attachment);
	kfree(test);
	return 0;
}

static const struct file_operations pin_test_fops = {
	.owner = THIS_MODULE,
	.open = pin_test_open,
	.release = pin_test_release,
	.unlocked_ioctl = pin_test_ioctl,
	.read_iter = pin_test_read_iter,
	.write_iter = pin_test_write_iter,
	.llseek = default_llseek,
};

static struct miscdevice pin_test_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "pin_test",
	.fops = &pin_test_fops,
	.mode = 0600,
};
module_misc_device(pin_test_device);

MODULE_DESCRIPTION("Pin memory on request, for tests");
MODULE_LICENSE("GPL");
