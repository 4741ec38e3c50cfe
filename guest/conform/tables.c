/* SPDX-License-Identifier: MIT */
/*
 * The descriptor tables of the cases.  Several selectors are those that a 64-bit Linux has in its
 * own GDT and lets any program load (0x23, 0x2b, 0x33, 0x7b); here they mean something else.
 * Source: SDM Vol. 3A, "Segment Descriptors" (3.4.5), "System Descriptor Types" (3.5), "Call Gates"
 * (5.8.3), "IDT Descriptors" (6.11).
 */
#include "conform.h"

struct descriptor {
	uint16_t limit_low, base_low;
	uint8_t base_mid, access, flags_limit, base_high;
} __attribute__((packed));

struct gate {
	uint16_t off_low, sel;
	uint8_t count, access;
	uint16_t off_high;
} __attribute__((packed));

struct table_register {
	uint16_t limit;
	uint32_t base;
} __attribute__((packed));

/* entry.S loads them at the end of every case. */
extern const struct table_register good_gdtr, good_idtr;
const struct table_register good_gdtr = { GDT_ENTRIES * 8 - 1, GDT };
const struct table_register good_idtr = { 256 * 8 - 1, IDT };

void set_descriptor(uint32_t table, unsigned sel, uint32_t base, uint32_t limit, unsigned access,
		    unsigned flags)
{
	*(volatile struct descriptor *)(table + (sel & ~7u)) = (struct descriptor){
		.limit_low = (uint16_t)limit,
		.base_low = (uint16_t)base,
		.base_mid = (uint8_t)(base >> 16),
		.access = (uint8_t)access,
		.flags_limit = (uint8_t)(flags << 4 | (limit >> 16 & 0xf)),
		.base_high = (uint8_t)(base >> 24),
	};
}

void set_gate(uint32_t table, unsigned sel, uint32_t to, uint32_t off, unsigned access)
{
	*(volatile struct gate *)(table + (sel & ~7u)) = (struct gate){
		.off_low = (uint16_t)off,
		.sel = (uint16_t)to,
		.access = (uint8_t)access,
		.off_high = (uint16_t)(off >> 16),
	};
}

void set_vector(unsigned vector, uint32_t to, uint32_t off, unsigned access)
{
	set_gate(IDT, vector * 8, to, off, access);
}

/* Limits of 20 bits; FLAG_G counts them in pages. */
static const struct {
	uint16_t sel;
	uint8_t access, flags;
	uint32_t base, limit;
} segments[] = {
	{ SEL_CODE, 0x9b, FLAG_G | FLAG_D, 0, 0xfffff },
	{ SEL_DATA, 0x93, FLAG_G | FLAG_D, 0, 0xfffff },
	{ SEL_READ, 0x90, FLAG_G | FLAG_D, 0, 0xfffff },
	{ SEL_EXEC, 0x99, FLAG_G | FLAG_D, 0, 0xfffff },
	{ SEL_CONF, 0x9f, FLAG_G | FLAG_D, 0, 0xfffff },
	{ SEL_DOWN, 0x96, FLAG_D, ARENA - 0x1000, 0xfff },
	{ SEL_DATA_NP, 0x12, FLAG_G | FLAG_D, 0, 0xfffff },
	{ SEL_CODE_NP, 0x1a, FLAG_G | FLAG_D, 0, 0xfffff },
	{ SEL_DATA3, 0xf2, FLAG_G | FLAG_D, 0, 0xfffff },
	{ SEL_CODE3, 0xfb, FLAG_G | FLAG_D, 0, 0xfffff },
	{ SEL_CONF3, 0xff, FLAG_G | FLAG_D, 0, 0xfffff },
	{ SEL_STACK16, 0x92, 0, STACK, 0xffff },
	{ SEL_LDT, 0x82, 0, LDT, 4 * 8 - 1 },
	{ SEL_SMALL, 0x92, FLAG_D, ARENA, 0x3f },
	{ SEL_TSS32, 0x89, 0, TSS, 0x67 },
	{ SEL_TSS32_BUSY, 0x8b, 0, TSS, 0x67 },
	{ SEL_TSS16, 0x81, 0, TSS, 0x2b },
	{ SEL_TSS16_BUSY, 0x83, 0, TSS, 0x2b },
	{ SEL_LDT_NP, 0x02, 0, LDT, 4 * 8 - 1 },
	{ SEL_TSS_NP, 0x09, 0, TSS, 0x67 },
	{ SEL_TYPE0, 0x80, 0, 0, 0x1234 },
	{ SEL_TYPE8, 0x88, 0, 0, 0x1234 },
	{ SEL_TYPE10, 0x8a, 0, 0, 0x1234 },
	{ SEL_TYPE13, 0x8d, 0, 0, 0x1234 },
	{ SEL_PAGES, 0x92, FLAG_G | FLAG_D, ARENA, 0 },
	{ SEL_DOWN16, 0x96, 0, ARENA - 0x1000, 0xfff },
	{ SEL_DATA1, 0xb2, FLAG_G | FLAG_D, 0, 0xfffff },
	{ SEL_CONF_NP, 0x1e, FLAG_G | FLAG_D, 0, 0xfffff },
	{ SEL_DATA_OLD, 0x92, FLAG_G | FLAG_D, 0, 0xfffff },
	{ SEL_CODE_OLD, 0x9a, FLAG_G | FLAG_D, 0, 0xfffff },
	{ SEL_STACK32, 0x92, FLAG_D, STACK, 0x1fff },
};

