/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the accounting share.
 */
#ifndef PIN_ACCOUNT_H
#define PIN_ACCOUNT_H

#include "udmabuf_helper.h"

#define LIMIT	"/sys/module/memfd_pin/parameters/user_limit_mb"
#define STRICT	"/sys/module/memfd_pin/parameters/strict"

/* Nobody else's, and not privileged. */
#define USER	4711
#define OTHER	4712

void pin_account_limits_subtests(int dev);

/* Bytes that a user is charged; who has nothing pinned is not listed */
int64_t charged(uid_t user);
bool listed(uid_t user);

void become(uid_t user);

/* A dma-buf of a new memfd; with __, or a negative error */
int __create_pages(int dev, size_t count);
int create_pages(int dev, size_t count);

/* A child and its parent take turns. */
extern int to_parent[2], to_child[2];

void open_turns(void);
void close_turns(void);
void give_turn(int pipe[2]);
void wait_turn(int pipe[2]);

#endif
