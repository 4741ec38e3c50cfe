/* SPDX-License-Identifier: MIT */
/* Source: SDM Vol. 3A, "Segment Descriptors" (3.4.5), "Task-State Segment (TSS)" (7.2.1). */
#include "segments.h"

struct tss tss;

static uint64_t gdt[] = {
	0,
	0x00cf9b000000ffff, /* SEL_CODE: base 0, 4 GiB, code, privilege level 0 */
	0x00cf93000000ffff, /* SEL_DATA */
	0x00cffb000000ffff, /* SEL_USER_CODE: the same for level 3 */
	0x00cff3000000ffff, /* SEL_USER_DATA */
	0,                  /* SEL_TSS */
};

static void gdt_load(void)
{
	struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) gdtr = { sizeof(gdt) - 1, (uint32_t)gdt };

	__asm__ volatile("lgdt	%0\n\t"
			 "ljmp	%1, $1f\n"
			 "1:	movl	%2, %%eax\n\t"
			 "movl	%%eax, %%ss\n\t"
			 "movl	%3, %%eax\n\t"
			 "movl	%%eax, %%ds\n\t"
			 "movl	%%eax, %%es\n\t"
			 "movl	%4, %%eax\n\t"
			 "ltr	%%ax"
			 :
			 : "m"(gdtr), "i"(SEL_CODE), "i"(SEL_DATA), "i"(SEL_USER_DATA), "i"(SEL_TSS)
			 : "eax", "memory");
}

void segments_init(void)
{
	uint64_t base = (uint32_t)&tss;

	gdt[SEL_TSS / 8] = (base & 0xff000000u) << 32 | (uint64_t)0x89 << 40 |
			   (base & 0xffffffu) << 16 | (sizeof(tss) - 1);
	tss.ss0 = SEL_DATA;
	tss.io_bitmap = sizeof(tss); /* none */
	gdt_load();
}
