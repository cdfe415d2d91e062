// SPDX-License-Identifier: GPL-2.0
/*
 * udmabuf - dma-bufs made of memfd memory
 *
 * CPU access. A device may see the memory through a bounce buffer, or the CPU through a
 * cache that is not coherent, so that there are several views of a buffer: memory,
 * and one of each device. Here is decided which of them is copied over which, and when;
 * the table in Documentation/udmabuf.rst says the same to users.
 *
 * Nobody tells when the owner of a memfd writes, or when a device does. So a view is
 * copied to memory only when somebody asks, or when it is known that its device has
 * written; and memory is handed over to devices when a CPU access that may have
 * written ends, whether or not it has begun.
 */
#include <linux/dma-fence.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "udmabuf_sync.h"

/**
 * struct udmabuf_writer - a CPU access that may write
 * @link: in struct udmabuf_sync's writers
 * @thread: who has begun it
 * @process: its process
 * @exec_id: tells the program that the process ran then from later ones
 */
struct udmabuf_writer {
	struct hlist_node link;
	struct pid *thread;
	struct pid *process;
	u64 exec_id;
};

static struct udmabuf_writer *new_writer(void)
{
	struct udmabuf_writer *writer = kmalloc(sizeof(*writer), GFP_KERNEL_ACCOUNT);

	if (!writer)
		return NULL;
	writer->thread = get_task_pid(current, PIDTYPE_PID);
	writer->process = get_task_pid(current, PIDTYPE_TGID);
	writer->exec_id = current->self_exec_id;
	return writer;
}

static void free_writer(struct udmabuf_writer *writer)
{
	if (!writer)
		return;
	put_pid(writer->thread);
	put_pid(writer->process);
	kfree(writer);
}

static void remove_writer(struct udmabuf_writer *writer)
{
	hlist_del(&writer->link);
	free_writer(writer);
}

/* Whether the thread can still go on with its access: it runs the same program. */
static bool is_alive(const struct udmabuf_writer *writer)
{
	struct task_struct *task;
	bool alive;

	rcu_read_lock();
	task = pid_task(writer->thread, PIDTYPE_PID);
	alive = task && !(READ_ONCE(task->flags) & PF_EXITING) &&
		READ_ONCE(task->self_exec_id) == writer->exec_id;
	rcu_read_unlock();
	return alive;
}

/* Whether somebody is writing. Those that died meanwhile are forgotten. */
static bool has_writers(struct udmabuf_sync *sync)
{
	struct udmabuf_writer *writer;
	struct hlist_node *next;

	hlist_for_each_entry_safe(writer, next, &sync->writers, link) {
		if (is_alive(writer))
			return true;
		remove_writer(writer);
		cond_resched();
	}
	return false;
}

/*
 * The access of this thread; or, if it has none and @any_thread, of another one of
 * the same process, for programs that begin in one and end in another.
 */
static struct udmabuf_writer *find_writer(struct udmabuf_sync *sync, bool any_thread)
{
	struct udmabuf_writer *writer, *found = NULL;

	hlist_for_each_entry(writer, &sync->writers, link) {
		/* Of the program that ran before there may be some yet. */
		if (writer->exec_id != current->self_exec_id)
			continue;
		if (writer->thread == task_pid(current))
			return writer;
		if (any_thread && writer->process == task_tgid(current))
			found = writer;
		cond_resched();
	}
	return found;
}

static bool may_write(const struct udmabuf_attachment *a)
{
	return a->mapped[DMA_BIDIRECTIONAL] || a->mapped[DMA_FROM_DEVICE];
}

/*
 * The time, for comparison with those of fences. Some are not marked as signaled
 * before somebody looks, and would seem to have been so later.
 */
static ktime_t look_at_fences(struct udmabuf_sync *sync)
{
	dma_resv_test_signaled(sync->resv, DMA_RESV_USAGE_WRITE);
	return ktime_get();
}

/*
 * Whether a device is known to have written since. Fences do not say which one. Those
 * that have been signaled are seen until others take their place.
 */
static bool has_write_fence_since(struct udmabuf_sync *sync, ktime_t time)
{
	struct dma_resv_iter cursor;
	struct dma_fence *fence;

	dma_resv_for_each_fence(&cursor, sync->resv, DMA_RESV_USAGE_WRITE, fence)
		if (!dma_fence_is_signaled(fence) ||
		    ktime_after(dma_fence_timestamp(fence), time))
			return true;
	return false;
}

/*
 * The attachment whose view is the one that counts, of those that may be newer than
 * memory; NULL if none is. A device that has nothing to do but write is most likely to
 * have written, else it is the first that was attached.
 */
static struct udmabuf_attachment *latest_view(struct udmabuf_sync *sync)
{
	struct udmabuf_attachment *a, *found = NULL;

