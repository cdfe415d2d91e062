// SPDX-License-Identifier: GPL-2.0
/*
 * udmabuf - dma-bufs made of memfd memory
 *
 * Who is writing to a buffer: CPU accesses that have begun and not ended. Each belongs to
 * a thread, and ends with it, but nobody tells when one dies. Whoever has the dma-buf
 * may begin as many as it can have threads, and no other one is to wait for that.
 */
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "udmabuf_sync.h"

/**
 * struct udmabuf_writer - a CPU access that may write
 * @node: in struct udmabuf_writers' tree
 * @link: in its queue
 * @process: whose it is
 * @exec_id: tells the program that the process ran then from later ones
 * @thread: who has begun it
 */
struct udmabuf_writer {
	struct rb_node node;
	struct list_head link;
	struct pid *process;
	u64 exec_id;
	struct pid *thread;
};

/**
 * struct udmabuf_writers - all CPU accesses of a buffer that may write
 * @tree: by process, then thread, so that nobody's takes longer to be found because
 *	others have thousands
 * @queue: in the order in which to see whether their threads live
 */
struct udmabuf_writers {
	struct rb_root tree;
	struct list_head queue;
};

/**
 * udmabuf_free_writer() - free an access that is not in progress
 * @writer: the access, or NULL
 *
 * Context: any.
 */
void udmabuf_free_writer(struct udmabuf_writer *writer)
{
	if (!writer)
		return;
	put_pid(writer->thread);
	put_pid(writer->process);
	kfree(writer);
}

/* The buffer's, or NULL. They are made without the lock, when others may hold it. */
static struct udmabuf_writers *get_writers(struct udmabuf_sync *sync)
{
	return READ_ONCE(sync->writers);
}

/* Make the buffer's, if this is the first one: most have none. Without the lock. */
static bool make_writers(struct udmabuf_sync *sync)
{
	struct udmabuf_writers *writers;

	if (get_writers(sync))
		return true;
	writers = kmalloc(sizeof(*writers), GFP_KERNEL_ACCOUNT);
	if (!writers)
		return false;
	writers->tree = RB_ROOT;
	INIT_LIST_HEAD(&writers->queue);
	if (cmpxchg(&sync->writers, NULL, writers))
		kfree(writers);
	return true;
}

/**
 * udmabuf_new_writer() - prepare an access of the calling thread
 * @sync: the buffer's
 *
 * Context: may sleep and allocate, so that it is called without the lock.
 *
 * Return: the access, or NULL if there is no memory.
 */
struct udmabuf_writer *udmabuf_new_writer(struct udmabuf_sync *sync)
{
	struct udmabuf_writer *writer;

	if (!make_writers(sync))
		return NULL;
	writer = kmalloc(sizeof(*writer), GFP_KERNEL_ACCOUNT);
	if (!writer)
		return NULL;
	writer->process = get_task_pid(current, PIDTYPE_TGID);
	writer->exec_id = current->self_exec_id;
	writer->thread = get_task_pid(current, PIDTYPE_PID);
	return writer;
}

static int compare_programs(const void *key, const struct rb_node *node)
{
	const struct udmabuf_writer *a = key;
	const struct udmabuf_writer *b = rb_entry(node, struct udmabuf_writer, node);

	if (a->process != b->process)
		return a->process < b->process ? -1 : 1;
	if (a->exec_id != b->exec_id)
		return a->exec_id < b->exec_id ? -1 : 1;
	return 0;
}

static int compare_threads(const void *key, const struct rb_node *node)
{
	const struct udmabuf_writer *a = key;
	const struct udmabuf_writer *b = rb_entry(node, struct udmabuf_writer, node);
	int order = compare_programs(key, node);

	if (order || a->thread == b->thread)
		return order;
	return a->thread < b->thread ? -1 : 1;
}

static bool writer_less(struct rb_node *a, const struct rb_node *b)
{
	return compare_threads(rb_entry(a, struct udmabuf_writer, node), b) < 0;
}

/**
 * udmabuf_remove_writer() - end an access
 * @sync: the buffer's
 * @writer: the access, which is freed
 *
 * Context: with the lock held.
 */
void udmabuf_remove_writer(struct udmabuf_sync *sync, struct udmabuf_writer *writer)
{
	rb_erase(&writer->node, &get_writers(sync)->tree);
	list_del(&writer->link);
	udmabuf_free_writer(writer);
}

