/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who holds how much memory by long-term pins, and may hold no more.
 */
#ifndef _LINUX_PIN_ACCOUNT_H
#define _LINUX_PIN_ACCOUNT_H

#include <linux/types.h>

struct pin_owner;

/**
 * struct pin_charge - what is charged for some pins
 * @owner: the process that asked, and its user; NULL when nothing is charged
 * @nr_pages: pages charged
 * @nr_folios: folios pinned for it, to be shown; not limited
 * @locked: whether the pages are also part of the user's locked_vm
 */
struct pin_charge {
	struct pin_owner *owner;
	unsigned long nr_pages;
	unsigned long nr_folios;
	bool locked;
};

int pin_charge(struct pin_charge *charge, const char *driver,
	       unsigned long nr_pages);
void pin_charge_folios(struct pin_charge *charge, unsigned long nr_folios);
void pin_uncharge(struct pin_charge *charge);
void pin_account_query(unsigned long *nr_pages, unsigned long *available);

#endif /* _LINUX_PIN_ACCOUNT_H */
