// SPDX-License-Identifier: MIT
/*
 * The part of libigt that our tests use, for architectures where Debian has none.
 * What it prints, and its exit statuses, are those of libigt.
 */

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <getopt.h>
#include <igt.h>
#include <linux/dma-buf.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xf86drm.h>

enum { EXIT_SKIP = 77, EXIT_INVALID = 79, EXIT_FAIL = 98 };

jmp_buf igt_subtest_jmpbuf;

static const char *subtest;		/* the one that runs, or none */
static const char *patterns;		/* of those to run, or all */
static bool only_list, only_describe, in_fixture;
static char description[1024];		/* of the next subtest */
static unsigned int chosen, succeeded, failed;
static int henceforth;			/* how all others end, once a fixture has failed */
static struct timespec begun;

static bool is_child;
static atomic_bool thread_failed;
static pid_t *children, signal_helper;
static size_t child_count;

static void (*exit_handlers[8])(int sig);
static size_t handler_count;

static void run_exit_handlers(int sig)
{
	while (handler_count)
		exit_handlers[--handler_count](sig);
}

static void run_exit_handlers_at_exit(void)
{
	run_exit_handlers(0);
}

static void die_of_signal(int sig)
{
	run_exit_handlers(sig);
	signal(sig, SIG_DFL);
	raise(sig);
}

/* The last one runs first, whichever way the program ends but by SIGKILL. */
void igt_install_exit_handler(void (*handler)(int sig))
{
	static const int signals[] = { SIGHUP, SIGINT, SIGTERM, SIGSEGV, SIGBUS, SIGABRT };
	size_t i;

	for (i = 0; i < handler_count; i++)
		if (exit_handlers[i] == handler)
			return;
	igt_assert(handler_count < ARRAY_SIZE(exit_handlers));
	if (!handler_count) {
		atexit(run_exit_handlers_at_exit);
		for (i = 0; i < ARRAY_SIZE(signals); i++)
			signal(signals[i], die_of_signal);
	}
	exit_handlers[handler_count++] = handler;
}

/* The program: main(), fixtures and subtests */

