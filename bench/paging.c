/* SPDX-License-Identifier: MIT */
/*
 * What paging, system calls and processes cost a guest kernel: guest/bench/ measures, on Ringside
 * and on QEMU's software emulation (TCG), the same image, in turns, so that the noise of a shared
 * machine hits both alike.  Both give the guest the host's time-stamp counter; the guest measures
 * its rate, and a rate that is not the host's ends the benchmark.
 *
 * The compute loop is also run natively: the very bytes of it, taken out of the image, at the same
 * offset in a page, in 32-bit mode in this process.  That is what the guest would get of this CPU
 * with nothing around it.
 *
 * Environment: RINGSIDE, GUESTS as in the tests.  --json FILE writes the table as JSON.
 */
#include <fcntl.h>
#include <gelf.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "vmm/tsc.h"

#define WORDS  16384 /* of the buffer: as in guest/bench/paging.c */
#define PASSES 10    /* in a batch */
#define BATCH  301

enum { RINGSIDE, QEMU, MACHINES };

struct operation {
	const char *key, *name;
	double aim_us; /* 0: none */
	struct row row[MACHINES];
};

static struct operation ops[] = {
	{ "null_syscall", "null system call (int 0x80, iret)", 15, { { 0 } } },
	{ "pf_skip_user", "#PF from user mode, skipped", 0, { { 0 } } },
	{ "pf_skip_kernel", "#PF from the kernel, skipped", 0, { { 0 } } },
	{ "pf_demand", "#PF, demand-zero page", 40, { { 0 } } },
	{ "mmap64", "map and touch 64 pages", 0, { { 0 } } },
	{ "munmap64", "unmap 64 pages, INVLPG each", 0, { { 0 } } },
	{ "switch_kernel", "MOV CR3 and touch 64 pages", 0, { { 0 } } },
	{ "switch_user", "switch user processes, touch 64 pages", 0, { { 0 } } },
	{ "fork_exit", "fork and exit, 1 MiB process", 0, { { 0 } } },
	{ "fork_exit_cold", "the same, CR3 values not seen lately", 0, { { 0 } } },
	{ "code_kernel", "first run of a code page, kernel", 0, { { 0 } } },
	{ "code_user", "first run of a code page, user", 0, { { 0 } } },
	{ "cli_sti", "cli; sti", 0, { { 0 } } },
	{ "pushf_popf", "pushf; popf", 0, { { 0 } } },
	{ "port_in", "in from a port", 0, { { 0 } } },
	{ "timer_busy", "timer to handler, guest computing", 0, { { 0 } } },
	{ "timer_halted", "timer to handler, guest halted", 0, { { 0 } } },
	{ "compute_kernel", "compute loop, guest kernel (a pass)", 0, { { 0 } } },
	{ "compute_user", "compute loop, guest user (a pass)", 0, { { 0 } } },
};
#define OPS     (sizeof(ops) / sizeof(ops[0]))
#define COMPUTE (OPS - 2) /* the first of the two */

static struct row native;
static char image[4096], command[MACHINES][8192];

static int fail(const char *what, const char *detail)
{
	fprintf(stderr, "bench: %s%s%s\n", what, detail ? ": " : "", detail ? detail : "");
	return -1;
}

/* ---- the guest ---- */

static int take_line(const char *line, int machine, int round, unsigned *seen)
{
	char name[64];
	double cycles, hz = (double)tsc_hz();

	if (sscanf(line, "%63s %lf", name, &cycles) != 2)
		return fail("the guest printed", line);
	if (!strcmp(name, "tsc_khz") && (cycles * 1000 < hz * 0.98 || cycles * 1000 > hz * 1.02))
		return fail("the guest's time-stamp counter is not the host's", line);
	for (size_t i = 0; i < OPS; i++)
		if (!strcmp(name, ops[i].key)) {
			ops[i].row[machine].ns[round] = cycles * 1e9 / hz;
			++*seen;
		}
	return 0;
}

static int run_guest(int machine, int round)
{
	FILE *f = popen(command[machine], "r");
	unsigned seen = 0;
	char line[256];
	int err = 0, status;

	if (!f)
		return fail("cannot run", command[machine]);
	while (!err && fgets(line, sizeof(line), f))
		err = take_line(line, machine, round, &seen);
	status = pclose(f);
	if (err)
		return err;
	/* 0x10 to the exit port */
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0x21 || seen != OPS)
		return fail("the guest did not finish under", command[machine]);
	return 0;
}

