/* SPDX-License-Identifier: MIT */
/*
 * Far jumps, calls and returns without a change of privilege.
 * Source: SDM Vol. 2, JMP, CALL, RET; Vol. 3A, "Privilege Level Checking when Transferring Program
 * Control Between Code Segments" (5.8).
 */
#include "conform.h"

static const struct {
	const char *what;
	uint16_t sel;
} selectors[] = {
	{ "code", SEL_CODE },
	{ "null", 0 },
	{ "null3", 3 },
	{ "data", SEL_DATA },
	{ "code rpl3", SEL_CODE | 3 },
	{ "execonly", SEL_EXEC },
	{ "execonly rpl3", SEL_EXEC | 3 },
	{ "conforming", SEL_CONF },
	{ "conforming rpl3", SEL_CONF | 3 },
	{ "down rpl3", SEL_DOWN | 3 },
	{ "code np", SEL_CODE_NP },
	{ "conforming np", SEL_CONF_NP },
	{ "code dpl3", SEL_CODE3 },
	{ "code dpl3 rpl3", SEL_CODE3 | 3 },
	{ "conforming dpl3", SEL_CONF3 },
	{ "small code", SEL_CODE_SMALL },
	{ "unaccessed code", SEL_CODE_OLD },
	{ "call gate", SEL_CALL32 },
	{ "call gate 16", SEL_CALL16 },
	{ "call gate rpl3", SEL_CALL32 | 3 },
	{ "call gate np", SEL_CALL_NP },
	{ "call gate to null", SEL_CALL_NULL },
	{ "call gate to data", SEL_CALL_DATA },
	{ "call gate to np", SEL_CALL_CODE_NP },
	{ "call gate to dpl3", SEL_CALL_CODE3 },
	{ "call gate to beyond", SEL_CALL_BEYOND },
	{ "call gate over limit", SEL_CALL_LIMIT },
	{ "call gate to conforming", SEL_CALL_CONF },
	{ "call gate dpl3 rpl3", SEL_CALL_3 | 3 },
	{ "ldt", SEL_LDT },
	{ "interrupt gate", SEL_INT32 },
	{ "trap gate", SEL_TRAP32 },
	{ "tss busy", SEL_TSS32_BUSY },
	{ "tss16 busy", SEL_TSS16_BUSY },
	{ "tss np", SEL_TSS_NP },
	{ "type 0", SEL_TYPE0 },
	{ "type 8", SEL_TYPE8 },
	{ "type 10", SEL_TYPE10 },
	{ "type 13", SEL_TYPE13 },
	{ "beyond", SEL_BEYOND },
	{ "ti", LDT_CODE },
};
#define SELECTORS (sizeof(selectors) / sizeof(selectors[0]))

static void indirect(void)
{
	for (size_t i = 0; i < SELECTORS; i++) {
		const char *what = selectors[i].what;

		*arena(0) = (uint32_t)target32;
		*arena(4) = 0xffff0000 | selectors[i].sel;
		RUN(CODE("ljmpl *(%ebx)"), name("ljmp/%s", what));
		*arena(0) = (uint32_t)target32;
		*arena(4) = 0xffff0000 | selectors[i].sel;
		/* The return address is in .thunks: only whether it is the right one is shown. */
		RUN(CODE2("", "lcall *(%ebx)\n1: addl $4, %esp\n"), name("lcall/%s", what));
	}
}

static void direct(void)
{
	RUN(CODE("ljmp $0x08, $target32"), "ljmp direct/code");
	RUN(CODE("ljmp $0x28, $target32"), "ljmp direct/conforming");
	RUN(CODE("ljmp $0x2b, $target32"), "ljmp direct/conforming rpl3");
	RUN(CODE("ljmp $0x23, $target32"), "ljmp direct/execonly rpl3");
	RUN(CODE("ljmp $0x33, $target32"), "ljmp direct/down rpl3");
	RUN(CODE("ljmp $0x10, $target32"), "ljmp direct/data");
	RUN(CODE("ljmp $0x40, $target32"), "ljmp direct/np");
	RUN(CODE("ljmp $0xb0, $0x12345678"), "ljmp direct/call gate");
	RUN(CODE("ljmpl $0x60, $target16 - " TEXT(CODE16_BASE)), "ljmp direct 32/code16");
	RUN(CODE("lcall $0x23, $target32"), "lcall direct/execonly rpl3");
	RUN(CODE("lcall $0x33, $target32"), "lcall direct/down rpl3");
	RUN(CODE("lcall $0x10, $target32"), "lcall direct/data");
	RUN(CODE(".byte 0xff, 0xe9"), "ljmp/register");
	RUN(CODE(".byte 0xff, 0xd9"), "lcall/register");
	/* The operand runs over the limit of its segment; QEMU, which has no limits, finds a
	 * target. */
	*arena(0x3c) = (uint32_t)target32;
	*arena(0x40) = SEL_CODE;
	RUN(CODE("ljmpl *%fs:0x3c"), "ljmp/operand over limit", .fs = SEL_SMALL);
	*arena(0x3c) = (uint32_t)target32;
	*arena(0x40) = SEL_CODE;
	RUN(CODE("lcall *%fs:0x3c"), "lcall/operand over limit", .fs = SEL_SMALL);
	*arena(0) = SEL_CODE16 << 16 | ((uint32_t)target16 - CODE16_BASE);
	RUN(CODE("ljmpw *(%ebx)"), "ljmp 16/code16");
	*arena(0) = 0x00100;
	*arena(4) = SEL_CODE_SMALL;
	RUN(CODE("ljmpl *(%ebx)"), "ljmp/over limit");
	*arena(0) = 0x10000;
	*arena(4) = SEL_CODE16;
	RUN(CODE("lcall *(%ebx)"), "lcall/over limit 16");
}

