/* SPDX-License-Identifier: MIT */
/*
 * crash: everything that a program must not do.  Each try runs in a child, and the child must end
 * the right way: killed by the right exception, or, where the kernel or the CPU just refuses,
 * alive.  crash NAME tries one thing in this process.  crash list: their names.
 */
#include "user.h"

#define KERNEL       0x00100000u /* the first byte of the kernel's code */
#define KERNEL_ENDS  0x3ffff000u /* a page that is not there, in the kernel's half */
#define LOCAL_APIC   0xfee00000u
#define EFLAGS_TF    0x100u
#define EFLAGS_IF    0x200u
#define EFLAGS_IOPL3 0x3000u

static int failed_to_be_refused(void)
{
	return 1;
}

static uint32_t peek(uint32_t va)
{
	return *(volatile uint32_t *)va;
}

static void poke(uint32_t va)
{
	*(volatile uint32_t *)va = 0xdead;
}

static void jump(uint32_t va)
{
	__asm__ volatile("jmp *%0" : : "r"(va));
}

/* ---- exceptions; SDM Vol. 3A, 6.15 ---- */

static int divide(void)
{
	__asm__ volatile("divl %%ecx" : : "a"(1), "d"(0), "c"(0) : "cc");
	return failed_to_be_refused();
}

static int undefined(void)
{
	__asm__ volatile("ud2");
	return failed_to_be_refused();
}

static int step(void)
{
	__asm__ volatile("pushfl\n\torl %0, (%%esp)\n\tpopfl\n\tnop" : : "i"(EFLAGS_TF) : "cc");
	return failed_to_be_refused();
}

/* The gate of vector 3 is not for user mode: not a breakpoint, but general protection. */
static int breakpoint(void)
{
	__asm__ volatile("int3");
	return failed_to_be_refused();
}

static int fake_page_fault(void)
{
	__asm__ volatile("int $14");
	return failed_to_be_refused();
}

/* ---- memory ---- */

static int null_read(void)
{
	peek(0);
	return failed_to_be_refused();
}

static int null_write(void)
{
	poke(0);
	return failed_to_be_refused();
}

static int null_jump(void)
{
	jump(0);
	return failed_to_be_refused();
}

static int kernel_read(void)
{
	peek(KERNEL);
	return failed_to_be_refused();
}

static int kernel_write(void)
{
	poke(KERNEL);
	return failed_to_be_refused();
}

static int kernel_jump(void)
{
	jump(KERNEL);
	return failed_to_be_refused();
}

static int hole_read(void)
{
	peek(KERNEL_ENDS);
	return failed_to_be_refused();
}

static int device_read(void)
{
	peek(LOCAL_APIC);
	return failed_to_be_refused();
}

static int code_write(void)
{
	poke((uint32_t)code_write);
	return failed_to_be_refused();
}

static int heap_end(void)
{
	peek(brk(0));
	return failed_to_be_refused();
}

static volatile unsigned depth, enough = 0xffffffff; /* volatile: gcc must not see the end */

static int stack_overflow(void)
{
	volatile char room[1000];
	room[0] = (char)depth;
	return depth++ == enough ? 1 : stack_overflow() + room[0];
}

/* ESP points into the kernel: the push must fault, and the kernel must not use this stack. */
static int kernel_stack(void)
{
	__asm__ volatile("movl %0, %%esp\n\tpushl $0" : : "r"(KERNEL + 0x1000));
	return failed_to_be_refused();
}

/* ---- privileged instructions and registers ---- */

static int disable_interrupts(void)
{
	__asm__ volatile("cli");
	return failed_to_be_refused();
}

static int halt(void)
{
	__asm__ volatile("hlt");
	return failed_to_be_refused();
}

static int port_in(void)
{
	uint8_t val;
	__asm__ volatile("inb $0x60, %0" : "=a"(val));
	return failed_to_be_refused();
}

static int port_out(void)
{
	__asm__ volatile("outb %0, $0xf4" : : "a"((uint8_t)0)); /* would end the machine */
	return failed_to_be_refused();
}

static int page_tables(void)
{
	__asm__ volatile("movl %0, %%cr3" : : "r"(0));
	return failed_to_be_refused();
}

static int kernel_segment(void)
{
	__asm__ volatile("movl %0, %%ds" : : "r"(0x10));
	return failed_to_be_refused();
}

static int kernel_call(void)
{
	__asm__ volatile("lcall $0x08, $0x100000");
	return failed_to_be_refused();
}

