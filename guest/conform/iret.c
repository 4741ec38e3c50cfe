/* SPDX-License-Identifier: MIT */
/*
 * IRET at the same privilege level: images of the flags, bad selectors.  No task is nested (NT is
 * clear) and VM is clear in the image.
 * Source: SDM Vol. 2, IRET/IRETD.
 */
#include "conform.h"

static const struct {
	const char *what;
	uint16_t sel;
} selectors[] = {
	{ "null", 0 },
	{ "null3", 3 },
	{ "data", SEL_DATA },
	{ "unaccessed code", SEL_CODE_OLD },
	{ "execonly", SEL_EXEC },
	{ "execonly rpl3", SEL_EXEC | 3 },
	{ "conforming", SEL_CONF },
	{ "down rpl3", SEL_DOWN | 3 },
	{ "code np", SEL_CODE_NP },
	{ "conforming np", SEL_CONF_NP },
	{ "code dpl3", SEL_CODE3 },
	{ "conforming dpl3", SEL_CONF3 },
	{ "code rpl3", SEL_CODE | 3 },
	{ "call gate", SEL_CALL32 },
	{ "interrupt gate", SEL_INT32 },
	{ "tss", SEL_TSS32 },
	{ "ldt", SEL_LDT },
	{ "type 0", SEL_TYPE0 },
	{ "beyond", SEL_BEYOND },
	{ "ti", LDT_CODE },
};

static void frame(uint32_t eip, uint32_t cs, uint32_t flags)
{
	*stack(0) = eip;
	*stack(4) = cs;
	*stack(8) = flags;
}

static void targets(void)
{
	for (size_t i = 0; i < sizeof(selectors) / sizeof(selectors[0]); i++) {
		frame((uint32_t)target32, 0xffff0000 | selectors[i].sel, 2);
		RUN(CODE("iretl"), name("iret/%s", selectors[i].what));
		frame(selectors[i].sel << 16 | 0x10, 2, 2);
		if (selectors[i].sel != SEL_CODE_OLD && selectors[i].sel != SEL_EXEC &&
		    selectors[i].sel != SEL_CONF)
			RUN(CODE("iretw"), name("iret16/%s", selectors[i].what));
		else
			fill();
	}
	frame((uint32_t)target16 - CODE16_BASE, SEL_CODE16, 2);
	RUN(CODE("iretl"), "iret/code16");
	frame(SEL_CODE16 << 16 | ((uint32_t)target16 - CODE16_BASE), 0x2, 0);
	RUN(CODE("iretw"), "iret16/code16");
	frame(0x100, SEL_CODE_SMALL, 2);
	RUN(CODE("iretl"), "iret/over limit");
	/* To an outer level, refused. */
	frame((uint32_t)target32, SEL_CODE3 | 3, 2);
	*stack(12) = STACK_TOP;
	*stack(16) = SEL_DATA;
	RUN(CODE("iretl"), "iret/outer, ss dpl0");
	frame((uint32_t)target32, SEL_CODE3 | 3, 2);
	*stack(12) = STACK_TOP;
	*stack(16) = 0;
	RUN(CODE("iretl"), "iret/outer, ss null");
	frame((uint32_t)target32, SEL_CODE3 | 3, 2);
	*stack(12) = STACK_TOP;
	*stack(16) = SEL_DATA_NP | 3;
	RUN(CODE("iretl"), "iret/outer, ss np dpl0");
	frame((uint32_t)target32, SEL_CODE3 | 3, 2);
	*stack(12) = STACK_TOP;
	*stack(16) = SEL_BEYOND | 3;
	RUN(CODE("iretl"), "iret/outer, ss beyond");
}

static void images(void)
{
	static const uint32_t image[] = { 0,      2,      ARITH,      DF,        IF,        IOPL1,
					  IOPL3,  NT,     AC,         ID,        VIF | VIP, RF,
					  0x8028, 0x3ed7, 0xffc00000, 0xfffdfeff };
	static const uint32_t from[] = { 2, 0x3ed7 | AC | ID };

	for (size_t i = 0; i < sizeof(image) / sizeof(image[0]); i++) {
		for (size_t j = 0; j < 2; j++) {
			frame((uint32_t)target32, SEL_CODE, image[i]);
			RUN(CODE("iretl"), name("iret/%08x/%s", image[i], j ? "set" : "clear"),
			    .eflags = from[j], .hide = VIF | VIP | RF);
		}
	}
}

/* The 16-bit form only has a place to go to in 16-bit code. */
static void images16(void)
{
	static const uint32_t image[] = { 0, 2, ARITH, DF, IF, IOPL3, NT, 0x8028, 0x7ed7 };
	static const uint32_t from[] = { 2, 0x3ed7 | AC | ID };
	uint32_t to = (uint32_t)target16 - CODE16_BASE;

	for (size_t i = 0; i < sizeof(image) / sizeof(image[0]); i++) {
		for (size_t j = 0; j < 2; j++) {
			frame(SEL_CODE16 << 16 | to, image[i], 0);
			RUN(CODE("iretw"), name("iret16/%04x/%s", image[i], j ? "set" : "clear"),
			    .eflags = from[j]);
		}
	}
}

void cases_iret(void)
{
	targets();
	images();
	images16();
	/* VIF and VIP: at CPL 0 the 32-bit form loads them. */
	frame((uint32_t)target32, SEL_CODE, VIF | 2);
	RUN(CODE("iretl"), "iret/vif");
	frame((uint32_t)target32, SEL_CODE, VIP | 2);
	RUN(CODE("iretl"), "iret/vip");
	RUN(CODE2("movl %ss, %ecx; movl %eax, %ss; movl $0x1000, %esp; pushl $2; pushl %cs; pushl "
		  "$1f",
		  "iretl; ud2; 1: movl %ecx, %ss; movl $0x207000, %esp"),
	    "iret/16-bit stack", .eax = SEL_STACK16);
	RUN(CODE("iretl"), "iret/stack over limit", .ss = SEL_STACK32, .esp = 0x1ff8);
	RUN(CODE("lretl"), "lret/stack over limit", .ss = SEL_STACK32, .esp = 0x1ffc);
}
