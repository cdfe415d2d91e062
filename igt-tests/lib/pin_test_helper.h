/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the pin functions share: calls by way of /dev/pin_test.
 */
#ifndef PIN_TEST_HELPER_H
#define PIN_TEST_HELPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/pin_test.h>

#include "phys_helper.h"

/* Runs a subtest, and fails it if it leaves a pinned page or an open descriptor behind */
void pin_test(void (*test)(void));

/* The functions by name, for subtests that go through them */
extern const struct pin_call {
	const char *name;
	unsigned int call;
	unsigned int flags;	/* always given */
	bool memfd;		/* takes a memfd, not an address */
} pin_calls[7];

/* A new open file of the device */
int open_device(void);

/*
 * Pin. With __: the number of entries or a negative error; without, all is pinned,
 * or the subtest fails, and the result is the device file that has the pins.
 */
int64_t __pin(int dev, unsigned int call, unsigned int flags, const void *addr,
	      int64_t nr_pages);
int64_t __pin_remote(int dev, pid_t pid, unsigned int flags, const void *addr,
		     int64_t nr_pages);
int64_t __pin_memfd(int dev, unsigned int call, int memfd, uint64_t offset,
		    int64_t size);
int pin(unsigned int call, unsigned int flags, const void *addr, size_t count);
int pin_memfd(unsigned int call, int memfd, uint64_t offset, size_t size);

/* As @call says: pages of a memfd, which is mapped at @map */
int pin_by(const struct pin_call *call, unsigned int flags, int memfd,
	   const char *map, size_t first, size_t count);

/* Pins for a moment: how many entries, or a negative error */
int64_t try_pin(unsigned int call, unsigned int flags, const void *addr,
		int64_t nr_pages);

void unpin(int dev, unsigned int how);
struct pin_test_page query(int dev, unsigned int entry);
bool queryable(int dev, unsigned int entry);

/* Where page @page of a memfd lies, which need not be pinned */
struct pin_test_block query_block(int memfd, size_t page);

/* The data of the pinned pages, as a device would see and change it */
uint64_t device_read(int dev, size_t page);
void device_write(int dev, size_t page, uint64_t value);
size_t device_count_filled(int dev, size_t count, uint64_t seed);

/* Of all pins since the system was booted */
struct pin_counts {
	int64_t acquired, released;
};

struct pin_counts count_pins(void);

#endif
