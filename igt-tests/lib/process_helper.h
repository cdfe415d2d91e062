/* SPDX-License-Identifier: MIT */
/*
 * Processes that talk to each other, or find out what a signal would end.
 */
#ifndef PROCESS_HELPER_H
#define PROCESS_HELPER_H

#include <stdbool.h>
#include <sys/types.h>

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
 * Until a child sleeps in a function of the kernel with @where in its name; it is a failure
 * if the child ends before
 */
void await_wait_in(pid_t child, const char *where);

/* Whether SIGKILL ends a child, which is still to be waited for, within a long time */
bool can_be_killed(pid_t child);

/* The signal that a process gets which reads a byte, or writes it back; 0: none */
int read_signal(const char *ptr);
int write_signal(char *ptr);

#endif
