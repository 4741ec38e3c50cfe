/* SPDX-License-Identifier: MIT */
/*
 * Prefixes, opcode map, ModR/M and SIB: the outer form of an instruction.
 *
 * Why not leave this to Capstone: it loses the raw bytes of repeated prefixes, it takes the first
 * of several segment overrides where the CPU takes the last, and it refuses instructions with
 * prefixes that the CPU ignores.  So prefixes are resolved here and Capstone is given a canonical
 * form (decode.c).  Source: Intel SDM Vol. 2A, "Instruction Format" (2.1).
 */
#include "decoder/internal.h"

#include <errno.h>
#include <string.h>

static bool parse_prefix(uint8_t byte, struct parse *p)
{
	switch (byte) {
	case 0x26: p->seg = SEG_ES; break;
	case 0x2e: p->seg = SEG_CS; break;
	case 0x36: p->seg = SEG_SS; break;
	case 0x3e: p->seg = SEG_DS; break;
	case 0x64: p->seg = SEG_FS; break;
	case 0x65: p->seg = SEG_GS; break;
	case 0x66: p->prefixes |= PREFIX_66; return true;
	case 0x67: p->prefixes |= PREFIX_67; return true;
	case 0xf0: p->prefixes |= PREFIX_LOCK; return true;
	case 0xf2:
	case 0xf3:
		p->rep = byte;
		p->prefixes &= (uint8_t) ~(PREFIX_REP | PREFIX_REPNE);
		p->prefixes |= byte == 0xf3 ? PREFIX_REP : PREFIX_REPNE;
		return true;
	default: return false;
	}
	p->prefixes |= PREFIX_SEG;
	return true;
}

/* Opcode Maps, SDM Vol. 2D Appendix A.3: which opcodes are followed by a ModR/M byte. */
static bool opcode_has_modrm(unsigned map, uint8_t op)
{
	if (map == MAP_0F38 || map == MAP_0F3A)
		return true;
	if (map == MAP_0F) {
		switch (op) {
		case 0x04 ... 0x0c:
		case 0x0e:
		case 0x30 ... 0x37:
		case 0x77:
		case 0x80 ... 0x8f:
		case 0xa0 ... 0xa2:
		case 0xa8 ... 0xaa:
		case 0xc8 ... 0xcf: return false;
		default: return true;
		}
	}
	switch (op) {
	case 0x00 ... 0x3f: return !(op & 4);
	case 0x62 ... 0x63:
	case 0x69:
	case 0x6b:
	case 0x80 ... 0x8f:
	case 0xc0 ... 0xc1:
	case 0xc4 ... 0xc7:
	case 0xd0 ... 0xd3:
	case 0xd8 ... 0xdf:
	case 0xf6 ... 0xf7:
	case 0xfe ... 0xff: return true;
	default: return false;
	}
}

static int32_t le(const uint8_t *b, unsigned size)
{
	if (size == 1)
		return (int8_t)b[0];
	if (size == 2)
		return (int16_t)(b[0] | b[1] << 8);
	return (int32_t)(b[0] | b[1] << 8 | b[2] << 16 | (uint32_t)b[3] << 24);
}

/* SDM Vol. 2A, Table 2-1.  Returns the length of ModR/M and displacement. */
static unsigned parse_rm16(const uint8_t *b, struct mem_ref *m)
{
	static const uint8_t base[8] = { EBX, EBX, EBP, EBP, ESI, EDI, EBP, EBX };
	static const uint8_t index[4] = { ESI, EDI, ESI, EDI };
	unsigned mod = MODRM_MOD(b[0]), rm = MODRM_RM(b[0]);
	unsigned disp = mod == 1 ? 1 : mod == 2 ? 2 : 0;

	m->base = base[rm];
	if (rm < 4)
		m->index = index[rm];
	if (mod == 0 && rm == 6) {
		m->base = GPR_NONE;
		disp = 2;
	}
	if (disp)
		m->disp = le(b + 1, disp);
	return 1 + disp;
}

/* SDM Vol. 2A, Tables 2-2 and 2-3. */
static unsigned parse_rm32(const uint8_t *b, struct mem_ref *m)
{
	unsigned mod = MODRM_MOD(b[0]), rm = MODRM_RM(b[0]), len = 1;
	unsigned disp = mod == 1 ? 1 : mod == 2 ? 4 : 0;

	m->base = (uint8_t)rm;
	if (rm == 4) {
		uint8_t sib = b[len++];

		m->base = sib & 7;
		if ((sib >> 3 & 7) != 4) { /* index 4 means none, whatever the scale says */
			m->index = sib >> 3 & 7;
			m->scale = (uint8_t)(1 << (sib >> 6));
		}
	}
	if (mod == 0 && m->base == EBP) {
		m->base = GPR_NONE;
		disp = 4;
	}
	if (disp)
		m->disp = le(b + len, disp);
	return len + disp;
}

