/* SPDX-License-Identifier: MIT */
/*
 * Instructions that Capstone 4.0.2 does not know or gets wrong; each case says why it is here.
 * Sources: Intel SDM Vol. 2, the page of each instruction; AMD APM Vol. 3, likewise.
 */
#include "decoder/internal.h"

#include <errno.h>

#define PFX_NONE 0
#define PFX_ANY  1 /* 66, f2, f3 are ignored */

/*
 * 0f 01 with mod 3: Capstone knows few of these and ignores mandatory prefixes.  Most are "NP" in
 * the SDM: with 66, f2 or f3 they are other instructions or #UD.
 */
static const struct {
	uint8_t prefix, modrm;
	uint16_t op;
} group7[] = {
	{ PFX_NONE, 0xc0, OP_UNOFFERED }, /* enclv */
	{ PFX_ANY, 0xc1, OP_VMX },        /* vmcall */
	{ PFX_ANY, 0xc2, OP_VMX },        /* vmlaunch */
	{ PFX_ANY, 0xc3, OP_VMX },        /* vmresume */
	{ PFX_ANY, 0xc4, OP_VMX },        /* vmxoff */
	{ PFX_NONE, 0xc5, OP_UNOFFERED }, /* pconfig */
	{ PFX_NONE, 0xc6, OP_UNOFFERED }, /* wrmsrns */
	{ PFX_NONE, 0xc8, OP_MONITOR },   { PFX_NONE, 0xc9, OP_MWAIT },
	{ PFX_NONE, 0xca, OP_CLAC },      { PFX_NONE, 0xcb, OP_STAC },
	{ 0x66, 0xcc, OP_UNOFFERED },     /* tdcall */
	{ 0x66, 0xcd, OP_UNOFFERED },     /* seamret */
	{ 0x66, 0xce, OP_UNOFFERED },     /* seamops */
	{ 0x66, 0xcf, OP_UNOFFERED },     /* seamcall */
	{ PFX_NONE, 0xcf, OP_UNOFFERED }, /* encls */
	{ PFX_NONE, 0xd0, OP_XGETBV },    { PFX_NONE, 0xd1, OP_XSETBV },
	{ PFX_NONE, 0xd4, OP_VMX },       /* vmfunc */
	{ PFX_NONE, 0xd5, OP_UNOFFERED }, /* xend */
	{ PFX_NONE, 0xd6, OP_UNOFFERED }, /* xtest */
	{ PFX_NONE, 0xd7, OP_UNOFFERED }, /* enclu */
	{ PFX_ANY, 0xd8, OP_SVM },        /* vmrun */
	{ PFX_ANY, 0xd9, OP_SVM },        /* vmmcall; with f2 or f3, vmgexit */
	{ PFX_ANY, 0xda, OP_SVM },        /* vmload */
	{ PFX_ANY, 0xdb, OP_SVM },        /* vmsave */
	{ PFX_ANY, 0xdc, OP_SVM },        /* stgi */
	{ PFX_ANY, 0xdd, OP_SVM },        /* clgi */
	{ PFX_ANY, 0xde, OP_SVM },        /* skinit */
	{ PFX_ANY, 0xdf, OP_SVM },        /* invlpga */
	{ PFX_NONE, 0xe8, OP_OTHER },     /* serialize */
	{ 0xf2, 0xe8, OP_OTHER },         /* xsusldtrk */
	{ 0xf2, 0xe9, OP_OTHER },         /* xresldtrk */
	{ 0xf3, 0xe8, OP_OTHER },         /* setssbsy */
	{ 0xf3, 0xea, OP_OTHER },         /* saveprevssp */
	{ PFX_NONE, 0xee, OP_UNOFFERED }, /* rdpkru */
	{ PFX_NONE, 0xef, OP_UNOFFERED }, /* wrpkru */
	{ PFX_ANY, 0xf8, OP_SWAPGS },     { PFX_ANY, 0xf9, OP_RDTSCP },
	{ PFX_NONE, 0xfa, OP_UNOFFERED }, /* monitorx */
	{ 0xf3, 0xfa, OP_UNOFFERED },     /* mcommit */
	{ PFX_NONE, 0xfb, OP_UNOFFERED }, /* mwaitx */
	{ PFX_NONE, 0xfc, OP_OTHER },     /* clzero */
	{ PFX_NONE, 0xfd, OP_UNOFFERED }, /* rdpru */
	{ PFX_NONE, 0xfe, OP_UNOFFERED }, /* invlpgb */
	{ PFX_NONE, 0xff, OP_UNOFFERED }, /* tlbsync */
};

