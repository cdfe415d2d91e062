// SPDX-License-Identifier: GPL-2.0
/*
 * udmabuf - dma-bufs made of memfd memory
 *
 * The device: a program names ranges of sealed memfds and gets a dma-buf of the
 * same pages. They are pinned when it is made, and stay so until it is gone.
 */
#include <linux/dma-buf.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/memfd_pin.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <uapi/linux/fcntl.h>
#include <uapi/linux/udmabuf.h>

#include "udmabuf.h"

static unsigned int list_limit = 1024;
module_param(list_limit, uint, 0644);
MODULE_PARM_DESC(list_limit, "Most entries of a UDMABUF_CREATE_LIST (default 1024)");

static unsigned int size_limit_mb = 64;
module_param(size_limit_mb, uint, 0644);
MODULE_PARM_DESC(size_limit_mb, "Largest size of a dma-buf in MiB (default 64)");

static bool allow_readonly;
module_param(allow_readonly, bool, 0644);
MODULE_PARM_DESC(allow_readonly,
		 "Accept memfds that the caller can only read or only write (default N)");

static int check_seals(struct file *memfd)
{
	int seals = memfd_pin_get_seals(memfd);

	if (seals < 0)
		return -EBADFD;
	if (!(seals & F_SEAL_SHRINK) ||
	    (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)))
		return -EINVAL;
	return 0;
}

/* Append one entry of the list to the buffer. */
static int add_item(struct memfd_pins *pins,
		    const struct udmabuf_create_item *item)
{
	const fmode_t both = FMODE_READ | FMODE_WRITE;
	struct file *memfd;
	int err;

	memfd = fget(item->memfd);
	if (!memfd)
		return -EBADFD;

	err = check_seals(memfd);
	if (err)
		goto out_put;
	/* Through the dma-buf the pages can be read as well as written. */
	if ((memfd->f_mode & both) != both && !READ_ONCE(allow_readonly)) {
		err = -EACCES;
		goto out_put;
	}
	/* Sizes were checked; what wraps around here ends before it starts. */
	err = memfd_pin_range(pins, memfd, item->offset,
			      item->offset + item->size - 1);
	if (err)
		goto out_put;

	/* F_SEAL_WRITE from now on sees the pins; one that came before shows. */
	err = -EINTR;
	if (down_read_killable(&file_inode(memfd)->i_rwsem))
		goto out_put;
	err = check_seals(memfd);
	inode_unlock_shared(file_inode(memfd));
out_put:
	fput(memfd);
	return err;
}

/*
 * Returns the new dma-buf's descriptor or a negative error. What is wrong with
 * the numbers is told before anything is pinned.
 */
static int udmabuf_create(u32 flags, u32 count,
			  const struct udmabuf_create_item *list)
{
	u64 limit = (u64)READ_ONCE(size_limit_mb) << (20 - PAGE_SHIFT);
	struct memfd_pins pins = {};
	struct dma_buf *dmabuf;
	u64 nr_pages = 0;
	int ret;
	u32 i;

	for (i = 0; i < count; i++) {
		if (!IS_ALIGNED(list[i].offset | list[i].size, PAGE_SIZE))
			return -EINVAL;
		nr_pages += list[i].size >> PAGE_SHIFT;
		if (nr_pages > limit)
			return -EINVAL;
	}
	ret = memfd_pins_charge(&pins, "udmabuf", nr_pages);
	if (ret)
		return ret;

	for (i = 0; i < count; i++) {
		ret = add_item(&pins, &list[i]);
		if (ret)
			goto err_release;
	}
	dmabuf = udmabuf_export(&pins);
	if (IS_ERR(dmabuf)) {
		ret = PTR_ERR(dmabuf);
		goto err_release;
	}

	ret = dma_buf_fd(dmabuf, flags & UDMABUF_FLAGS_CLOEXEC ? O_CLOEXEC : 0);
	if (ret < 0)
		dma_buf_put(dmabuf);
	return ret;

err_release:
	memfd_pins_release(&pins, false);
	return ret;
}

static int ioctl_create(void __user *arg)
{
	struct udmabuf_create_item item = {};
	struct udmabuf_create create;

	if (copy_from_user(&create, arg, sizeof(create)))
		return -EFAULT;
	item.memfd = create.memfd;
	item.offset = create.offset;
	item.size = create.size;
	return udmabuf_create(create.flags, 1, &item);
}

static int ioctl_create_list(void __user *arg)
{
	struct udmabuf_create_item *list;
	struct udmabuf_create_list head;
	int ret;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (!head.count || head.count > READ_ONCE(list_limit) ||
	    head.count > INT_MAX / sizeof(*list))
		return -EINVAL;

	list = vmemdup_user(arg + sizeof(head), head.count * sizeof(*list));
	if (IS_ERR(list))
		return PTR_ERR(list);
	ret = udmabuf_create(head.flags, head.count, list);
	kvfree(list);
	return ret;
}

static long udmabuf_ioctl(struct file *file, unsigned int cmd,
			  unsigned long arg)
{
	switch (cmd) {
	case UDMABUF_CREATE:
		return ioctl_create((void __user *)arg);
	case UDMABUF_CREATE_LIST:
		return ioctl_create_list((void __user *)arg);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations udmabuf_fops = {
	.owner		= THIS_MODULE,
	.unlocked_ioctl	= udmabuf_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};

/* A second misc device of the name that a built-in udmabuf has is refused. */
static struct miscdevice udmabuf_misc = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= IS_BUILTIN(CONFIG_UDMABUF) ? "udmabuf-pinfold" : "udmabuf",
	.fops	= &udmabuf_fops,
};
module_misc_device(udmabuf_misc);

MODULE_DESCRIPTION("dma-bufs made of memfd memory, at a cost per folio");
MODULE_ALIAS("udmabuf");
MODULE_LICENSE("GPL");
COMPAT_IMPORT_NS(DMA_BUF);
