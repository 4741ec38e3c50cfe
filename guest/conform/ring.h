/* SPDX-License-Identifier: MIT */
/* Cases at CPL 1 to 3: with paging (paging.h), through the TSS and back. */
#ifndef CONFORM_RING_H
#define CONFORM_RING_H

#include "paging.h"

/* Stacks of the inner rings, a page each; only ring 3's (STACK) is a user page. */
#define RING_STACK(n) (0x20a000u + 0x1000u * (n))
#define TSS_IOMAP     0x68u

#define CS3 (SEL_CODE3 | 3)
#define DS3 (SEL_DATA3 | 3)
/* Rings 1 and 2: made by ring_reset() of descriptors that other cases use otherwise. */
#define SEL_CODE1  SEL_EXEC
#define SEL_CODE2  SEL_CONF3
#define SEL_DATA2  SEL_DATA_OLD
#define SEL_STACK0 SEL_PAGES /* for a 16-bit TSS, whose SP0 has 16 bits */

/* The descriptors and the TSS for the rings, after tables_reset(); loads TR. */
void ring_tables(void);
/* The same without LTR: URUN does it before every case. */
void ring_reset(void);
/* DS and ES: of DPL 3, so that they outlive an IRET to CPL 3; and back. */
void user_segments(void);
void kernel_segments(void);

/* As CODE and CODE2, for any ring, in pages that are user pages. */
#define UCODE2(before, insn_)                                              \
	({                                                                 \
		__asm__ volatile(".pushsection user_code, \"ax\"\n"        \
				 "771:	" before "\n"                      \
				 "772:	" insn_ "\n"                       \
				 "773:	int	$0x31\n"                        \
				 "774:	.popsection\n"                      \
				 "	movl	$771b, code_here\n"                \
				 "	movl	$772b, code_here + 4\n"            \
				 "	movl	$773b, code_here + 8\n"            \
				 "	movl	$774b, code_here + 12\n"); \
		__asm__ volatile("" : : : "memory");                       \
		*(struct code *)&code_here;                                \
	})
#define UCODE(insn) UCODE2("", insn)

/* RUN at CPL 3; ring_reset() comes before it, so that @... may change what that makes. */
#define URUN(code_, name_, ...)                                                               \
	do {                                                                                  \
		run((const struct test){ TEST_DEFAULT, .code = (code_), .cs = CS3, .ss = DS3, \
					 .ds = DS3, .es = DS3, __VA_ARGS__ },                 \
		    name_);                                                                   \
		ring_reset();                                                                 \
	} while (0)

/* INT 0x31 in a user page: where far transfers of outer rings lead. */
extern char user_target[];

/* Start and end of a list at CPL 3: 32-bit paging. */
void rings_on(void);
void rings_off(void);

#endif
