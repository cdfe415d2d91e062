/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints of udmabuf.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM udmabuf

#if !defined(_TRACE_UDMABUF_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_UDMABUF_H

#include <linux/tracepoint.h>

/* A dma-buf, known by its inode; @flags are UDMABUF_FLAGS_*. */
DECLARE_EVENT_CLASS(udmabuf,
	TP_PROTO(unsigned long ino, unsigned long pages, unsigned long folios,
		 unsigned long spans, unsigned int flags),
	TP_ARGS(ino, pages, folios, spans, flags),
	TP_STRUCT__entry(
		__field(unsigned long, ino)
		__field(unsigned long, pages)
		__field(unsigned long, folios)
		__field(unsigned long, spans)
		__field(unsigned int, flags)
	),
	TP_fast_assign(
		__entry->ino = ino;
		__entry->pages = pages;
		__entry->folios = folios;
		__entry->spans = spans;
		__entry->flags = flags;
	),
	TP_printk("ino=%lu pages=%lu folios=%lu spans=%lu flags=%#x",
		  __entry->ino, __entry->pages, __entry->folios,
		  __entry->spans, __entry->flags)
);

/* One was made. */
DEFINE_EVENT(udmabuf, udmabuf_create,
	TP_PROTO(unsigned long ino, unsigned long pages, unsigned long folios,
		 unsigned long spans, unsigned int flags),
	TP_ARGS(ino, pages, folios, spans, flags)
);

/* The last reference to one is gone, and its pages are going to be unpinned. */
DEFINE_EVENT(udmabuf, udmabuf_release,
	TP_PROTO(unsigned long ino, unsigned long pages, unsigned long folios,
		 unsigned long spans, unsigned int flags),
	TP_ARGS(ino, pages, folios, spans, flags)
);

#endif /* _TRACE_UDMABUF_H */

#include <trace/define_trace.h>
