/* SPDX-License-Identifier: MIT */
/*
 * How long is it, where does it go, could it be sensitive: opcode maps as text, a letter an opcode,
 * and a handful of groups that their ModR/M tells apart.  Which opcodes may be sensitive is not
 * written here a second time: it is worked out from the table of decoder/sensitive.c at first use.
 *
 * Sources: Intel SDM Vol. 2D, "Opcode Map" (Appendix A); Vol. 2A, "Instruction Format" (2.1), "VEX"
 * (2.3) and "EVEX" (2.7); AMD APM Vol. 3, "Opcode and Operand Encodings" (Appendix A), which has
 * XOP, SSE4A and 3DNow!.
 *
 * Opcodes that only some CPUs have get the length they have there.  Not every hole of the SSE and
 * x87 maps is known: in a hole the length is what a neighbour would have, and the CPU raises #UD.
 */
#include "decoder/length.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "decoder/internal.h"
#include "decoder/sensitive.h"

#define HAS_MODRM 0x01
#define MEM_ONLY  0x02 /* #UD with a register */
#define IMM_Z     0x04 /* an immediate of operand size */
#define MOFFS     0x08 /* an address of address size */
#define REL       0x10 /* the immediate is a displacement from the next instruction */
#define GROUP     0x20 /* see group() */
#define UNDEFINED 0x40

static const struct form {
	uint8_t flags;
	uint8_t imm; /* further immediate bytes */
	uint8_t flow;
} forms[128] = {
	['.'] = { 0, 0, FLOW_NEXT },
	['m'] = { HAS_MODRM, 0, FLOW_NEXT },
	['M'] = { HAS_MODRM | MEM_ONLY, 0, FLOW_NEXT },
	['b'] = { 0, 1, FLOW_NEXT },
	['B'] = { HAS_MODRM, 1, FLOW_NEXT },
	['z'] = { IMM_Z, 0, FLOW_NEXT },
	['Z'] = { HAS_MODRM | IMM_Z, 0, FLOW_NEXT },
	['e'] = { 0, 3, FLOW_NEXT }, /* enter */
	['o'] = { MOFFS, 0, FLOW_NEXT },
	['c'] = { REL, 1, FLOW_COND },
	['C'] = { REL | IMM_Z, 0, FLOW_COND },
	['j'] = { REL, 1, FLOW_JUMP },
	['J'] = { REL | IMM_Z, 0, FLOW_JUMP },
	['K'] = { REL | IMM_Z, 0, FLOW_CALL },
	['r'] = { 0, 0, FLOW_RET },
	['R'] = { 0, 2, FLOW_RET },
	['s'] = { 0, 0, FLOW_STOP },
	['S'] = { 0, 2, FLOW_STOP },
	['u'] = { HAS_MODRM, 0, FLOW_STOP }, /* ud0, ud1 */
	['f'] = { IMM_Z, 2, FLOW_ICALL },    /* call far: comes back, as an indirect call does */
	['F'] = { IMM_Z, 2, FLOW_STOP },     /* jmp far */
	['g'] = { HAS_MODRM | GROUP, 0, FLOW_NEXT },
	['-'] = { UNDEFINED, 0, FLOW_NEXT },
	/* These never reach the table: p is a prefix, x an escape byte, v may begin VEX or EVEX. */
};

/* clang-format off */
static const char map_1byte[257] =
	/* 0123456789abcdef */
	  "mmmmbz..mmmmbz.x" /* 0 */
	  "mmmmbz..mmmmbz.." /* 1 */
	  "mmmmbzp.mmmmbzp." /* 2 */
	  "mmmmbzp.mmmmbzp." /* 3 */
	  "................" /* 4 */
	  "................" /* 5 */
	  "..vmppppzZbB...." /* 6 */
	  "cccccccccccccccc" /* 7 */
	  "BZBBmmmmmmmmgMgg" /* 8 */
	  "..........f....." /* 9 */
	  "oooo....bz......" /* a */
	  "bbbbbbbbzzzzzzzz" /* b */
	  "BBRrvvgge.Ss.b.s" /* c */
	  "mmmmbb..mmmmmmmm" /* d */
	  "ccccbbbbKJFj...." /* e */
	  "p.pp..gg......gg" /* f */;

