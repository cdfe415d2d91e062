// SPDX-License-Identifier: GPL-2.0
/*
 * The tracepoints of memfd_pin.ko come into being here.
 */
#define CREATE_TRACE_POINTS
#include <trace/events/memfd_pin.h>
