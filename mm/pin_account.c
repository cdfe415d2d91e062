// SPDX-License-Identifier: GPL-2.0
/*
 * Accounting of long-term pins. Every pin is charged to the user who asked,
 * before it is taken and until it is released, whoever releases it. A user is
 * limited, a process with CAP_IPC_LOCK is not, but counts.
 *
 * Lock order: users_lock and a user's lock are leaves, never held together.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/debugfs.h>
#include <linux/hashtable.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/pin_account.h>
#include <linux/pin_fast_only.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string_helpers.h>
#include <linux/user_namespace.h>
#include <trace/events/memfd_pin.h>

#include "pin.h"

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

/*
 * A user that has pins. Found by RCU; freed when the last of its owners goes,
 * under users_lock.
 */
struct pin_user {
	struct hlist_node node;
	struct rcu_head rcu;
	refcount_t ref;
	kuid_t uid;
	atomic_long_t nr_pages;
	spinlock_t lock; /* owners, and that their last reference goes */
	DECLARE_HASHTABLE(owners, 6); /* by tgid */
};

/*
 * A process that has pins by way of a driver; shows them after it has ended, too.
 * The credentials keep the user_struct whose locked_vm is charged: free_uid() is
 * not exported by all kernels.
 */
struct pin_owner {
	struct hlist_node node;
	refcount_t ref;
	struct pin_user *user;
	const struct cred *cred;
	struct pid *tgid;
	const char *driver;
	char comm[TASK_COMM_LEN];
	atomic_long_t nr_pages;
	atomic_long_t nr_folios;
};

static DEFINE_HASHTABLE(users, 6);
static DEFINE_SPINLOCK(users_lock); /* adding to and removing from users */
static struct dentry *debugfs;

static struct pin_user *find_pin_user(kuid_t uid)
{
	struct pin_user *user;

	hash_for_each_possible_rcu(users, user, node, __kuid_val(uid))
		if (uid_eq(user->uid, uid) && refcount_inc_not_zero(&user->ref))
			return user;
	return NULL;
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

static struct pin_user *get_pin_user(void)
{
	kuid_t uid = charged_uid();
	struct pin_user *user, *other;

	rcu_read_lock();
	user = find_pin_user(uid);
	rcu_read_unlock();
	if (user)
		return user;

	user = kzalloc(sizeof(*user), GFP_KERNEL_ACCOUNT);
	if (!user)
		return NULL;
	refcount_set(&user->ref, 1);
	user->uid = uid;
	spin_lock_init(&user->lock);
	hash_init(user->owners);

	spin_lock(&users_lock);
	other = find_pin_user(uid);
	if (!other)
		hash_add_rcu(users, &user->node, __kuid_val(uid));
	spin_unlock(&users_lock);
	if (other) {
		kfree(user);
		return other;
	}
	return user;
}

static void put_pin_user(struct pin_user *user)
{
	bool last;

	if (refcount_dec_not_one(&user->ref))
		return;
	spin_lock(&users_lock);
	last = refcount_dec_and_test(&user->ref);
	if (last)
		hash_del_rcu(&user->node);
	spin_unlock(&users_lock);
	if (last)
		kfree_rcu(user, rcu);
}

/* The caller's owner in a user's list; with the user's lock held. */
static struct pin_owner *find_pin_owner(struct pin_user *user, const char *driver)
{
	struct pin_owner *owner;

	hash_for_each_possible(user->owners, owner, node,
			       (unsigned long)task_tgid(current))
		if (owner->tgid == task_tgid(current) &&
		    owner->cred->user == current_user() &&
		    owner->driver == driver) {
			refcount_inc(&owner->ref);
			return owner;
		}
	return NULL;
}

static struct pin_owner *get_pin_owner(const char *driver)
{
	struct pin_owner *owner, *other;
	struct pin_user *user;

	user = get_pin_user();
	if (!user)
		return NULL;
	spin_lock(&user->lock);
	owner = find_pin_owner(user, driver);
	spin_unlock(&user->lock);
	if (owner)
		goto found;

