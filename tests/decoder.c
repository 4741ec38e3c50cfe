/* SPDX-License-Identifier: MIT */
/* The decoder: operand forms, prefixes, modes, what is no instruction, and text. */
#include "decoder/insn.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static size_t bytes_of(const char *hex, uint8_t out[INSN_MAX + 4])
{
	size_t n = 0;
	unsigned byte;

	for (; n < INSN_MAX + 4 && sscanf(hex + 2 * n, "%2x", &byte) == 1; n++)
		out[n] = (uint8_t)byte;
	return n;
}

static const char *const seg_names[] = { "es", "cs", "ss", "ds", "fs", "gs" };

static size_t describe_mem(const struct insn *in, const struct operand *o, char *buf, size_t size)
{
	static const char *const names[2][8] = { { "ax", "cx", "dx", "bx", "sp", "bp", "si", "di" },
						 { "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi",
						   "edi" } };
	const char *const *reg = names[in->addrsize == 4];
	char base[8] = "", index[16] = "";

	if (o->mem.base != GPR_NONE)
		snprintf(base, sizeof(base), "%s", reg[o->mem.base & 7]);
	if (o->mem.index != GPR_NONE)
		snprintf(index, sizeof(index), "+%s*%u", reg[o->mem.index & 7], o->mem.scale);
	return (size_t)snprintf(buf, size, "m%u[%s:%s%s%+d]", o->width, seg_names[o->mem.seg % 6],
				base, index, o->mem.disp);
}

/* Every field the emulator uses, as text: "mov/4 r4.0 m4[ds:ebx+8]". */
static void describe(const struct insn *in, char *buf, size_t size)
{
	size_t n = (size_t)snprintf(buf, size, "%s/%u", insn_op_name(in->op), in->width);

	for (unsigned i = 0; i < in->nopnd; i++) {
		const struct operand *o = &in->opnd[i];

		buf[n++] = ' ';
		switch (o->kind) {
		case OPND_GPR:
			n += (size_t)snprintf(buf + n, size - n, "r%u.%u", o->width, o->reg);
			break;
		case OPND_SEG:
			n += (size_t)snprintf(buf + n, size - n, "%s", seg_names[o->reg % 6]);
			break;
		case OPND_CR: n += (size_t)snprintf(buf + n, size - n, "cr%u", o->reg); break;
		case OPND_DR: n += (size_t)snprintf(buf + n, size - n, "dr%u", o->reg); break;
		case OPND_IMM:
			n += (size_t)snprintf(buf + n, size - n, "i%u=%#x", o->width, o->imm);
			break;
		case OPND_REL:
			n += (size_t)snprintf(buf + n, size - n, "rel%u=%d", o->width,
					      (int32_t)o->imm);
			break;
		case OPND_FAR:
			n += (size_t)snprintf(buf + n, size - n, "far%u=%#x:%#x", o->width, o->sel,
					      o->imm);
			break;
		case OPND_MEM: n += describe_mem(in, o, buf + n, size - n); break;
		default: n += (size_t)snprintf(buf + n, size - n, "other"); break;
		}
	}
}

struct form {
	const char *hex, *expect;
};

