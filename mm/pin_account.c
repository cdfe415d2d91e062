// SPDX-License-Identifier: GPL-2.0
/*
 * Accounting of long-term pins. Every pin is charged to the user who asked,
 * before it is taken and until it is released, whoever releases it. A user is
 * limited, a process with CAP_IPC_LOCK is not, but counts.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/debugfs.h>
#include <linux/hash.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/pin_account.h>
#include <linux/pin_fast_only.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>
#include <trace/events/memfd_pin.h>

#include "pin_charges.h"

/* How many MiB are a quarter of RAM is known at init. */
#define A_QUARTER	ULONG_MAX

static unsigned long user_limit_mb = A_QUARTER;
module_param(user_limit_mb, ulong, 0644);
MODULE_PARM_DESC(user_limit_mb,
		 "Most MiB that a user may pin; 0: no limit (default: a quarter of RAM)");

static bool strict;
module_param(strict, bool, 0644);
MODULE_PARM_DESC(strict,
		 "Charge pins to the user's locked memory too, within RLIMIT_MEMLOCK (default N)");

/* Users do not wait for each other, unless their IDs have the same hash. */
struct pin_tree pin_trees[PIN_TREES];

static struct dentry *debugfs;

static struct pin_tree *tree_of(kuid_t uid)
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
		.uid = charge->user->uid,
		.tgid = charge->tgid,
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

/*
 * Whose pins the caller's are. A user can make a namespace with thousands of
 * other user IDs in it, all of which are that user's doing. Where root made the
 * namespace, for a container, they are the doing of the container's root.
 */
static kuid_t charged_uid(void)
{
	const struct user_namespace *ns = current_user_ns();
	kuid_t root;

	if (ns == &init_user_ns)
		return current_uid();
	while (ns->parent != &init_user_ns)
		ns = ns->parent;
	if (!uid_eq(ns->owner, GLOBAL_ROOT_UID))
		return ns->owner;
	root = make_kuid((struct user_namespace *)ns, 0);
	return uid_valid(root) ? root : current_uid();
}

/* A user that has charges, or had them last; with the tree's lock held. */
static struct pin_user *find_pin_user(const struct pin_tree *tree, kuid_t uid)
{
	struct pin_key key = { .uid = uid };
	struct pin_charge *charge = pin_first_charge(tree, &key);

	if (charge && uid_eq(charge->user->uid, uid))
		return charge->user;
	if (tree->idle && uid_eq(tree->idle->uid, uid))
		return tree->idle;
	return NULL;
}

/*
 * A user to be charged, with the tree's lock held. One that has no charges yet is
 * the tree's idle one, and may be taken for another one.
 */
static struct pin_user *get_pin_user(struct pin_tree *tree, kuid_t uid)
{
	struct pin_user *user = find_pin_user(tree, uid);

	if (user)
		return user;
	if (!tree->idle)
		tree->idle = kmalloc(sizeof(*user), GFP_KERNEL_ACCOUNT);
	if (tree->idle)
		*tree->idle = (struct pin_user) { .uid = uid };
	return tree->idle;
}

/* Whether there may be @nr more than @old. Who may lock any memory has no limit. */
static bool within(unsigned long old, unsigned long nr, unsigned long limit)
{
	return old + nr <= limit || capable(CAP_IPC_LOCK);
}

/* Add to a user's locked_vm; other parts of the kernel do so at the same time. */
static bool lock_pages(atomic_long_t *locked_vm, unsigned long nr,
		       unsigned long limit)
{
	long old = atomic_long_read(locked_vm);

	do {
		if (!within(old, nr, limit))
			return false;
	} while (!atomic_long_try_cmpxchg(locked_vm, &old, old + nr));
	return true;
}

/**
 * pin_user_limit() - how much a user may have pinned
 *
 * Return: pages, LONG_MAX if there is no limit.
 */
unsigned long pin_user_limit(void)
{
	unsigned long mb = READ_ONCE(user_limit_mb);

	return mb && mb < LONG_MAX >> 20 ? mb << (20 - PAGE_SHIFT) : LONG_MAX;
}

/**
 * pin_charge() - charge pages that are going to be pinned
 * @charge: what keeps it until pin_uncharge(); nothing is charged yet
 * @driver: a name for it, a constant that lives as long as the charge
 * @nr_pages: pages
 *
 * Charges the caller's user ID. In a user namespace, whatever the user ID, it
 * charges who made that; or, if it was root, for a container, the namespace's own
 * root. Of namespaces within each other, the outermost one counts. What a process
 * with CAP_IPC_LOCK pins counts, but is not limited.
 *
 * Context: may sleep and allocate.
 *
 * Return: 0, or with nothing charged:
 * * -ENOMEM: the user would have more than user_limit_mb, or, in strict mode,
 *   more locked memory than RLIMIT_MEMLOCK; or no memory
 * * -EPERM: strict mode, RLIMIT_MEMLOCK is 0, and no CAP_IPC_LOCK
 */
