// SPDX-License-Identifier: GPL-2.0
/*
 * A device of pin_test.ko that uses dma-bufs as a driver does which maps them when
 * it imports them.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/ktime.h>
#include <linux/platform_device.h>
#include <linux/sched.h>

#include "pin_test.h"

/* Each is a device by itself, so that each can have other limits. */
static struct platform_device *create_device(u32 max_seg_size)
{
	const struct platform_device_info info = {
		.name = "pin_test",
		.id = PLATFORM_DEVID_AUTO,
		.dma_mask = DMA_BIT_MASK(64),
	};
	struct platform_device *pdev = platform_device_register_full(&info);

	if (IS_ERR(pdev))
		return pdev;
	/* As a driver does; only then the core knows whether there is to be synced. */
	if (dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64))) {
		platform_device_unregister(pdev);
		return ERR_PTR(-EIO);
	}
	if (max_seg_size)
		dma_set_max_seg_size(&pdev->dev, max_seg_size);
	return pdev;
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

/**
 * test_attach() - attach a new device to a dma-buf, and map that
 * @test: not attached; afterwards attached, unless there was an error
 * @arg: which dma-buf and how; results are returned in it
 *
 * Context: may sleep; takes the dma-buf's dma_resv lock.
 *
 * Return: 0, -EBUSY if @test is attached, -EINVAL if the largest segment is not a
 * number of pages or the descriptor is no dma-buf's, -EBADF, -ENOMEM, -EIO if the
 * device cannot have 64 bits of address, or what the exporter returns.
 */
int test_attach(struct test_attachment *test, struct pin_test_attach *arg)
{
	struct dma_buf *dmabuf;
	u64 start, end;
	int err;

	if (test->attach)
		return -EBUSY;
	if (!IS_ALIGNED(arg->max_seg_size, PAGE_SIZE))
		return -EINVAL;
	dmabuf = dma_buf_get(arg->fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	test->pdev = create_device(arg->max_seg_size);
	if (IS_ERR(test->pdev)) {
		err = PTR_ERR(test->pdev);
		goto err_put;
	}

	start = ktime_get_ns();
	test->attach = dma_buf_attach(dmabuf, &test->pdev->dev);
	if (IS_ERR(test->attach)) {
		err = PTR_ERR(test->attach);
		goto err_device;
	}
	test->sgt = dma_buf_map_attachment_unlocked(test->attach,
						    DMA_BIDIRECTIONAL);
	if (IS_ERR(test->sgt)) {
		err = PTR_ERR(test->sgt);
		goto err_detach;
	}
	end = ktime_get_ns();

	arg->attach_ns = end - start;
	arg->entries = test->sgt->orig_nents;
	arg->segments = test->sgt->nents;
	arg->bytes = mapped_bytes(test->sgt);
	return 0;

err_detach:
	dma_buf_detach(dmabuf, test->attach);
err_device:
	test->attach = NULL;
	platform_device_unregister(test->pdev);
err_put:
	dma_buf_put(dmabuf);
	return err;
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
	dma_buf_unmap_attachment_unlocked(test->attach, test->sgt,
					  DMA_BIDIRECTIONAL);
	dma_buf_detach(dmabuf, test->attach);
	end = ktime_get_ns();

	test->attach = NULL;
	platform_device_unregister(test->pdev);
	dma_buf_put(dmabuf);
	return end - start;
}

COMPAT_IMPORT_NS(DMA_BUF);
