/* SPDX-License-Identifier: MIT */
/*
 * The subtests of each file, each run by udmabuf_test()
 */
#ifndef IGT_UDMABUF_EXT_H
#define IGT_UDMABUF_EXT_H

#include "udmabuf_ext_helper.h"

void udmabuf_ext_info_subtests(int dev);
void udmabuf_ext_args_subtests(int dev);
void udmabuf_ext_compat_subtests(int dev);
void udmabuf_ext_readonly_subtests(int dev);
void udmabuf_ext_import_subtests(int dev);
void udmabuf_ext_unsealed_subtests(int dev);
void udmabuf_ext_truncate_subtests(int dev);
void udmabuf_ext_end_subtests(int dev);
void udmabuf_ext_mount_subtests(int dev);
void udmabuf_ext_limits_subtests(int dev);
void udmabuf_ext_show_subtests(int dev);

#endif
