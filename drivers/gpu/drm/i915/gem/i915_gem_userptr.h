/* SPDX-License-Identifier: MIT */
/*
 * What the files of the userptr objects share: pinned user memory, how it is pinned,
 * released, and exported.
 */
#ifndef __I915_GEM_USERPTR_H__
#define __I915_GEM_USERPTR_H__

#include <linux/memfd_pin.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct dma_buf;
struct drm_device;
struct drm_file;
struct drm_i915_gem_object;
struct file;
struct mm_struct;
struct pin_mount;

/**
 * struct userptr_pins - the pinned pages behind an object
 * @pages: all of them
 * @by_folio: each folio in a span has one pin, instead of one for each page
 * @mounts: mounts that have to outlive the pages
 * @wq: where @work is queued
 * @work: finishes a release that would have to wait
 * @span: of pages that are pinned one by one, the span that a release goes on with,
 * @page: and the page in it
 *
 * Belongs to whoever made it, and does not change until it is released.
 */
struct userptr_pins {
	struct memfd_pins pages;
	bool by_folio;
	struct pin_mount *mounts;
	struct workqueue_struct *wq;
	struct work_struct work;
	unsigned long span;
	u32 page;
};

struct userptr_pins *userptr_pins_alloc(struct workqueue_struct *wq,
					bool by_folio);
void userptr_pins_free(struct userptr_pins *pins, bool dirty);

struct userptr_pins *userptr_pin_user(struct workqueue_struct *wq,
				      unsigned long start, u32 nr_pages,
				      unsigned int gup_flags);
struct userptr_pins *userptr_pin_file(struct workqueue_struct *wq,
				      struct file *file, pgoff_t index,
				      u32 nr_pages);
bool userptr_in_file(const struct memfd_pins *pages);
struct file *userptr_find_file(struct mm_struct *mm, unsigned long start,
			       unsigned long size, bool write, bool keys,
			       pgoff_t *index);

#ifdef CONFIG_MMU_NOTIFIER
int i915_gem_prime_handle_to_fd(struct drm_device *dev, struct drm_file *file,
				u32 handle, u32 flags, int *fd);
#else
#define i915_gem_prime_handle_to_fd	NULL
#endif
int i915_gem_userptr_export_prepare(struct drm_i915_gem_object *obj, u32 flags);
void i915_gem_userptr_export_cancel(struct drm_i915_gem_object *obj);
struct dma_buf *i915_gem_userptr_export(struct drm_i915_gem_object *obj);

#endif /* __I915_GEM_USERPTR_H__ */
