/* SPDX-License-Identifier: MIT */
/*
 * The integer interpreter against the real CPU: random instructions of every form, with random
 * registers, flags and memory, run natively at ring 3 (tests/native.h) and through insn_decode()
 * and emulate() on RAM.  Registers, memory, the defined flags, EIP and the exception must agree.
 * The seed is fixed: a failure repeats.  A failing case is printed as bytes and registers.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/emu_fixture.h"
#include "tests/native.h"

#define WINDOW 0x1000u                 /* bytes of data and of stack that are compared */
#define MID    (NATIVE_DATA + 0x8000u) /* memory operands lie around here */
#define CASES  150                     /* per template */

/*
 * Templates in the manual's notation: hex bytes, +r random register added to the byte before, /r
 * and /0-/7 random ModR/M with that reg field (/m0: memory only), ib iw iz immediates, cb cz branch
 * offsets, mo a memory offset.  iz and cz follow the operand size.
 */
static const char *const templates[] = {
	"84 /r",       "85 /r",       "a8 ib",       "a9 iz",       "f6 /0 ib",    "f7 /0 iz",
	"f6 /2",       "f7 /2",       "f6 /3",       "f7 /3",       "fe /0",       "ff /0",
	"fe /1",       "ff /1",       "40 +r",       "48 +r",       "0f a4 /r ib", "0f a5 /r",
	"0f ac /r ib", "0f ad /r",    "0f a3 /r",    "0f ab /r",    "0f b3 /r",    "0f bb /r",
	"0f ba /4 ib", "0f ba /5 ib", "0f ba /6 ib", "0f ba /7 ib", "0f bc /r",    "0f bd /r",
	"86 /r",       "87 /r",       "90 +r",       "0f b0 /r",    "0f b1 /r",    "0f c0 /r",
	"0f c1 /r",    "0f c7 /m1",   "88 /r",       "89 /r",       "8a /r",       "8b /r",
	"c6 /0 ib",    "c7 /0 iz",    "b0 +r ib",    "b8 +r iz",    "a0 mo",       "a1 mo",
	"a2 mo",       "a3 mo",       "0f b6 /r",    "0f b7 /r",    "0f be /r",    "0f bf /r",
	"0f 38 f0 /m", "0f 38 f1 /m", "8d /m",       "d7",          "f6 /4",       "f7 /4",
	"f6 /5",       "f7 /5",       "f6 /6",       "f7 /6",       "f6 /7",       "f7 /7",
	"0f af /r",    "69 /r iz",    "6b /r ib",    "98",          "99",          "9f",
	"9e",          "f8",          "f9",          "f5",          "fc",          "fd",
	"90",          "0f 1f /0",    "0f c8 +r",    "50 +r",       "58 +r",       "68 iz",
	"6a ib",       "ff /6",       "8f /0",       "60",          "61",          "c8 iw ib",
	"c9",          "e0 cb",       "e1 cb",       "e2 cb",       "e3 cb",       "eb cb",
	"e9 cz",       "e8 cz",       "ff /2",       "ff /4",       "c3",          "c2 iw",
	"a4",          "a5",          "a6",          "a7",          "aa",          "ab",
	"ac",          "ad",          "ae",          "af",
};

struct test {
	struct fx f;
	uint64_t rng;
	uint8_t code[INSN_MAX];
	size_t len;
	bool bytes66;         /* has a 66 prefix */
	bool memory;          /* has a ModR/M memory operand */
	unsigned base, index; /* its registers, or GPR_NONE */
	uint32_t gva;         /* where it points, before an ESP change */
	struct insn in;
	struct native_state st;
};

/* xorshift64*; Vigna, "An experimental exploration of Marsaglia's xorshift generators" (2016). */
static uint32_t rnd(struct test *t)
{
	t->rng ^= t->rng >> 12;
	t->rng ^= t->rng << 25;
	t->rng ^= t->rng >> 27;
	return (uint32_t)(t->rng * 2685821657736338717ull >> 32);
}

