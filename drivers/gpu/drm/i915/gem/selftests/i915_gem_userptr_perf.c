// SPDX-License-Identifier: MIT
/*
 * What userptr objects cost. It uses nothing of them but what the rest of i915 uses, so
 * that it can be built with those of any kernel, and prints one object of JSON for each
 * kind of memory and size. In a guest of QEMU that counts instructions, nanoseconds are
 * instructions. tools/bench/i915 builds and runs it.
 */
#include <linux/dma-mapping.h>
#include <linux/idr.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/prime_numbers.h>

#include <drm/drm_file.h>
#include <drm/drm_gem.h>

#include "gem/i915_gem_ioctls.h"
#include "gem/i915_gem_object.h"
#include "gem/selftests/igt_memory.h"
#include "i915_drv.h"
#include "i915_gem.h"
#include "i915_selftest.h"
#include "selftests/mock_drm.h"
#include "selftests/mock_gem_device.h"

/* The least of several times counts: then all caches of slabs are filled. */
#define ROUNDS	3

/*
 * What an object goes through: it is made; used for the first time, and again; used after
 * the process has changed its memory; and let go, as one that the GPU may have written to.
 */
enum step { MAKE, FIRST, AGAIN, CHANGED, RELEASE, STEPS };

/**
 * struct kind - a kind of memory
 * @name: in the results
 * @make_file: what is mapped, if it is not anonymous
 * @set: flags of the mapping
 * @clear: those that it must not have
 * @order: of its folios
 * @interleaved: every second frame belongs to another mapping
 */
struct kind {
	const char *name;
	struct file *(*make_file)(unsigned long size);
	vm_flags_t set;
	vm_flags_t clear;
	unsigned int order;
	bool interleaved;
};

#define SMALL	.set = VM_NOHUGEPAGE, .clear = VM_HUGEPAGE
#define HUGE	.set = VM_HUGEPAGE, .clear = VM_NOHUGEPAGE, .order = HPAGE_PMD_ORDER

static const struct kind kinds[] = {
	{ "anonymous", SMALL },
	{ "anonymous-interleaved", SMALL, .interleaved = true },
	{ "anonymous-thp", HUGE },
	{ "memfd", make_shmem, SMALL },
	{ "memfd-interleaved", make_shmem, SMALL, .interleaved = true },
	{ "memfd-thp", make_shmem, HUGE },
	{ "memfd-hugetlb", make_hugetlb, .order = HPAGE_PMD_ORDER },
};

/* Some memory of a kind, twice if it is interleaved, and who has handles of objects. */
struct perf {
	struct drm_i915_private *i915;
	struct drm_file *client;
	const struct kind *kind;
	unsigned long size;
	struct file *files[2];
	unsigned long addrs[2];
};

/* Map the memory, anew where it was, and have all of its pages in the page tables. */
static bool map_memory(struct perf *perf)
{
	const struct kind *kind = perf->kind;
	unsigned int i, nr = kind->interleaved ? 2 : 1;
	unsigned long pos;

	for (i = 0; i < nr; i++) {
		perf->addrs[i] = map_at(perf->addrs[i], perf->files[i], perf->size, 0);
		if (!ok(!IS_ERR_VALUE(perf->addrs[i])))
			return false;
		if ((kind->set | kind->clear) &&
		    !change_vma(perf->addrs[i], kind->set, kind->clear))
			return false;
	}
	for (pos = 0; pos < perf->size; pos += PAGE_SIZE) {
		for (i = 0; i < nr; i++)
			if (!ok(!put_user(1, (u8 __user *)(perf->addrs[i] + pos))))
				return false;
		cond_resched();
	}
	return true;
}

static void unmap_memory(struct perf *perf)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(perf->files); i++) {
		if (perf->addrs[i] && !IS_ERR_VALUE(perf->addrs[i]))
			vm_munmap(perf->addrs[i], perf->size);
		if (!IS_ERR_OR_NULL(perf->files[i]))
			fput(perf->files[i]);
	}
}

/* Use an object as a submission of work does, which then counts as a write. */
static int use(struct drm_i915_gem_object *obj)
{
	int err;

	err = i915_gem_object_userptr_submit_init(obj);
	if (err)
		return err;
	err = i915_gem_object_lock_interruptible(obj, NULL);
	if (err)
		return err;
	err = i915_gem_object_pin_pages(obj);
	if (!err) {
		err = i915_gem_object_userptr_submit_done(obj);
		obj->mm.dirty = true;
		i915_gem_object_unpin_pages(obj);
	}
	i915_gem_object_unlock(obj);
	return err;
}

static u64 time_of(int (*what)(struct drm_i915_gem_object *obj),
		   struct drm_i915_gem_object *obj, int *err)
{
	u64 start = ktime_get_ns();

	*err = what(obj);
	return ktime_get_ns() - start;
}

/* Let an object go, here and now, and not when a worker comes to it. */
static u64 time_of_release(struct perf *perf, struct drm_i915_gem_object *obj,
			   u32 handle)
{
	u64 start;

	i915_gem_object_put(obj);
	start = ktime_get_ns();
	drm_gem_handle_delete(perf->client, handle);
	i915_gem_flush_free_objects(perf->i915);
	return ktime_get_ns() - start;
}

static bool is_of_kind(const struct kind *kind, struct drm_i915_gem_object *obj)
{
	struct page *page = sg_page(obj->mm.pages->sgl);

	return ok(folio_order(page_folio(page)) == kind->order);
}

