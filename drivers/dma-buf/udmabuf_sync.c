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
#include <linux/sched/signal.h>

#include "udmabuf_sync.h"

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
	dma_sync_sgtable_for_cpu(a->dev, a->maps[DMA_BIDIRECTIONAL].sgt, DMA_BIDIRECTIONAL);
}

/*
 * @same: whose view is the same as memory already, or NULL; @time: when copying began.
 * Without @same, -EINTR for a fatal signal, with some views as they were: that is no worse
 * than to have been killed before. With @same, that view may be nowhere else by then.
 */
static int memory_to_views(struct udmabuf_sync *sync,
			   const struct udmabuf_attachment *same, ktime_t time)
{
	struct udmabuf_attachment *a;
	unsigned int dir;

	hlist_for_each_entry(a, &sync->attachments, link) {
		if (!same && fatal_signal_pending(current))
			return -EINTR;
		for (dir = 0; dir < ARRAY_SIZE(a->maps); dir++)
			if (a->maps[dir].sgt && !(a == same && dir == DMA_BIDIRECTIONAL))
				dma_sync_sgtable_for_device(a->dev, a->maps[dir].sgt, dir);
		a->newer = may_write(a);
		a->synced = time;
		cond_resched();
	}
	return 0;
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
	sync->writers = NULL;
}

/**
 * udmabuf_sync_exit() - forget all CPU accesses
 * @sync: the buffer's, to which nothing is attached and nobody has access any more
 *
 * Context: may sleep.
 */
void udmabuf_sync_exit(struct udmabuf_sync *sync)
{
	if (sync->writers)
		udmabuf_free_writers(sync);
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
 * @map: a new mapping for it, in the direction DMA_TO_DEVICE if that is what was asked
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
 * Return: the importer's table of the mapping to be used, which need not be @map; NULL if
 * there is none.
 */
struct sg_table *udmabuf_sync_map(struct udmabuf_sync *sync,
				  struct udmabuf_attachment *a,
				  enum dma_data_direction asked,
				  const struct udmabuf_mapping *map)
{
	enum dma_data_direction dir = DMA_BIDIRECTIONAL;
	struct sg_table *lent;

	mutex_lock(&sync->lock);
	if (asked == DMA_TO_DEVICE && !a->maps[DMA_BIDIRECTIONAL].sgt)
		dir = DMA_TO_DEVICE;
	if (!a->maps[dir].sgt && map)
		a->maps[dir] = *map;
	lent = a->maps[dir].lent;
	if (!lent)
		goto unlock;

	/* With the lock held: whoever ends an access after this finds the mapping. */
	if (!a->newer) {
		a->synced = look_at_fences(sync);
		dma_sync_sgtable_for_device(a->dev, a->maps[dir].sgt, dir);
	}
	a->mapped[asked]++;
	a->newer |= may_write(a);
unlock:
	mutex_unlock(&sync->lock);
	return lent;
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
	udmabuf_lock_writers(sync, false);
	/* Some drivers unmap in another direction than they mapped. */
	if (!valid_dma_direction(asked) || !a->mapped[asked])
		for (asked = 0; asked < DMA_FROM_DEVICE && !a->mapped[asked];)
			asked++;
	if (a->mapped[asked])
		a->mapped[asked]--;
	if (asked == DMA_FROM_DEVICE && a->newer && !udmabuf_has_writers(sync))
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
	udmabuf_lock_writers(sync, false);
	if (a->newer && !sync->handed_over && latest_view(sync) == a &&
	    has_write_fence_since(sync, a->synced) && !udmabuf_has_writers(sync))
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
		writer = udmabuf_new_writer(sync);
		if (!writer)
			return -ENOMEM;
	}
	ret = dma_resv_wait_timeout(sync->resv, dma_resv_usage_rw(write), true,
				    MAX_SCHEDULE_TIMEOUT);
	if (ret < 0)
		goto free;
	ret = udmabuf_lock_writers(sync, true);
	if (ret)
		goto free;

	if (!udmabuf_has_writers(sync)) {
		latest = latest_view(sync);
		if (latest)
			spread_view(sync, latest);
	}
	sync->handed_over = false;
	if (write && !udmabuf_find_writer(sync, false)) {
		udmabuf_add_writer(sync, writer);
		writer = NULL;
	}
	mutex_unlock(&sync->lock);
	ret = 0;
free:
	udmabuf_free_writer(writer);
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
 * Return: 0; -EINTR for a fatal signal, with nothing ended.
 */
int udmabuf_sync_end(struct udmabuf_sync *sync, enum dma_data_direction dir)
{
	struct udmabuf_writer *writer;
	int err;

	if (dir == DMA_FROM_DEVICE)
		return 0;
	if (mutex_lock_killable(&sync->lock))
		return -EINTR;
	err = memory_to_views(sync, NULL, look_at_fences(sync));
	if (err)
		goto unlock;
	writer = udmabuf_find_writer(sync, true);
	sync->handed_over = !writer;
	if (writer)
		udmabuf_remove_writer(sync, writer);
unlock:
	mutex_unlock(&sync->lock);
	return err;
}
