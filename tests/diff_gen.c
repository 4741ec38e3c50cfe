/* SPDX-License-Identifier: MIT */
/* The generator of differential test cases: see diff.h. */
#include "tests/diff.h"

#include <string.h>

/*
 * Templates in the manual's notation: hex bytes, +r random register added to the byte before, /r
 * and /0-/7 random ModR/M with that reg field (/m: memory only, /m1 with that reg field), ib iw iz
 * immediates, cb cz branch offsets, mo a memory offset.  iz and cz follow the operand size, mo the
 * address size.  * stands for every value of those 3 bits or that digit (see expand()).
 */
static const char templates[] =
	/* add or adc sbb and sub xor cmp; rol ror rcl rcr shl shr sal sar; conditions */
	"00+* /r, 01+* /r, 02+* /r, 03+* /r, 04+* ib, 05+* iz, 80 /* ib, 81 /* iz, "
	"82 /* ib, 83 /* ib, c0 /* ib, c1 /* ib, d0 /*, d1 /*, d2 /*, d3 /*, "
	"0f 9# /0, 0f 4# /r, 7# cb, 0f 8# cz, "
	/* everything else */
	"84 /r, 85 /r, a8 ib, a9 iz, f6 /0 ib, f7 /0 iz, f6 /1 ib, f7 /1 iz, f6 /2, "
	"f7 /2, f6 /3, f7 /3, fe /0, ff /0, fe /1, ff /1, 40 +r, 48 +r, 0f a4 /r ib, "
	"0f a5 /r, 0f ac /r ib, 0f ad /r, 0f a3 /r, 0f ab /r, 0f b3 /r, 0f bb /r, "
	"0f ba /4 ib, 0f ba /5 ib, 0f ba /6 ib, 0f ba /7 ib, 0f bc /r, 0f bd /r, "
	"86 /r, 87 /r, 90 +r, 0f b0 /r, 0f b1 /r, 0f c0 /r, 0f c1 /r, 0f c7 /m1, "
	"88 /r, 89 /r, 8a /r, 8b /r, c6 /0 ib, c7 /0 iz, b0 +r ib, b8 +r iz, a0 mo, "
	"a1 mo, a2 mo, a3 mo, 0f b6 /r, 0f b7 /r, 0f be /r, 0f bf /r, 0f 38 f0 /m, "
	"0f 38 f1 /m, 8d /m, d7, f6 /4, f7 /4, f6 /5, f7 /5, f6 /6, f7 /6, f6 /7, "
	"f7 /7, 0f af /r, 69 /r iz, 6b /r ib, 98, 99, 9f, 9e, f8, f9, f5, fc, fd, "
	"90, 0f 1f /0, 0f c8 +r, 50 +r, 58 +r, 68 iz, 6a ib, ff /6, 8f /0, 60, 61, "
	"c8 iw ib, c9, e0 cb, e1 cb, e2 cb, e3 cb, eb cb, e9 cz, e8 cz, ff /2, "
	"ff /4, c3, c2 iw, a4, a5, a6, a7, aa, ab, ac, ad, ae, af, "
	/* sensitive, but the same at ring 3 as the guest's vCPL 3 has it */
	"9c, 9d, 62 /m, 63 /r";

#define FORMS_MAX 512
static struct form {
	char tpl[16];
	unsigned sub; /* value of * or # */
} forms[FORMS_MAX];
static unsigned form_count;

/* "*" is 8 instructions, "#" 16. */
static void expand(void)
{
	for (const char *s = templates; *s; s += strcspn(s, ","), s += strspn(s, ", ")) {
		size_t len = strcspn(s, ",");
		unsigned n = memchr(s, '#', len) ? 16 : memchr(s, '*', len) ? 8 : 1;

		for (unsigned sub = 0; sub < n && form_count < FORMS_MAX; sub++) {
			struct form *f = &forms[form_count++];

			memcpy(f->tpl, s, len < sizeof(f->tpl) ? len : sizeof(f->tpl) - 1);
			f->sub = sub;
		}
	}
}

unsigned diff_templates(void)
{
	if (!form_count)
		expand();
	return form_count;
}

/* ---- segments ---- */

#define DESC(n, b, l, t, d, from, size)     \
	{                                   \
		.name = n,                  \
		.seg = { .base = (b),       \
			 .limit = (l),      \
			 .type = (t),       \
			 .db = (d),         \
			 .dpl = 3,          \
			 .s = true,         \
			 .present = true }, \
		.lo = (from), .len = (size) \
	}
