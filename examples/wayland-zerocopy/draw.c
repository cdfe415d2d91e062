// SPDX-License-Identifier: MIT
/*
 * The animation: suns that circle above a sea of three crossing waves, and the
 * number of the frame. A pixel costs a few integer operations, and every one of
 * them is new in every frame, as in a video or a game.
 */

#include <math.h>
#include <stdlib.h>

#include "zerocopy.h"

/*
 * A row is first put together as indices into a palette: the height of the sea,
 * and on top of it how much of a sun's light falls there.
 */
#define SEA_LEVELS	512
#define GLOW_LEVELS	64

#define WAVES		3
#define SUNS		5
#define FALLOFF		1024		/* steps from a sun's centre to its rim */

static const struct wave {
	double length;			/* pixels, per pixel of the picture's height */
	double slope;			/* pixels it moves aside with each row */
	double bend, bend_length;	/* how it meanders on its way down */
	double speed;			/* lengths per frame */
} waves[WAVES] = {
	{ 0.83,  0.55, 0.16, 1.90,  1 / 160.0 },
	{ 0.47, -0.90, 0.10, 1.15, -1 / 110.0 },
	{ 1.31,  0.20, 0.22, 0.80,  1 / 230.0 },
};

static const struct sun {
	double radius, orbit;		/* both per pixel of the picture's height */
	double start, speed;		/* turns, turns per frame */
} suns[SUNS] = {
	{ 0.25, 0.05, 0.00,  1 / 420.0 },
	{ 0.15, 0.33, 0.10,  1 / 300.0 },
	{ 0.12, 0.36, 0.62, -1 / 380.0 },
	{ 0.09, 0.43, 0.38,  1 / 240.0 },
	{ 0.07, 0.27, 0.85, -1 / 200.0 },
};

static uint32_t palette[GLOW_LEVELS][SEA_LEVELS];
static uint8_t falloff[FALLOFF];
static uint16_t *line;			/* the indices of one row */
static uint16_t *wave_rows[WAVES];	/* heights along a row, from each phase */
static int wave_lengths[WAVES];		/* pixels */

struct stop {
	double at;
	double rgb[3];
};

/* The colour at "at" between stops that go from 0 to 1. */
static void gradient(const struct stop *stops, double at, double rgb[3])
{
	while (at > stops[1].at)
		stops++;
	for (int i = 0; i < 3; i++)
		rgb[i] = stops[0].rgb[i] + (stops[1].rgb[i] - stops[0].rgb[i]) *
			 (at - stops[0].at) / (stops[1].at - stops[0].at);
}

static void prepare_palette(const struct format *format)
{
	static const struct stop sea[] = {
		{ 0.00, {  12,  14,  48 } },
		{ 0.30, {  22,  44, 108 } },
		{ 0.52, {  20, 104, 146 } },
		{ 0.70, {  38, 164, 166 } },
		{ 0.86, { 124, 212, 180 } },
		{ 1.00, { 226, 246, 214 } },
	};
	static const struct stop sun[] = {
		{ 0.00, { 226,  60,  92 } },
		{ 0.45, { 250, 128,  84 } },
		{ 0.80, { 255, 204, 112 } },
		{ 1.00, { 255, 250, 222 } },
	};

	for (int glow = 0; glow < GLOW_LEVELS; glow++) {
		double light = glow / (GLOW_LEVELS - 1.0), hot[3];
		double cover = 1 - pow(1 - light, 2.2);

		gradient(sun, light, hot);
		for (int level = 0; level < SEA_LEVELS; level++) {
			double rgb[3];

			gradient(sea, level / (SEA_LEVELS - 1.0), rgb);
			for (int i = 0; i < 3; i++)
				rgb[i] += (hot[i] - rgb[i]) * cover;
			palette[glow][level] = format->pack(lround(rgb[0]),
							    lround(rgb[1]),
							    lround(rgb[2]));
		}
	}
}

/*
 * Each row shows the same waves, shifted: a table that is one length longer than
 * the row has them all.
 */
static void prepare_waves(const struct pool *pool)
{
	for (int i = 0; i < WAVES; i++) {
		int length = waves[i].length * pool->height + 1;
		int entries = pool->width + length;

		wave_lengths[i] = length;
		wave_rows[i] = malloc(entries * sizeof(*wave_rows[i]));
		if (!wave_rows[i])
			die(STATUS_NO_MEMORY, "out of memory");
		for (int x = 0; x < entries; x++)
			wave_rows[i][x] = (sin(2 * M_PI * x / length) + 1) / 2 *
					  ((SEA_LEVELS - 1) / WAVES);
	}
}

void draw_prepare(const struct pool *pool)
{
	prepare_palette(pool->format);
	prepare_waves(pool);
	for (int i = 0; i < FALLOFF; i++) {
		double inside = 1 - i / (double)FALLOFF;	/* i is squared */

		falloff[i] = (GLOW_LEVELS - 1) * inside * inside + 0.5;
	}
	line = malloc(pool->width * sizeof(*line));
	if (!line)
		die(STATUS_NO_MEMORY, "out of memory");
}

