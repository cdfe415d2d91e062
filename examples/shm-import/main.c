// SPDX-License-Identifier: MIT
/*
 * Shows what shm-import.c is for: a client's buffer, in a pool that is not sealed, not at
 * the beginning of a page and not up to the end of one, is seen by OpenGL without an
 * upload, at first and when the client has drawn into it again.
 */

#define _GNU_SOURCE		/* memfd_create */
#include <drm_fourcc.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gl.h"
#include "shm-import.h"

#define WIDTH 500		/* pixels */
#define HEIGHT 301
#define STRIDE 2048		/* bytes, of which the last 48 are in no pixel */

#define STATUS_UPLOAD 2

static const char usage[] =
"usage: shm-import [--sealed] [--offset BYTES] [--device PATH]\n"
"\n"
"Make a wl_shm pool as clients have it, import a buffer of it as a dma-buf, as a\n"
"compositor can, and look at it by OpenGL ES.\n"
"\n"
"  --sealed       the pool cannot shrink\n"
"  --offset BYTES where the buffer begins in the pool, or 12544\n"
"  --device PATH  of the driver, or /dev/udmabuf\n"
"  --help         show this\n"
"\n"
"Exit status: 0: OpenGL sees the client's own pages; 1: it does not; 2: it would take an\n"
"upload, since the driver refuses.\n";

/* A picture that has each number in it; they are those of blue, green, red and alpha. */
static uint8_t pixel(int number, int x, int y, int part)
{
	return 37 * number + 3 * x + 5 * y + 64 * part;
}

static void draw(uint8_t *rows, int number)
{
	for (int y = 0; y < HEIGHT; y++)
		for (int x = 0; x < WIDTH; x++)
			for (int part = 0; part < 4; part++)
				rows[y * STRIDE + 4 * x + part] = pixel(number, x, y, part);
}

static void check(const struct shm_buffer *buffer, int number)
{
	static const int parts[] = { 2, 1, 0, 3 };
	static uint8_t pixels[HEIGHT][WIDTH][4];

	gl_read(buffer, pixels[0][0]);
	for (int y = 0; y < HEIGHT; y++)
		for (int x = 0; x < WIDTH; x++)
			for (int i = 0; i < 4; i++)
				if (pixels[y][x][i] != pixel(number, x, y, parts[i]))
					errx(1, "picture %d: OpenGL sees another pixel at "
					     "%d,%d", number, x, y);
}

/* Ends with the last pixel, as pools do. */
static int make_pool(uint32_t offset, bool sealed, uint8_t **rows)
{
	size_t size = offset + STRIDE * HEIGHT;
	int pool = memfd_create("pool", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint8_t *map;

	if (pool < 0 || ftruncate(pool, size))
		err(1, "no pool of %zu bytes", size);
	if (sealed && fcntl(pool, F_ADD_SEALS, F_SEAL_SHRINK))
		err(1, "cannot seal the pool");
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, pool, 0);
	if (map == MAP_FAILED)
		err(1, "cannot map the pool");
	*rows = map + offset;
	return pool;
}

static uint32_t parse_offset(const char *text)
{
	char *end;
	unsigned long offset = strtoul(text, &end, 0);

	if (*end || end == text || offset > INT32_MAX - STRIDE * HEIGHT)
		errx(1, "%s is not an offset in a pool", text);
	return offset;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "sealed", no_argument, NULL, 's' },
		{ "offset", required_argument, NULL, 'o' },
		{ "device", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct shm_buffer buffer = {
		.format = DRM_FORMAT_ARGB8888, .offset = 12544, .stride = STRIDE,
		.width = WIDTH, .height = HEIGHT,
	};
	const char *device = "/dev/udmabuf";
	struct shm_importer importer;
	uint32_t plane_offset;
	bool sealed = false;
	int dmabuf, option;
	struct stat st;
	uint8_t *rows;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 's':
			sealed = true;
			break;
		case 'o':
			buffer.offset = parse_offset(optarg);
			break;
		case 'd':
			device = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return 1;
		}
	}

	if (optind != argc) {
		fputs(usage, stderr);
		return 1;
	}

	/* The client */
	buffer.pool = make_pool(buffer.offset, sealed, &rows);
	draw(rows, 0);

	/* The compositor */
	if (shm_importer_open(&importer, device))
		err(1, "%s", device);
	dmabuf = shm_import(&importer, &buffer, true, &plane_offset);
	if (dmabuf < 0) {
		errno = -dmabuf;
		warn("the buffer has to be uploaded");
		return STATUS_UPLOAD;
	}
	if (fstat(dmabuf, &st))
		err(1, "dma-buf");
	printf("dma-buf of %ld bytes, inode %lu, the plane at %u\n", (long)st.st_size,
	       (unsigned long)st.st_ino, plane_offset);
	gl_open();
	gl_import(dmabuf, &buffer, plane_offset);
	shm_hand_over(dmabuf);
	check(&buffer, 0);

	/* The client draws again, and commits. */
	draw(rows, 1);
	shm_hand_over(dmabuf);
	check(&buffer, 1);
	puts("OpenGL sees what the client has drawn, and has drawn since");
	return 0;
}
