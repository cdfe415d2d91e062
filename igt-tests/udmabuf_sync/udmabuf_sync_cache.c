// SPDX-License-Identifier: MIT
/*
 * Devices that do not see the CPU's caches: what the driver has cleaned and invalidated
 * of them, and when. It is the architecture that is asked to, where probes count it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "dma_helper.h"
#include "igt.h"
#include "pin_test_helper.h"
#include "udmabuf_sync.h"

#define TRACING		"/sys/kernel/tracing/"
#define PROBES		TRACING "events/pinfold_dma/"
#define MAX_CALLS	64

static const char * const probes[] = {
	"for_cpu arch_sync_dma_for_cpu",
	"for_device arch_sync_dma_for_device",
};

/* A buffer of pieces that are not in the order in which they lie in the file */
struct pieces {
	int memfd, dmabuf;
	uint32_t spans;		/* returned by the first device */
};

static struct pieces new_pieces(int dev)
{
	static const unsigned int order[] = { 2, 0, 3, 1 };
	struct udmabuf_create_item items[ARRAY_SIZE(order)];
	size_t count = NPAGES / ARRAY_SIZE(order);
	struct pieces pieces = { .memfd = sealed_memfd(SHMEM, pages(NPAGES)) };
	void *mem = map_fd(pieces.memfd, pages(NPAGES));

	fill(mem, 0, NPAGES, 1);
	unmap(mem, pages(NPAGES));
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		items[i] = (struct udmabuf_create_item){
			.memfd = pieces.memfd,
			.offset = pages(order[i] * count),
			.size = pages(count),
		};
	pieces.dmabuf = create_list(dev, ARRAY_SIZE(items), items);
	return pieces;
}

static void close_pieces(const struct pieces *pieces)
{
	close(pieces->dmabuf);
	close(pieces->memfd);
}

/* A device that takes each span in one piece, whatever its length. */
static int new_piece_device(struct pieces *pieces, unsigned long direction,
			    uint32_t flags)
{
	struct pin_test_attach attach = {
		.fd = pieces->dmabuf,
		.max_seg_size = MIB(1),
		.flags = flags,
	};
	int device = new_device_as(&attach, direction);

	if (attach.entries)
		pieces->spans = attach.entries;
	return device;
}

static void require_noncoherent(int dmabuf)
{
	struct pin_test_attach attach = { .fd = dmabuf, .flags = PIN_TEST_NONCOHERENT };
	int device = open_device(), err;

	err = ioctl(device, PIN_TEST_ATTACH, &attach) ? -errno : 0;
	close(device);
	igt_require_f(err != -EOPNOTSUPP, "all devices are coherent here\n");
	igt_assert_eq(err, 0);
}

static void remove_probes(void)
{
	write_line(PROBES "enable", "0");
	write_line(TRACING "kprobe_events", "-:pinfold_dma/for_cpu");
	write_line(TRACING "kprobe_events", "-:pinfold_dma/for_device");
}

static void remove_probes_at_exit(int sig)
{
	(void)sig;
	remove_probes();
}

/* It takes O_TRUNC. */
static void clear_trace(void)
{
	int fd = open(TRACING "trace", O_WRONLY | O_TRUNC | O_CLOEXEC);

	igt_assert_lte(0, fd);
	close(fd);
}

/* Of this process alone: others, too, may have devices that are not coherent. */
static void add_probes(void)
{
	static bool remove_later;
	char line[128];

	remove_probes();
	if (!remove_later)
		igt_install_exit_handler(remove_probes_at_exit);
	remove_later = true;
	for (size_t i = 0; i < ARRAY_SIZE(probes); i++) {
		snprintf(line, sizeof(line), "p:pinfold_dma/%s %s", probes[i],
			 "start=$arg1:x64 size=$arg2:u64 dir=$arg3:u32");
		igt_require_f(!write_line(TRACING "kprobe_events", line), "no kprobes\n");
	}
	snprintf(line, sizeof(line), "common_pid == %d", getpid());
	igt_assert_eq(write_line(PROBES "filter", line), 0);
	igt_assert_eq(write_line(PROBES "enable", "1"), 0);
	clear_trace();
}

struct call {
	unsigned long long start, size;
};

/* Since the last time. To invalidate what a device only reads has nothing to do. */
static size_t read_calls(struct call *calls, const char *probe)
{
	FILE *file = fopen(TRACING "trace", "r");
	unsigned int direction;
	char line[512], *where;
	size_t count = 0;

	igt_assert(file);
	while (fgets(line, sizeof(line), file)) {
		where = strstr(line, probe);
		if (!where)
			continue;
		where = strstr(where, "start=");
		igt_assert(where && count < MAX_CALLS);
		igt_assert_eq(sscanf(where, "start=%llx size=%llu dir=%u",
				     &calls[count].start, &calls[count].size,
				     &direction), 3);
		if (strcmp(probe, " for_cpu: ") || direction != PIN_TEST_TO_DEVICE)
			count++;
	}
	fclose(file);
	return count;
}

static bool overlap(const struct call *a, const struct call *b)
{
	return a->start < b->start + b->size && b->start < a->start + a->size;
}

