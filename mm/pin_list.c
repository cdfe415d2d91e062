// SPDX-License-Identifier: GPL-2.0
/*
 * Lists of who has pins, in debugfs: users, and the processes by way of drivers.
 */
#include <linux/debugfs.h>
#include <linux/pid.h>
#include <linux/pin_account.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/string_helpers.h>
#include <linux/user_namespace.h>

#include "pin_charges.h"

/*
 * A tree is locked while a page of text is written of it, and where to go on is
 * remembered by the key. All charges of the same key make one line.
 */
struct list_reader {
	struct pin_tree *tree; /* locked if there is a charge to be shown */
	struct pin_key key;
};

/* The first charge that is not before the reader's key, or of a later tree. */
static struct pin_charge *list_seek(struct list_reader *reader)
{
	struct pin_charge *charge;

	for (; reader->tree < pin_trees + PIN_TREES; reader->tree++) {
		mutex_lock(&reader->tree->lock);
		charge = pin_first_charge(reader->tree, &reader->key);
		if (charge)
			return charge;
		mutex_unlock(&reader->tree->lock);
		reader->key = (struct pin_key) {};
	}
	return NULL;
}

static void *list_start(struct seq_file *m, loff_t *pos)
{
	struct list_reader *reader = m->private;

	if (*pos)
		return list_seek(reader);
	reader->tree = pin_trees;
	reader->key = (struct pin_key) {};
	return SEQ_START_TOKEN;
}

static void list_stop(struct seq_file *m, void *v)
{
	struct list_reader *reader = m->private;

	if (!v || v == SEQ_START_TOKEN)
		return;
	reader->key = pin_charge_key(v);
	mutex_unlock(&reader->tree->lock);
}

static void *users_next(struct seq_file *m, void *v, loff_t *pos)
{
	struct list_reader *reader = m->private;

	++*pos;
	list_stop(m, v);
	if (v != SEQ_START_TOKEN)
		reader->key = (struct pin_key) {
			.uid = KUIDT_INIT(__kuid_val(reader->key.uid) + 1),
		};
	return list_seek(reader);
}

static int users_show(struct seq_file *m, void *v)
{
	unsigned long limit = pin_user_limit();
	const struct pin_user *user;

	if (v == SEQ_START_TOKEN) {
		seq_puts(m, "uid bytes limit room\n");
		return 0;
	}
	user = ((struct pin_charge *)v)->process->user;
	seq_printf(m, "%u %llu ", from_kuid(&init_user_ns, user->uid),
		   (u64)user->nr_pages << PAGE_SHIFT);
	/* The room is that of a process that has nothing pinned. */
	if (limit == LONG_MAX)
		seq_puts(m, "0 -\n");
	else
		seq_printf(m, "%llu %llu\n", (u64)limit << PAGE_SHIFT,
			   (u64)pin_room(user, 0) << PAGE_SHIFT);
	return 0;
}

static const struct seq_operations users_ops = {
	.start = list_start,
	.next = users_next,
	.stop = list_stop,
	.show = users_show,
};

static void *owners_next(struct seq_file *m, void *v, loff_t *pos)
{
	struct list_reader *reader = m->private;

	++*pos;
	list_stop(m, v);
	if (v != SEQ_START_TOKEN)
		reader->key.driver++;
	return list_seek(reader);
}

static int owners_show(struct seq_file *m, void *v)
{
	unsigned long nr_pages = 0, nr_folios = 0;
	struct pin_charge *first = v, *charge = v;
	struct pin_key key, next;

	if (v == SEQ_START_TOKEN) {
		seq_puts(m, "uid pid driver bytes folios command\n");
		return 0;
	}
	key = pin_charge_key(first);
	do {
		nr_pages += charge->nr_pages;
		nr_folios += READ_ONCE(charge->nr_folios);
		charge = rb_entry_safe(rb_next(&charge->node), struct pin_charge,
				       node);
		if (charge)
			next = pin_charge_key(charge);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	} while (charge && !pin_compare_keys(&key, &next));

	seq_printf(m, "%u %d %s %llu %lu ", from_kuid(&init_user_ns, key.uid),
		   pid_nr(key.tgid), key.driver, (u64)nr_pages << PAGE_SHIFT, nr_folios);
	seq_escape(m, first->process->comm, "\n\t\\");
	seq_putc(m, '\n');
	return 0;
}

static const struct seq_operations owners_ops = {
	.start = list_start,
	.next = owners_next,
	.stop = list_stop,
	.show = owners_show,
};

static int list_open(struct inode *inode, struct file *file)
{
	return seq_open_private(file, inode->i_private,
				sizeof(struct list_reader));
}

static const struct file_operations list_fops = {
	.owner = THIS_MODULE,
	.open = list_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = seq_release_private,
};

/**
 * pin_list_init() - make the lists of users and owners
 * @parent: folder in debugfs; what is made goes with it
 *
 * Context: may sleep.
 */
void pin_list_init(struct dentry *parent)
{
	debugfs_create_file("users", 0400, parent, (void *)&users_ops,
			    &list_fops);
	debugfs_create_file("owners", 0400, parent, (void *)&owners_ops,
			    &list_fops);
}
