// SPDX-License-Identifier: MIT
/*
 * Export of userptr objects over memfds: a dma-buf of its own, over the same
 * folios, pinned anew. It needs neither the object nor its process.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/hugetlb.h>
#include <linux/memfd.h>
#include <linux/mm.h>
#include <linux/personality.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "i915_gem_object.h"
#include "i915_gem_userptr.h"
#include "udmabuf_sync.h"

/**
 * struct userptr_dmabuf - an exported range of a memfd
 * @pins: its pages
 * @user: who is charged for them
 * @sync: devices and CPU accesses
 */
struct userptr_dmabuf {
	struct userptr_pins *pins;
	struct user_struct *user;
	struct udmabuf_sync sync;
};

static struct sg_table *make_table(struct udmabuf_sync *sync, struct device *dev)
{
	struct userptr_dmabuf *buf = container_of(sync, struct userptr_dmabuf, sync);
	size_t max = min_t(size_t, dma_get_max_seg_size(dev),
			   dma_max_mapping_size(dev));

	return userptr_pins_sgt(buf->pins, dev, max(max, PAGE_SIZE));
}

static void free_table(struct sg_table *sgt)
{
	sg_free_table(sgt);
	kfree(sgt);
}

static const struct udmabuf_sync_ops userptr_tables = {
	.make_table = make_table,
	.free_table = free_table,
};

static int userptr_attach(struct dma_buf *dmabuf,
			  struct dma_buf_attachment *attachment)
{
	struct userptr_dmabuf *buf = dmabuf->priv;

	return udmabuf_attach_device(&buf->sync, attachment);
}

static struct sg_table *userptr_map(struct dma_buf_attachment *attachment,
				    enum dma_data_direction dir)
{
	struct userptr_dmabuf *buf = attachment->dmabuf->priv;

	return udmabuf_map_device(&buf->sync, attachment, dir);
}

static void userptr_unmap(struct dma_buf_attachment *attachment,
			  struct sg_table *sgt, enum dma_data_direction dir)
{
	struct userptr_dmabuf *buf = attachment->dmabuf->priv;

	udmabuf_unmap_device(&buf->sync, attachment, dir);
}

static void userptr_detach(struct dma_buf *dmabuf,
			   struct dma_buf_attachment *attachment)
{
	struct userptr_dmabuf *buf = dmabuf->priv;

	udmabuf_detach_device(&buf->sync, attachment);
}

static int userptr_begin_cpu_access(struct dma_buf *dmabuf,
				    enum dma_data_direction dir)
{
	struct userptr_dmabuf *buf = dmabuf->priv;

	return udmabuf_sync_begin(&buf->sync, dir);
}

static int userptr_end_cpu_access(struct dma_buf *dmabuf,
				  enum dma_data_direction dir)
{
	struct userptr_dmabuf *buf = dmabuf->priv;

	return udmabuf_sync_end(&buf->sync, dir);
}

static vm_fault_t userptr_fault(struct vm_fault *vmf)
{
	struct userptr_dmabuf *buf = vmf->vma->vm_private_data;

	if (vmf->pgoff >= buf->pins->nr_pages)
		return VM_FAULT_SIGBUS;
	return vmf_insert_pfn(vmf->vma, vmf->address,
			      userptr_pins_pfn(buf->pins, vmf->pgoff));
}

static const struct vm_operations_struct userptr_vm_ops = {
	.fault = userptr_fault,
};

static int userptr_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	/* As on a mount with noexec, where PROT_READ does not imply it either. */
	if (vma->vm_flags & VM_EXEC) {
		if (!(current->personality & READ_IMPLIES_EXEC))
			return -EPERM;
		vm_flags_clear(vma, VM_EXEC);
		vma->vm_page_prot = vm_get_page_prot(vma->vm_flags);
	}
	vm_flags_clear(vma, VM_MAYEXEC);
	vma->vm_ops = &userptr_vm_ops;
	vma->vm_private_data = dmabuf->priv;
	vm_flags_set(vma, VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	return 0;
}

static int userptr_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct userptr_dmabuf *buf = dmabuf->priv;
	u32 i, k, nr = 0, nr_pages = buf->pins->nr_pages;
	const struct userptr_run *run;
	struct page **pages;
	void *vaddr;

	pages = kvmalloc_array(nr_pages, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	for (i = 0; i < buf->pins->nr_runs; i++) {
		run = &buf->pins->runs[i];
		for (k = 0; k < run->nr; k++) {
			pages[nr++] = pfn_to_page(run->pfn + k);
			cond_resched();
		}
	}
	vaddr = vmap(pages, nr_pages, VM_MAP, PAGE_KERNEL);
	kvfree(pages);
	if (!vaddr)
		return -ENOMEM;
	iosys_map_set_vaddr(map, vaddr);
	return 0;
}

static void userptr_vunmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	vunmap(map->vaddr);
}

static void free_dmabuf(struct userptr_dmabuf *buf, bool dirty)
{
	atomic_long_sub(buf->pins->nr_pages, &buf->user->locked_vm);
	free_uid(buf->user);
	userptr_pins_free(buf->pins, dirty);
	udmabuf_sync_exit(&buf->sync);
	kfree(buf);
}

/* Devices and mappings may have written anywhere, and nobody has told. */
static void userptr_dmabuf_release(struct dma_buf *dmabuf)
{
	free_dmabuf(dmabuf->priv, true);
}

