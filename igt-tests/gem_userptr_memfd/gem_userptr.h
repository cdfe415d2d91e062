/* SPDX-License-Identifier: MIT */
/*
 * What the tests of i915's userptr objects share: objects over user memory, and a
 * GPU that writes to them.
 */
#ifndef GEM_USERPTR_H
#define GEM_USERPTR_H

#include <stddef.h>
#include <stdint.h>

#include "pin_helper.h"

/* Pages of the objects of most tests */
#define NPAGES	64

/*
 * Runs a subtest, and fails it if it leaves a pinned page or an open descriptor
 * behind; @i915 is the descriptor of the device.
 */
void userptr_test(void (*test)(int i915), int i915);

/* Skips all subtests where there is no device that runs the GPU's part of them */
int open_i915(void);

void gem_userptr_use_subtests(int i915);
void gem_userptr_change_subtests(int i915);
void gem_userptr_export_subtests(int i915);

/* Objects over a range of memory: a handle; with __ a negative error, too */
uint32_t userptr(int i915, void *ptr, size_t size);
int __userptr(int i915, void *ptr, size_t size, uint32_t flags,
	      uint32_t *handle);

/*
 * Has the GPU write @value + n to the first four bytes of each page n of an object
 * of @count pages, and waits for it. With __ the error of the submission is
 * returned, and one that says "again" is obeyed.
 */
void gpu_write(int i915, uint32_t handle, size_t count, uint32_t value);
int __gpu_write(int i915, uint32_t handle, size_t count, uint32_t value);

/* Pages of @count, from @ptr on, that gpu_write() wrote to */
size_t count_written(const void *ptr, size_t count, uint32_t value);

/* dma-bufs: a descriptor or a negative error */
int __export_object(int i915, uint32_t handle);
int export_object(int i915, uint32_t handle);

#endif
