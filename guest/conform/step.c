/* SPDX-License-Identifier: MIT */
/*
 * Single-stepping with TF: where #DB comes, and that it comes once for each instruction.  TF is
 * set on entry, so the first trap comes behind the first instruction; it is off when the case ends.
 * Source: SDM Vol. 3B, "Single-Step Exception Condition" (17.3.1.4).
 */
#include "conform.h"

#define STEP(text, what, ...) \
	RUN(CODE(text), "step/" what, .eflags = TF | 2, .trace = true, .hide = RF | TF, __VA_ARGS__)

void cases_step(void)
{
	uint32_t dr6;

	STEP("nop; nop; nop", "nop");
	STEP("cli; sti; cli", "cli,sti,cli");
	STEP("pushfl; popl %eax; nop", "pushf");
	STEP("pushl $2; popfl; nop; nop", "popf clears tf");
	RUN(CODE("pushl $0x102; popfl; nop; nop"), "step/popf sets tf", .trace = true,
	    .hide = RF | TF);
	RUN(CODE("pushw $0x102; popfw; nop; nop"), "step/popf16 sets tf", .trace = true,
	    .hide = RF | TF);
	RUN(CODE("pushl $0x102; pushl %cs; pushl $1f; iretl; 1: nop; nop"), "step/iret sets tf",
	    .trace = true, .hide = RF | TF);
	STEP("pushl $0x102; pushl %cs; pushl $1f; iretl; nop; 1: nop; nop", "iret keeps tf");
	STEP("pushl $2; pushl %cs; pushl $1f; iretl; nop; 1: nop; nop", "iret clears tf");
	STEP("movl %eax, %ss; nop; nop", "mov ss", .eax = SEL_DATA);
	STEP("pushl %ss; popl %ss; nop; nop", "pop ss");
	STEP("movl %eax, %ds; nop", "mov ds", .eax = SEL_DATA);
	STEP("movl %ds, %eax; nop", "mov from ds");
	STEP("ljmp $0x08, $1f; nop; 1: nop", "ljmp");
	STEP("inb $0xa1, %al; nop", "in");
	STEP("rep insb; nop", "rep insb", .edx = 0x3ff, .ecx = 3);
	STEP("rep outsb; nop", "rep outsb", .edx = 0x3ff, .ecx = 3);
	STEP("rep movsb; nop", "rep movsb", .ecx = 3);
	STEP("rep insb; nop", "rep insb/0", .edx = 0x3ff, .ecx = 0);
	STEP("smswl %eax; nop", "smsw");
	STEP("larw %ax, %cx; nop", "lar", .eax = SEL_DATA);
	STEP("movl %cr0, %eax; nop", "mov from cr0");
	STEP("cpuid; nop", "cpuid", .no_regs = true);
	STEP("jmp 1f; nop; 1: nop", "jmp");
	STEP("call 1f; 1: popl %eax; subl $1b, %eax", "call", .hide = RF | TF | ARITH);
	STEP("loop 1f; 1: nop", "loop");
	/* The handler of an exception or INT runs without TF; the trap of INT itself is lost. */
	STEP("nop; int $0x30", "int");
	STEP("nop; ud2", "ud2");
	STEP("nop; int3", "int3");
	STEP("nop; into", "into", .eflags = TF | OF | 2);
	STEP("nop; movl %eax, %es", "fault", .eax = SEL_BEYOND);
	/* A handler that returns: single-stepping goes on behind the INT. */
	{
		struct code c = CODE3("", "nop; int $0x43; nop; jmp 1f; 2: iretl; 1: nop", "");

		set_vector(0x43, SEL_CODE, c.insn + 6, 0x8e);
		RUN(c, "step/int and back", .eflags = TF | 2, .trace = true, .hide = RF | TF);
	}
	/* BS in DR6. */
	__asm__ volatile("movl %0, %%db6" : : "r"(0xffff0ff0));
	STEP("nop", "nop for dr6");
	__asm__ volatile("movl %%db6, %0" : "=r"(dr6));
	line("step/dr6", "%08x", dr6);
	__asm__ volatile("movl %0, %%db6" : : "r"(0xffff0ff0));
	RUN(CODE("nop"), "step/fault view", .eflags = TF | 2, .hide = 0);
	RUN(CODE("cli"), "step/fault view/cli", .eflags = TF | 2, .hide = 0);
	RUN(CODE("popfl"), "step/fault view/popf", .eflags = TF | 2, .hide = 0);
	/* INT1 sets no bit of DR6. */
	__asm__ volatile("movl %0, %%db6" : : "r"(0xffff0ff0));
	RUN(CODE(".byte 0xf1"), "int1 for dr6");
	__asm__ volatile("movl %%db6, %0" : "=r"(dr6));
	line("int1/dr6", "%08x", dr6);
	__asm__ volatile("movl %0, %%db6" : : "r"(0xffff0ff0));
}
