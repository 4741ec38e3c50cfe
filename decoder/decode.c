/* SPDX-License-Identifier: MIT */
/*
 * Bytes to struct insn, in four steps, a file each: parse.c takes prefixes, opcode and ModR/M
 * apart; byhand.c does what Capstone 4.0.2 cannot; capstone.c asks Capstone for the rest;
 * operands.c works out the operands.  Here they are put together, and what the CPU refuses but
 * Capstone does not is refused.
 */
#include "decoder/insn.h"
#include "decoder/internal.h"
#include "decoder/sensitive.h"

#include <errno.h>
#include <string.h>

/* SDM Vol. 2A, LOCK: #UD unless one of these with a memory destination. */
static bool lock_allowed(const struct insn *in)
{
	if (in->nopnd < 1 || in->opnd[0].kind != OPND_MEM)
		return false;
	switch (in->op) {
	case OP_ADD:
	case OP_OR:
	case OP_ADC:
	case OP_SBB:
	case OP_AND:
	case OP_SUB:
	case OP_XOR:
	case OP_INC:
	case OP_DEC:
	case OP_NEG:
	case OP_NOT:
	case OP_BTS:
	case OP_BTR:
	case OP_BTC:
	case OP_XCHG:
	case OP_XADD:
	case OP_CMPXCHG:
	case OP_CMPXCHG8B: return true;
	default: return false;
	}
}

/* Forms that Capstone accepts and the CPU does not. */
static bool is_undefined(const struct parse *p, const struct insn *in)
{
	bool reg = p->has_modrm && MODRM_MOD(p->modrm) == 3;

	switch (in->op) {
	case OP_LDS:
	case OP_LES:
	case OP_LFS:
	case OP_LGS:
	case OP_LSS:
	case OP_LEA:
	case OP_BOUND:
	case OP_CMPXCHG8B:
	case OP_LGDT:
	case OP_LIDT:
	case OP_SGDT:
	case OP_SIDT:
	case OP_INVLPG:
		if (reg)
			return true;
		break;
	case OP_CALL_FAR:
	case OP_JMP_FAR:
		if (reg && p->opcode == 0xff)
			return true;
		break;
	case OP_MOVBE:
		if (reg || p->rep == 0xf3)
			return true;
		break;
	case OP_MOV_TO_SEG: /* there is no way to load CS but a far transfer */
	case OP_MOV_FROM_SEG:
		if (MODRM_REG(p->modrm) >= SEG_COUNT ||
		    (in->op == OP_MOV_TO_SEG && MODRM_REG(p->modrm) == SEG_CS))
			return true;
		break;
	}
	return (p->prefixes & PREFIX_LOCK) && !lock_allowed(in);
}

static void fill_common(const struct parse *p, struct insn *in)
{
	const uint8_t *op = p->b + p->npfx;

	in->opsize = p->opsize;
	in->addrsize = p->addrsize;
	in->prefixes = p->prefixes;
	in->bits = (uint8_t)p->bits;
	in->seg = p->seg != SEG_NONE ? p->seg : SEG_DS;
	in->modrm = p->modrm;
	memcpy(in->opcode, op, p->map == MAP_VEX ? 1u : (size_t)(p->oplen - p->npfx));
	switch (in->op) {
	case OP_JCC:
	case OP_SETCC:
	case OP_CMOVCC: in->cond = p->opcode & 15; break;
	case OP_INT1: in->vector = 1; break;
	case OP_INT3: in->vector = 3; break;
	case OP_INTO: in->vector = 4; break;
	case OP_BOUND: in->vector = 5; break;
	case OP_INT: in->vector = (uint8_t)in->opnd[0].imm; break;
	}
	if (in->op == OP_IN)
		in->width = in->opnd[0].width;
	else if (in->op == OP_OUT)
		in->width = in->opnd[1].width;
	else if (!op_is_string(in->op) && in->nopnd)
		in->width = in->opnd[0].width;
	memcpy(in->bytes, p->b, in->len);
	in->sens = sensitive_find(in);
}

/* Decode as if all INSN_WINDOW bytes at @b were there. */
static int decode_window(const uint8_t *b, unsigned bits, struct insn *in)
{
	struct parse p;
	int ret;

	memset(in, 0, sizeof(*in));
	ret = insn_parse(b, bits, &p);
	if (ret)
		return ret;
	/* SDM Vol. 2A, "VEX and the LOCK prefix" and the two sections after it (2.3.2-2.3.4) */
	if (p.map == MAP_VEX && p.prefixes & (PREFIX_LOCK | PREFIX_66 | PREFIX_REP | PREFIX_REPNE))
		return -EINVAL;
	ret = decode_by_hand(&p, in);
	if (!ret) {
		ret = decode_by_capstone(&p, in);
		if (ret == -EINVAL) {
			ret = length_by_rule(&p);
			if (ret > 0)
				in->len = (uint8_t)ret;
		}
	}
	if (ret < 0)
		return ret;
	if (in->len > INSN_MAX || is_undefined(&p, in))
		return -EINVAL;
	fill_common(&p, in);
	return 0;
}

/*
 * The bytes ended and what follows is unknown: is there any continuation that makes them an
 * instruction?  Capstone cannot tell, so a few are tried: ModR/M with memory and with register,
 * each reg field, and opcodes that go well after each prefix and escape byte.
 */
static bool is_truncated(uint8_t b[INSN_WINDOW], size_t len, unsigned bits)
{
	static const uint8_t padding[] = { 0x00, 0x01, 0xc0, 0x08, 0x10, 0x18, 0x20, 0x28,
					   0x30, 0x38, 0xb1, 0xc8, 0xd0, 0xd8, 0xe0, 0xe8,
					   0xf0, 0xf8, 0x58, 0x90, 0x99, 0x7f };
	struct insn in;

	for (size_t i = 0; i < sizeof(padding); i++) {
		memset(b + len, padding[i], INSN_WINDOW - len);
		if (!decode_window(b, bits, &in) && in.len > len)
			return true;
	}
	return false;
}

/*: 110. Bytes to an instruction
 * The CPU does not say what it choked on: it must be decoded again, from the guest's memory.
 * Capstone does most of it; what it gets wrong is done by hand, and the results are kept by
 * content.
 */
int insn_decode(const uint8_t *bytes, size_t len, unsigned bits, struct insn *out)
{
	uint8_t b[INSN_WINDOW] = { 0 };
	struct insn in; /* *out stays as it is on error */
	int ret;

	if (len > INSN_MAX)
		len = INSN_MAX;
	if (!len)
		return -ENODATA;
	memcpy(b, bytes, len);
	if (cache_find(b, (unsigned)len, bits, out))
		return 0;
	ret = decode_window(b, bits, &in);
	if (!ret && in.len <= len) {
		cache_store(b, (unsigned)len, bits, &in);
		*out = in;
		return 0;
	}
	if (len < INSN_MAX && (!ret || is_truncated(b, len, bits)))
		return -ENODATA;
	return ret ? ret : -EINVAL;
}
