// SPDX-License-Identifier: MIT
/*
 * What a span of time costs: wall clock, CPU time of this process, and CPU time
 * of the compositor (all of its threads) at the other end of the socket.
 */

#define _GNU_SOURCE		/* struct ucred */
#include <sys/socket.h>
#include <time.h>

#include "zerocopy.h"

static double read_clock(clockid_t id)
{
	struct timespec t;

	if (clock_gettime(id, &t) < 0)
		return 0;
	return t.tv_sec + t.tv_nsec / 1e9;
}

/*
 * Zero if it is in a process namespace that cannot be seen from here. Under
 * socket activation this is who made the socket, not the compositor.
 */
static pid_t peer_of(struct wl_display *display)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);

	if (getsockopt(wl_display_get_fd(display), SOL_SOCKET, SO_PEERCRED,
		       &peer, &length) < 0)
		return 0;
	return peer.pid;
}

static double compositor_clock(struct cost *cost)
{
	clockid_t id;

	if (cost->compositor && clock_getcpuclockid(cost->compositor, &id)) {
		cost->compositor = 0;
		return 0;
	}
	return cost->compositor ? read_clock(id) : 0;
}

void cost_begin(struct cost *cost, struct wl_display *display)
{
	*cost = (struct cost) {
		.compositor	= peer_of(display),
		.seconds	= -read_clock(CLOCK_MONOTONIC),
		.client_cpu	= -read_clock(CLOCK_PROCESS_CPUTIME_ID),
	};
	cost->compositor_cpu = -compositor_clock(cost);
}

void cost_end(struct cost *cost)
{
	cost->seconds += read_clock(CLOCK_MONOTONIC);
	cost->client_cpu += read_clock(CLOCK_PROCESS_CPUTIME_ID);
	cost->compositor_cpu += compositor_clock(cost);
}