/* Operands as the manual's pages give them (Intel SDM Vol. 2), @expect as describe() writes. */
static const struct form forms32[] = {
	/* moves: ModR/M, SIB, displacements, default segments */
	{ "8b4308", "mov/4 r4.0 m4[ds:ebx+8]" },
	{ "8b4508", "mov/4 r4.0 m4[ss:ebp+8]" },
	{ "8b442408", "mov/4 r4.0 m4[ss:esp+8]" },
	{ "8b448d08", "mov/4 r4.0 m4[ss:ebp+ecx*4+8]" },
	{ "8b04ad08000000", "mov/4 r4.0 m4[ds:+ebp*4+8]" },
	{ "8b0425f0ffffff", "mov/4 r4.0 m4[ds:-16]" },
	{ "8b0500100000", "mov/4 r4.0 m4[ds:+4096]" },
	{ "8b83f0ffffff", "mov/4 r4.0 m4[ds:ebx-16]" },
	{ "658b4508", "mov/4 r4.0 m4[gs:ebp+8]" },
	{ "26368b4308", "mov/4 r4.0 m4[ss:ebx+8]" }, /* the last override counts */
	{ "668b03", "mov/2 r2.0 m2[ds:ebx+0]" },
	{ "678b02", "mov/4 r4.0 m4[ss:bp+si*1+0]" },
	{ "678b4604", "mov/4 r4.0 m4[ss:bp+4]" },
	{ "678b0680ff", "mov/4 r4.0 m4[ds:-128]" },
	{ "8823", "mov/1 m1[ds:ebx+0] r1.4" },
	{ "668bc8", "mov/2 r2.1 r2.0" },
	{ "c60380", "mov/1 m1[ds:ebx+0] i1=0x80" },
	{ "c703ffffffff", "mov/4 m4[ds:ebx+0] i4=0xffffffff" },
	{ "66c703ffff", "mov/2 m2[ds:ebx+0] i2=0xffff" },
	{ "b0ff", "mov/1 r1.0 i1=0xff" },
	{ "b878563412", "mov/4 r4.0 i4=0x12345678" },
	{ "a178563412", "mov/4 r4.0 m4[ds:+305419896]" },
	{ "64a27856341290", "mov/1 m1[fs:+305419896] r1.0" },
	{ "67a13412", "mov/4 r4.0 m4[ds:+4660]" },
	{ "0fb603", "movzx/4 r4.0 m1[ds:ebx+0]" },
	{ "660fb6c3", "movzx/2 r2.0 r1.3" },
	{ "0fbf03", "movsx/4 r4.0 m2[ds:ebx+0]" },
	{ "0fb7c3", "movzx/4 r4.0 r2.3" },
	{ "0f38f003", "movbe/4 r4.0 m4[ds:ebx+0]" },
	{ "660f38f103", "movbe/2 m2[ds:ebx+0] r2.0" },
	{ "8d4304", "lea/4 r4.0 m0[ds:ebx+4]" },
	/* arithmetic and logic */
	{ "0003", "add/1 m1[ds:ebx+0] r1.0" },
	{ "1303", "adc/4 r4.0 m4[ds:ebx+0]" },
	{ "04ff", "add/1 r1.0 i1=0xff" },
	{ "0578563412", "add/4 r4.0 i4=0x12345678" },
	{ "83c0ff", "add/4 r4.0 i4=0xffffffff" },
	{ "6683c0ff", "add/2 r2.0 i2=0xffffffff" },
	{ "82c001", "add/1 r1.0 i1=0x1" },
	{ "812b01000000", "sub/4 m4[ds:ebx+0] i4=0x1" },
	{ "f00103", "add/4 m4[ds:ebx+0] r4.0" },
	{ "8403", "test/1 m1[ds:ebx+0] r1.0" },
	{ "f70301000000", "test/4 m4[ds:ebx+0] i4=0x1" },
	{ "f60b01", "test/1 m1[ds:ebx+0] i1=0x1" }, /* /1, an alias of /0 */
	{ "fe03", "inc/1 m1[ds:ebx+0]" },
	{ "ff0b", "dec/4 m4[ds:ebx+0]" },
	{ "6641", "inc/2 r2.1" },
	{ "f713", "not/4 m4[ds:ebx+0]" },
	{ "f61b", "neg/1 m1[ds:ebx+0]" },
	{ "f723", "mul/4 m4[ds:ebx+0]" },
	{ "f7eb", "imul/4 r4.3" },
	{ "0faf03", "imul/4 r4.0 m4[ds:ebx+0]" },
	{ "6bc3f0", "imul/4 r4.0 r4.3 i4=0xfffffff0" },
	{ "69c378563412", "imul/4 r4.0 r4.3 i4=0x12345678" },
	{ "69430478563412", "imul/4 r4.0 m4[ds:ebx+4] i4=0x12345678" },
	{ "6b4508f0", "imul/4 r4.0 m4[ss:ebp+8] i4=0xfffffff0" },
	{ "f633", "div/1 m1[ds:ebx+0]" },
	{ "d1e0", "shl/4 r4.0 i1=0x1" },
	{ "d023", "shl/1 m1[ds:ebx+0] i1=0x1" },
	{ "d3e0", "shl/4 r4.0 r1.1" },
	{ "c1f81f", "sar/4 r4.0 i1=0x1f" },
	{ "c1f01f", "shl/4 r4.0 i1=0x1f" }, /* /6, an alias of /4 */
	{ "0fa40307", "shld/4 m4[ds:ebx+0] r4.0 i1=0x7" },
	{ "0fad03", "shrd/4 m4[ds:ebx+0] r4.0 r1.1" },
	{ "0fba2b1f", "bts/4 m4[ds:ebx+0] i1=0x1f" },
	{ "0fa303", "bt/4 m4[ds:ebx+0] r4.0" },
	{ "0fbc03", "bsf/4 r4.0 m4[ds:ebx+0]" },
	{ "0fc9", "bswap/4 r4.1" },
	{ "8703", "xchg/4 m4[ds:ebx+0] r4.0" },
	{ "93", "xchg/4 r4.0 r4.3" },
	{ "0fb10b", "cmpxchg/4 m4[ds:ebx+0] r4.1" },
	{ "0fc00b", "xadd/1 m1[ds:ebx+0] r1.1" },
	{ "f00fc70b", "cmpxchg8b/8 m8[ds:ebx+0]" },
	{ "0f9403", "setcc/1 m1[ds:ebx+0]" },
	{ "0f4403", "cmovcc/4 r4.0 m4[ds:ebx+0]" },
	/* stack */
	{ "6a80", "push/4 i4=0xffffff80" },
	{ "6880000000", "push/4 i4=0x80" },
	{ "666a80", "push/2 i2=0xffffff80" },
	{ "ff33", "push/4 m4[ds:ebx+0]" },
	{ "8f442404", "pop/4 m4[ss:esp+4]" },
	{ "50", "push/4 r4.0" },
	{ "665b", "pop/2 r2.3" },
	{ "c8100001", "enter/2 i2=0x10 i1=0x1" },
	{ "60", "pusha/0" },
	{ "c9", "leave/0" },
	/* strings: no operands, width and segment */
	{ "a4", "movs/1" },
	{ "f3a5", "movs/4" },
	{ "66ab", "stos/2" },
	{ "6e", "outs/1" },
	{ "6d", "ins/4" },
	{ "666d", "ins/2" },
	{ "a7", "cmps/4" },
	{ "ac", "lods/1" },
	{ "ae", "scas/1" },
	{ "d7", "xlat/0" },
	/* control transfer */
	{ "e8fcffffff", "call/4 rel4=-4" },
	{ "eb80", "jmp/4 rel4=-128" },
	{ "66e90001", "jmp/2 rel2=256" },
	{ "7410", "jcc/4 rel4=16" },
	{ "0f8410000000", "jcc/4 rel4=16" },
	{ "e2fe", "loop/4 rel4=-2" },
	{ "e310", "jcxz/4 rel4=16" },
	{ "ff13", "call/4 m4[ds:ebx+0]" },
	{ "ffe0", "jmp/4 r4.0" },
	{ "c20800", "ret/2 i2=0x8" },
	{ "9a785634122300", "lcall/6 far6=0x23:0x12345678" },
	{ "66ea34122300", "ljmp/4 far4=0x23:0x1234" },
	{ "ff1b", "lcall/6 m6[ds:ebx+0]" },
	{ "66ff2b", "ljmp/4 m4[ds:ebx+0]" },
	{ "ca0800", "lret/2 i2=0x8" },
	{ "cd80", "int/1 i1=0x80" },
	{ "6203", "bound/4 r4.0 m8[ds:ebx+0]" },
	/* system */
	{ "e460", "in/1 r1.0 i1=0x60" },
	{ "66ed", "in/2 r2.0 r2.2" },
	{ "ec", "in/1 r1.0 r2.2" },
	{ "ee", "out/1 r2.2 r1.0" },
	{ "e780", "out/4 i1=0x80 r4.0" },
	{ "0f20c3", "mov from cr/4 r4.3 cr0" },
	{ "0f2003", "mov from cr/4 r4.3 cr0" }, /* mod is ignored */
	{ "660f22dc", "mov to cr/4 cr3 r4.4" },
	{ "0f2184", "mov from dr/4 r4.4 dr0" }, /* no SIB, no displacement */
	{ "0f23f8", "mov to dr/4 dr7 r4.0" },
	{ "0f21e0", "mov from dr/4 r4.0 dr4" },
	{ "8cd8", "mov from seg/4 r4.0 ds" },
	{ "668cd8", "mov from seg/2 r2.0 ds" },
	{ "8c1b", "mov from seg/2 m2[ds:ebx+0] ds" },
	{ "8ed8", "mov to seg/2 ds r2.0" },
	{ "8e23", "mov to seg/2 fs m2[ds:ebx+0]" },
	{ "1e", "push seg/2 ds" },
	{ "0fa9", "pop seg/2 gs" },
	{ "c503", "lds/4 r4.0 m6[ds:ebx+0]" },
	{ "660fb203", "lss/2 r2.0 m4[ds:ebx+0]" },
	{ "0f0113", "lgdt/6 m6[ds:ebx+0]" },
	{ "0f0103", "sgdt/6 m6[ds:ebx+0]" },
	{ "0f00d3", "lldt/2 r2.3" },
	{ "0f00c3", "sldt/4 r4.3" },
	{ "0f0003", "sldt/2 m2[ds:ebx+0]" },
	{ "0f01e3", "smsw/4 r4.3" },
	{ "0f0133", "lmsw/2 m2[ds:ebx+0]" },
	{ "0f02c3", "lar/4 r4.0 r2.3" },
	{ "660f0303", "lsl/2 r2.0 m2[ds:ebx+0]" },
	{ "0f00e3", "verr/2 r2.3" },
	{ "63c3", "arpl/2 r2.3 r2.0" },
	{ "0f013b", "invlpg/0 m0[ds:ebx+0]" },
	{ "660f388203", "invpcid/4 r4.0 m16[ds:ebx+0]" },
	{ "f30fc7f9", "rdpid/4 r4.1" },
	{ "f30f38f803", "enqcmds/4 r4.0 m64[ds:ebx+0]" },
	{ "0fc733", "vmx/8 m8[ds:ebx+0]" },
	{ "90", "nop/0" },
	{ "f390", "pause/0" },
	{ "0f0b", "ud/0" },
	{ "0fb903", "ud/0" },
	{ "f30f1efb", "nop/4 r4.3" }, /* endbr32 */
	{ "98", "cbw/0" },
	{ "f9", "stc/0" },
	/* of no interest, but decoded */
	{ "d903", "other/4 m4[ds:ebx+0]" },
	{ "0f2803", "other/0 other m16[ds:ebx+0]" },
};