/* The mandatory prefix in effect: f2 and f3 win over 66 (SDM Vol. 2A 2.1.2). */
static uint8_t mandatory_prefix(const struct parse *p)
{
	return p->rep ? p->rep : p->prefixes & PREFIX_66 ? 0x66 : PFX_NONE;
}

static int group7_by_hand(const struct parse *p, struct insn *in)
{
	uint8_t prefix = mandatory_prefix(p);

	if (MODRM_MOD(p->modrm) != 3) {
		/* f3 0f 01 /5 is RSTORSSP; nothing else has /5 with memory */
		if (MODRM_REG(p->modrm) != 5)
			return 0;
		return prefix == 0xf3 ? 1 : -EINVAL;
	}
	if (MODRM_REG(p->modrm) == 4 || MODRM_REG(p->modrm) == 6)
		return 0; /* smsw, lmsw */
	for (size_t i = 0; i < sizeof(group7) / sizeof(group7[0]); i++) {
		if (group7[i].modrm != p->modrm)
			continue;
		if (group7[i].prefix != PFX_ANY && group7[i].prefix != prefix)
			continue;
		in->op = group7[i].op;
		return 1;
	}
	return -EINVAL;
}

/*
 * 0f c7: cmpxchg8b, xsaves and the VMX pointer instructions share a group whose members depend on
 * prefix and mod; Capstone 4.0.2 takes rdpid for rdseed.
 */
static int group9_by_hand(const struct parse *p, struct insn *in)
{
	static const struct {
		uint8_t prefix, reg, width;
		uint16_t op;
	} mem_forms[] = {
		{ PFX_ANY, 1, 8, OP_CMPXCHG8B }, { PFX_NONE, 3, 0, OP_XRSTORS },
		{ PFX_NONE, 4, 0, OP_OTHER },                                /* xsavec */
		{ PFX_NONE, 5, 0, OP_XSAVES },   { PFX_NONE, 6, 8, OP_VMX }, /* vmptrld */
		{ 0x66, 6, 8, OP_VMX },                                      /* vmclear */
		{ 0xf3, 6, 8, OP_VMX },                                      /* vmxon */
		{ PFX_NONE, 7, 8, OP_VMX },                                  /* vmptrst */
	};
	uint8_t prefix = mandatory_prefix(p), reg = MODRM_REG(p->modrm);

	if (MODRM_MOD(p->modrm) == 3) {
		if (reg == 7 && prefix == 0xf3)
			in->op = OP_RDPID;
		else if (reg < 6 || p->rep) /* 6 and 7: rdrand, rdseed */
			return -EINVAL;
		operand_gpr(in, 0, MODRM_RM(p->modrm), in->op == OP_RDPID ? 4 : p->opsize);
		return 1;
	}
	for (size_t i = 0; i < sizeof(mem_forms) / sizeof(mem_forms[0]); i++) {
		if (mem_forms[i].reg != reg)
			continue;
		if (mem_forms[i].prefix != PFX_ANY && mem_forms[i].prefix != prefix)
			continue;
		in->op = mem_forms[i].op;
		operand_rm(p, in, 0, 0, mem_forms[i].width);
		return 1;
	}
	return -EINVAL;
}

/*
 * mov to and from control and debug registers.  The CPU ignores mod: the operand is always a
 * register (SDM Vol. 2B, MOV).  CR1, CR5-CR7 do not exist; DR4 and DR5 do, by CR4.DE.
 */
static int mov_special(const struct parse *p, struct insn *in)
{
	bool debug = p->opcode & 1, to = p->opcode & 2;
	uint8_t reg = MODRM_REG(p->modrm);

	if (!debug && (reg == 1 || reg > 4))
		return -EINVAL;
	if (p->opcode == 0x20)
		return 0; /* Capstone gets it right: trapped.c */
	if (debug)
		in->op = to ? OP_MOV_TO_DR : OP_MOV_FROM_DR;
	else
		in->op = to ? OP_MOV_TO_CR : OP_MOV_FROM_CR;
	operand_gpr(in, to ? 1 : 0, MODRM_RM(p->modrm), 4);
	in->opnd[to ? 0 : 1] =
		(struct operand){ .kind = debug ? OPND_DR : OPND_CR, .width = 4, .reg = reg };
	in->nopnd = 2;
	in->len = (uint8_t)(p->oplen + 1);
	return 1;
}

