// SPDX-License-Identifier: MIT
/*
 * Tests of what a program does with userptr objects by their handles.
 */
#include "gem/i915_gem_internal.h"

#include "igt_client.h"

/* An object made by the ioctl is over those pages, and goes with its handle. */
static bool make_handle(struct igt_client *client, struct file *file,
			unsigned long addr, u32 flags)
{
	struct drm_i915_gem_userptr args = {
		.user_ptr = addr, .user_size = SIZE, .flags = flags,
	};
	struct drm_i915_gem_object *obj;
	bool good;

	if (!ok(!i915_gem_userptr_ioctl(client->drm, &args, client->file)))
		return false;
	obj = i915_gem_object_lookup(client->file, args.handle);
	if (!ok(obj))
		return false;
	good = ok(i915_gem_object_is_userptr(obj)) &&
	       ok(i915_gem_object_is_readonly(obj) ==
		  !!(flags & I915_USERPTR_READ_ONLY)) &&
	       ok(!i915_gem_object_userptr_validate(obj)) &&
	       sgt_is_file(obj->mm.pages, file, 0, NR, UINT_MAX) &&
	       ok(!drm_gem_handle_delete(client->file, args.handle)) &&
	       ok(!i915_gem_object_lookup(client->file, args.handle)) &&
	       ok(kref_read(&obj->base.refcount) == 1);
	i915_gem_object_put(obj);
	return good;
}

static int igt_userptr_handle(void *arg)
{
	static const u32 flags[] = {
		0, I915_USERPTR_PROBE, I915_USERPTR_READ_ONLY,
		I915_USERPTR_READ_ONLY | I915_USERPTR_PROBE,
	};
	struct drm_i915_private *i915 = arg;
	struct i915_address_space *vm = to_gt(i915)->vm;
	const struct intel_device_info *info = i915->__info;
	struct intel_device_info snooping = *info;
	bool readonly = vm->has_read_only, good;
	struct igt_client client;
	struct igt_userptr mem;
	int i, err;

	err = igt_client_open(&client, i915);
	if (err)
		return err;
	good = igt_userptr_begin(&mem, i915, make_shmem(SIZE), 0, SIZE, 0, NR);

	snooping.has_snoop = true;
	i915->__info = &snooping;
	vm->has_read_only = true;
	for (i = 0; i < ARRAY_SIZE(flags) && good; i++)
		good = make_handle(&client, mem.file, mem.addr, flags[i]);
	vm->has_read_only = readonly;
	i915->__info = info;

	igt_client_close(&client);
	return igt_userptr_end(&mem, good);
}

/* Handles that are not of a userptr object go to DRM, or nowhere. */
static int igt_userptr_handle_export(void *arg)
{
	struct drm_i915_private *i915 = arg;
	struct drm_i915_gem_object *obj;
	struct igt_client client;
	int err, fd = -1;
	bool good;

	obj = i915_gem_object_create_internal(i915, PAGE_SIZE);
	if (!ok(!IS_ERR(obj)))
		return PTR_ERR(obj);
	err = igt_client_open(&client, i915);
	if (!err) {
		good = ok(i915_gem_prime_handle_to_fd(client.drm, client.file, 1,
						      DRM_CLOEXEC, &fd) == -ENOENT) &&
		       ok(fd == -1) && ok(!export_handle(obj, client.file));
		igt_client_close(&client);
		err = good ? 0 : -EINVAL;
	}
	i915_gem_object_put(obj);
	return err;
}
