// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's first process: sets the guest up, runs the command, leaves its
 * output and status in the folder shared with boot.py, and powers off. One
 * static program, because under emulation every program that a script starts
 * takes a good part of a second.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define __noreturn	__attribute__((__noreturn__))
#define SHARE	"/run/pinfold"
#define CGROUP	"/sys/fs/cgroup/command"
#define KMEMLEAK	"/sys/kernel/debug/kmemleak"
#define P9	"trans=virtio,version=9p2000.L,msize=262144,access=any"

static const struct {
	const char *type;
	const char *at;
	const char *data;
} mounts[] = {
	{ .type = "proc", .at = "/proc" },
	{ .type = "sysfs", .at = "/sys" },
	{ .type = "devtmpfs", .at = "/dev" },
	{ .type = "devpts", .at = "/dev/pts", .data = "gid=5,mode=620,ptmxmode=666" },
	{ .type = "tmpfs", .at = "/dev/shm", .data = "mode=1777" },
	{ .type = "tmpfs", .at = "/run", .data = "mode=755" },
	{ .type = "cgroup2", .at = "/sys/fs/cgroup" },
	{ .type = "debugfs", .at = "/sys/kernel/debug" },
	{ .type = "tracefs", .at = "/sys/kernel/tracing" },
};

/* Folders that programs expect to write to. */
static const char * const scratch[] = { "/tmp", "/var/tmp", "/var/cache", "/root" };

static void say(const char *format, ...)
{
	int kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	va_list args;

	if (kmsg < 0)
		return;
	va_start(args, format);
	vdprintf(kmsg, format, args);
	va_end(args);
	close(kmsg);
}

/*
 * With the result goes the kernel's taint mask, which tells of a warning even
 * when its text was lost.
 */
static void __noreturn finish(const char *result)
{
	FILE *taint = fopen("/proc/sys/kernel/tainted", "r");
	FILE *status = fopen(SHARE "/status", "w");
	char mask[32] = "";

	if (taint && status && fgets(mask, sizeof(mask), taint)) {
		fprintf(status, "%s %s", result, mask);
		fclose(status);
	}
	sync();		/* build/ may hold pages that were written by mmap */
	reboot(RB_POWER_OFF);
	exit(1);	/* the kernel panics, and boot.py sees no status */
}

static void __noreturn fail(const char *what, const char *which)
{
	say("pinfold: %s %s: %s\n", what, which, strerror(errno));
	finish("failed");
}

static int try_mount(const char *source, const char *at, const char *type,
		     unsigned long flags, const char *data)
{
	mkdir(at, 0755);
	return mount(source, at, type, flags, data);
}

static void make_folders(const char *path)
{
	char part[PATH_MAX];
	const char *end = path;

	while ((end = strchr(end + 1, '/'))) {
		snprintf(part, sizeof(part), "%.*s", (int)(end - path), path);
		mkdir(part, 0755);
	}
	mkdir(path, 0755);
}

static void mount_system(void)
{
	size_t i;

	for (i = 0; i < sizeof(mounts) / sizeof(*mounts); i++)
		if (try_mount(mounts[i].type, mounts[i].at, mounts[i].type, 0,
			      mounts[i].data))
			fail("cannot mount", mounts[i].at);
	if (try_mount("pinfold.run", SHARE, "9p", 0, P9))
		fail("cannot mount", SHARE);
	symlink("/proc/self/fd", "/dev/fd");
	symlink("fd/0", "/dev/stdin");
	symlink("fd/1", "/dev/stdout");
	symlink("fd/2", "/dev/stderr");
	mkdir("/run/user", 0755);
	mkdir("/run/user/0", 0700);
}

/*
 * The root's view of the project is read-only. It is kept while the scratch
 * folders are mounted, because it may lie below one of them.
 */
static void mount_project(const char *project)
{
	char build[PATH_MAX];
	size_t i;

	if (try_mount(project, "/run/project", NULL, MS_BIND, NULL))
		fail("cannot bind", project);
	for (i = 0; i < sizeof(scratch) / sizeof(*scratch); i++)
		if (mount("tmpfs", scratch[i], "tmpfs", 0, "mode=1777"))
			fail("cannot mount", scratch[i]);
	make_folders(project);
	if (mount("/run/project", project, NULL, MS_MOVE, NULL))
		fail("cannot move the project to", project);
	rmdir("/run/project");
	snprintf(build, sizeof(build), "%s/build", project);
	if (mount("pinfold.build", build, "9p", 0, P9 ",cache=mmap"))
		fail("cannot mount", build);
	if (chdir(project))
		fail("cannot enter", project);
}

/*
 * Programs for another architecture than the host's were built in a folder of their
 * own. Here, they are where those of the host's would be.
 */
static void show_programs(const char *programs)
{
	char from[PATH_MAX], to[PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	if (!strcmp(programs, "build"))
		return;
	dir = opendir(programs);
	if (!dir)
		fail("cannot open", programs);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(from, sizeof(from), "%s/%s", programs, entry->d_name);
		snprintf(to, sizeof(to), "build/%s", entry->d_name);
		if (try_mount(from, to, NULL, MS_BIND, NULL))
			fail("cannot bind", from);
	}
	closedir(dir);
}