/* Values at the edges of the widths as often as any others. */
static uint32_t value(struct test *t)
{
	static const uint32_t edge[] = { 0,          1,          2,          0x7f,      0x80,
					 0xff,       0x7fff,     0x8000,     0xffff,    0x10000,
					 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff };
	uint32_t r = rnd(t);

	if (r % 3 == 0)
		return edge[rnd(t) % (sizeof(edge) / sizeof(edge[0]))];
	return r % 3 == 1 ? rnd(t) & 0xff : rnd(t);
}

static void emit(struct test *t, uint32_t val, unsigned width)
{
	for (unsigned i = 0; i < width; i++)
		t->code[t->len++] = (uint8_t)(val >> 8 * i);
}

/* A random ModR/M: a register, or one of several memory forms near MID. */
static void emit_modrm(struct test *t, unsigned reg, bool memory_only)
{
	uint32_t disp = rnd(t) % 64 - 32;
	unsigned form = rnd(t) % 8;

	t->base = t->index = GPR_NONE;
	t->memory = memory_only || form < 5;
	if (!t->memory) {
		emit(t, 0xc0 | reg << 3 | rnd(t) % 8, 1);
		return;
	}
	if (memory_only)
		form %= 5;
	t->gva = MID + rnd(t) % 16;
	switch (form) {
	case 0: /* (base) */
		t->base = (unsigned[]){ EAX, ECX, EDX, EBX, ESI, EDI }[rnd(t) % 6];
		emit(t, reg << 3 | t->base, 1);
		break;
	case 1: /* disp8(base) */
	case 2: /* disp32(base) */
		t->base = (unsigned[]){ EAX, ECX, EDX, EBX, EBP, ESI, EDI }[rnd(t) % 7];
		emit(t, (form == 1 ? 0x40 : 0x80) | reg << 3 | t->base, 1);
		emit(t, disp, form == 1 ? 1 : 4);
		break;
	case 3: /* disp8(base,index,scale) */
		t->base = (unsigned[]){ EAX, ECX, EBX, ESI }[rnd(t) % 4];
		t->index = (unsigned[]){ EDX, EBP, EDI }[rnd(t) % 3];
		emit(t, 0x44 | reg << 3, 1);
		emit(t, rnd(t) % 4 << 6 | t->index << 3 | t->base, 1);
		emit(t, disp, 1);
		break;
	default: /* absolute */
		emit(t, 0x05 | reg << 3, 1);
		emit(t, t->gva, 4);
		break;
	}
}

static void assemble(struct test *t, const char *tpl)
{
	unsigned zw = t->bytes66 ? 2 : 4, byte;

	for (const char *s = tpl; *s; s += strcspn(s, " "), s += strspn(s, " ")) {
		if (s[0] == '/')
			emit_modrm(t,
				   s[1] == 'm' && s[2] >= '0' && s[2] <= '7'
					   ? (unsigned)(s[2] - '0')
				   : s[1] == 'r' || s[1] == 'm' ? rnd(t) % 8
								: (unsigned)(s[1] - '0'),
				   s[1] == 'm');
		else if (s[0] == '+')
			t->code[t->len - 1] |= rnd(t) % 8;
		else if (!strncmp(s, "ib", 2))
			emit(t, value(t), 1);
		else if (!strncmp(s, "iw", 2))
			emit(t, rnd(t) % 256, 2);
		else if (!strncmp(s, "iz", 2))
			emit(t, value(t), zw);
		else if (!strncmp(s, "cb", 2))
			emit(t, 16 + rnd(t) % 100, 1);
		else if (!strncmp(s, "cz", 2))
			emit(t, 16 + rnd(t) % 2000, zw);
		else if (!strncmp(s, "mo", 2))
			emit(t, MID + rnd(t) % 16, 4);
		else if (sscanf(s, "%2x", &byte) == 1)
			emit(t, byte, 1);
	}
}

static bool one_of(unsigned op, const unsigned *set)
{
	for (; *set; set++)
		if (*set == op)
			return true;
	return false;
}