static const char map_0f[257] =
	/* 0123456789abcdef */
	  "ggmm-..s..-s-m.B" /* 0: 0f 0f is 3DNow!, its opcode where an immediate would be */
	  "mmmmmmmmmmmmmmmm" /* 1 */
	  "gggg----mmmmmmmm" /* 2 */
	  "....ss-.x-x-----" /* 3 */
	  "mmmmmmmmmmmmmmmm" /* 4 */
	  "mmmmmmmmmmmmmmmm" /* 5 */
	  "mmmmmmmmmmmmmmmm" /* 6 */
	  "BBBBmmm.gm--mmmm" /* 7 */
	  "CCCCCCCCCCCCCCCC" /* 8 */
	  "mmmmmmmmmmmmmmmm" /* 9 */
	  "...mBm--..smBmgm" /* a */
	  "mmMmMMmmgugmmmmm" /* b */
	  "mmBMBBBg........" /* c */
	  "mmmmmmmmmmmmmmmm" /* d */
	  "mmmmmmmmmmmmmmmm" /* e */
	  "mmmmmmmmmmmmmmmu" /* f */;
/* clang-format on */

/*
 * Which ModRM.reg fields of an opcode may make a sensitive instruction, as bits: with a memory and
 * with a register operand, and those only under a mandatory prefix (66, f2, f3).  An opcode without
 * ModR/M has all bits or none.
 */
struct marks {
	uint8_t mem, reg, prefixed_mem, prefixed_reg;
};

#define MAPS (MAP_0F3A + 1)

static struct marks candidates[MAPS][256], trapping[MAPS][256];
static uint8_t marked[MAPS][256]; /* 0: never sensitive; else MARKED_* */

enum { MARKED_OPCODE = 1, MARKED_MODRM }; /* what it takes to know */

#define RM_SIB       0x80 /* there is a SIB byte */
#define RM_SIB_DISP4 0x40 /* whose base 5 means a 32-bit displacement */

static uint8_t rm_length[2][256]; /* by 16- or 32-bit addressing and ModR/M: bytes, and RM_* */

static atomic_bool tables_ready;
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

/* SDM Vol. 2A, Tables 2-1 to 2-3. */
static void rm_fill(void)
{
	for (unsigned modrm = 0; modrm < 256; modrm++) {
		unsigned mod = MODRM_MOD(modrm), rm = MODRM_RM(modrm);
		unsigned len16 = 1, len32 = 1;

		if (mod != 3) {
			len16 += mod == 0 ? (rm == 6 ? 2 : 0) : mod;
			len32 += mod == 0 ? (rm == 5 ? 4 : 0) : mod == 1 ? 1 : 4;
			if (rm == 4)
				len32 += 1u | RM_SIB | (mod == 0 ? RM_SIB_DISP4 : 0);
		}
		rm_length[0][modrm] = (uint8_t)len16;
		rm_length[1][modrm] = (uint8_t)len32;
	}
}

