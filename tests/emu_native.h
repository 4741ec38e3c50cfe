/* SPDX-License-Identifier: MIT */
/*
 * The emulator against the real CPU: the same instruction, registers, memory and LDT, run natively
 * at ring 3 (tests/native.h) and emulated at vCPL 3, must end alike: same registers, selectors,
 * flags and memory, or the same exception with the same error code at the same address.
 *
 * The native LDT is made with modify_ldt(2), which offers every type of code and data at DPL 3 (but
 * present conforming code), and the guest's LDT is given the equal descriptors.  The guest's GDT
 * mimics the host's where ring 3 can see it.
 */
#ifndef RINGSIDE_TESTS_EMU_NATIVE_H
#define RINGSIDE_TESTS_EMU_NATIVE_H

#include "tests/emu_fixture.h"
#include "tests/native.h"

/* The entries of the LDT, by index. */
enum nat_ldt {
	LDT_EMPTY,
	LDT_RW,
	LDT_RO,
	LDT_DOWN,
	LDT_DOWN_RO,
	LDT_CODE_X,
	LDT_CODE_XR,
	LDT_CONF_NP,
	LDT_DATA_NP,
	LDT_CODE_NP,
	LDT_BYTE,
	LDT_STACK16,
	LDT_CODE16,
	LDT_CODE_BASE,
	LDT_AVL,
	LDT_DATA_BASE,
	LDT_CONF_X_NP,
	LDT_DOWN16,
	LDT_ZERO_LIMIT,
	LDT_CODE_SHORT,
	LDT_LAST
};

#define LDT_SEL(i) ((uint16_t)((i) << 3 | 7))

/* Set up both LDTs and *@f; false where the host cannot (then *@f is not initialized). */
bool nat_init(struct fx *f);

#define NAT_INIT(f)                                                            \
	do {                                                                   \
		if (!nat_init(f))                                              \
			cr_skip_test("no native runs or no LDT on this host"); \
	} while (0)

/* Run @code both ways from @st; false and a message naming @what if the ends differ. */
bool nat_same(struct fx *f, const uint8_t *code, size_t len, const struct native_state *st,
	      const char *what);
bool nat_same_hex(struct fx *f, const char *hex, const struct native_state *st);
extern unsigned long nat_runs; /* how many so far, for messages */

/* The @n-th selector worth trying (all RPLs, both tables, outside of both); false at the end. */
bool nat_selector(unsigned n, uint16_t *sel);

/*
 * A whole test: each of @hex with every selector, which is in AX, at 4(%ebx) (after a 32-bit
 * offset), at 10(%ebx) (after a 16-bit one) and on top of the stack.
 */
void nat_matrix(const char *const *hex, size_t count);

#define NAT_MATRIX(...)                                            \
	do {                                                       \
		static const char *const list[] = { __VA_ARGS__ }; \
		nat_matrix(list, sizeof(list) / sizeof(list[0]));  \
	} while (0)

#endif
