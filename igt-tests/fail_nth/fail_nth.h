/* SPDX-License-Identifier: MIT */
/*
 * What the tests share that let one allocation after the other fail.
 */
#ifndef FAIL_NTH_H
#define FAIL_NTH_H

#include <stdbool.h>

#include "pin_helper.h"

/**
 * struct trial - a call, each allocation of which is to fail once
 * @prepare: makes all that it needs, before each attempt
 * @attempt: the call, and nothing else that allocates: 0 or more, or a negative error
 * @check: after an attempt that failed: memory is as prepare() has left it
 * @finish: ends what an attempt that returned @result and prepare() have begun
 * @never_fails: it does without what it cannot allocate
 */
struct trial {
	void (*prepare)(void);
	int (*attempt)(void);
	void (*check)(void);
	void (*finish)(int result);
	bool never_fails;
};

/*
 * In the n-th attempt the n-th allocation fails, until there are not as many. Each
 * attempt either succeeds or is ENOMEM and leaves nothing, and what failed succeeds
 * when it is tried again at once.
 */
void try_all(const struct trial *trial);

/* What is allocated by a function of the kernel, or what that calls, does not count. */
void leave_out(const char *function);

/*
 * Whether something has ever been allocated, in a way that can wait for memory, by who
 * held a lock of that name
 */
bool allocates_under(const char *lock);

/* Memory of a file, all of it filled, or holes */
struct content {
	const char *name;
	enum backing backing;
	bool holes;
};

extern const struct content contents[6];

size_t content_pages(const struct content *content);
int content_memfd(const struct content *content);
void check_content(const struct content *content, const void *mem);

void fail_nth_create_subtests(int dev);
void fail_nth_use_subtests(int dev);
void fail_nth_mempinfd_subtests(void);

#endif
