/* SPDX-License-Identifier: MIT */
/*
 * Operands: Capstone says how many there are, of which kind, and names registers; widths,
 * immediates and memory references are worked out here, because Capstone 4.0.2 reports them
 * differently from one instruction to the next.
 */
#include "decoder/internal.h"

#include <capstone/capstone.h>
#include <string.h>

bool op_is_string(unsigned op)
{
	return op == OP_INS || op == OP_OUTS || (op >= OP_MOVS && op <= OP_SCAS);
}

/* Does the low opcode bit choose between bytes and words?  (SDM Vol. 2D, Appendix A.) */
static bool opcode_has_w_bit(const struct parse *p)
{
	uint8_t op = p->opcode;

	if (p->map == MAP_0F)
		return op == 0xb0 || op == 0xb1 || op == 0xc0 || op == 0xc1;
	if (p->map != MAP_1BYTE)
		return false;
	return op < 0x40 || (op >= 0x80 && op <= 0x8b) || (op >= 0xa0 && op <= 0xa9) ||
	       op == 0xc0 || op == 0xc1 || op == 0xc6 || op == 0xc7 || (op >= 0xd0 && op <= 0xd3) ||
	       op >= 0xf6;
}

static unsigned general_width(const struct parse *p)
{
	if (p->map == MAP_1BYTE && p->opcode >= 0xb0 && p->opcode <= 0xb7)
		return 1; /* mov r8, imm8: the low bits are the register */
	return opcode_has_w_bit(p) && !(p->opcode & 1) ? 1 : p->opsize;
}

/* Bytes that the memory operand of @op covers; Capstone's sizes are right only for the common. */
static unsigned mem_width(const struct parse *p, unsigned op, unsigned capstone_size)
{
	switch (op) {
	case OP_MOVZX:
	case OP_MOVSX: return p->opcode & 1 ? 2 : 1;
	case OP_SETCC: return 1;
	case OP_LEA:
	case OP_INVLPG: return 0;
	case OP_LGDT:
	case OP_LIDT:
	case OP_SGDT:
	case OP_SIDT: return 6;
	case OP_LDS:
	case OP_LES:
	case OP_LFS:
	case OP_LGS:
	case OP_LSS:
	case OP_CALL_FAR:
	case OP_JMP_FAR: return p->opsize + 2u;
	case OP_BOUND: return p->opsize * 2u;
	case OP_LLDT:
	case OP_LTR:
	case OP_SLDT:
	case OP_STR:
	case OP_LMSW:
	case OP_SMSW:
	case OP_LAR:
	case OP_LSL:
	case OP_VERR:
	case OP_VERW:
	case OP_ARPL:
	case OP_MOV_FROM_SEG:
	case OP_MOV_TO_SEG: return 2;
	case OP_OTHER: return capstone_size;
	default: return general_width(p);
	}
}

/* Width of a register that stands where a memory operand of fixed width could, or 0. */
static unsigned rm_reg_width(unsigned op)
{
	switch (op) {
	case OP_LLDT:
	case OP_LTR:
	case OP_LMSW:
	case OP_LAR:
	case OP_LSL:
	case OP_VERR:
	case OP_VERW:
	case OP_ARPL:
	case OP_MOV_TO_SEG: return 2;
	default: return 0;
	}
}

static uint32_t read_le(const uint8_t *b, unsigned size)
{
	uint32_t v = 0;

	while (size--)
		v = v << 8 | b[size];
	return v;
}

/* Sign-extend the low @size bytes of @v. */
static uint32_t sext(uint32_t v, unsigned size)
{
	unsigned shift = 32 - 8 * size;

	return size >= 4 ? v : (uint32_t)((int32_t)(v << shift) >> shift);
}

static void operand_register(struct operand *o, unsigned reg)
{
	static const uint16_t gpr8[8] = { X86_REG_AL, X86_REG_CL, X86_REG_DL, X86_REG_BL,
					  X86_REG_AH, X86_REG_CH, X86_REG_DH, X86_REG_BH };
	static const uint16_t gpr16[8] = { X86_REG_AX, X86_REG_CX, X86_REG_DX, X86_REG_BX,
					   X86_REG_SP, X86_REG_BP, X86_REG_SI, X86_REG_DI };
	static const uint16_t gpr32[8] = { X86_REG_EAX, X86_REG_ECX, X86_REG_EDX, X86_REG_EBX,
					   X86_REG_ESP, X86_REG_EBP, X86_REG_ESI, X86_REG_EDI };
	static const uint16_t seg[SEG_COUNT] = { X86_REG_ES, X86_REG_CS, X86_REG_SS,
						 X86_REG_DS, X86_REG_FS, X86_REG_GS };

	o->kind = OPND_OTHER;
	for (uint8_t i = 0; i < 8; i++) {
		if (reg == gpr8[i] || reg == gpr16[i] || reg == gpr32[i]) {
			o->kind = OPND_GPR;
			o->reg = i;
			o->width = reg == gpr8[i] ? 1 : reg == gpr16[i] ? 2 : 4;
		} else if (i < SEG_COUNT && reg == seg[i]) {
			o->kind = OPND_SEG;
			o->reg = i;
			o->width = 2;
		}
	}
}