#define DOWN 0x10000u /* top of a 16-bit expand-down segment */

static const struct diff_desc code_desc[] = {
	DESC("flat32", 0, 0xffffffff, 11, true, DIFF_CODE, DIFF_CODE_LEN),
	DESC("code32", DIFF_CODE, DIFF_CODE_LEN - 1, 11, true, 0, DIFF_CODE_LEN),
	DESC("code16", DIFF_CODE, DIFF_CODE_LEN - 1, 11, false, 0, DIFF_CODE_LEN),
	DESC("short16", DIFF_CODE, 0x7fff, 9, false, 0, 0x8000),
};

static const struct diff_desc stack_desc[] = {
	DESC("flat", 0, 0xffffffff, 3, true, DIFF_STACK, DIFF_STACK_LEN),
	DESC("stack32", DIFF_STACK, DIFF_STACK_LEN - 1, 3, true, 0, DIFF_STACK_LEN),
	DESC("stack16", DIFF_STACK, DIFF_STACK_LEN - 1, 3, false, 0, DIFF_STACK_LEN),
	DESC("down16", DIFF_STACK + DIFF_STACK_LEN - DOWN, DOWN - DIFF_STACK_LEN - 1, 7, false,
	     DOWN - DIFF_STACK_LEN, DIFF_STACK_LEN),
	DESC("down32", DIFF_STACK + DIFF_STACK_LEN, 0u - DIFF_STACK_LEN - 1, 7, true,
	     0u - DIFF_STACK_LEN, DIFF_STACK_LEN),
};

static const struct diff_desc data_desc[] = {
	DESC("flat", 0, 0xffffffff, 3, true, DIFF_DATA, DIFF_DATA_LEN),
	DESC("data", DIFF_DATA, DIFF_DATA_LEN - 1, 3, true, 0, DIFF_DATA_LEN),
	DESC("small", DIFF_DATA + 0x1000, 0x7ff, 3, false, 0, 0x800),
	DESC("down16", DIFF_DATA + DIFF_DATA_LEN - DOWN, DOWN - DIFF_DATA_LEN - 1, 7, false,
	     DOWN - DIFF_DATA_LEN, DIFF_DATA_LEN),
	DESC("down32", DIFF_DATA + DIFF_DATA_LEN, 0u - DIFF_DATA_LEN - 1, 7, true,
	     0u - DIFF_DATA_LEN, DIFF_DATA_LEN),
	DESC("readonly", DIFF_DATA, DIFF_DATA_LEN - 1, 1, true, 0, DIFF_DATA_LEN),
	DESC("code", DIFF_DATA, DIFF_DATA_LEN - 1, 11, true, 0, DIFF_DATA_LEN),
	{ .name = "null", .seg = { .unusable = true }, .len = 1 },
};

/* ---- random numbers ---- */

struct gen {
	struct diff_case *c;
	uint64_t rng;
	unsigned opsize, addrsize;
	unsigned over; /* segment override, or SEG_NONE */
};

/* splitmix64; Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators" (2014). */
static uint32_t rnd(struct gen *g)
{
	uint64_t z = g->rng += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return (uint32_t)((z ^ z >> 31) >> 32);
}

static bool one_in(struct gen *g, unsigned n)
{
	return rnd(g) % n == 0;
}

/* Values at the edges of the widths as often as any others. */
static uint32_t value(struct gen *g)
{
	static const uint32_t edge[] = { 0,          1,          2,          0x7f,      0x80,
					 0xff,       0x7fff,     0x8000,     0xffff,    0x10000,
					 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff };

	switch (rnd(g) % 3) {
	case 0: return edge[rnd(g) % (sizeof(edge) / sizeof(edge[0]))];
	case 1: return rnd(g) & 0xff;
	default: return rnd(g);
	}
}

/* An offset in the memory of @d: around its middle, now and then at one of its ends. */
static uint32_t offset(struct gen *g, const struct diff_desc *d)
{
	if (!one_in(g, 16))
		return d->lo + d->len / 2 + rnd(g) % 256 - 128;
	return d->lo + (one_in(g, 2) ? 0 : d->len) + rnd(g) % 16 - 8;
}

/* ---- bytes ---- */

static void emit(struct gen *g, uint32_t val, unsigned width)
{
	for (unsigned i = 0; i < width && g->c->len < DIFF_CODE_MAX; i++)
		g->c->code[g->c->len++] = (uint8_t)(val >> 8 * i);
}