/* Not each kernel has a network. */
static void bring_up_loopback(void)
{
	struct ifreq loopback = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &loopback))
		fail("cannot bring up", "lo");
	close(fd);
}

static void load_module(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
		fail("cannot load", path);
	close(fd);
}

static void __noreturn execute(char **command, int output)
{
	int null = open("/dev/null", O_RDONLY);

	setsid();
	dup2(null, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	close(null);
	execvp(command[0], command);
	fprintf(stderr, "%s: %s\n", command[0], strerror(errno));
	exit(errno == ENOENT ? 127 : 126);
}

static void switch_udmabuf(void)
{
	char *command[] = { "tools/udmabuf-switch", "on", NULL };
	int kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	pid_t child = fork();
	int status;

	if (child == 0)
		execute(command, kmsg);
	if (waitpid(child, &status, 0) < 0 || status)
		fail("failed:", command[0]);
	close(kmsg);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail("cannot write", path);
	close(fd);
}

/*
 * From pipe to file without a buffer of ours: 9p pins what it writes from, and tests
 * count pins.
 */
static void copy_output(int from)
{
	int to = open(SHARE "/output", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	ssize_t got;

	do {
		got = splice(from, NULL, to, NULL, 1 << 16, 0);
	} while (got > 0);
	exit(got < 0);
}

static void interrupt_wait(int signal)
{
	(void)signal;
}

static void set_alarm(time_t seconds)
{
	struct itimerval timer = { { seconds, 0 }, { seconds, 0 } };
	struct sigaction action = { .sa_handler = interrupt_wait };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

/*
 * Returns the command's status, as a shell's exit status. The command runs in a
 * cgroup, by which everything that it leaves running is ended: an open end of
 * the pipe would keep the copier waiting. Meanwhile boot.py hears once a minute that
 * this guest's CPUs and timers work.
 */
static int run(char **command)
{
	int fds[2], status, result = -1, copied = -1;
	pid_t copier, child, pid;

	if (mkdir(CGROUP, 0755) || pipe2(fds, O_CLOEXEC))
		fail("cannot run", command[0]);
	copier = fork();
	if (copier == 0) {
		close(fds[1]);
		copy_output(fds[0]);
	}
	child = fork();
	if (child == 0) {
		write_file(CGROUP "/cgroup.procs", "0");
		execute(command, fds[1]);
	}
	if (copier < 0 || child < 0)
		fail("cannot run", command[0]);
	close(fds[0]);
	close(fds[1]);

	/* Orphans, too, are the first process's to wait for. */
	set_alarm(60);
	while (result < 0 || copied < 0) {
		pid = wait(&status);
		if (pid < 0 && errno == EINTR) {
			say("pinfold: alive\n");
		} else if (pid == child) {
			result = WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
						       WEXITSTATUS(status);
			write_file(CGROUP "/cgroup.kill", "1");
		} else if (pid == copier) {
			copied = status;
		}
	}
	set_alarm(0);
	if (copied)
		fail("cannot pass on the output of", command[0]);
	return result;
}

/*
 * What the debug kernel finds goes to its log, where boot.py sees it. A scan leaves
 * out what changed since the one before, and what is younger than five seconds.
 */
static void look_for_leaks(void)
{
	char line[512];
	FILE *report;

	if (access(KMEMLEAK, F_OK))
		return;
	sleep(6);
	write_file(KMEMLEAK, "scan");
	write_file(KMEMLEAK, "scan");
	report = fopen(KMEMLEAK, "r");
	while (report && fgets(line, sizeof(line), report))
		say("kmemleak: %s", line);
}

/*
 * What to do is in a file of strings that end in NUL: the project's path, the folder
 * with programs in it, the modules' paths, an empty string, the command and its
 * arguments.
 */
static char **read_words(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t count = 0, size = 0;
	struct stat stat;
	char **words, *text;
	ssize_t got;

	if (fd < 0 || fstat(fd, &stat))
		fail("cannot open", path);
	text = malloc(stat.st_size + 1);
	words = malloc((stat.st_size + 1) * sizeof(*words));
	if (!text || !words)
		fail("cannot read", path);
	while ((got = read(fd, text + size, stat.st_size - size)) > 0)
		size += got;
	if (got < 0)
		fail("cannot read", path);
	close(fd);
	for (char *word = text; word < text + size; word += strlen(word) + 1)
		words[count++] = word;
	words[count] = NULL;
	return words;
}

int main(void)
{
	char **word, result[16];
	int ours = 0;

	umask(022);
	clearenv();
	setenv("PATH", "/usr/sbin:/usr/bin", 1);
	setenv("HOME", "/root", 1);
	setenv("LANG", "C.UTF-8", 1);
	setenv("TERM", "dumb", 1);
	setenv("XDG_RUNTIME_DIR", "/run/user/0", 1);
	mount_system();
	say("pinfold: started\n");
	bring_up_loopback();
	word = read_words(SHARE "/todo");
	mount_project(*word++);
	show_programs(*word++);
	for (; **word; word++, ours = 1)
		load_module(*word);
	if (ours)
		switch_udmabuf();
	say("pinfold: running %s\n", word[1]);
	snprintf(result, sizeof(result), "%d", run(word + 1));
	say("pinfold: it exited with %s\n", result);
	look_for_leaks();
	finish(result);
}
