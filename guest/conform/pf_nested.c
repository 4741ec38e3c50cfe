/* SPDX-License-Identifier: MIT */
/*
 * PDPTE registers, and page faults where the CPU itself reads and writes: gates, descriptors, the
 * TSS and the frame.
 * Source: SDM Vol. 3A, "PDPTE Registers" (4.4.1), "Interrupt 8" (6.15), "Page-Fault Exceptions"
 * (4.7): such accesses are supervisor-mode accesses at any CPL.
 */
#include "ring.h"
#include "../minios/x86.h"

#define USER (E_P | E_W | E_U)

struct __attribute__((packed)) table_reg {
	uint16_t limit;
	uint32_t base;
};

/* ---- PDPTEs ---- */

static volatile uint64_t *pdpte(unsigned i)
{
	return (volatile uint64_t *)PAE_TOP + i;
}

/* @insn with EAX = @val, which may fault; whether it does. */
#define TRY_CR(insn, val)                                                                    \
	({                                                                                   \
		struct access a_ = {                                                         \
			(uint32_t)SNIPPET(insn), SEL_CODE, RING_STACK(0), SEL_DATA, 0, (val) \
		};                                                                           \
		pf_go(&a_);                                                                  \
		if (seen.vector != 0x31)                                                     \
			user_segments();                                                     \
		seen.vector == 0x31 ? "ok" : name("vector %u(%x)", seen.vector, seen.error); \
	})

static void pdpte_bits(void)
{
	char text[65];

	paging_on(SMALL_PAE);
	for (unsigned bit = 0; bit < 64; bit++) {
		*pdpte(3) = E_P | 1ull << bit;
		TRY_CR("movl %%eax, %%cr3", PAE_TOP);
		text[bit] = seen.vector == 0x31 ? '-' : "0123456789abcdef"[seen.vector & 15];
	}
	text[64] = 0;
	line("pdpte/mov cr3/bits of 3", "%s", text);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t old = *pdpte(i);

		*pdpte(3) = 0;
		*pdpte(i) = old | E_P | E_U;
		TRY_CR("movl %%eax, %%cr3", PAE_TOP);
		line(name("pdpte/mov cr3/reserved in %u", i), "vector %x(%x) cr3 %x", seen.vector,
		     seen.error, READ_CR(3));
		*pdpte(i) = i ? 0 : PAE_PD | E_P;
	}
	*pdpte(1) = E_W | E_U | 0xe0; /* not present: nothing is reserved */
	line("pdpte/mov cr3/not present", "%s", TRY_CR("movl %%eax, %%cr3", PAE_TOP));
	*pdpte(1) = E_P | E_W;
	line("pdpte/mov cr4 pge", "%s", TRY_CR("movl %%eax, %%cr4", READ_CR(4) ^ CR4_PGE));
	line("pdpte/mov cr4 pse", "%s", TRY_CR("movl %%eax, %%cr4", READ_CR(4) ^ CR4_PSE));
	line("pdpte/mov cr4 tsd", "%s", TRY_CR("movl %%eax, %%cr4", READ_CR(4) ^ 4));
	WRITE_CR(4, READ_CR(4) & ~4u);
	line("pdpte/mov cr0 wp", "%s", TRY_CR("movl %%eax, %%cr0", READ_CR(0) ^ CR0_WP));
	paging_off();
}

/* The registers are loaded by MOV CR3, and what memory says later does not matter. */
static void pdpte_cached(void)
{
	uint32_t gva = 0xc0000000u + (TEST_GVA & 0x3fffffff);

	paging_on(SMALL_PAE);
	set_test_pde(PAE_TST | USER);
	set_test_pte(0, TEST_GPA | USER);
	*pdpte(3) = PAE_PD | E_P;
	access_at(pf_read, false, gva);
	line("pdpte/written, not loaded", "vector %x(%x)", seen.vector, seen.error);
	WRITE_CR(3, PAE_TOP);
	access_at(pf_read, false, gva);
	line("pdpte/written and loaded", "vector %x", seen.vector);
	*pdpte(3) = 0;
	access_at(pf_write, true, gva + 8);
	line("pdpte/cleared, not loaded", "vector %x", seen.vector);
	WRITE_CR(3, PAE_TOP);
	access_at(pf_read, true, gva);
	line("pdpte/cleared and loaded", "vector %x(%x)", seen.vector, seen.error);
	line("pdpte/a and d", "%x", (uint32_t)*pdpte(0) & 0xfff);
	paging_off();
}

