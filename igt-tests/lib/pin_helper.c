// SPDX-License-Identifier: MIT
/*
 * What the test programs share: memory of every kind, page patterns, and the
 * kernel's counters and settings.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "igt.h"
#include "pin_helper.h"

#define THP_DIR		"/sys/kernel/mm/transparent_hugepage/"

size_t pmd_size(void)
{
	/* A page of entries, of 8 bytes each */
	return page_size() / 8 * page_size();
}

int count_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	igt_assert(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

bool kernel_since(int major, int minor)
{
	struct utsname name;
	int is_major, is_minor;

	igt_assert_eq(uname(&name), 0);
	igt_assert_eq(sscanf(name.release, "%d.%d", &is_major, &is_minor), 2);
	return is_major > major || (is_major == major && is_minor >= minor);
}

/* Settings */

static struct setting {
	char path[128];
	char value[128];
} saved_settings[16];
static size_t saved_count;

int read_line(const char *path, char *line, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t len;

	if (fd < 0)
		return -errno;
	len = read(fd, line, size - 1);
	close(fd);
	if (len < 0)
		return -EIO;
	line[len] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return 0;
}

int write_line(const char *path, const char *line)
{
	int fd = open(path, O_WRONLY);
	int ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, line, strlen(line)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

static void (*undoings[8])(void);
static size_t undoing_count;
static pid_t owner;		/* whose settings they are */

/* Also called when the program exits, so nothing in here may fail a test. */
void restore_settings(void)
{
	if (owner != getpid())
		return;
	while (undoing_count)
		undoings[--undoing_count]();
	while (saved_count) {
		saved_count--;
		write_line(saved_settings[saved_count].path,
			   saved_settings[saved_count].value);
	}
}

static void restore_at_exit(int sig)
{
	(void)sig;
	restore_settings();
}

/* What a parent has set is not its child's to put back. */
static void own_settings(void)
{
	if (owner != getpid())
		saved_count = undoing_count = 0;
	owner = getpid();
	igt_install_exit_handler(restore_at_exit);
}

void undo_at_end(void (*undo)(void))
{
	own_settings();
	for (size_t i = 0; i < undoing_count; i++)
		if (undoings[i] == undo)
			return;
	igt_assert(undoing_count < ARRAY_SIZE(undoings));
	undoings[undoing_count++] = undo;
}

static void save_setting(const char *path)
{
	char value[sizeof(saved_settings[0].value)], *chosen;
	struct setting *setting;

	own_settings();
	for (size_t i = 0; i < saved_count; i++)
		if (!strcmp(saved_settings[i].path, path))
			return;

	igt_require_f(!read_line(path, value, sizeof(value)), "no %s\n", path);
	/* Of a choice, the one that is made stands in brackets. */
	chosen = strchr(value, '[');
	if (chosen) {
		chosen++;
		chosen[strcspn(chosen, "]")] = '\0';
	} else {
		chosen = value;
	}

	igt_assert(saved_count < ARRAY_SIZE(saved_settings));
	setting = &saved_settings[saved_count];
	snprintf(setting->path, sizeof(setting->path), "%s", path);
	snprintf(setting->value, sizeof(setting->value), "%s", chosen);
	saved_count++;
}

void set(const char *path, const char *fmt, ...)
{
	char value[32];
	va_list args;
	int err;

	save_setting(path);
	va_start(args, fmt);
	vsnprintf(value, sizeof(value), fmt, args);
	va_end(args);
	err = write_line(path, value);
	/* A module that has a parameter takes what the tests give it. */
	igt_assert_f(!err || strncmp(path, "/sys/module/", 12), "%s: %s\n", path,
		     strerror(-err));
	igt_require_f(!err, "cannot set %s\n", path);
}

void drop_caches(void)
{
	sync();
	igt_assert_eq(write_line("/proc/sys/vm/drop_caches", "3"), 0);
}

void set_shmem_thp(const char *policy)
{
	set(THP_DIR "shmem_enabled", "%s", policy);
}

/* Where a PMD spans more, huge pages of 2 MiB have a setting of their own. */
void set_anon_thp(const char *policy)
{
	set(PMD == HUGE ? THP_DIR "enabled" : THP_DIR "hugepages-2048kB/enabled", "%s",
	    policy);
}

size_t folio_size(enum backing backing)
{
	switch (backing) {
	case HUGE_2M:
		return HUGE;
	case HUGE_1G:
		return GIB(1);
	case THP:
	case HUGE_PMD:
		return PMD;
	default:
		return page_size();
	}
}

size_t whole_folios(enum backing backing, size_t size)
{
	size_t folio = folio_size(backing);

	return (size + folio - 1) / folio * folio;
}

static void hugetlb_path(char *path, size_t len, size_t huge_size,
			 const char *name)
{
	snprintf(path, len, "/sys/kernel/mm/hugepages/hugepages-%zukB/%s",
		 huge_size >> 10, name);
}

int64_t hugetlb(size_t huge_size, const char *name)
{
	char path[128], line[32];

	hugetlb_path(path, sizeof(path), huge_size, name);
	igt_require_f(!read_line(path, line, sizeof(line)), "no %s\n", path);
	/* An underflow shows up as a number close to 2^64. */
	return strtoull(line, NULL, 10);
}

/* Make the pool such that just @count pages in it are neither used nor reserved. */
static void reserve_hugetlb(size_t huge_size, int count)
{
	int64_t used, reserved = hugetlb(huge_size, "resv_hugepages");
	char path[128];

	/* Else there is more than in the pool. Of gigantic pages there never is. */
	if (hugetlb(huge_size, "nr_overcommit_hugepages")) {
		hugetlb_path(path, sizeof(path), huge_size, "nr_overcommit_hugepages");
		set(path, "0");
	}
	/*
	 * A driver that was tested before may have made it underflow, after
	 * which the pool can only grow.
	 */
	if (reserved < 0)
		reserved = 0;
	used = hugetlb(huge_size, "nr_hugepages") -
	       hugetlb(huge_size, "free_hugepages");
	hugetlb_path(path, sizeof(path), huge_size, "nr_hugepages");
	set(path, "%" PRId64, used + reserved + count);
	igt_require_f(hugetlb(huge_size, "free_hugepages") - reserved >= count,
		      "cannot get %d huge pages of %zu MiB\n", count,
		      huge_size >> 20);
}

/* Counters */

int64_t vmstat(const char *name)
{
	char key[64], refresh[8];
	int64_t value, found = -1;
	FILE *file;

	/* Each CPU keeps a part of the counts to itself until it is asked. */
	igt_require_f(!read_line("/proc/sys/vm/stat_refresh", refresh,
				 sizeof(refresh)), "no vm.stat_refresh\n");
	file = fopen("/proc/vmstat", "r");
	igt_assert(file);
	while (fscanf(file, "%63s %" SCNd64, key, &value) == 2)
		if (!strcmp(key, name))
			found = value;
	fclose(file);
	igt_require_f(found >= 0, "no %s in /proc/vmstat\n", name);
	return found;
}

/* In bytes, with what each CPU keeps at hand, and without what can be dropped. */
int64_t free_memory(void)
{
	unsigned int count;
	char line[128];
	int64_t found;
	FILE *file;

	drop_caches();
	found = vmstat("nr_free_pages");
	file = fopen("/proc/zoneinfo", "r");
	igt_assert(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, " count: %u", &count) == 1)
			found += count;
	fclose(file);
	return found * page_size();
}

#define LOOKS		50

/*
 * Does the amount of free memory come to differ from @before as expected? What others
 * have in use is so for a moment, and some is freed a while after it was let go of; a
 * leak is still there at the last look.
 */
bool free_memory_changes(int64_t before, int64_t least, int64_t most)
{
	int64_t change = 0;

	for (int i = 0; i < LOOKS; i++) {
		change = free_memory() - before;
		if (change >= least && change <= most)
			return true;
	}
	igt_info("%" PRId64 " KiB more are free, and not %" PRId64 " to %" PRId64 "\n",
		 change / 1024, least / 1024, most / 1024);
	return false;
}

int64_t pins_held(void)
{
	return vmstat("nr_foll_pin_acquired") - vmstat("nr_foll_pin_released");
}

/* memfds */

int unsealed_memfd(enum backing backing, size_t size)
{
	size_t folio = folio_size(backing);
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd;

	if (backing >= HUGE_2M) {
		reserve_hugetlb(folio, size / folio);
		flags |= MFD_HUGETLB | __builtin_ctzll(folio) << MFD_HUGE_SHIFT;
	}
	if (backing == THP)
		set_shmem_thp("always");

	fd = memfd_create("udmabuf-test", flags);
	igt_assert_lte(0, fd);
	igt_assert_eq(ftruncate(fd, size), 0);
	return fd;
}

void seal(int memfd, int seals)
{
	igt_assert_eq(fcntl(memfd, F_ADD_SEALS, seals), 0);
}

int sealed_memfd(enum backing backing, size_t size)
{
	int fd = unsealed_memfd(backing, size);

	seal(fd, F_SEAL_SHRINK);
	return fd;
}

/* Another open file description of the same file. */
int reopen(int fd, int flags)
{
	char path[64];
	int ret;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ret = open(path, flags | O_CLOEXEC);
	igt_assert_lte(0, ret);
	return ret;
}

size_t fd_size(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);

	igt_assert(size >= 0);
	igt_assert_eq_s64(lseek(fd, 0, SEEK_SET), 0);
	return size;
}

