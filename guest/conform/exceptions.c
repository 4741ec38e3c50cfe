/* SPDX-License-Identifier: MIT */
/*
 * Exceptions that ordinary instructions raise: vector, error code, saved EIP and flags; double
 * faults.
 * Source: SDM Vol. 3A, "Exception and Interrupt Reference" (6.15), table 6-5 (double faults);
 * Vol. 3B, "Instruction-Breakpoint Exception Condition" (17.3.1.1) for RF.
 */
#include "conform.h"
#include "../minios/x86.h"

static void division(void)
{
	RUN(CODE("divl %ecx"), "#DE/div 0", .eax = 5, .edx = 0, .ecx = 0, .hide = ARITH | RF);
	RUN(CODE("idivl %ecx"), "#DE/idiv overflow", .eax = 0x80000000, .edx = 0xffffffff,
	    .ecx = 0xffffffff, .hide = ARITH | RF);
	RUN(CODE("divb %cl"), "#DE/div8 overflow", .eax = 0xffff, .ecx = 1, .hide = ARITH | RF);
	RUN(CODE("aam $0"), "#DE/aam 0", .hide = ARITH | RF);
	RUN(CODE("divl (%ebx)"), "div ok", .eax = 7, .edx = 0, .hide = ARITH | RF);
}

static void undefined(void)
{
	RUN(CODE("ud2"), "#UD/ud2");
	RUN(CODE(".byte 0x0f, 0x0b"), "#UD/0f0b", .eflags = 0x8d7 | IF);
	RUN(CODE("movl %eax, %eax; ud2"), "#UD/second instruction");
	RUN(CODE(".byte 0x0f, 0xff, 0xc0"), "#UD/ud0");
	RUN(CODE(".byte 0x0f, 0xb9, 0xc0"), "#UD/ud1");
	RUN(CODE(".byte 0xfe, 0xf8"), "#UD/fe /7");
	RUN(CODE(".byte 0xff, 0xff"), "#UD/ff /7");
	RUN(CODE(".byte 0x8f, 0xc8"), "#UD/8f /1");
	RUN(CODE(".byte 0xc7, 0xc8, 0, 0, 0, 0"), "#UD/c7 /1");
	RUN(CODE(".byte 0x8d, 0xc0"), "#UD/lea register");
	RUN(CODE(".byte 0x0f, 0xc7, 0xc8"), "#UD/cmpxchg8b register");
	RUN(CODE(".byte 0x82, 0xc0, 0x01"), "82 /0"); /* a copy of 80 in 32-bit mode */
	RUN(CODE(".byte 0x0f, 0x24, 0xc0"), "#UD/test register");
}

/* #NM: CR0.TS or EM with an x87 instruction; WAIT with MP and TS. */
static void no_fpu(void)
{
#define CR0_WITH(bits) "movl $0x11 + " bits ", %edx; movl %edx, %cr0"
#define CR0_BACK       "movl $0x11, %edx; movl %edx, %cr0"
	RUN(CODE3(CR0_WITH("8"), "fnop", CR0_BACK), "#NM/ts");
	WRITE_CR(0, 0x11);
	RUN(CODE3(CR0_WITH("4"), "fnop", CR0_BACK), "#NM/em");
	WRITE_CR(0, 0x11);
	RUN(CODE3(CR0_WITH("8"), "fwait", CR0_BACK), "wait/ts");
	WRITE_CR(0, 0x11);
	RUN(CODE3(CR0_WITH("10"), "fwait", CR0_BACK), "#NM/wait,ts,mp");
	WRITE_CR(0, 0x11);
	RUN(CODE3(CR0_WITH("2"), "fwait", CR0_BACK), "wait/mp");
	WRITE_CR(0, 0x11);
	/* SSE: #UD without CR4.OSFXSR or with CR0.EM, #NM with TS. */
	WRITE_CR(4, 0);
	RUN(CODE("xorps %xmm0, %xmm0"), "#UD/sse,osfxsr=0");
	WRITE_CR(4, 0x200);
	RUN(CODE("xorps %xmm0, %xmm0"), "sse/osfxsr=1");
	RUN(CODE3(CR0_WITH("4"), "xorps %xmm0, %xmm0", CR0_BACK), "#UD/sse,em");
	WRITE_CR(0, 0x11);
	RUN(CODE3(CR0_WITH("8"), "xorps %xmm0, %xmm0", CR0_BACK), "#NM/sse,ts");
	WRITE_CR(0, 0x11);
	WRITE_CR(4, 0);
}

