// SPDX-License-Identifier: GPL-2.0
/*
 * udmabuf - dma-bufs made of memfd memory
 *
 * The device: a program names ranges of sealed memfds and gets a dma-buf of the
 * same pages. They are pinned when it is made, and stay so until it is gone.
 */
#include <linux/dcache.h>
#include <linux/dma-buf.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/memfd_pin.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pin_account.h>
#include <linux/pin_mount.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <uapi/linux/dma-buf.h>
#include <uapi/linux/fcntl.h>
#include <uapi/linux/udmabuf_ext.h>

#include "udmabuf.h"

static unsigned int list_limit = 65536;
module_param(list_limit, uint, 0644);
MODULE_PARM_DESC(list_limit, "Most entries of a list (default 65536)");

static unsigned int size_limit_mb;
module_param(size_limit_mb, uint, 0644);
MODULE_PARM_DESC(size_limit_mb,
		 "Most MiB of a dma-buf; 0: only what its user may pin (default 0)");

static bool allow_readonly;
module_param(allow_readonly, bool, 0644);
MODULE_PARM_DESC(allow_readonly,
		 "Accept memfds that the caller can only read or only write (default N)");

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

static unsigned long size_limit(void)
{
	unsigned long mb = READ_ONCE(size_limit_mb);

	return mb ? min(mb << (20 - PAGE_SHIFT), (unsigned long)U32_MAX) : U32_MAX;
}

static int check_seals(struct file *memfd, unsigned int flags)
{
	int seals = memfd_pin_get_seals(memfd);

	if (seals < 0)
		return -EBADFD;
	if (!(seals & F_SEAL_SHRINK) && !(flags & UDMABUF_FLAGS_UNSEALED))
		return -EINVAL;
	if (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) &&
	    !(flags & UDMABUF_FLAGS_READONLY))
		return -EINVAL;
	return 0;
}

/*
 * Whether the caller may keep the memory of a file that it can only read, when its owner
 * has deleted it. Of a memfd that is what all who were given it can do, by a mapping or
 * a descriptor that the owner gave away. A file with a name is given to nobody.
 */
static bool may_keep(struct file *memfd)
{
	return memfd->f_path.mnt->mnt_flags & MNT_INTERNAL ||
	       inode_owner_or_capable(file_mnt_idmap(memfd), file_inode(memfd));
}

/*
 * What can be done through the dma-buf, the caller must be able to do with the
 * file: to read, and to write anywhere.
 */
static int check_mode(struct file *memfd, unsigned int flags)
{
	fmode_t need = FMODE_READ;

	if (!(flags & UDMABUF_FLAGS_READONLY)) {
		need |= FMODE_WRITE;
		if (IS_APPEND(file_inode(memfd)))
			return -EACCES;
	} else if (flags & UDMABUF_FLAGS_UNSEALED &&
		   !(memfd->f_mode & FMODE_WRITE) && !may_keep(memfd)) {
		return -EACCES;
	}
	if ((memfd->f_mode & need) == need)
		return 0;
	if (flags & ~UDMABUF_FLAGS_NONBLOCK)
		return -EACCES;
	return READ_ONCE(allow_readonly) ? 0 : -EACCES;
}

/*
 * Keep F_SEAL_WRITE off until the pins do, as a writable mapping would: to add it
 * fails at once. The inode lock, which it is added under, is not for us to wait for:
 * whoever has the file can keep it. So if somebody is adding the seal now, and will
 * only know in a moment whether that succeeds, the buffer is refused.
 */
static int hold_off_seal(const struct udmabuf *ubuf, struct file *memfd)
{
	if (ubuf->flags & UDMABUF_FLAGS_READONLY ||
	    !mapping_map_writable(memfd->f_mapping))
		return 0;
	return check_seals(memfd, ubuf->flags) ?: -EBUSY;
}

static void allow_seal(const struct udmabuf *ubuf, struct file *memfd)
{
	if (!(ubuf->flags & UDMABUF_FLAGS_READONLY))
		mapping_unmap_writable(memfd->f_mapping);
}

/*
 * Append slices of one file to the buffer. Those that follow each other in the file
 * are pinned as one, so that a folio is pinned once and not once for each.
 */