int64_t fd_allocated(int fd)
{
	struct stat st;

	igt_assert_eq(fstat(fd, &st), 0);
	return st.st_blocks * 512;
}

void *map_fd(int fd, size_t size)
{
	void *ptr = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	igt_assert_f(ptr != MAP_FAILED, "mmap: %s\n", strerror(errno));
	return ptr;
}

/* What lies beside it is given back, so that unmap() of it is all there is to do. */
void *reserve(size_t size)
{
	const size_t align = pmd_size();
	char *room = mmap(NULL, size + align, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *start = (char *)(((uintptr_t)room + align - 1) & -align);

	igt_assert(room != MAP_FAILED);
	if (start > room)
		unmap(room, start - room);
	if (start < room + align)
		unmap(start + size, room + align - start);
	return start;
}

void *map_fd_at(void *at, int fd, size_t size)
{
	igt_assert(mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			fd, 0) == at);
	return at;
}

void unmap(void *ptr, size_t size)
{
	igt_assert_eq(munmap(ptr, size), 0);
}

/* Anonymous memory */

void *anon(size_t size)
{
	void *mem = reserve(size);

	igt_assert_eq(mprotect(mem, size, PROT_READ | PROT_WRITE), 0);
	return mem;
}

void *anon_small(size_t size)
{
	void *mem = anon(size);

	igt_assert_eq(madvise(mem, size, MADV_NOHUGEPAGE), 0);
	return mem;
}

