// SPDX-License-Identifier: MIT
/*
 * Runs programs of random calls, and keeps those that have reached what none had reached
 * before, to change them.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define CORPUS_MAX	8192
#define MODEL_EVERY	256	/* programs */
#define SAY_EVERY	60	/* seconds */

static const char help[] =
"usage: fuzz [--seed N] [--seconds N] [--corpus FILE] [--last FILE] [--blind]\n"
"            [--among-others] [--user UID] [--time MS] [--run FILE]\n"
"\n"
"Run programs of random calls of udmabuf, mempinfd and dma-bufs. Ends with status 1 at\n"
"the first one after which the kernel complains, something cannot be killed, or pages are\n"
"still pinned.\n"
"\n"
"  --seed N       which random numbers (1)\n"
"  --seconds N    for how long (60)\n"
"  --corpus FILE  programs to begin with; those that reach something new are added\n"
"  --last FILE    where the program that runs is written before\n"
"  --blind        without KCOV, by chance alone\n"
"  --among-others what stays is not looked at, since others have something, too\n"
"  --user UID     run them as this user, who needs no right to open a device\n"
"  --time MS      end each after at most so many milliseconds (1500)\n"
"  --run FILE     run the programs of a file, once each, and nothing else\n";

static struct options {
	struct rng rng;
	unsigned long seconds;
	const char *corpus, *last, *run;
	bool blind, among_others;
	struct run how;
} options = {
	.rng.state = 1,
	.seconds = 60,
	.how.time = 1500,
};

static struct program *corpus;
static struct program recent[MODEL_EVERY];
static size_t corpus_nr;
static unsigned long programs_nr;

static void die(const char *what, const char *why)
{
	fprintf(stderr, "fuzz: %s: %s\n", what, why);
	exit(2);
}

static unsigned long number(const char *word)
{
	char *end;
	unsigned long value = strtoul(word, &end, 0);

	if (end == word || *end)
		die(word, "not a number");
	return value;
}

static void parse(int argc, char **argv)
{
	static const struct option names[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "seconds", required_argument, NULL, 't' },
		{ "corpus", required_argument, NULL, 'c' },
		{ "last", required_argument, NULL, 'l' },
		{ "blind", no_argument, NULL, 'b' },
		{ "among-others", no_argument, NULL, 'a' },
		{ "user", required_argument, NULL, 'u' },
		{ "time", required_argument, NULL, 'm' },
		{ "run", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", names, NULL)) >= 0)
		switch (option) {
		case 's': options.rng.state = number(optarg); break;
		case 't': options.seconds = number(optarg); break;
		case 'c': options.corpus = optarg; break;
		case 'l': options.last = optarg; break;
		case 'b': options.blind = true; break;
		case 'a': options.among_others = true; break;
		case 'u': options.how.user = number(optarg); break;
		case 'm': options.how.time = number(optarg); break;
		case 'r': options.run = optarg; break;
		case 'h': fputs(help, stdout); exit(0);
		default: fputs(help, stderr); exit(2);
		}
	if (optind != argc)
		die(argv[optind], "no argument is taken");
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

/* What is written is to be there when the kernel has died a moment later. */
static FILE *open_safe(const char *path, int flags)
{
	int fd = open(path, flags | O_WRONLY | O_CREAT | O_DSYNC | O_CLOEXEC, 0644);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	if (!file)
		die(path, strerror(errno));
	return file;
}

static void keep_last(const struct program *program)
{
	static FILE *file;

	recent[programs_nr % MODEL_EVERY] = *program;
	if (!options.last)
		return;
	if (!file)
		file = open_safe(options.last, O_TRUNC);
	rewind(file);
	if (ftruncate(fileno(file), 0))
		die(options.last, strerror(errno));
	write_program(program, file);
}

static bool fails(const struct program *program)
{
	const char *why = NULL;
	size_t first = programs_nr % MODEL_EVERY, last = first;

	keep_last(program);
	if (!run_program(program, &options.how))
		why = "cannot be killed";
	else if (kernel_complains())
		why = "the kernel complains";
	else if (++programs_nr % MODEL_EVERY == 0 && !options.among_others && !model_holds()) {
		why = "something stays, of one of these";
		first = 0;
	}
	if (!why)
		return false;
	printf("fuzz: %s, after %lu programs:\n", why, programs_nr);
	for (size_t i = first; i <= last; i++)
		write_program(&recent[i], stdout);
	return true;
}

static void remember(const struct program *program, FILE *file)
{
	size_t at = corpus_nr < CORPUS_MAX ? corpus_nr++ : rnd(&options.rng) % CORPUS_MAX;

	corpus[at] = *program;
	if (file)
		write_program(program, file);
}

/* Runs those of a file, and keeps what reaches something new; true at the first failure */
static bool run_file(const char *path, bool must_exist)
{
	FILE *file = fopen(path, "r");
	struct program program;

	if (!file && (must_exist || errno != ENOENT))
		die(path, strerror(errno));
	while (file && read_program(&program, file)) {
		if (fails(&program))
			return true;
		if (cover_collect() || options.blind)
			remember(&program, NULL);
	}
	if (program_error())
		die(path, program_error());
	if (file)
		fclose(file);
	return false;
}

static void say(double since)
{
	printf("fuzz: %.0f s, %lu programs, %zu kept, %zu blocks, %zu edges\n",
	       now() - since, programs_nr, corpus_nr, cover_blocks(), cover_edges());
	fflush(stdout);
}

static bool run_random(FILE *file)
{
	double begin = now(), said = begin;
	struct program program;

	while (now() - begin < options.seconds) {
		if (corpus_nr && rnd(&options.rng) % 4) {
			program = corpus[rnd(&options.rng) % corpus_nr];
			mutate(&program, &corpus[rnd(&options.rng) % corpus_nr], &options.rng);
		} else {
			generate(&program, &options.rng);
		}
		if (fails(&program))
			return true;
		if (cover_collect())
			remember(&program, file);
		if (now() - said >= SAY_EVERY) {
			said = now();
			say(begin);
		}
	}
	say(begin);
	return false;
}

static void say_calls(void)
{
	const struct counts *counts = options.how.counts;

	printf("fuzz: %-12s %9s %9s\n", "call", "times", "without error");
	for (size_t i = 0; i < call_types_nr; i++)
		printf("fuzz: %-12s %9lu %9lu\n", call_types[i].name, counts->calls[i][0],
		       counts->calls[i][1]);
}

int main(int argc, char **argv)
{
	bool failed = false;
	FILE *file = NULL;
	sigset_t set;

	parse(argc, argv);
	if (!model_init())
		die("no list of buffers in debugfs", "needs our driver, as root, in a guest");
	if (!options.blind && !cover_open())
		die("no KCOV", "only the debug kernel has it; or --blind");
	corpus = calloc(CORPUS_MAX, sizeof(*corpus));
	options.how.counts = mmap(NULL, sizeof(struct counts), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!corpus || options.how.counts == MAP_FAILED)
		die("memory", strerror(errno));
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);

	if (options.run) {
		failed = run_file(options.run, true);
	} else {
		if (options.corpus) {
			failed = run_file(options.corpus, false);
			file = open_safe(options.corpus, O_APPEND);
		}
		failed = failed || run_random(file);
		say_calls();
	}
	if (!failed && !options.blind && !cover_blocks())
		die("nothing of our code has run", "or our modules are built without KCOV");
	return failed || (!options.among_others && !model_holds());
}
