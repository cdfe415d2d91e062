/* SPDX-License-Identifier: MIT */
/*
 * A filesystem of the test's own.
 */
#ifndef MOUNT_HELPER_H
#define MOUNT_HELPER_H

#include <stddef.h>
#include <stdint.h>

/* Where it is; there is one at a time, until the subtest ends at the latest. */
#define MOUNT_DIR	"/tmp/igt-pin-mount"

/* Skip the subtest where it cannot be mounted */
void mount_dir(const char *source, const char *type, const char *options);
void unmount_dir(void);

/*
 * Memory that the kernel was told at boot to take for persistent, with memmap=: nothing
 * that it has is kept. Skips the subtest where there is none; other devices are let alone.
 */
const char *pmem_device(void);

/* Of the filesystem: what is free, in bytes */
int64_t mount_free(void);

/* A new file there, by its path, and a hole from its start to its end */
int create_file(const char *path, size_t size);

#endif
