/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * /dev/pin_test, with which tests call the kernel's pin functions, one by one, and
 * look at what they have pinned, which uses dma-bufs as a device that maps them at once,
 * and looks at page tables. For CAP_SYS_ADMIN, on machines for testing.
 *
 * Each open file holds the pins of one call, until PIN_TEST_UNPIN or the last
 * close, and so one attachment to a dma-buf, until PIN_TEST_DETACH, and the lock of
 * one folio, until PIN_TEST_UNLOCK. The data of the
 * pinned pages is read and written by pread() and pwrite(): the offset is entry *
 * page size + offset in that page.
 */
#ifndef _UAPI_LINUX_PIN_TEST_H
#define _UAPI_LINUX_PIN_TEST_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * enum pin_test_call - the functions that can be called
 * @PIN_TEST_FAST: pin_user_pages_fast()
 * @PIN_TEST_FAST_ONLY: pin_user_pages_fast_only()
 * @PIN_TEST_SLOW: pin_user_pages()
 * @PIN_TEST_REMOTE: pin_user_pages_remote()
 * @PIN_TEST_MEMFD: memfd_pin_range() of memfd_pin.ko
 * @PIN_TEST_MEMFD_FOLIOS: memfd_pin_folios(), the kernel's where it has one
 */
enum pin_test_call {
	PIN_TEST_FAST,
	PIN_TEST_FAST_ONLY,
	PIN_TEST_SLOW,
	PIN_TEST_REMOTE,
	PIN_TEST_MEMFD,
	PIN_TEST_MEMFD_FOLIOS,
};

/* Of struct pin_test_range, for the calls that take addresses */
#define PIN_TEST_WRITE		(1 << 0)	/* FOLL_WRITE */
#define PIN_TEST_LONGTERM	(1 << 1)	/* FOLL_LONGTERM */
#define PIN_TEST_GET		(1 << 2)	/* FOLL_GET, which pin functions refuse */
#define PIN_TEST_NOTIFY		(1 << 3)	/* unpin when the mapping changes */

/**
 * struct pin_test_range - what is to be pinned, and how
 * @call: one of enum pin_test_call
 * @flags: PIN_TEST_WRITE and so on
 * @start: user address, or byte offset in the memfd
 * @size: bytes; what is passed on as a number of pages is rounded towards 0
 * @fd: the memfd, where a closed descriptor passes NULL on; PIN_TEST_REMOTE: a
 *	process ID
 * @reserved: 0
 */
struct pin_test_range {
	__u32 call;
	__u32 flags;
	__u64 start;
	__s64 size;
	__s32 fd;
	__u32 reserved;
};

/**
 * struct pin_test_pin - PIN_TEST_PIN: pin
 * @range: what to pin
 * @nr: returns the number of entries: pages, or folios of PIN_TEST_MEMFD_FOLIOS
 * @offset: returns the byte offset of the start in the first folio, of
 *	PIN_TEST_MEMFD_FOLIOS
 *
 * Long-term pins are charged to the caller. Errors are those of the function, and
 * EBUSY: the file has pins; EINVAL: unknown call or flags; EMSGSIZE: the number of
 * pages is none that the function can be given; ESRCH: there is no such process;
 * ENOMEM, EPERM: no memory, or a limit; EINTR: a signal.
 *
 * With PIN_TEST_NOTIFY, an MMU notifier looks after the range, and when the mapping
 * of any part of it changes, all is unpinned: then there are no entries, and
 * PIN_TEST_UNPIN only ends the notifier. Not for memfds and other processes.
 */
struct pin_test_pin {
	struct pin_test_range range;
	__u64 nr;
	__u64 offset;
};

/*
 * Of struct pin_test_page. Where one PMD maps a folio, only its first page says that
 * it is exclusive.
 */
#define PIN_TEST_PAGE_ZERO		(1 << 0)
#define PIN_TEST_PAGE_ANON		(1 << 1)
#define PIN_TEST_PAGE_EXCLUSIVE		(1 << 2)
#define PIN_TEST_PAGE_DIRTY		(1 << 3)
#define PIN_TEST_PAGE_UPTODATE		(1 << 4)
#define PIN_TEST_PAGE_HWPOISON		(1 << 5)

/**
 * struct pin_test_page - PIN_TEST_QUERY: look at a pinned page
 * @entry: which one
 * @order: of the folio
 * @pfn: frame number of the folio's first page
 * @index: of the page in the folio
 * @refs: the folio's reference count
 * @pins: the folio's pins: its pincount if it is large, else what the reference
 *	count tells of it, which is more when there are 1024 references
 * @flags: PIN_TEST_PAGE_ZERO and so on
 * @zone: name of the memory zone
 *
 * EINVAL: there is no such entry.
 */