static void emit_disp(struct gen *g, unsigned width)
{
	emit(g, one_in(g, 4) ? rnd(g) : rnd(g) % 128 - 64, width);
}

/* An absolute address; the base register's default cannot be SS. */
static void emit_absolute(struct gen *g)
{
	emit(g, offset(g, g->c->desc[g->over == SEG_NONE ? SEG_DS : g->over]), g->addrsize);
}

static void emit_modrm(struct gen *g, unsigned reg, bool memory)
{
	unsigned mod = rnd(g) % (memory ? 3 : 4), rm = rnd(g) % 8, sib = rnd(g) & 0xff;
	unsigned wide = g->addrsize == 2 ? 2 : 4;
	bool has_sib = g->addrsize == 4 && mod != 3 && rm == 4;

	emit(g, mod << 6 | reg << 3 | rm, 1);
	if (has_sib)
		emit(g, sib, 1);
	if (mod == 1)
		emit(g, rnd(g), 1);
	else if (mod == 2)
		emit_disp(g, wide);
	else if (mod == 0 && has_sib && (sib & 7) == 5 && (sib >> 3 & 7) != 4)
		emit_disp(g, 4);
	else if (mod == 0 && ((has_sib && (sib & 7) == 5) || rm == (wide == 2 ? 6u : 5u)))
		emit_absolute(g);
}

static unsigned hex_digit(char ch, unsigned sub)
{
	return ch == '#' ? sub : ch <= '9' ? (unsigned)(ch - '0') : (unsigned)(ch - 'a' + 10);
}

static void assemble(struct gen *g, const struct form *f)
{
	uint32_t near = rnd(g) % 4 ? rnd(g) % 0x1000 - 0x800 : rnd(g);

	for (const char *s = f->tpl; *s; s += strcspn(s, " "), s += strspn(s, " ")) {
		if (s[0] == '/') {
			char r = s[1] == 'm' && s[2] >= '0' ? s[2] : s[1];

			emit_modrm(g,
				   r == '*'               ? f->sub
				   : r >= '0' && r <= '7' ? (unsigned)(r - '0')
							  : rnd(g) % 8,
				   s[1] == 'm');
		} else if (s[0] == '+') {
			g->c->code[g->c->len - 1] |= (uint8_t)(rnd(g) % 8);
		} else if (!strncmp(s, "ib", 2)) {
			emit(g, value(g), 1);
		} else if (!strncmp(s, "iw", 2)) {
			emit(g, one_in(g, 8) ? rnd(g) : rnd(g) % 256, 2);
		} else if (!strncmp(s, "iz", 2)) {
			emit(g, value(g), g->opsize);
		} else if (!strncmp(s, "cb", 2)) {
			emit(g, rnd(g), 1);
		} else if (!strncmp(s, "cz", 2)) {
			emit(g, near, g->opsize);
		} else if (!strncmp(s, "mo", 2)) {
			emit_absolute(g);
		} else {
			unsigned byte = hex_digit(s[0], f->sub) << 4 | hex_digit(s[1], f->sub);

			emit(g, s[2] == '+' ? byte + f->sub * 8 : byte, 1);
		}
	}
}

static bool is_string_form(const char *tpl)
{
	return tpl[0] == 'a' && strchr("4567abcdef", tpl[1]) && !tpl[2];
}

/* Some that count, some that do not, sometimes twice. */
static void emit_prefixes(struct gen *g, const struct form *f)
{
	static const uint8_t over[SEG_COUNT] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };

	for (unsigned again = 0; again < 2; again++) {
		if (one_in(g, 4)) {
			g->opsize = g->c->bits == 32 ? 2 : 4;
			emit(g, 0x66, 1);
		}
		if (one_in(g, 6)) {
			g->addrsize = g->c->bits == 32 ? 2 : 4;
			emit(g, 0x67, 1);
		}
		if (one_in(g, 5)) {
			g->over = rnd(g) % SEG_COUNT;
			emit(g, over[g->over], 1);
		}
		if (one_in(g, 12))
			emit(g, 0xf0, 1);
		if (one_in(g, is_string_form(f->tpl) ? 2 : 24))
			emit(g, 0xf2 | (rnd(g) & 1), 1);
		if (!one_in(g, 8))
			break;
	}
	if (one_in(g, 200)) { /* up to the longest instruction, and beyond */
		g->over = SEG_DS;
		for (unsigned n = 4 + rnd(g) % 12; n; n--)
			emit(g, 0x3e, 1);
	}
}

