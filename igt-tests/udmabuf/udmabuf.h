/* SPDX-License-Identifier: MIT */
/*
 * The subtests of each file, each run by udmabuf_test()
 */
#ifndef IGT_UDMABUF_H
#define IGT_UDMABUF_H

#include "udmabuf_helper.h"

void udmabuf_create_subtests(int dev);
void udmabuf_contents_subtests(int dev);
void udmabuf_mmap_subtests(int dev);
void udmabuf_pmd_subtests(int dev);
void udmabuf_contpte_subtests(int dev);
void udmabuf_vmap_subtests(int dev);
void udmabuf_attach_subtests(int dev);
void udmabuf_reject_subtests(int dev);
void udmabuf_limits_subtests(int dev);
void udmabuf_stress_subtests(int dev);
void udmabuf_reclaim_subtests(int dev);
void udmabuf_persist_subtests(int dev);

#endif