static const struct form forms16[] = {
	{ "8b07", "mov/2 r2.0 m2[ds:bx+0]" },
	{ "8b02", "mov/2 r2.0 m2[ss:bp+si*1+0]" },
	{ "668b07", "mov/4 r4.0 m4[ds:bx+0]" },
	{ "678b03", "mov/2 r2.0 m2[ds:ebx+0]" },
	{ "66678b442408", "mov/4 r4.0 m4[ss:esp+8]" },
	{ "a13412", "mov/2 r2.0 m2[ds:+4660]" },
	{ "e90001", "jmp/2 rel2=256" },
	{ "66e900010000", "jmp/4 rel4=256" },
	{ "ea34120008", "ljmp/4 far4=0x800:0x1234" },
	{ "66ea785634120800", "ljmp/6 far6=0x8:0x12345678" },
	{ "0f20c0", "mov from cr/4 r4.0 cr0" },
	{ "660f011e3412", "lidt/6 m6[ds:+4660]" },
	{ "6880ff", "push/2 i2=0xff80" },
	{ "cf", "iret/0" },
	{ "8ed8", "mov to seg/2 ds r2.0" },
	{ "81c03412", "add/2 r2.0 i2=0x1234" },
	{ "ed", "in/2 r2.0 r2.2" },
};