/* The frame of a call: two items, each as wide as the operand, and that RETF finds its way back. */
static void frames(void)
{
	RUN(CODE("lcall $0x08, $1f; jmp 2f; 1: movl (%esp), %eax; subl $2f, %eax; movzwl 4(%esp), "
		 "%ecx;"
		 "lretl; 2: nop"),
	    "lcall,lret 32", .hide = RF | ARITH, .no_regs = true);
	RUN(CODE("lcall $0x08, $1f; 2: jmp 3f; 1: popl %eax; subl $2b, %eax; popl %ecx; movzwl "
		 "%cx, %ecx;"
		 "3: nop"),
	    "lcall 32/frame", .hide = RF | ARITH);
	RUN(CODE("pushl %cs; pushl $1f; lretl; ud2; 1: nop"), "lret 32");
	RUN(CODE("pushl $0; pushl $0; pushl %cs; pushl $1f; lretl $8; ud2; 1: nop"),
	    "lret 32/imm 8");
	RUN(CODE("pushl $0; pushl %cs; pushl $1f; lretl $2; ud2; 1: nop"), "lret 32/imm 2");
	/* 16 bits wide.  Addresses come in 32-bit registers: the linker has no 16-bit differences.
	 */
	*arena(4) = SEL_CODE16;
	RUN(CODE16("movl $1f - " TEXT(CODE16_BASE) ", %eax; addr32 movw %ax, 2(%ebx)",
		   "addr32 lcallw *2(%ebx); 2: jmp 3f; 1: movl $2b - " TEXT(
			   CODE16_BASE) ", %edx;"
					"popw %ax; subw %dx, %ax; popw %cx; 3: nop"),
	    "lcall 16/frame", .cs = SEL_CODE16, .hide = RF | ARITH, .no_regs = true);
	RUN(CODE16("movl $1f - " TEXT(CODE16_BASE) ", %eax; pushw %cs; pushw %ax; xorl %eax, %eax",
		   "lretw; ud2; 1: nop"),
	    "lret 16", .cs = SEL_CODE16, .hide = RF | ARITH);
	RUN(CODE16("movl $1f - " TEXT(CODE16_BASE) ", %eax; pushw %dx; pushw %cs; pushw %ax;"
						   "xorl %eax, %eax",
		   "lretw $2; ud2; 1: nop"),
	    "lret 16/imm 2", .cs = SEL_CODE16, .hide = RF | ARITH);
	/* Through a gate: the frame is as wide as the gate says. */
	RUN(CODE16("", "lcall $0xb0, $0; nop"), "lcall 16/call gate 32", .cs = SEL_CODE16);
	RUN(CODE("lcallw $0xb8, $0"), "lcall/opsize16/call gate 16");
}

static void returns(void)
{
	for (size_t i = 0; i < SELECTORS; i++) {
		if ((selectors[i].sel & 3 && selectors[i].sel != 3) || /* an outer level: later */
		    selectors[i].sel == SEL_CODE_SMALL)                /* "lret/over limit" */
			continue;
		*stack(0) = (uint32_t)target32;
		*stack(4) = 0xffff0000 | selectors[i].sel;
		RUN(CODE("lretl"), name("lret/%s", selectors[i].what));
	}
	*stack(0) = 0x100;
	*stack(4) = SEL_CODE_SMALL;
	RUN(CODE("lretl"), "lret/over limit");
	*stack(0) = SEL_CODE_NP << 16 | 0x1000;
	RUN(CODE("lretw"), "lret 16/np");
	*stack(0) = SEL_DATA << 16 | 0x1000;
	RUN(CODE("lretw $8"), "lret 16/data");
	/* Outer level with what faults before the stack is touched. */
	*stack(0) = (uint32_t)target32;
	*stack(4) = SEL_CODE | 3;
	RUN(CODE("lretl"), "lret/rpl3 of dpl0");
	*stack(4) = SEL_DOWN | 3;
	RUN(CODE("lretl"), "lret/down rpl3");
	*stack(0) = (uint32_t)target32;
	*stack(4) = SEL_EXEC | 3;
	RUN(CODE("lretl"), "lret/execonly rpl3");
	*stack(0) = (uint32_t)target32;
	*stack(4) = SEL_CODE3 | 3;
	*stack(8) = STACK_TOP;
	*stack(12) = SEL_DATA;
	RUN(CODE("lretl"), "lret/outer, ss dpl0");
	*stack(0) = (uint32_t)target32;
	*stack(4) = SEL_CODE3 | 3;
	*stack(8) = STACK_TOP;
	*stack(12) = 0;
	RUN(CODE("lretl"), "lret/outer, ss null");
}

void cases_far(void)
{
	indirect();
	direct();
	frames();
	returns();
}
