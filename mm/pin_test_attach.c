// SPDX-License-Identifier: GPL-2.0
/*
 * A device of pin_test.ko that uses dma-bufs as a driver does which maps them when
 * it imports them: one that is made up, or QEMU's.
 */
#include <linux/dma-buf.h>
#include <linux/dma-direct.h>
#include <linux/dma-fence.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/highmem.h>
#include <linux/ktime.h>
#include <linux/platform_device.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "pin_test.h"

/* Each is a device by itself, so that each can have other limits. */
static struct device *create_device(bool coherent)
{
	const struct platform_device_info info = {
		.name = "pin_test",
		.id = PLATFORM_DEVID_AUTO,
		.dma_mask = DMA_BIT_MASK(64),
	};
	struct platform_device *pdev = platform_device_register_full(&info);
	int err;

	if (IS_ERR(pdev))
		return ERR_CAST(pdev);
	dev_assign_dma_coherent(&pdev->dev, coherent);
	if (dev_is_dma_coherent(&pdev->dev) != coherent) {
		err = -EOPNOTSUPP;
		goto err_device;
	}
	/* As a driver does; only then the core knows whether there is to be synced. */
	if (dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64))) {
		err = -EIO;
		goto err_device;
	}
	return &pdev->dev;

err_device:
	platform_device_unregister(pdev);
	return ERR_PTR(err);
}

static int get_device_for(struct test_attachment *test, const struct pin_test_attach *arg)
{
	struct test_edu *edu;

	if (arg->flags & PIN_TEST_EDU) {
		edu = test_edu_get();
		if (IS_ERR(edu))
			return PTR_ERR(edu);
		test->edu = edu;
		test->dev = test_edu_device(edu);
	} else {
		test->dev = create_device(!(arg->flags & PIN_TEST_NONCOHERENT));
		if (IS_ERR(test->dev))
			return PTR_ERR(test->dev);
	}
	if (arg->max_seg_size)
		dma_set_max_seg_size(test->dev, arg->max_seg_size);
	return 0;
}

static void put_device_of(struct test_attachment *test)
{
	if (test->edu)
		test_edu_put(test->edu);
	else
		platform_device_unregister(to_platform_device(test->dev));
	test->edu = NULL;
}

static u64 mapped_bytes(struct sg_table *sgt)
{
	struct scatterlist *sg;
	u64 bytes = 0;
	int i;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		bytes += sg_dma_len(sg);
		cond_resched();
	}
	return bytes;
}

/* The other way with -PAGE_SIZE */
static void trim(struct test_attachment *test, long bytes)
{
	struct scatterlist *sg = test->sgt->sgl;

	sg_dma_address(sg) += bytes;
	sg_dma_len(sg) -= bytes;
	test->trimmed = bytes > 0;
}

static int map(struct test_attachment *test)
{
	int err;

	if (test->dir == DMA_NONE)
		return 0;
	test->sgt = dma_buf_map_attachment_unlocked(test->attach, test->dir);
	err = PTR_ERR_OR_ZERO(test->sgt);
	if (err)
		test->sgt = NULL;
	else if (test->trim && sg_dma_len(test->sgt->sgl) > PAGE_SIZE)
		trim(test, PAGE_SIZE);
	return err;
}

static void unmap(struct test_attachment *test)
{
	if (!test->sgt)
		return;
	if (test->trimmed)
		trim(test, -PAGE_SIZE);
	dma_buf_unmap_attachment_unlocked(test->attach, test->sgt, test->dir);
	test->sgt = NULL;
}

/**
 * test_attach() - attach a device to a dma-buf, and map that
 * @test: not attached; afterwards attached, unless there was an error
 * @arg: which dma-buf and how; results are returned in it
 *
 * Context: may sleep; takes the dma-buf's dma_resv lock.
 *
 * Return: 0, -EBUSY if @test is attached, -EINVAL if the largest segment is not a
 * number of pages, a flag is unknown, or does not go with another, or the descriptor is no
 * dma-buf's, -EBADF, -ENOMEM, -EIO if the device cannot have 64 bits of address,
 * -EOPNOTSUPP if there are none that are not coherent, or what test_edu_get() or the
 * exporter returns.
 */