int pin_charge(struct pin_charge *charge, const char *driver,
	       unsigned long nr_pages)
{
	unsigned long limit = pin_user_limit();
	bool locked = READ_ONCE(strict);
	kuid_t uid = charged_uid();
	struct pin_tree *tree = tree_of(uid);
	struct pin_user *user;

	if (locked && !can_do_mlock())
		return -EPERM;
	mutex_lock(&tree->lock);
	user = get_pin_user(tree, uid);
	if (!user)
		goto err;
	if (!within(user->nr_pages, nr_pages, limit))
		goto err_limit;
	if (locked) {
		limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
		if (!lock_pages(&current_user()->locked_vm, nr_pages, limit))
			goto err_limit;
	}

	charge->user = user;
	charge->tgid = get_pid(task_tgid(current));
	charge->driver = driver;
	/* It may change meanwhile, but always ends in NUL. */
	memcpy(charge->comm, current->group_leader->comm, TASK_COMM_LEN);
	charge->cred = locked ? get_current_cred() : NULL;
	charge->nr_pages = nr_pages;
	charge->nr_folios = 0;
	user->nr_pages += nr_pages;
	if (!user->nr_charges++)
		tree->idle = NULL;
	rb_add(&charge->node, &tree->charges, charge_less);
	mutex_unlock(&tree->lock);
	return 0;

err_limit:
	trace_memfd_pin_limit(uid, driver, nr_pages, limit, -ENOMEM);
err:
	mutex_unlock(&tree->lock);
	return -ENOMEM;
}
EXPORT_SYMBOL_GPL(pin_charge);

/**
 * pin_charge_folios() - count folios that were pinned
 * @charge: what was charged for them
 * @nr_folios: how many more
 *
 * Context: any; not at the same time as pin_uncharge() or itself.
 */
void pin_charge_folios(struct pin_charge *charge, unsigned long nr_folios)
{
	WRITE_ONCE(charge->nr_folios, charge->nr_folios + nr_folios);
}
EXPORT_SYMBOL_GPL(pin_charge_folios);

/**
 * pin_uncharge() - give back a charge, after the pins
 * @charge: the charge; afterwards nothing is charged. If nothing was, nothing
 *	happens
 *
 * Context: process context of anybody, may sleep.
 */
void pin_uncharge(struct pin_charge *charge)
{
	struct pin_user *user = charge->user, *idle = NULL;
	struct pin_tree *tree;

	if (!user)
		return;
	tree = tree_of(user->uid);
	mutex_lock(&tree->lock);
	rb_erase(&charge->node, &tree->charges);
	user->nr_pages -= charge->nr_pages;
	if (!--user->nr_charges) {
		idle = tree->idle;
		tree->idle = user;
	}
	mutex_unlock(&tree->lock);

	kfree(idle);
	if (charge->cred) {
		atomic_long_sub(charge->nr_pages, &charge->cred->user->locked_vm);
		put_cred(charge->cred);
	}
	put_pid(charge->tgid);
	charge->user = NULL;
}
EXPORT_SYMBOL_GPL(pin_uncharge);

/**
 * pin_account_query() - what the caller has pinned, and may pin
 * @nr_pages: returns the pages charged to the caller's user
 * @available: returns the pages that pin_charge() would accept now, ULONG_MAX if the
 *	caller is not limited
 *
 * Context: process context, may sleep.
 */
void pin_account_query(unsigned long *nr_pages, unsigned long *available)
{
	unsigned long limit = pin_user_limit(), locked;
	kuid_t uid = charged_uid();
	struct pin_tree *tree = tree_of(uid);
	struct pin_user *user;

	mutex_lock(&tree->lock);
	user = find_pin_user(tree, uid);
	*nr_pages = user ? user->nr_pages : 0;
	mutex_unlock(&tree->lock);
	*available = ULONG_MAX;
	if (capable(CAP_IPC_LOCK))
		return;
	if (limit != LONG_MAX)
		*available = limit - min(limit, *nr_pages);
	limit = rlimit(RLIMIT_MEMLOCK);
	if (READ_ONCE(strict) && limit != RLIM_INFINITY) {
		limit >>= PAGE_SHIFT;
		locked = atomic_long_read(&current_user()->locked_vm);
		*available = min(*available, limit - min(limit, locked));
	}
}
EXPORT_SYMBOL_GPL(pin_account_query);

static int __init pin_account_init(void)
{
	struct pin_tree *tree;

	for (tree = pin_trees; tree < pin_trees + PIN_TREES; tree++) {
		mutex_init(&tree->lock);
		tree->charges = RB_ROOT;
	}
	if (user_limit_mb == A_QUARTER)
		user_limit_mb = totalram_pages() >> (20 - PAGE_SHIFT + 2);

	debugfs = debugfs_create_dir("memfd_pin", NULL);
	pin_list_init(debugfs);
	pin_fast_only_debugfs(debugfs);
	return 0;
}
module_init(pin_account_init);

static void __exit pin_account_exit(void)
{
	struct pin_tree *tree;

	debugfs_remove(debugfs);
	for (tree = pin_trees; tree < pin_trees + PIN_TREES; tree++)
		kfree(tree->idle);
}
module_exit(pin_account_exit);
