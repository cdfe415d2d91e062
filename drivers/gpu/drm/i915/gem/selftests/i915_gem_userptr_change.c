// SPDX-License-Identifier: MIT
/*
 * Tests of userptr objects whose memory changes.
 */
#include <linux/completion.h>
#include <linux/kthread.h>

static void wait_for_stop(void)
{
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (kthread_should_stop())
			break;
		schedule();
	}
	__set_current_state(TASK_RUNNING);
}

struct igt_call {
	void (*fn)(void *arg);
	void *arg;
	struct completion done;
};

static int call_thread(void *arg)
{
	struct igt_call *call = arg;

	call->fn(call->arg);
	complete(&call->done);
	wait_for_stop();
	return 0;
}

/* Call a function in another thread, one of the kernel's without memory. */
static bool call_elsewhere(void (*fn)(void *arg), void *arg)
{
	struct igt_call call = {
		.fn = fn, .arg = arg,
		.done = COMPLETION_INITIALIZER_ONSTACK(call.done),
	};
	struct task_struct *task;

	task = kthread_run(call_thread, &call, "igt/userptr");
	if (!ok(!IS_ERR(task)))
		return false;
	/* A thread that is stopped before it runs does nothing. */
	wait_for_completion(&call.done);
	kthread_stop(task);
	return true;
}

/* The process changes its mind about what is in the range. */
static int igt_userptr_invalidate(void *arg)
{
	struct file *file = make_shmem(SIZE);
	struct igt_userptr mem;
	bool good;

	good = igt_userptr_begin(&mem, arg, file, 0, SIZE, 0, NR) &&
	       ok(!igt_userptr_submit(mem.obj)) &&
	       sgt_is_file(mem.obj->mm.pages, file, 0, NR, UINT_MAX) &&
	       /* other memory */
	       ok(map_at(mem.addr, NULL, SIZE, 0) == mem.addr) &&
	       ok(i915_gem_object_userptr_submit_done(mem.obj) == -EAGAIN) &&
	       ok(!igt_userptr_submit(mem.obj)) && ok(!by_folio(mem.obj)) &&
	       write_and_read(mem.obj, 2) &&
	       /* half of each */
	       ok(map_at(mem.addr, file, SIZE / 2, 0) == mem.addr) &&
	       ok(!igt_userptr_submit(mem.obj)) && ok(!by_folio(mem.obj)) &&
	       write_and_read(mem.obj, 3) &&
	       /* the file again, elsewhere in it */
	       map_halves(&mem) &&
	       ok(!igt_userptr_submit(mem.obj)) && ok(!by_folio(mem.obj)) &&
	       write_and_read(mem.obj, 4) &&
	       ok(map_at(mem.addr, file, SIZE, 0) == mem.addr) &&
	       ok(!igt_userptr_submit(mem.obj)) && ok(by_folio(mem.obj)) &&
	       write_and_read(mem.obj, 5) &&
	       /* a hole in the address space */
	       ok(!vm_munmap(mem.addr + SIZE / 2, PAGE_SIZE)) &&
	       ok(i915_gem_object_userptr_submit_done(mem.obj) == -EAGAIN) &&
	       ok(igt_userptr_submit(mem.obj) == -EFAULT) &&
	       ok(!mem.obj->userptr.pins);
	return igt_userptr_end(&mem, good);
}

/* The shrinker takes the pages between two submissions. */
static int igt_userptr_shrink(void *arg)
{
	struct igt_userptr mem;
	bool good;

	good = igt_userptr_begin(&mem, arg, NULL, 0, SIZE, 0, NR) &&
	       ok(!igt_userptr_submit(mem.obj));
	if (good) {
		i915_gem_object_lock(mem.obj, NULL);
		good = ok(!__i915_gem_object_put_pages(mem.obj)) &&
		       ok(!mem.obj->userptr.pins) &&
		       ok(i915_gem_object_pin_pages(mem.obj) == -EAGAIN);
		i915_gem_object_unlock(mem.obj);
	}
	good = good && ok(!igt_userptr_submit(mem.obj)) &&
	       write_and_read(mem.obj, 6);
	return igt_userptr_end(&mem, good);
}

