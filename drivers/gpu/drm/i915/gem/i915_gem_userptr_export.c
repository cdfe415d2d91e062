// SPDX-License-Identifier: MIT
/*
 * Export of userptr objects over memfds: a dma-buf of its own, over the same
 * folios, pinned anew. It is udmabuf's, and needs neither the object nor its process.
 *
 * DRM asks for the dma-buf of an object with the device's object_name_lock held, which
 * every process needs to make or close a handle. Pinning may wait for whatever another
 * user of the file does. So it is done before DRM is called, and DRM is given what is
 * ready.
 */
#include <linux/dma-buf.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/udmabuf_export.h>
#include <drm/drm_device.h>
#include <drm/drm_prime.h>

#include "i915_gem_object.h"
#include "i915_gem_userptr.h"

static struct dma_buf *make_dmabuf(struct drm_i915_gem_object *obj, u32 flags)
{
	struct dma_buf *dmabuf;
	struct file *file;
	pgoff_t index;

	if (i915_gem_object_is_readonly(obj) ||
	    obj->userptr.notifier.mm != current->mm)
		return ERR_PTR(-EINVAL);

	file = userptr_find_file(current->mm, obj->userptr.ptr, obj->base.size,
				 true, true, &index);
	if (IS_ERR(file))
		return ERR_CAST(file);
	if (!file)
		return ERR_PTR(-EINVAL);
	dmabuf = udmabuf_export_file(file, (loff_t)index << PAGE_SHIFT,
				     obj->base.size, flags & O_ACCMODE,
				     THIS_MODULE);
	fput(file);
	return dmabuf;
}

/* Whether DRM has the object's dma-buf, or is going to be given it. */
static bool is_exported(struct drm_i915_gem_object *obj)
{
	struct drm_device *drm = obj->base.dev;
	bool exported;

	mutex_lock(&drm->object_name_lock);
	exported = obj->base.dma_buf || obj->userptr.dmabuf;
	mutex_unlock(&drm->object_name_lock);
	return exported;
}

/**
 * i915_gem_userptr_export_prepare() - make what DRM is going to ask for
 * @obj: the object
 * @flags: O_RDWR, O_RDONLY: of the dma-buf's file; others are ignored
 *
 * The object has to be writable, and its range to be one shared, writable mapping
 * of a memfd that is sealed with F_SEAL_SHRINK, and neither with F_SEAL_WRITE nor
 * with F_SEAL_FUTURE_WRITE. The dma-buf is that range of the memfd, as it is
 * mapped now, and does not follow later changes of the mapping, as the object
 * does; nor does it know of the object's fences. It is charged to the caller as every
 * udmabuf is.
 *
 * Does nothing if the object has been exported before. To be followed by
 * i915_gem_userptr_export_cancel().
 *
 * Context: may sleep, as udmabuf_export_file(); takes mmap_lock and object_name_lock; of
 * the process that made the object, with no locks held.
 *
 * Return: 0, or -EINVAL if it is not such an object, -EINTR for a fatal signal, or
 * others of udmabuf_export_file().
 */
int i915_gem_userptr_export_prepare(struct drm_i915_gem_object *obj, u32 flags)
{
	struct drm_device *drm = obj->base.dev;
	struct dma_buf *dmabuf;

	if (is_exported(obj))
		return 0;
	dmabuf = make_dmabuf(obj, flags);
	/* Of two threads, one is enough, also where the limit has room for one. */
	if (IS_ERR(dmabuf))
		return is_exported(obj) ? 0 : PTR_ERR(dmabuf);
	mutex_lock(&drm->object_name_lock);
	if (!obj->userptr.dmabuf)
		swap(obj->userptr.dmabuf, dmabuf);
	mutex_unlock(&drm->object_name_lock);
	if (dmabuf)
		dma_buf_put(dmabuf);
	return 0;
}

/**
 * i915_gem_userptr_export_cancel() - release what DRM has not asked for
 * @obj: the object, after i915_gem_userptr_export_prepare()
 *
 * Context: may sleep; takes object_name_lock.
 */
void i915_gem_userptr_export_cancel(struct drm_i915_gem_object *obj)
{
	struct drm_device *drm = obj->base.dev;
	struct dma_buf *dmabuf;

	mutex_lock(&drm->object_name_lock);
	dmabuf = fetch_and_zero(&obj->userptr.dmabuf);
	mutex_unlock(&drm->object_name_lock);
	if (dmabuf)
		dma_buf_put(dmabuf);
}

/**
 * i915_gem_userptr_export() - give DRM the dma-buf of an object
 * @obj: the object
 *
 * Context: with object_name_lock held.
 *
 * Return: the dma-buf that i915_gem_userptr_export_prepare() has made, or
 * ERR_PTR(-EAGAIN) if there is none, because another thread was faster and failed.
 */
struct dma_buf *i915_gem_userptr_export(struct drm_i915_gem_object *obj)
{
	return fetch_and_zero(&obj->userptr.dmabuf) ?: ERR_PTR(-EAGAIN);
}

/**
 * i915_gem_prime_handle_to_fd() - DRM_IOCTL_PRIME_HANDLE_TO_FD
 * @dev: the device
 * @file: whose handle it is
 * @handle: of any object
 * @flags: DRM_CLOEXEC, DRM_RDWR
 * @fd: returns the descriptor of the dma-buf
 *
 * Context: may sleep; with no locks held.
 *
 * Return: 0, or an error: -ENOENT if there is no such handle, those of
 * i915_gem_userptr_export_prepare(), or of drm_gem_prime_handle_to_fd().
 */
int i915_gem_prime_handle_to_fd(struct drm_device *dev, struct drm_file *file,
				u32 handle, u32 flags, int *fd)
{
	struct drm_i915_gem_object *obj = i915_gem_object_lookup(file, handle);
	int err;

	if (!obj)
		return -ENOENT;
	if (!i915_gem_object_is_userptr(obj)) {
		err = drm_gem_prime_handle_to_fd(dev, file, handle, flags, fd);
	} else {
		err = i915_gem_userptr_export_prepare(obj, flags);
		if (!err)
			err = drm_gem_prime_handle_to_fd(dev, file, handle,
							 flags, fd);
		i915_gem_userptr_export_cancel(obj);
	}
	i915_gem_object_put(obj);
	return err;
}