/* ---- the compute loop natively ---- */

/*
 * Below 4 GiB, because a far call from 32-bit code has room for no more: code page, a page with
 * the caller, stack, and the buffer.
 */
#define LOW_CODE   0x10000000u
#define LOW_CALLER (LOW_CODE + 0x10000u)
#define LOW_STACK  (LOW_CODE + 0x20000u) /* its end */
#define LOW_BUF    (LOW_CODE + 0x40000u)
#define LOW_LEN    0x80000u

/*
 * Copied to LOW_CALLER.  caller(fn, stack): on @stack, where the arguments are, call the 32-bit
 * function at @fn through CS 0x23 with flat DS and ES, and return what it returned.
 *   64-bit: switch stacks, far call to the middle; 32-bit: near call to @fn, far return.
 */
extern const uint8_t caller_start[], caller_end[];
__asm__(".pushsection .rodata\n"
	"caller_start:\n"
	"	push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
	"	mov %rsp, 1f(%rip)\n"
	"	mov %rsi, %rsp\n"
	"	mov $0x2b, %eax\n mov %eax, %ds\n mov %eax, %es\n"
	"	lcall *2f(%rip)\n"
	"	mov 1f(%rip), %rsp\n"
	"	xor %ecx, %ecx\n mov %ecx, %ds\n mov %ecx, %es\n"
	"	pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n"
	"	mov %eax, %eax\n"
	"	ret\n"
	"	.code32\n"
	"3:	pop %esi\n pop %ebx\n" /* the far return address: compute() keeps ESI and EBX */
	"	call *%edi\n"
	"	push %ebx\n push %esi\n"
	"	lret\n"
	"	.code64\n"
	"	.balign 8\n"
	"1:	.quad 0\n"
	"2:	.long 0x10010000 + 3b - caller_start\n"
	"	.word 0x23\n"
	"caller_end:\n"
	".popsection\n");

/* The bytes of compute() in the image.  Returns their number or -1. */
static long find_compute(uint8_t *out, size_t size, uint32_t *gva)
{
	int fd = open(image, O_RDONLY | O_CLOEXEC);
	Elf_Scn *scn = NULL;
	long len = -1;
	Elf *elf;

	elf_version(EV_CURRENT);
	elf = fd >= 0 ? elf_begin(fd, ELF_C_READ, NULL) : NULL;
	while (elf && len < 0 && (scn = elf_nextscn(elf, scn))) {
		Elf_Data *data = elf_getdata(scn, NULL);
		GElf_Shdr sh, text;
		GElf_Sym sym;

		if (!gelf_getshdr(scn, &sh) || sh.sh_type != SHT_SYMTAB || !data)
			continue;
		for (int i = 0; len < 0 && gelf_getsym(data, i, &sym); i++) {
			const char *name = elf_strptr(elf, sh.sh_link, sym.st_name);
			Elf_Scn *in = elf_getscn(elf, sym.st_shndx);

			if (!name || strcmp(name, "compute") || !in || !gelf_getshdr(in, &text) ||
			    sym.st_size > size)
				continue;
			*gva = (uint32_t)sym.st_value;
			if (pread(fd, out, sym.st_size,
				  (off_t)(text.sh_offset + sym.st_value - text.sh_addr)) ==
			    (ssize_t)sym.st_size)
				len = (long)sym.st_size;
		}
	}
	elf_end(elf);
	if (fd >= 0)
		close(fd);
	return len;
}

static uint32_t compute_native(uint32_t gva, uint32_t rounds)
{
	uint32_t *sp = (uint32_t *)(uintptr_t)(LOW_STACK - 64);
	uint32_t (*caller)(uint32_t fn, uint32_t * stack) = (uint32_t(*)(uint32_t, uint32_t *))(
		uintptr_t)LOW_CALLER;

	sp[0] = LOW_BUF;
	sp[1] = WORDS;
	sp[2] = rounds;
	return caller(LOW_CODE + gva % 4096, sp);
}

