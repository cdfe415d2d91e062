/* SPDX-License-Identifier: MIT */
/*
 * Processes that talk to each other, or find out what a signal would end.
 */
#ifndef PROCESS_HELPER_H
#define PROCESS_HELPER_H

/*
 * A pair, of which each process closes the other's end: who waits for one that has
 * died, then fails
 */
void make_sockets(int sockets[2]);
void tell(int socket);
void await(int socket);
void send_fd(int socket, int fd);
int receive_fd(int socket);

/* The signal that a process gets which reads a byte, or writes it back; 0: none */
int read_signal(const volatile char *ptr);
int write_signal(volatile char *ptr);

#endif