/* ---- registers and memory ---- */

static bool is_branch(unsigned op)
{
	return op >= OP_CALL && op <= OP_JCXZ;
}

static bool is_string(unsigned op)
{
	return op >= OP_MOVS && op <= OP_SCAS;
}

static void poke(struct gen *g, uint32_t gva, uint32_t val)
{
	if (g->c->pokes < DIFF_POKES)
		g->c->poke[g->c->pokes++] = (struct diff_poke){ gva, val };
}

/* Set the low @width bytes of @reg. */
static void set_low(struct gen *g, unsigned reg, unsigned width, uint32_t val)
{
	uint32_t mask = width == 2 ? 0xffff : 0xffffffff;

	g->c->gpr[reg] = (g->c->gpr[reg] & ~mask) | (val & mask);
}

/* Registers such that @m is at offset @at of its segment, as far as its form allows. */
static void aim(struct gen *g, const struct mem_ref *m, uint32_t at)
{
	unsigned width = g->c->in.addrsize;
	uint32_t left = at - (uint32_t)m->disp;

	if (m->base == ESP) { /* the stack stays where it is */
		if (m->index != GPR_NONE)
			set_low(g, m->index, width, rnd(g) % 16);
	} else if (m->base == m->index) {
		if (m->base != GPR_NONE)
			set_low(g, m->base, width, left / (m->scale + 1u));
	} else if (m->base == GPR_NONE) {
		set_low(g, m->index, width, left / m->scale);
	} else {
		if (m->index != GPR_NONE) {
			uint32_t index = rnd(g) % 16;

			set_low(g, m->index, width, index);
			left -= index * m->scale;
		}
		set_low(g, m->base, width, left);
	}
}

static void prepare_memory(struct gen *g)
{
	struct diff_case *c = g->c;
	const struct insn *in = &c->in;
	const struct mem_ref *m = NULL;
	const struct diff_desc *d;
	uint32_t at, gva;

	for (unsigned i = 0; i < in->nopnd; i++)
		if (in->opnd[i].kind == OPND_MEM)
			m = &in->opnd[i].mem;
	if (!m || one_in(g, 40))
		return;
	d = c->desc[m->seg];
	at = offset(g, d);
	/* A locked access across two cache lines may be refused by the host (split lock). */
	if ((in->prefixes & PREFIX_LOCK) || in->op == OP_XCHG)
		at &= ~7u;
	aim(g, m, at);
	gva = d->seg.base + at;
	if (in->op >= OP_BT && in->op <= OP_BTC && in->opnd[1].kind == OPND_GPR &&
	    in->opnd[1].reg != m->base && in->opnd[1].reg != m->index && in->opnd[1].reg != ESP)
		set_low(g, in->opnd[1].reg, in->opsize, rnd(g) % 2048 - 1024);
	if ((in->op == OP_CALL || in->op == OP_JMP) && !one_in(g, 4))
		poke(g, gva, offset(g, c->desc[SEG_CS]));
	if (in->op == OP_CMPXCHG && one_in(g, 2))
		poke(g, gva, c->gpr[EAX]);
	if (in->op == OP_CMPXCHG8B && one_in(g, 2)) {
		poke(g, gva, c->gpr[EAX]);
		poke(g, gva + 4, c->gpr[EDX]);
	}
	if (in->op == OP_BOUND && one_in(g, 2)) {
		poke(g, gva, in->opsize == 2 ? 0x7fff8000 : 0x80000000);
		poke(g, gva + 4, 0x7fffffff);
	}
	if (in->op == OP_DIV || in->op == OP_IDIV)
		poke(g, gva, value(g));
}

static void prepare_string(struct gen *g)
{
	struct diff_case *c = g->c;
	unsigned aw = c->in.addrsize;
	const struct diff_desc *src = c->desc[c->in.seg], *dst = c->desc[SEG_ES];

	set_low(g, ESI, aw, offset(g, src));
	set_low(g, EDI, aw, offset(g, dst));
	set_low(g, ECX, aw, one_in(g, 50) ? rnd(g) % 5000 : rnd(g) % 24);
	if (one_in(g, 2)) { /* something for REPE to run through */
		c->fill = (uint8_t)rnd(g);
		c->fill_gva = DIFF_DATA + DIFF_DATA_LEN / 2 - 256;
		c->fill_len = 512 + rnd(g) % 16;
		if (one_in(g, 2))
			c->gpr[EAX] = c->fill * 0x01010101u;
	}
}