static void check_forms(const struct form *forms, size_t count, unsigned bits)
{
	for (const struct form *f = forms; f < forms + count; f++) {
		uint8_t b[INSN_MAX + 4] = { 0 };
		size_t len = bytes_of(f->hex, b);
		char text[160] = "";
		struct insn in;
		int ret = insn_decode(b, len, bits, &in);

		cr_assert_eq(ret, 0, "%s: %d", f->hex, ret);
		describe(&in, text, sizeof(text));
		cr_expect_str_eq(text, f->expect, "%s: \"%s\"", f->hex, text);
		cr_expect_eq(in.bits, bits);
		cr_expect_eq(memcmp(in.bytes, b, in.len), 0, "%s", f->hex);
		/* every instruction, cut short anywhere, is an incomplete one */
		for (size_t cut = 0; cut < in.len; cut++)
			cr_expect_eq(insn_decode(b, cut, bits, &in), -ENODATA, "%s cut to %zu",
				     f->hex, cut);
	}
}

Test(decoder, operand_forms_of_32_bit_code)
{
	check_forms(forms32, sizeof(forms32) / sizeof(forms32[0]), 32);
}

Test(decoder, operand_forms_of_16_bit_code)
{
	check_forms(forms16, sizeof(forms16) / sizeof(forms16[0]), 16);
}

