/* SPDX-License-Identifier: MIT */
/*
 * Loads of segment registers: MOV, POP, LDS, LES, LFS, LGS, LSS with every kind of selector.
 * Source: SDM Vol. 2, MOV, POP, LDS/LES/LFS/LGS/LSS; Vol. 3A, "Privilege Level Checking When
 * Accessing Data Segments" (5.6).
 */
#include "conform.h"

static const struct {
	const char *what;
	uint16_t sel;
} selectors[] = {
	{ "null", 0 },
	{ "null3", 3 },
	{ "data", SEL_DATA },
	{ "data rpl3", SEL_DATA | 3 },
	{ "unaccessed", SEL_DATA_OLD },
	{ "readonly", SEL_READ },
	{ "code", SEL_CODE },
	{ "execonly", SEL_EXEC },
	{ "execonly rpl3", SEL_EXEC | 3 },
	{ "conforming", SEL_CONF },
	{ "conforming rpl3", SEL_CONF | 3 },
	{ "down rpl3", SEL_DOWN | 3 },
	{ "down", SEL_DOWN },
	{ "small rpl3", SEL_SMALL | 3 },
	{ "data np", SEL_DATA_NP },
	{ "code np", SEL_CODE_NP },
	{ "data dpl3", SEL_DATA3 },
	{ "data dpl3 rpl3", SEL_DATA3 | 3 },
	{ "data dpl1 rpl1", SEL_DATA1 | 1 },
	{ "data dpl1 rpl2", SEL_DATA1 | 2 },
	{ "code dpl3 rpl3", SEL_CODE3 | 3 },
	{ "ldt descriptor", SEL_LDT },
	{ "tss", SEL_TSS32 },
	{ "call gate", SEL_CALL32 },
	{ "type 0", SEL_TYPE0 },
	{ "beyond", SEL_BEYOND },
	{ "far beyond", 0xfff8 },
	{ "ti without ldt", LDT_DATA },
	{ "ti null", 4 | 3 },
};
#define SELECTORS (sizeof(selectors) / sizeof(selectors[0]))

static void moves(void)
{
	for (size_t i = 0; i < SELECTORS; i++) {
		const char *what = selectors[i].what;
		uint32_t sel = 0xffff0000 | selectors[i].sel;

		RUN(CODE("movl %eax, %es"), name("mov es/%s", what), .eax = sel);
		RUN(CODE("movl %eax, %ds"), name("mov ds/%s", what), .eax = sel);
		RUN(CODE("movl %eax, %fs"), name("mov fs/%s", what), .eax = sel);
		RUN(CODE("movl %eax, %gs"), name("mov gs/%s", what), .eax = sel);
	}
}

/* SS: with SEL_DATA or a stack that the end of the case can use. */
static void stack_moves(void)
{
	for (size_t i = 0; i < SELECTORS; i++) {
		const char *what = selectors[i].what;
		uint32_t sel = 0xffff0000 | selectors[i].sel;

		if (selectors[i].sel == SEL_DOWN)
			continue; /* valid, but ESP is outside of it */
		RUN(CODE("movl %eax, %ss"), name("mov ss/%s", what), .eax = sel);
	}
	RUN(CODE2("", "movl %eax, %ss; movl $0x1000, %esp"), "mov ss/stack32", .eax = SEL_STACK32);
	RUN(CODE2("", "movl %eax, %ss; movl $0xabcd1000, %esp; pushw %ax; popw %cx"),
	    "mov ss/stack16", .eax = SEL_STACK16);
	RUN(CODE(".byte 0x8e, 0xc8"), "mov cs");
	RUN(CODE(".byte 0x8e, 0xf0"), "mov segment 6");
	RUN(CODE(".byte 0x8e, 0xf8"), "mov segment 7");
}

static void from_memory(void)
{
	*arena(0) = 0xffff0000 | SEL_DATA3;
	RUN(CODE("movw (%ebx), %es"), "mov es/memory");
	*arena(0) = 0xffff0000 | SEL_DATA3;
	RUN(CODE(".byte 0x66, 0x8e, 0x03"), "mov es/memory/opsize16");
	*arena(0) = 0xffff0000 | SEL_DATA_NP;
	RUN(CODE("movw (%ebx), %es"), "mov es/memory/np");
	RUN(CODE("movw %fs:0, %es"), "mov es/memory/null segment");
	RUN(CODE(".byte 0x66, 0x8e, 0xe8"), "mov gs/opsize16", .eax = 0xffff0000 | SEL_DATA3);
}