/* RF in the pushed image: set for faults, as it was for the others. */
static void resume_flag(void)
{
	RUN(CODE("ud2"), "rf/#UD", .hide = 0);
	RUN(CODE("divl %ecx"), "rf/#DE", .ecx = 0, .hide = ARITH);
	RUN(CODE("movl %eax, %es"), "rf/#GP", .eax = SEL_BEYOND, .hide = 0);
	RUN(CODE("movl %eax, %es"), "rf/#NP", .eax = SEL_DATA_NP, .hide = 0);
	RUN(CODE("lldt %ax"), "rf/#GP of lldt", .eax = SEL_DATA, .hide = 0);
	RUN(CODE("int3"), "rf/int3", .hide = 0);
	RUN(CODE("int $0x30"), "rf/int", .hide = 0);
	RUN(CODE("into"), "rf/into", .eflags = OF | 2, .hide = 0);
	RUN(CODE(".byte 0xf1"), "rf/int1", .hide = 0);
	RUN(CODE("nop"), "rf/cleared by an instruction", .eflags = RF | 2, .hide = 0);
	RUN(CODE("pushfl; popl %eax"), "rf/pushf of it", .eflags = RF | 2, .hide = 0);
	RUN(CODE("nop; ud2"), "rf/#UD after nop", .eflags = RF | 2, .hide = 0);
	RUN(CODE("int $0x30"), "rf/int with rf", .eflags = RF | 2, .hide = 0);
}

/* A gate of contributory exceptions that is broken in itself gives #DF(0). */
static void double_faults(void)
{
	set_vector(13, 0, 0, 0);
	RUN(CODE("movl %eax, %es"), "#DF/#GP without gate", .eax = SEL_BEYOND, .no_eip = true);
	set_vector(13, SEL_CODE_NP, STUB(13), GATE32);
	RUN(CODE("movl %eax, %es"), "#DF/#GP to np code", .eax = SEL_BEYOND, .no_eip = true);
	set_vector(13, SEL_CODE, STUB(13), 0x0e);
	RUN(CODE("movl %eax, %es"), "#DF/#GP gate np", .eax = SEL_BEYOND, .no_eip = true);
	set_vector(11, 0, 0, 0);
	RUN(CODE("movl %eax, %es"), "#DF/#NP without gate", .eax = SEL_DATA_NP, .no_eip = true);
	set_vector(0, 0, 0, 0);
	RUN(CODE("divl %ecx"), "#DF/#DE without gate", .ecx = 0, .hide = ARITH | RF,
	    .no_eip = true);
	/* Benign ones only hand on: the second exception is served. */
	set_vector(6, 0, 0, 0);
	RUN(CODE("ud2"), "#GP/#UD without gate");
	set_vector(6, SEL_CODE, STUB(6), 0x0e);
	RUN(CODE("ud2"), "#NP/#UD gate np");
	set_vector(6, SEL_CODE_NP, STUB(6), GATE32);
	RUN(CODE("ud2"), "#NP/#UD to np code");
	set_vector(5, 0, 0, 0);
	*arena(0) = 0;
	*arena(4) = 0;
	RUN(CODE("boundl %eax, (%ebx)"), "#GP/#BR without gate", .eax = 5);
	set_vector(3, 0, 0, 0);
	RUN(CODE("int3"), "#GP/int3 without gate");
	set_vector(1, 0, 0, 0);
	RUN(CODE(".byte 0xf1"), "#GP/int1 without gate");
}

void cases_exceptions(void)
{
	division();
	undefined();
	no_fpu();
	resume_flag();
	double_faults();
}
