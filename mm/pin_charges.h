/* SPDX-License-Identifier: GPL-2.0 */
/*
 * All charges, by whom they are of. Kept by mm/pin_tree.c, made by mm/pin_account.c,
 * shown by mm/pin_list.c.
 */
#ifndef _PIN_CHARGES_H
#define _PIN_CHARGES_H

#include <linux/bits.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/sched.h>
#include <linux/types.h>
#include <linux/uidgid.h>

struct dentry;
struct pid;
struct pin_charge;

/**
 * struct pin_user - a user that has pins
 * @uid: user ID
 * @nr_processes: how many processes point here
 * @nr_pages: pages in their charges
 */
struct pin_user {
	kuid_t uid;
	unsigned int nr_processes;
	unsigned long nr_pages;
};

/**
 * struct pin_process - a process of a user, that has pins, also after its end
 * @user: the user
 * @tgid: the process; a reference
 * @comm: its name when it last asked for pins
 * @nr_charges: how many charges point here
 * @nr_pages: pages in them
 */
struct pin_process {
	struct pin_user *user;
	struct pid *tgid;
	char comm[TASK_COMM_LEN];
	unsigned int nr_charges;
	unsigned long nr_pages;
};

/**
 * struct pin_tree - charges of the users whose IDs have the same hash
 * @lock: protects all of it, the users, their processes, and what is in the charges
 *	but for their number of folios. A leaf in the lock order: users share it, so
 *	nothing is allocated under it
 * @charges: in the order of their keys
 * @idle: the process that had the last of its charges last, for its next one; may
 *	be NULL
 */
struct pin_tree {
	struct mutex lock; /* see above */
	struct rb_root charges;
	struct pin_process *idle;
};

/**
 * struct pin_key - what tells apart the owners of charges, in the order of a tree
 * @uid: who is charged
 * @tgid: the process
 * @driver: by way of which driver
 */
struct pin_key {
	kuid_t uid;
	struct pid *tgid;
	const char *driver;
};

#define PIN_TREE_BITS	6
#define PIN_TREES	BIT(PIN_TREE_BITS)

extern struct pin_tree pin_trees[PIN_TREES];

struct pin_tree *pin_tree_of(kuid_t uid);
struct pin_user *pin_tree_user(const struct pin_tree *tree, kuid_t uid);
struct pin_process *pin_tree_process(const struct pin_tree *tree, kuid_t uid);
void pin_tree_add_process(struct pin_tree *tree, struct pin_process *process);
void pin_tree_add(struct pin_tree *tree, struct pin_charge *charge);
void pin_tree_del(struct pin_tree *tree, struct pin_charge *charge);
void pin_trees_init(void);
void pin_trees_exit(void);
struct pin_process *pin_process_new(kuid_t uid);
void pin_process_free(struct pin_process *process);

struct pin_key pin_charge_key(const struct pin_charge *charge);
int pin_compare_keys(const struct pin_key *a, const struct pin_key *b);
struct pin_charge *pin_first_charge(const struct pin_tree *tree,
				    const struct pin_key *key);
unsigned long pin_user_limit(void);
unsigned long pin_room(const struct pin_user *user, unsigned long held);

void pin_list_init(struct dentry *parent);

#endif /* _PIN_CHARGES_H */
