/* SPDX-License-Identifier: MIT */
/*
 * Every combination of P, R/W, U/S and XD at both levels x CR0.WP x CPL 0 and 3 x read, write,
 * read-modify-write and fetch, in every mode.  A line is a pair of entries:
 *
 *   pf/4k/PW-/P-U: 16 outcomes
 *
 * first those with WP = 0: CPL 0 read, write, rmw, fetch, then CPL 3; then the same with WP = 1. An
 * outcome is "--" or the error code in two digits, then a digit for what was set: 1 A and 2 D in
 * the directory entry, 4 A and 8 D in the page-table entry.  After it, "!" says that memory or EAX
 * is not what it should be, "?" that CR2 is not.  A of the directory entry is not shown after a
 * fault: the processor may set it or not (pf_cases.c has cases for that).
 * A read-modify-write has "--" or "pf" and no bits, because QEMU makes it a read and then a write:
 * the line "rmw/4k" counts how many had exactly the outcome of the write before them.
 * Source: SDM Vol. 3A, "Determination of Access Rights" (4.6.1), "Page-Fault Exceptions" (4.7),
 * "Accessed and Dirty Flags" (4.8).
 */
#include "paging.h"
#include "../minios/x86.h"

enum { READ, WRITE, RMW, FETCH, ACCESSES };
static const char *const access_code[ACCESSES] = { pf_read, pf_write, pf_rmw, pf_jump };

#define OFFSET  0x24u /* in the page */
#define PATTERN 0x11223344u

static unsigned rmws, rmws_like_write;

static volatile uint32_t *const word = (volatile uint32_t *)(TEST_GPA + OFFSET);

/* The code page says INT 0x31 where it is jumped to. */
static void make_code(void)
{
	*(volatile uint32_t *)(TEST_GPA + 0x1000 + OFFSET) = 0x909031cd;
}

static bool as_it_should(unsigned access)
{
	bool ok = seen.vector == 0x31;

	switch (access) {
	case READ: return *word == PATTERN && seen.eax == (ok ? PATTERN : 0x87654321);
	case WRITE: return *word == (ok ? 0x87654321 : PATTERN);
	case RMW: return *word == PATTERN + ok;
	default: return *word == PATTERN;
	}
}

/* One access; its outcome becomes the text at @out.  Returns its length. */
static unsigned outcome(char *out, unsigned access, bool user, uint64_t pde, uint64_t pte,
			bool large)
{
	unsigned page = access == FETCH, set, n = 3;
	uint32_t gva = TEST_GVA + page * 0x1000 + OFFSET;

	set_test_pde(pde);
	set_test_pte(page, pte + (large ? 0 : page * 0x1000));
	*word = PATTERN;
	invlpg(gva);
	access_at(access_code[access], user, gva);
	set = (unsigned)(test_pde() >> 5 & 3) | (unsigned)(test_pte(page) >> 5 & 3) << 2;
	if (seen.vector == 14)
		set &= ~1u;
	out[0] = out[1] = seen.vector == 0x31 ? '-' : 'x';
	if (seen.vector == 14) {
		out[0] = "0123456789abcdef"[seen.error >> 4 & 15];
		out[1] = "0123456789abcdef"[seen.error & 15];
	}
	out[2] = "0123456789abcdef"[set];
	if (!as_it_should(access))
		out[n++] = '!';
	if (seen.vector == 14 && pf_cr2 != gva)
		out[n++] = '?';
	return n;
}

static bool same3(const char *a, const char *b)
{
	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2];
}

/* Leave out of an outcome of length @len what QEMU does in its own way. */
static unsigned plain(char *out, unsigned len)
{
	if (out[0] != '-')
		out[0] = 'p', out[1] = 'f';
	for (unsigned i = 3; i < len; i++)
		out[i - 1] = out[i];
	return len - 1;
}

static void count_rmw(const char *what)
{
	line(what, "%u of %u like the write", rmws_like_write, rmws);
	rmws = rmws_like_write = 0;
}

static void pair(const char *what, uint64_t pde, uint64_t pte, bool large)
{
	char text[16 * 6 + 1];
	unsigned n = 0, len;

	for (unsigned i = 0; i < 16; i++) {
		if (i % 8 == 0)
			set_wp(i >= 8);
		if (i)
			text[n++] = ' ';
		len = outcome(text + n, i % 4, i & 4, pde, pte, large);
		if (i % 4 == RMW) {
			rmws++;
			rmws_like_write += same3(text + n, text + n - 4);
			len = plain(text + n, len);
		}
		n += len;
	}
	text[n] = 0;
	line(what, "%s", text);
}

/* "PWUX", with a dash for each that is missing. */
static const char *flags(char buf[5], unsigned bits)
{
	for (unsigned i = 0; i < 4; i++)
		buf[i] = bits >> i & 1 ? "PWUX"[i] : '-';
	buf[4] = 0;
	return buf;
}

static uint64_t entry(uint32_t gpa, unsigned bits)
{
	return gpa | (bits & 7) | (bits & 8 ? E_NX : 0);
}

static void one_mode(enum paging_mode m)
{
	unsigned all = mode_is_pae(m) ? 16 : 8;
	char a[5], b[5];

	paging_on(m);
	make_code();
	for (unsigned d = 0; d < all; d++) {
		/* Without a directory entry the other does not matter. */
		for (unsigned t = 0; t < (mode_is_large(m) || !(d & 1) ? 1 : all); t++) {
			if (mode_is_large(m))
				pair(name("pf/%s/%s", paging_names[m], flags(a, d)),
				     entry(TEST_GPA, d) | E_PS, 0, true);
			else
				pair(name("pf/%s/%s/%s", paging_names[m], flags(a, d), flags(b, t)),
				     entry(test_table(), d), entry(TEST_GPA, t), false);
		}
	}
	count_rmw(name("rmw/%s", paging_names[m]));
	paging_off();
}

/* Without EFER.NXE, and in 32-bit tables, I/D is never told; bit 63 is then reserved. */
static void without_nxe(void)
{
	static const uint8_t some[] = { 1, 7, 15 };
	char a[5], b[5];

	paging_on(SMALL_PAE);
	make_code();
	__asm__ volatile("wrmsr" : : "c"(0xc0000080u), "a"(0), "d"(0));
	for (size_t i = 0; i < sizeof(some); i++)
		for (size_t j = 0; j < sizeof(some); j++)
			pair(name("pf/pae4k,no nx/%s/%s", flags(a, some[i]), flags(b, some[j])),
			     entry(test_table(), some[i]), entry(TEST_GPA, some[j]), false);
	count_rmw("rmw/pae4k,no nx");
	paging_off();
}

void cases_pf_matrix(void)
{
	for (unsigned m = 0; m < PAGING_MODES; m++)
		one_mode(m);
	without_nxe();
}
