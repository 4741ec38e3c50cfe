/* SPDX-License-Identifier: MIT */
/* Page tables, 32-bit and PAE, and switching between them.  Source: SDM Vol. 3A, "Paging" (4). */
#include "paging.h"
#include "ring.h"
#include "../minios/x86.h"

#define EFER     0xc0000080u
#define EFER_NXE 0x800u
#define IDENTITY 0x1000000u /* bytes mapped as they are */

const char *const paging_names[PAGING_MODES] = { "4k", "4m", "pae4k", "pae2m" };

static enum paging_mode mode;

static volatile uint64_t *entry8(uint32_t table, unsigned i)
{
	return (volatile uint64_t *)table + i;
}

static volatile uint32_t *entry4(uint32_t table, unsigned i)
{
	return (volatile uint32_t *)table + i;
}

void set_user(uint32_t gva, bool user)
{
	uint32_t flags = gva | E_P | E_W | (user ? E_U : 0);

	*entry4(PG_PT, gva >> 12) = flags;
	*entry8(PAE_PT, gva >> 12) = flags;
}

/* Also what the cases of other lists leave in them is gone. */
static void make_tables(void)
{
	memset((void *)PG_PD, 0, PAE_TST + 0x1000 - PG_PD);
	for (unsigned i = 0; i < 4; i++)
		*entry4(PG_PD, i) = (PG_PT + i * 0x1000) | E_P | E_W | E_U;
	for (unsigned i = 0; i < 8; i++)
		*entry8(PAE_PD, i) = (PAE_PT + i * 0x1000) | E_P | E_W | E_U;
	*entry8(PAE_TOP, 0) = PAE_PD | E_P;
	for (uint32_t gva = 0; gva < IDENTITY; gva += 0x1000)
		set_user(gva, false);
	for (uint32_t gva = (uint32_t)user_code_start; gva < (uint32_t)user_code_end; gva += 0x1000)
		set_user(gva, true);
	set_user(ARENA, true);
	set_user(STACK, true);
	set_user(STACK + 0x1000, true);
}

void set_wp(bool on)
{
	WRITE_CR(0, (READ_CR(0) & ~(uint32_t)CR0_WP) | (on ? CR0_WP : 0));
}

static void set_nxe(bool on)
{
	uint64_t efer = rdmsr(EFER);

	efer = on ? efer | EFER_NXE : efer & ~(uint64_t)EFER_NXE;
	__asm__ volatile("wrmsr" : : "c"(EFER), "a"((uint32_t)efer), "d"(0));
}

void paging_on(enum paging_mode m)
{
	mode = m;
	make_tables();
	set_nxe(mode_is_pae(m));
	WRITE_CR(4, (READ_CR(4) & ~(uint32_t)(CR4_PSE | CR4_PAE | CR4_PGE)) |
			    (m == LARGE_32 ? CR4_PSE : 0) | (mode_is_pae(m) ? CR4_PAE : 0));
	WRITE_CR(3, mode_is_pae(m) ? PAE_TOP : PG_PD);
	WRITE_CR(0, READ_CR(0) | CR0_PG | CR0_WP);
	ring_tables();
	set_vector(14, SEL_CODE, (uint32_t)pf_fault, GATE32);
	set_vector(0x31, SEL_CODE, (uint32_t)pf_done, GATE32 | 0x60);
	user_segments();
}

void paging_off(void)
{
	WRITE_CR(0, READ_CR(0) & ~(CR0_PG | CR0_WP));
	WRITE_CR(4, READ_CR(4) & ~(uint32_t)(CR4_PSE | CR4_PAE | CR4_PGE));
	set_nxe(false);
	kernel_segments();
	tables_reset();
	fill();
}

void set_test_pde(uint64_t e)
{
	if (mode_is_pae(mode))
		*entry8(PAE_PD, TEST_GVA >> 21) = e;
	else
		*entry4(PG_PD, TEST_GVA >> 22) = (uint32_t)e;
}

void set_test_pte(unsigned page, uint64_t e)
{
	if (mode_is_pae(mode))
		*entry8(PAE_TST, page) = e;
	else
		*entry4(PG_TEST, page) = (uint32_t)e;
}

uint64_t test_pde(void)
{
	return mode_is_pae(mode) ? *entry8(PAE_PD, TEST_GVA >> 21) : *entry4(PG_PD, TEST_GVA >> 22);
}

uint64_t test_pte(unsigned page)
{
	return mode_is_pae(mode) ? *entry8(PAE_TST, page) : *entry4(PG_TEST, page);
}

uint32_t test_table(void)
{
	return mode_is_pae(mode) ? PAE_TST : PG_TEST;
}

void access_at(const char *eip, bool user, uint32_t gva)
{
	struct access a = { (uint32_t)eip, SEL_CODE, RING_STACK(0), SEL_DATA, gva, 0x87654321 };

	if (user) {
		a.cs = SEL_CODE3 | 3;
		a.ss = SEL_DATA3 | 3;
		a.esp = STACK_TOP;
	}
	pf_go(&a);
	/* The long way back, for exceptions nobody expects, has loaded others. */
	if (seen.vector != 14 && seen.vector != 0x31)
		user_segments();
}

static const char *result(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static const char *result(const char *fmt, ...)
{
	static char buf[40];
	__builtin_va_list ap;

	__builtin_va_start(ap, fmt);
	format(buf, sizeof(buf), fmt, ap);
	__builtin_va_end(ap);
	return buf;
}

const char *access_result(void)
{
	if (seen.vector == 0x31)
		return ".";
	if (seen.vector == 14 && pf_cr2 >= TEST_GVA)
		return result("#PF(%x)+%x", seen.error, pf_cr2 - TEST_GVA);
	if (seen.vector == 14)
		return result("#PF(%x) at %x", seen.error, pf_cr2);
	return result("vector %x(%x)", seen.vector, seen.error);
}