static bool is_string(unsigned op)
{
	static const unsigned set[] = { OP_MOVS, OP_STOS, OP_LODS, OP_CMPS, OP_SCAS, 0 };

	return one_of(op, set);
}

static bool is_bit(unsigned op)
{
	static const unsigned set[] = { OP_BT, OP_BTS, OP_BTR, OP_BTC, 0 };

	return one_of(op, set);
}

static bool lockable(const struct insn *in)
{
	static const unsigned set[] = { OP_ADD,  OP_OR,      OP_ADC,       OP_SBB, OP_AND,
					OP_SUB,  OP_XOR,     OP_INC,       OP_DEC, OP_NEG,
					OP_NOT,  OP_BTS,     OP_BTR,       OP_BTC, OP_XADD,
					OP_XCHG, OP_CMPXCHG, OP_CMPXCHG8B, 0 };

	return in->opnd[0].kind == OPND_MEM && one_of(in->op, set);
}

static bool uses_memory(const struct insn *in)
{
	for (unsigned i = 0; i < in->nopnd; i++)
		if (in->opnd[i].kind == OPND_MEM)
			return in->len < INSN_MAX;
	return is_string(in->op) || in->op == OP_XLAT;
}

static uint32_t *native_word(uint32_t gva)
{
	return native_ptr(gva);
}

/* Registers, flags and memory for the instruction, so that it does something of interest. */
static void prepare(struct test *t)
{
	uint32_t *g = t->st.gpr;
	unsigned op = t->in.op;
	uint32_t dest = NATIVE_CODE + 64 + rnd(t) % 2000, bit;

	t->st = native_state();
	for (int i = 0; i < GPR_COUNT; i++)
		g[i] = value(t);
	g[ESP] = NATIVE_ESP + 4 * (rnd(t) % 16);
	t->st.eflags = (t->st.eflags & ~FL_ARITH) | (rnd(t) & (FL_ARITH | FL_DF));
	for (uint32_t off = 0; off < WINDOW; off += 4) {
		*native_word(MID - WINDOW / 2 + off) = value(t);
		*native_word(NATIVE_ESP - WINDOW / 2 + off) = value(t);
	}

	if (op == OP_DIV || op == OP_IDIV) {
		if (rnd(t) % 4)
			g[EDX] = rnd(t) % 2 ? 0 : 0xffffffff;
		if (t->in.width == 1 && rnd(t) % 2)
			g[EAX] &= 0xff;
	} else if (is_string(op)) {
		g[ESI] = MID + rnd(t) % 64;
		g[EDI] = MID + rnd(t) % 64;
		g[ECX] = rnd(t) % 24;
		if (rnd(t) % 2) /* something for REPE to run through */
			memset(native_ptr(MID - 128), (int)(g[EAX] = 0x20202020), 256);
	} else if (op == OP_ENTER || op == OP_LEAVE) {
		g[EBP] = NATIVE_ESP + 4 * (rnd(t) % 32);
	} else if (op == OP_XLAT) {
		g[EBX] = MID;
	} else if (op == OP_CMPXCHG && rnd(t) % 2) {
		*native_word(t->gva & ~3u) = g[EAX];
		*native_word((t->gva & ~3u) + 4) = g[EAX];
	} else if (op == OP_CMPXCHG8B && rnd(t) % 2) {
		memcpy(native_ptr(t->gva), &g[EAX], 4);
		memcpy(native_ptr(t->gva + 4), &g[EDX], 4);
	} else if (op == OP_RET) {
		*native_word(g[ESP]) = dest;
	} else if (op >= OP_LOOP && op <= OP_JCXZ) {
		g[ECX] = (rnd(t) & 0x30000) | rnd(t) % 3;
	}
	if (is_bit(op) && t->in.opnd[1].kind == OPND_GPR && t->memory) {
		bit = rnd(t) % 4096 - 2048; /* bytes -256 to 255 around the operand */
		g[t->in.opnd[1].reg] = t->in.width == 2 ? (rnd(t) & 0xffff0000) | (bit & 0xffff)
							: bit;
	}
	if (t->memory) {
		const struct mem_ref *m = &t->in.opnd[0].mem;

		for (unsigned i = 0; i < t->in.nopnd; i++)
			if (t->in.opnd[i].kind == OPND_MEM)
				m = &t->in.opnd[i].mem;
		if (t->index != GPR_NONE)
			g[t->index] = rnd(t) % 16;
		if (t->base != GPR_NONE)
			g[t->base] = t->gva - (uint32_t)m->disp -
				     (t->index != GPR_NONE ? g[t->index] * m->scale : 0);
		if (op == OP_CALL || op == OP_JMP)
			memcpy(native_ptr(t->gva), &dest, 4);
	} else if ((op == OP_CALL || op == OP_JMP) && t->in.opnd[0].kind == OPND_GPR &&
		   t->in.opnd[0].reg != ESP) {
		g[t->in.opnd[0].reg] = dest;
	}
}