static unsigned hex_digit(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

static bool reliably_traps(const struct sensitive *s)
{
	if (s->patch)
		return false;
	return s->ring3 == RING3_GP || s->ring3 == RING3_UD || s->ring3 == RING3_TRAP;
}

/* The examples of the table are minimal: a prefix in one is a mandatory prefix. */
static void mark_row(const struct sensitive *s)
{
	uint8_t b[INSN_WINDOW] = { 0 }, regs = 0xff;
	bool mem = true, reg = true;
	struct marks *m;
	struct parse p;

	for (size_t i = 0; s->example[2 * i] && i < INSN_MAX; i++)
		b[i] = (uint8_t)(hex_digit(s->example[2 * i]) << 4 |
				 hex_digit(s->example[2 * i + 1]));
	if (insn_parse(b, 32, &p) || p.map == MAP_VEX)
		return; /* no such row yet; tests/length.c would see it */
	if (p.has_modrm) {
		if ((s->modrm_mask & 0x38) == 0x38)
			regs = (uint8_t)(1u << MODRM_REG(p.modrm));
		if ((s->modrm_mask & 0xc0) == 0xc0) {
			mem = MODRM_MOD(p.modrm) != 3;
			reg = !mem;
		}
		/* Of 0f 01 with a register ModR/M is more opcode, whether or not the row says so.
		 */
		if (p.map == MAP_0F && p.opcode == 0x01 && MODRM_MOD(p.modrm) == 3 &&
		    !s->modrm_mask) {
			regs = (uint8_t)(1u << MODRM_REG(p.modrm));
			mem = false;
		}
		if (regs != 0xff || !mem || !reg)
			marked[p.map][p.opcode] = MARKED_MODRM;
	}
	if (!marked[p.map][p.opcode])
		marked[p.map][p.opcode] = MARKED_OPCODE;
	m = reliably_traps(s) ? &trapping[p.map][p.opcode] : &candidates[p.map][p.opcode];
	if (p.rep || p.prefixes & PREFIX_66) {
		m->prefixed_mem |= mem ? regs : 0;
		m->prefixed_reg |= reg ? regs : 0;
	} else {
		m->mem |= mem ? regs : 0;
		m->reg |= reg ? regs : 0;
	}
}

static void tables_fill(void)
{
	size_t count;
	const struct sensitive *table = sensitive_table(&count);

	for (size_t i = 0; i < count; i++)
		mark_row(&table[i]);
	rm_fill();
	atomic_store_explicit(&tables_ready, true, memory_order_release);
}

static uint8_t is_marked(const struct marks *m, uint8_t modrm, bool prefixed)
{
	uint8_t bits = MODRM_MOD(modrm) == 3 ? m->reg : m->mem;

	if (prefixed)
		bits |= MODRM_MOD(modrm) == 3 ? m->prefixed_reg : m->prefixed_mem;
	return bits >> MODRM_REG(modrm) & 1;
}

/* An instruction being measured. */
struct look {
	const uint8_t *b; /* INSN_WINDOW readable bytes */
	unsigned at;      /* index of what is looked at next */
	unsigned seen;    /* bytes whose value was used so far, lest padding be taken for code */
	uint8_t prefixes; /* PREFIX_* */
	uint8_t rep;      /* 0, 0xf2 or 0xf3: the last one given counts */
	uint8_t opsize, addrsize;
	uint8_t map, opcode;
	struct form form;
};

/* Is it a prefix?  If so, take note of it. */
static bool take_prefix(struct look *l, uint8_t byte)
{
	if (map_1byte[byte] != 'p')
		return false;
	switch (byte) {
	case 0x66: l->prefixes |= PREFIX_66; break;
	case 0x67: l->prefixes |= PREFIX_67; break;
	case 0xf0: l->prefixes |= PREFIX_LOCK; break;
	case 0xf2:
	case 0xf3: l->rep = byte; break;
	}
	return true;
}

/* Length of the ModR/M byte at l->at, SIB and displacement.  Tables: branches would be
 * mispredicted. */
static inline unsigned modrm_length(struct look *l)
{
	const uint8_t *b = l->b + l->at;
	uint8_t len = rm_length[l->addrsize == 4][b[0]];
	unsigned sib = len >> 7, disp32 = len >> 6 & 1;

	l->seen = l->at + 1 + sib;
	return (len & 0x0fu) + 4 * (disp32 & ((b[1] & 7) == 5));
}

/* 8c-c7: the groups of the one-byte map.  Returns false if ModR/M names no instruction. */
static bool group_1byte(struct look *l, uint8_t modrm)
{
	static const uint8_t flow_ff[8] = {
		[2] = FLOW_ICALL, [3] = FLOW_ICALL, [4] = FLOW_INDIRECT, [5] = FLOW_STOP
	};
	unsigned reg = MODRM_REG(modrm);

	switch (l->opcode) {
	case 0x8c: return reg < SEG_COUNT;
	case 0x8e: return reg < SEG_COUNT && reg != SEG_CS;
	case 0x8f: return reg == 0; /* pop; XOP was seen before */
	case 0xc6:
	case 0xc7:
		if (l->opcode == 0xc6)
			l->form.imm = 1;
		else
			l->form.flags |= IMM_Z;
		if (modrm == 0xf8) { /* xabort, xbegin: c7 says where an abort goes */
			if (l->opcode == 0xc7) {
				l->form.flags |= REL;
				l->form.flow = FLOW_COND;
			}
			return true;
		}
		return reg == 0;
	case 0xf6: l->form.imm = reg < 2; return true; /* /1 is an alias of test */
	case 0xf7: l->form.flags |= reg < 2 ? IMM_Z : 0; return true;
	case 0xfe: return reg < 2;
	default: /* ff */
		l->form.flow = flow_ff[reg];
		if (reg == 3 || reg == 5)
			return MODRM_MOD(modrm) != 3;
		return reg < 7;
	}
}

static bool group_0f(struct look *l, uint8_t modrm)
{
	bool reg_form = MODRM_MOD(modrm) == 3;
	unsigned reg = MODRM_REG(modrm);

	switch (l->opcode) {
	case 0x00: return reg < 6;
	case 0x01: return reg_form || reg != 5 || l->rep == 0xf3; /* rstorssp */
	case 0x20 ... 0x23: return l->opcode & 1 || reg == 0 || (reg >= 2 && reg <= 4);
	case 0x78: /* vmread; extrq and insertq of SSE4A */
		if (!l->rep && !(l->prefixes & PREFIX_66))
			return true;
		l->form.imm = 2;
		return reg_form && l->rep != 0xf3 && (l->rep || reg == 0);
	case 0xae: return !reg_form || reg >= 4; /* less is for 64-bit mode */
	case 0xb8: return l->rep == 0xf3;        /* popcnt */
	case 0xba: l->form.imm = 1; return reg >= 4;
	default: /* c7 */ return reg_form ? reg >= 6 : reg != 0 && reg != 2;
	}
}

/* SDM Vol. 2A, LOCK: #UD unless one of these with a memory destination. */
static bool lock_allowed(const struct look *l, uint8_t modrm)
{
	unsigned reg = MODRM_REG(modrm), op = l->opcode;

	if (!(l->form.flags & HAS_MODRM) || MODRM_MOD(modrm) == 3)
		return false;
	if (l->map == MAP_1BYTE) {
		switch (op) {
		case 0x00 ... 0x37: return (op & 7) < 2;
		case 0x80 ... 0x83: return reg != 7;
		case 0x86 ... 0x87: return true;
		case 0xf6 ... 0xf7: return reg == 2 || reg == 3;
		case 0xfe ... 0xff: return reg < 2;
		default: return false;
		}
	}
	if (l->map != MAP_0F)
		return false;
	switch (op) {
	case 0xab:
	case 0xb0 ... 0xb1:
	case 0xb3:
	case 0xbb:
	case 0xc0 ... 0xc1: return true;
	case 0xba: return reg > 4;
	case 0xc7: return reg == 1;
	default: return false;
	}
}

/*
 * VEX, EVEX or XOP, whose first byte is at l->at - 1.  All instructions in them have ModR/M, but
 * VZEROUPPER and VZEROALL.  Returns 0 or -EINVAL.
 */
static int measure_vex(struct look *l)
{
	const uint8_t *b = l->b + l->at;
	unsigned map, skip;
	bool xop = l->opcode == 0x8f;
	uint8_t op;

	l->seen = l->at + 1;
	if (l->rep || l->prefixes & (PREFIX_LOCK | PREFIX_66))
		return -EINVAL;
	if (l->opcode == 0xc5) {
		map = 1;
		skip = 1;
	} else if (l->opcode == 0x62) {
		map = b[0] & 7;
		skip = 3;
		l->seen++;
		if (b[0] & 8 || !(b[1] & 4)) /* fixed bits of P0 and P1 */
			return -EINVAL;
	} else {
		map = b[0] & 0x1f;
		skip = 2;
	}
	if (xop ? map < 8 || map > 10 : !map || map == 4 || map > (l->opcode == 0x62 ? 6u : 3u))
		return -EINVAL;
	op = b[skip];
	l->at += skip + 1;
	l->seen = l->at;
	l->form = forms['m'];
	if (map == 1 && op == 0x77) {
		l->form = forms[l->opcode == 0x62 ? '-' : '.'];
		return l->opcode == 0x62 ? -EINVAL : 0;
	}
	l->at += modrm_length(l);
	if (map == 3 || map == 8) /* as 0f 3a */
		l->at += 1;
	else if (map == 10)
		l->at += 4;
	else if (map == 1) /* as in the 0f map: shifts by immediate, compares, shuffles ... */
		l->at += (op >= 0x70 && op <= 0x73) || op == 0xc2 || (op >= 0xc4 && op <= 0xc6);
	return 0;
}

/* Prefixes and opcode.  Returns 0, or -EINVAL if the prefixes leave no room for an opcode. */
static int take_opcode(struct look *l, unsigned bits)
{
	const char *map = map_1byte;
	uint8_t op;

	while (take_prefix(l, l->b[l->at]))
		if (++l->at >= INSN_MAX) {
			l->seen = INSN_MAX;
			return -EINVAL;
		}
	l->opsize = (bits == 32) != !!(l->prefixes & PREFIX_66) ? 4 : 2;
	l->addrsize = (bits == 32) != !!(l->prefixes & PREFIX_67) ? 4 : 2;
	op = l->b[l->at++];
	if (op == 0x0f) {
		map = map_0f;
		l->map = MAP_0F;
		op = l->b[l->at++];
	}
	if (map[op] == 'x') { /* 0f 38 and 0f 3a: all have ModR/M, and 0f 3a an immediate */
		l->map = op == 0x38 ? MAP_0F38 : MAP_0F3A;
		l->form = forms[op == 0x38 ? 'm' : 'B'];
		op = l->b[l->at++];
	} else {
		l->form = forms[(uint8_t)map[op]];
	}
	l->opcode = op;
	l->seen = l->at;
	return 0;
}

/* LES, LDS and BOUND have no register form, and POP only one reg field: the rest is VEX ... XOP. */
static bool is_vex(struct look *l)
{
	uint8_t next = l->b[l->at];

	if (l->map != MAP_1BYTE)
		return false;
	if (map_1byte[l->opcode] == 'v') {
		l->seen = l->at + 1;
		if (MODRM_MOD(next) == 3)
			return true;
		l->form = forms['m'];
	}
	return l->opcode == 0x8f && next & 0x18;
}

/* Measure it as if all INSN_WINDOW bytes were there.  l->at is its length at the end. */
static int measure(struct look *l, unsigned bits, struct quick *out)
{
	bool prefixed;
	uint8_t modrm, mark;
	unsigned imm;

	if (take_opcode(l, bits))
		return -EINVAL;
	modrm = l->b[l->at];
	*out = (struct quick){ .opsize = l->opsize, .decided = (uint8_t)l->at };
	if (is_vex(l)) {
		out->decided++;
		out->flow = FLOW_NEXT;
		return measure_vex(l);
	}
	if (l->form.flags & UNDEFINED)
		return -EINVAL;
	if (l->form.flags & HAS_MODRM)
		l->seen = l->at + 1;
	if (l->form.flags & GROUP) {
		out->decided = (uint8_t)(l->at + 1);
		if (!(l->map == MAP_0F ? group_0f(l, modrm) : group_1byte(l, modrm)))
			return -EINVAL;
	}
	if ((l->form.flags & MEM_ONLY && MODRM_MOD(modrm) == 3) ||
	    (l->prefixes & PREFIX_LOCK && !lock_allowed(l, modrm)))
		return -EINVAL;
	mark = marked[l->map][l->opcode];
	if (mark) {
		prefixed = l->rep || l->prefixes & PREFIX_66;
		out->candidate = is_marked(&candidates[l->map][l->opcode], modrm, prefixed);
		out->traps = is_marked(&trapping[l->map][l->opcode], modrm, prefixed);
	}
	if (mark == MARKED_MODRM || map_1byte[l->opcode] == 'v')
		out->decided = (uint8_t)l->seen;
	if (l->form.flags & HAS_MODRM) {
		/* MOV to and from CRn and DRn ignores mod: always registers (SDM Vol. 2B, MOV). */
		if (l->map == MAP_0F && (l->opcode & 0xfc) == 0x20)
			l->at++;
		else
			l->at += modrm_length(l);
	}
	imm = l->form.imm;
	if (l->form.flags & IMM_Z)
		imm += l->opsize;
	if (l->form.flags & MOFFS)
		imm += l->addrsize;
	if (l->form.flags & REL) {
		const uint8_t *b = l->b + l->at;

		out->rel = imm == 1   ? (int8_t)b[0]
			   : imm == 2 ? (int16_t)(b[0] | b[1] << 8)
				      : (int32_t)(b[0] | b[1] << 8 | b[2] << 16 |
						  (uint32_t)b[3] << 24);
	}
	l->at += imm;
	out->flow = l->form.flow;
	return 0;
}

int insn_quick(const uint8_t *bytes, size_t len, unsigned bits, struct quick *out)
{
	uint8_t window[INSN_WINDOW];
	struct look l = { .b = bytes };
	int ret;

	if (!atomic_load_explicit(&tables_ready, memory_order_acquire))
		pthread_once(&tables_once, tables_fill);
	if (!len)
		return -ENODATA;
	if (len < INSN_WINDOW) {
		memset(window, 0, sizeof(window));
		memcpy(window, bytes, len);
		l.b = window;
	}
	ret = measure(&l, bits, out);
	if (!ret && l.at > INSN_MAX)
		ret = -EINVAL;
	/* What was decided from padding is not decided. */
	if (l.seen > len && len < INSN_MAX)
		return -ENODATA;
	if (ret)
		return ret;
	if (l.at > len)
		return -ENODATA;
	out->len = (uint8_t)l.at;
	return 0;
}