void cases_pdpte(void)
{
	pdpte_bits();
	pdpte_cached();
}

/* ---- delivery ---- */

/* Two pages at TEST_GVA, one of them present. */
static void two_pages(bool first, bool second)
{
	set_test_pde(test_table() | USER);
	set_test_pte(0, first ? TEST_GPA | E_P | E_W : 0);
	set_test_pte(1, second ? (TEST_GPA + 0x1000) | E_P | E_W : 0);
	invlpg(TEST_GVA);
	invlpg(TEST_GVA + 0x1000);
}

/* Copy @len bytes from @table so that byte @split is the first of the second page; its new address.
 */
static uint32_t split_table(uint32_t table, uint32_t len, uint32_t split)
{
	memcpy((void *)(TEST_GPA + 0x1000 - split), (const void *)table, len);
	return TEST_GVA + 0x1000 - split;
}

static void good_tables(void)
{
	const struct table_reg gdtr = { GDT_ENTRIES * 8 - 1, GDT }, idtr = { 0x7ff, IDT };

	__asm__ volatile("lgdt %0; lidt %1" : : "m"(gdtr), "m"(idtr));
}

static void show(const char *what, bool user, const char *code)
{
	line(name("delivery/%s/cpl%u", what, user ? 3 : 0), "vector %x(%x) cr2 %x at +%u",
	     seen.vector, seen.error, seen.vector == 14 || seen.vector == 8 ? READ_CR(2) : 0,
	     seen.eip - (uint32_t)code);
}

/* With the IDT so that vectors from @split on are in the second page. */
static void with_idt(const char *what, const char *code, unsigned split, bool first, uint32_t gva)
{
	for (unsigned user = 0; user < 2; user++) {
		struct table_reg idtr = { 0x7ff, 0 };

		idtr.base = split_table(IDT, 0x800, split * 8);
		two_pages(first, !first);
		__asm__ volatile("lidt %0" : : "m"(idtr));
		access_at(code, user, gva);
		good_tables();
		show(what, user, code);
	}
}

static void idt_pages(void)
{
	const char *int40 = SNIPPET("int $0x40"), *ud = SNIPPET("ud2"),
		   *gp = SNIPPET("movl %%ebx, %%fs"),
		   *de = SNIPPET("xorl %%ecx, %%ecx; divl %%ecx"), *int3 = SNIPPET("int3");

	set_vector(0x40, SEL_CODE, STUB(0x40), GATE32 | 0x60);
	set_vector(3, SEL_CODE, STUB(3), GATE32 | 0x60);
	with_idt("int, gate absent", int40, 0x20, true, 0);
	with_idt("#UD, gate absent", ud, 14, false, 0);
	with_idt("#GP, gate absent", gp, 14, false, SEL_CODE_NP);
	with_idt("#DE, gate absent", de, 14, false, 0);
	with_idt("int3, gate absent", int3, 14, false, 0);
	with_idt("#PF, gate absent", pf_read, 9, true, 0x0f000000);
	with_idt("#GP, gates absent", gp, 9, true, SEL_CODE_NP);
	with_idt("#UD and #PF, gates absent", ud, 0x20, true, 0);
}

