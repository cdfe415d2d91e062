/* SPDX-License-Identifier: MIT */
/*
 * The part of libigt's interface that our tests use, for systems that ship
 * libigt.so without its headers (Debian 13). It lies last on the include path,
 * so that IGT's own igt.h is taken wherever there is one.
 *
 * The block macros have the form they have in IGT today: igt_main() and
 * igt_fixture() with parentheses. The functions are those of IGT 2.0.
 */
#ifndef IGT_COMPAT_H
#define IGT_COMPAT_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#define IGT_PRINTF(fmt, args)	__attribute__((format(printf, fmt, args)))
#define IGT_NORETURN		__attribute__((noreturn))

#define IGT_PASTE_(a, b)	a ## b
#define IGT_PASTE(a, b)		IGT_PASTE_(a, b)
#define IGT_UNIQUE(name)	IGT_PASTE(igt_ ## name ## _, __LINE__)

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))

#define READ_ONCE(x)		(*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, value)	((void)(*(volatile typeof(x) *)&(x) = (value)))

/* The program: main(), fixtures and subtests */

struct option;

extern const char *__igt_test_description;
extern jmp_buf igt_subtest_jmpbuf;

int igt_subtest_init_parse_opts(int *argc, char **argv,
				const char *short_opts,
				const struct option *long_opts,
				const char *help,
				int (*handler)(int opt, int index, void *data),
				void *data);
bool __igt_fixture(void);
void __igt_fixture_complete(void);
bool __igt_run_subtest(const char *name, const char *file, const int line);
void igt_success(void);
IGT_NORETURN void igt_exit(void);

#define IGT_TEST_DESCRIPTION(text) \
	const char *__igt_test_description = (text)

/* Used as "int igt_main()", so it begins with what may follow a type. */
#define igt_main() \
	main(int argc, char **argv); \
	static void igt_program(void); \
	int main(int argc, char **argv) \
	{ \
		igt_subtest_init_parse_opts(&argc, argv, NULL, NULL, NULL, \
					    NULL, NULL); \
		igt_program(); \
		igt_exit(); \
	} \
	static void igt_program(void)

/*
 * libigt leaves a block early by jumping back to its head, which must then not
 * run the block again: hence sigsetjmp() as the last part of the condition.
 */
#define igt_fixture() \
	for (volatile bool IGT_UNIQUE(todo) = true; \
	     IGT_UNIQUE(todo) && __igt_fixture() && \
	     sigsetjmp(igt_subtest_jmpbuf, 1) == 0; \
	     IGT_UNIQUE(todo) = false, __igt_fixture_complete())

#define igt_subtest(name) \
	for (; __igt_run_subtest((name), __FILE__, __LINE__) && \
	       sigsetjmp(igt_subtest_jmpbuf, 1) == 0; igt_success())

#define IGT_SUBTEST_F(name, ...) \
	for (char name[256]; \
	     snprintf(name, sizeof(name), __VA_ARGS__), \
	     __igt_run_subtest(name, __FILE__, __LINE__) && \
	     sigsetjmp(igt_subtest_jmpbuf, 1) == 0; igt_success())

#define igt_subtest_f(...)	IGT_SUBTEST_F(IGT_UNIQUE(name), __VA_ARGS__)

/* What the next subtest does, for --describe */
IGT_PRINTF(1, 2)
void igt_describe_f(const char *fmt, ...);

#define igt_describe(text)	igt_describe_f("%s", text)

/* Results */

IGT_NORETURN IGT_PRINTF(5, 6)
void __igt_skip_check(const char *file, const int line, const char *func,
		      const char *check, const char *fmt, ...);
IGT_NORETURN IGT_PRINTF(6, 7)
void __igt_fail_assert(const char *domain, const char *file, const int line,
		       const char *func, const char *assertion,
		       const char *fmt, ...);

#define IGT_SKIP(check, ...) \
	__igt_skip_check(__FILE__, __LINE__, __func__, check, __VA_ARGS__)
#define IGT_FAIL(assertion, ...) \
	__igt_fail_assert(NULL, __FILE__, __LINE__, __func__, assertion, \
			  __VA_ARGS__)

#define igt_require_f(cond, ...) \
	do { if (!(cond)) IGT_SKIP(#cond, __VA_ARGS__); } while (0)
#define igt_assert(cond) \
	do { if (!(cond)) IGT_FAIL(#cond, NULL); } while (0)
#define igt_assert_f(cond, ...) \
	do { if (!(cond)) IGT_FAIL(#cond, __VA_ARGS__); } while (0)

#define IGT_COMPARE(type, fmt, a, op, b) \
	do { \
		type igt_left = (a), igt_right = (b); \
		if (!(igt_left op igt_right)) \
			IGT_FAIL(#a " " #op " " #b, \
				 "error: " fmt ", " fmt "\n", \
				 igt_left, igt_right); \
	} while (0)

#define igt_assert_eq(a, b)	IGT_COMPARE(int, "%d", a, ==, b)
#define igt_assert_lte(a, b)	IGT_COMPARE(int, "%d", a, <=, b)
#define igt_assert_lt(a, b)	IGT_COMPARE(int, "%d", a, <, b)
#define igt_assert_eq_s64(a, b) \
	IGT_COMPARE(long long, "%lld", a, ==, b)
#define igt_assert_eq_u64(a, b) \
	IGT_COMPARE(unsigned long long, "%#llx", a, ==, b)

/* Messages */

enum igt_log_level {
	IGT_LOG_DEBUG,
	IGT_LOG_INFO,
};

IGT_PRINTF(3, 4)
void igt_log(const char *domain, enum igt_log_level level, const char *fmt, ...);

#define igt_debug(...)		igt_log(NULL, IGT_LOG_DEBUG, __VA_ARGS__)
#define igt_info(...)		igt_log(NULL, IGT_LOG_INFO, __VA_ARGS__)

/* Processes and signals */

bool __igt_fork(void);
void igt_waitchildren(void);
void igt_fork_signal_helper(void);
void igt_stop_signal_helper(void);
int igt_system_quiet(const char *command);
void igt_install_exit_handler(void (*handler)(int sig));

#define igt_fork(child, count) \
	for (int child = 0; child < (count); child++) \
		for (; __igt_fork(); exit(0))

/* DRM devices and dma-bufs */

#define DRIVER_INTEL		(1 << 0)
#define DRIVER_VGEM		(1 << 2)

#define DROP_RETIRE		0x04
#define DROP_FREED		0x10

int drm_open_driver(int chipset);
int drm_close_driver(int fd);
void igt_drop_caches_set(int fd, uint64_t caches);
void gem_close(int fd, uint32_t handle);
int prime_handle_to_fd_for_mmap(int fd, uint32_t handle);
uint32_t prime_fd_to_handle(int fd, int dma_buf_fd);
void prime_sync_start(int dma_buf_fd, bool write);
void prime_sync_end(int dma_buf_fd, bool write);

#endif
