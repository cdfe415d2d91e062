/* SPDX-License-Identifier: GPL-2.0 */
/* What Linux 7 makes use of and sparse 0.6.4 does not know; for sparse alone. */
#define __typeof_unqual__ __typeof__
#define __builtin_strlen(string) (sizeof(string) - 1)
