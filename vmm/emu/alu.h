/* SPDX-License-Identifier: MIT */
/*
 * Integer arithmetic with x86 flags, on values alone: no vCPU, no memory, no faults.
 * @width is 1, 2 or 4 bytes; operands may have rubbish above it, results have zeros.
 * *@fl is an EFLAGS image: the flags an operation defines are replaced, others kept.  Flags the
 * manual leaves undefined are set as noted; they are chosen, not promised.
 * Source: SDM Vol. 1, "EFLAGS Cross-Reference" (appendix A); Vol. 2, the instructions.
 */
#ifndef RINGSIDE_VMM_EMU_ALU_H
#define RINGSIDE_VMM_EMU_ALU_H

#include "vmm/types.h"

/* OP_ADD OR ADC SBB AND SUB XOR CMP TEST.  Returns the result (also for CMP and TEST). */
uint32_t alu_binary(unsigned op, unsigned width, uint32_t a, uint32_t b, uint32_t *fl);

/* OP_INC DEC NEG NOT. */
uint32_t alu_unary(unsigned op, unsigned width, uint32_t a, uint32_t *fl);

/* OP_ROL ROR RCL RCR SHL SHR SAR by @count (masked to 5 bits here). */
uint32_t alu_shift(unsigned op, unsigned width, uint32_t a, unsigned count, uint32_t *fl);

/* OP_SHLD SHRD: @a shifted, bits from @b shifted in.  @width 2 or 4. */
uint32_t alu_double_shift(unsigned op, unsigned width, uint32_t a, uint32_t b, unsigned count,
			  uint32_t *fl);

/* OP_BT BTS BTR BTC: bit @bit (taken modulo the width) of @a goes to CF.  Returns the new value. */
uint32_t alu_bit(unsigned op, unsigned width, uint32_t a, unsigned bit, uint32_t *fl);

/* OP_MUL, OP_IMUL: the full product, twice @width wide; CF and OF say that it does not fit. */
uint64_t alu_multiply(bool sign, unsigned width, uint32_t a, uint32_t b, uint32_t *fl);

/*
 * OP_DIV, OP_IDIV: @dividend is twice @width wide (zero-extended above).  Out: *@quot, *@rem.
 * Returns false for a zero divisor or a quotient that does not fit: #DE.  Leaves the flags alone.
 */
bool alu_divide(bool sign, unsigned width, uint64_t dividend, uint32_t divisor, uint32_t *quot,
		uint32_t *rem);

/* Is condition @cond (low 4 bits of a Jcc opcode) true of @fl?  Vol. 1, appendix B. */
bool alu_condition(unsigned cond, uint32_t fl);

/* @val of @width bytes sign-extended to 32 bits. */
uint32_t alu_sign_extend(unsigned width, uint32_t val);

#endif
