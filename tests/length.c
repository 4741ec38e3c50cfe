/* SPDX-License-Identifier: MIT */
/*
 * insn_quick() against insn_decode(), which asks Capstone: every opcode of every map with all
 * prefixes that matter and a choice of ModR/M and SIB, and random bytes; and against the CPU.
 */
#include "decoder/length.h"
#include "decoder/sensitive.h"
#include "tests/decoder_known.h"
#include "tests/native.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct hex_text {
	char text[2 * INSN_MAX + 1];
};

static const char *hex_of(const uint8_t *b, struct hex_text *d)
{
	for (size_t i = 0; i < INSN_MAX; i++)
		snprintf(d->text + 2 * i, 3, "%02x", b[i]);
	return d->text;
}

static uint32_t random_next(uint64_t *state) /* xorshift64 */
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t)(*state >> 16);
}

typedef void visit_fn(const uint8_t b[INSN_MAX], unsigned bits, void *arg);

/* Every opcode, as the comment at the top says.  Some 800,000 encodings. */
static void each_encoding(visit_fn *visit, void *arg)
{
	static const char *const prefix[] = { "", "\x66", "\x67", "\xf2", "\xf3", "\xf0" };
	static const char *const escape[] = { "", "\x0f", "\x0f\x38", "\x0f\x3a" };
	static const uint8_t rm[] = { 4, 5, 6 }; /* SIB, and the special cases of mod 0 */
	static const uint8_t sib[] = { 0x00, 0x25, 0x65, 0xe5 };

	for (unsigned i = 0; i < 2 * 6 * 4 * 256; i++) {
		unsigned bits = i & 1 ? 16 : 32, pfx = i / 2 % 6, map = i / 12 % 4, op = i / 48;
		uint8_t b[INSN_MAX + 1];
		size_t n;

		for (unsigned k = 0; k < 4 * 8 * sizeof(rm); k++) {
			memset(b, 0x11, sizeof(b));
			n = (size_t)snprintf((char *)b, sizeof(b), "%s%s", prefix[pfx],
					     escape[map]);
			b[n++] = (uint8_t)op;
			b[n++] = (uint8_t)(k / 8 % 4 << 6 | k % 8 << 3 | rm[k / 32]);
			b[n++] = sib[(k + op) % 4];
			visit(b, bits, arg);
		}
	}
}

/* Random bytes, half of them steered into the maps that random bytes seldom meet. */
static void each_random(unsigned count, visit_fn *visit, void *arg)
{
	static const uint8_t prefix[] = { 0x66, 0x67, 0x64, 0x26, 0x36, 0xf2, 0xf3, 0xf0 };
	uint64_t seed = 20240131;

	while (count--) {
		uint8_t b[INSN_MAX];
		size_t n = 0;

		for (size_t i = 0; i < INSN_MAX; i++)
			b[i] = (uint8_t)random_next(&seed);
		while (random_next(&seed) % 3 == 0 && n < 4)
			b[n++] = prefix[random_next(&seed) % sizeof(prefix)];
		switch (random_next(&seed) % 8) {
		case 0 ... 3: break;
		case 4 ... 5: b[n] = 0x0f; break;
		case 6: /* VEX */
			b[n] = random_next(&seed) & 1 ? 0xc4 : 0xc5;
			b[n + 1] |= 0xc0;
			break;
		case 7: /* EVEX, maps 1 to 3 */
			b[n] = 0x62;
			b[n + 1] = (uint8_t)(0xc0 | (b[n + 1] & 0x30) | (1 + b[n + 1] % 3));
			b[n + 2] |= 4;
			break;
		}
		visit(b, count & 1 ? 16 : 32, arg);
	}
}

struct tally {
	unsigned seen, both, refused; /* refused: by insn_decode() only */
};

static void compare_length(const uint8_t b[INSN_MAX], unsigned bits, void *arg)
{
	struct tally *t = arg;
	struct hex_text d;
	struct quick q;
	struct insn in;
	int quick = insn_quick(b, INSN_MAX, bits, &q), full = insn_decode(b, INSN_MAX, bits, &in);

	t->seen++;
	if (quick && !full) {
		cr_expect(capstone_takes_too_much(b), "%s in %u-bit code: refused", hex_of(b, &d),
			  bits);
		return;
	}
	t->refused += !quick && full;
	if (quick || full)
		return;
	t->both++;
	if (q.len != in.len)
		cr_expect(capstone_is_wrong(b), "%s in %u-bit code: %u bytes, Capstone says %u",
			  hex_of(b, &d), bits, q.len, in.len);
}