/* Flags the manual leaves undefined; *@result: is the result undefined, too? */
static uint32_t undefined(const struct test *t, uint32_t ecx, bool *result)
{
	const struct insn *in = &t->in;
	unsigned bits = in->opnd[0].width * 8, last = in->nopnd ? in->nopnd - 1u : 0;
	unsigned count = 1;

	*result = false;
	if (in->opnd[last].kind == OPND_IMM)
		count = in->opnd[last].imm & 31;
	else if (in->opnd[last].kind == OPND_GPR)
		count = ecx & 31;
	switch (in->op) {
	case OP_AND:
	case OP_OR:
	case OP_XOR:
	case OP_TEST: return FL_AF;
	case OP_SHL:
	case OP_SHR:
		if (!count)
			return 0;
		return FL_AF | (count > 1 ? FL_OF : 0) | (count >= bits ? FL_CF : 0);
	case OP_SAR: return count ? FL_AF | (count > 1 ? FL_OF : 0) : 0;
	case OP_ROL:
	case OP_ROR:
	case OP_RCL:
	case OP_RCR: return count > 1 ? FL_OF : 0;
	case OP_SHLD:
	case OP_SHRD:
		*result = count > bits;
		if (!count)
			return 0;
		return count > bits ? FL_ARITH : FL_AF | (count > 1 ? FL_OF : 0);
	case OP_BT:
	case OP_BTS:
	case OP_BTR:
	case OP_BTC: return FL_OF | FL_SF | FL_AF | FL_PF;
	case OP_BSF:
	case OP_BSR: return FL_CF | FL_OF | FL_SF | FL_AF | FL_PF;
	case OP_MUL:
	case OP_IMUL: return FL_SF | FL_ZF | FL_AF | FL_PF;
	case OP_DIV:
	case OP_IDIV: return FL_ARITH;
	case OP_BSWAP: *result = in->opsize == 2; return 0;
	default: return 0;
	}
}

static bool complain(const struct test *t, const struct native_state *was, const char *what,
		     uint32_t cpu, uint32_t emu)
{
	char hex[2 * INSN_MAX + 1] = "", regs[128] = "";

	for (size_t i = 0; i < t->len; i++)
		snprintf(hex + 2 * i, 3, "%02x", t->code[i]);
	for (int i = 0; i < GPR_COUNT; i++)
		snprintf(regs + 9 * i, 10, "%08x ", was->gpr[i]);
	cr_log_error("%s %s: %s is %#x on the CPU, %#x emulated; before: %s flags %#x",
		     insn_op_name(t->in.op), hex, what, cpu, emu, regs, was->eflags);
	return false;
}

/* How the CPU ended: where EIP is, and the exception if it is the instruction's own. */
static int native_outcome(int end, const struct native_trap *trap, struct native_state *st)
{
	if (end == NATIVE_DONE)
		return -1;
	if (trap->trapno == VEC_BP) { /* a branch to elsewhere in the code page */
		st->eip--;
		return -1;
	}
	/* A 16-bit branch went below 64 KiB, where nothing is mapped. */
	if (trap->trapno == VEC_PF && trap->cr2 == st->eip && st->eip != NATIVE_CODE)
		return -1;
	return trap->trapno;
}

