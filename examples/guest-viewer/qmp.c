// SPDX-License-Identifier: MIT
/*
 * Ask QEMU for its D-Bus display by QMP: hand it a socket, on which it is then a peer
 * without a bus between.
 */

#define _GNU_SOURCE
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "viewer.h"

#define PATIENCE 10000		/* milliseconds */

static void say_if_late(FILE *qmp)
{
	struct pollfd fds = { .fd = fileno(qmp), .events = POLLIN };

	if (!poll(&fds, 1, PATIENCE))
		fputs("guest-viewer: QEMU does not answer yet: it may be stopped, or another "
		      "client is connected to its QMP socket\n", stderr);
}

/* Each answer is one line; events may come between. */
static void read_answer(FILE *qmp, const char *what)
{
	static char line[65536];

	do {
		say_if_late(qmp);
		if (!fgets(line, sizeof(line), qmp))
			die("QEMU closed the QMP connection (%s)", what);
		if (!strncmp(line, "{\"error\"", 8))
			die("QEMU refuses %s: %s", what, line);
	} while (strncmp(line, "{\"return\"", 9));
}

/* @fd goes with it, if it is not -1. */
static void execute(FILE *qmp, const char *command, int fd, const char *what)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(fd))];
	} control = {
		.header = {
			.cmsg_len = CMSG_LEN(sizeof(fd)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
		},
	};
	struct iovec data = {
		.iov_base = (char *)command, .iov_len = strlen(command),
	};
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };

	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
	}
	if (sendmsg(fileno(qmp), &message, MSG_NOSIGNAL) != (ssize_t)data.iov_len)
		die("cannot write to the QMP socket: %m");
	read_answer(qmp, what);
}

int qmp_open_display(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int pair[2], fd;
	FILE *qmp;

	if (strlen(path) >= sizeof(address.sun_path))
		die("%s: too long for the path of a socket", path);
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		die("%s: %m", path);
	qmp = fdopen(fd, "r");
	if (!qmp || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		die("cannot make a socket: %m");
	/* Nothing may wait in stdio's buffer while poll() looks at the socket. */
	setvbuf(qmp, NULL, _IONBF, 0);

	execute(qmp, "{\"execute\": \"qmp_capabilities\"}\n", -1, "qmp_capabilities");
	execute(qmp, "{\"execute\": \"getfd\", \"arguments\": "
		"{\"fdname\": \"guest-viewer\"}}\n", pair[1], "a socket");
	execute(qmp, "{\"execute\": \"add_client\", \"arguments\": "
		"{\"protocol\": \"@dbus-display\", \"fdname\": \"guest-viewer\"}}\n", -1,
		"its display (it takes -display dbus,p2p=yes)");
	close(pair[1]);
	fclose(qmp);
	return pair[0];
}
