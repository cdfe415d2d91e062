// SPDX-License-Identifier: MIT
/*
 * Tests of userptr objects whose file others keep locked.
 */
#include <linux/completion.h>
#include <linux/fdtable.h>
#include <linux/kthread.h>
#include <linux/rwsem.h>

#include "igt_client.h"

/*
 * A thread that holds a lock until somebody waits for it, or it is told to stop: that of
 * @folio or, without one, of @inode.
 */
struct igt_holder {
	struct drm_device *drm;
	struct folio *folio;
	struct inode *inode;
	struct completion holds;
	bool waited;	/* somebody has waited for it, and */
	bool others;	/* others could make handles meanwhile */
};

static bool is_waited_for(struct igt_holder *holder)
{
	if (holder->folio)
		return folio_test_waiters(holder->folio);
	return rwsem_is_contended(&holder->inode->i_rwsem);
}

static int holder_thread(void *arg)
{
	struct igt_holder *holder = arg;

	if (holder->folio)
		folio_lock(holder->folio);
	else
		inode_lock(holder->inode);
	complete(&holder->holds);

	while (!holder->waited && !kthread_should_stop()) {
		holder->waited = is_waited_for(holder);
		schedule_timeout_idle(1);
	}
	/* DRM takes it to make handles, and to close them. */
	holder->others = mutex_trylock(&holder->drm->object_name_lock);
	if (holder->others)
		mutex_unlock(&holder->drm->object_name_lock);

	if (holder->folio)
		folio_unlock(holder->folio);
	else
		inode_unlock(holder->inode);
	wait_for_stop();
	return 0;
}

/* As the ioctl does. Whatever comes of it is closed again. */
static int export_handle(struct drm_i915_gem_object *obj, struct drm_file *file)
{
	struct dma_buf *dmabuf;
	u32 handle;
	int err, fd;

	err = drm_gem_handle_create(file, &obj->base, &handle);
	if (err)
		return err;
	err = i915_gem_prime_handle_to_fd(obj->base.dev, file, handle,
					  DRM_RDWR | DRM_CLOEXEC, &fd);
	if (!err) {
		dmabuf = dma_buf_get(fd);
		close_fd(fd);
		drm_gem_handle_delete(file, handle);
		release_dmabuf(dmabuf);
	} else {
		drm_gem_handle_delete(file, handle);
	}
	flush_delayed_fput();
	return err;
}

/* Export an object while the lock is held. Returns what that returns. */
static int export_with_lock(struct igt_holder *holder,
			    struct drm_i915_gem_object *obj)
{
	struct igt_client client;
	struct task_struct *task;
	int err;

	holder->drm = obj->base.dev;
	err = igt_client_open(&client, to_i915(holder->drm));
	if (err)
		return err;
	init_completion(&holder->holds);
	task = kthread_run(holder_thread, holder, "igt/userptr");
	if (ok(!IS_ERR(task))) {
		wait_for_completion(&holder->holds);
		err = export_handle(obj, client.file);
		if (!holder->folio && !err)
			err = igt_userptr_submit(obj);
		kthread_stop(task);
	} else {
		err = PTR_ERR(task);
	}
	igt_client_close(&client);
	return err;
}

/* A folio that is locked, and has no contents yet, is waited for. */
static int igt_userptr_wait_folio(void *arg)
{
	struct file *file = make_shmem(SIZE);
	struct igt_holder holder = {};
	struct igt_userptr mem;
	bool good;

	good = igt_userptr_begin(&mem, arg, file, 0, SIZE, 0, NR) &&
	       seal(file, F_SEAL_SHRINK) && ok(!vfs_fallocate(file, 0, 0, SIZE));
	if (!good)
		return igt_userptr_end(&mem, good);
	holder.folio = filemap_get_folio(file->f_mapping, NR / 2);
	good = ok(!IS_ERR(holder.folio));
	if (good) {
		good = ok(!export_with_lock(&holder, mem.obj)) &&
		       ok(holder.waited) && ok(holder.others);
		folio_put(holder.folio);
	}
	return igt_userptr_end(&mem, good);
}

/* A hole of hugetlbfs takes the inode lock. */
static int igt_userptr_wait_hugetlb(void *arg)
{
	struct file *file = make_hugetlb(SZ_2M);
	struct igt_holder holder = {};
	struct igt_userptr mem;
	bool good;

	if (IS_ERR(file)) {
		pr_info("%s: skipped: no huge pages: %pe\n", __func__, file);
		return 0;
	}
	holder.inode = file_inode(file);
	good = igt_userptr_begin(&mem, arg, file, 0, SZ_2M, 0, SZ_2M / PAGE_SIZE) &&
	       seal(file, F_SEAL_SHRINK) &&
	       ok(!export_with_lock(&holder, mem.obj)) &&
	       ok(holder.waited) && ok(holder.others);
	return igt_userptr_end(&mem, good);
}

/*
 * For the inode lock of shmem nobody waits: neither the export, nor a submission,
 * which pins page by page then.
 */
static int igt_userptr_wait_for_nobody(void *arg)
{
	struct file *file = make_shmem(SIZE);
	struct igt_holder holder = {};
	struct igt_userptr mem;
	bool good;

	if (!ok(!IS_ERR(file)))
		return PTR_ERR(file);
	holder.inode = file_inode(file);
	good = igt_userptr_begin(&mem, arg, file, 0, SIZE, 0, NR) &&
	       seal(file, F_SEAL_SHRINK) &&
	       ok(!export_with_lock(&holder, mem.obj)) && ok(!holder.waited) &&
	       ok(!by_folio(mem.obj)) && write_and_read(mem.obj, 13);
	return igt_userptr_end(&mem, good);
}
