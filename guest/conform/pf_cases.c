/* SPDX-License-Identifier: MIT */
/*
 * Paging beyond the matrix: reserved bits, accesses that cross pages, A and D, what INVLPG, MOV CR3
 * and the bits of CR4 must make visible.
 * Source: SDM Vol. 3A, "Paging" (4).
 */
#include "paging.h"
#include "../minios/x86.h"

#define PAGE_A TEST_GPA /* two frames with different contents */
#define PAGE_B (TEST_GPA + 0x100000u)
#define USER   (E_P | E_W | E_U)

static volatile uint32_t *at(uint32_t gpa)
{
	return (volatile uint32_t *)gpa;
}

/* ---- reserved bits ---- */

/* Read with bit @lo to @hi set in turn in the entry of level @pde; the error codes. */
static void reserved_bits(const char *what, bool pde, bool large, unsigned lo, unsigned hi)
{
	uint64_t d = large ? TEST_GPA | USER | E_PS : test_table() | USER, t = TEST_GPA | USER;
	char text[3 * 64 + 1];
	unsigned n = 0;

	for (unsigned bit = lo; bit <= hi; bit++) {
		set_test_pde(d | (pde ? 1ull << bit : 0));
		set_test_pte(0, t | (pde ? 0 : 1ull << bit));
		invlpg(TEST_GVA);
		access_at(pf_read, bit & 1, TEST_GVA);
		text[n++] = seen.vector == 0x31 ? '-' : "0123456789abcdef"[seen.error >> 4 & 15];
		text[n++] = seen.vector == 0x31 ? '-' : "0123456789abcdef"[seen.error & 15];
		text[n++] = ' ';
	}
	text[n - 1] = 0;
	line(name("reserved/%s/%u-%u", what, lo, hi), "%s", text);
}

static void reserved(void)
{
	paging_on(LARGE_32);
	reserved_bits("4m pde", true, true, 17, 21);
	paging_off();
	paging_on(SMALL_32);
	/* None: the AVL bits, PAT, and PS without CR4.PSE. */
	reserved_bits("pde", true, false, 7, 11);
	reserved_bits("pte", false, false, 7, 11);
	paging_off();
	paging_on(SMALL_PAE);
	reserved_bits("pae pde", true, false, 36, 63);
	reserved_bits("pae pte", false, false, 36, 63);
	reserved_bits("pae pte", false, false, 7, 11);
	reserved_bits("pae 2m pde", true, true, 13, 20);
	reserved_bits("pae 2m pde", true, true, 36, 63);
	paging_off();
}

/* ---- A in the directory when the walk ends below ---- */

static void directory_accessed(void)
{
	static const struct {
		const char *what;
		unsigned pde, pte;
	} entries[] = { { "absent", USER, 0 },
			{ "supervisor", USER, E_P | E_W },
			{ "read-only", USER, E_P | E_U },
			{ "read-only above", E_P | E_U, USER } };

	paging_on(SMALL_32);
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		set_test_pde(test_table() | entries[i].pde);
		set_test_pte(0, PAGE_A | entries[i].pte);
		invlpg(TEST_GVA);
		access_at(pf_write, true, TEST_GVA);
		line(name("a of pde/%s", entries[i].what), "%s pde %x pte %x", access_result(),
		     (uint32_t)test_pde() & 0xfff, (uint32_t)test_pte(0) & 0xfff);
	}
	paging_off();
}

/* ---- page crossing ---- */

enum { PRESENT, READ_ONLY, SUPERVISOR, ABSENT, STATES };
static const char *const state_names[STATES] = { "rw", "ro", "sup", "np" };
static const unsigned state_bits[STATES] = { USER, E_P | E_U, E_P | E_W, 0 };

/* A and D of the two pages show only if nothing faulted: before, they may be set or not. */
static void cross_one(const char *what, const char *code, bool user, unsigned first,
		      unsigned second, uint32_t gva)
{
	set_test_pte(0, PAGE_A | state_bits[first]);
	set_test_pte(1, (PAGE_A + 0x1000) | state_bits[second]);
	/* The last two bytes of the one and the first two of the other; INT 0x31 across. */
	*at(PAGE_A + 0xffc) = 0xcd909090;
	*at(PAGE_A + 0x1000) = 0x90909031;
	invlpg(TEST_GVA);
	invlpg(TEST_GVA + 0x1000);
	access_at(code, user, gva);
	if (seen.vector == 14)
		line(name("cross/%s/cpl%u/%s,%s", what, user ? 3 : 0, state_names[first],
			  state_names[second]),
		     "#PF(%x)+%x memory %08x %08x", seen.error, pf_cr2 - TEST_GVA,
		     *at(PAGE_A + 0xffc), *at(PAGE_A + 0x1000));
	else
		line(name("cross/%s/cpl%u/%s,%s", what, user ? 3 : 0, state_names[first],
			  state_names[second]),
		     "vector %x eax %08x memory %08x %08x a,d %x %x", seen.vector, seen.eax,
		     *at(PAGE_A + 0xffc), *at(PAGE_A + 0x1000), (uint32_t)test_pte(0) >> 5 & 3,
		     (uint32_t)test_pte(1) >> 5 & 3);
}