static void pops(void)
{
	for (size_t i = 0; i < SELECTORS; i++) {
		const char *what = selectors[i].what;
		uint32_t sel = 0xffff0000 | selectors[i].sel;

		*stack(0) = sel;
		RUN(CODE("popl %es"), name("pop es/%s", what));
		if (selectors[i].sel == SEL_DOWN)
			continue;
		*stack(0) = sel;
		RUN(CODE("popl %ss"), name("pop ss/%s", what));
	}
	*stack(0) = 0xffff0000 | SEL_DATA3;
	RUN(CODE("popw %es"), "pop16 es");
	*stack(0) = 0xffff0000 | SEL_DATA3;
	RUN(CODE("popl %ds"), "pop ds");
	*stack(0) = 0xffff0000 | SEL_DATA3;
	RUN(CODE("popw %ds"), "pop16 ds");
	*stack(0) = 0xffff0000 | SEL_DATA3;
	RUN(CODE("popl %fs"), "pop fs");
	*stack(0) = 0xffff0000 | SEL_DATA3;
	RUN(CODE("popw %fs"), "pop16 fs");
	*stack(0) = 0xffff0000 | SEL_DATA3;
	RUN(CODE("popl %gs"), "pop gs");
	*stack(0) = 0xffff0000 | SEL_DATA3;
	RUN(CODE("popw %gs"), "pop16 gs");
	*stack(0) = 0xffff0000 | SEL_DATA;
	RUN(CODE("popw %ss"), "pop16 ss");
	*stack(0) = SEL_BEYOND;
	RUN(CODE("popw %gs"), "pop16 gs/beyond");
}

static void point_at(uint32_t off, uint32_t sel)
{
	*arena(0) = off;
	*arena(4) = sel;
}

static void far_pointers(void)
{
	for (size_t i = 0; i < SELECTORS; i++) {
		const char *what = selectors[i].what;
		uint32_t sel = 0xffff0000 | selectors[i].sel;

		point_at(0x12345678, sel);
		RUN(CODE("lesl (%ebx), %ecx"), name("les/%s", what));
		if (selectors[i].sel == SEL_DOWN)
			continue;
		point_at(0x12345678, sel);
		RUN(CODE("lssl (%ebx), %ecx"), name("lss/%s", what));
	}
	point_at(0x12345678, SEL_DATA3);
	RUN(CODE("ldsl (%ebx), %ecx"), "lds");
	point_at(0x12345678, SEL_DATA3);
	RUN(CODE("lfsl (%ebx), %ecx"), "lfs");
	point_at(0x12345678, SEL_DATA3);
	RUN(CODE("lgsl (%ebx), %ecx"), "lgs");
	point_at(SEL_DATA3 << 16 | 0x5678, 0);
	RUN(CODE("ldsw (%ebx), %cx"), "lds16");
	point_at(SEL_DATA3 << 16 | 0x5678, 0);
	RUN(CODE("lesw (%ebx), %cx"), "les16");
	point_at(SEL_DATA3 << 16 | 0x5678, 0);
	RUN(CODE("lfsw (%ebx), %cx"), "lfs16");
	point_at(SEL_DATA3 << 16 | 0x5678, 0);
	RUN(CODE("lgsw (%ebx), %cx"), "lgs16");
	point_at(SEL_DATA << 16 | 0x5678, 0);
	RUN(CODE("lssw (%ebx), %cx"), "lss16");
	point_at(0x206f00, SEL_DATA);
	RUN(CODE("lssl (%ebx), %esp"), "lss esp");
	point_at(0x12345678, SEL_DATA_NP);
	RUN(CODE("ldsl (%ebx), %ecx"), "lds/np");
	RUN(CODE("lfsl %gs:0, %ecx"), "lfs/null segment");
	/* With a register as the operand: LFS has none; C4 and C5 are VEX prefixes. */
	RUN(CODE(".byte 0x0f, 0xb4, 0xc1"), "lfs/register");
	RUN(CODE(".byte 0x0f, 0xb2, 0xc1"), "lss/register");
}

static void local_table(void)
{
	static const uint16_t sels[] = { LDT_DATA, LDT_DATA | 3,  LDT_CODE,
					 LDT_NP,   LDT_DATA3 | 3, LDT_BEYOND };

	for (size_t i = 0; i < sizeof(sels) / sizeof(sels[0]); i++) {
		__asm__ volatile("lldt %%ax" : : "a"(SEL_LDT));
		RUN(CODE("movl %eax, %es"), name("mov es/ldt %02x", sels[i]), .eax = sels[i]);
		RUN(CODE("movl %eax, %ss"), name("mov ss/ldt %02x", sels[i]), .eax = sels[i]);
	}
	__asm__ volatile("lldt %%ax" : : "a"(0));
	/* What was loaded stays although the table changes: the hidden part. */
	RUN(CODE2("movl %eax, %fs; movl $0x00cf92ff, 0x20204c; movl $0, 0x202048",
		  "movl %fs:(%ebx), %ecx"),
	    "hidden part", .eax = SEL_DATA3);
	RUN(CODE2("movl %eax, %fs; lldt %cx", "movb %fs:0, %cl"), "hidden part/small",
	    .eax = SEL_SMALL, .ecx = 0);
}

void cases_segload(void)
{
	moves();
	stack_moves();
	from_memory();
	pops();
	far_pointers();
	local_table();
}
