/* SPDX-License-Identifier: MIT */
/* What instructions leave undefined: see diff.h. */
#include "tests/diff.h"

/*
 * Flags undefined always; when a shift count (masked to 5 bits) is not zero; when it is more than
 * one; when it reaches the operand's width; when it exceeds it, with the result.
 */
struct undefined {
	uint32_t always, shifted, many, wide, beyond;
	const char *ref; /* SDM Vol. 2, "Flags Affected" of these pages */
};

static const struct undefined table[OP_COUNT] = {
	[OP_AND] = { .always = FL_AF, .ref = "AND" },
	[OP_OR] = { .always = FL_AF, .ref = "OR" },
	[OP_XOR] = { .always = FL_AF, .ref = "XOR" },
	[OP_TEST] = { .always = FL_AF, .ref = "TEST" },
	[OP_SHL] = { .shifted = FL_AF, .many = FL_OF, .wide = FL_CF, .ref = "SAL/SAR/SHL/SHR" },
	[OP_SHR] = { .shifted = FL_AF, .many = FL_OF, .wide = FL_CF, .ref = "SAL/SAR/SHL/SHR" },
	[OP_SAR] = { .shifted = FL_AF, .many = FL_OF, .ref = "SAL/SAR/SHL/SHR" },
	[OP_ROL] = { .many = FL_OF, .ref = "RCL/RCR/ROL/ROR" },
	[OP_ROR] = { .many = FL_OF, .ref = "RCL/RCR/ROL/ROR" },
	[OP_RCL] = { .many = FL_OF, .ref = "RCL/RCR/ROL/ROR" },
	[OP_RCR] = { .many = FL_OF, .ref = "RCL/RCR/ROL/ROR" },
	[OP_SHLD] = { .shifted = FL_AF, .many = FL_OF, .beyond = FL_ARITH, .ref = "SHLD" },
	[OP_SHRD] = { .shifted = FL_AF, .many = FL_OF, .beyond = FL_ARITH, .ref = "SHRD" },
	[OP_BT] = { .always = FL_OF | FL_SF | FL_AF | FL_PF, .ref = "BT" },
	[OP_BTS] = { .always = FL_OF | FL_SF | FL_AF | FL_PF, .ref = "BTS" },
	[OP_BTR] = { .always = FL_OF | FL_SF | FL_AF | FL_PF, .ref = "BTR" },
	[OP_BTC] = { .always = FL_OF | FL_SF | FL_AF | FL_PF, .ref = "BTC" },
	[OP_BSF] = { .always = FL_CF | FL_OF | FL_SF | FL_AF | FL_PF, .ref = "BSF" },
	[OP_BSR] = { .always = FL_CF | FL_OF | FL_SF | FL_AF | FL_PF, .ref = "BSR" },
	[OP_MUL] = { .always = FL_SF | FL_ZF | FL_AF | FL_PF, .ref = "MUL" },
	[OP_IMUL] = { .always = FL_SF | FL_ZF | FL_AF | FL_PF, .ref = "IMUL" },
	[OP_DIV] = { .always = FL_ARITH, .ref = "DIV" },
	[OP_IDIV] = { .always = FL_ARITH, .ref = "IDIV" },
};

uint32_t diff_undefined(const struct insn *in, uint32_t ecx, bool *result)
{
	const struct undefined *u = &table[in->op < OP_COUNT ? in->op : OP_OTHER];
	unsigned count = 1; /* the forms without a written count */

	*result = in->op == OP_BSWAP && in->opsize == 2; /* BSWAP: "undefined" */
	if (in->nopnd > 1) {
		const struct operand *last = &in->opnd[in->nopnd - 1];

		count = (last->kind == OPND_IMM ? last->imm : ecx) & 31;
	}
	if (u->beyond && count > in->opnd[0].width * 8u) {
		*result = true;
		return u->beyond;
	}
	return u->always | (count ? u->shifted : 0) | (count > 1 ? u->many : 0) |
	       (count >= in->opnd[0].width * 8u ? u->wide : 0);
}