Test(length, agrees_with_capstone_on_every_opcode)
{
	struct tally t = { 0 };

	each_encoding(compare_length, &t);
	cr_expect_eq(t.seen, 2 * 6 * 4 * 256 * 96);
	/* Holes of the maps that are not known to be holes: a few per cent, no more. */
	cr_expect_gt(t.both, t.seen / 2);
	cr_expect_lt(t.refused, t.seen / 20, "%u of %u", t.refused, t.seen);
}

Test(length, agrees_with_capstone_on_random_bytes)
{
	struct tally t = { 0 };

	each_random(300000, compare_length, &t);
	cr_expect_gt(t.both, t.seen / 2);
	cr_expect_lt(t.refused, t.seen / 20, "%u of %u", t.refused, t.seen);
}

/* ---- flow ---- */

static unsigned flow_of(const struct insn *in)
{
	switch (in->op) {
	case OP_JCC:
	case OP_LOOP:
	case OP_LOOPE:
	case OP_LOOPNE:
	case OP_JCXZ: return FLOW_COND;
	case OP_JMP: return in->opnd[0].kind == OPND_REL ? FLOW_JUMP : FLOW_INDIRECT;
	case OP_CALL: return in->opnd[0].kind == OPND_REL ? FLOW_CALL : FLOW_ICALL;
	case OP_CALL_FAR: return FLOW_ICALL;
	case OP_RET: return FLOW_RET;
	case OP_JMP_FAR:
	case OP_RET_FAR:
	case OP_IRET:
	case OP_SYSENTER: /* comes back where the kernel likes */
	case OP_SYSEXIT:
	case OP_SYSRET:
	case OP_RSM:
	case OP_UD: return FLOW_STOP;
	case OP_OTHER: /* xbegin: an abort goes to its target */
		return in->opcode[0] == 0xc7 && in->modrm == 0xf8 ? FLOW_COND : FLOW_NEXT;
	default: return FLOW_NEXT;
	}
}

static void compare_flow(const uint8_t b[INSN_MAX], unsigned bits, void *arg)
{
	unsigned *flows = arg; /* how often each was met */
	struct hex_text d;
	struct quick q;
	struct insn in;

	if (insn_quick(b, INSN_MAX, bits, &q) || insn_decode(b, INSN_MAX, bits, &in))
		return;
	cr_expect_eq(q.flow, flow_of(&in), "%s in %u-bit code: flow %u, %s", hex_of(b, &d), bits,
		     q.flow, insn_op_name(in.op));
	flows[q.flow & 7]++;
	if (q.flow != FLOW_COND && q.flow != FLOW_JUMP && q.flow != FLOW_CALL)
		return;
	cr_expect_eq(q.opsize, in.opsize, "%s", hex_of(b, &d));
	if (in.opnd[0].kind == OPND_REL)
		cr_expect_eq(q.rel, (int32_t)in.opnd[0].imm, "%s: %d", hex_of(b, &d), q.rel);
}

Test(length, flow_and_branch_displacement)
{
	unsigned flows[8] = { 0 };

	each_encoding(compare_flow, flows);
	each_random(100000, compare_flow, flows);
	for (unsigned i = 0; i < 8; i++)
		cr_expect_gt(flows[i], 100, "flow %u", i);
}

