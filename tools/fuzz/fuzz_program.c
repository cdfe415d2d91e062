// SPDX-License-Identifier: MIT
/*
 * Programs: made at random, changed, written and read. In a file each call is a line, a line
 * "--" begins the second thread, and an empty line ends the program.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static char error[128];

/* splitmix64 */
uint32_t rnd(struct rng *rng)
{
	uint64_t z = rng->state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (z ^ z >> 31) >> 32;
}

static unsigned int type_named(const char *name)
{
	unsigned int i = 0;

	while (i < call_types_nr && strcmp(call_types[i].name, name))
		i++;
	return i;
}

static void random_args(struct call *call, struct rng *rng)
{
	for (unsigned int i = 0; i < MAX_ARGS; i++)
		call->arg[i] = i < call_types[call->type].args ? rnd(rng) : 0;
}

static struct call random_call(struct rng *rng)
{
	static unsigned int sum;
	struct call call = {};
	unsigned int at;

	if (!sum)
		for (size_t i = 0; i < call_types_nr; i++)
			sum += call_types[i].weight;
	at = rnd(rng) % sum;
	while (at >= call_types[call.type].weight)
		at -= call_types[call.type++].weight;
	random_args(&call, rng);
	return call;
}

static bool insert(struct program *program, unsigned int lane, unsigned int at,
		   const struct call *call)
{
	struct call *calls = program->calls[lane];

	if (program->nr[lane] == MAX_CALLS)
		return false;
	memmove(&calls[at + 1], &calls[at], (program->nr[lane] - at) * sizeof(*calls));
	calls[at] = *call;
	program->nr[lane]++;
	return true;
}

static void append_random(struct program *program, unsigned int lane, unsigned int nr,
			  struct rng *rng)
{
	while (nr--) {
		struct call call = random_call(rng);

		insert(program, lane, program->nr[lane], &call);
	}
}

/* Most begin with what the rest can do something with. */
void generate(struct program *program, struct rng *rng)
{
	static const char *const begins[][5] = {
		{ "memfd", "write", "seal", "create", "mmap" },
		{ "memfd", "seal", "create", "attach", "mmap" },
		{ "memfd", "mmap", "madvise", "pin", "unpin" },
		{ },
	};
	const char *const *begin = begins[rnd(rng) % ARRAY_SIZE(begins)];

	memset(program, 0, sizeof(*program));
	for (size_t i = 0; i < ARRAY_SIZE(begins[0]) && begin[i]; i++) {
		struct call call = { .type = type_named(begin[i]) };

		random_args(&call, rng);
		if (rnd(rng) % 8)
			insert(program, 0, program->nr[0], &call);
	}
	append_random(program, 0, 1 + rnd(rng) % 12, rng);
	if (rnd(rng) % 3 == 0)
		append_random(program, 1, 1 + rnd(rng) % 8, rng);
}

static void change_one(struct program *program, const struct program *other, struct rng *rng)
{
	unsigned int lane = program->nr[1] ? rnd(rng) % LANES : rnd(rng) % 8 == 0;
	unsigned int *nr = &program->nr[lane], at = *nr ? rnd(rng) % *nr : 0, k;
	struct call *calls = program->calls[lane], call;

	switch (rnd(rng) % 6) {
	case 0:
	case 1:
		call = random_call(rng);
		insert(program, lane, rnd(rng) % (*nr + 1), &call);
		break;
	case 2:
		if (!*nr)
			break;
		memmove(&calls[at], &calls[at + 1], (*nr - at - 1) * sizeof(*calls));
		--*nr;
		break;
	case 3:
		if (!*nr || !call_types[calls[at].type].args)
			break;
		k = rnd(rng) % call_types[calls[at].type].args;
		calls[at].arg[k] = rnd(rng) % 2 ? rnd(rng) : calls[at].arg[k] ^ 1u << rnd(rng) % 24;
		break;
	case 4:
		if (*nr)
			call = calls[at], insert(program, lane, rnd(rng) % *nr, &call);
		break;
	case 5:
		/* The end of another one */
		for (k = other->nr[0] ? rnd(rng) % other->nr[0] : 0; k < other->nr[0]; k++)
			if (!insert(program, lane, *nr, &other->calls[0][k]))
				break;
		break;
	}
}

void mutate(struct program *program, const struct program *other, struct rng *rng)
{
	for (unsigned int i = 1 + rnd(rng) % 4; i; i--)
		change_one(program, other, rng);
}

void write_program(const struct program *program, FILE *file)
{
	for (unsigned int lane = 0; lane < LANES; lane++) {
		if (lane && program->nr[lane])
			fprintf(file, "--\n");
		for (unsigned int i = 0; i < program->nr[lane]; i++) {
			const struct call *call = &program->calls[lane][i];

			fprintf(file, "%s", call_types[call->type].name);
			for (unsigned int k = 0; k < call_types[call->type].args; k++)
				fprintf(file, " %u", call->arg[k]);
			fprintf(file, "\n");
		}
	}
	fprintf(file, "\n");
	fflush(file);
}

static bool read_call(struct call *call, char *line)
{
	char *word = strtok(line, " ");

	memset(call, 0, sizeof(*call));
	call->type = type_named(word);
	if (call->type == call_types_nr) {
		snprintf(error, sizeof(error), "there is no call \"%s\"", word);
		return false;
	}
	for (unsigned int i = 0; i < call_types[call->type].args; i++) {
		char *end;

		word = strtok(NULL, " ");
		call->arg[i] = word ? strtoul(word, &end, 0) : 0;
		if (!word || end == word || *end) {
			snprintf(error, sizeof(error), "%s takes %u numbers",
				 call_types[call->type].name, call_types[call->type].args);
			return false;
		}
	}
	return true;
}

/* False at the end of the file, or with program_error() where it is none */
bool read_program(struct program *program, FILE *file)
{
	unsigned int lane = 0;
	char line[256];

	memset(program, 0, sizeof(*program));
	error[0] = '\0';
	while (fgets(line, sizeof(line), file)) {
		struct call call;

		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#')
			continue;
		if (!line[0]) {
			if (program->nr[0] || program->nr[1])
				return true;
			continue;
		}
		if (!strcmp(line, "--")) {
			lane = 1;
			continue;
		}
		if (!read_call(&call, line))
			return false;
		if (!insert(program, lane, program->nr[lane], &call)) {
			snprintf(error, sizeof(error), "more than %d calls", MAX_CALLS);
			return false;
		}
	}
	return program->nr[0] || program->nr[1];
}

const char *program_error(void)
{
	return error[0] ? error : NULL;
}
