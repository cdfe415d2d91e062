// SPDX-License-Identifier: MIT
/*
 * A Wayland client whose pixels the compositor reads where they were drawn: in a
 * memfd, which udmabuf turns into dma-bufs. Or, to compare, through wl_shm.
 */

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zerocopy.h"

/* Frames during which compositors compile shaders and fault pages in. */
#define WARM_UP 2

#define MAX_SIDE 8192		/* pixels: keeps two frames below 2 GiB */

struct options {
	int width, height;
	unsigned int frames;
	const struct format *format;
	bool shm, huge, hold, fullscreen;
};

_Noreturn void die(enum status status, const char *message, ...)
{
	int error = errno;
	va_list args;

	fflush(stdout);
	fputs("wayland-zerocopy: ", stderr);
	va_start(args, message);
	errno = error;		/* for %m */
	vfprintf(stderr, message, args);
	va_end(args);
	fputc('\n', stderr);
	exit(status);
}

static void print_help(void)
{
	puts("usage: wayland-zerocopy [OPTION...]\n"
	     "Draw an animation into a memfd and have the Wayland compositor read it there.\n"
	     "\n"
	     "  --size WxH     pixels (1280x720)\n"
	     "  --frames N     stop after N frames; without it, when the window is closed\n"
	     "  --format NAME  XRGB8888 (the default), ARGB8888, XBGR8888, ABGR8888, RGB565\n"
	     "  --huge         take the memory from hugetlb pages\n"
	     "  --shm          share it by wl_shm instead of udmabuf\n"
	     "  --fullscreen   fill the screen; --size is to be that of the screen\n"
	     "  --hold         after the last frame keep it on screen while standard input is\n"
	     "                 open; each line, a colour RRGGBB, fills a rectangle in it, of\n"
	     "                 which the compositor is told nothing\n"
	     "  --help\n"
	     "\n"
	     "Exit status: 0 success, 1 another error, 2 wrong arguments, 3 no compositor,\n"
	     "4 the compositor lacks a protocol, 5 it does not take the format, 6 there is no\n"
	     "/dev/udmabuf, 7 no permission to open it, 8 udmabuf refuses the memfd, 9 no\n"
	     "memory (or huge pages), 10 the compositor rejects the dma-buf, 11 it closed the\n"
	     "connection.");
}

static bool parse_number(const char *text, long max, const char **end, long *number)
{
	char *after;

	errno = 0;
	*number = strtol(text, &after, 10);
	*end = after;
	return after != text && !errno && *number > 0 && *number <= max;
}

static void parse_size(const char *text, struct options *options)
{
	const char *end;
	long width, height;

	if (!parse_number(text, MAX_SIDE, &end, &width) || *end != 'x' ||
	    !parse_number(end + 1, MAX_SIDE, &end, &height) || *end)
		die(STATUS_USAGE, "--size takes WIDTHxHEIGHT, each up to %d, not \"%s\"",
		    MAX_SIDE, text);
	options->width = width;
	options->height = height;
}

static void parse_frames(const char *text, struct options *options)
{
	const char *end;
	long frames;

	if (!parse_number(text, INT_MAX / 2, &end, &frames) || *end)
		die(STATUS_USAGE, "--frames takes a number above 0, not \"%s\"", text);
	options->frames = frames;
}

static void parse_options(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{ "size", required_argument, NULL, 's' },
		{ "frames", required_argument, NULL, 'n' },
		{ "format", required_argument, NULL, 'f' },
		{ "huge", no_argument, NULL, 'H' },
		{ "shm", no_argument, NULL, 'm' },
		{ "fullscreen", no_argument, NULL, 'F' },
		{ "hold", no_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	int c;

	*options = (struct options) {
		.width = 1280, .height = 720, .format = format_by_name("XRGB8888"),
	};
	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 's':
			parse_size(optarg, options);
			break;
		case 'n':
			parse_frames(optarg, options);
			break;
		case 'f':
			options->format = format_by_name(optarg);
			if (!options->format) {
				fprintf(stderr, "formats that can be drawn:");
				format_print_names(0);
				die(STATUS_USAGE, "unknown format \"%s\"", optarg);
			}
			break;
		case 'H':
			options->huge = true;
			break;
		case 'm':
			options->shm = true;
			break;
		case 'F':
			options->fullscreen = true;
			break;
		case 'o':
			options->hold = true;
			break;
		case 'h':
			print_help();
			exit(STATUS_OK);
		default:
			die(STATUS_USAGE, "see --help");
		}
	}
	if (optind < argc)
		die(STATUS_USAGE, "\"%s\" is not an option: see --help", argv[optind]);
}

static void check_offers(const struct options *options, const struct window *window)
{
	unsigned int wanted = options->shm ? OFFER_SHM : OFFER_LINEAR | OFFER_IMPLICIT;

	if (options->shm && !window->shm)
		die(STATUS_NO_PROTOCOL, "the compositor has no wl_shm");
	if (!options->shm && !window->dmabuf)
		die(STATUS_NO_PROTOCOL,
		    "the compositor has no zwp_linux_dmabuf_v1 version 3 or later");
	if (format_offers(options->format) & wanted)
		return;

	fprintf(stderr, "formats that the compositor takes%s:",
		options->shm ? "" : ", linear or without a modifier");
	format_print_names(wanted);
	die(STATUS_NO_FORMAT, "the compositor does not take %s", options->format->name);
}

