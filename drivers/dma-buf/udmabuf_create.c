// SPDX-License-Identifier: GPL-2.0
/*
 * udmabuf - dma-bufs made of memfd memory
 *
 * Ranges of files become a buffer: what may be pinned, for whom, and under which name.
 * Pages are pinned when a buffer is made, and stay so until it is gone.
 */
#include <linux/dcache.h>
#include <linux/dma-buf.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/memfd_pin.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pin_mount.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/udmabuf_export.h>
#include <uapi/linux/dma-buf.h>
#include <uapi/linux/fcntl.h>
#include <uapi/linux/udmabuf_ext.h>

#include "udmabuf.h"

static unsigned int size_limit_mb;
module_param(size_limit_mb, uint, 0644);
MODULE_PARM_DESC(size_limit_mb,
		 "Most MiB of a dma-buf; 0: only what its user may pin (default 0)");

static bool allow_readonly;
module_param(allow_readonly, bool, 0644);
MODULE_PARM_DESC(allow_readonly,
		 "Accept memfds that the caller can only read or only write (default N)");

static bool partial_page = true;
module_param(partial_page, bool, 0644);
MODULE_PARM_DESC(partial_page,
		 "Accept ranges that end behind the file, in its last page (default Y)");

/**
 * udmabuf_features() - what may be done, by the parameters
 *
 * Return: UDMABUF_FEATURE_*
 */
u64 udmabuf_features(void)
{
	return READ_ONCE(partial_page) ? UDMABUF_FEATURE_PARTIAL_PAGE : 0;
}

/**
 * udmabuf_size_limit() - how large a dma-buf may be
 *
 * Return: the limit in pages; there may be less that its user may pin.
 */
unsigned long udmabuf_size_limit(void)
{
	/* On 32 bits the size in bytes is what ends first. */
	const u64 most = min_t(u64, U32_MAX, SIZE_MAX >> PAGE_SHIFT);
	u64 mb = READ_ONCE(size_limit_mb);

	return mb ? min(mb << (20 - PAGE_SHIFT), most) : most;
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
		if (start + size > i_size_read(file_inode(memfd)) &&
		    !READ_ONCE(partial_page))
			return -EINVAL;
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

/* Append slices of one file. The name of the first one is returned in @name. */
static int add_file(struct udmabuf *ubuf, struct file *memfd,
		    const struct udmabuf_create_item *list, u32 count, char **name)
{
	int err;

	err = add_slices(ubuf, memfd, list, count);
	if (!err && !*name) {
		*name = dup_name(memfd);
		err = *name ? 0 : -ENOMEM;
	}
	return err;
}

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
		err = add_file(ubuf, memfd, list + i, nr, name);
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

/* How many pages there are in all, or -EINVAL if something is wrong with the numbers. */
static long count_pages(const struct udmabuf_create_item *list, u32 count)
{
	u64 nr_pages = 0;
	u32 i;

	for (i = 0; i < count; i++) {
		if (!IS_ALIGNED(list[i].offset | list[i].size, PAGE_SIZE))
			return -EINVAL;
		nr_pages += list[i].size >> PAGE_SHIFT;
		if (nr_pages > udmabuf_size_limit())
			return -EINVAL;
		cond_resched();
	}
	return nr_pages;
}

/*
 * Make a dma-buf of ranges that a program names by descriptors in @list; or of those of
 * @memfd, for the driver @owner. Returns it or an ERR_PTR.
 */
static struct dma_buf *make_dmabuf(unsigned int flags, u32 count,
				   const struct udmabuf_create_item *list,
				   struct file *memfd, struct module *owner,
				   int file_flags)
{
	long nr_pages = count_pages(list, count);
	struct dma_buf *dmabuf;
	struct udmabuf *ubuf;
	char *name = NULL;
	int err;

	if (nr_pages < 0)
		return ERR_PTR(nr_pages);
	ubuf = kzalloc(sizeof(*ubuf), GFP_KERNEL_ACCOUNT);
	if (!ubuf)
		return ERR_PTR(-ENOMEM);
	udmabuf_sync_init(&ubuf->sync);
	ubuf->flags = flags;
	ubuf->uid = current_uid();

	err = memfd_pins_charge(&ubuf->pins, owner ? module_name(owner) : "udmabuf",
				nr_pages);
	if (!err)
		err = memfd ? add_file(ubuf, memfd, list, count, &name) :
			      add_all(ubuf, list, count, &name);
	/* It was about this call. */
	ubuf->flags &= ~UDMABUF_FLAGS_NONBLOCK;
	dmabuf = err ? ERR_PTR(err) : udmabuf_export(ubuf, name, owner, file_flags);
	if (IS_ERR(dmabuf)) {
		udmabuf_free(ubuf, false);
		kfree(name);
	}
	return dmabuf;
}

/**
 * udmabuf_create() - make a dma-buf of what a program names
 * @flags: UDMABUF_FLAGS_READONLY, UDMABUF_FLAGS_UNSEALED, UDMABUF_FLAGS_NONBLOCK
 * @count: entries of @list, at least 1
 * @list: ranges of files
 *
 * What is wrong with the numbers is told before anything is pinned.
 *
 * Context: may sleep; with no locks held.
 *
 * Return: the dma-buf, or an ERR_PTR, see Documentation/udmabuf.rst.
 */
struct dma_buf *udmabuf_create(unsigned int flags, u32 count,
			       const struct udmabuf_create_item *list)
{
	return make_dmabuf(flags, count, list, NULL, NULL,
			   flags & UDMABUF_FLAGS_READONLY ? O_RDONLY : O_RDWR);
}

/**
 * udmabuf_export_file() - make a dma-buf of a range of a memfd, for another driver
 * @memfd: the file, which the caller may read and write, sealed as UDMABUF_CREATE wants it
 * @start: byte offset of the range in the file, a multiple of the page size
 * @size: its length in bytes, a multiple of the page size
 * @file_flags: O_RDWR or O_RDONLY: of the dma-buf's file
 * @owner: the driver that calls, which is shown beside the charge, and stays loaded as long
 *	as there is the dma-buf, with its fences
 *
 * It is one of ours in every respect: charged to the calling process, in the list of
 * buffers, named like the file.
 *
 * Context: may sleep, as memfd_pin_range(): waits for what others hold, until a fatal
 * signal. The caller holds no lock that somebody else might want meanwhile, nor
 * mmap_lock, an inode lock or dma_resv.
 *
 * Return: the dma-buf, or an ERR_PTR: -EBADFD if @memfd is not on shmem or hugetlbfs,
 * -EINVAL if it is not sealed so, or for a range that is empty or outside of it, -EACCES if
 * it can only be appended to, -EBUSY while F_SEAL_WRITE is being added, or those of
 * memfd_pins_charge(), memfd_pin_range() and dma_buf_export().
 */
struct dma_buf *udmabuf_export_file(struct file *memfd, loff_t start, u64 size,
				    int file_flags, struct module *owner)
{
	const struct udmabuf_create_item item = { .offset = start, .size = size };

	return make_dmabuf(0, 1, &item, memfd, owner, file_flags);
}
EXPORT_SYMBOL_GPL(udmabuf_export_file);
