// SPDX-License-Identifier: GPL-2.0
/*
 * Accounting of long-term pins. Every pin is charged to the user who asked,
 * before it is taken and until it is released, whoever releases it. A user is
 * limited, and each process to a share of what its user has left. A process with
 * CAP_IPC_LOCK is not limited, but counts.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/debugfs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/pin_account.h>
#include <linux/pin_fast_only.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/user_namespace.h>
#include <trace/events/memfd_pin.h>

#include "pin_charges.h"

/* How many MiB are a quarter of RAM is known at init. */
#define A_QUARTER	ULONG_MAX

static unsigned long user_limit_mb = A_QUARTER;
module_param(user_limit_mb, ulong, 0644);
MODULE_PARM_DESC(user_limit_mb,
		 "Most MiB that a user may pin; 0: no limit (default: a quarter of RAM)");

static unsigned int process_share = 4;
module_param(process_share, uint, 0644);
MODULE_PARM_DESC(process_share,
		 "A process may pin up to so many times what its user has left; 0: all of it (default 4)");

static bool strict;
module_param(strict, bool, 0644);
MODULE_PARM_DESC(strict,
		 "Charge pins to the user's locked memory too, within RLIMIT_MEMLOCK (default N)");

static struct dentry *debugfs;

/*
 * Whose pins the caller's are. A user can make a namespace with thousands of
 * other user IDs in it, all of which are that user's doing. Where root made the
 * namespace, for a container, they are the doing of the container's root. Where that is
 * root itself, as where all users are what they are outside, the namespace makes no
 * difference.
 */
static kuid_t charged_uid(void)
{
	const struct user_namespace *ns;
	kuid_t uid = current_uid(), root;

	for (ns = current_user_ns(); ns != &init_user_ns; ns = ns->parent) {
		if (!uid_eq(ns->owner, GLOBAL_ROOT_UID)) {
			uid = ns->owner;
			continue;
		}
		root = make_kuid((struct user_namespace *)ns, 0);
		if (!uid_valid(root))
			uid = current_uid();
		else if (!uid_eq(root, GLOBAL_ROOT_UID))
			uid = root;
	}
	return uid;
}

/*
 * Who may lock any memory has no limit. Asked only at a limit, and without a line in
 * the audit log: to be told that there is no more is nothing unusual.
 */
static bool is_privileged(void)
{
	return ns_capable_noaudit(&init_user_ns, CAP_IPC_LOCK);
}