/* A bad gate for #PF: the second exception is contributory, so #DF. */
static void bad_pf_gate(void)
{
	static const struct {
		const char *what;
		uint32_t sel;
		unsigned access;
	} gates[] = { { "#PF, gate np", SEL_CODE, 0x0e },
		      { "#PF, gate type", SEL_CODE, 0x8a },
		      { "#PF, gate to np", SEL_CODE_NP, GATE32 },
		      { "#PF, gate to null", 0, GATE32 },
		      { "#PF, gate to data", SEL_DATA, GATE32 } };

	for (size_t i = 0; i < sizeof(gates) / sizeof(gates[0]); i++) {
		for (unsigned user = 0; user < 2; user++) {
			set_vector(14, gates[i].sel, (uint32_t)pf_fault, gates[i].access);
			access_at(pf_read, user, 0x0f000000);
			show(gates[i].what, user, pf_read);
			set_vector(14, SEL_CODE, (uint32_t)pf_fault, GATE32);
		}
	}
}

/* Descriptors from 0x100 on are in an absent page, or all are in one that is read-only. */
static void gdt_pages(void)
{
	const char *load = SNIPPET("movl %%ebx, %%fs"), *lar = SNIPPET("larl %%ebx, %%eax"),
		   *jump = SNIPPET("pushl %%ebx; pushl $0x1000; lret");
	struct table_reg gdtr = { GDT_ENTRIES * 8 - 1, 0 };

	for (unsigned user = 0; user < 2; user++) {
		gdtr.base = split_table(GDT, GDT_ENTRIES * 8, 0x100);
		two_pages(true, false);
		__asm__ volatile("lgdt %0" : : "m"(gdtr));
		access_at(load, user, SEL_PAGES);
		good_tables();
		show("load, descriptor absent", user, load);
		__asm__ volatile("lgdt %0" : : "m"(gdtr));
		if (!user) { /* in the user view LAR is the host's */
			access_at(lar, user, SEL_PAGES);
			good_tables();
			show("lar, descriptor absent", user, lar);
			__asm__ volatile("lgdt %0" : : "m"(gdtr));
		}
		access_at(jump, user, SEL_CODE_SMALL | 3);
		good_tables();
		show("lret, descriptor absent", user, jump);
	}
	__asm__ volatile("movl %0, %%fs" : : "r"(0));
}

/* Ring 1 is entered by INT 0x41; its stack, or the part of the TSS that names it, is absent. */
static void inner_stack(void)
{
	const char *int41 = SNIPPET("int $0x41");

	set_vector(0x41, SEL_CODE1, STUB(0x41), GATE32 | 0x60);
	two_pages(true, false);
	*(volatile uint32_t *)(TSS + 12) = TEST_GVA + 0x2000;
	access_at(int41, true, 0);
	show("int to ring 1, stack absent", true, int41);
	*(volatile uint32_t *)(TSS + 12) = TEST_GVA + 0x1008;
	access_at(int41, true, 0);
	show("int to ring 1, stack ends in absent page", true, int41);
	set_test_pte(1, (TEST_GPA + 0x1000) | E_P | E_U);
	invlpg(TEST_GVA + 0x1000);
	*(volatile uint32_t *)(TSS + 12) = TEST_GVA + 0x2000;
	access_at(int41, true, 0);
	show("int to ring 1, stack read-only", true, int41);
	two_pages(true, false);
	split_table(TSS, 0x68 + 0x100, 12);
	set_descriptor(GDT, SEL_TSS32, TEST_GVA + 0x1000 - 12, 0x167, 0x89, 0);
	__asm__ volatile("ltr %%ax" : : "a"(SEL_TSS32));
	access_at(int41, true, 0);
	show("int to ring 1, tss absent", true, int41);
	access_at(SNIPPET("inb $0x80, %%al"), true, 0);
	line("delivery/in, bitmap absent/cpl3", "%s", access_result());
	ring_tables();
}

void cases_delivery(void)
{
	paging_on(SMALL_32);
	idt_pages();
	bad_pf_gate();
	gdt_pages();
	inner_stack();
	paging_off();
}
