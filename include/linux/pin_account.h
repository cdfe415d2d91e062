/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who holds how much memory by long-term pins, and may hold no more.
 */
#ifndef _LINUX_PIN_ACCOUNT_H
#define _LINUX_PIN_ACCOUNT_H

#include <linux/rbtree_types.h>
#include <linux/sched.h>
#include <linux/types.h>

struct cred;
struct pid;
struct pin_user;

/**
 * struct pin_charge - what is charged for some pins
 * @user: who is charged; NULL when nothing is
 * @node: in the tree of charges, so that this stays where it is
 * @tgid: the process that asked
 * @driver: by way of which driver
 * @comm: the process's name, which is shown after it has ended, too
 * @cred: if the pages are also part of a user's locked_vm: keeps that user, else
 *	NULL. free_uid() is not exported by all kernels
 * @nr_pages: pages charged
 * @nr_folios: folios pinned for it, to be shown; not limited
 */
struct pin_charge {
	struct pin_user *user;
	struct rb_node node;
	struct pid *tgid;
	const char *driver;
	char comm[TASK_COMM_LEN];
	const struct cred *cred;
	unsigned long nr_pages;
	unsigned long nr_folios;
};

int pin_charge(struct pin_charge *charge, const char *driver,
	       unsigned long nr_pages);
void pin_charge_folios(struct pin_charge *charge, unsigned long nr_folios);
void pin_uncharge(struct pin_charge *charge);
void pin_account_query(unsigned long *nr_pages, unsigned long *available);

#endif /* _LINUX_PIN_ACCOUNT_H */