void *anon_thp(size_t size)
{
	void *mem = anon(size);

	set_anon_thp("madvise");
	igt_assert_eq(madvise(mem, size, MADV_HUGEPAGE), 0);
	return mem;
}

/* Patterns */

static uint64_t page_seed(size_t page, uint64_t seed)
{
	return (page + 1) * 0x9e3779b97f4a7c15 ^ seed << 32;
}

void fill(void *ptr, size_t first, size_t count, uint64_t seed)
{
	size_t words = page_size() / sizeof(uint64_t);
	uint64_t *word = ptr;

	for (size_t page = first; page < first + count; page++) {
		uint64_t value = page_seed(page, seed);

		for (size_t i = 0; i < words; i++)
			*word++ = value + i;
	}
}

size_t count_filled(const void *ptr, size_t first, size_t count, uint64_t seed)
{
	size_t words = page_size() / sizeof(uint64_t), found = 0;
	const uint64_t *word = ptr;

	for (size_t page = first; page < first + count; page++) {
		uint64_t value = page_seed(page, seed);
		size_t i;

		for (i = 0; i < words && word[i] == value + i; i++)
			;
		found += i == words;
		word += words;
	}
	return found;
}

size_t count_zero(const void *ptr, size_t count)
{
	size_t words = page_size() / sizeof(uint64_t), found = 0;
	const uint64_t *word = ptr;

	for (size_t page = 0; page < count; page++) {
		size_t i;

		for (i = 0; i < words && !word[i]; i++)
			;
		found += i == words;
		word += words;
	}
	return found;
}
