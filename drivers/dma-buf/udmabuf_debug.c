// SPDX-License-Identifier: GPL-2.0
/*
 * udmabuf - dma-bufs made of memfd memory
 *
 * The list of those that there are, in debugfs, and tracepoints.
 *
 * Not one list but many, so that those who make and close dma-bufs at the same time
 * do not wait for each other. Who reads them holds up those of one list.
 */
#include <linux/debugfs.h>
#include <linux/dma-buf.h>
#include <linux/hash.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/string_helpers.h>
#include <uapi/linux/dma-buf.h>
#include <uapi/linux/udmabuf_ext.h>

#include "udmabuf.h"

#define CREATE_TRACE_POINTS
#include <trace/events/udmabuf.h>

#define LIST_BITS	6

/* Lock order: a list's lock, then a buffer's. */
static struct buffers {
	struct mutex lock; /* list, added */
	struct list_head list;
	u64 added; /* how many were ever added */
} lists[1 << LIST_BITS];

/*
 * A position in the file is the number of a list and that of a dma-buf in it, which
 * no other one gets: nobody is left out because others went between two reads.
 */
#define NUMBER_BITS	56
#define POS_END		((loff_t)ARRAY_SIZE(lists) << NUMBER_BITS)

static struct dentry *debugfs;

static struct buffers *list_of(const struct udmabuf *ubuf)
{
	return &lists[hash_ptr(ubuf, LIST_BITS)];
}

/**
 * udmabuf_list_add() - a dma-buf was made
 * @ubuf: the buffer, complete
 *
 * Context: may sleep.
 */
void udmabuf_list_add(struct udmabuf *ubuf)
{
	struct buffers *buffers = list_of(ubuf);

	trace_udmabuf_create(ubuf->ino, ubuf->pins.nr_pages,
			     ubuf->pins.charge.nr_folios, ubuf->pins.nr_spans,
			     ubuf->flags);
	mutex_lock(&buffers->lock);
	ubuf->number = ++buffers->added;
	list_add_tail(&ubuf->link, &buffers->list);
	mutex_unlock(&buffers->lock);
}

/**
 * udmabuf_list_del() - a dma-buf is going
 * @ubuf: the buffer, still complete
 *
 * Context: may sleep, for as long as somebody reads the list.
 */
void udmabuf_list_del(struct udmabuf *ubuf)
{
	struct buffers *buffers = list_of(ubuf);

	mutex_lock(&buffers->lock);
	list_del(&ubuf->link);
	mutex_unlock(&buffers->lock);
	trace_udmabuf_release(ubuf->ino, ubuf->pins.nr_pages,
			      ubuf->pins.charge.nr_folios, ubuf->pins.nr_spans,
			      ubuf->flags);
}

/* Make a dma-buf the one that is read, with its list locked. */
static void *buffers_at(struct seq_file *m, struct buffers *buffers,
			struct udmabuf *ubuf, loff_t *pos)
{
	m->private = buffers;
	*pos = (loff_t)(buffers - lists) << NUMBER_BITS | ubuf->number;
	return ubuf;
}

/* The first dma-buf that is not before a position. */
static void *buffers_seek(struct seq_file *m, loff_t *pos)
{
	u64 number = *pos & (BIT_ULL(NUMBER_BITS) - 1);
	unsigned int i = *pos >> NUMBER_BITS;
	struct udmabuf *ubuf;

	for (; i < ARRAY_SIZE(lists); i++, number = 0) {
		mutex_lock(&lists[i].lock);
		list_for_each_entry(ubuf, &lists[i].list, link)
			if (ubuf->number >= number)
				return buffers_at(m, &lists[i], ubuf, pos);
		mutex_unlock(&lists[i].lock);
		cond_resched();
	}
	m->private = NULL;
	*pos = POS_END;
	return NULL;
}

static void *buffers_start(struct seq_file *m, loff_t *pos)
{
	return *pos ? buffers_seek(m, pos) : SEQ_START_TOKEN;
}

