/* SPDX-License-Identifier: MIT */
/*
 * What the tests of <linux/udmabuf_ext.h> share.
 */
#ifndef UDMABUF_EXT_HELPER_H
#define UDMABUF_EXT_HELPER_H

#include <linux/udmabuf_ext.h>

#include "udmabuf_helper.h"

#define LIST_LIMIT	"parameters/list_limit"
#define SIZE_LIMIT	"parameters/size_limit_mb"
#define ALLOW_READONLY	"parameters/allow_readonly"
#define READONLY_ATTACH	"parameters/readonly_attach"

/* Each kind of memory that a memfd can be of, and one without a name */
extern const struct memory_kind {
	const char *name;
	enum backing backing;
} memory_kinds[];

struct udmabuf_info get_info(int dev);

/* UDMABUF_CREATE_EXT; with __ it returns a negative error */
int __create_ext(int dev, uint32_t flags, uint32_t count,
		 const struct udmabuf_create_item *items);
int __create_flags(int dev, uint32_t flags, int memfd, uint64_t offset,
		   uint64_t size);
int create_flags(int dev, uint32_t flags, int memfd, uint64_t offset,
		 uint64_t size);

/* An unsealed memfd, all of it filled with the pattern of seed 1 */
int filled_memfd(enum backing backing, size_t size);

/* By PRIME: 0 or a negative error */
int import_into(int drm, int dmabuf, uint32_t *handle);

#endif