/* Add to a user's locked_vm; other parts of the kernel do so at the same time. */
static bool lock_pages(atomic_long_t *locked_vm, unsigned long nr,
		       unsigned long limit)
{
	long old = atomic_long_read(locked_vm);

	do {
		if (old + nr > limit && !is_privileged())
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

	/* Both what is counted in pages and what is shown in bytes have to fit. */
	if (!mb || mb >= min_t(u64, LONG_MAX >> (20 - PAGE_SHIFT), S64_MAX >> 20))
		return LONG_MAX;
	return mb << (20 - PAGE_SHIFT);
}

/**
 * pin_room() - how much more a process may pin
 * @user: its user; NULL: one that has nothing pinned
 * @held: pages that the process has pinned
 *
 * A process gets one page more as long as it has less than process_share times what
 * its user has left then: with 4, one process gets four fifths of the limit, two get
 * four ninths each, and whoever comes next always finds something.
 *
 * Context: with the lock of the user's tree held.
 *
 * Return: pages, LONG_MAX if there is no limit.
 */
unsigned long pin_room(const struct pin_user *user, unsigned long held)
{
	unsigned long share = min(READ_ONCE(process_share), UINT_MAX - 1);
	unsigned long limit = pin_user_limit();
	unsigned long used = user ? user->nr_pages : 0;
	unsigned long left, most;

	if (limit == LONG_MAX)
		return LONG_MAX;
	left = limit - min(limit, used);
	if (!share || check_mul_overflow(left, share, &most))
		return left;
	/* Each page is one more held, and @share less for which that is allowed. */
	return most > held ? (most - held - 1) / (share + 1) + 1 : 0;
}

/* Add to a charge that belongs to a process, with the tree's lock held. */
static int charge_pages(struct pin_charge *charge, unsigned long nr_pages)
{
	struct pin_process *process = charge->process;
	unsigned long room = pin_room(process->user, process->nr_pages), limit;

	if (nr_pages > room && !is_privileged()) {
		limit = process->nr_pages + room;
		goto err;
	}
	if (charge->cred) {
		limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
		if (!lock_pages(&charge->cred->user->locked_vm, nr_pages, limit))
			goto err;
	}
	charge->nr_pages += nr_pages;
	process->nr_pages += nr_pages;
	process->user->nr_pages += nr_pages;
	return 0;

err:
	trace_memfd_pin_limit(process->user->uid, charge->driver, nr_pages, limit,
			      -ENOMEM);
	return -ENOMEM;
}

/*
 * Find the calling process, or make it known. The caller holds the tree's lock, which is
 * dropped meanwhile to allocate. NULL if there is no memory.
 */
static struct pin_process *get_process(struct pin_tree *tree, kuid_t uid)
{
	struct pin_process *process, *new;

	process = pin_tree_process(tree, uid);
	if (process)
		return process;
	mutex_unlock(&tree->lock);
	new = pin_process_new(uid);
	mutex_lock(&tree->lock);
	if (!new)
		return NULL;
	/* Another thread may have been quicker. */
	process = pin_tree_process(tree, uid);
	if (process) {
		pin_process_free(new);
		return process;
	}
	pin_tree_add_process(tree, new);
	return new;
}

/**
 * pin_charge() - charge pages that are going to be pinned
 * @charge: what keeps it until pin_uncharge(); nothing is charged yet
 * @driver: a name for it, a constant that lives as long as the charge
 * @nr_pages: pages
 *
 * Charges the calling process and its user ID. In a user namespace, whatever the
 * user ID, it charges who made that; or, if it was root, for a container, the
 * namespace's own root. Of namespaces within each other, the outermost one counts.
 * What a process with CAP_IPC_LOCK pins counts, but is not limited.
 *
 * Context: may sleep and allocate.
 *
 * Return: 0, or with nothing charged:
 *
 * * -ENOMEM: the user would have more than user_limit_mb, or the process more than
 *   its share of that, or, in strict mode, the user more locked memory than
 *   RLIMIT_MEMLOCK; or no memory
 * * -EPERM: strict mode, RLIMIT_MEMLOCK is 0, and no CAP_IPC_LOCK
 */
int pin_charge(struct pin_charge *charge, const char *driver,
	       unsigned long nr_pages)
{
	bool locked = READ_ONCE(strict);
	kuid_t uid = charged_uid();
	struct pin_tree *tree = pin_tree_of(uid);
	struct pin_process *process;
	int err = -ENOMEM;

	/* Who is refused here is so for the lack of the right: that is audited. */
	if (locked && !can_do_mlock())
		return -EPERM;
	mutex_lock(&tree->lock);
	process = get_process(tree, uid);
	if (!process)
		goto unlock;
	charge->process = process;
	charge->driver = driver;
	charge->cred = locked ? get_current_cred() : NULL;
	charge->nr_pages = 0;
	charge->nr_folios = 0;
	err = charge_pages(charge, nr_pages);
	if (err) {
		put_cred(charge->cred);
		charge->process = NULL;
		goto unlock;
	}

	/* It may change meanwhile, but always ends in NUL. */
	memcpy(process->comm, current->group_leader->comm, TASK_COMM_LEN);
	pin_tree_add(tree, charge);
unlock:
	mutex_unlock(&tree->lock);
	return err;
}
EXPORT_SYMBOL_GPL(pin_charge);

/**
 * pin_charge_more() - charge for more pages than were foreseen
 * @charge: what pin_charge() has charged to the calling process
 * @nr_pages: how many more
 *
 * Context: may sleep. Not at the same time as another call for @charge.
 *
 * Return: 0, or with no more charged than before: -ENOMEM, at a limit as in
 * pin_charge().
 */
int pin_charge_more(struct pin_charge *charge, unsigned long nr_pages)
{
	struct pin_tree *tree = pin_tree_of(charge->process->user->uid);
	int err;

	mutex_lock(&tree->lock);
	err = charge_pages(charge, nr_pages);
	mutex_unlock(&tree->lock);
	return err;
}
EXPORT_SYMBOL_GPL(pin_charge_more);

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
 * pin_charge_tgid() - which process a charge is of
 * @charge: what pin_charge() has charged
 *
 * Return: the process that asked, also after its end; lives as long as the charge.
 */
struct pid *pin_charge_tgid(const struct pin_charge *charge)
{
	return charge->process->tgid;
}
EXPORT_SYMBOL_GPL(pin_charge_tgid);

/**
 * pin_uncharge() - give back a charge, after the pins
 * @charge: the charge; afterwards nothing is charged. If nothing was, nothing
 *	happens
 *
 * Context: process context of anybody, may sleep.
 */
void pin_uncharge(struct pin_charge *charge)
{
	struct pin_process *process = charge->process;
	struct pin_tree *tree;

	if (!process)
		return;
	tree = pin_tree_of(process->user->uid);
	mutex_lock(&tree->lock);
	process->nr_pages -= charge->nr_pages;
	process->user->nr_pages -= charge->nr_pages;
	pin_tree_del(tree, charge);
	mutex_unlock(&tree->lock);

	if (charge->cred) {
		atomic_long_sub(charge->nr_pages, &charge->cred->user->locked_vm);
		put_cred(charge->cred);
	}
}
EXPORT_SYMBOL_GPL(pin_uncharge);

/**
 * pin_account_query() - what the caller has pinned, and may pin
 * @nr_pages: returns the pages charged to the caller's user
 * @available: returns the pages that pin_charge() would accept now of the calling
 *	process, ULONG_MAX if it is not limited
 *
 * Context: process context, may sleep.
 */
void pin_account_query(unsigned long *nr_pages, unsigned long *available)
{
	kuid_t uid = charged_uid();
	struct pin_tree *tree = pin_tree_of(uid);
	unsigned long room, limit, locked;
	struct pin_process *process;
	struct pin_user *user;

	mutex_lock(&tree->lock);
	process = pin_tree_process(tree, uid);
	user = process ? process->user : pin_tree_user(tree, uid);
	*nr_pages = user ? user->nr_pages : 0;
	room = pin_room(user, process ? process->nr_pages : 0);
	mutex_unlock(&tree->lock);

	*available = ULONG_MAX;
	if (is_privileged())
		return;
	if (room != LONG_MAX)
		*available = room;
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
	pin_trees_init();
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
	debugfs_remove(debugfs);
	pin_trees_exit();
}
module_exit(pin_account_exit);