/* The life of an object, in nanoseconds; and the entries of its scatterlist. */
static bool live(struct perf *perf, u64 *times, unsigned int *entries)
{
	struct drm_i915_gem_userptr args = {
		.user_ptr = perf->addrs[0], .user_size = perf->size,
	};
	struct drm_i915_gem_object *obj;
	bool good;
	u64 start;
	int err;

	start = ktime_get_ns();
	err = i915_gem_userptr_ioctl(&perf->i915->drm, &args, perf->client);
	times[MAKE] = ktime_get_ns() - start;
	if (!ok(!err))
		return false;
	obj = i915_gem_object_lookup(perf->client, args.handle);

	times[FIRST] = time_of(use, obj, &err);
	good = ok(!err) && is_of_kind(perf->kind, obj);
	if (good) {
		*entries = obj->mm.pages->nents;
		times[AGAIN] = time_of(use, obj, &err);
		good = ok(!err) && map_memory(perf) &&
		       ok(i915_gem_object_userptr_submit_done(obj) == -EAGAIN);
	}
	if (good) {
		times[CHANGED] = time_of(use, obj, &err);
		good = ok(!err) && is_of_kind(perf->kind, obj);
	}
	times[RELEASE] = time_of_release(perf, obj, args.handle);
	i915_gem_drain_freed_objects(perf->i915);
	return good;
}

static bool measure(struct perf *perf)
{
	u64 times[STEPS], least[STEPS];
	unsigned int entries = 0;
	int i, step;

	memset(least, 0xff, sizeof(least));
	for (i = 0; i < ROUNDS; i++) {
		if (!live(perf, times, &entries))
			return false;
		for (step = 0; step < STEPS; step++)
			least[step] = min(least[step], times[step]);
	}
	pr_info("userptr_perf: { \"kind\": \"%s\", \"size\": %lu, \"entries\": %u, \"make\": %llu, \"first\": %llu, \"again\": %llu, \"changed\": %llu, \"release\": %llu }\n",
		perf->kind->name, perf->size, entries, least[MAKE], least[FIRST],
		least[AGAIN], least[CHANGED], least[RELEASE]);
	return true;
}

static bool measure_kind(struct drm_i915_private *i915, struct drm_file *client,
			 const struct kind *kind, unsigned long size)
{
	struct perf perf = {
		.i915 = i915, .client = client, .kind = kind, .size = size,
	};
	bool good = true;
	int i;

	for (i = 0; kind->make_file && i < 1 + kind->interleaved; i++) {
		perf.files[i] = kind->make_file(size);
		good = good && ok(!IS_ERR(perf.files[i]));
	}
	good = good && map_memory(&perf) && measure(&perf);
	unmap_memory(&perf);
	return good;
}

static int igt_userptr_perf(void *arg)
{
	static const unsigned long sizes[] = { SZ_8M, SZ_256M };
	struct drm_i915_private *i915 = arg;
	struct drm_file *client;
	bool good = true;
	int i, j;

	/* As much of one as handles need */
	client = kzalloc(sizeof(*client), GFP_KERNEL);
	if (!client)
		return -ENOMEM;
	idr_init_base(&client->object_idr, 1);
	spin_lock_init(&client->table_lock);
	mutex_init(&client->prime.lock);

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		for (j = 0; j < ARRAY_SIZE(sizes); j++)
			good = good && measure_kind(i915, client, &kinds[i], sizes[j]);

	idr_destroy(&client->object_idr);
	kfree(client);
	return good ? 0 : -EINVAL;
}

/*
 * On a device that shares the CPU's cache, or else all time goes to flushing it, and that
 * takes segments of any length.
 */
static int run_tests(struct drm_i915_private *i915)
{
	static const struct i915_subtest tests[] = {
		SUBTEST(igt_userptr_perf),
	};
	const struct intel_device_info *info = i915->__info;
	struct intel_device_info with_llc = *info;
	struct device *dev = i915->drm.dev;
	int err;

	with_llc.has_llc = true;
	i915->__info = &with_llc;
	dev->dma_parms = &to_pci_dev(dev)->dma_parms;
	dma_set_max_seg_size(dev, UINT_MAX);
	err = i915_subtests(tests, i915);
	i915->__info = info;
	return err;
}

/**
 * i915_gem_userptr_perf_mock_selftests() - measure userptr objects
 *
 * Memory of each kind has to be there: huge pages, and shmem with shmem_enabled "advise".
 *
 * Context: of a process, in whose memory there is room for 512 MiB.
 *
 * Return: 0, or an error if something does not work.
 */
int i915_gem_userptr_perf_mock_selftests(void)
{
	struct drm_i915_private *i915;
	int err;

	i915 = mock_gem_device();
	if (!i915)
		return -ENOMEM;
	err = run_tests(i915);
	mock_destroy_device(i915);
	return err;
}

/*
 * Other selftests, which are not run here, call what Debian's kernels do not have.
 */
#if !IS_ENABLED(CONFIG_PRIME_NUMBERS)
bool is_prime_number(unsigned long x)
{
	return false;
}

unsigned long next_prime_number(unsigned long x)
{
	return ULONG_MAX;
}
#endif

#if !IS_ENABLED(CONFIG_DRM_EXPORT_FOR_TESTS_ONLY)
struct file *mock_drm_getfile(struct drm_minor *minor, unsigned int flags)
{
	return ERR_PTR(-EOPNOTSUPP);
}
#endif
