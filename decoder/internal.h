/* SPDX-License-Identifier: MIT */
/* What the files of decoder/ share; nobody else includes this. */
#ifndef RINGSIDE_DECODER_INTERNAL_H
#define RINGSIDE_DECODER_INTERNAL_H

#include "decoder/insn.h"

/*
 * The outer form of an instruction: prefixes, opcode map, opcode, ModR/M and SIB.  Filled by
 * insn_parse(), before Capstone or decode_by_hand() say what the instruction is.
 * @b always has INSN_WINDOW readable bytes: those given, then padding.
 */
#define INSN_WINDOW 32

enum opcode_map { MAP_1BYTE, MAP_0F, MAP_0F38, MAP_0F3A, MAP_VEX };

struct parse {
	const uint8_t *b;
	unsigned bits;
	uint8_t prefixes; /* PREFIX_* */
	uint8_t npfx;     /* how many prefix bytes */
	uint8_t rep;      /* 0, 0xf2 or 0xf3: the last one given counts */
	uint8_t seg;      /* override, or SEG_NONE: the last one given counts */
	uint8_t opsize, addrsize;
	uint8_t map;    /* enum opcode_map */
	uint8_t opcode; /* its last opcode byte */
	uint8_t oplen;  /* prefixes and opcode, bytes; ModR/M or immediate follow */
	bool has_modrm;
	uint8_t modrm;
	uint8_t rmlen;      /* ModR/M, SIB and displacement, bytes */
	struct mem_ref mem; /* valid if has_modrm and mod is not 3 */
};

#define MODRM_MOD(m) ((m) >> 6)
#define MODRM_REG(m) ((m) >> 3 & 7)
#define MODRM_RM(m)  ((m)&7)

/* Fill *@p from the INSN_WINDOW bytes at @b.  Returns 0, or -EINVAL with 15 or more prefixes. */
int insn_parse(const uint8_t *b, unsigned bits, struct parse *p);

/*
 * The instructions that Capstone 4.0.2 does not know, or gets wrong, or whose encoding ignores
 * something Capstone insists on.  Fills op, len and operands of *@in.
 * Returns 1 if done, 0 if this is not one of them, -EINVAL if the CPU would raise #UD.
 */
int decode_by_hand(const struct parse *p, struct insn *in);

/*
 * Everything else.  Fills op, len and operands of *@in.
 * Returns 0, -EINVAL if Capstone does not know it, or -ENOMEM.  Thread-safe.
 */
int decode_by_capstone(const struct parse *p, struct insn *in);
/* To be called before any thread uses a Capstone handle of its own. */
void capstone_ready(void);

/* The operands of *@in, whose op and len are known, from what Capstone says in @x. */
struct cs_x86;
void decode_operands(const struct parse *p, const struct cs_x86 *x, struct insn *in);

bool op_is_string(unsigned op);

/*
 * Last resort for encodings newer than Capstone: in the 0f 38, 0f 3a, VEX and EVEX maps the length
 * follows from the encoding alone.  Returns it in bytes, or -EINVAL.
 */
int length_by_rule(const struct parse *p);

/* Set operand @i of *@in to the ModR/M memory operand or, for mod 3, to that GPR. */
void operand_rm(const struct parse *p, struct insn *in, unsigned i, unsigned reg_width,
		unsigned mem_width);
void operand_gpr(struct insn *in, unsigned i, unsigned reg, unsigned width);

/* cache.c.  @window holds @avail bytes (at most INSN_MAX), zero-padded to 16. */
bool cache_find(const uint8_t window[16], unsigned avail, unsigned bits, struct insn *out);
void cache_store(const uint8_t window[16], unsigned avail, unsigned bits, const struct insn *in);

#endif
