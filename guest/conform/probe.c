/* SPDX-License-Identifier: MIT */
/*
 * LAR, LSL, VERR, VERW over all kinds of descriptors; ARPL.
 * Source: SDM Vol. 2, those instructions; table 3-53, "Segment and Gate Types" (LAR).
 */
#include "conform.h"

/* "00FxFF00H": four bits of LAR's answer are undefined. */
#define LAR_UNDEFINED .undefined_eax = 0x000f0000

static const struct {
	const char *what;
	uint16_t sel;
} selectors[] = {
	{ "null", 0 },
	{ "null3", 3 },
	{ "code", SEL_CODE },
	{ "data", SEL_DATA },
	{ "data rpl3", SEL_DATA | 3 },
	{ "readonly", SEL_READ },
	{ "execonly", SEL_EXEC },
	{ "execonly rpl3", SEL_EXEC | 3 },
	{ "conforming", SEL_CONF },
	{ "conforming rpl3", SEL_CONF | 3 },
	{ "down", SEL_DOWN },
	{ "down rpl3", SEL_DOWN | 3 },
	{ "data np", SEL_DATA_NP },
	{ "code np", SEL_CODE_NP },
	{ "data dpl3", SEL_DATA3 },
	{ "data dpl3 rpl3", SEL_DATA3 | 3 },
	{ "code dpl3", SEL_CODE3 },
	{ "conf dpl3", SEL_CONF3 },
	{ "code16", SEL_CODE16 },
	{ "stack16", SEL_STACK16 },
	{ "ldt", SEL_LDT },
	{ "small", SEL_SMALL },
	{ "small rpl3", SEL_SMALL | 3 },
	{ "pages", SEL_PAGES },
	{ "tss32", SEL_TSS32 },
	{ "tss32 busy", SEL_TSS32_BUSY },
	{ "tss16", SEL_TSS16 },
	{ "tss16 busy", SEL_TSS16_BUSY },
	{ "tss np", SEL_TSS_NP },
	{ "call32", SEL_CALL32 },
	{ "call16", SEL_CALL16 },
	{ "call np", SEL_CALL_NP },
	{ "task", SEL_TASK },
	{ "int32", SEL_INT32 },
	{ "trap32", SEL_TRAP32 },
	{ "int16", SEL_INT16 },
	{ "trap16", SEL_TRAP16 },
	{ "type0", SEL_TYPE0 },
	{ "type8", SEL_TYPE8 },
	{ "type10", SEL_TYPE10 },
	{ "type13", SEL_TYPE13 },
	{ "data dpl1", SEL_DATA1 },
	{ "data dpl1 rpl2", SEL_DATA1 | 2 },
	{ "beyond", SEL_BEYOND },
	{ "ldt without ldt", LDT_DATA },
};

static void all_types(void)
{
	for (size_t i = 0; i < sizeof(selectors) / sizeof(selectors[0]); i++) {
		const char *what = selectors[i].what;
		uint32_t sel = 0xffff0000 | selectors[i].sel;

		RUN(CODE("larl %ecx, %eax"), name("lar/%s", what), .ecx = sel, LAR_UNDEFINED);
		RUN(CODE("lsll %ecx, %eax"), name("lsl/%s", what), .ecx = sel);
		RUN(CODE("verr %cx"), name("verr/%s", what), .ecx = sel, .eflags = ZF | 2);
		RUN(CODE("verw %cx"), name("verw/%s", what), .ecx = sel, .eflags = 0x897);
	}
}

static void forms(void)
{
	RUN(CODE("larw %cx, %ax"), "lar16/data", .ecx = SEL_DATA);
	RUN(CODE("lslw %cx, %ax"), "lsl16/data", .ecx = SEL_DATA);
	RUN(CODE("lslw %cx, %ax"), "lsl16/small", .ecx = SEL_SMALL);
	RUN(CODE("larl %ecx, %eax"), "lar/otherflags", .ecx = SEL_DATA, .eflags = 0x897,
	    LAR_UNDEFINED);
	*arena(0) = 0xffff0000 | SEL_DATA;
	RUN(CODE("larl (%ebx), %eax"), "lar/memory", LAR_UNDEFINED);
	*arena(0) = 0xffff0000 | SEL_DATA;
	RUN(CODE("lsll (%ebx), %eax"), "lsl/memory");
	*arena(0) = 0xffff0000 | SEL_DATA;
	RUN(CODE("verr (%ebx)"), "verr/memory");
	*arena(0) = 0xffff0000 | SEL_DATA;
	RUN(CODE("verw (%ebx)"), "verw/memory");
	RUN(CODE("larl %fs:0, %eax"), "lar/null segment", LAR_UNDEFINED);
	RUN(CODE("verr %fs:0"), "verr/null segment");
	__asm__ volatile("lldt %%ax" : : "a"(SEL_LDT));
	RUN(CODE("larl %ecx, %eax"), "lar/ldt data", .ecx = LDT_DATA, LAR_UNDEFINED);
	RUN(CODE("larl %ecx, %eax"), "lar/ldt np", .ecx = LDT_NP, LAR_UNDEFINED);
	RUN(CODE("lsll %ecx, %eax"), "lsl/ldt code", .ecx = LDT_CODE);
	RUN(CODE("verw %cx"), "verw/ldt data3", .ecx = LDT_DATA3 | 3);
	RUN(CODE("verr %cx"), "verr/ldt beyond", .ecx = LDT_BEYOND);
	__asm__ volatile("lldt %%ax" : : "a"(0));
}

static void arpl(void)
{
	for (uint32_t dst = 0; dst <= 3; dst++)
		for (uint32_t src = 0; src <= 3; src++)
			RUN(CODE("arpl %cx, %ax"), name("arpl/%u,%u", dst, src),
			    .eax = 0xabcd1230 | dst, .ecx = 0xffff5670 | src,
			    .eflags = 2 | (dst < src ? 0 : ZF));
	*arena(0) = 0x12340010;
	RUN(CODE("arpl %cx, (%ebx)"), "arpl/memory", .ecx = 3, .eflags = 0x897);
	RUN(CODE("arpl %cx, %fs:0"), "arpl/null segment", .ecx = 3);
	RUN(CODE("arpl %cx, %fs:(%ebx)"), "arpl/readonly", .ecx = 3, .fs = SEL_READ);
}

void cases_probe(void)
{
	all_types();
	forms();
	arpl();
}