/* SDM Vol. 2, the pages of the instructions. */
Test(length, displacement_and_decided_of_known_instructions)
{
	static const struct {
		const char *bytes;
		uint8_t n, bits, len, flow, decided;
		int32_t rel;
	} known[] = {
		{ "\x90", 1, 32, 1, FLOW_NEXT, 1, 0 },
		{ "\x74\xfe", 2, 32, 2, FLOW_COND, 1, -2 },
		{ "\xe3\x7f", 2, 32, 2, FLOW_COND, 1, 127 },
		{ "\x0f\x85\x00\xff\xff\xff", 6, 32, 6, FLOW_COND, 2, -256 },
		{ "\xe8\x78\x56\x34\x12", 5, 32, 5, FLOW_CALL, 1, 0x12345678 },
		{ "\xe8\x78\xd6", 3, 16, 3, FLOW_CALL, 1, (int16_t)0xd678 },
		{ "\x66\xe9\x78\xd6", 4, 32, 4, FLOW_JUMP, 2, (int16_t)0xd678 },
		{ "\xff\x24\x85\x00\x00\x00\x00", 7, 32, 7, FLOW_INDIRECT, 2, 0 },
		{ "\xff\xd0", 2, 32, 2, FLOW_ICALL, 2, 0 },
		{ "\xc3", 1, 32, 1, FLOW_RET, 1, 0 },
		{ "\xc2\x04\x00", 3, 32, 3, FLOW_RET, 1, 0 },
		{ "\xcf", 1, 32, 1, FLOW_STOP, 1, 0 },
		{ "\xf4", 1, 32, 1, FLOW_NEXT, 1, 0 },
		{ "\x0f\x0b", 2, 32, 2, FLOW_STOP, 2, 0 },
		{ "\xea\x00\x00\x00\x00\x08\x00", 7, 32, 7, FLOW_STOP, 1, 0 },
		{ "\xcd\x80", 2, 32, 2, FLOW_NEXT, 1, 0 },
		{ "\x0f\x01\x15\x00\x00\x00\x00", 7, 32, 7, FLOW_NEXT, 3, 0 },
		{ "\xc7\x05\x00\x00\x00\x00\x00\x00\x00\x00", 10, 32, 10, FLOW_NEXT, 2, 0 },
		{ "\xb8\x00\x00\x00\x00", 5, 32, 5, FLOW_NEXT, 1, 0 },
		{ "\xa1\x00\x00\x00\x00", 5, 32, 5, FLOW_NEXT, 1, 0 },
		{ "\x67\xa1\x00\x00", 4, 32, 4, FLOW_NEXT, 2, 0 },
		{ "\xc8\x10\x00\x01", 4, 32, 4, FLOW_NEXT, 1, 0 },
		{ "\xc4\x03", 2, 32, 2, FLOW_NEXT, 2, 0 },         /* les (%ebx),%eax */
		{ "\xc5\xf8\x77", 3, 32, 3, FLOW_NEXT, 2, 0 },     /* vzeroupper */
		{ "\x0f\x0f\xc1\x9e", 4, 32, 4, FLOW_NEXT, 2, 0 }, /* pfadd, 3DNow! */
		{ "\x8f\xea\x78\x10\xc3\x00\x00\x00\x00", 9, 32, 9, FLOW_NEXT, 2,
		  0 }, /* bextr, XOP */
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		const uint8_t *b = (const uint8_t *)known[i].bytes;
		struct quick q;

		cr_assert_eq(insn_quick(b, known[i].n, known[i].bits, &q), 0, "%zu", i);
		cr_expect_eq(q.len, known[i].len, "%zu: %u bytes", i, q.len);
		cr_expect_eq(q.flow, known[i].flow, "%zu: flow %u", i, q.flow);
		cr_expect_eq(q.decided, known[i].decided, "%zu: decided %u", i, q.decided);
		cr_expect_eq(q.rel, known[i].rel, "%zu: rel %d", i, q.rel);
	}
}

/* ---- candidates ---- */

static void check_candidate(const uint8_t b[INSN_MAX], unsigned bits, void *arg)
{
	unsigned *met = arg; /* sensitive instructions: not reliably trapping, trapping, neither */
	struct hex_text d;
	struct quick q;
	struct insn in;

	if (insn_decode(b, INSN_MAX, bits, &in))
		return;
	if (!in.sens) {
		met[2]++;
		return;
	}
	if (insn_quick(b, INSN_MAX, bits, &q)) {
		cr_expect(!in.sens->patch, "%s in %u-bit code hides %s", hex_of(b, &d), bits,
			  in.sens->form);
		return;
	}
	cr_expect(q.candidate || (!in.sens->patch && q.traps), "%s in %u-bit code hides %s",
		  hex_of(b, &d), bits, in.sens->form);
	met[!in.sens->patch]++;
}

Test(length, every_sensitive_instruction_is_found)
{
	unsigned met[3] = { 0 };

	each_encoding(check_candidate, met);
	each_random(200000, check_candidate, met);
	for (unsigned i = 0; i < 3; i++)
		cr_expect_gt(met[i], 1000, "only %u of kind %u", met[i], i);
}

Test(length, every_row_of_the_table_is_marked)
{
	size_t count;
	const struct sensitive *table = sensitive_table(&count);

	for (const struct sensitive *s = table; s < table + count; s++) {
		uint8_t b[INSN_MAX];
		unsigned byte, len = 0;
		struct quick q;

		for (; len < INSN_MAX && sscanf(s->example + 2 * len, "%2x", &byte) == 1; len++)
			b[len] = (uint8_t)byte;
		cr_assert_eq(insn_quick(b, len, 32, &q), 0, "%s", s->form);
		cr_expect_eq(q.len, len, "%s", s->form);
		if (s->patch || s->ring3 == RING3_SILENT || s->ring3 == RING3_HOST)
			cr_expect(q.candidate, "%s", s->form);
		else
			cr_expect(q.candidate || q.traps, "%s", s->form);
	}
}

