// SPDX-License-Identifier: MIT
/*
 * A swap device in compressed memory, for the tests that want one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/swap.h>

#include "igt.h"
#include "pin_helper.h"
#include "swap_helper.h"

#define ZSWAP	"/sys/module/zswap/parameters/enabled"

static int zram = -1;
static char zram_path[32];

void swap_off(void)
{
	char id[16];
	int fd;

	if (zram < 0)
		return;
	swapoff(zram_path);
	fd = open("/sys/class/zram-control/hot_remove", O_WRONLY);
	snprintf(id, sizeof(id), "%d", zram);
	if (write(fd, id, strlen(id)) < 0)
		igt_debug("%s stays\n", zram_path);
	close(fd);
	zram = -1;
}

/* The first page of a swap area, as mkswap writes it. */
static void write_swap_header(const char *path, size_t size)
{
	struct {
		uint32_t version, last_page;
	} info = { 1, size / page_size() - 1 };
	char *header = calloc(1, page_size());
	int fd = open(path, O_WRONLY);

	igt_assert(header);
	igt_assert_lte(0, fd);
	memcpy(header + 1024, &info, sizeof(info));
	memcpy(header + page_size() - 10, "SWAPSPACE2", 10);
	igt_assert_eq(write(fd, header, page_size()), page_size());
	close(fd);
	free(header);
}

/* A device of compressed memory that nobody else uses. */
const char *zram_on(size_t size)
{
	char path[64];
	FILE *file;

	swap_off();
	igt_require_f(!igt_system_quiet("modprobe zram num_devices=0"),
		      "no zram module\n");
	file = fopen("/sys/class/zram-control/hot_add", "r");
	igt_require_f(file, "no zram control\n");
	igt_assert_eq(fscanf(file, "%d", &zram), 1);
	fclose(file);
	undo_at_end(swap_off);

	snprintf(path, sizeof(path), "/sys/block/zram%d/disksize", zram);
	file = fopen(path, "w");
	igt_assert(file);
	fprintf(file, "%zu", size);
	igt_assert_eq(fclose(file), 0);

	snprintf(zram_path, sizeof(zram_path), "/dev/zram%d", zram);
	return zram_path;
}

/* No other memory comes before it, so that the kernel counts what goes there. */
const char *swap_on(size_t size)
{
	if (!access(ZSWAP, F_OK))
		set(ZSWAP, "N");
	write_swap_header(zram_on(size), size);
	igt_require_f(swapon(zram_path, 0) == 0, "swapon: %s\n",
		      strerror(errno));
	return zram_path;
}