static int pin_slices(struct udmabuf *ubuf, struct file *memfd,
		      const struct udmabuf_create_item *list, u32 count)
{
	bool nonblock = ubuf->flags & UDMABUF_FLAGS_NONBLOCK;
	u64 start, size;
	int err;
	u32 i;

	for (i = 0; i < count;) {
		start = list[i].offset;
		size = list[i++].size;
		while (i < count && size && list[i].size &&
		       list[i].offset == start + size) {
			size += list[i++].size;
			cond_resched();
		}
		/* Sizes were checked; what wraps around here ends before it starts. */
		err = memfd_pin_range(&ubuf->pins, memfd, start, start + size - 1,
				      nonblock ? MEMFD_PIN_NONBLOCK : 0);
		if (err)
			return err;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

static int add_slices(struct udmabuf *ubuf, struct file *memfd,
		      const struct udmabuf_create_item *list, u32 count)
{
	int err;

	err = check_seals(memfd, ubuf->flags);
	if (!err)
		err = check_mode(memfd, ubuf->flags);
	if (!err)
		err = pin_mount_hold(&ubuf->mounts, memfd);
	if (!err)
		err = hold_off_seal(ubuf, memfd);
	if (err)
		return err;

	err = pin_slices(ubuf, memfd, list, count);
	allow_seal(ubuf, memfd);
	return err;
}

/* The dma-buf is going to have the file's name, a memfd's without its prefix. */
static char *dup_name(struct file *memfd)
{
	static const char prefix[] = { 'm', 'e', 'm', 'f', 'd', ':' };
	struct dentry *dentry = memfd->f_path.dentry;
	char *copy = kmalloc(DMA_BUF_NAME_LEN, GFP_KERNEL_ACCOUNT);
	const unsigned char *name;
	u32 len;

	if (!copy)
		return NULL;
	/* A file on tmpfs can be renamed. */
	spin_lock(&dentry->d_lock);
	name = dentry->d_name.name;
	len = dentry->d_name.len;
	if (len >= sizeof(prefix) && !memcmp(name, prefix, sizeof(prefix))) {
		name += sizeof(prefix);
		len -= sizeof(prefix);
	}
	len = min(len, (u32)DMA_BUF_NAME_LEN - 1);
	memcpy(copy, name, len);
	spin_unlock(&dentry->d_lock);
	copy[len] = '\0';
	return copy;
}

/* Returns the new dma-buf's name in @name, also if there is an error later on. */
static int add_all(struct udmabuf *ubuf, const struct udmabuf_create_item *list,
		   u32 count, char **name)
{
	struct file *memfd;
	struct fd fd;
	u32 i, nr;
	int err;

	for (i = 0; i < count; i += nr) {
		for (nr = 1; i + nr < count; nr++) {
			if (list[i + nr].memfd != list[i].memfd)
				break;
			cond_resched();
		}
		if (fatal_signal_pending(current))
			return -EINTR;
		fd = fdget(list[i].memfd);
		memfd = fd_file(fd);
		if (!memfd)
			return -EBADFD;
		err = add_slices(ubuf, memfd, list + i, nr);
		if (!err && !i) {
			*name = dup_name(memfd);
			err = *name ? 0 : -ENOMEM;
		}
		fdput(fd);
		if (err)
			return err;
	}
	return 0;
}

/**
 * udmabuf_free() - release a buffer that has no dma-buf, or no longer
 * @ubuf: the buffer
 * @dirty: whether anybody may have written to it
 *
 * Context: may sleep.
 */
void udmabuf_free(struct udmabuf *ubuf, bool dirty)
{
	memfd_pins_release(&ubuf->pins, dirty);
	pin_mounts_release(&ubuf->mounts);
	udmabuf_sync_exit(&ubuf->sync);
	kfree(ubuf);
}

/*
 * Returns a new dma-buf or an ERR_PTR. What is wrong with the numbers is told before
 * anything is pinned. @flags are those of SUPPORTED_FLAGS but UDMABUF_FLAGS_CLOEXEC.
 */
static struct dma_buf *udmabuf_create(unsigned int flags, u32 count,
				      const struct udmabuf_create_item *list)
{
	struct dma_buf *dmabuf;
	struct udmabuf *ubuf;
	char *name = NULL;
	u64 nr_pages = 0;
	int err;
	u32 i;

	for (i = 0; i < count; i++) {
		if (!IS_ALIGNED(list[i].offset | list[i].size, PAGE_SIZE))
			return ERR_PTR(-EINVAL);
		nr_pages += list[i].size >> PAGE_SHIFT;
		if (nr_pages > size_limit())
			return ERR_PTR(-EINVAL);
		cond_resched();
	}
	ubuf = kzalloc(sizeof(*ubuf), GFP_KERNEL_ACCOUNT);
	if (!ubuf)
		return ERR_PTR(-ENOMEM);
	udmabuf_sync_init(&ubuf->sync, &udmabuf_tables);
	ubuf->flags = flags;
	ubuf->uid = current_uid();

	err = memfd_pins_charge(&ubuf->pins, "udmabuf", nr_pages);
	if (!err)
		err = add_all(ubuf, list, count, &name);
	/* It was about this call. */
	ubuf->flags &= ~UDMABUF_FLAGS_NONBLOCK;
	dmabuf = err ? ERR_PTR(err) : udmabuf_export(ubuf, name);
	if (IS_ERR(dmabuf)) {
		udmabuf_free(ubuf, false);
		kfree(name);
	}
	return dmabuf;
}

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
		.size_limit	 = (u64)size_limit() << PAGE_SHIFT,
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

/* A second misc device of the name that a built-in udmabuf has is refused. */
static struct miscdevice udmabuf_misc = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= IS_BUILTIN(CONFIG_UDMABUF) ? "udmabuf-pinfold" : "udmabuf",
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
MODULE_LICENSE("GPL");
COMPAT_IMPORT_NS(DMA_BUF);
