/* SPDX-License-Identifier: MIT */
/*
 * LGDT, LIDT, SGDT, SIDT, LLDT, LTR, SLDT, STR.
 * Source: SDM Vol. 2, those instructions; Vol. 3A, "Memory-Management Registers" (2.4).
 */
#include "conform.h"

/*
 * Load a table register from the arena, store it at arena + 0x10, and put the real one back.  The
 * GDT is not consulted in between, and no interrupt or exception comes.
 */
#define LOAD(load, store, good, what)                                         \
	do {                                                                  \
		*arena(0) = 0x56781234;                                       \
		*arena(4) = 0xffff9abc;                                       \
		RUN(CODE(load " (%ebx)\n" store " 0x10(%ebx)\n" good), what); \
	} while (0)

static void tables(void)
{
	LOAD("lgdtl", "sgdtl", "lgdtl good_gdtr", "lgdt32+sgdt32");
	LOAD("lgdtw", "sgdtl", "lgdtl good_gdtr", "lgdt16+sgdt32");
	LOAD("lgdtl", "sgdtw", "lgdtl good_gdtr", "lgdt32+sgdt16");
	LOAD("lgdtw", "sgdtw", "lgdtl good_gdtr", "lgdt16+sgdt16");
	LOAD("lidtl", "sidtl", "lidtl good_idtr", "lidt32+sidt32");
	LOAD("lidtw", "sidtl", "lidtl good_idtr", "lidt16+sidt32");
	LOAD("lidtl", "sidtw", "lidtl good_idtr", "lidt32+sidt16");
	LOAD("lidtw", "sidtw", "lidtl good_idtr", "lidt16+sidt16");
	RUN(CODE("sgdtl (%ebx)"), "sgdt32");
	RUN(CODE("sidtl (%ebx)"), "sidt32");
	RUN(CODE("addr16 sgdtl 8(%bx)"), "sgdt32/addr16", .ds = SEL_SMALL, .ebx = 0x10010);
	RUN(CODE("sgdtl %fs:8"), "sgdt32/fs", .fs = SEL_SMALL);
	RUN(CODE("sgdtl %fs:0"), "sgdt32/fs=null");
	RUN(CODE("sgdtl %fs:0"), "sgdt32/readonly", .fs = SEL_READ);
	RUN(CODE("lgdtl %fs:0"), "lgdt32/fs=null");
	RUN(CODE("lidtl %fs:0"), "lidt32/fs=null");
	/* A register is no operand. */
	RUN(CODE(".byte 0x0f, 0x01, 0xd2"), "lgdt/register");
	RUN(CODE(".byte 0x0f, 0x01, 0xdd"), "lidt/register");
	/* Through two shadowed accesses: one and the same value. */
	RUN(CODE("sgdtl (%ebx); lgdtl (%ebx); sgdtl 8(%ebx)"), "sgdt+lgdt+sgdt");
}

static const struct {
	const char *what;
	uint16_t sel;
} selectors[] = {
	{ "null", 0 },
	{ "null3", 3 },
	{ "ldt", SEL_LDT },
	{ "ldt rpl3", SEL_LDT | 3 },
	{ "ldt np", SEL_LDT_NP },
	{ "tss32", SEL_TSS32 },
	{ "tss32 rpl3", SEL_TSS32 | 3 },
	{ "tss32 busy", SEL_TSS32_BUSY },
	{ "tss16", SEL_TSS16 },
	{ "tss16 busy", SEL_TSS16_BUSY },
	{ "tss np", SEL_TSS_NP },
	{ "data", SEL_DATA },
	{ "code", SEL_CODE },
	{ "callgate", SEL_CALL32 },
	{ "taskgate", SEL_TASK },
	{ "intgate", SEL_INT32 },
	{ "type0", SEL_TYPE0 },
	{ "type8", SEL_TYPE8 },
	{ "beyond", SEL_BEYOND },
	{ "far beyond", 0xfff8 },
	{ "ti", SEL_LDT | 4 },
	{ "ti rpl3", 0x7 },
};

static void lldt_ltr(void)
{
	RUN(CODE("strl %eax"), "str32/reset");
	RUN(CODE("sldtl %eax"), "sldt32/reset");
	for (size_t i = 0; i < sizeof(selectors) / sizeof(selectors[0]); i++) {
		RUN(CODE2("", "lldt %ax\n sldtl %ecx"), name("lldt/%s", selectors[i].what),
		    .eax = 0xffff0000 | selectors[i].sel);
		__asm__ volatile("lldt %%ax" : : "a"(0));
	}
	for (size_t i = 0; i < sizeof(selectors) / sizeof(selectors[0]); i++)
		RUN(CODE("ltr %ax\n strl %ecx"), name("ltr/%s", selectors[i].what),
		    .eax = 0xffff0000 | selectors[i].sel);
	*arena(0) = SEL_TSS32;
	RUN(CODE("ltr (%ebx)\n strl %ecx"), "ltr/memory");
	RUN(CODE("ltr %fs:0"), "ltr/memory/null segment");
	*arena(0) = SEL_LDT;
	RUN(CODE("lldt (%ebx)\n sldtl %ecx\n lldt 0x34(%ebx)"), "lldt/memory");
	__asm__ volatile("lldt %%ax" : : "a"(0));
}

static void sldt_str(void)
{
	__asm__ volatile("lldt %%ax" : : "a"(SEL_LDT));
	RUN(CODE("sldtl %eax"), "sldt32");
	RUN(CODE("sldtw %ax"), "sldt16");
	RUN(CODE("sldt (%ebx)"), "sldt/memory");
	RUN(CODE(".byte 0x66; sldt (%ebx)"), "sldt/memory/opsize16");
	RUN(CODE("strl %eax"), "str32");
	RUN(CODE("strw %ax"), "str16");
	RUN(CODE("str 2(%ebx)"), "str/memory");
	RUN(CODE("str %fs:0"), "str/null segment");
	RUN(CODE("sldt %fs:0"), "sldt/readonly", .fs = SEL_READ);
	__asm__ volatile("lldt %%ax" : : "a"(0));
}

void cases_dtable(void)
{
	tables();
	lldt_ltr();
	sldt_str();
}