static void crossing(void)
{
	const char *copy_to = SNIPPET("movl %%ebx, %%edi; movl $0x200000, %%esi; movsl"),
		   *copy_from = SNIPPET("movl %%ebx, %%esi; movl $0x200000, %%edi; movsl"),
		   *push = SNIPPET("leal 4(%%ebx), %%esp; pushl %%eax; movl $0x207000, %%esp"),
		   *pop = SNIPPET("movl %%ebx, %%esp; popl %%eax; movl $0x207000, %%esp"),
		   *read8 = SNIPPET("movw (%%ebx), %%ax; movb 3(%%ebx), %%al");

	paging_on(SMALL_32);
	set_test_pde(test_table() | USER);
	for (unsigned i = 0; i < 2 * STATES * STATES; i++) {
		bool user = i / STATES / STATES;
		unsigned a = i / STATES % STATES, b = i % STATES;
		uint32_t gva = TEST_GVA + 0xffe;

		cross_one("read", pf_read, user, a, b, gva);
		cross_one("write", pf_write, user, a, b, gva);
		cross_one("fetch", pf_jump, user, a, b, TEST_GVA + 0xfff);
		cross_one("movs to", copy_to, user, a, b, gva);
		cross_one("movs from", copy_from, user, a, b, gva);
		cross_one("two reads", read8, user, a, b, gva);
		if (user) { /* at CPL 0 the exception would use that stack */
			cross_one("push", push, user, a, b, gva);
			cross_one("pop", pop, user, a, b, gva);
		}
	}
	paging_off();
}

/* ---- what must be seen after which change ---- */

/* Access and print; @how is the case's name.  After a fault A of the PDE may be set or not. */
static void look(const char *how, const char *code, bool user)
{
	access_at(code, user, TEST_GVA);
	line(how, "%s eax %08x pde %x pte %x", access_result(), seen.eax,
	     (uint32_t)test_pde() & (seen.vector == 14 ? 0xfdf : 0xfff),
	     (uint32_t)test_pte(0) & 0xfff);
}

/* Map PAGE_A with @flags and use it, so that a TLB would know it. */
static void use(unsigned flags, const char *code, bool user)
{
	set_test_pde(test_table() | USER);
	set_test_pte(0, PAGE_A | flags);
	invlpg(TEST_GVA);
	access_at(code, user, TEST_GVA);
}

static void reload_cr3(void)
{
	WRITE_CR(3, READ_CR(3));
}

static void toggle_pge(void)
{
	WRITE_CR(4, READ_CR(4) ^ CR4_PGE);
	WRITE_CR(4, READ_CR(4) ^ CR4_PGE);
}

static void flush_page(void)
{
	invlpg(TEST_GVA + 0xabc);
}

static const struct {
	const char *what;
	void (*flush)(void);
	bool global; /* does it reach global pages? */
} flushes[] = { { "invlpg", flush_page, true },
		{ "cr3", reload_cr3, false },
		{ "pge", toggle_pge, true } };

static void flushed(const char *mode, bool user)
{
	const char *cpl = user ? "3" : "0";

	for (size_t i = 0; i < sizeof(flushes) / sizeof(flushes[0]); i++) {
		const char *f = flushes[i].what;

		use(USER, pf_read, user);
		set_test_pte(0, PAGE_B | USER);
		flushes[i].flush();
		look(name("flush/%s/%s/cpl%s/other page", mode, f, cpl), pf_read, user);
		use(USER, pf_write, user);
		set_test_pte(0, PAGE_A);
		flushes[i].flush();
		look(name("flush/%s/%s/cpl%s/gone", mode, f, cpl), pf_read, user);
		use(USER, pf_write, user);
		set_test_pte(0, PAGE_A | E_P | E_U);
		flushes[i].flush();
		look(name("flush/%s/%s/cpl%s/read-only", mode, f, cpl), pf_write, user);
		use(USER, pf_write, user);
		set_test_pte(0, PAGE_A | USER);
		flushes[i].flush();
		look(name("flush/%s/%s/cpl%s/clean, read", mode, f, cpl), pf_read, user);
		look(name("flush/%s/%s/cpl%s/clean, write", mode, f, cpl), pf_write, user);
		use(USER, pf_write, user);
		set_test_pde(test_table() | E_P | E_U);
		flushes[i].flush();
		look(name("flush/%s/%s/cpl%s/pde read-only", mode, f, cpl), pf_write, user);
		use(USER, pf_write, user);
		set_test_pde(0);
		flushes[i].flush();
		look(name("flush/%s/%s/cpl%s/pde gone", mode, f, cpl), pf_read, user);
		if (flushes[i].global) {
			use(USER | E_G, pf_read, user);
			set_test_pte(0, PAGE_B | USER | E_G);
			flushes[i].flush();
			look(name("flush/%s/%s/cpl%s/global", mode, f, cpl), pf_read, user);
		}
	}
	/* Not present to present needs no flush: such entries are not cached. */
	use(0, pf_read, user);
	set_test_pte(0, PAGE_B | USER);
	look(name("flush/%s/none/cpl%s/not present to present", mode, cpl), pf_read, user);
	set_test_pde(0);
	flush_page();
	access_at(pf_read, user, TEST_GVA);
	set_test_pde(test_table() | USER);
	look(name("flush/%s/none/cpl%s/pde not present to present", mode, cpl), pf_read, user);
}

