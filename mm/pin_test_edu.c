// SPDX-License-Identifier: GPL-2.0
/*
 * The device that QEMU has for those who learn to write drivers, "edu", as one of
 * pin_test.ko: it does DMA by itself, and by way of an IOMMU, if the machine has one.
 * It is taken when a test wants it, and not by a driver of its own, so that it can be
 * given to another domain of its IOMMU between tests.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/io.h>
#include <linux/pci.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "pin_test.h"

#define EDU_VENDOR	0x1234
#define EDU_DEVICE	0x11e8

/* Of its address space, which it sees all of when it does DMA, but the CPU only the start */
#define EDU_SOURCE	0x80
#define EDU_TARGET	0x88
#define EDU_BYTES	0x90
#define EDU_COMMAND	0x98
#define EDU_BUFFER	0x40000
#define EDU_BUFFER_SIZE	4096

/* Of the command: start, which reads as 1 until it is done; from its buffer to memory */
#define EDU_START	BIT(0)
#define EDU_TO_MEMORY	BIT(1)

#define EDU_POLLS	250	/* of 20 ms */

/**
 * struct test_edu - the device, in use
 * @pdev: the device
 * @regs: its registers
 * @data: where it gets what it is to write, and leaves what it has read, and
 * @addr: where that is for it
 */
struct test_edu {
	struct pci_dev *pdev;
	void __iomem *regs;
	void *data;
	dma_addr_t addr;
};

static int enable(struct test_edu *edu)
{
	struct pci_dev *pdev = edu->pdev;
	int err;

	err = pci_enable_device_mem(pdev);
	if (err)
		return err;
	err = pci_request_region(pdev, 0, "pin_test");
	if (err)
		goto err_disable;
	/* It can do no more, which is to say that only an IOMMU lets it reach all. */
	err = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(28));
	if (err)
		goto err_region;
	/* As it was before some test has asked for another one. */
	dma_set_max_seg_size(&pdev->dev, SZ_64K);
	pci_set_master(pdev);
	err = -ENOMEM;
	edu->regs = pci_iomap(pdev, 0, 0);
	if (!edu->regs)
		goto err_master;
	edu->data = dma_alloc_coherent(&pdev->dev, EDU_BUFFER_SIZE, &edu->addr,
				       GFP_KERNEL);
	if (!edu->data)
		goto err_unmap;
	return 0;

err_unmap:
	pci_iounmap(pdev, edu->regs);
err_master:
	pci_clear_master(pdev);
err_region:
	pci_release_region(pdev, 0);
err_disable:
	pci_disable_device(pdev);
	return err;
}

/**
 * test_edu_get() - take the device
 *
 * Context: may sleep.
 *
 * Return: the device, or an ERR_PTR: -ENODEV if there is none, or it has no IOMMU; -EBUSY
 * if somebody has taken it; -ENOMEM; or what keeps it from being enabled.
 */
struct test_edu *test_edu_get(void)
{
	struct test_edu *edu = kzalloc(sizeof(*edu), GFP_KERNEL);
	int err = -ENODEV;

	if (!edu)
		return ERR_PTR(-ENOMEM);
	edu->pdev = pci_get_device(EDU_VENDOR, EDU_DEVICE, NULL);
	if (edu->pdev && device_iommu_mapped(&edu->pdev->dev))
		err = enable(edu);
	if (err) {
		pci_dev_put(edu->pdev);
		kfree(edu);
		return ERR_PTR(err);
	}
	return edu;
}

/**
 * test_edu_put() - let go of the device
 * @edu: taken; it does nothing, and has nothing mapped
 *
 * Context: may sleep.
 */
void test_edu_put(struct test_edu *edu)
{
	struct pci_dev *pdev = edu->pdev;

	dma_free_coherent(&pdev->dev, EDU_BUFFER_SIZE, edu->data, edu->addr);
	pci_iounmap(pdev, edu->regs);
	pci_clear_master(pdev);
	pci_release_region(pdev, 0);
	pci_disable_device(pdev);
	pci_dev_put(pdev);
	kfree(edu);
}

/**
 * test_edu_device() - what is to be attached
 * @edu: taken
 *
 * Return: its struct device.
 */
struct device *test_edu_device(struct test_edu *edu)
{
	return &edu->pdev->dev;
}

/*
 * It takes 100 ms. Whether it was let to do so, it does not tell. One that is gone never comes
 * to an end (-EIO).
 */
static int transfer(struct test_edu *edu, u32 source, u32 target, u32 bytes, u32 command)
{
	int i;

	writel(source, edu->regs + EDU_SOURCE);
	writel(target, edu->regs + EDU_TARGET);
	writel(bytes, edu->regs + EDU_BYTES);
	writel(command | EDU_START, edu->regs + EDU_COMMAND);
	for (i = 0; i < EDU_POLLS; i++) {
		if (!(readl(edu->regs + EDU_COMMAND) & EDU_START))
			return 0;
		msleep(20);
	}
	return -EIO;
}

/**
 * test_edu_copy() - let the device read or write memory
 * @edu: the device
 * @addr: where the memory is, for it
 * @size: bytes
 * @user: user address that they are copied to, or from
 * @write: whether it is to write
 *
 * What the IOMMU keeps it from is not an error: nothing is written then, and what is read
 * is anything.
 *
 * Context: may sleep.
 *
 * Return: 0, -EFAULT, -EIO if it does not come to an end, or -EINTR for a fatal signal.
 */
int test_edu_copy(struct test_edu *edu, dma_addr_t addr, size_t size, u64 user, bool write)
{
	dma_addr_t source = write ? edu->addr : addr, target = write ? addr : edu->addr;
	size_t len;
	int err;

	for (; size; size -= len, user += len) {
		len = min_t(size_t, size, EDU_BUFFER_SIZE);
		if (write && copy_from_user(edu->data, u64_to_user_ptr(user), len))
			return -EFAULT;
		dma_wmb();
		err = transfer(edu, source, EDU_BUFFER, len, 0) ?:
		      transfer(edu, EDU_BUFFER, target, len, EDU_TO_MEMORY);
		if (err)
			return err;
		dma_rmb();
		if (!write && copy_to_user(u64_to_user_ptr(user), edu->data, len))
			return -EFAULT;
		if (write)
			target += len;
		else
			source += len;
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	return 0;
}