struct pin_test_page {
	__u32 entry;
	__u32 order;
	__u64 pfn;
	__u64 index;
	__s32 refs;
	__s32 pins;
	__u32 flags;
	char zone[12];
};

/* Arguments of PIN_TEST_UNPIN; others are EINVAL, and where there are no pins ENODATA */
#define PIN_TEST_CLEAN		0
#define PIN_TEST_DIRTY		1	/* mark the pages dirty */

/**
 * struct pin_test_bench - PIN_TEST_BENCH: measure
 * @range: what to pin and unpin
 * @loops: how often, at least once
 * @unpin: PIN_TEST_CLEAN or PIN_TEST_DIRTY. The kernel's unpin_folios() has no
 *	such choice: with PIN_TEST_DIRTY, each folio is marked dirty and unpinned
 *	by unpin_user_page_range_dirty_lock()
 * @pin_ns: returns the nanoseconds that pinning took, and
 * @unpin_ns: unpinning, in the fastest loop for each
 * @nr: returns the number of entries
 * @bytes: returns the bytes of memory that a caller keeps with the pins
 *
 * What a caller would have to allocate for the result beforehand is allocated
 * before the time starts. A short pin is an error, ENODATA.
 */
struct pin_test_bench {
	struct pin_test_range range;
	__u32 loops;
	__u32 unpin;
	__u64 pin_ns;
	__u64 unpin_ns;
	__u64 nr;
	__u64 bytes;
};

/* Of struct pin_test_attach */
#define PIN_TEST_NONCOHERENT	(1 << 0)	/* it does not see the CPU's caches */
#define PIN_TEST_EDU		(1 << 1)	/* it is QEMU's edu, behind an IOMMU */
#define PIN_TEST_TRIM		(1 << 2)	/* it begins with the second page */

/**
 * struct pin_test_attach - PIN_TEST_ATTACH: attach a device to a dma-buf, and map it
 * @fd: the dma-buf
 * @max_seg_size: the longest segment that the device takes, in bytes, whole pages; 0
 *	leaves it at what a device has whose driver says nothing of it, which is 64 KiB
 * @attach_ns: returns the nanoseconds that attaching and mapping took
 * @entries: returns the entries of the scatterlist, and
 * @segments: what is left of them in the view of the device
 * @bytes: returns the sum of their lengths in that view
 * @flags: 0, PIN_TEST_NONCOHERENT or PIN_TEST_EDU; and PIN_TEST_TRIM
 * @reserved: 0
 *
 * The device is a new one, with 64 bits of address, and is going to read and write,
 * unless PIN_TEST_MAP has said otherwise. What it reads and writes is copied by the CPU:
 * one that is not coherent is so for the kernel only. With PIN_TEST_EDU it is QEMU's edu,
 * with 28 bits of address, which reads and writes by itself, 4096 bytes in 200 ms.
 * With PIN_TEST_TRIM its driver does what that of RDMA does for a range: as long as it is
 * mapped, the table of the exporter says that the device's first segment begins a page later,
 * unless that is its only page.
 * PIN_TEST_DETACH unmaps, detaches and removes it; where the argument points to, it
 * writes the nanoseconds that the first two took, as a __u64.
 *
 * Errors are EBADF: no open descriptor; EINVAL: not a dma-buf, a segment that is not
 * a number of pages, unknown flags; EBUSY: there is an attachment already, or the edu has
 * one; ENODEV: there is no edu, or no IOMMU before it; EOPNOTSUPP: all devices of this
 * architecture are coherent; for PIN_TEST_DETACH, ENODATA: there is none; and those of the
 * exporter.
 */
struct pin_test_attach {
	__s32 fd;
	__u32 max_seg_size;
	__u64 attach_ns;
	__u32 entries;
	__u32 segments;
	__u64 bytes;
	__u32 flags;
	__u32 reserved;
};

/*
 * PIN_TEST_MAP unmaps what is mapped by the attachment, and maps it anew in the
 * direction that its argument says. Before PIN_TEST_ATTACH it says how that is going to
 * map. Errors are EINVAL: no such direction; and those of the exporter, after which it is
 * not mapped.
 */
#define PIN_TEST_BIDIRECTIONAL	0
#define PIN_TEST_TO_DEVICE	1
#define PIN_TEST_FROM_DEVICE	2
#define PIN_TEST_NOT_MAPPED	3

/* Of struct pin_test_dma, for PIN_TEST_DMA_WRITE */
#define PIN_TEST_DMA_FENCE	(1 << 0)	/* leave a fence, as drivers do */

