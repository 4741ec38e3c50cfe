/* SPDX-License-Identifier: MIT */
/*
 * The global descriptor table: what each selector means.  Protected mode cannot do without
 * segments, but it can make them all start at 0 and span 4 GiB; the others here exist so that the
 * self-checks have something to load.
 * Source: SDM Vol. 3A, "Segment Descriptors" (3.4.5), "System Descriptor Types" (3.5).
 */
#include "minios.h"
#include "x86.h"

/* Access byte: bit 7 present, bits 6-5 privilege level, bit 4 code/data, bits 3-0 type. */
enum {
	ACCESS_CODE = 0x9b,  /* execute, read, accessed */
	ACCESS_DATA = 0x93,  /* read, write, accessed */
	ACCESS_FRESH = 0x92, /* read, write, not yet accessed: the CPU sets bit 0 on a load */
	ACCESS_ABSENT = 0x12,
	ACCESS_USER_CODE = 0xfb, /* as above, privilege level 3 */
	ACCESS_USER_DATA = 0xf3,
	ACCESS_TSS = 0x89, /* 32-bit TSS, available; LTR makes it 0x8b, busy */
	ACCESS_LDT = 0x82,
};

struct descriptor {
	uint16_t limit_low, base_low;
	uint8_t base_mid, access, flags_limit, base_high;
} __attribute__((packed));

struct table_register {
	uint16_t limit; /* bytes - 1 */
	uint32_t base;
} __attribute__((packed));

/*
 * A table for each processor, because LTR marks a TSS as busy and each needs its own: the stacks
 * for traps are in there.  The rest of the tables is the same.
 */
static struct descriptor gdt[CPUS_MAX][12], ldt[1];

/*
 * The task state segment, of which only this matters to a kernel that switches tasks by itself:
 * the stack for traps from user mode, and how much user mode may do with ports.  The self-checks
 * never leave ring 0: to them all zeroes will do.
 * Source: SDM Vol. 3A, "Task-State Segment (TSS)" (7.2.1).
 */
enum { TSS_ESP0 = 1, TSS_SS0 = 2, TSS_IO_MAP = 25 };
static uint32_t tss[CPUS_MAX][26];

/* @limit in bytes - 1; above 1 MiB it is counted in pages, so its low 12 bits must be ones. */
static struct descriptor describe(uint32_t base, uint32_t limit, uint8_t access, bool big)
{
	uint8_t flags = big ? 0x40 : 0; /* D/B: 32-bit */
	if (limit > 0xfffff) {
		flags |= 0x80; /* G */
		limit >>= 12;
	}
	return (struct descriptor){
		.limit_low = (uint16_t)limit,
		.base_low = (uint16_t)base,
		.base_mid = (uint8_t)(base >> 16),
		.access = access,
		.flags_limit = (uint8_t)(flags | limit >> 16),
		.base_high = (uint8_t)(base >> 24),
	};
}

void gdt_set_window(uint32_t base, uint32_t limit)
{
	gdt[0][SEL_WINDOW / 8] = describe(base, limit, ACCESS_FRESH, true);
}

void ldt_set_window(uint32_t base, uint32_t limit)
{
	ldt[0] = describe(base, limit, ACCESS_FRESH, true);
}

uint8_t gdt_access(enum selector sel)
{
	/* The CPU changes descriptors behind the compiler's back. */
	return ((volatile struct descriptor *)gdt[0])[sel / 8].access;
}

void tss_init(unsigned cpu)
{
	tss[cpu][TSS_SS0] = SEL_DATA;
	/*
	 * A clear bit in the I/O permission bitmap allows a port to everyone, so a bitmap at offset
	 * 0 of a TSS full of zeroes would allow hundreds of them.  One that begins behind the end
	 * allows none.
	 */
	tss[cpu][TSS_IO_MAP] = sizeof(tss[0]) << 16;
	__asm__ volatile("ltr %w0" : : "r"(SEL_TSS) : "memory");
}

void tss_set_stack(unsigned cpu, uint32_t top)
{
	/* The CPU reads it, the compiler sees no one. */
	((volatile uint32_t *)tss[cpu])[TSS_ESP0] = top;
}

void gdt_init(unsigned cpu)
{
	struct descriptor *t = gdt[cpu];
	struct table_register gdtr = { sizeof(gdt[0]) - 1, (uint32_t)t };

	t[SEL_CODE / 8] = describe(0, 0xffffffff, ACCESS_CODE, true);
	t[SEL_DATA / 8] = describe(0, 0xffffffff, ACCESS_DATA, true);
	t[SEL_USER_CODE / 8] = describe(0, 0xffffffff, ACCESS_USER_CODE, true);
	t[SEL_USER_DATA / 8] = describe(0, 0xffffffff, ACCESS_USER_DATA, true);
	t[SEL_ABSENT / 8] = describe(0, 0xffffffff, ACCESS_ABSENT, true);
	t[SEL_TSS / 8] = describe((uint32_t)tss[cpu], sizeof(tss[0]) - 1, ACCESS_TSS, false);
	t[SEL_LDT / 8] = describe((uint32_t)ldt, sizeof(ldt) - 1, ACCESS_LDT, false);
	t[SEL_CODE2 / 8] = describe(0, 0xffffffff, ACCESS_CODE, true);

	/* A new table means nothing until the registers are loaded again; CS by a far jump. */
	__asm__ volatile("lgdt	%0\n\t"
			 "ljmp	%1, $1f\n"
			 "1:	movl	%2, %%eax\n\t"
			 "movl	%%eax, %%ds\n\t"
			 "movl	%%eax, %%es\n\t"
			 "movl	%%eax, %%ss\n\t"
			 "xorl	%%eax, %%eax\n\t"
			 "movl	%%eax, %%fs\n\t"
			 "movl	%%eax, %%gs"
			 :
			 : "m"(gdtr), "i"(SEL_CODE), "i"(SEL_DATA)
			 : "eax", "memory");
}