	hlist_for_each_entry(a, &sync->attachments, link) {
		if (!a->newer)
			continue;
		if (!found || a->mapped[DMA_FROM_DEVICE] ||
		    !found->mapped[DMA_FROM_DEVICE])
			found = a;
		cond_resched();
	}
	return found;
}

static void view_to_memory(struct udmabuf_attachment *a)
{
	dma_sync_sgtable_for_cpu(a->dev, a->sgts[DMA_BIDIRECTIONAL], DMA_BIDIRECTIONAL);
}

/* @same: whose view is the same as memory already, or NULL; @time: when copying began */
static void memory_to_views(struct udmabuf_sync *sync,
			    const struct udmabuf_attachment *same, ktime_t time)
{
	struct udmabuf_attachment *a;
	unsigned int dir;

	hlist_for_each_entry(a, &sync->attachments, link) {
		for (dir = 0; dir < ARRAY_SIZE(a->sgts); dir++)
			if (a->sgts[dir] && !(a == same && dir == DMA_BIDIRECTIONAL))
				dma_sync_sgtable_for_device(a->dev, a->sgts[dir], dir);
		a->newer = may_write(a);
		a->synced = time;
		cond_resched();
	}
}

/*
 * Make @latest's view that of all. Those of others are not copied first: where
 * @latest has no bounce buffer, memory is its view already, and they would be on top.
 */
static void spread_view(struct udmabuf_sync *sync, struct udmabuf_attachment *latest)
{
	ktime_t time = look_at_fences(sync);

	view_to_memory(latest);
	memory_to_views(sync, latest, time);
}

/**
 * udmabuf_sync_init() - prepare a buffer for CPU access
 * @sync: the buffer's
 *
 * Context: any.
 */
void udmabuf_sync_init(struct udmabuf_sync *sync)
{
	mutex_init(&sync->lock);
	INIT_HLIST_HEAD(&sync->attachments);
	INIT_HLIST_HEAD(&sync->writers);
}

/**
 * udmabuf_sync_exit() - forget all CPU accesses
 * @sync: the buffer's, to which nothing is attached and nobody has access any more
 *
 * Context: may sleep.
 */
void udmabuf_sync_exit(struct udmabuf_sync *sync)
{
	struct udmabuf_writer *writer;
	struct hlist_node *next;

	hlist_for_each_entry_safe(writer, next, &sync->writers, link) {
		remove_writer(writer);
		cond_resched();
	}
	mutex_destroy(&sync->lock);
}

/**
 * udmabuf_sync_attach() - attach a device
 * @sync: the buffer's
 * @a: the attachment, zeroed but for its device
 *
 * Context: may sleep; takes the lock.
 */
void udmabuf_sync_attach(struct udmabuf_sync *sync, struct udmabuf_attachment *a)
{
	mutex_lock(&sync->lock);
	hlist_add_head(&a->link, &sync->attachments);
	mutex_unlock(&sync->lock);
}

/**
 * udmabuf_sync_map() - use a mapping
 * @sync: the buffer's
 * @a: the attachment
 * @asked: the direction that the importer has asked for
 * @sgt: a new mapping for it, in the direction DMA_TO_DEVICE if that is what was asked
 *	for, else DMA_BIDIRECTIONAL; or NULL, to look for one
 *
 * One in both directions is as good as each. None is only for what the device writes:
 * what the CPU writes later would not get into a bounce buffer, and the old data in
 * there would come back over it.
 *
 * The device sees what is in memory, unless it may have written what nobody has seen.
 *
 * Context: may sleep; takes the lock.
 *
 * Return: the mapping to be used, which need not be @sgt; NULL if there is none.
 */
struct sg_table *udmabuf_sync_map(struct udmabuf_sync *sync,
				  struct udmabuf_attachment *a,
				  enum dma_data_direction asked,
				  struct sg_table *sgt)
{
	enum dma_data_direction dir = DMA_BIDIRECTIONAL;

	mutex_lock(&sync->lock);
	if (asked == DMA_TO_DEVICE && !a->sgts[DMA_BIDIRECTIONAL])
		dir = DMA_TO_DEVICE;
	if (!a->sgts[dir])
		a->sgts[dir] = sgt;
	sgt = a->sgts[dir];
	if (!sgt)
		goto unlock;

	/* With the lock held: whoever ends an access after this finds the mapping. */
	if (!a->newer) {
		a->synced = look_at_fences(sync);
		dma_sync_sgtable_for_device(a->dev, sgt, dir);
	}
	a->mapped[asked]++;
	a->newer |= may_write(a);
unlock:
	mutex_unlock(&sync->lock);
	return sgt;
}

