/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What other drivers have of udmabuf: dma-bufs of memfds.
 */
#ifndef _LINUX_UDMABUF_EXPORT_H
#define _LINUX_UDMABUF_EXPORT_H

#include <linux/types.h>

struct dma_buf;
struct file;
struct module;

struct dma_buf *udmabuf_export_file(struct file *memfd, loff_t start, u64 size,
				    int file_flags, struct module *owner);

#endif /* _LINUX_UDMABUF_EXPORT_H */