/* After a hole there are new pages, and after truncation none. */
static int igt_userptr_punch(void *arg)
{
	struct file *file = make_shmem(SIZE);
	struct igt_userptr mem;
	bool good;

	good = igt_userptr_begin(&mem, arg, file, 0, SIZE, 0, NR) &&
	       ok(!igt_userptr_submit(mem.obj)) &&
	       ok(!punch_hole(file, 40 * PAGE_SIZE, 10 * PAGE_SIZE)) &&
	       ok(i915_gem_object_userptr_submit_done(mem.obj) == -EAGAIN) &&
	       ok(!igt_userptr_submit(mem.obj)) &&
	       sgt_is_file(mem.obj->mm.pages, file, 0, NR, UINT_MAX) &&
	       write_and_read(mem.obj, 9) &&
	       ok(!vfs_truncate(&file->f_path, SIZE / 2)) &&
	       ok(i915_gem_object_userptr_submit_done(mem.obj) == -EAGAIN) &&
	       ok(igt_userptr_submit(mem.obj) == -EFAULT) &&
	       ok(!mem.obj->userptr.pins);
	return igt_userptr_end(&mem, good);
}

static void punch_all(void *arg)
{
	ok(!punch_hole(arg, 0, SZ_2M));
}

/*
 * A hole in hugetlbfs, while there is a fault in the mapping that does not have the page in
 * its page tables: nobody tells the notifier.
 */
static int igt_userptr_punch_untold(void *arg)
{
	struct file *file = make_hugetlb(SZ_2M);
	struct hugetlb_vma_lock *lock;
	struct igt_userptr mem;
	bool good;

	if (IS_ERR(file)) {
		pr_info("%s: skipped: no huge pages: %pe\n", __func__, file);
		return 0;
	}
	/* Not by a touch of the mapping */
	good = igt_userptr_begin(&mem, arg, file, 0, SZ_2M, 0, SZ_2M / PAGE_SIZE) &&
	       ok(!vfs_fallocate(file, 0, 0, SZ_2M)) &&
	       ok(!igt_userptr_submit(mem.obj)) && ok(by_folio(mem.obj));
	if (!good)
		return igt_userptr_end(&mem, good);
	mmap_read_lock(current->mm);
	lock = vma_lookup(current->mm, mem.addr)->vm_private_data;
	down_read(&lock->rw_sema);
	mmap_read_unlock(current->mm);
	good = call_elsewhere(punch_all, file);
	up_read(&lock->rw_sema);
	good = good && ok(!igt_userptr_submit(mem.obj)) &&
	       sgt_is_file(mem.obj->mm.pages, file, 0, SZ_2M / PAGE_SIZE, UINT_MAX);
	return igt_userptr_end(&mem, good);
}

/*
 * mprotect() does not tell the notifier where there are no page tables, and does no
 * more than this.
 */
static int igt_userptr_protect(void *arg)
{
	struct file *file = make_shmem(SIZE);
	struct igt_userptr mem;
	bool good;

	good = igt_userptr_begin(&mem, arg, file, 0, SIZE, 0, NR) &&
	       ok(!igt_userptr_submit(mem.obj)) && ok(by_folio(mem.obj)) &&
	       change_vma(mem.addr, 0, VM_WRITE) &&
	       ok(igt_userptr_submit(mem.obj) == -EFAULT) &&
	       ok(!mem.obj->userptr.pins);
	if (!IS_ERR_OR_NULL(mem.obj))
		i915_gem_object_set_readonly(mem.obj);
	good = good && ok(!igt_userptr_submit(mem.obj)) && ok(by_folio(mem.obj));
	return igt_userptr_end(&mem, good);
}

/*
 * The file changes when the pages are pinned, and not yet the object's; and another
 * thread is faster.
 */
static int igt_userptr_collide(void *arg)
{
	struct userptr_pins *pins = NULL, *late = NULL;
	struct file *file = make_shmem(SIZE);
	struct drm_i915_gem_object *obj;
	struct igt_userptr mem;
	unsigned long seq;
	bool good;

	good = igt_userptr_begin(&mem, arg, file, 0, SIZE, 0, NR);
	if (!good)
		return igt_userptr_end(&mem, good);
	obj = mem.obj;

	seq = mmu_interval_read_begin(&obj->userptr.notifier);
	late = userptr_pin(obj);
	good = ok(!IS_ERR(late)) && ok(userptr_in_file(&late->pages)) &&
	       ok(!punch_hole(file, 40 * PAGE_SIZE, PAGE_SIZE)) &&
	       ok(!userptr_in_file(&late->pages));
	i915_gem_object_lock(obj, NULL);
	good = good && ok(userptr_install(obj, late, seq) == -EAGAIN) &&
	       ok(!obj->userptr.pins);
	i915_gem_object_unlock(obj);

	seq = mmu_interval_read_begin(&obj->userptr.notifier);
	pins = userptr_pin(obj);
	good = good && ok(!IS_ERR(pins));
	i915_gem_object_lock(obj, NULL);
	good = good && ok(!userptr_install(obj, pins, seq)) &&
	       ok(obj->userptr.pins == pins) &&
	       ok(!userptr_install(obj, late, seq - 1)) &&
	       ok(obj->userptr.pins == pins);
	i915_gem_object_unlock(obj);
	good = good && sgt_is_file(obj->mm.pages, file, 0, NR, UINT_MAX);

	if (!IS_ERR(late))
		userptr_pins_free(late, false);
	if (!IS_ERR(pins) && obj->userptr.pins != pins)
		userptr_pins_free(pins, false);
	return igt_userptr_end(&mem, good);
}

