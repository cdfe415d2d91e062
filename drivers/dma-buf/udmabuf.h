/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of udmabuf share.
 */
#ifndef _UDMABUF_H
#define _UDMABUF_H

struct dma_buf;
struct memfd_pins;

struct dma_buf *udmabuf_export(struct memfd_pins *pins);

#endif /* _UDMABUF_H */