/* Returns the buffer on screen, whose frame the compositor has shown. */
static struct buffer *animate(struct pool *pool, struct window *window,
			      unsigned int frames, struct cost *cost)
{
	struct buffer *shown = NULL;
	unsigned int number = 0;

	while (!window->closed) {
		struct buffer *buffer = pool_free_buffer(pool);

		if (window->frame_due && number == WARM_UP)
			cost_begin(cost, window->display);
		if (window->frame_due && frames && number == WARM_UP + frames)
			break;
		if (!window->frame_due || !buffer) {
			window_wait(window, -1);
			continue;
		}
		buffer_begin_write(buffer);
		draw_frame(pool, buffer->pixels, number);
		buffer_end_write(buffer);
		window_show(window, buffer);
		shown = buffer;
		number++;
	}
	if (number <= WARM_UP)
		die(STATUS_OK, "closed before anything could be measured");
	cost_end(cost);
	cost->frames = number - WARM_UP;
	return shown;
}

static void report(const struct options *options, const struct pool *pool,
		   const struct cost *cost, const struct feedback *feedback)
{
	double to_ms = 1000.0 / cost->frames;

	printf("path             %s%s\n", options->shm ? "wl_shm" : "udmabuf",
	       options->huge ? ", huge pages" : "");
	printf("size             %dx%d %s\n", pool->width, pool->height,
	       pool->format->name);
	printf("frames           %u, after %d to warm up\n", cost->frames, WARM_UP);
	printf("frame rate       %.1f per second\n", cost->frames / cost->seconds);
	printf("client copied    0 bytes per frame (it draws in place)\n");
	printf("client CPU       %.2f ms per frame\n", cost->client_cpu * to_ms);
	if (cost->compositor)
		printf("compositor CPU   %.2f ms per frame (process %d)\n",
		       cost->compositor_cpu * to_ms, cost->compositor);
	else
		printf("compositor CPU   unknown (its process cannot be seen)\n");
	if (feedback->presentation)
		printf("scanned out      %u of %u frames presented\n",
		       feedback->scanned_out, feedback->presented);
	else
		printf("scanned out      unknown (the compositor does not tell)\n");
	for (int i = 0; i < 2; i++) {
		struct stat st;

		if (pool->buffers[i].dmabuf >= 0 &&
		    !fstat(pool->buffers[i].dmabuf, &st))
			printf("dma-buf          inode %lu\n", (unsigned long)st.st_ino);
	}
	fflush(stdout);
}

/*
 * That the compositor has no copy shows when it sees what is written into the
 * memfd although it is told nothing: no attach, no damage, no commit. The other
 * buffer covers the window meanwhile; when it goes away, the compositor has to
 * paint from what it has of the window.
 */
static void write_behind(struct pool *pool, struct window *window,
			 struct buffer *shown, uint32_t rgb)
{
	int width = pool->width / 4, height = pool->height / 4;
	int x = (pool->width - width) / 2, y = (pool->height - height) / 2;
	struct buffer *other = &pool->buffers[shown == &pool->buffers[0]];

	while (other->busy && !window->closed)
		window_wait(window, -1);
	if (window->closed)
		return;

	window_cover(window, other);
	buffer_begin_write(shown);
	draw_rectangle(pool, shown->pixels, x, y, width, height, rgb);
	buffer_end_write(shown);
	window_uncover(window);
	printf("wrote %06x to %dx%d pixels at %d,%d\n", rgb, width, height, x, y);
	fflush(stdout);
}

/*
 * Of standard input, without its end, or as much as there is room for. Returns false when
 * the input ends, or the window is closed. What is not a whole line yet is waited for as
 * the compositor is.
 */
static bool read_line(struct window *window, char *line, size_t room)
{
	size_t length = 0;

	while (length < room - 1) {
		if (window->closed)
			return false;
		if (!window_wait(window, STDIN_FILENO))
			continue;
		if (read(STDIN_FILENO, line + length, 1) != 1) {
			if (!length)
				return false;
			break;
		}
		if (line[length] == '\n')
			break;
		length++;
	}
	line[length] = 0;
	return true;
}

static void hold(struct pool *pool, struct window *window, struct buffer *shown)
{
	char line[16];
	unsigned int rgb;

	puts("holding");
	fflush(stdout);
	while (read_line(window, line, sizeof(line))) {
		if (sscanf(line, "%6x", &rgb) != 1)
			die(STATUS_USAGE, "a colour is RRGGBB, not \"%s\"", line);
		write_behind(pool, window, shown, rgb);
	}
}

int main(int argc, char **argv)
{
	struct window window = { 0 };
	struct options options;
	struct pool pool = { 0 };
	struct buffer *shown;
	struct cost cost;

	parse_options(argc, argv, &options);
	window_connect(&window);
	check_offers(&options, &window);

	pool.format = options.format;
	pool.width = options.width;
	pool.height = options.height;
	pool_create(&pool, options.huge);
	if (options.shm)
		pool_share_shm(&pool, &window);
	else
		pool_share_udmabuf(&pool, &window);
	draw_prepare(&pool);

	window.fullscreen = options.fullscreen;
	window_open(&window, options.shm ? "wl_shm" : "udmabuf",
		    pool.width, pool.height);
	shown = animate(&pool, &window, options.frames, &cost);
	window_settle(&window);
	report(&options, &pool, &cost, &window.feedback);
	if (options.hold)
		hold(&pool, &window, shown);

	wl_display_disconnect(window.display);
	return STATUS_OK;
}