/**
 * struct pin_test_dma - PIN_TEST_DMA_READ, PIN_TEST_DMA_WRITE: the device's own access
 * @offset: byte in the dma-buf
 * @size: bytes
 * @data: user address that they are copied to, or from
 * @flags: PIN_TEST_DMA_FENCE
 * @reserved: 0
 *
 * It goes where the mapping has sent the device: to a bounce buffer, if there is one,
 * and whatever the direction of the mapping. The IOMMU of a PIN_TEST_EDU does look at that:
 * what it refuses is not written, and only the kernel's log tells.
 *
 * Errors are ENODATA: not mapped; EINVAL: not within the dma-buf, unknown flags; EFAULT;
 * ENOMEM: no memory for a fence, with the data written; EINTR: a fatal signal.
 */
struct pin_test_dma {
	__u64 offset;
	__u64 size;
	__u64 data;
	__u32 flags;
	__u32 reserved;
};

/**
 * struct pin_test_lock - PIN_TEST_LOCK: lock a folio of a memfd
 * @fd: the memfd
 * @reserved: 0
 * @index: number of a page in the file, which lies in the folio
 *
 * As those do who take folios out of their files. The lock is held until
 * PIN_TEST_UNLOCK, or the last close. The folio may have any contents and lie anywhere,
 * and is not pinned.
 *
 * Errors are EBADF: no open descriptor; EINVAL: neither on shmem nor on hugetlbfs;
 * ENOENT: there is no such folio; EBUSY: a lock is held already; EINTR; for
 * PIN_TEST_UNLOCK, ENODATA: none is.
 */
struct pin_test_lock {
	__s32 fd;
	__u32 reserved;
	__u64 index;
};

/**
 * enum pin_test_block_type - what a page block is for
 * @PIN_TEST_BLOCK_OTHER: nothing that long-term pins must stay out of
 * @PIN_TEST_BLOCK_CMA: a CMA area
 * @PIN_TEST_BLOCK_ISOLATED: to be offlined, or allocated as a whole
 */
enum pin_test_block_type {
	PIN_TEST_BLOCK_OTHER,
	PIN_TEST_BLOCK_CMA,
	PIN_TEST_BLOCK_ISOLATED,
};

/**
 * struct pin_test_block - PIN_TEST_BLOCK: where a page of a memfd lies
 * @fd: the memfd
 * @type: returns the type of the page block that its folio begins in, one of
 *	enum pin_test_block_type
 * @index: number of the page in the file
 * @pfn: returns the frame number of the folio's first page
 *
 * The page need not be pinned, and may have gone elsewhere when this returns.
 *
 * Errors are EBADF: no open descriptor; EINVAL: neither on shmem nor on hugetlbfs;
 * ENOENT: there is no such page.
 */
struct pin_test_block {
	__s32 fd;
	__u32 type;
	__u64 index;
	__u64 pfn;
};

/**
 * struct pin_test_entry - PIN_TEST_ENTRY: look at the page table entry of an address
 * @addr: the address, in a mapping of a dma-buf or of other frames
 * @contiguous: returns 1 if the entry is one of a block of which a TLB may make one, else 0
 * @block: returns how many entries such a block has, 0 if the kernel makes none of those
 *	of a page table; then @contiguous is 0, whatever there is at @addr
 *
 * Errors are ENODATA: no entry maps the address, or not in such a mapping; EINTR: a fatal
 * signal.
 */
struct pin_test_entry {
	__u64 addr;
	__u32 contiguous;
	__u32 block;
};

#define PIN_TEST_PIN	_IOWR('g', 0x80, struct pin_test_pin)
#define PIN_TEST_UNPIN	_IO('g', 0x81)
#define PIN_TEST_QUERY	_IOWR('g', 0x82, struct pin_test_page)
#define PIN_TEST_BENCH	_IOWR('g', 0x83, struct pin_test_bench)
#define PIN_TEST_ATTACH	_IOWR('g', 0x84, struct pin_test_attach)
#define PIN_TEST_DETACH	_IOR('g', 0x85, __u64)
#define PIN_TEST_LOCK	_IOW('g', 0x86, struct pin_test_lock)
#define PIN_TEST_UNLOCK	_IO('g', 0x87)
#define PIN_TEST_MAP	_IO('g', 0x88)
#define PIN_TEST_DMA_READ	_IOW('g', 0x89, struct pin_test_dma)
#define PIN_TEST_DMA_WRITE	_IOW('g', 0x8a, struct pin_test_dma)
#define PIN_TEST_BLOCK	_IOWR('g', 0x8b, struct pin_test_block)
#define PIN_TEST_ENTRY	_IOWR('g', 0x8c, struct pin_test_entry)

#endif /* _UAPI_LINUX_PIN_TEST_H */