static struct udmabuf_writer *first_writer(struct udmabuf_sync *sync)
{
	struct udmabuf_writers *writers = get_writers(sync);

	if (!writers)
		return NULL;
	return list_first_entry_or_null(&writers->queue, struct udmabuf_writer, link);
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

/**
 * udmabuf_find_writer() - find the access of the calling thread
 * @sync: the buffer's
 * @any_thread: if it has none, that of another one of the same process, for programs that
 *	begin in one and end in another
 *
 * Not of the program that the process ran before, of which there may be some yet, nor of a
 * thread that died.
 *
 * Context: with the lock held.
 *
 * Return: the access or NULL.
 */
struct udmabuf_writer *udmabuf_find_writer(struct udmabuf_sync *sync, bool any_thread)
{
	const struct udmabuf_writer key = {
		.process = task_tgid(current),
		.exec_id = current->self_exec_id,
		.thread = task_pid(current),
	};
	struct udmabuf_writers *writers = get_writers(sync);
	struct udmabuf_writer *writer;
	struct rb_node *node;

	if (!writers)
		return NULL;
	node = rb_find(&key, &writers->tree, compare_threads);
	if (node || !any_thread)
		return rb_entry_safe(node, struct udmabuf_writer, node);
	while ((node = rb_find(&key, &writers->tree, compare_programs))) {
		writer = rb_entry(node, struct udmabuf_writer, node);
		if (is_alive(writer))
			return writer;
		udmabuf_remove_writer(sync, writer);
		cond_resched();
	}
	return NULL;
}

/**
 * udmabuf_add_writer() - begin an access
 * @sync: the buffer's
 * @writer: from udmabuf_new_writer(); its thread has none yet
 *
 * Each that is added has two others looked at, in turn. So those that died do not
 * become more than those that live, however many threads come and go.
 *
 * Context: with the lock held.
 */
void udmabuf_add_writer(struct udmabuf_sync *sync, struct udmabuf_writer *writer)
{
	struct udmabuf_writers *writers = get_writers(sync);
	struct udmabuf_writer *first;
	int i;

	for (i = 0; i < 2; i++) {
		first = first_writer(sync);
		if (!first)
			break;
		if (is_alive(first))
			list_move_tail(&first->link, &writers->queue);
		else
			udmabuf_remove_writer(sync, first);
	}
	rb_add(&writer->node, &writers->tree, writer_less);
	list_add_tail(&writer->link, &writers->queue);
}

/**
 * udmabuf_lock_writers() - take the lock, to ask udmabuf_has_writers()
 * @sync: the buffer's
 * @killable: look at fatal signals
 *
 * Those that died are forgotten, until the first one of the queue lives, if there is any.
 * As thousands can have died at once, others get the lock meanwhile.
 *
 * Context: may sleep; returns with the lock held.
 *
 * Return: 0; -EINTR for a fatal signal, with the lock not held.
 */
int udmabuf_lock_writers(struct udmabuf_sync *sync, bool killable)
{
	struct udmabuf_writer *first;

	for (;;) {
		if (!killable)
			mutex_lock(&sync->lock);
		else if (fatal_signal_pending(current) ||
			 mutex_lock_killable(&sync->lock))
			return -EINTR;
		first = first_writer(sync);
		if (!first || is_alive(first))
			return 0;
		udmabuf_remove_writer(sync, first);
		mutex_unlock(&sync->lock);
		cond_resched();
	}
}

/**
 * udmabuf_has_writers() - whether somebody is writing
 * @sync: the buffer's
 *
 * Context: with the lock held since udmabuf_lock_writers().
 *
 * Return: true or false.
 */
bool udmabuf_has_writers(struct udmabuf_sync *sync)
{
	return first_writer(sync);
}

/**
 * udmabuf_free_writers() - forget all accesses
 * @sync: the buffer's, to which nobody has access any more, and somebody had
 *
 * Context: may sleep.
 */
void udmabuf_free_writers(struct udmabuf_sync *sync)
{
	struct udmabuf_writer *writer;

	while ((writer = first_writer(sync))) {
		udmabuf_remove_writer(sync, writer);
		cond_resched();
	}
	kfree(sync->writers);
}