	owner = kzalloc(sizeof(*owner), GFP_KERNEL_ACCOUNT);
	if (!owner) {
		put_pin_user(user);
		return NULL;
	}
	refcount_set(&owner->ref, 1);
	owner->user = user;
	owner->cred = get_current_cred();
	owner->tgid = get_pid(task_tgid(current));
	owner->driver = driver;
	get_task_comm(owner->comm, current->group_leader);

	spin_lock(&user->lock);
	other = find_pin_owner(user, driver);
	if (!other)
		hash_add(user->owners, &owner->node,
			 (unsigned long)owner->tgid);
	spin_unlock(&user->lock);
	if (!other)
		return owner;

	put_cred(owner->cred);
	put_pid(owner->tgid);
	kfree(owner);
	owner = other;
found:
	/* It has a reference of its own. */
	put_pin_user(user);
	return owner;
}

static void put_pin_owner(struct pin_owner *owner)
{
	struct pin_user *user = owner->user;

	bool last;

	if (refcount_dec_not_one(&owner->ref))
		return;
	spin_lock(&user->lock);
	last = refcount_dec_and_test(&owner->ref);
	if (last)
		hash_del(&owner->node);
	spin_unlock(&user->lock);
	if (!last)
		return;
	put_cred(owner->cred);
	put_pid(owner->tgid);
	kfree(owner);
	put_pin_user(user);
}

/*
 * Add @nr to @count, if that does not make it more than @limit. Two that meet at
 * the limit do not pass it together.
 */
static bool add_within(atomic_long_t *count, unsigned long nr,
		       unsigned long limit)
{
	long old = atomic_long_read(count);

	do {
		if (old + nr > limit)
			return false;
	} while (!atomic_long_try_cmpxchg(count, &old, old + nr));
	return true;
}

/* Add @nr to @count; a limit does not hold for who may lock any memory. */
static bool charge_pages(atomic_long_t *count, unsigned long nr,
			 unsigned long limit)
{
	if (add_within(count, nr, limit))
		return true;
	if (!capable(CAP_IPC_LOCK))
		return false;
	atomic_long_add(nr, count);
	return true;
}

static unsigned long user_limit(void)
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
 * Charges the caller's user ID; if that is part of a user namespace that another
 * user than root has made, then that user. What a process with CAP_IPC_LOCK pins
 * counts, but is not limited.
 *
 * Context: may sleep and allocate.
 *
 * Return: 0, or with nothing charged:
 * * -ENOMEM: the user would have more than user_limit_mb, or, in strict mode,
 *   more locked memory than RLIMIT_MEMLOCK; or no memory
 * * -EPERM: strict mode, and RLIMIT_MEMLOCK is 0
 */
int pin_charge(struct pin_charge *charge, const char *driver,
	       unsigned long nr_pages)
{
	bool locked = READ_ONCE(strict);
	struct pin_owner *owner;
	unsigned long limit;
	int err;

	if (locked && !can_do_mlock())
		return -EPERM;
	owner = get_pin_owner(driver);
	if (!owner)
		return -ENOMEM;

	err = -ENOMEM;
	limit = user_limit();
	if (!charge_pages(&owner->user->nr_pages, nr_pages, limit))
		goto err_limit;
	if (locked) {
		limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
		if (!charge_pages(&owner->cred->user->locked_vm, nr_pages, limit))
			goto err_user;
	}
	atomic_long_add(nr_pages, &owner->nr_pages);

	charge->owner = owner;
	charge->nr_pages = nr_pages;
	charge->nr_folios = 0;
	charge->locked = locked;
	return 0;

err_user:
	atomic_long_sub(nr_pages, &owner->user->nr_pages);
err_limit:
	trace_memfd_pin_limit(owner->user->uid, driver, nr_pages, limit, err);
	put_pin_owner(owner);
	return err;
}
EXPORT_SYMBOL_GPL(pin_charge);

/**
 * pin_charge_folios() - count folios that were pinned
 * @charge: what was charged for them
 * @nr_folios: how many more
 *
 * Context: any.
 */
void pin_charge_folios(struct pin_charge *charge, unsigned long nr_folios)
{
	charge->nr_folios += nr_folios;
	atomic_long_add(nr_folios, &charge->owner->nr_folios);
}
EXPORT_SYMBOL_GPL(pin_charge_folios);

/**
 * pin_uncharge() - give back a charge, after the pins
 * @charge: the charge; afterwards nothing is charged. If nothing was, nothing
 *	happens
 *
 * Context: process context of anybody, does not sleep.
 */
void pin_uncharge(struct pin_charge *charge)
{
	struct pin_owner *owner = charge->owner;

	if (!owner)
		return;
	atomic_long_sub(charge->nr_folios, &owner->nr_folios);
	atomic_long_sub(charge->nr_pages, &owner->nr_pages);
	if (charge->locked)
		atomic_long_sub(charge->nr_pages,
				&owner->cred->user->locked_vm);
	atomic_long_sub(charge->nr_pages, &owner->user->nr_pages);
	put_pin_owner(owner);
	*charge = (struct pin_charge) {};
}
EXPORT_SYMBOL_GPL(pin_uncharge);

/**
 * pin_account_query() - what the caller has pinned, and may pin
 * @nr_pages: returns the pages charged to the caller's user
 * @available: returns the pages that pin_charge() would accept now, ULONG_MAX if the
 *	caller is not limited
 *
 * Context: process context, does not sleep.
 */
void pin_account_query(unsigned long *nr_pages, unsigned long *available)
{
	unsigned long limit = user_limit(), locked;
	struct pin_user *user;

	rcu_read_lock();
	user = find_pin_user(charged_uid());
	rcu_read_unlock();
	*nr_pages = user ? atomic_long_read(&user->nr_pages) : 0;
	if (user)
		put_pin_user(user);

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

static int users_show(struct seq_file *m, void *unused)
{
	unsigned long limit = user_limit();
	struct pin_user *user;
	int bucket;

	seq_puts(m, "uid bytes limit\n");
	rcu_read_lock();
	hash_for_each_rcu(users, bucket, user, node)
		seq_printf(m, "%u %lu %lu\n", from_kuid(&init_user_ns, user->uid),
			   atomic_long_read(&user->nr_pages) << PAGE_SHIFT,
			   limit == LONG_MAX ? 0 : limit << PAGE_SHIFT);
	rcu_read_unlock();
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(users);

static int owners_show(struct seq_file *m, void *unused)
{
	struct pin_owner *owner;
	struct pin_user *user;
	int bucket, i;

	seq_puts(m, "uid pid driver bytes folios command\n");
	rcu_read_lock();
	hash_for_each_rcu(users, bucket, user, node) {
		spin_lock(&user->lock);
		hash_for_each(user->owners, i, owner, node) {
			seq_printf(m, "%u %d %s %lu %lu ",
				   from_kuid(&init_user_ns, user->uid),
				   pid_nr(owner->tgid), owner->driver,
				   atomic_long_read(&owner->nr_pages) << PAGE_SHIFT,
				   atomic_long_read(&owner->nr_folios));
			seq_escape(m, owner->comm, "\n\t\\");
			seq_putc(m, '\n');
		}
		spin_unlock(&user->lock);
	}
	rcu_read_unlock();
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(owners);

static int __init pin_account_init(void)
{
	if (user_limit_mb == A_QUARTER)
		user_limit_mb = totalram_pages() >> (20 - PAGE_SHIFT + 2);

	debugfs = debugfs_create_dir("memfd_pin", NULL);
	debugfs_create_file("users", 0400, debugfs, NULL, &users_fops);
	debugfs_create_file("owners", 0400, debugfs, NULL, &owners_fops);
	pin_fast_only_debugfs(debugfs);
	return 0;
}
module_init(pin_account_init);

static void __exit pin_account_exit(void)
{
	debugfs_remove(debugfs);
}
module_exit(pin_account_exit);