/* ---- what is refused without a fault ---- */

/* POPF in user mode leaves IF and IOPL as they are: SDM Vol. 2B, "POPF". */
static int flags(void)
{
	uint32_t val;
	__asm__ volatile("pushfl\n\t"
			 "andl %1, (%%esp)\n\t"
			 "orl %2, (%%esp)\n\t"
			 "popfl\n\t"
			 "pushfl\n\t"
			 "popl %0"
			 : "=r"(val)
			 : "i"(~EFLAGS_IF), "i"(EFLAGS_IOPL3)
			 : "cc");
	return (val & (EFLAGS_IF | EFLAGS_IOPL3)) != EFLAGS_IF;
}

/* The kernel must not rely on the data segments that a program has left it. */
static int null_segments(void)
{
	int pid;
	__asm__ volatile("xorl %%ecx, %%ecx\n\t"
			 "movl %%ecx, %%ds\n\t"
			 "movl %%ecx, %%es\n\t"
			 "int $0x80"
			 : "=a"(pid)
			 : "0"(SYS_GETPID)
			 : "ecx", "memory");
	return pid != getpid();
}

static int bad_call(void)
{
	return syscall(SYS_COUNT, 0, 0, 0) != ERR_CALL || syscall(-1, 0, 0, 0) != ERR_CALL;
}

static int bad_pointer(void)
{
	static const uint32_t bad[] = {
		0, KERNEL, KERNEL_ENDS, LOCAL_APIC, 0x80000000, 0xffffffff, 0x7ffe0000,
	};
	int refused = 0;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *p = (const char *)bad[i];
		refused += write(1, p, 4) == ERR_POINTER;
		refused += read(0, (void *)p, 4) == ERR_POINTER;
		refused += exec(p, NULL) == ERR_POINTER;
	}
	/* From here to the end of all addresses and around; and into our own code. */
	refused += write(1, (void *)bad, 0xfffffff0) == ERR_POINTER;
	refused += process(0, (void *)bad_pointer) == ERR_POINTER;
	return refused != 3 * sizeof(bad) / sizeof(bad[0]) + 2;
}

enum { ALIVE = 0, DE = STATUS_FAULT, DB = DE + 1, UD = DE + 6, GP = DE + 13, PF = DE + 14 };

static const struct attempt {
	const char *name;
	int (*fn)(void);
	int ends; /* the status that the kernel must tell */
} attempts[] = {
	{ "divide", divide, DE },
	{ "undefined", undefined, UD },
	{ "step", step, DB },
	{ "breakpoint", breakpoint, GP },
	{ "fake-page-fault", fake_page_fault, GP },
	{ "null-read", null_read, PF },
	{ "null-write", null_write, PF },
	{ "null-jump", null_jump, PF },
	{ "kernel-read", kernel_read, PF },
	{ "kernel-write", kernel_write, PF },
	{ "kernel-jump", kernel_jump, PF },
	{ "hole-read", hole_read, PF },
	{ "device-read", device_read, PF },
	{ "code-write", code_write, PF },
	{ "heap-end", heap_end, PF },
	{ "stack-overflow", stack_overflow, PF },
	{ "kernel-stack", kernel_stack, PF },
	{ "cli", disable_interrupts, GP },
	{ "hlt", halt, GP },
	{ "in", port_in, GP },
	{ "out", port_out, GP },
	{ "cr3", page_tables, GP },
	{ "kernel-segment", kernel_segment, GP },
	{ "kernel-call", kernel_call, GP },
	{ "flags", flags, ALIVE },
	{ "null-segments", null_segments, ALIVE },
	{ "bad-call", bad_call, ALIVE },
	{ "bad-pointer", bad_pointer, ALIVE },
	{ NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
	int failed = 0;
	for (const struct attempt *a = attempts; a->name; a++) {
		int status = -1, pid;
		if (argc > 1) {
			if (!strcmp(argv[1], "list"))
				printf("%s\n", a->name);
			else if (!strcmp(argv[1], a->name))
				return a->fn();
			continue;
		}
		pid = fork();
		if (pid == 0)
			exit(a->fn());
		wait(pid, &status, false);
		if (status == a->ends)
			printf("ok %s\n", a->name);
		else
			printf("not ok %s: status %x, not %x\n", a->name, (uint32_t)status,
			       (uint32_t)a->ends);
		failed += status != a->ends;
	}
	return failed != 0;
}
