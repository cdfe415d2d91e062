/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the accounting share.
 */
#ifndef PIN_ACCOUNT_H
#define PIN_ACCOUNT_H

#include "charge_helper.h"
#include "udmabuf_helper.h"

void pin_account_limits_subtests(int dev);

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
