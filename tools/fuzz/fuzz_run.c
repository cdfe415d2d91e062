// SPDX-License-Identifier: MIT
/*
 * Runs a program in a process of its own, of which nothing stays.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

/* Far more than anything that is killed takes on a busy machine */
#define KILLED_IN	120	/* seconds */

struct lane {
	const struct program *program;
	unsigned int nr;
	struct counts *counts;
};

static void *run_lane(void *arg)
{
	const struct lane *lane = arg;

	cover_begin(lane->nr);
	for (unsigned int i = 0; i < lane->program->nr[lane->nr]; i++) {
		const struct call *call = &lane->program->calls[lane->nr][i];

		lane->counts->calls[call->type][0]++;
		if (call_types[call->type].run(call->arg) >= 0)
			lane->counts->calls[call->type][1]++;
	}
	return NULL;
}

static void open_devices(void)
{
	static const enum kind kinds[] = { DEVICE, MEMPINFD, VGEM, PIN_TEST };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		open_device(kinds[i], O_RDWR);
}

static void run_here(const struct program *program, const struct run *run)
{
	struct lane lanes[LANES];
	pthread_t thread;
	bool second;

	state_init();
	touch_init();
	open_devices();
	if (run->user && (setresgid(run->user, run->user, run->user) ||
			  setresuid(run->user, run->user, run->user)))
		_exit(1);
	end_with_parent(worker);
	for (unsigned int i = 0; i < LANES; i++)
		lanes[i] = (struct lane){ program, i, run->counts };
	second = program->nr[1] && !pthread_create(&thread, NULL, run_lane, &lanes[1]);
	run_lane(&lanes[0]);
	if (second)
		pthread_join(thread, NULL);
	_exit(0);
}

/* Where all threads of all processes are: one of ours is in it. */
static void tell_stacks(void)
{
	char line[200];
	glob_t found;

	if (glob("/proc/[0-9]*/task/*/stack", 0, NULL, &found))
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		FILE *file = fopen(found.gl_pathv[i], "r");

		fprintf(stderr, "%s\n", found.gl_pathv[i]);
		while (file && fgets(line, sizeof(line), file))
			fputs(line, stderr);
		if (file)
			fclose(file);
	}
	globfree(&found);
}

/* Until SIGCHLD, which is blocked, or for that long; true if a child may have ended */
static bool child_ends(unsigned int milliseconds)
{
	struct timespec time = { milliseconds / 1000, milliseconds % 1000 * 1000000 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	return sigtimedwait(&set, NULL, &time) >= 0 || errno != EAGAIN;
}

/* False if something of it cannot be killed. Its own children become ours. */
bool run_program(const struct program *program, const struct run *run)
{
	pid_t pid, ended;
	sigset_t set;

	/* What those before have left of it says nothing of this one. */
	while (child_ends(0))
		;
	worker = getpid();
	pid = fork();
	if (!pid) {
		setpgid(0, 0);
		sigemptyset(&set);
		sigprocmask(SIG_SETMASK, &set, NULL);
		run_here(program, run);
	}
	if (pid < 0) {
		perror("fuzz: fork");
		exit(2);
	}
	setpgid(pid, pid);
	child_ends(run->time);
	kill(-pid, SIGKILL);
	while ((ended = waitpid(-1, NULL, WNOHANG)) >= 0)
		if (!ended && !child_ends(KILLED_IN * 1000)) {
			fprintf(stderr, "fuzz: this cannot be killed:\n");
			tell_stacks();
			return false;
		}
	return true;
}