static struct insn decode(const char *hex)
{
	uint8_t b[INSN_MAX + 4];
	size_t len = bytes_of(hex, b);
	struct insn in;

	cr_assert_eq(insn_decode(b, len, 32, &in), 0, "%s", hex);
	return in;
}

Test(decoder, prefixes_and_sizes_are_filled_in)
{
	struct insn in = decode("f36667266da5");

	cr_expect_eq(in.op, OP_INS);
	cr_expect_eq(in.prefixes, PREFIX_REP | PREFIX_66 | PREFIX_67 | PREFIX_SEG);
	cr_expect_eq(in.opsize, 2);
	cr_expect_eq(in.addrsize, 2);
	cr_expect_eq(in.seg, SEG_ES);
	cr_expect_eq(in.len, 5);
	in = decode("f2f3a6"); /* the last of f2 and f3 counts */
	cr_expect_eq(in.prefixes, PREFIX_REP);
	in = decode("f00fc10b");
	cr_expect_eq(in.prefixes, PREFIX_LOCK);
	cr_expect_eq(in.opcode[0], 0x0f);
	cr_expect_eq(in.opcode[1], 0xc1);
	cr_expect_eq(in.modrm, 0x0b);
	in = decode("666666666666666666666666666690");
	cr_expect_eq(in.len, 15);
	cr_expect_eq(in.op, OP_NOP);
}

Test(decoder, condition_and_vector_are_filled_in)
{
	cr_expect_eq(decode("7510").cond, 5);
	cr_expect_eq(decode("0f8510000000").cond, 5);
	cr_expect_eq(decode("0f9fc0").cond, 15);
	cr_expect_eq(decode("0f42c1").cond, 2);
	cr_expect_eq(decode("cd30").vector, 0x30);
	cr_expect_eq(decode("cc").vector, 3);
	cr_expect_eq(decode("ce").vector, 4);
	cr_expect_eq(decode("f1").vector, 1);
	cr_expect_eq(decode("6203").vector, 5);
}

/* What the CPU answers with #UD: SDM Vol. 2, "Protected Mode Exceptions" of each page. */
/*
 * XOP and VEX hide ModR/M from the outer form: their memory operands have no address here, and so
 * must not look as if they had one.  Found by tests/fuzz/fuzz_scan.c.
 */
Test(decoder, memory_operands_without_an_address_are_of_no_kind)
{
	static const char *const hex[] = { "8fe978e114", "c5f85804", "c4e27918042411" };

	for (size_t i = 0; i < sizeof(hex) / sizeof(hex[0]); i++) {
		uint8_t b[INSN_MAX + 4] = { 0 };
		struct insn in;

		bytes_of(hex[i], b);
		cr_assert_eq(insn_decode(b, INSN_MAX, 32, &in), 0, "%s", hex[i]);
		for (unsigned k = 0; k < in.nopnd; k++)
			cr_expect_neq(in.opnd[k].kind, OPND_MEM, "%s, operand %u", hex[i], k);
	}
}

Test(decoder, what_is_no_instruction_is_refused)
{
	static const char *const bad[] = {
		"8ec8",       /* mov to CS */
		"8ef0",       /* there is no segment register 6 */
		"8cf0",       /* nor to read */
		"0f20c8",     /* CR1 */
		"0f22e8",     /* CR5 */
		"0f24c0",     /* test registers */
		"f0fa",       /* LOCK on what cannot be locked */
		"f090",       /* likewise */
		"f001c3",     /* LOCK with a register destination */
		"f00303",     /* LOCK with memory as the source only */
		"f00fa303",   /* LOCK bt: it does not write */
		"f03903",     /* LOCK cmp: likewise */
		"f00f20c0",   /* LOCK mov from CR0 */
		"8dc0",       /* lea of a register */
		"0fb2c0",     /* lss of a register */
		"ffd8",       /* far call through a register */
		"ffe8",       /* far jump through a register */
		"0fc7c8",     /* cmpxchg8b of a register */
		"0f38f0c0",   /* movbe of a register */
		"0f01c7",     /* a hole in group 7 */
		"0f00f0",     /* in group 6 */
		"fff8",       /* in group 5 */
		"fed0",       /* in group 4 */
		"c6c801",     /* in group 11 */
		"0f04",       /* in the 0f map */
		"0fa6c0",     /* VIA's */
		"660f01d0",   /* xgetbv takes no prefix */
		"f30faec0",   /* rdfsbase: 64-bit mode only */
		"0f388203",   /* invpcid needs its 66 */
		"66c5f858c0", /* VEX takes no 66 before it */
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint8_t b[INSN_MAX + 4] = { 0 };
		struct insn in;

		bytes_of(bad[i], b);
		cr_expect_eq(insn_decode(b, INSN_MAX, 32, &in), -EINVAL, "%s", bad[i]);
	}
}