static void *buffers_next(struct seq_file *m, void *v, loff_t *pos)
{
	struct buffers *buffers = m->private;
	struct udmabuf *ubuf = v;

	++*pos;
	if (v == SEQ_START_TOKEN)
		return buffers_seek(m, pos);
	if (!list_is_last(&ubuf->link, &buffers->list))
		return buffers_at(m, buffers, list_next_entry(ubuf, link), pos);
	mutex_unlock(&buffers->lock);
	return buffers_seek(m, pos);
}

static void buffers_stop(struct seq_file *m, void *v)
{
	struct buffers *buffers = m->private;

	if (buffers)
		mutex_unlock(&buffers->lock);
	m->private = NULL;
}

/* How many folios of each order: "0:2025,9:4". None changes while it is pinned. */
static void show_folios(struct seq_file *m, const struct memfd_pins *pins)
{
	unsigned long folios[BITS_PER_LONG] = {}, pfn, end, i;
	const struct memfd_span *span;
	const char *separator = " ";
	struct folio *folio;
	unsigned int order;

	for (i = 0; i < pins->nr_spans; i++) {
		span = memfd_pins_span(pins, i);
		end = span->pfn + span->nr;
		for (pfn = span->pfn; pfn < end;
		     pfn = folio_pfn(folio) + folio_nr_pages(folio)) {
			folio = held_folio(pfn_to_page(pfn));
			folios[folio_order(folio)]++;
			if (fatal_signal_pending(current))
				return;
			cond_resched();
		}
	}
	for (order = 0; order < ARRAY_SIZE(folios); order++)
		if (folios[order]) {
			seq_printf(m, "%s%u:%lu", separator, order,
				   folios[order]);
			separator = ",";
		}
}

static int buffers_show(struct seq_file *m, void *v)
{
	char name[DMA_BUF_NAME_LEN] = "";
	struct udmabuf *ubuf = v;

	if (v == SEQ_START_TOKEN) {
		seq_puts(m, "inode pid uid bytes folios attachments flags name\n");
		return 0;
	}
	seq_printf(m, "%lu %d %u %lu", ubuf->ino,
		   pid_nr(pin_charge_tgid(&ubuf->pins.charge)),
		   from_kuid(&init_user_ns, ubuf->uid),
		   ubuf->pins.nr_pages << PAGE_SHIFT);
	show_folios(m, &ubuf->pins);
	seq_printf(m, " %u %s%s ", udmabuf_attachments(ubuf),
		   ubuf->flags & UDMABUF_FLAGS_READONLY ? "r-" : "rw",
		   ubuf->flags & UDMABUF_FLAGS_UNSEALED ? ",unsealed" : "");

	/* A program can give it another name at any time. */
	spin_lock(&ubuf->dmabuf->name_lock);
	if (ubuf->dmabuf->name)
		strscpy(name, ubuf->dmabuf->name, sizeof(name));
	spin_unlock(&ubuf->dmabuf->name_lock);
	seq_escape(m, name, "\n\t\\");
	seq_putc(m, '\n');
	return 0;
}

static const struct seq_operations buffers_sops = {
	.start	= buffers_start,
	.next	= buffers_next,
	.stop	= buffers_stop,
	.show	= buffers_show,
};
DEFINE_SEQ_ATTRIBUTE(buffers);

/**
 * udmabuf_debug_init() - make the lists, and show them
 */
void __init udmabuf_debug_init(void)
{
	struct buffers *buffers;

	for (buffers = lists; buffers < lists + ARRAY_SIZE(lists); buffers++) {
		mutex_init(&buffers->lock);
		INIT_LIST_HEAD(&buffers->list);
	}
	debugfs = debugfs_create_dir("udmabuf", NULL);
	debugfs_create_file("buffers", 0400, debugfs, NULL, &buffers_fops);
}

/**
 * udmabuf_debug_exit() - no longer show the lists, which are empty
 */
void udmabuf_debug_exit(void)
{
	debugfs_remove(debugfs);
}
