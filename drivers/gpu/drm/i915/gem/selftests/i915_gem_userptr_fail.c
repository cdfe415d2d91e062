// SPDX-License-Identifier: MIT
/*
 * Tests of userptr objects without memory for one of their allocations: the n-th
 * one of a call fails, for n = 1, 2, … until there is no n-th one. Whoever loads
 * the module has set up failslab and fail_page_alloc.
 */

/* What one round after the other makes, each step of what came before it */
struct igt_trial {
	struct drm_i915_private *i915, *other;
	struct igt_userptr mem;
	struct dma_buf *dmabuf;
	struct drm_gem_object *import;
	unsigned int failed;
};

static int trial_create(struct igt_trial *trial)
{
	trial->mem.obj = userptr_create(trial->i915, trial->mem.addr,
					trial->mem.size, false);
	return PTR_ERR_OR_ZERO(trial->mem.obj);
}

/*
 * The pages go again, for the checks of the DMA API complain of what is mapped for
 * two devices.
 */
static int trial_submit(struct igt_trial *trial)
{
	struct drm_i915_gem_object *obj = trial->mem.obj;
	int err;

	err = igt_userptr_submit(obj);
	if (err)
		return err;
	i915_gem_object_lock(obj, NULL);
	err = __i915_gem_object_put_pages(obj);
	i915_gem_object_unlock(obj);
	return err;
}

static int trial_export(struct igt_trial *trial)
{
	trial->dmabuf = export_object(trial->mem.obj);
	return PTR_ERR_OR_ZERO(trial->dmabuf);
}

static int trial_import(struct igt_trial *trial)
{
	struct drm_gem_object *import;
	int err;

	import = i915_gem_prime_import(&trial->other->drm, trial->dmabuf);
	if (IS_ERR(import))
		return PTR_ERR(import);
	err = i915_gem_object_pin_pages_unlocked(to_intel_bo(import));
	if (err) {
		drm_gem_object_put(import);
		return err;
	}
	i915_gem_object_unpin_pages(to_intel_bo(import));
	trial->import = import;
	return 0;
}

static int (* const trial_steps[])(struct igt_trial *trial) = {
	trial_create, trial_submit, trial_export, trial_import,
};

/*
 * Let the @n-th allocation of a step fail. Returns whether there is one, or an
 * error if the step has not taken it well.
 */
static int fail_step(struct igt_trial *trial, unsigned int step, unsigned int n)
{
	long pins = pins_held(), charge = pages_charged();
	bool injected;
	int err;

	current->fail_nth = n;
	err = trial_steps[step](trial);
	injected = !current->fail_nth;
	current->fail_nth = 0;
	if (!err)
		return injected;
	trial->failed++;
	if (ok(injected) && ok(err == -ENOMEM) && ok(pins_held() == pins) &&
	    ok(pages_charged() == charge) && ok(!trial_steps[step](trial)))
		return true;
	pr_err("step %u, allocation %u: %d\n", step, n, err);
	return -EINVAL;
}

/* All steps up to @step, where an allocation fails; nothing may be left over. */
static int fail_round(struct igt_trial *trial, struct file *file,
		      unsigned long size, unsigned int step, unsigned int n)
{
	long pins = pins_held(), charge = pages_charged();
	unsigned int i;
	int ret = 0;

	trial->mem = (struct igt_userptr) { .size = size };
	trial->dmabuf = NULL;
	trial->import = NULL;

	trial->mem.addr = map_at(0, file, size, 0);
	if (!ok(!IS_ERR_VALUE(trial->mem.addr)))
		ret = -EINVAL;
	for (i = 0; i < step && !ret; i++)
		ret = ok(!trial_steps[i](trial)) ? 0 : -EINVAL;
	if (!ret)
		ret = fail_step(trial, step, n);

	if (trial->import)
		drm_gem_object_put(trial->import);
	i915_gem_drain_freed_objects(trial->other);
	flush_delayed_fput();
	release_dmabuf(trial->dmabuf);
	igt_userptr_end(&trial->mem, true);
	if (!ok(pins_held() == pins) || !ok(pages_charged() == charge))
		ret = -EINVAL;
	return ret;
}

/* Every allocation of the first @nr_steps steps; without @make_file, over no file. */
static int fail_all(struct drm_i915_private *i915,
		    struct file *(*make_file)(unsigned long size),
		    unsigned long size, unsigned int nr_steps)
{
	struct igt_trial trial = { .i915 = i915, .other = mock_gem_device() };
	unsigned int step, n, allocations = 0;
	struct file *file;
	int ret = 0;

	if (!ok(trial.other))
		return -ENOMEM;
	for (step = 0; step < nr_steps && ret >= 0; step++) {
		n = 1;
		do {
			file = make_file ? make_file(size) : NULL;
			if (IS_ERR(file)) {
				pr_info("igt_userptr_fail: skipped: %pe\n", file);
				goto out;
			}
			if (file)
				seal(file, F_SEAL_SHRINK);
			ret = fail_round(&trial, file, size, step, n++);
			/* fput() waits for the end of all tests. */
			if (file)
				__fput_sync(file);
		} while (ret > 0);
		allocations += n - 2;
	}
	pr_info("igt_userptr_fail: %s%u allocations, of which %u are needed\n",
		trial.failed ? "" : "skipped: ", allocations, trial.failed);
out:
	mock_destroy_device(trial.other);
	return min(ret, 0);
}

/* Only what is a file can be exported. */
static int igt_userptr_fail_anonymous(void *arg)
{
	return fail_all(arg, NULL, SIZE, 2);
}

static int igt_userptr_fail_memfd(void *arg)
{
	return fail_all(arg, make_shmem, SIZE, ARRAY_SIZE(trial_steps));
}

static int igt_userptr_fail_hugetlb(void *arg)
{
	return fail_all(arg, make_hugetlb, SZ_4M, ARRAY_SIZE(trial_steps));
}
