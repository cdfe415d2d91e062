// SPDX-License-Identifier: MIT
/*
 * Shows the screen of a QEMU guest in a Wayland compositor without a copy: QEMU makes
 * dma-bufs of the guest's framebuffer (virtio-gpu with blob=true), hands them over
 * by D-Bus, and the compositor imports them.
 */

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "viewer.h"

static bool verbose;

_Noreturn void die(const char *message, ...)
{
	int error = errno;
	va_list args;

	fflush(stdout);
	fputs("guest-viewer: ", stderr);
	va_start(args, message);
	errno = error;		/* for %m */
	vfprintf(stderr, message, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

void note(const char *message, ...)
{
	va_list args;

	if (!verbose)
		return;
	va_start(args, message);
	vprintf(message, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

static void print_help(void)
{
	puts("usage: guest-viewer [OPTION...] QMP-SOCKET\n"
	     "Show a QEMU guest's screen in a Wayland compositor, without a copy.\n"
	     "\n"
	     "  --title TEXT   of the window (guest)\n"
	     "  --verbose      say what QEMU sends: a line for each screen and update\n"
	     "  --help\n"
	     "\n"
	     "QEMU runs with\n"
	     "  -display dbus,p2p=yes,gl=on -qmp unix:QMP-SOCKET,server=on,wait=off\n"
	     "  -object memory-backend-memfd,id=ram,size=4G,share=on\n"
	     "  -machine q35,memory-backend=ram -device virtio-gpu-pci,blob=true\n"
	     "Screens that are no dma-buf (the firmware's) are made one, or copied; where the\n"
	     "compositor takes none, they go by wl_shm.\n"
	     "The viewer can be ended and started again at any time.");
}

static const char *parse_options(int argc, char **argv, const char **title)
{
	static const struct option known[] = {
		{ "title", required_argument, NULL, 't' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 't':
			*title = optarg;
			break;
		case 'v':
			verbose = true;
			break;
		case 'h':
			print_help();
			exit(0);
		default:
			die("see --help");
		}
	}
	if (optind + 1 != argc)
		die("it takes the path of QEMU's QMP socket: see --help");
	return argv[optind];
}

/* What is waited for before and afterwards, a signal simply ends. */
static void set_mask(int how)
{
	sigset_t stop;

	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	sigprocmask(how, &stop, NULL);
}

static void stop_by_signals(sd_event *event)
{
	set_mask(SIG_BLOCK);
	if (sd_event_add_signal(event, NULL, SIGINT, NULL, NULL) < 0 ||
	    sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL) < 0)
		die("cannot wait for signals");
}

int main(int argc, char **argv)
{
	const char *title = "guest", *path = parse_options(argc, argv, &title);
	struct console *console;
	sd_event *event;

	if (sd_event_new(&event) < 0)
		die("cannot make an event loop");
	window_open(event, title);
	console = console_open(qmp_open_display(path), event);
	input_start(console);
	stop_by_signals(event);
	while (!window.closed && sd_event_get_state(event) != SD_EVENT_FINISHED) {
		window_dispatch();
		if (sd_event_run(event, UINT64_MAX) < 0)
			die("waiting failed");
	}
	set_mask(SIG_UNBLOCK);
	input_stop();
	console_close(console);
	wl_display_disconnect(window.display);
	return 0;
}