static const struct dma_buf_ops userptr_dmabuf_ops = {
	.attach = userptr_attach,
	.detach = userptr_detach,
	.map_dma_buf = userptr_map,
	.unmap_dma_buf = userptr_unmap,
	.begin_cpu_access = userptr_begin_cpu_access,
	.end_cpu_access = userptr_end_cpu_access,
	.mmap = userptr_mmap,
	.vmap = userptr_vmap,
	.vunmap = userptr_vunmap,
	.release = userptr_dmabuf_release,
};

/*
 * Whether the file keeps its size, so that nobody's access to the dma-buf's memory
 * ends up outside of it, and may be written to.
 */
static bool seals_are_right(struct file *file)
{
	const unsigned int unwritable = F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;
	unsigned int seals;

	if (is_file_hugepages(file))
		seals = READ_ONCE(HUGETLBFS_I(file_inode(file))->seals);
	else
		seals = READ_ONCE(SHMEM_I(file_inode(file))->seals);
	return (seals & (F_SEAL_SHRINK | unwritable)) == F_SEAL_SHRINK;
}

/* Pins without a notifier last as long as anybody likes, so they are limited. */
static int charge(struct user_struct *user, u32 nr_pages)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	long locked = atomic_long_add_return(nr_pages, &user->locked_vm);

	if (locked <= limit || capable(CAP_IPC_LOCK))
		return 0;
	atomic_long_sub(nr_pages, &user->locked_vm);
	return -ENOMEM;
}

static struct userptr_dmabuf *make_dmabuf(struct file *file, pgoff_t index,
					  u32 nr_pages)
{
	struct inode *inode = file_inode(file);
	struct userptr_dmabuf *buf;
	int err;

	buf = kzalloc(sizeof(*buf), GFP_KERNEL_ACCOUNT);
	if (!buf)
		return ERR_PTR(-ENOMEM);
	udmabuf_sync_init(&buf->sync, &userptr_tables);

	buf->user = get_uid(current_user());
	err = charge(buf->user, nr_pages);
	if (err)
		goto err_user;
	buf->pins = userptr_pin_file(NULL, file, index, nr_pages);
	err = PTR_ERR_OR_ZERO(buf->pins);
	if (err)
		goto err_charge;

	/* Seals that come later find the pins, and those for writing fail. */
	if (down_read_killable(&inode->i_rwsem)) {
		err = -EINTR;
		goto err_free;
	}
	err = seals_are_right(file) ? 0 : -EINVAL;
	inode_unlock_shared(inode);
	if (err)
		goto err_free;
	return buf;

err_free:
	free_dmabuf(buf, false);
	return ERR_PTR(err);
err_charge:
	atomic_long_sub(nr_pages, &buf->user->locked_vm);
err_user:
	free_uid(buf->user);
	udmabuf_sync_exit(&buf->sync);
	kfree(buf);
	return ERR_PTR(err);
}

/**
 * i915_gem_userptr_export() - make a dma-buf of an object's memory
 * @obj: the object
 * @flags: O_CLOEXEC, O_RDWR, O_RDONLY: of the file
 *
 * The object has to be writable, and its range to be one shared, writable mapping
 * of a memfd that is sealed with F_SEAL_SHRINK, and neither with F_SEAL_WRITE nor
 * with F_SEAL_FUTURE_WRITE. The dma-buf is that range of the memfd, as it is
 * mapped now, and does not follow later changes of the mapping, as the object
 * does; nor does it know of the object's fences. Its pages are charged to the
 * caller's locked memory (RLIMIT_MEMLOCK) until it is released.
 *
 * Context: may sleep; takes mmap_lock and the inode lock; of the process that made
 * the object.
 *
 * Return: the dma-buf, or an ERR_PTR: -EINVAL if it is not such an object, -ENOMEM
 * for no memory or the limit, -EAGAIN if the file has changed too often, -EINTR
 * for a fatal signal, or others of userptr_pin_file() and dma_buf_export().
 */
struct dma_buf *i915_gem_userptr_export(struct drm_i915_gem_object *obj,
					int flags)
{
	DEFINE_DMA_BUF_EXPORT_INFO(exp_info);
	struct userptr_dmabuf *buf;
	struct dma_buf *dmabuf;
	struct file *file;
	pgoff_t index;

	if (i915_gem_object_is_readonly(obj) ||
	    obj->userptr.notifier.mm != current->mm)
		return ERR_PTR(-EINVAL);

	file = userptr_find_file(current->mm, obj->userptr.ptr, obj->base.size,
				 true, &index);
	if (IS_ERR(file))
		return ERR_CAST(file);
	if (!file)
		return ERR_PTR(-EINVAL);
	if (seals_are_right(file))
		buf = make_dmabuf(file, index, obj->base.size >> PAGE_SHIFT);
	else
		buf = ERR_PTR(-EINVAL);
	fput(file);
	if (IS_ERR(buf))
		return ERR_CAST(buf);

	exp_info.ops = &userptr_dmabuf_ops;
	exp_info.size = obj->base.size;
	exp_info.flags = flags;
	exp_info.priv = buf;
	dmabuf = dma_buf_export(&exp_info);
	if (IS_ERR(dmabuf)) {
		free_dmabuf(buf, false);
		return dmabuf;
	}
	buf->sync.resv = dmabuf->resv;
	return dmabuf;
}