static void reset_gates(void)
{
	uint32_t to = (uint32_t)target32;

	set_gate(GDT, SEL_CALL32, SEL_CODE, to, 0x8c);
	set_gate(GDT, SEL_CALL16, SEL_CODE16, (uint32_t)target16 - CODE16_BASE, 0x84);
	set_gate(GDT, SEL_CALL_NP, SEL_CODE, to, 0x0c);
	set_gate(GDT, SEL_TASK, SEL_TSS32, 0, 0x85);
	set_gate(GDT, SEL_CALL_NULL, 0, to, 0x8c);
	set_gate(GDT, SEL_CALL_DATA, SEL_DATA, to, 0x8c);
	set_gate(GDT, SEL_CALL_CODE_NP, SEL_CODE_NP, to, 0x8c);
	set_gate(GDT, SEL_CALL_CODE3, SEL_CODE3, to, 0x8c);
	set_gate(GDT, SEL_INT32, SEL_CODE, to, 0x8e);
	set_gate(GDT, SEL_TRAP32, SEL_CODE, to, 0x8f);
	set_gate(GDT, SEL_CALL_BEYOND, SEL_BEYOND, to, 0x8c);
	set_gate(GDT, SEL_CALL_LIMIT, SEL_CODE_SMALL, 0x100, 0x8c);
	set_gate(GDT, SEL_INT16, SEL_CODE, 0, 0x86);
	set_gate(GDT, SEL_TRAP16, SEL_CODE, 0, 0x87);
	set_gate(GDT, SEL_CALL_CONF, SEL_CONF, to, 0x8c);
	set_gate(GDT, SEL_CALL_3, SEL_CODE, to, 0xec);
}

void tables_reset(void)
{
	memset((void *)GDT, 0, GDT_ENTRIES * 8);
	for (size_t i = 0; i < sizeof(segments) / sizeof(segments[0]); i++)
		set_descriptor(GDT, segments[i].sel, segments[i].base, segments[i].limit,
			       segments[i].access, segments[i].flags);
	set_descriptor(GDT, SEL_CODE16, CODE16_BASE, 0xffff, 0x9b, 0);
	/* The first offset beyond the limit is that of target32, for a CPU that does not check. */
	set_descriptor(GDT, SEL_CODE_SMALL, (uint32_t)target32 - 0x100, 0xff, 0x9b, FLAG_D);
	reset_gates();
	set_descriptor(LDT, LDT_DATA, ARENA, 0xfffff, 0x92, FLAG_G | FLAG_D);
	set_descriptor(LDT, LDT_CODE, 0, 0xfffff, 0x9a, FLAG_G | FLAG_D);
	set_descriptor(LDT, LDT_NP, 0, 0xfffff, 0x12, FLAG_G | FLAG_D);
	set_descriptor(LDT, LDT_DATA3, 0, 0xfffff, 0xf2, FLAG_G | FLAG_D);
	for (unsigned v = 0; v < 256; v++)
		set_vector(v, SEL_CODE, STUB(v), GATE32);
}

void tables_init(void)
{
	tables_reset();
	__asm__ volatile("lgdt	good_gdtr\n\t"
			 "lidt	good_idtr\n\t"
			 "ljmp	%0, $1f\n"
			 "1:	movl	%1, %%eax\n\t"
			 "movl	%%eax, %%ds\n\t"
			 "movl	%%eax, %%es\n\t"
			 "movl	%%eax, %%ss\n\t"
			 "xorl	%%eax, %%eax\n\t"
			 "movl	%%eax, %%fs\n\t"
			 "movl	%%eax, %%gs\n\t"
			 "lldt	%%ax"
			 :
			 : "i"(SEL_CODE), "i"(SEL_DATA)
			 : "eax", "memory");
}
