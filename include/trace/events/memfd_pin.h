/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints of memfd_pin.ko. Ranges are page indices, first and last.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM memfd_pin

#if !defined(_TRACE_MEMFD_PIN_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_MEMFD_PIN_H

#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/tracepoint.h>
#include <linux/uidgid.h>

/* What was done to the folios of a range of a file, and what came of it. */
DECLARE_EVENT_CLASS(memfd_range,
	TP_PROTO(const struct inode *inode, pgoff_t first, pgoff_t last,
		 unsigned long folios, int result),
	TP_ARGS(inode, first, last, folios, result),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(unsigned long, ino)
		__field(unsigned long, first)
		__field(unsigned long, last)
		__field(unsigned long, folios)
		__field(int, result)
	),
	TP_fast_assign(
		__entry->dev = inode->i_sb->s_dev;
		__entry->ino = inode->i_ino;
		__entry->first = first;
		__entry->last = last;
		__entry->folios = folios;
		__entry->result = result;
	),
	TP_printk("dev=%u:%u ino=%lu pages=%lu-%lu folios=%lu result=%d",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino,
		  __entry->first, __entry->last, __entry->folios,
		  __entry->result)
);

/* A range was pinned, or could not be; then @folios is how far it came. */
DEFINE_EVENT(memfd_range, memfd_pin,
	TP_PROTO(const struct inode *inode, pgoff_t first, pgoff_t last,
		 unsigned long folios, int result),
	TP_ARGS(inode, first, last, folios, result)
);

/* Of a range, @folios were in movable memory and had to be migrated. */
DEFINE_EVENT(memfd_range, memfd_migrate,
	TP_PROTO(const struct inode *inode, pgoff_t first, pgoff_t last,
		 unsigned long folios, int result),
	TP_ARGS(inode, first, last, folios, result)
);

/*
 * A buffer was released. It may consist of ranges of several files, of which the
 * first one's is given; the range is that of the buffer.
 */
TRACE_EVENT(memfd_unpin,
	TP_PROTO(dev_t dev, unsigned long ino, unsigned long pages,
		 unsigned long folios, bool dirty),
	TP_ARGS(dev, ino, pages, folios, dirty),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(unsigned long, ino)
		__field(unsigned long, pages)
		__field(unsigned long, folios)
		__field(bool, dirty)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->pages = pages;
		__entry->folios = folios;
		__entry->dirty = dirty;
	),
	TP_printk("dev=%u:%u ino=%lu pages=0-%lu folios=%lu dirty=%d",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino,
		  __entry->pages - 1, __entry->folios, __entry->dirty)
);

/* A user asked for more pages than the limit (in pages) leaves. */
TRACE_EVENT(memfd_pin_limit,
	TP_PROTO(kuid_t uid, const char *driver, unsigned long pages,
		 unsigned long limit, int result),
	TP_ARGS(uid, driver, pages, limit, result),
	TP_STRUCT__entry(
		__field(uid_t, uid)
		__array(char, driver, 16)
		__field(unsigned long, pages)
		__field(unsigned long, limit)
		__field(int, result)
	),
	TP_fast_assign(
		__entry->uid = __kuid_val(uid);
		strscpy_pad(__entry->driver, driver, sizeof(__entry->driver));
		__entry->pages = pages;
		__entry->limit = limit;
		__entry->result = result;
	),
	TP_printk("uid=%u driver=%s pages=%lu limit=%lu result=%d",
		  __entry->uid, __entry->driver, __entry->pages,
		  __entry->limit, __entry->result)
);

#endif /* _TRACE_MEMFD_PIN_H */

#include <trace/define_trace.h>