/* What every page is full of must not go to Capstone, nor what traps by itself. */
Test(length, ordinary_and_trapping_instructions_are_no_candidates)
{
	static const char *const hex[] = {
		"90",
		"89c8",
		"8b4508",
		"83ec10",
		"c745fc00000000",
		"e800000000",
		"ff7508",
		"ff248500000000",
		"ffd0",
		"c3",
		"0fb6c0",
		"0faf4508",
		"0fae38",
		"0faef0",
		"f30f1efb",
		"f00fb10b",
		"f00fc70b",
		"0f94c0",
		"660f6fc1",
		"c5f877",
		"6203",
		"cc",
		"fa",
		"fb",
		"f4",
		"e460",
		"ee",
		"0f20c0",
		"0f22d8",
		"0f0113",
		"0f32",
		"f3aa",
	};

	for (size_t i = 0; i < sizeof(hex) / sizeof(hex[0]); i++) {
		uint8_t b[INSN_MAX] = { 0 };
		unsigned byte;
		struct quick q;

		for (size_t k = 0; k < INSN_MAX && sscanf(hex[i] + 2 * k, "%2x", &byte) == 1; k++)
			b[k] = (uint8_t)byte;
		cr_assert_eq(insn_quick(b, INSN_MAX, 32, &q), 0, "%s", hex[i]);
		cr_expect_eq(q.candidate, 0, "%s", hex[i]);
	}
}

/* ---- what was not there to be seen ---- */

static void check_decided(const uint8_t b[INSN_MAX], unsigned bits, void *arg)
{
	uint64_t *seed = arg;
	struct hex_text d;
	uint8_t other[INSN_MAX];
	struct quick q, r;

	if (insn_quick(b, INSN_MAX, bits, &q))
		return;
	cr_expect(q.decided >= 1 && q.decided <= q.len, "%s: decided %u", hex_of(b, &d), q.decided);
	memcpy(other, b, INSN_MAX);
	for (unsigned i = 0; i < 2; i++) {
		for (size_t k = q.decided; k < INSN_MAX; k++)
			other[k] = (uint8_t)random_next(seed);
		if (insn_quick(other, INSN_MAX, bits, &r)) /* then it traps: #UD */
			continue;
		cr_expect(r.candidate == q.candidate && r.traps == q.traps && r.flow == q.flow &&
				  r.decided == q.decided,
			  "%s: not decided by %u bytes", hex_of(b, &d), q.decided);
	}
}

Test(length, bytes_after_decided_change_neither_candidate_nor_flow)
{
	uint64_t seed = 88172645463325252ull;

	each_encoding(check_decided, &seed);
	each_random(200000, check_decided, &seed);
}

static void check_pieces(const uint8_t b[INSN_MAX], unsigned bits, void *arg)
{
	unsigned *cuts = arg;
	struct hex_text d;
	struct quick q, r;
	int whole = insn_quick(b, INSN_MAX, bits, &q);

	for (size_t n = 0; n < INSN_MAX; n++) {
		uint8_t piece[INSN_MAX]; /* exactly as long, for AddressSanitizer */
		uint8_t *p = piece + INSN_MAX - n;
		int ret;

		memcpy(p, b, n);
		ret = insn_quick(p, n, bits, &r);
		if (!whole && n < q.len) {
			cr_expect_eq(ret, -ENODATA, "%s, %zu bytes: %d", hex_of(b, &d), n, ret);
			(*cuts)++;
		} else if (!whole) {
			cr_expect(!ret && !memcmp(&q, &r, sizeof(q)), "%s, %zu bytes: %d",
				  hex_of(b, &d), n, ret);
		} else {
			cr_expect(ret == -EINVAL || ret == -ENODATA, "%s, %zu bytes: %d",
				  hex_of(b, &d), n, ret);
		}
	}
}

Test(length, a_piece_of_an_instruction_asks_for_more)
{
	unsigned cuts = 0;

	each_random(60000, check_pieces, &cuts);
	cr_expect_gt(cuts, 60000);
}

/* SDM Vol. 2A, "Instruction Format" (2.1), and Vol. 3A, "#GP": more than 15 bytes are #GP(0); here
 * no instruction. */
