/* SPDX-License-Identifier: MIT */
/*
 * What tests of userptr objects make them of: memory of every kind. It knows nothing of
 * the objects, so that i915 as it came can be measured with it, too.
 */
#ifndef __IGT_MEMORY_H__
#define __IGT_MEMORY_H__

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/mman.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/shmem_fs.h>
#include <uapi/linux/falloc.h>

#define RW	(PROT_READ | PROT_WRITE)

/* Says what was not as expected; for chains of &&. */
#define ok(cond)	igt_ok(cond, #cond, __func__, __LINE__)

static inline bool igt_ok(bool cond, const char *what, const char *func, int line)
{
	if (!cond)
		pr_err("%s:%d: not so: %s\n", func, line, what);
	return cond;
}

/* Map a file, or anonymous memory, at @addr if it is not 0. */
static inline unsigned long map_at(unsigned long addr, struct file *file,
				   unsigned long size, unsigned long offset)
{
	unsigned long flags = file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;

	if (addr)
		flags |= MAP_FIXED;
	return vm_mmap(file, addr, size, RW, flags, offset);
}

static inline struct file *make_shmem(unsigned long size)
{
	return shmem_file_setup("igt", size, VM_NORESERVE);
}

static inline int punch_hole(struct file *file, unsigned long start,
			     unsigned long size)
{
	return vfs_fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			     start, size);
}

/* A file with holes for huge pages, or an error if they cannot be had. */
static inline struct file *make_hugetlb(unsigned long size)
{
	struct file_system_type *type = get_fs_type("hugetlbfs");
	struct vfsmount *mnt;
	struct file *file;
	int err;

	if (!type)
		return ERR_PTR(-ENODEV);
	mnt = kern_mount(type);
	if (IS_ERR(mnt))
		return ERR_CAST(mnt);
	file = file_open_root_mnt(mnt, "igt", O_RDWR | O_CREAT, 0600);
	if (!IS_ERR(file)) {
		err = vfs_fallocate(file, 0, 0, size) ?: punch_hole(file, 0, size);
		if (err) {
			fput(file);
			file = ERR_PTR(err);
		}
	}
	kern_unmount(mnt);
	return file;
}

/* Change the flags of a mapping, and nothing else. */
static inline bool change_vma(unsigned long addr, vm_flags_t set, vm_flags_t clear)
{
	struct vm_area_struct *vma;

	mmap_write_lock(current->mm);
	vma = vma_lookup(current->mm, addr);
	if (vma)
		vm_flags_mod(vma, set, clear);
	mmap_write_unlock(current->mm);
	return ok(vma);
}

#endif /* __IGT_MEMORY_H__ */