static void invalidation(enum paging_mode m)
{
	paging_on(m);
	WRITE_CR(4, READ_CR(4) | CR4_PGE);
	*at(PAGE_A) = 0xaaaaaaaa;
	*at(PAGE_B) = 0xbbbbbbbb;
	flushed(paging_names[m], false);
	*at(PAGE_A) = 0xaaaaaaaa;
	flushed(paging_names[m], true);
	paging_off();
}

/* CR0.WP while a page is in use. */
static void wp_toggle(void)
{
	paging_on(SMALL_32);
	for (unsigned i = 0; i < 4; i++) {
		use(E_P | E_U, pf_read, i & 2);
		set_wp(i & 1);
		look(name("wp/write/%u", i), pf_write, i & 2);
		set_wp(!(i & 1));
		look(name("wp/write/%u again", i), pf_write, i & 2);
	}
	paging_off();
}

/* ---- bits of CR4 that change what the tables mean ---- */

static void pse_toggle(void)
{
	paging_on(SMALL_32);
	/* A large page without PSE is a page table at the same place. */
	*at(PAGE_A) = PAGE_B | USER;
	*at(PAGE_B) = 0xbbbbbbbb;
	set_test_pde(PAGE_A | USER | E_PS);
	for (unsigned i = 0; i < 4; i++) {
		WRITE_CR(4, i & 1 ? READ_CR(4) | CR4_PSE : READ_CR(4) & ~(uint32_t)CR4_PSE);
		access_at(pf_read, i & 2, TEST_GVA);
		line(name("pse/%u", i), "%s eax %08x pde %x", access_result(), seen.eax,
		     (uint32_t)test_pde() & 0xfff);
	}
	paging_off();
}

/* The same CR3 as 32-bit and as PAE tables: the PDPTEs lie where 32 MiB and up would be mapped. */
static void pae_toggle(void)
{
	paging_on(SMALL_32);
	memcpy((void *)(PG_PD + 0x40), (const void *)PAE_TOP, 32);
	WRITE_CR(3, PG_PD + 0x40);
	*at(PAGE_A) = 0xaaaaaaaa;
	*at(PAGE_B) = 0xbbbbbbbb;
	*at(PG_PD + 4 * (TEST_GVA >> 22)) = PG_TEST | USER;
	*at(PG_TEST) = PAGE_A | USER;
	*at(PAE_PD + 8 * (TEST_GVA >> 21)) = PAE_TST | USER;
	*at(PAE_TST) = PAGE_B | USER;
	for (unsigned i = 0; i < 4; i++) {
		WRITE_CR(4, i & 1 ? READ_CR(4) | CR4_PAE : READ_CR(4) & ~(uint32_t)CR4_PAE);
		access_at(pf_read, i & 2, TEST_GVA);
		line(name("pae/%u", i), "%s eax %08x", access_result(), seen.eax);
	}
	WRITE_CR(4, READ_CR(4) & ~(uint32_t)CR4_PAE);
	paging_off();
}

void cases_paging(void)
{
	reserved();
	directory_accessed();
	crossing();
	invalidation(SMALL_32);
	wp_toggle();
	pse_toggle();
	cases_delivery();
}

/*
 * A list of its own, because QEMU's TCG sets A in PDPTEs, where it is reserved: in a guest of KVM
 * on TCG each MOV CR4 that touches PGE or PAE is then #GP, for KVM loads them by the manual.
 */
void cases_pae(void)
{
	invalidation(SMALL_PAE);
	pae_toggle();
}