static int native_setup(uint32_t *gva)
{
	uint8_t *low = mmap((void *)(uintptr_t)LOW_CODE, LOW_LEN,
			    PROT_READ | PROT_WRITE | PROT_EXEC,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	uint8_t code[4096];
	long len = find_compute(code, sizeof(code), gva);

	if (low == MAP_FAILED || len < 0)
		return fail("no compute() in, or no memory for", image);
	memcpy(low + *gva % 4096, code, (size_t)len);
	memcpy(low + (LOW_CALLER - LOW_CODE), caller_start,
	       (uintptr_t)caller_end - (uintptr_t)caller_start);
	return 0;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* As the guest does it: the median of BATCH batches, ns a pass. */
static double run_native(uint32_t gva)
{
	uint64_t t[BATCH];

	memset((void *)(uintptr_t)LOW_BUF, 0, WORDS * 4);
	compute_native(gva, 1);
	for (int i = 0; i < BATCH; i++) {
		uint64_t t0 = tsc_read();

		compute_native(gva, PASSES);
		t[i] = tsc_read() - t0;
	}
	qsort(t, BATCH, sizeof(t[0]), by_value);
	return (double)t[BATCH / 2] * 1e9 / (double)tsc_hz() / PASSES;
}

/* ---- report ---- */

static void print_table(void)
{
	printf("%-40s %12s %12s %9s %8s\n", "operation", "ringside us", "qemu us", "ratio",
	       "aim us");
	for (size_t i = 0; i < OPS; i++) {
		const struct row *r = ops[i].row;

		printf("%-40s %12.2f %12.2f %8.2fx", ops[i].name, r[RINGSIDE].median / 1000,
		       r[QEMU].median / 1000, r[RINGSIDE].median / r[QEMU].median);
		if (ops[i].aim_us)
			printf(" %8.0f", ops[i].aim_us);
		printf("\n");
	}
	printf("\n%-40s %12s %12s\n", "compute loop, fraction of native", "ringside", "qemu");
	printf("%-40s %12.3f %12.3f\n", "guest kernel (aim 0.97)",
	       native.median / ops[COMPUTE].row[RINGSIDE].median,
	       native.median / ops[COMPUTE].row[QEMU].median);
	printf("%-40s %12.3f %12.3f\n", "guest user (aim 0.97)",
	       native.median / ops[COMPUTE + 1].row[RINGSIDE].median,
	       native.median / ops[COMPUTE + 1].row[QEMU].median);
	printf("%-40s %12.2f us a pass\n", "native", native.median / 1000);
}

static int write_json(const char *path)
{
	struct json_object *top = bench_json_top(), *list = json_object_new_object();

	for (size_t i = 0; i < OPS; i++) {
		const struct row *r = ops[i].row;
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "ringside", row_json(&r[RINGSIDE]));
		json_object_object_add(o, "qemu_tcg", row_json(&r[QEMU]));
		json_object_object_add(o, "ratio",
				       json_object_new_double(r[RINGSIDE].median / r[QEMU].median));
		if (i >= COMPUTE)
			json_object_object_add(
				o, "fraction_of_native",
				json_object_new_double(native.median / r[RINGSIDE].median));
		json_object_object_add(list, ops[i].key, o);
	}
	json_object_object_add(list, "compute_native", row_json(&native));
	json_object_object_add(top, "paging", list);
	return bench_json_write(path, top);
}

int main(int argc, char **argv)
{
	const char *json, *ringside = getenv("RINGSIDE"), *guests = getenv("GUESTS");
	uint32_t gva = 0;

	if (bench_args(argc, argv, &json))
		return 2;
	snprintf(image, sizeof(image), "%s/bench.elf", guests ? guests : "build/guest");
	snprintf(command[RINGSIDE], sizeof(command[0]),
		 "exec timeout 120 '%s' run -m 64 '%s' </dev/null",
		 ringside ? ringside : "build/ringside", image);
	snprintf(command[QEMU], sizeof(command[0]),
		 "exec timeout 120 qemu-system-i386 -accel tcg -m 64 -display none -monitor none "
		 "-serial stdio -no-reboot -device isa-debug-exit,iobase=0xf4,iosize=4 "
		 "-kernel '%s' </dev/null",
		 image);
	if (native_setup(&gva))
		return 1;
	for (int r = 0; r < ROUNDS; r++) {
		native.ns[r] = run_native(gva);
		for (int m = 0; m < MACHINES; m++)
			if (run_guest(m, r))
				return 1;
	}
	row_finish(&native);
	for (size_t i = 0; i < OPS; i++)
		for (int m = 0; m < MACHINES; m++)
			row_finish(&ops[i].row[m]);
	print_table();
	return json && write_json(json) ? 1 : 0;
}
