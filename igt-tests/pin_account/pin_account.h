/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the accounting share.
 */
#ifndef PIN_ACCOUNT_H
#define PIN_ACCOUNT_H

#include "charge_helper.h"
#include "process_helper.h"
#include "udmabuf_helper.h"

void pin_account_limits_subtests(int dev);
void pin_account_share_subtests(int dev);

/* A dma-buf of a new memfd; with __, or a negative error */
int __create_pages(int dev, size_t count);
int create_pages(int dev, size_t count);

#endif