/* 0f ae with mod 3 and a prefix: WAITPKG, CET and the 64-bit-only RDFSBASE family. */
static int group15_by_hand(const struct parse *p, struct insn *in)
{
	uint8_t prefix = mandatory_prefix(p), reg = MODRM_REG(p->modrm);

	if (MODRM_MOD(p->modrm) != 3) {
		if (prefix == 0xf3 && reg == 4)
			return 1; /* ptwrite */
		if (prefix == 0xf3 && reg == 6)
			return 1; /* clrssbsy */
		return 0;
	}
	if (prefix == PFX_NONE)
		return reg >= 5 ? 1 : 0; /* fences: Capstone insists on rm 0, the CPU does not */
	if (reg == 6) {
		in->op = OP_UNOFFERED; /* umonitor f3, umwait f2, tpause 66 */
		return 1;
	}
	return prefix == 0xf3 && (reg == 4 || reg == 5) ? 1 : -EINVAL; /* ptwrite, incssp */
}

static int map_0f_by_hand(const struct parse *p, struct insn *in)
{
	switch (p->opcode) {
	case 0x01: return group7_by_hand(p, in);
	case 0x0b: /* the others are like it, but have ModR/M */
	case 0xb9:
	case 0xff: in->op = OP_UD; return 1;
	case 0x0d:          /* prefetchw and friends, which Capstone gates on 3DNow! */
	case 0x18 ... 0x1f: /* hints; endbr, rdssp, bnd* and cldemote are NOPs where not enabled */
		in->op = OP_NOP;
		operand_rm(p, in, 0, p->opsize, 0);
		return 1;
	case 0x20 ... 0x23: return mov_special(p, in);
	case 0x24 ... 0x27:                 /* 80486 test registers */
	case 0xa6 ... 0xa7: return -EINVAL; /* VIA PadLock, which Capstone decodes */
	case 0x78:
	case 0x79:
		if (mandatory_prefix(p) != PFX_NONE)
			return 0; /* SSE4a */
		in->op = OP_VMX;
		operand_rm(p, in, p->opcode == 0x78 ? 0 : 1, 4, 4);
		operand_gpr(in, p->opcode == 0x78 ? 1 : 0, MODRM_REG(p->modrm), 4);
		return 1;
	case 0xae: return group15_by_hand(p, in);
	case 0xc7: return group9_by_hand(p, in);
	default: return 0;
	}
}

static int map_0f38_by_hand(const struct parse *p, struct insn *in)
{
	uint8_t prefix = mandatory_prefix(p);
	bool mem = MODRM_MOD(p->modrm) != 3;

	switch (p->opcode) {
	case 0x80 ... 0x82: /* Capstone ignores the missing prefix and has no widths */
		if (prefix != 0x66 || !mem)
			return -EINVAL;
		in->op = p->opcode == 0x82 ? OP_INVPCID : OP_VMX; /* invept, invvpid */
		operand_gpr(in, 0, MODRM_REG(p->modrm), 4);
		operand_rm(p, in, 1, 0, 16);
		return 1;
	case 0xdc:
		if (prefix != 0xf3)
			return 0;
		in->op = mem ? OP_OTHER : OP_UNOFFERED; /* aesenc128kl, loadiwkey */
		return 1;
	case 0xf5:
		if (prefix != 0x66)
			return 0;
		in->op = OP_UNOFFERED; /* wruss */
		return mem ? 1 : -EINVAL;
	case 0xf8: /* f3 enqcmds, f2 enqcmd, 66 movdir64b */
		if (prefix == PFX_NONE || !mem)
			return -EINVAL;
		in->op = prefix == 0xf3 ? OP_ENQCMDS : OP_OTHER;
		operand_gpr(in, 0, MODRM_REG(p->modrm), p->addrsize);
		operand_rm(p, in, 1, 0, 64);
		return 1;
	default: return 0;
	}
}

int decode_by_hand(const struct parse *p, struct insn *in)
{
	int ret = 0;

	in->len = (uint8_t)(p->oplen + p->rmlen);
	if (p->map == MAP_0F) {
		ret = map_0f_by_hand(p, in);
	} else if (p->map == MAP_0F38) {
		ret = map_0f38_by_hand(p, in);
	} else if (p->map == MAP_0F3A && p->opcode == 0xf0 && p->rep == 0xf3) {
		in->op = OP_UNOFFERED; /* hreset imm8 */
		in->len++;
		ret = p->modrm == 0xc0 ? 1 : -EINVAL;
	} else if (p->map == MAP_1BYTE && p->opcode == 0x90) {
		/* Capstone says nop for `66 90`, pause only for `f3 90` without other prefixes */
		in->op = p->rep == 0xf3 ? OP_PAUSE : OP_NOP;
		ret = 1;
	}
	return ret;
}