static void parse_modrm(struct parse *p)
{
	const uint8_t *b = p->b + p->oplen;

	p->modrm = b[0];
	p->rmlen = 1;
	if (MODRM_MOD(p->modrm) == 3)
		return;
	p->mem = (struct mem_ref){ .base = GPR_NONE, .index = GPR_NONE, .scale = 1 };
	p->rmlen = (uint8_t)(p->addrsize == 2 ? parse_rm16(b, &p->mem) : parse_rm32(b, &p->mem));
	if (p->seg != SEG_NONE)
		p->mem.seg = p->seg;
	else
		p->mem.seg = p->mem.base == EBP || p->mem.base == ESP ? SEG_SS : SEG_DS;
}

int insn_parse(const uint8_t *b, unsigned bits, struct parse *p)
{
	unsigned i = 0;

	memset(p, 0, sizeof(*p));
	p->b = b;
	p->bits = bits;
	p->seg = SEG_NONE;
	while (parse_prefix(b[i], p))
		if (++i >= INSN_MAX)
			return -EINVAL;
	p->npfx = (uint8_t)i;
	p->opsize = (bits == 32) != !!(p->prefixes & PREFIX_66) ? 4 : 2;
	p->addrsize = (bits == 32) != !!(p->prefixes & PREFIX_67) ? 4 : 2;

	p->opcode = b[i++];
	if (p->opcode == 0x0f) {
		p->map = MAP_0F;
		p->opcode = b[i++];
		if (p->opcode == 0x38 || p->opcode == 0x3a) {
			p->map = p->opcode == 0x38 ? MAP_0F38 : MAP_0F3A;
			p->opcode = b[i++];
		}
	} else if ((p->opcode == 0xc4 || p->opcode == 0xc5 || p->opcode == 0x62) &&
		   MODRM_MOD(b[i]) == 3) {
		/* LES, LDS and BOUND have no register form: the encoding is VEX or EVEX. */
		p->map = MAP_VEX;
	}
	p->oplen = (uint8_t)i;
	if (p->map != MAP_VEX && opcode_has_modrm(p->map, p->opcode)) {
		p->has_modrm = true;
		parse_modrm(p);
	}
	return 0;
}

void operand_gpr(struct insn *in, unsigned i, unsigned reg, unsigned width)
{
	in->opnd[i] =
		(struct operand){ .kind = OPND_GPR, .width = (uint8_t)width, .reg = (uint8_t)reg };
	if (in->nopnd <= i)
		in->nopnd = (uint8_t)(i + 1);
}

void operand_rm(const struct parse *p, struct insn *in, unsigned i, unsigned reg_width,
		unsigned mem_width)
{
	if (MODRM_MOD(p->modrm) == 3) {
		operand_gpr(in, i, MODRM_RM(p->modrm), reg_width);
		return;
	}
	in->opnd[i] =
		(struct operand){ .kind = OPND_MEM, .width = (uint8_t)mem_width, .mem = p->mem };
	if (in->nopnd <= i)
		in->nopnd = (uint8_t)(i + 1);
}

/*
 * VEX: SDM Vol. 2A 2.3; EVEX: 2.7.  Maps 1, 5, 6 are like 0f, 2 like 0f 38, 3 like 0f 3a; every
 * instruction in them has ModR/M but VZEROUPPER/VZEROALL, and which ones of map 1 have an imm8
 * is as in the 0f map (shifts by immediate, compares, shuffles, insert/extract word).
 */
static int vex_length(const struct parse *p)
{
	const uint8_t *b = p->b + p->oplen; /* after c4, c5 or 62 */
	struct parse q = *p;
	unsigned map, i;
	uint8_t op;

	if (p->opcode == 0xc5) {
		map = 1;
		i = 1;
	} else if (p->opcode == 0xc4) {
		map = b[0] & 0x1f;
		i = 2;
	} else {
		map = b[0] & 7;
		i = 3;
		if (b[0] & 8 || !(b[1] & 4)) /* fixed bits of P0 and P1 */
			return -EINVAL;
	}
	if (!map || map == 4 || map > 6 || (p->opcode != 0x62 && map > 3))
		return -EINVAL;
	op = b[i++];
	q.oplen = (uint8_t)(p->oplen + i);
	if (map == 1 && op == 0x77)
		return p->opcode == 0x62 ? -EINVAL : q.oplen;
	parse_modrm(&q);
	return q.oplen + q.rmlen +
	       (map == 3 || (map == 1 && ((op >= 0x70 && op <= 0x73) || op == 0xc2 ||
					  (op >= 0xc4 && op <= 0xc6))));
}

int length_by_rule(const struct parse *p)
{
	if (p->map == MAP_VEX)
		return vex_length(p);
	if (p->map == MAP_0F38 && p->opcode != 0xf0 && p->opcode != 0xf1) /* movbe: known */
		return p->oplen + p->rmlen;
	if (p->map == MAP_0F3A)
		return p->oplen + p->rmlen + 1;
	return -EINVAL;
}
