/* SPDX-License-Identifier: MIT */
/* Where Capstone 4.0.2, and so insn_decode(), is known to be wrong; for tests that compare. */
#ifndef RINGSIDE_TESTS_DECODER_KNOWN_H
#define RINGSIDE_TESTS_DECODER_KNOWN_H

#include <string.h>

#include "decoder/insn.h"

/* Prefix bytes at the start of the INSN_MAX bytes at @b. */
static inline size_t prefix_count(const uint8_t *b)
{
	static const uint8_t prefixes[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
					    0x66, 0x67, 0xf0, 0xf2, 0xf3 };
	size_t n = 0;

	while (n < INSN_MAX && memchr(prefixes, b[n], sizeof(prefixes)))
		n++;
	return n;
}

/*
 * What Capstone 4.0.2 gets wrong.  Both were settled by running such instructions up to the end of
 * a page, or by objdump where the CPU has none:
 *   - EVEX with a register operand and embedded rounding: one byte too many (CPU);
 *   - XOP with a 32-bit immediate: takes 2 bytes for it with operand size 2 (objdump).
 * It also decodes XOP after 66, f2 and f3, and VMREAD after them, which are #UD (AMD APM Vol. 3,
 * "XOP"; SDM Vol. 3C, VMREAD: "NP").
 */
static inline bool capstone_is_wrong(const uint8_t *b)
{
	const uint8_t *op = b + prefix_count(b);

	if (op + 5 >= b + INSN_MAX)
		return false;
	if (op[0] == 0x62)
		return op[1] >> 6 == 3 && op[2] & 4 && op[3] & 0x10 && op[5] >> 6 == 3;
	return op[0] == 0x8f && (op[1] & 0x1f) == 10;
}

/* XOP and VMREAD, see above, with prefixes that make them #UD. */
static inline bool capstone_takes_too_much(const uint8_t *b)
{
	const uint8_t *op = b + prefix_count(b);

	if (op + 1 >= b + INSN_MAX)
		return false;
	return (op[0] == 0x8f && op[1] & 0x18) || (op[0] == 0x0f && op[1] == 0x78);
}

#endif
