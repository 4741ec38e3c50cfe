/* SPDX-License-Identifier: MIT */
/* Address kinds and the guest-visible processor state that every part of the VMM shares. */
#ifndef RINGSIDE_VMM_TYPES_H
#define RINGSIDE_VMM_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "decoder/insn.h" /* enum gpr, enum seg */

typedef uint32_t gva_t; /* guest virtual (linear) address, bytes */
typedef uint64_t gpa_t; /* guest physical address, bytes (PAE: up to 52 bits) */

#define PAGE_SIZE  4096u
#define PAGE_SHIFT 12

/* EFLAGS; SDM Vol. 1, "EFLAGS Register" (3.4.3). */
#define FL_CF         0x00000001u
#define FL_FIXED      0x00000002u /* always one */
#define FL_PF         0x00000004u
#define FL_AF         0x00000010u
#define FL_ZF         0x00000040u
#define FL_SF         0x00000080u
#define FL_TF         0x00000100u
#define FL_IF         0x00000200u
#define FL_DF         0x00000400u
#define FL_OF         0x00000800u
#define FL_IOPL       0x00003000u
#define FL_NT         0x00004000u
#define FL_RF         0x00010000u
#define FL_VM         0x00020000u
#define FL_AC         0x00040000u
#define FL_VIF        0x00080000u
#define FL_VIP        0x00100000u
#define FL_ID         0x00200000u
#define FL_ARITH      (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)
#define FL_IOPL_SHIFT 12

/* Control register bits; SDM Vol. 3A, "Control Registers" (2.5). */
#define CR0_PE         0x00000001u
#define CR0_MP         0x00000002u
#define CR0_EM         0x00000004u
#define CR0_TS         0x00000008u
#define CR0_ET         0x00000010u
#define CR0_NE         0x00000020u
#define CR0_WP         0x00010000u
#define CR0_AM         0x00040000u
#define CR0_NW         0x20000000u
#define CR0_CD         0x40000000u
#define CR0_PG         0x80000000u
#define CR4_VME        0x0001u
#define CR4_PVI        0x0002u
#define CR4_TSD        0x0004u
#define CR4_DE         0x0008u
#define CR4_PSE        0x0010u
#define CR4_PAE        0x0020u
#define CR4_MCE        0x0040u
#define CR4_PGE        0x0080u
#define CR4_PCE        0x0100u
#define CR4_OSFXSR     0x0200u
#define CR4_OSXMMEXCPT 0x0400u
#define CR4_OSXSAVE    0x40000u

/* Exception vectors; SDM Vol. 3A, "Exception and Interrupt Reference" (6.15). */
enum vector {
	VEC_DE = 0,
	VEC_DB = 1,
	VEC_NMI = 2,
	VEC_BP = 3,
	VEC_OF = 4,
	VEC_BR = 5,
	VEC_UD = 6,
	VEC_NM = 7,
	VEC_DF = 8,
	VEC_TS = 10,
	VEC_NP = 11,
	VEC_SS = 12,
	VEC_GP = 13,
	VEC_PF = 14,
	VEC_MF = 16,
	VEC_AC = 17,
	VEC_MC = 18,
	VEC_XM = 19,
};

/* #PF error code; SDM Vol. 3A, "Page-Fault Exceptions" (4.7).  Also access kinds. */
#define PF_PRESENT 0x01u
#define PF_WRITE   0x02u
#define PF_USER    0x04u
#define PF_RSVD    0x08u
#define PF_FETCH   0x10u

/*
 * A segment register: the selector the guest loaded and the descriptor it cached then ("hidden
 * part"; SDM Vol. 3A, "Segment Registers" 3.4.3).  @limit is in bytes, granularity applied.
 */
struct segment {
	uint16_t sel;
	uint8_t type; /* 4-bit type field; for code/data bit 0 = accessed, bit 3 = code */
	uint8_t dpl;  /* 0-3 */
	bool s;       /* code/data (true) or system (false) */
	bool present;
	bool db; /* D/B: 32-bit */
	bool g;  /* granularity as in the descriptor */
	bool avl;
	bool unusable; /* null selector loaded: any use faults */
	uint32_t base;
	uint32_t limit;
};

struct desc_table {
	uint32_t base;
	uint16_t limit; /* bytes - 1 */
};

/*
 * The registers of a virtual CPU as the guest believes them to be; what an engine gets and
 * sets.  eflags is the guest's whole image (its own IF, IOPL ...), not what the CPU runs with.
 */
struct cpu_regs {
	uint32_t gpr[GPR_COUNT]; /* by enum gpr */
	uint32_t eip;
	uint32_t eflags;
	struct segment seg[SEG_COUNT]; /* by enum seg */
};

#endif
