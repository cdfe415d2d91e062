// SPDX-License-Identifier: MIT
/*
 * A Wayland client with wl_shm buffers of all kinds, each in a tile of its own, to try
 * examples/shm-zerocopy with. It does not know of the library: what it shows must be the
 * same with it and without. It says of each tile whether the library should share it or
 * leave it alone, and, when there is something to look at, which part it has come to;
 * a line of standard input makes it go on.
 */

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tiles.h"

#define THREADS 4
#define ROUNDS 6

static struct tile tiles[COLUMNS * ROWS];
static int nr_tiles;

void die(const char *message, ...)
{
	va_list args;

	fputs("tiles: ", stderr);
	va_start(args, message);
	vfprintf(stderr, message, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static void part(const char *name)
{
	printf("part %s\n", name);
	while (getchar() != '\n')
		if (feof(stdin))
			die("nobody looks");
}

/* Two buffers where it is redrawn. */
static void announce(const struct kind *kind, int index)
{
	printf("tile %d %d %d %d %s: %s\n", index, index % COLUMNS * TILE_WIDTH,
	       index / COLUMNS * TILE_HEIGHT,
	       kind->flags & BUFFER_REDRAWN ? 2 : 1, kind->name,
	       kind->alone ?: "shared");
}

/* Each has its own queue, and the connection and the window in common. */
static void *thread(void *data)
{
	static const struct kind kind = {
		"thread", .format = WL_SHM_FORMAT_XRGB8888,
		.flags = BUFFER_REDRAWN | BUFFER_QUEUED | BUFFER_WRAPPED | POOL_GONE,
	};
	struct window *window = data;
	int index = __atomic_fetch_add(&nr_tiles, 1, __ATOMIC_RELAXED);

	for (int i = 0; i < ROUNDS; i++) {
		if (i)
			tile_destroy(&tiles[index]);
		announce(&kind, index);
		tile_show(&tiles[index], window, &kind, index);
	}
	return NULL;
}

static void run_threads(struct window *window)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, thread, window))
			die("no thread");
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

int main(void)
{
	struct window first = { 0 }, second = { 0 };
	struct tile tile;

	setvbuf(stdout, NULL, _IOLBF, 0);
	window_open(&first, "tiles");
	for (int i = 0; i < nr_kinds; i++) {
		announce(&kinds[i], i);
		tile_show(&tiles[i], &first, &kinds[i], i);
	}
	nr_tiles = nr_kinds;
	part("shown");

	for (int i = 0; i < nr_tiles; i++)
		tile_scribble(&tiles[i]);
	window_repaint(&first);
	part("scribbled");

	/* Room for the threads' tiles: those of before go, in the order they came. */
	for (int i = 0; i < THREADS; i++)
		tile_destroy(&tiles[i]);
	nr_tiles = 0;
	run_threads(&first);
	part("threads");

	/*
	 * Objects of the same ids. Then, the first connection is closed with all that
	 * there is on it.
	 */
	window_open(&second, "second");
	announce(&kinds[0], 0);
	tile_show(&tile, &second, &kinds[0], 0);
	window_attach_background(&first);
	wl_display_disconnect(first.display);
	window_repaint(&second);
	part("second");

	tile_destroy(&tile);
	wl_display_disconnect(second.display);
	return 0;
}
