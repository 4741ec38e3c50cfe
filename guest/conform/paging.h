/* SPDX-License-Identifier: MIT */
/*
 * What the lists of cases with paging share: page tables at fixed places, and a short way into an
 * access and back.  The low 16 MiB are mapped as they are; only the pages of code, memory operands
 * and stack that cases at CPL 3 use have U/S set.
 */
#ifndef CONFORM_PAGING_H
#define CONFORM_PAGING_H

#include "conform.h"

#define PG_PD   0x300000u /* 32-bit tables */
#define PG_PT   0x301000u /* four, for 16 MiB */
#define PG_TEST 0x308000u /* the page table of TEST_GVA */
#define PAE_TOP 0x310000u /* PAE tables */
#define PAE_PD  0x311000u
#define PAE_PT  0x312000u /* eight */
#define PAE_TST 0x31a000u

#define TEST_GVA 0x08000000u /* here the cases map what they like */
#define TEST_GPA 0x00800000u /* there, if nothing else is said: data, then a page of code */

enum { CR0_WP = 0x10000, CR4_PSE = 0x10, CR4_PAE = 0x20, CR4_PGE = 0x80 };
#define CR0_PG 0x80000000u

enum entry_bit {
	E_P = 1,
	E_W = 2,
	E_U = 4,
	E_A = 0x20,
	E_D = 0x40,
	E_PS = 0x80,
	E_G = 0x100,
};
#define E_NX (1ull << 63)

enum paging_mode { SMALL_32, LARGE_32, SMALL_PAE, LARGE_PAE, PAGING_MODES };
extern const char *const paging_names[PAGING_MODES];

static inline bool mode_is_pae(enum paging_mode m)
{
	return m >= SMALL_PAE;
}

static inline bool mode_is_large(enum paging_mode m)
{
	return m == LARGE_32 || m == LARGE_PAE;
}

/* Paging with CR0.WP, the entry of TEST_GVA cleared; TSS loaded, DS and ES of DPL 3. */
void paging_on(enum paging_mode m);
void paging_off(void);
void set_wp(bool on);

/* Directory entry of TEST_GVA, and entry @page of its page table, in the mode that is on. */
void set_test_pde(uint64_t e);
void set_test_pte(unsigned page, uint64_t e);
uint64_t test_pde(void);
uint64_t test_pte(unsigned page);
/* The page table of the test area, as a directory entry without flags. */
uint32_t test_table(void);
/* U/S of the page at @gva below 16 MiB. */
void set_user(uint32_t gva, bool user);

/* ---- pf.S ---- */

/* Where to go, with which stack, EBX and EAX. */
struct access {
	uint32_t eip, cs, esp, ss, ebx, eax;
};
/* Returns when INT 0x31 or an exception is met: `seen` has vector, error, eip, eax; CR2 here. */
void pf_go(const struct access *a);
extern uint32_t pf_cr2;
extern char pf_fault[], pf_done[];
extern char pf_read[], pf_write[], pf_rmw[], pf_add[], pf_jump[];
extern char user_code_start[], user_code_end[];

/* @text and then INT 0x31, as code for both privilege levels; percent signs are doubled. */
#define SNIPPET(text)                                               \
	({                                                          \
		uint32_t at_;                                       \
		__asm__ volatile(".pushsection user_code, \"ax\"\n" \
				 "661:	" text "\n	int	$0x31\n"     \
				 "	.popsection\n	movl	$661b, %0"    \
				 : "=r"(at_));                      \
		(const char *)at_;                                  \
	})

/* Go and access @gva by the code at @eip (pf_read, ...), at CPL 0 or 3. */
void access_at(const char *eip, bool user, uint32_t gva);
/* ".", or "#PF(x)" and CR2 as an offset from TEST_GVA; in a static buffer. */
const char *access_result(void);

/* ---- pf_nested.c ---- */

void cases_delivery(void);

#endif