static bool same(struct test *t, const struct native_state *was, int vector, int emu)
{
	static const char *const names[] = {
		"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"
	};
	const struct cpu_regs *r = &t->f.v.regs;
	uint32_t flags = (FL_ARITH | FL_DF), diff, lo;
	bool any_result;

	if (emu != (vector < 0 ? EMU_OK : EMU_FAULT))
		return complain(t, was, "outcome", (uint32_t)vector, (uint32_t)emu);
	if (vector >= 0 && t->f.v.fault.vector != vector)
		return complain(t, was, "vector", (uint32_t)vector, t->f.v.fault.vector);
	flags &= ~undefined(t, was->gpr[ECX], &any_result);
	if (vector >= 0)
		flags = 0; /* the CPU may have changed the undefined ones before #DE */
	if (any_result)
		return true;
	for (int i = 0; i < GPR_COUNT; i++)
		if (t->st.gpr[i] != r->gpr[i])
			return complain(t, was, names[i], t->st.gpr[i], r->gpr[i]);
	if (t->st.eip != r->eip)
		return complain(t, was, "eip", t->st.eip, r->eip);
	diff = (t->st.eflags ^ r->eflags) & flags;
	if (diff)
		return complain(t, was, "eflags", t->st.eflags & flags, r->eflags & flags);
	for (uint32_t off = 0; off < WINDOW; off += 4)
		for (int area = 0; area < 2; area++) {
			lo = (area ? NATIVE_ESP : MID) - WINDOW / 2 + off;
			if (*native_word(lo) != fx_r32(&t->f, lo))
				return complain(t, was, area ? "stack" : "memory", *native_word(lo),
						fx_r32(&t->f, lo));
		}
	return true;
}

/* One random case of @tpl.  Returns false if CPU and emulator disagree. */
static bool one_case(struct test *t, const char *tpl)
{
	struct native_state was;
	struct native_trap trap;
	unsigned prefix = rnd(t);
	int end, emu;

	t->len = 0;
	t->memory = false;
	t->bytes66 = prefix % 3 == 0 && strcmp(tpl, "0f c7 /m1");
	if (t->bytes66)
		emit(t, 0x66, 1);
	if (strchr("a", tpl[0]) && tpl[1] >= '4' && !strchr("89", tpl[1]) && !tpl[2])
		switch (prefix >> 8 & 3) { /* string instructions */
		case 0: emit(t, 0xf3, 1); break;
		case 1: emit(t, 0xf2, 1); break;
		default: break;
		}
	if (tpl[0] == 'e' && tpl[1] <= '3' && (prefix >> 8 & 1))
		emit(t, 0x67, 1);
	assemble(t, tpl);
	if (insn_decode(t->code, t->len, 32, &t->in) || t->in.len != t->len) {
		cr_log_error("does not decode: template %s", tpl);
		return false;
	}
	if (lockable(&t->in) && (prefix >> 16 & 1)) {
		memmove(t->code + 1, t->code, t->len++);
		t->code[0] = 0xf0;
		if (insn_decode(t->code, t->len, 32, &t->in) || t->in.len != t->len)
			return false;
	}
	/* Segment overrides: all flat here, but CS cannot be written. */
	if (uses_memory(&t->in) && (prefix >> 17 & 7) == 0) {
		memmove(t->code + 1, t->code, t->len++);
		t->code[0] = (uint8_t[]){ 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 }[rnd(t) % 6];
		if (insn_decode(t->code, t->len, 32, &t->in) || t->in.len != t->len)
			return false;
	}
	/* A bit offset that is also the address reaches anywhere. */
	if (is_bit(t->in.op) && t->memory && t->in.opnd[1].kind == OPND_GPR &&
	    (t->in.opnd[1].reg == t->base || t->in.opnd[1].reg == t->index))
		return true;
	prepare(t);
	was = t->st;
	memcpy(t->f.vm.ram + MID - WINDOW / 2, native_ptr(MID - WINDOW / 2), WINDOW);
	memcpy(t->f.vm.ram + NATIVE_ESP - WINDOW / 2, native_ptr(NATIVE_ESP - WINDOW / 2), WINDOW);
	memcpy(t->f.v.regs.gpr, t->st.gpr, sizeof(t->st.gpr));
	t->f.v.regs.eip = NATIVE_CODE;
	t->f.v.regs.eflags = was.eflags | FL_FIXED | FL_IF;

	end = native_run(t->code, t->len, &t->st, &trap);
	if (end < 0) {
		cr_log_error("native_run: %d", end);
		return false;
	}
	emu = fx_run_bytes(&t->f, t->code, t->len);
	return same(t, &was, native_outcome(end, &trap, &t->st), emu);
}

