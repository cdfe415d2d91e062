// SPDX-License-Identifier: MIT
/*
 * Lists all dma-bufs of the machine by BPF's iterator, as monitors of memory do: a line of
 * inode, bytes, exporter and name for each. It holds a reference on the one that it is at,
 * which may be the last. Ends with status 77 where the kernel has no such iterator.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SKIP	77

/* What the program writes for each */
struct record {
	uint64_t size;
	uint64_t inode;
	char exporter[32];
	char name[32];
};

#define ON_STACK(field)	((int)offsetof(struct record, field) - (int)sizeof(struct record))

#define INSN(c, d, s, o, i) \
	((struct bpf_insn){ .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) })
#define MOV(dst, src)		INSN(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0)
#define MOV_IMM(dst, imm)	INSN(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm)
#define ADD_IMM(dst, imm)	INSN(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, imm)
#define LOAD(dst, src, off)	INSN(BPF_LDX | BPF_MEM | BPF_DW, dst, src, off, 0)
#define STORE(dst, off, src)	INSN(BPF_STX | BPF_MEM | BPF_DW, dst, src, off, 0)
#define CALL(function)		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, function)
#define JUMP_IF_0(reg, off)	INSN(BPF_JMP | BPF_JEQ | BPF_K, reg, 0, off, 0)
#define EXIT()			INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

static void die(const char *what)
{
	fprintf(stderr, "bpf-list: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Where a field is in this kernel's struct, in bytes */
static int offset_of(const struct btf *btf, const char *type, const char *field)
{
	int id = btf__find_by_name_kind(btf, type, BTF_KIND_STRUCT);
	const struct btf_type *found = btf__type_by_id(btf, id < 0 ? 0 : id);

	for (int i = 0; id > 0 && i < btf_vlen(found); i++)
		if (!strcmp(btf__name_by_offset(btf, btf_members(found)[i].name_off), field))
			return btf_member_bit_offset(found, i) / 8;
	fprintf(stderr, "bpf-list: struct %s has no field %s here\n", type, field);
	exit(1);
}

static int load(int iterator)
{
	struct btf *btf = btf__load_vmlinux_btf();
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_ITER,
		    .attach_btf_id = iterator);
	struct bpf_insn insns[] = {
		/* the context: what is common to iterators, and the dma-buf, NULL at the end */
		LOAD(BPF_REG_7, BPF_REG_1, 8),
		LOAD(BPF_REG_8, BPF_REG_1, 0),
		LOAD(BPF_REG_8, BPF_REG_8, 0),
		JUMP_IF_0(BPF_REG_7, 21),
		LOAD(BPF_REG_1, BPF_REG_7, offset_of(btf, "dma_buf", "size")),
		STORE(BPF_REG_10, ON_STACK(size), BPF_REG_1),
		LOAD(BPF_REG_1, BPF_REG_7, offset_of(btf, "dma_buf", "file")),
		LOAD(BPF_REG_1, BPF_REG_1, offset_of(btf, "file", "f_inode")),
		LOAD(BPF_REG_1, BPF_REG_1, offset_of(btf, "inode", "i_ino")),
		STORE(BPF_REG_10, ON_STACK(inode), BPF_REG_1),
		LOAD(BPF_REG_3, BPF_REG_7, offset_of(btf, "dma_buf", "exp_name")),
		MOV(BPF_REG_1, BPF_REG_10),
		ADD_IMM(BPF_REG_1, ON_STACK(exporter)),
		MOV_IMM(BPF_REG_2, sizeof(((struct record *)0)->exporter)),
		CALL(BPF_FUNC_probe_read_kernel_str),
		/* NULL until it has one, which leaves zeroes */
		LOAD(BPF_REG_3, BPF_REG_7, offset_of(btf, "dma_buf", "name")),
		MOV(BPF_REG_1, BPF_REG_10),
		ADD_IMM(BPF_REG_1, ON_STACK(name)),
		MOV_IMM(BPF_REG_2, sizeof(((struct record *)0)->name)),
		CALL(BPF_FUNC_probe_read_kernel_str),
		MOV(BPF_REG_1, BPF_REG_8),
		MOV(BPF_REG_2, BPF_REG_10),
		ADD_IMM(BPF_REG_2, -(int)sizeof(struct record)),
		MOV_IMM(BPF_REG_3, sizeof(struct record)),
		CALL(BPF_FUNC_seq_write),
		/* A full buffer has it called again. */
		MOV_IMM(BPF_REG_0, 0),
		EXIT(),
	};
	char log[8192] = "";
	int prog;

	opts.log_buf = log;
	opts.log_size = sizeof(log);
	opts.log_level = 1;
	prog = bpf_prog_load(BPF_PROG_TYPE_TRACING, "dmabufs", "GPL", insns,
			     sizeof(insns) / sizeof(insns[0]), &opts);
	if (prog < 0) {
		fputs(log, stderr);
		die("the program");
	}
	btf__free(btf);
	return prog;
}

int main(void)
{
	int iterator = libbpf_find_vmlinux_btf_id("dmabuf", BPF_TRACE_ITER), link, fd;
	struct record record;
	FILE *records;

	if (iterator <= 0) {
		fprintf(stderr, "bpf-list: this kernel has no iterator of dma-bufs\n");
		return SKIP;
	}
	link = bpf_link_create(load(iterator), 0, BPF_TRACE_ITER, NULL);
	fd = link < 0 ? link : bpf_iter_create(link);
	if (fd < 0)
		die("the iterator");
	records = fdopen(fd, "r");
	while (records && fread(&record, sizeof(record), 1, records) == 1)
		printf("%" PRIu64 " %" PRIu64 " %.32s %.32s\n", record.inode, record.size,
		       record.exporter, record.name);
	if (!records || ferror(records))
		die("reading");
	return 0;
}