static void check_calls(const char *probe, const struct pieces *pieces, bool all)
{
	struct call calls[MAX_CALLS];
	size_t count = read_calls(calls, probe), bytes = 0;

	for (size_t i = 0; i < count; i++) {
		igt_debug("%s%llu bytes at %#llx\n", probe, calls[i].size,
			  calls[i].start);
		bytes += calls[i].size;
		for (size_t k = 0; k < i; k++)
			igt_assert(!overlap(&calls[i], &calls[k]));
	}
	igt_assert_eq_u64(bytes, all ? pages(NPAGES) : 0);
	igt_assert_eq(count, all ? pieces->spans : 0);
}

/* All of the buffer has been handed over to the device, or to the CPU, or nothing. */
static void expect(const struct pieces *pieces, bool to_device, bool to_cpu)
{
	check_calls(" for_device: ", pieces, to_device);
	check_calls(" for_cpu: ", pieces, to_cpu);
	clear_trace();
}

static void expect_sync(const struct pieces *pieces, uint64_t flags, bool to_device,
			bool to_cpu)
{
	sync_cpu(pieces->dmabuf, flags);
	expect(pieces, to_device, to_cpu);
}

static void expect_map(const struct pieces *pieces, int device, unsigned long direction,
		       bool to_device, bool to_cpu)
{
	device_map(device, direction);
	expect(pieces, to_device, to_cpu);
}

static void both_ways(struct pieces *pieces, uint32_t flags)
{
	bool cares = flags & PIN_TEST_NONCOHERENT;
	int device = new_piece_device(pieces, PIN_TEST_BIDIRECTIONAL, flags);

	expect(pieces, cares, false);
	for (int i = 0; i < 2; i++) {
		expect_sync(pieces, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ, false, cares);
		expect_sync(pieces, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ, false, false);
	}
	expect_sync(pieces, DMA_BUF_SYNC_START | DMA_BUF_SYNC_WRITE, false, cares);
	expect_sync(pieces, DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE, cares, false);
	/* Without a START */
	expect_sync(pieces, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW, cares, false);

	expect_map(pieces, device, PIN_TEST_NOT_MAPPED, false, false);
	expect_sync(pieces, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ, false, cares);
	expect_sync(pieces, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ, false, false);
	expect_map(pieces, device, PIN_TEST_BIDIRECTIONAL, cares, false);
	close(device);
	expect(pieces, false, false);
}

static void test_both_ways(struct pieces *pieces)
{
	both_ways(pieces, PIN_TEST_NONCOHERENT);
}

static void test_to_device(struct pieces *pieces)
{
	int device = new_piece_device(pieces, PIN_TEST_TO_DEVICE, PIN_TEST_NONCOHERENT);

	expect(pieces, true, false);
	expect_sync(pieces, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW, false, false);
	expect_sync(pieces, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW, true, false);
	expect_map(pieces, device, PIN_TEST_NOT_MAPPED, false, false);
	expect_map(pieces, device, PIN_TEST_TO_DEVICE, true, false);
	close(device);
	expect(pieces, false, false);
}

/* What is in the caches must not be written over what it writes. */
static void test_from_device(struct pieces *pieces)
{
	int device = new_piece_device(pieces, PIN_TEST_FROM_DEVICE, PIN_TEST_NONCOHERENT);

	expect(pieces, true, false);
	expect_sync(pieces, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ, false, true);
	expect_map(pieces, device, PIN_TEST_NOT_MAPPED, false, true);
	expect_map(pieces, device, PIN_TEST_FROM_DEVICE, true, false);
	close(device);
	expect(pieces, false, true);
}

static void test_detach(struct pieces *pieces)
{
	int device = new_piece_device(pieces, PIN_TEST_BIDIRECTIONAL,
				      PIN_TEST_NONCOHERENT);

	expect(pieces, true, false);
	device_fill(device, 0, NPAGES, 2, true);
	device_detach(device);
	expect(pieces, false, true);
	close(device);
}

static void test_coherent(struct pieces *pieces)
{
	both_ways(pieces, 0);
}

static const struct cache_test {
	const char *name;
	void (*test)(struct pieces *pieces);
} tests[] = {
	{ "both-ways", test_both_ways },
	{ "to-device", test_to_device },
	{ "from-device", test_from_device },
	{ "detach", test_detach },
}, coherent = { "coherent", test_coherent };

static const struct cache_test *current;

static void test_current(int dev)
{
	struct pieces pieces = new_pieces(dev);

	require_noncoherent(pieces.dmabuf);
	add_probes();
	current->test(&pieces);
	remove_probes();
	close_pieces(&pieces);
}

void udmabuf_sync_cache_subtests(int dev)
{
	for (current = tests; current < tests + ARRAY_SIZE(tests); current++) {
		igt_describe_f("For a device that is not coherent, caches are cleaned and "
			       "invalidated once for all of the buffer: %s", current->name);
		igt_subtest_f("caches-%s", current->name)
			udmabuf_test(test_current, dev);
	}
	current = &coherent;
	igt_describe("For one that is coherent, they are left alone");
	igt_subtest("caches-coherent")
		udmabuf_test(test_current, dev);
}
