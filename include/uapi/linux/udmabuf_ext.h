/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * What /dev/udmabuf can do beyond <linux/udmabuf.h>. Ask UDMABUF_GET_INFO first: a
 * driver without all this answers with ENOTTY.
 */
#ifndef _UAPI_LINUX_UDMABUF_EXT_H
#define _UAPI_LINUX_UDMABUF_EXT_H

#include <linux/ioctl.h>
#include <linux/types.h>
#include <linux/udmabuf.h>

#define UDMABUF_EXT_VERSION	2

/**
 * DOC: Flags of struct udmabuf_create_ext
 *
 * Beside UDMABUF_FLAGS_CLOEXEC there are the following.
 *
 * UDMABUF_FLAGS_READONLY: nobody writes through the dma-buf. The files need to be
 * open for reading only, and may be sealed with F_SEAL_WRITE or
 * F_SEAL_FUTURE_WRITE. The dma-buf is open for reading only, mappings of it are
 * never writable, and devices get it for reading only.
 *
 * UDMABUF_FLAGS_UNSEALED: the files may be any on tmpfs or hugetlbfs, and may
 * shrink. Pages that are later cut off or punched out of a file stay in the
 * dma-buf, which alone has them then. With UDMABUF_FLAGS_READONLY, a file that is
 * open for reading only has to be a memfd, or the caller's own (EACCES).
 *
 * UDMABUF_FLAGS_NONBLOCK: do not wait for what others do with the files. EAGAIN, with
 * nothing pinned, where a folio is locked, swapped out, or in movable memory, where a
 * hole is in a file on hugetlbfs, or in a mapping of the caller's that userfaultfd
 * looks after or that madvise() says more of, or where a file is being changed. The
 * same call without the flag waits for that, in a thread that may wait.
 */
#define UDMABUF_FLAGS_READONLY	0x02
#define UDMABUF_FLAGS_UNSEALED	0x04
#define UDMABUF_FLAGS_NONBLOCK	0x08

/**
 * DOC: Values of readonly_attach and features in struct udmabuf_info
 *
 * Devices that may attach to read-only dma-bufs: with UDMABUF_ATTACH_NEVER none, with
 * UDMABUF_ATTACH_IOMMU those that an IOMMU keeps from writing, with
 * UDMABUF_ATTACH_ALWAYS all.
 *
 * UDMABUF_FEATURE_PARTIAL_PAGE: a range may end with the page that holds the last byte
 * of the file, and so behind that byte, as a mapping does.
 */
#define UDMABUF_ATTACH_NEVER	0
#define UDMABUF_ATTACH_IOMMU	1
#define UDMABUF_ATTACH_ALWAYS	2

#define UDMABUF_FEATURE_PARTIAL_PAGE	0x01

/**
 * struct udmabuf_info - UDMABUF_GET_INFO: what the driver can do, and how much of it
 * @version: UDMABUF_EXT_VERSION of the driver; later ones can do all of the former
 * @flags: flags that UDMABUF_CREATE_EXT accepts
 * @list_limit: most entries of a list
 * @readonly_attach: which devices may attach to dma-bufs that are read-only
 * @size_limit: most bytes of a dma-buf
 * @pinned: bytes that the caller's user has pinned, by whichever driver of ours
 * @available: bytes that the calling process may pin yet; all ones: not limited
 * @features: UDMABUF_FEATURE_*, 0 before version 2
 * @reserved: returns 0
 */
struct udmabuf_info {
	__u32 version;
	__u32 flags;
	__u32 list_limit;
	__u32 readonly_attach;
	__u64 size_limit;
	__u64 pinned;
	__u64 available;
	__u64 features;
	__u64 reserved[2];
};

/**
 * struct udmabuf_create_ext - UDMABUF_CREATE_EXT: make a dma-buf
 * @flags: UDMABUF_FLAGS_*; unknown ones are refused (EINVAL)
 * @count: number of entries of the list
 * @items: address of an array of struct udmabuf_create_item
 * @fd: returns the dma-buf's descriptor
 * @reserved: 0, else EINVAL
 *
 * Errors are those of UDMABUF_CREATE_LIST. EACCES: a file is not open for what the
 * dma-buf would allow, which the parameter allow_readonly does not change if
 * UDMABUF_FLAGS_READONLY or UDMABUF_FLAGS_UNSEALED is given.
 */
struct udmabuf_create_ext {
	__u32 flags;
	__u32 count;
	__u64 items;
	__s32 fd;
	__u32 reserved;
};

#define UDMABUF_GET_INFO	_IOR('u', 0x50, struct udmabuf_info)
#define UDMABUF_CREATE_EXT	_IOWR('u', 0x51, struct udmabuf_create_ext)

#endif /* _UAPI_LINUX_UDMABUF_EXT_H */