struct igt_submit {
	struct drm_i915_gem_object *obj;
	int err;
};

static void submit(void *arg)
{
	struct igt_submit *submit = arg;

	submit->err = i915_gem_object_userptr_submit_init(submit->obj);
}

/* Another process's memory is not pinned for this one. */
static int igt_userptr_foreign(void *arg)
{
	struct igt_submit other = {};
	struct igt_userptr mem;
	bool good;

	good = igt_userptr_begin(&mem, arg, make_shmem(SIZE), 0, SIZE, 0, NR);
	other.obj = mem.obj;
	good = good && call_elsewhere(submit, &other) &&
	       ok(other.err == -EFAULT) && ok(!mem.obj->userptr.pins);
	return igt_userptr_end(&mem, good);
}

#define ROUNDS	200

static DECLARE_WAIT_QUEUE_HEAD(submitted);

struct igt_submitter {
	struct drm_i915_gem_object *obj;
	struct mm_struct *mm;
	struct task_struct *task;
	unsigned int hits;
};

static bool use_pages(struct igt_submitter *submitter)
{
	struct drm_i915_gem_object *obj = submitter->obj;
	int err;

	err = i915_gem_object_userptr_submit_init(obj);
	/* kthread_stop() ends what can be interrupted. */
	if (err == -EINTR && kthread_should_stop())
		return true;
	if (err)
		return ok(err == -EAGAIN);

	i915_gem_object_lock(obj, NULL);
	err = i915_gem_object_pin_pages(obj);
	if (!err) {
		submitter->hits += !i915_gem_object_userptr_submit_done(obj);
		i915_gem_object_unpin_pages(obj);
	}
	i915_gem_object_unlock(obj);
	return ok(!err || err == -EAGAIN);
}

static int submitter_thread(void *arg)
{
	struct igt_submitter *submitter = arg;
	bool good = true;

	kthread_use_mm(submitter->mm);
	while (good && !kthread_should_stop()) {
		good = use_pages(submitter);
		wake_up(&submitted);
		cond_resched();
	}
	kthread_unuse_mm(submitter->mm);
	wait_for_stop();
	return good ? 0 : -EINVAL;
}

/* Two threads submit, while a third one changes what is in the range. */
static int igt_userptr_threads(void *arg)
{
	struct igt_submitter submitters[2] = {};
	struct file *file = make_shmem(SIZE);
	struct igt_userptr mem;
	unsigned int hits;
	int i, k, err = 0;
	bool good;

	good = igt_userptr_begin(&mem, arg, file, 0, SIZE, 0, NR);
	for (i = 0; i < ARRAY_SIZE(submitters) && good; i++) {
		submitters[i].obj = mem.obj;
		submitters[i].mm = current->mm;
		submitters[i].task = kthread_run(submitter_thread, &submitters[i],
						 "igt/userptr:%d", i);
		good = ok(!IS_ERR(submitters[i].task));
	}
	for (k = 0; k < ROUNDS && good; k++) {
		good = ok(map_at(mem.addr, k % 3 ? file : NULL, SIZE, 0) ==
			  mem.addr);
		if (k % 5 == 0)
			good = good && ok(!punch_hole(file, 0, SIZE / 2));
		hits = submitters[0].hits + submitters[1].hits;
		/* Sometimes they are left in peace for a while. */
		if (k % 2)
			wait_event_timeout(submitted, submitters[0].hits +
					   submitters[1].hits != hits, HZ);
	}
	for (i = 0; i < ARRAY_SIZE(submitters); i++)
		if (!IS_ERR_OR_NULL(submitters[i].task))
			err |= kthread_stop(submitters[i].task);
	good = good && ok(!err) && ok(submitters[0].hits) &&
	       ok(submitters[1].hits) &&
	       ok(!igt_userptr_submit(mem.obj)) && write_and_read(mem.obj, 10);
	return igt_userptr_end(&mem, good);
}