/**
 * udmabuf_sync_unmap() - end the use of a mapping, which is kept
 * @sync: the buffer's
 * @a: the attachment
 * @asked: the direction that the importer has asked for
 *
 * What a device was to write is there afterwards. Of one that could read and write it
 * is not known: it is not copied, to not undo what the CPU has written since.
 *
 * Context: may sleep; takes the lock.
 */
void udmabuf_sync_unmap(struct udmabuf_sync *sync, struct udmabuf_attachment *a,
			enum dma_data_direction asked)
{
	mutex_lock(&sync->lock);
	/* Some drivers unmap in another direction than they mapped. */
	if (!a->mapped[asked])
		for (asked = 0; asked < DMA_FROM_DEVICE && !a->mapped[asked];)
			asked++;
	if (a->mapped[asked])
		a->mapped[asked]--;
	if (asked == DMA_FROM_DEVICE && a->newer && !has_writers(sync))
		spread_view(sync, a);
	mutex_unlock(&sync->lock);
}

/**
 * udmabuf_sync_detach() - detach a device
 * @sync: the buffer's
 * @a: the attachment, which is not mapped any more
 *
 * If a device has written, as far as fences tell, and its view is the one that counts, it
 * is brought to memory: it is the last time. Some drivers have a fence for writing also
 * where a device has only read. So where memory was last handed over by an END without a
 * START, as by those who show what others draw, it is left alone: what is in there since is
 * more likely to be the newest.
 *
 * Context: may sleep; takes the dma_resv and the lock.
 */
void udmabuf_sync_detach(struct udmabuf_sync *sync, struct udmabuf_attachment *a)
{
	dma_resv_lock(sync->resv, NULL);
	mutex_lock(&sync->lock);
	if (a->newer && !sync->handed_over && latest_view(sync) == a &&
	    has_write_fence_since(sync, a->synced) && !has_writers(sync))
		spread_view(sync, a);
	hlist_del(&a->link);
	mutex_unlock(&sync->lock);
	dma_resv_unlock(sync->resv);
}

/**
 * udmabuf_sync_begin() - begin a CPU access
 * @sync: the buffer's
 * @dir: DMA_FROM_DEVICE to read, else to write
 *
 * Whatever the CPU is going to do, it gets to see what devices wrote: a write that
 * covers only a part of the buffer must not bring back old data in the rest when it
 * is handed over. They must have finished: the core waits for the fences only
 * after this. If a signal comes then, a writer stays that does not know of it; it goes
 * with its thread.
 *
 * While a CPU access is writing, memory is what counts: its writes are not in the
 * bounce buffers yet.
 *
 * Context: may sleep; takes the lock.
 *
 * Return: 0; -ENOMEM; -ERESTARTSYS or -EINTR for a signal. In these cases nothing has
 * begun.
 */
int udmabuf_sync_begin(struct udmabuf_sync *sync, enum dma_data_direction dir)
{
	bool write = dir != DMA_FROM_DEVICE;
	struct udmabuf_writer *writer = NULL;
	struct udmabuf_attachment *latest;
	long ret;

	if (write) {
		writer = new_writer();
		if (!writer)
			return -ENOMEM;
	}
	ret = dma_resv_wait_timeout(sync->resv, dma_resv_usage_rw(write), true,
				    MAX_SCHEDULE_TIMEOUT);
	if (ret < 0)
		goto free;
	ret = mutex_lock_killable(&sync->lock);
	if (ret)
		goto free;

	if (!has_writers(sync)) {
		latest = latest_view(sync);
		if (latest)
			spread_view(sync, latest);
	}
	sync->handed_over = false;
	if (write && !find_writer(sync, false)) {
		hlist_add_head(&writer->link, &sync->writers);
		writer = NULL;
	}
	mutex_unlock(&sync->lock);
	ret = 0;
free:
	free_writer(writer);
	return ret;
}

/**
 * udmabuf_sync_end() - end a CPU access, be it one that was begun or not
 * @sync: the buffer's
 * @dir: as for udmabuf_sync_begin()
 *
 * Who has only read has nothing to hand over: to copy memory to the devices would undo
 * what they wrote meanwhile.
 *
 * Context: may sleep; takes the lock.
 *
 * Return: 0; -EINTR for a fatal signal.
 */
int udmabuf_sync_end(struct udmabuf_sync *sync, enum dma_data_direction dir)
{
	struct udmabuf_writer *writer;

	if (dir == DMA_FROM_DEVICE)
		return 0;
	if (mutex_lock_killable(&sync->lock))
		return -EINTR;
	writer = find_writer(sync, true);
	sync->handed_over = !writer;
	if (writer)
		remove_writer(writer);
	memory_to_views(sync, NULL, look_at_fences(sync));
	mutex_unlock(&sync->lock);
	return 0;
}
