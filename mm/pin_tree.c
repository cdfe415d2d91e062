// SPDX-License-Identifier: GPL-2.0
/*
 * Whose charges there are: trees of them, in the order of users, processes, drivers. Each
 * charge points to its process, and that to its user, which have the sums. So a
 * process is found, and what it has is known, without a walk over its charges.
 */
#include <linux/hash.h>
#include <linux/init.h>
#include <linux/pid.h>
#include <linux/pin_account.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "pin_charges.h"

/* Users do not wait for each other, unless their IDs have the same hash. */
struct pin_tree pin_trees[PIN_TREES];

/**
 * pin_tree_of() - where the charges of a user are
 * @uid: user ID
 *
 * Return: the tree.
 */
struct pin_tree *pin_tree_of(kuid_t uid)
{
	return &pin_trees[hash_32(__kuid_val(uid), PIN_TREE_BITS)];
}

/**
 * pin_charge_key() - whose a charge is
 * @charge: in a tree
 *
 * Context: with the tree's lock held.
 *
 * Return: the key.
 */
struct pin_key pin_charge_key(const struct pin_charge *charge)
{
	return (struct pin_key) {
		.uid = charge->process->user->uid,
		.tgid = charge->process->tgid,
		.driver = charge->driver,
	};
}

/**
 * pin_compare_keys() - the order of a tree: by users, then their processes
 * @a: a key
 * @b: another
 *
 * Return: less than, equal to or more than 0, as @a is before, the same as or after
 * @b.
 */
int pin_compare_keys(const struct pin_key *a, const struct pin_key *b)
{
	if (!uid_eq(a->uid, b->uid))
		return uid_lt(a->uid, b->uid) ? -1 : 1;
	if (a->tgid != b->tgid)
		return a->tgid < b->tgid ? -1 : 1;
	if (a->driver != b->driver)
		return a->driver < b->driver ? -1 : 1;
	return 0;
}

static bool charge_less(struct rb_node *a, const struct rb_node *b)
{
	struct pin_key key = pin_charge_key(rb_entry(a, struct pin_charge, node));
	struct pin_key other = pin_charge_key(rb_entry(b, struct pin_charge, node));

	return pin_compare_keys(&key, &other) < 0;
}

/**
 * pin_first_charge() - where to begin in a tree
 * @tree: the tree
 * @key: what comes before it is left out
 *
 * Context: with the tree's lock held.
 *
 * Return: the first charge that is not before @key, or NULL.
 */
struct pin_charge *pin_first_charge(const struct pin_tree *tree,
				    const struct pin_key *key)
{
	struct rb_node *node = tree->charges.rb_node;
	struct pin_charge *charge, *found = NULL;
	struct pin_key other;

	while (node) {
		charge = rb_entry(node, struct pin_charge, node);
		other = pin_charge_key(charge);
		if (pin_compare_keys(&other, key) < 0) {
			node = node->rb_right;
		} else {
			found = charge;
			node = node->rb_left;
		}
	}
	return found;
}

/**
 * pin_tree_user() - find a user
 * @tree: the tree of the user
 * @uid: user ID
 *
 * Context: with the tree's lock held.
 *
 * Return: the user, if it has charges or had the tree's last ones, or NULL.
 */
struct pin_user *pin_tree_user(const struct pin_tree *tree, kuid_t uid)
{
	struct pin_key key = { .uid = uid };
	struct pin_charge *charge = pin_first_charge(tree, &key);

	if (charge && uid_eq(charge->process->user->uid, uid))
		return charge->process->user;
	if (tree->idle && uid_eq(tree->idle->user->uid, uid))
		return tree->idle->user;
	return NULL;
}

/**
 * pin_tree_process() - find the calling process
 * @tree: the tree of the user
 * @uid: ID of the user whose it is
 *
 * Context: with the tree's lock held.
 *
 * Return: the process, if it has charges of that user or had the tree's last ones, or
 * NULL.
 */