Test(decoder, more_than_15_bytes_are_refused)
{
	uint8_t b[24];
	struct insn in;

	memset(b, 0x66, sizeof(b));
	b[15] = 0x90;
	cr_expect_eq(insn_decode(b, sizeof(b), 32, &in), -EINVAL);
	memset(b, 0x26, sizeof(b)); /* 10 prefixes and 6 bytes */
	memcpy(b + 10, (const uint8_t[]){ 0x8b, 0x05, 1, 2, 3, 4 }, 6);
	cr_expect_eq(insn_decode(b, sizeof(b), 32, &in), -EINVAL);
	memset(b, 0x26, 9); /* 9 are allowed */
	memcpy(b + 9, (const uint8_t[]){ 0x8b, 0x05, 1, 2, 3, 4 }, 6);
	cr_expect_eq(insn_decode(b, sizeof(b), 32, &in), 0);
	cr_expect_eq(in.len, 15);
}

Test(decoder, incomplete_is_not_the_same_as_invalid)
{
	struct insn in;

	cr_expect_eq(insn_decode((const uint8_t[]){ 0 }, 0, 32, &in), -ENODATA);
	cr_expect_eq(insn_decode((const uint8_t[]){ 0x0f }, 1, 32, &in), -ENODATA);
	cr_expect_eq(insn_decode((const uint8_t[]){ 0xf0 }, 1, 32, &in), -ENODATA);
	cr_expect_eq(insn_decode((const uint8_t[]){ 0xf0, 0x0f }, 2, 32, &in), -ENODATA);
	cr_expect_eq(insn_decode((const uint8_t[]){ 0xc5, 0xf8 }, 2, 32, &in), -ENODATA);
	cr_expect_eq(insn_decode((const uint8_t[]){ 0x0f, 0x04 }, 2, 32, &in), -EINVAL);
	cr_expect_eq(insn_decode((const uint8_t[]){ 0xf0, 0xfa }, 2, 32, &in), -EINVAL);
	cr_expect_eq(insn_decode((const uint8_t[]){ 0x8e, 0xc8 }, 2, 32, &in), -EINVAL);
}

Test(decoder, text_is_att_syntax_as_objdump_writes_it)
{
	static const struct form texts[] = {
		{ "0f20c0", "mov %cr0,%eax" },
		{ "0f22d8", "mov %eax,%cr3" },
		{ "fa", "cli" },
		{ "ec", "in %dx,%al" },
		{ "0f0113", "lgdt (%ebx)" },
		{ "8ed8", "mov %eax,%ds" },
		{ "8b448d08", "movl 8(%ebp,%ecx,4),%eax" },
		{ "eb02", "jmp 0x1004" },
		{ "f30fc7f9", "rdpid %ecx" },
		{ "f30f38f803", "enqcmds" },
		{ "f3a5", "rep movsl (%esi),%es:(%edi)" },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct insn in = decode(texts[i].hex);
		char buf[64];

		insn_format(&in, 0x1000, buf, sizeof(buf));
		cr_expect_str_eq(buf, texts[i].expect, "%s: \"%s\"", texts[i].hex, buf);
		cr_expect_null(strchr(buf, '\t'));
	}
}

Test(decoder, text_never_overruns_its_buffer)
{
	struct insn in = decode("8b848d08000000");

	for (size_t size = 0; size < 40; size++) {
		char buf[41];

		memset(buf, 'x', sizeof(buf));
		insn_format(&in, 0, buf, size);
		cr_expect_eq(buf[size], 'x', "size %zu", size);
		if (size)
			cr_expect(memchr(buf, '\0', size), "size %zu: terminated", size);
	}
}

Test(decoder, every_operation_has_a_name)
{
	for (unsigned op = 0; op < OP_COUNT; op++)
		cr_expect_str_neq(insn_op_name(op), "?", "operation %u", op);
	cr_expect_str_eq(insn_op_name(OP_COUNT), "?");
}
