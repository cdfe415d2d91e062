// SPDX-License-Identifier: MIT
/*
 * The kernel's pool of huge pages of 2 MiB, and how many of them are in use.
 */
#include "hugetlb_helper.h"
#include "igt.h"
#include "pin_helper.h"

struct pool pool(void)
{
	return (struct pool) {
		.total = hugetlb(MIB(2), "nr_hugepages"),
		.free = hugetlb(MIB(2), "free_hugepages"),
		.reserved = hugetlb(MIB(2), "resv_hugepages"),
		.surplus = hugetlb(MIB(2), "surplus_hugepages"),
	};
}

void check_pool(struct pool was, int total, int free, int reserved, int surplus)
{
	struct pool is = pool();

	igt_assert_eq_s64(is.total, was.total + total);
	igt_assert_eq_s64(is.free, was.free + free);
	igt_assert_eq_s64(is.reserved, was.reserved + reserved);
	igt_assert_eq_s64(is.surplus, was.surplus + surplus);
}
