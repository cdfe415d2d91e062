// SPDX-License-Identifier: GPL-2.0
/*
 * udmabuf - dma-bufs made of memfd memory
 *
 * The device: a program names ranges of sealed memfds and gets a dma-buf of the
 * same pages.
 */
#include <linux/dma-buf.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pin_account.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <uapi/linux/fcntl.h>
#include <uapi/linux/udmabuf_ext.h>

#include "udmabuf.h"

static unsigned int list_limit = 65536;
module_param(list_limit, uint, 0644);
MODULE_PARM_DESC(list_limit, "Most entries of a list (default 65536)");

static int set_readonly_attach(const char *value,
			       const struct kernel_param *param)
{
	return param_set_uint_minmax(value, param, UDMABUF_ATTACH_NEVER,
				     UDMABUF_ATTACH_ALWAYS);
}

static const struct kernel_param_ops readonly_attach_ops = {
	.set = set_readonly_attach,
	.get = param_get_uint,
};

unsigned int udmabuf_readonly_attach = UDMABUF_ATTACH_IOMMU;
module_param_cb(readonly_attach, &readonly_attach_ops, &udmabuf_readonly_attach,
		0644);
MODULE_PARM_DESC(readonly_attach,
		 "Devices that may attach to read-only dma-bufs: 0 none, 1 those behind an IOMMU, 2 all (default 1)");

#define SUPPORTED_FLAGS	(UDMABUF_FLAGS_CLOEXEC | UDMABUF_FLAGS_READONLY | \
			 UDMABUF_FLAGS_UNSEALED | UDMABUF_FLAGS_NONBLOCK)

/*
 * The list of a request, to be freed by kvfree(), or an ERR_PTR. Whoever raises the limit
 * may let lists take gigabytes: they are charged to the caller, nobody is killed for
 * want of them, and they are copied in pieces.
 */
static struct udmabuf_create_item *copy_list(void __user *from, u32 count)
{
	struct udmabuf_create_item *list;
	u32 done, nr;

	if (!count || count > READ_ONCE(list_limit) ||
	    count > INT_MAX / sizeof(*list))
		return ERR_PTR(-EINVAL);
	list = kvmalloc_array(count, sizeof(*list), GFP_KERNEL_ACCOUNT |
			      __GFP_RETRY_MAYFAIL | __GFP_NOWARN);
	if (!list)
		return ERR_PTR(-ENOMEM);
	for (done = 0; done < count; done += nr) {
		nr = min_t(u32, count - done, SZ_1M / sizeof(*list));
		if (copy_from_user(list + done, from + done * sizeof(*list),
				   nr * sizeof(*list))) {
			kvfree(list);
			return ERR_PTR(-EFAULT);
		}
		if (fatal_signal_pending(current)) {
			kvfree(list);
			return ERR_PTR(-EINTR);
		}
		cond_resched();
	}
	return list;
}

/* Returns the new dma-buf's descriptor. Flags that are unknown are ignored. */
static int install(struct dma_buf *dmabuf, u32 flags)
{
	int fd;

	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	fd = dma_buf_fd(dmabuf, flags & UDMABUF_FLAGS_CLOEXEC ? O_CLOEXEC : 0);
	if (fd < 0)
		dma_buf_put(dmabuf);
	return fd;
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
	return install(udmabuf_create(0, 1, &item), create.flags);
}

static int ioctl_create_list(void __user *arg)
{
	struct udmabuf_create_item *list;
	struct udmabuf_create_list head;
	int fd;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	list = copy_list(arg + sizeof(head), head.count);
	if (IS_ERR(list))
		return PTR_ERR(list);
	fd = install(udmabuf_create(0, head.count, list), head.flags);
	kvfree(list);
	return fd;
}

static int ioctl_create_ext(void __user *arg)
{
	struct udmabuf_create_item *list;
	struct udmabuf_create_ext create;
	struct dma_buf *dmabuf;
	int err;

	if (copy_from_user(&create, arg, sizeof(create)))
		return -EFAULT;
	if (create.flags & ~SUPPORTED_FLAGS || create.reserved)
		return -EINVAL;
	list = copy_list(u64_to_user_ptr(create.items), create.count);
	if (IS_ERR(list))
		return PTR_ERR(list);

	create.fd = get_unused_fd_flags(create.flags & UDMABUF_FLAGS_CLOEXEC ?
					O_CLOEXEC : 0);
	if (create.fd < 0) {
		err = create.fd;
		goto out_free;
	}
	dmabuf = udmabuf_create(create.flags & ~UDMABUF_FLAGS_CLOEXEC,
				create.count, list);
	if (IS_ERR(dmabuf)) {
		err = PTR_ERR(dmabuf);
		goto err_fd;
	}
	if (copy_to_user(arg, &create, sizeof(create))) {
		err = -EFAULT;
		goto err_dmabuf;
	}
	fd_install(create.fd, dmabuf->file);
	err = 0;
	goto out_free;

err_dmabuf:
	dma_buf_put(dmabuf);
err_fd:
	put_unused_fd(create.fd);
out_free:
	kvfree(list);
	return err;
}

static int ioctl_get_info(void __user *arg)
{
	struct udmabuf_info info = {
		.version	 = UDMABUF_EXT_VERSION,
		.flags		 = SUPPORTED_FLAGS,
		.list_limit	 = READ_ONCE(list_limit),
		.readonly_attach = READ_ONCE(udmabuf_readonly_attach),
		.features	 = udmabuf_features(),
		.size_limit	 = (u64)udmabuf_size_limit() << PAGE_SHIFT,
	};
	unsigned long pinned, available;

	pin_account_query(&pinned, &available);
	info.pinned = (u64)pinned << PAGE_SHIFT;
	info.available = available == ULONG_MAX ? U64_MAX :
						  (u64)available << PAGE_SHIFT;
	return copy_to_user(arg, &info, sizeof(info)) ? -EFAULT : 0;
}

static long udmabuf_ioctl(struct file *file, unsigned int cmd,
			  unsigned long arg)
{
	switch (cmd) {
	case UDMABUF_CREATE:
		return ioctl_create((void __user *)arg);
	case UDMABUF_CREATE_LIST:
		return ioctl_create_list((void __user *)arg);
	case UDMABUF_CREATE_EXT:
		return ioctl_create_ext((void __user *)arg);
	case UDMABUF_GET_INFO:
		return ioctl_get_info((void __user *)arg);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations udmabuf_fops = {
	.owner		= THIS_MODULE,
	.unlocked_ioctl	= udmabuf_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};

#ifndef UDMABUF_DEVICE
#define UDMABUF_DEVICE	"udmabuf"
#endif

static struct miscdevice udmabuf_misc = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= UDMABUF_DEVICE,
	.fops	= &udmabuf_fops,
};

static int __init udmabuf_init(void)
{
	int err;

	udmabuf_debug_init();
	err = misc_register(&udmabuf_misc);
	if (err)
		udmabuf_debug_exit();
	return err;
}
module_init(udmabuf_init);

static void __exit udmabuf_exit(void)
{
	misc_deregister(&udmabuf_misc);
	udmabuf_debug_exit();
}
module_exit(udmabuf_exit);

MODULE_DESCRIPTION("dma-bufs made of memfd memory, at a cost per folio");
MODULE_ALIAS("udmabuf");
#ifdef PINFOLD_VERSION
MODULE_VERSION(PINFOLD_VERSION);
#endif
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");