struct pin_process *pin_tree_process(const struct pin_tree *tree, kuid_t uid)
{
	struct pin_key key = { .uid = uid, .tgid = task_tgid(current) };
	struct pin_charge *charge = pin_first_charge(tree, &key);
	struct pin_process *process = charge ? charge->process : NULL;

	if (process && process->tgid == key.tgid && uid_eq(process->user->uid, uid))
		return process;
	process = tree->idle;
	if (process && process->tgid == key.tgid && uid_eq(process->user->uid, uid))
		return process;
	return NULL;
}

/**
 * pin_process_new() - allocate what the calling process is known by
 * @uid: ID of the user whose it is
 *
 * Context: may allocate; without a tree's lock, as that can take long: others wait for
 * the lock, whose memory cgroups are not full.
 *
 * Return: the process, with a user of its own, neither of them in a tree; or NULL if
 * there is no memory.
 */
struct pin_process *pin_process_new(kuid_t uid)
{
	struct pin_process *process = kzalloc(sizeof(*process), GFP_KERNEL_ACCOUNT);

	if (!process)
		return NULL;
	process->user = kzalloc(sizeof(*process->user), GFP_KERNEL_ACCOUNT);
	if (!process->user) {
		kfree(process);
		return NULL;
	}
	process->user->uid = uid;
	process->user->nr_processes = 1;
	process->tgid = get_pid(task_tgid(current));
	return process;
}

/**
 * pin_process_free() - free a process without charges, and its user with the last one
 * @process: the process, or NULL
 *
 * Context: with the tree's lock held, if it has been in one.
 */
void pin_process_free(struct pin_process *process)
{
	if (!process)
		return;
	if (!--process->user->nr_processes)
		kfree(process->user);
	put_pid(process->tgid);
	kfree(process);
}

/**
 * pin_tree_add_process() - make a process known that is not
 * @tree: the tree of its user
 * @process: from pin_process_new()
 *
 * It is the tree's idle one, until pin_tree_add() or until the lock is released.
 *
 * Context: with the tree's lock held.
 */
void pin_tree_add_process(struct pin_tree *tree, struct pin_process *process)
{
	struct pin_user *user = pin_tree_user(tree, process->user->uid);

	if (user) {
		kfree(process->user);
		process->user = user;
		user->nr_processes++;
	}
	pin_process_free(tree->idle);
	tree->idle = process;
}

/**
 * pin_tree_add() - add a charge
 * @tree: the tree of its user
 * @charge: the charge, with its process and driver
 *
 * Context: with the tree's lock held.
 */
void pin_tree_add(struct pin_tree *tree, struct pin_charge *charge)
{
	if (!charge->process->nr_charges++)
		tree->idle = NULL;
	rb_add(&charge->node, &tree->charges, charge_less);
}

/**
 * pin_tree_del() - remove a charge
 * @tree: the tree of its user
 * @charge: the charge, which is nobody's afterwards
 *
 * Context: with the tree's lock held.
 */
void pin_tree_del(struct pin_tree *tree, struct pin_charge *charge)
{
	struct pin_process *process = charge->process;

	rb_erase(&charge->node, &tree->charges);
	charge->process = NULL;
	if (!--process->nr_charges) {
		pin_process_free(tree->idle);
		tree->idle = process;
	}
}

/**
 * pin_trees_init() - make the trees
 */
void __init pin_trees_init(void)
{
	struct pin_tree *tree;

	for (tree = pin_trees; tree < pin_trees + PIN_TREES; tree++) {
		mutex_init(&tree->lock);
		tree->charges = RB_ROOT;
	}
}

/**
 * pin_trees_exit() - free what is kept of processes; there are no charges any more
 */
void __exit pin_trees_exit(void)
{
	struct pin_tree *tree;

	for (tree = pin_trees; tree < pin_trees + PIN_TREES; tree++)
		pin_process_free(tree->idle);
}