static const uint16_t *wave_at(const struct pool *pool, int i, int y,
			       unsigned int number)
{
	const struct wave *wave = &waves[i];
	double v = y / (double)pool->height;
	double phase = (wave->slope * v +
			wave->bend * sin(2 * M_PI * (v / wave->bend_length +
						     number * wave->speed))) /
		       wave->length + number * wave->speed;

	return wave_rows[i] + (int)((phase - floor(phase)) * wave_lengths[i]);
}

static void add_waves(const struct pool *pool, int y, unsigned int number)
{
	const uint16_t *a = wave_at(pool, 0, y, number);
	const uint16_t *b = wave_at(pool, 1, y, number);
	const uint16_t *c = wave_at(pool, 2, y, number);

	for (int x = 0; x < pool->width; x++)
		line[x] = a[x] + b[x] + c[x];
}

/* Light on light nears the brightest level, but does not go past it. */
static void add_glow(int x, unsigned int glow)
{
	unsigned int sea = line[x] % SEA_LEVELS, old = line[x] / SEA_LEVELS;

	glow += (GLOW_LEVELS - 1 - glow) * old / GLOW_LEVELS;
	line[x] = glow * SEA_LEVELS + sea;
}

/* Where the suns stand in a frame, in pixels. */
struct place {
	int x, y, radius;
};

static struct place sun_at(const struct pool *pool, const struct sun *sun,
			   unsigned int number)
{
	double angle = 2 * M_PI * (sun->start + number * sun->speed);

	return (struct place) {
		.x = pool->width * (0.5 + cos(angle) * sun->orbit),
		.y = pool->height * (0.5 + sin(angle) * sun->orbit),
		.radius = pool->height * sun->radius + 1,
	};
}

static void add_sun(const struct pool *pool, const struct place *sun, int y)
{
	int square = sun->radius * sun->radius;
	int dy = y - sun->y;
	uint64_t scale = ((uint64_t)FALLOFF << 32) / (square + 1);
	int half, left, right;

	if (dy * dy >= square)
		return;
	half = sqrt(square - dy * dy);
	left = sun->x - half > 0 ? sun->x - half : 0;
	right = sun->x + half < pool->width ? sun->x + half : pool->width;
	for (int x = left; x < right; x++) {
		int dx = x - sun->x;

		add_glow(x, falloff[(dx * dx + dy * dy) * scale >> 32]);
	}
}

/* Digits of three by five dots, a row of dots in each octal digit. */
static const uint16_t digits[10] = {
	075557, 026227, 071747, 071717, 055711, 074717, 074757, 071111, 075757, 075717,
};

static void add_number(const struct pool *pool, int y, unsigned int number)
{
	int dot = pool->height / 108 + 1;
	int row = (y - (pool->height - 8 * dot)) / dot;
	int right = pool->width - 3 * dot;

	if (y < pool->height - 8 * dot || row >= 5)
		return;
	do {
		int dots = digits[number % 10] >> 3 * (4 - row);

		for (int x = 0; x < 3 * dot; x++)
			if (dots >> (2 - x / dot) & 1 && right - 3 * dot + x >= 0)
				add_glow(right - 3 * dot + x, GLOW_LEVELS - 1);
		right -= 4 * dot;
		number /= 10;
	} while (number);
}

static void put_line(const struct pool *pool, void *row)
{
	const uint32_t *colours = palette[0];
	uint32_t *wide = row;
	uint16_t *narrow = row;

	if (pool->format->bytes == 4)
		for (int x = 0; x < pool->width; x++)
			wide[x] = colours[line[x]];
	else
		for (int x = 0; x < pool->width; x++)
			narrow[x] = colours[line[x]];
}

void draw_frame(const struct pool *pool, void *pixels, unsigned int number)
{
	struct place places[SUNS];

	for (int i = 0; i < SUNS; i++)
		places[i] = sun_at(pool, &suns[i], number);
	for (int y = 0; y < pool->height; y++) {
		add_waves(pool, y, number);
		for (int i = 0; i < SUNS; i++)
			add_sun(pool, &places[i], y);
		add_number(pool, y, number);
		put_line(pool, (char *)pixels + (size_t)y * pool->stride);
	}
}

void draw_rectangle(const struct pool *pool, void *pixels, int x, int y,
		    int width, int height, uint32_t rgb)
{
	uint32_t colour = pool->format->pack(rgb >> 16 & 255, rgb >> 8 & 255, rgb & 255);

	for (int row = y; row < y + height; row++) {
		char *start = (char *)pixels + (size_t)row * pool->stride;

		for (int column = x; column < x + width; column++) {
			if (pool->format->bytes == 4)
				((uint32_t *)start)[column] = colour;
			else
				((uint16_t *)start)[column] = colour;
		}
	}
}