static bool has_rel(const struct parse *p, unsigned op)
{
	switch (op) {
	case OP_JCC:
	case OP_LOOP:
	case OP_LOOPE:
	case OP_LOOPNE:
	case OP_JCXZ: return true;
	case OP_CALL:
	case OP_JMP: return p->map == MAP_1BYTE && p->opcode != 0xff;
	default: return false;
	}
}

/*
 * Immediates are read from the bytes: Capstone gives branch targets instead of displacements, and
 * its sizes and sign extension vary from instruction to instruction.
 */
static void operand_immediate(const struct parse *p, struct insn *in, unsigned i, int64_t value)
{
	const uint8_t *end = p->b + in->len;
	struct operand *o = &in->opnd[i];

	o->kind = OPND_IMM;
	o->width = (uint8_t)general_width(p);
	o->imm = (uint32_t)value;
	if (has_rel(p, in->op)) {
		unsigned size = in->len - p->oplen;

		o->kind = OPND_REL;
		o->width = p->opsize;
		o->imm = sext(read_le(end - size, size), size);
		return;
	}
	switch (in->op) {
	case OP_ROL:
	case OP_ROR:
	case OP_RCL:
	case OP_RCR:
	case OP_SHL:
	case OP_SHR:
	case OP_SAR:
	case OP_SHLD:
	case OP_SHRD:
	case OP_BT:
	case OP_BTS:
	case OP_BTR:
	case OP_BTC:
	case OP_INT: o->width = 1; break;
	case OP_RET:
	case OP_RET_FAR: o->width = 2; break;
	case OP_ENTER: o->width = i == 0 ? 2 : 1; break;
	}
	if (p->map == MAP_1BYTE && (p->opcode == 0x83 || p->opcode == 0x6b || p->opcode == 0x6a))
		o->imm = sext(end[-1], 1);
	else if (o->width < 4)
		o->imm &= (1u << 8 * o->width) - 1;
}

static void operand_moffs(const struct parse *p, struct operand *o)
{
	o->mem = (struct mem_ref){ .seg = p->seg != SEG_NONE ? p->seg : SEG_DS,
				   .base = GPR_NONE,
				   .index = GPR_NONE,
				   .scale = 1 };
	o->mem.disp = (int32_t)sext(read_le(p->b + p->oplen, p->addrsize), p->addrsize);
}

/* Operands that Capstone lists in another way than insn.h promises. */
static bool operands_by_form(const struct parse *p, struct insn *in)
{
	if (op_is_string(in->op)) {
		in->width = p->opcode & 1 ? p->opsize : 1;
		return true;
	}
	if ((in->op == OP_CALL_FAR || in->op == OP_JMP_FAR) && p->opcode != 0xff) {
		in->opnd[0] = (struct operand){ .kind = OPND_FAR, .width = p->opsize + 2 };
		in->opnd[0].imm = read_le(p->b + p->oplen, p->opsize);
		in->opnd[0].sel = (uint16_t)read_le(p->b + p->oplen + p->opsize, 2);
		in->nopnd = 1;
		return true;
	}
	if (in->op == OP_XCHG && p->has_modrm) { /* r/m first, as in `lock xchg` */
		operand_rm(p, in, 0, general_width(p), general_width(p));
		operand_gpr(in, 1, MODRM_REG(p->modrm), general_width(p));
		return true;
	}
	if (in->op == OP_XLAT)
		return true;
	return false;
}

void decode_operands(const struct parse *p, const struct cs_x86 *x, struct insn *in)
{
	if (operands_by_form(p, in))
		return;
	for (unsigned i = 0; i < x->op_count && i < 3; i++) {
		const cs_x86_op *c = &x->operands[i];
		struct operand *o = &in->opnd[i];

		in->nopnd = (uint8_t)(i + 1);
		switch (c->type) {
		case X86_OP_REG: operand_register(o, c->reg); break;
		case X86_OP_IMM: operand_immediate(p, in, i, c->imm); break;
		case X86_OP_MEM:
			o->kind = OPND_MEM;
			o->width = (uint8_t)mem_width(p, in->op, c->size);
			/* VEX, EVEX and XOP (8f with another ModR/M): parse.c has no address. */
			if (p->map == MAP_VEX || (p->has_modrm && MODRM_MOD(p->modrm) == 3))
				o->kind = OPND_OTHER;
			else if (p->has_modrm)
				o->mem = p->mem;
			else
				operand_moffs(p, o);
			break;
		default: o->kind = OPND_OTHER; break;
		}
	}
	/* Capstone says `mov ds, eax` and `lar eax, ebx`, but only 16 bits are read. */
	if (rm_reg_width(in->op) && MODRM_MOD(p->modrm) == 3) {
		bool second = in->op == OP_LAR || in->op == OP_LSL || in->op == OP_MOV_TO_SEG;

		in->opnd[second].width = (uint8_t)rm_reg_width(in->op);
		in->opnd[second].reg = MODRM_RM(p->modrm);
	}
}
