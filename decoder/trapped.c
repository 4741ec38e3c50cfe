/* SPDX-License-Identifier: MIT */
/* CLI, STI, HLT, PUSHF, POPF, IN, OUT and MOV from control registers: see trapped.h. */
#include "decoder/trapped.h"

#include <capstone/capstone.h>

/* Set *@o to register @reg of Capstone's; false if it is not one that these instructions take. */
static bool take_register(struct operand *o, x86_reg reg)
{
	static const x86_reg wide[GPR_COUNT] = {
		X86_REG_EAX, X86_REG_ECX, X86_REG_EDX, X86_REG_EBX,
		X86_REG_ESP, X86_REG_EBP, X86_REG_ESI, X86_REG_EDI
	};

	if (reg >= X86_REG_CR0 && reg <= X86_REG_CR4) {
		*o = (struct operand){ .kind = OPND_CR, .width = 4, .reg = reg - X86_REG_CR0 };
		return true;
	}
	switch (reg) {
	case X86_REG_AL:
		*o = (struct operand){ .kind = OPND_GPR, .width = 1, .reg = EAX };
		return true;
	case X86_REG_AX:
		*o = (struct operand){ .kind = OPND_GPR, .width = 2, .reg = EAX };
		return true;
	case X86_REG_DX:
		*o = (struct operand){ .kind = OPND_GPR, .width = 2, .reg = EDX };
		return true;
	default: break;
	}
	for (uint8_t i = 0; i < GPR_COUNT; i++) {
		if (reg == wide[i]) {
			*o = (struct operand){ .kind = OPND_GPR, .width = 4, .reg = i };
			return true;
		}
	}
	return false;
}

/* The one immediate here is a port number: a byte, never sign-extended. */
static bool take_operands(const cs_x86 *x, struct operand o[2])
{
	if (x->op_count != 2)
		return false;
	for (unsigned i = 0; i < 2; i++) {
		const cs_x86_op *c = &x->operands[i];

		if (c->type == X86_OP_IMM)
			o[i] = (struct operand){ .kind = OPND_IMM,
						 .width = 1,
						 .imm = c->imm & 0xff };
		else if (c->type != X86_OP_REG || !take_register(&o[i], c->reg))
			return false;
	}
	return true;
}

static unsigned op_of(unsigned id)
{
	switch (id) {
	case X86_INS_CLI: return OP_CLI;
	case X86_INS_STI: return OP_STI;
	case X86_INS_HLT: return OP_HLT;
	case X86_INS_PUSHF:
	case X86_INS_PUSHFD: return OP_PUSHF;
	case X86_INS_POPF:
	case X86_INS_POPFD: return OP_POPF;
	case X86_INS_IN: return OP_IN;
	case X86_INS_OUT: return OP_OUT;
	case X86_INS_MOV: return OP_MOV_FROM_CR; /* if that is what its source says */
	default: return OP_OTHER;
	}
}

bool decode_trapped(const struct cs_insn *cs, struct insn *in)
{
	unsigned op = op_of(cs->id);
	struct operand o[2];

	if (op == OP_OTHER)
		return false;
	if (op == OP_IN || op == OP_OUT || op == OP_MOV_FROM_CR) {
		if (!take_operands(&cs->detail->x86, o))
			return false;
		if (op == OP_MOV_FROM_CR && (o[0].kind != OPND_GPR || o[1].kind != OPND_CR))
			return false;
		in->opnd[0] = o[0];
		in->opnd[1] = o[1];
		in->nopnd = 2;
	}
	in->op = (uint16_t)op;
	return true;
}