static unsigned many(struct test *t, const char *tpl)
{
	unsigned bad = 0;

	for (int i = 0; i < CASES && bad < 3; i++)
		bad += !one_case(t, tpl);
	return bad;
}

/* Low memory for native code may be refused; then there is nothing to compare with. */
static struct test *begin(uint64_t seed)
{
	struct native_state st = native_state();
	struct test *t;
	int r = native_run((const uint8_t[]){ 0x90 }, 1, &st, NULL);

	if (r < 0)
		cr_skip("native code: %s", strerror(-r));
	t = calloc(1, sizeof(*t));
	cr_assert(t);
	fx_init(&t->f);
	fx_cpl(&t->f, 3);
	t->rng = seed;
	return t;
}

static void end(struct test *t, unsigned bad)
{
	fx_fini(&t->f);
	free(t);
	cr_assert_eq(bad, 0);
}

Test(emu_ordinary_native, arithmetic_of_every_form)
{
	static const char *const form[] = { "%02x /r", "%02x /r", "%02x /r",
					    "%02x /r", "%02x ib", "%02x iz" };
	struct test *t = begin(1);
	unsigned bad = 0;
	char tpl[32];

	for (unsigned op = 0; op < 8; op++) {
		for (unsigned i = 0; i < 6; i++) {
			snprintf(tpl, sizeof(tpl), form[i], op * 8 + i);
			bad += many(t, tpl);
		}
		for (const char *const *s =
			     (const char *const[]){ "80 /%u ib", "81 /%u iz", "83 /%u ib", NULL };
		     *s; s++) {
			snprintf(tpl, sizeof(tpl), *s, op);
			bad += many(t, tpl);
		}
	}
	end(t, bad);
}

Test(emu_ordinary_native, shifts_and_rotates_by_every_count)
{
	struct test *t = begin(2);
	unsigned bad = 0;
	char tpl[32];

	for (unsigned op = 0; op < 8; op++)
		for (const char *const *s =
			     (const char *const[]){ "c0 /%u ib", "c1 /%u ib", "d0 /%u", "d1 /%u",
						    "d2 /%u", "d3 /%u", NULL };
		     *s; s++) {
			snprintf(tpl, sizeof(tpl), *s, op);
			bad += many(t, tpl) + many(t, tpl);
		}
	end(t, bad);
}

Test(emu_ordinary_native, conditions)
{
	struct test *t = begin(3);
	unsigned bad = 0;
	char tpl[32];

	for (unsigned cc = 0; cc < 16; cc++)
		for (const char *const *s = (const char *const[]){ "0f 9%x /0", "0f 4%x /r",
								   "7%x cb", "0f 8%x cz", NULL };
		     *s; s++) {
			snprintf(tpl, sizeof(tpl), *s, cc);
			bad += many(t, tpl);
		}
	end(t, bad);
}

Test(emu_ordinary_native, everything_else)
{
	struct test *t = begin(4);
	unsigned bad = 0;

	for (size_t i = 0; i < sizeof(templates) / sizeof(templates[0]); i++)
		bad += many(t, templates[i]);
	end(t, bad);
}