Test(length, fifteen_bytes_are_the_limit)
{
	uint8_t b[40];
	struct quick q;

	memset(b, 0x66, sizeof(b));
	cr_expect_eq(insn_quick(b, sizeof(b), 32, &q), -EINVAL);
	cr_expect_eq(insn_quick(b, 14, 32, &q), -ENODATA);
	b[14] = 0x90;
	cr_expect_eq(insn_quick(b, sizeof(b), 32, &q), 0);
	cr_expect_eq(q.len, 15);
	b[14] = 0x0f; /* its second byte would be the sixteenth */
	b[15] = 0xa2;
	cr_expect_eq(insn_quick(b, sizeof(b), 32, &q), -EINVAL);
	b[11] = 0x05; /* 11 prefixes, add $imm16,%ax: 14 bytes; and 16 without 66 in effect */
	cr_expect_eq(insn_quick(b, sizeof(b), 32, &q), 0);
	cr_expect_eq(q.len, 14);
	cr_expect_eq(insn_quick(b, sizeof(b), 16, &q), -EINVAL);
}

Test(length, what_is_no_instruction)
{
	static const char *const hex[] = {
		"8dc0",     /* lea of a register */
		"0fb2c0",   /* lss of one */
		"8ec8",     /* mov to cs */
		"8cf0",     /* mov from a segment register that does not exist */
		"ffff",     /* the hole of group 5 */
		"fed0",     /* call as a byte operation */
		"ffd8",     /* call far to a register */
		"c6c8",     /* the hole of group 11 */
		"f09d",     /* lock popf */
		"f089c8",   /* lock mov */
		"f001c8",   /* lock add to a register */
		"f00fba20", /* lock bt, which writes nothing */
		"0f24c0",   /* test registers are of the 80486 */
		"0f04",     /* a hole */
		"66c5f877", /* VEX after 66 */
	};
	struct quick q;

	for (size_t i = 0; i < sizeof(hex) / sizeof(hex[0]); i++) {
		uint8_t b[INSN_MAX] = { 0 };
		unsigned byte;

		for (size_t k = 0; k < INSN_MAX && sscanf(hex[i] + 2 * k, "%2x", &byte) == 1; k++)
			b[k] = (uint8_t)byte;
		cr_expect_eq(insn_quick(b, INSN_MAX, 32, &q), -EINVAL, "%s", hex[i]);
	}
}

/* ---- the CPU ---- */

/* Its state is not put back between runs, or it may leave the test. */
static bool may_run(const uint8_t *b, const struct quick *q)
{
	const uint8_t *op = b + prefix_count(b);

	if (q->candidate || q->traps || q->flow != FLOW_NEXT)
		return false;
	if (op[0] >= 0xd8 && op[0] <= 0xdf) /* x87 */
		return false;
	if (op[0] == 0x0f && (op[1] == 0x01 || op[1] == 0xae || op[1] == 0xc7))
		return false;
	return !(op[0] == 0xc5 && op[2] == 0xae) && !(op[0] == 0xc4 && op[3] == 0xae);
}

struct cpu_tally {
	unsigned ran;
	bool impossible;
};

static void compare_cpu(const uint8_t b[INSN_MAX], unsigned bits, void *arg)
{
	struct native_state st = native_state();
	struct cpu_tally *t = arg;
	struct native_trap trap;
	struct hex_text d;
	struct quick q;
	int ret;

	if (t->impossible || bits != 32 || insn_quick(b, INSN_MAX, 32, &q) || !may_run(b, &q))
		return;
	for (unsigned r = 0; r < GPR_COUNT; r++)
		if (r != ESP)
			st.gpr[r] = NATIVE_DATA + NATIVE_DATA_LEN / 2;
	st.gpr[ECX] = 1;
	st.eflags |= 0x100; /* TF: it stops after one instruction */
	ret = native_run(b, INSN_MAX, &st, &trap);
	if (ret < 0) {
		t->impossible = true;
		return;
	}
	if (ret != NATIVE_TRAPPED || trap.trapno != 1)
		return; /* faulted: no memory there, or this CPU lacks it */
	t->ran++;
	cr_expect_eq(st.eip - NATIVE_CODE, q.len, "%s: %u bytes, the CPU says %u", hex_of(b, &d),
		     q.len, st.eip - NATIVE_CODE);
}

Test(length, agrees_with_the_cpu)
{
	struct cpu_tally t = { 0 };

	each_random(30000, compare_cpu, &t);
	if (t.impossible)
		cr_skip_test("no memory below 4 GiB, or no seccomp");
	cr_expect_gt(t.ran, 1000, "only %u instructions ran", t.ran);
}