int test_attach(struct test_attachment *test, struct pin_test_attach *arg)
{
	struct dma_buf *dmabuf;
	u64 start, end;
	int err;

	if (test->attach)
		return -EBUSY;
	if (!IS_ALIGNED(arg->max_seg_size, PAGE_SIZE) || arg->reserved ||
	    arg->flags & ~(PIN_TEST_NONCOHERENT | PIN_TEST_EDU | PIN_TEST_TRIM) ||
	    (arg->flags & PIN_TEST_NONCOHERENT && arg->flags & PIN_TEST_EDU))
		return -EINVAL;
	dmabuf = dma_buf_get(arg->fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	err = get_device_for(test, arg);
	if (err)
		goto err_put;

	start = ktime_get_ns();
	test->attach = dma_buf_attach(dmabuf, test->dev);
	if (IS_ERR(test->attach)) {
		err = PTR_ERR(test->attach);
		goto err_device;
	}
	test->trim = arg->flags & PIN_TEST_TRIM;
	err = map(test);
	if (err)
		goto err_detach;
	end = ktime_get_ns();

	arg->attach_ns = end - start;
	arg->entries = test->sgt ? test->sgt->orig_nents : 0;
	arg->segments = test->sgt ? test->sgt->nents : 0;
	arg->bytes = test->sgt ? mapped_bytes(test->sgt) : 0;
	return 0;

err_detach:
	dma_buf_detach(dmabuf, test->attach);
err_device:
	test->attach = NULL;
	put_device_of(test);
err_put:
	dma_buf_put(dmabuf);
	return err;
}

/**
 * test_map() - map what is attached anew
 * @test: attached or not; in the latter case, only for test_attach() to know
 * @dir: the direction, DMA_NONE to only unmap
 *
 * Context: may sleep; takes the dma-buf's dma_resv lock.
 *
 * Return: 0, -EINVAL if there is no such direction, or what the exporter returns; then
 * it is not mapped.
 */
int test_map(struct test_attachment *test, unsigned long dir)
{
	if (dir > DMA_NONE)
		return -EINVAL;
	if (test->attach)
		unmap(test);
	test->dir = dir;
	return test->attach ? map(test) : 0;
}

/*
 * A device that is made up has no IOMMU, so its addresses are those of memory. Returns 0,
 * -EFAULT or -EINTR.
 */
static int copy_segment(struct device *dev, dma_addr_t addr, size_t size, u64 user,
			bool write)
{
	size_t offset, len, left;
	struct page *page;
	void *vaddr;

	for (; size; size -= len, addr += len, user += len) {
		page = pfn_to_page(PHYS_PFN(dma_to_phys(dev, addr)));
		offset = offset_in_page(addr);
		len = min(size, PAGE_SIZE - offset);
		vaddr = kmap_local_page(page);
		if (write)
			left = copy_from_user(vaddr + offset, u64_to_user_ptr(user), len);
		else
			left = copy_to_user(u64_to_user_ptr(user), vaddr + offset, len);
		kunmap_local(vaddr);
		if (left)
			return -EFAULT;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/* One that has been signaled already. It is not of this module, which it may outlive. */
static int add_write_fence(struct dma_resv *resv)
{
	struct dma_fence *fence = dma_fence_allocate_private_stub(ktime_get());
	int err;

	if (!fence)
		return -ENOMEM;
	dma_resv_lock(resv, NULL);
	err = dma_resv_reserve_fences(resv, 1);
	if (!err)
		dma_resv_add_fence(resv, fence, DMA_RESV_USAGE_WRITE);
	dma_resv_unlock(resv);
	dma_fence_put(fence);
	return err;
}

/**
 * test_dma() - access to a dma-buf by the device
 * @test: the attachment
 * @arg: what is to be read or written
 * @write: which of both
 *
 * Context: may sleep; takes the dma-buf's dma_resv lock.
 *
 * Return: 0, -ENODATA if it is not mapped, -EINVAL if the range or the flags are wrong,
 * -EFAULT, -EINTR for a fatal signal, -ENOMEM if there was none for a fence.
 */
int test_dma(struct test_attachment *test, const struct pin_test_dma *arg, bool write)
{
	u64 begin = 0, start, end, last = arg->offset + arg->size;
	struct scatterlist *sg;
	dma_addr_t addr;
	u64 user;
	int i, err;

	if (!test->attach || !test->sgt)
		return -ENODATA;
	if (arg->flags & ~(write ? PIN_TEST_DMA_FENCE : 0) || arg->reserved ||
	    last < arg->offset || last > test->attach->dmabuf->size)
		return -EINVAL;
	for_each_sgtable_dma_sg(test->sgt, sg, i) {
		start = max(begin, arg->offset);
		end = min(begin + sg_dma_len(sg), last);
		if (start < end) {
			addr = sg_dma_address(sg) + (start - begin);
			user = arg->data + (start - arg->offset);
			if (test->edu)
				err = test_edu_copy(test->edu, addr, end - start, user, write);
			else
				err = copy_segment(test->dev, addr, end - start, user, write);
			if (err)
				return err;
		}
		begin += sg_dma_len(sg);
		cond_resched();
	}
	if (arg->flags & PIN_TEST_DMA_FENCE)
		return add_write_fence(test->attach->dmabuf->resv);
	return 0;
}

/**
 * test_detach() - undo test_attach()
 * @test: attached; afterwards not
 *
 * Context: may sleep; takes the dma-buf's dma_resv lock, and may be the last to
 * let go of it.
 *
 * Return: how long it took to unmap and detach, in nanoseconds.
 */
u64 test_detach(struct test_attachment *test)
{
	struct dma_buf *dmabuf = test->attach->dmabuf;
	u64 start, end;

	start = ktime_get_ns();
	unmap(test);
	dma_buf_detach(dmabuf, test->attach);
	end = ktime_get_ns();

	test->attach = NULL;
	put_device_of(test);
	dma_buf_put(dmabuf);
	return end - start;
}

MODULE_IMPORT_NS("DMA_BUF");
