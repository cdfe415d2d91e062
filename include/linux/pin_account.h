/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who holds how much memory by long-term pins, and may hold no more.
 */
#ifndef _LINUX_PIN_ACCOUNT_H
#define _LINUX_PIN_ACCOUNT_H

#include <linux/rbtree_types.h>
#include <linux/types.h>

struct cred;
struct pid;
struct pin_process;

/**
 * struct pin_charge - what is charged for some pins
 * @process: who is charged: the process that asked, of its user; NULL when nothing is
 * @node: in the tree of charges, so that this stays where it is
 * @driver: by way of which driver
 * @cred: if the pages are also part of a user's locked_vm: keeps that user, else
 *	NULL. free_uid() is not exported by all kernels
 * @nr_pages: pages charged
 * @nr_folios: folios pinned for it, to be shown; not limited
 */
struct pin_charge {
	struct pin_process *process;
	struct rb_node node;
	const char *driver;
	const struct cred *cred;
	unsigned long nr_pages;
	unsigned long nr_folios;
};

int pin_charge(struct pin_charge *charge, const char *driver,
	       unsigned long nr_pages);
int pin_charge_more(struct pin_charge *charge, unsigned long nr_pages);
void pin_charge_folios(struct pin_charge *charge, unsigned long nr_folios);
struct pid *pin_charge_tgid(const struct pin_charge *charge);
void pin_uncharge(struct pin_charge *charge);
void pin_account_query(unsigned long *nr_pages, unsigned long *available);

#endif /* _LINUX_PIN_ACCOUNT_H */
