/* SPDX-License-Identifier: MIT */
/*
 * A fuzzer of what udmabuf, mempinfd and their dma-bufs can be asked for. A program is two
 * lists of calls that run in two threads of a process of its own.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define LANES		2
#define MAX_CALLS	24
#define MAX_ARGS	4
#define PAGE		4096ul
#define PLACE_SIZE	(32ul << 20)	/* most that a mapping has, in bytes */

/* @type: index in call_types, @arg: raw numbers, of which each call makes what it needs */
struct call {
	unsigned int type;
	uint32_t arg[MAX_ARGS];
};

struct program {
	unsigned int nr[LANES];
	struct call calls[LANES][MAX_CALLS];
};

/*
 * @name: in files, @weight: how often it is chosen, @args: how many numbers it looks at,
 * @run: does it in the thread that calls, returns what the system call did
 */
struct call_type {
	const char *name;
	unsigned int weight;
	unsigned int args;
	long (*run)(const uint32_t *arg);
};

extern const struct call_type call_types[];
extern const size_t call_types_nr;

/* What has been called, in all processes; [1] counts those that did not fail. */
struct counts {
	unsigned long calls[64][2];
};

/* fuzz_state.c: what a program has got hold of */
enum kind {
	NONE, MEMFD, DMABUF, DEVICE, MEMPINFD, VGEM, PIN_TEST, FENCE, OTHER,
};

/* @addr: where its place is, mapped or not; @size: in bytes, 0 before it is mapped */
struct mapping {
	void *addr;
	size_t size;
};

void state_init(void);
int new_fd(enum kind kind, int fd);
int open_device(enum kind kind, int flags);
int pick_fd(enum kind kind, uint32_t arg);
int pick_slot(enum kind kind, uint32_t arg);
int slot_fd(int slot);
int drop_fd(int slot);
struct mapping *pick_map(uint32_t arg);
struct mapping *pick_place(uint32_t arg);
size_t size_of(uint32_t arg);
bool touch(volatile char *addr, bool write);
void touch_init(void);
long fail_nth(unsigned int nth);
extern pid_t worker;
void end_with_parent(pid_t parent);

/* fuzz_program.c */
struct rng {
	uint64_t state;
};

uint32_t rnd(struct rng *rng);
void generate(struct program *program, struct rng *rng);
void mutate(struct program *program, const struct program *other, struct rng *rng);
void write_program(const struct program *program, FILE *file);
bool read_program(struct program *program, FILE *file);
const char *program_error(void);

/* fuzz_cover.c */
bool cover_open(void);
void cover_begin(unsigned int lane);
size_t cover_collect(void);
size_t cover_blocks(void);
size_t cover_edges(void);

/* fuzz_run.c */
struct run {
	struct counts *counts;	/* shared with the process that runs it */
	unsigned int user;	/* who runs it, 0: root */
	unsigned int time;	/* milliseconds after which it is ended */
};

bool run_program(const struct program *program, const struct run *run);

/* fuzz_model.c */
bool model_init(void);
bool model_holds(void);
bool kernel_complains(void);

#endif