int igt_subtest_init_parse_opts(int *argc, char **argv, const char *short_opts,
				const struct option *long_opts, const char *help,
				int (*handler)(int opt, int index, void *data), void *data)
{
	static const struct option options[] = {
		{ "list-subtests", no_argument, NULL, 'l' },
		{ "describe", no_argument, NULL, 'd' },
		{ "run-subtest", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{ },
	};
	int option;

	(void)short_opts, (void)long_opts, (void)help, (void)handler, (void)data;
	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((option = getopt_long(*argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'l':
			only_list = true;
			break;
		case 'd':
			only_list = true;
			only_describe = true;
			break;
		case 'r':
			patterns = optarg;
			break;
		default:
			printf("Usage: %s [--list-subtests | --describe | "
			       "--run-subtest PATTERN,...]\n",
			       argv[0]);
			exit(option == 'h' ? 0 : EXIT_INVALID);
		}
	}
	return 0;
}

bool __igt_fixture(void)
{
	in_fixture = !only_list && !henceforth;
	return in_fixture;
}

void __igt_fixture_complete(void)
{
	in_fixture = false;
}

/* The last pattern that fits decides. */
static bool is_chosen(const char *name)
{
	char copy[strlen(patterns) + 1], *rest = copy, *pattern;
	bool result = false;

	strcpy(copy, patterns);
	while ((pattern = strsep(&rest, ",")))
		if (!fnmatch(pattern + (*pattern == '!'), name, 0))
			result = *pattern != '!';
	return result;
}

static const char *result_name(int result)
{
	return result == 0 ? "SUCCESS" : result == EXIT_SKIP ? "SKIP" : "FAIL";
}

static void kill_children(void)
{
	while (child_count) {
		kill(children[--child_count], SIGKILL);
		waitpid(children[child_count], NULL, 0);
	}
}

static void print_result(const char *name, int result)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("Subtest %s: %s (%.3fs)\n", name, result_name(result),
	       now.tv_sec - begun.tv_sec + (now.tv_nsec - begun.tv_nsec) / 1e9);
	succeeded += result == 0;
	failed += result == EXIT_FAIL;
}

/*
 * Leaves the block that runs, and the process if that is a child. A thread fails it when it
 * comes to its end.
 */
static IGT_NORETURN void end_block(int result)
{
	const char *name = subtest;

	if (gettid() != getpid()) {
		thread_failed = true;
		pthread_exit(NULL);
	}
	if (is_child)
		exit(result);
	if (result) {
		igt_stop_signal_helper();
		kill_children();
	}
	subtest = NULL;
	if (name) {
		print_result(name, result);
	} else {
		in_fixture = false;
		henceforth = result;
		failed += result == EXIT_FAIL;
	}
	siglongjmp(igt_subtest_jmpbuf, 1);
}

bool __igt_run_subtest(const char *name, const char *file, const int line)
{
	if (only_describe)
		printf("SUB %s %s:%d:\n  %s\n\n", name, file, line,
		       *description ? description : "NO DOCUMENTATION!");
	else if (only_list)
		puts(name);
	*description = '\0';
	if (only_list)
		return false;
	if (patterns && !is_chosen(name))
		return false;
	chosen++;
	thread_failed = false;
	clock_gettime(CLOCK_MONOTONIC, &begun);
	if (henceforth) {
		print_result(name, henceforth);
		return false;
	}
	printf("Starting subtest: %s\n", name);
	free((char *)subtest);
	subtest = strdup(name);
	return true;
}

void igt_describe_f(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(description, sizeof(description), fmt, args);
	va_end(args);
}

void igt_success(void)
{
	end_block(thread_failed ? EXIT_FAIL : 0);
}

void igt_exit(void)
{
	if (only_list)
		exit(0);
	if (!chosen) {
		fprintf(stderr, "no subtest is named %s\n", patterns ?: "at all");
		exit(EXIT_INVALID);
	}
	exit(failed ? EXIT_FAIL : succeeded ? 0 : EXIT_SKIP);
}

/* Results */

static void print_message(const char *fmt, va_list args)
{
	size_t length = fmt ? strlen(fmt) : 0;

	if (!length)
		return;
	vprintf(fmt, args);
	if (fmt[length - 1] != '\n')
		putchar('\n');
}

void __igt_skip_check(const char *file, const int line, const char *func, const char *check,
		      const char *fmt, ...)
{
	va_list args;

	printf("Test requirement not met in function %s, file %s:%d:\n"
	       "Test requirement: %s\n", func, file, line, check);
	va_start(args, fmt);
	print_message(fmt, args);
	va_end(args);
	end_block(EXIT_SKIP);
}

void __igt_fail_assert(const char *domain, const char *file, const int line,
		       const char *func, const char *assertion, const char *fmt, ...)
{
	int error = errno;
	va_list args;

	(void)domain;
	printf("(pid %d) CRITICAL: Test assertion failure function %s, file %s:%d:\n"
	       "CRITICAL: Failed assertion: %s\n", getpid(), func, file, line, assertion);
	if (error)
		printf("Last errno: %d, %s\n", error, strerror(error));
	va_start(args, fmt);
	print_message(fmt, args);
	va_end(args);
	end_block(EXIT_FAIL);
}

void igt_log(const char *domain, enum igt_log_level level, const char *fmt, ...)
{
	va_list args;

	(void)domain;
	if (level < IGT_LOG_INFO)
		return;
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
}

/* Processes and signals */

bool __igt_fork(void)
{
	pid_t pid;

	children = realloc(children, (child_count + 1) * sizeof(*children));
	igt_assert(children);
	fflush(stdout);
	pid = fork();
	igt_assert(pid >= 0);
	if (pid) {
		children[child_count++] = pid;
		return false;
	}
	is_child = true;
	child_count = 0;
	handler_count = 0;
	signal_helper = 0;
	return true;
}

/* One that fails ends all. */
void igt_waitchildren(void)
{
	int result = 0, status;
	size_t i;
	pid_t pid;

	while (child_count && !result) {
		pid = waitpid(-1, &status, 0);
		for (i = 0; i < child_count && children[i] != pid; i++)
			;
		if (i == child_count)
			continue;
		children[i] = children[--child_count];
		if (WIFSIGNALED(status))
			printf("a child died of signal %d\n", WTERMSIG(status));
		result = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAIL;
	}
	if (result)
		end_block(result == EXIT_SKIP ? EXIT_SKIP : EXIT_FAIL);
}

static void nothing(int sig)
{
	(void)sig;
}

/* Another process interrupts this one, again and again; system calls restart. */
void igt_fork_signal_helper(void)
{
	const struct timespec pause = { .tv_nsec = 500000 };
	pid_t parent = getpid();

	igt_assert(!signal_helper);
	signal(SIGCONT, nothing);
	fflush(stdout);
	signal_helper = fork();
	igt_assert(signal_helper >= 0);
	if (signal_helper)
		return;
	while (getppid() == parent && !kill(parent, SIGCONT))
		nanosleep(&pause, NULL);
	_exit(0);
}

void igt_stop_signal_helper(void)
{
	if (signal_helper <= 0)
		return;
	kill(signal_helper, SIGKILL);
	while (waitpid(signal_helper, NULL, 0) < 0 && errno == EINTR)
		;
	signal(SIGCONT, SIG_DFL);
	signal_helper = 0;
}

int igt_system_quiet(const char *command)
{
	char quiet[strlen(command) + sizeof("{ ; } >/dev/null 2>&1")];
	int status;

	sprintf(quiet, "{ %s; } >/dev/null 2>&1", command);
	status = system(quiet);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* DRM devices and dma-bufs */

static int open_vgem(void)
{
	char path[32];
	int card, fd;

	for (card = 0; card < 16; card++) {
		drmVersion *version;
		bool is_vgem;

		snprintf(path, sizeof(path), "/dev/dri/card%d", card);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		version = drmGetVersion(fd);
		is_vgem = version && !strcmp(version->name, "vgem");
		drmFreeVersion(version);
		if (is_vgem)
			return fd;
		close(fd);
	}
	return -1;
}

int drm_open_driver(int chipset)
{
	int fd = -1;

	if (chipset & DRIVER_VGEM) {
		igt_system_quiet("modprobe vgem");
		fd = open_vgem();
	}
	igt_require_f(fd >= 0, "No known gpu found for chipset flags %#x\n", chipset);
	return fd;
}

int drm_close_driver(int fd)
{
	return close(fd);
}

void igt_drop_caches_set(int fd, uint64_t caches)
{
	(void)fd, (void)caches;
	igt_require_f(false, "only i915 has caches to drop\n");
}

void gem_close(int fd, uint32_t handle)
{
	igt_assert_eq(drmCloseBufferHandle(fd, handle), 0);
}

int prime_handle_to_fd_for_mmap(int fd, uint32_t handle)
{
	int dmabuf;

	return drmPrimeHandleToFD(fd, handle, DRM_CLOEXEC | DRM_RDWR, &dmabuf) ? -1 : dmabuf;
}

uint32_t prime_fd_to_handle(int fd, int dma_buf_fd)
{
	uint32_t handle;

	igt_assert_eq(drmPrimeFDToHandle(fd, dma_buf_fd, &handle), 0);
	return handle;
}

static void sync_dmabuf(int fd, uint64_t flags)
{
	struct dma_buf_sync sync = { .flags = flags };

	igt_assert_eq(drmIoctl(fd, DMA_BUF_IOCTL_SYNC, &sync), 0);
}

void prime_sync_start(int dma_buf_fd, bool write)
{
	sync_dmabuf(dma_buf_fd, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ |
				(write ? DMA_BUF_SYNC_WRITE : 0));
}

void prime_sync_end(int dma_buf_fd, bool write)
{
	sync_dmabuf(dma_buf_fd, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ |
				(write ? DMA_BUF_SYNC_WRITE : 0));
}
