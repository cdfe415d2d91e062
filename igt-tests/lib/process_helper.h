/* SPDX-License-Identifier: MIT */
/*
 * Processes that talk to each other, or find out what a signal would end.
 */
#ifndef PROCESS_HELPER_H
#define PROCESS_HELPER_H

#include <setjmp.h>
#include <stdbool.h>
#include <sys/types.h>
#include <unistd.h>

/*
 * A block that a child runs, as igt_fork(), but it is the caller's to kill or to wait for.
 * Its status is 1 if it fails: it does not go on with the subtests that follow, nor do what
 * its parent does at its end. What it requires is for the parent to look at before.
 */
#define own_child(pid) \
	for ((pid) = fork_child(); \
	     !(pid) && (sigsetjmp(igt_subtest_jmpbuf, 1) == 0 || end_child()); _exit(0))
pid_t fork_child(void);
bool end_child(void);

/*
 * A pair, of which each process closes the other's end: who waits for one that has
 * died, then fails
 */
void make_sockets(int sockets[2]);
void tell(int socket);
void await(int socket);
void send_fd(int socket, int fd);
int receive_fd(int socket);

/*
 * Whether a child sleeps in a function of the kernel with @where in its name; or until it
 * does so, and it is a failure if the child ends before
 */
bool waits_in(pid_t child, const char *where);
void await_wait_in(pid_t child, const char *where);

/*
 * Whether a child, which is still to be waited for, ends within a long time: by itself, or
 * when it gets SIGKILL
 */
bool ends_in_time(pid_t child);
bool can_be_killed(pid_t child);

/* The signal that a process gets which reads a byte, or writes it back; 0: none */
int read_signal(const char *ptr);
int write_signal(char *ptr);

#endif