/* Registers, flags and memory for the instruction, so that it does something of interest. */
static void prepare(struct gen *g)
{
	struct diff_case *c = g->c;
	const struct insn *in = &c->in;
	const struct diff_desc *ss = c->desc[SEG_SS];
	uint32_t top, dest = offset(g, c->desc[SEG_CS]);

	for (int i = 0; i < GPR_COUNT; i++)
		c->gpr[i] = value(g);
	top = offset(g, ss) & (one_in(g, 8) ? ~0u : ~3u);
	set_low(g, ESP, ss->seg.db ? 4 : 2, top);
	top += ss->seg.base;
	if (in->op == OP_DIV || in->op == OP_IDIV) {
		if (rnd(g) % 4)
			c->gpr[EDX] = one_in(g, 2) ? 0 : 0xffffffff;
		if (in->width == 1 && one_in(g, 2))
			c->gpr[EAX] &= 0xff;
	} else if (is_string(in->op)) {
		prepare_string(g);
	} else if (in->op == OP_ENTER || in->op == OP_LEAVE) {
		set_low(g, EBP, ss->seg.db ? 4 : 2, offset(g, ss) & ~3u);
	} else if (in->op == OP_XLAT) {
		set_low(g, EBX, in->addrsize, offset(g, c->desc[in->seg]) - (c->gpr[EAX] & 0xff));
	} else if (in->op == OP_RET && !one_in(g, 8)) {
		poke(g, top, in->opsize == 2 ? (dest & 0xffff) | (rnd(g) & 0xffff0000) : dest);
	} else if (in->op == OP_POPF) {
		poke(g, top, rnd(g));
	} else if (in->op >= OP_LOOP && in->op <= OP_JCXZ) {
		c->gpr[ECX] = (rnd(g) & 0x30000) | rnd(g) % 3;
	} else if ((in->op == OP_CALL || in->op == OP_JMP) && in->opnd[0].kind == OPND_GPR &&
		   in->opnd[0].reg != ESP) {
		c->gpr[in->opnd[0].reg] = dest;
	} else if (in->op == OP_CMPXCHG && in->opnd[0].kind == OPND_GPR && in->opnd[0].reg != ESP &&
		   one_in(g, 2)) {
		c->gpr[in->opnd[0].reg] = c->gpr[EAX];
	}
	prepare_memory(g);
}

static const struct diff_desc *pick(struct gen *g, const struct diff_desc *d, unsigned n,
				    unsigned usual)
{
	return &d[rnd(g) % (one_in(g, 6) ? n : usual)];
}
#define PICK(g, table, usual) pick(g, table, sizeof(table) / sizeof(table[0]), usual)

void diff_generate(struct diff_case *c, uint64_t seed, unsigned long index)
{
	struct gen g = { .c = c, .over = SEG_NONE };
	const struct form *f = &forms[index % diff_templates()];

	memset(c, 0, sizeof(*c));
	c->seed = seed;
	c->index = index;
	c->template = f->tpl;
	g.rng = seed ^ (index + 1) * 0xd1342543de82ef95ull;
	rnd(&g);

	for (int i = 0; i < SEG_COUNT; i++)
		c->desc[i] = i == SEG_SS ? PICK(&g, stack_desc, 3) : PICK(&g, data_desc, 5);
	c->desc[SEG_CS] = PICK(&g, code_desc, 3);
	c->bits = c->desc[SEG_CS]->seg.db ? 32 : 16;
	g.opsize = g.addrsize = c->bits / 8;
	c->eip = c->desc[SEG_CS]->lo + 0x1000 + rnd(&g) % 0x6000;

	emit_prefixes(&g, f);
	assemble(&g, f);
	memset(c->code + c->len, 0xf4, DIFF_CODE_MAX - c->len);
	c->decoded = insn_decode(c->code, INSN_MAX, c->bits, &c->in);
	prepare(&g);
	c->eflags = FL_FIXED | FL_IF | (rnd(&g) & (FL_ARITH | FL_DF));
	/*
	 * Single-stepped, or followed by HLT.  Branches always the former: they may go anywhere,
	 * into their own bytes, too.
	 */
	if (is_branch(c->in.op) || one_in(&g, 3))
		c->eflags |= FL_TF;
}
