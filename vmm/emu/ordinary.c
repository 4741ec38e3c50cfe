/* SPDX-License-Identifier: MIT */
/*
 * Ordinary integer instructions: those whose memory operand has no RAM behind it that a world could
 * map.  Any of them with registers only works as well, so this is a small interpreter.
 * Here: the table, arithmetic, bits, moves.  Stack and near transfers: near.c.  Strings: string.c.
 * Source: SDM Vol. 2, the instructions.
 */
#include "vmm/emu/alu.h"
#include "vmm/emu/handlers.h"

/* A destination that is read, changed and written back: one read and one write of the bus. */
struct rmw {
	const struct operand *o;
	gva_t gva; /* of a memory operand */
	uint32_t old;
};

/* A memory destination is known to be writable before it is read: a device is read only once. */
static int rmw_begin(struct vcpu *v, const struct insn *in, const struct operand *o, struct rmw *x)
{
	int r;

	x->o = o;
	x->old = 0;
	if (o->kind != OPND_MEM)
		return op_read(v, in, o, &x->old);
	if (o->width != 1 && o->width != 2 && o->width != 4)
		return EMU_UNHANDLED;
	r = seg_linear(v, o->mem.seg, op_offset(v, in, o), o->width, true, &x->gva);
	if (!r)
		r = mem_probe_write(v, x->gva, o->width, mem_user(v));
	if (!r)
		r = mem_read(v, x->gva, &x->old, o->width, mem_user(v));
	return r;
}

/*
 * With LOCK (XCHG has it built in) another vCPU may have been faster: -EAGAIN, and emulate() starts
 * the instruction again.
 */
static int rmw_end(struct vcpu *v, const struct insn *in, const struct rmw *x, uint32_t val)
{
	if (x->o->kind != OPND_MEM)
		return op_write(v, in, x->o, val);
	if ((in->prefixes & PREFIX_LOCK) || in->op == OP_XCHG)
		return mem_cas(v, x->gva, x->old, val, x->o->width, mem_user(v));
	return mem_write(v, x->gva, &val, x->o->width, mem_user(v));
}

/* ---- arithmetic ---- */

static int binary(struct vcpu *v, const struct insn *in)
{
	unsigned width = in->opnd[0].width;
	uint32_t src;
	struct rmw x;
	int r = op_read(v, in, &in->opnd[1], &src);

	if (!r)
		r = rmw_begin(v, in, &in->opnd[0], &x);
	if (r)
		return r;
	return rmw_end(v, in, &x, alu_binary(in->op, width, x.old, src, &v->regs.eflags));
}

static int compare(struct vcpu *v, const struct insn *in)
{
	uint32_t a, b;
	int r = op_read(v, in, &in->opnd[0], &a);

	if (!r)
		r = op_read(v, in, &in->opnd[1], &b);
	if (!r)
		alu_binary(in->op, in->opnd[0].width, a, b, &v->regs.eflags);
	return r;
}

static int unary(struct vcpu *v, const struct insn *in)
{
	struct rmw x;
	int r = rmw_begin(v, in, &in->opnd[0], &x);

	if (r)
		return r;
	return rmw_end(v, in, &x, alu_unary(in->op, in->opnd[0].width, x.old, &v->regs.eflags));
}

static int shift(struct vcpu *v, const struct insn *in)
{
	uint32_t count = 1; /* the forms without a written count */
	struct rmw x;
	int r = in->nopnd > 1 ? op_read(v, in, &in->opnd[1], &count) : EMU_OK;

	if (!r)
		r = rmw_begin(v, in, &in->opnd[0], &x);
	if (r)
		return r;
	return rmw_end(v, in, &x,
		       alu_shift(in->op, in->opnd[0].width, x.old, count, &v->regs.eflags));
}

static int double_shift(struct vcpu *v, const struct insn *in)
{
	uint32_t src, count;
	struct rmw x;
	int r = op_read(v, in, &in->opnd[1], &src);

	if (!r)
		r = op_read(v, in, &in->opnd[2], &count);
	if (!r)
		r = rmw_begin(v, in, &in->opnd[0], &x);
	if (r)
		return r;
	return rmw_end(
		v, in, &x,
		alu_double_shift(in->op, in->opnd[0].width, x.old, src, count, &v->regs.eflags));
}

/* The accumulator pair: AX, DX:AX or EDX:EAX by @width. */
static void pair_write(struct vcpu *v, unsigned width, uint32_t low, uint32_t high)
{
	if (width == 1) {
		gpr_write(v, EAX, 2, (low & 0xff) | (high & 0xff) << 8);
		return;
	}
	gpr_write(v, EAX, width, low);
	gpr_write(v, EDX, width, high);
}

static uint64_t pair_read(const struct vcpu *v, unsigned width)
{
	if (width == 1)
		return gpr_read(v, EAX, 2);
	return (uint64_t)gpr_read(v, EDX, width) << width * 8 | gpr_read(v, EAX, width);
}

/* MUL and IMUL with one operand fill the pair; IMUL with two or three truncates. */
static int multiply(struct vcpu *v, const struct insn *in)
{
	unsigned width = in->opnd[0].width;
	uint32_t a = gpr_read(v, EAX, width), b;
	uint64_t product;
	int r = EMU_OK;

	if (in->nopnd == 3)
		r = op_read(v, in, &in->opnd[2], &a);
	else if (in->nopnd == 2)
		r = op_read(v, in, &in->opnd[0], &a);
	if (!r)
		r = op_read(v, in, &in->opnd[in->nopnd > 1 ? 1 : 0], &b);
	if (r)
		return r;
	product = alu_multiply(in->op == OP_IMUL, width, a, b, &v->regs.eflags);
	if (in->nopnd > 1)
		return op_write(v, in, &in->opnd[0], (uint32_t)product);
	pair_write(v, width, (uint32_t)product, (uint32_t)(product >> width * 8));
	return EMU_OK;
}

static int divide(struct vcpu *v, const struct insn *in)
{
	unsigned width = in->opnd[0].width;
	uint32_t divisor, quot, rem;
	int r = op_read(v, in, &in->opnd[0], &divisor);

	if (r)
		return r;
	if (!alu_divide(in->op == OP_IDIV, width, pair_read(v, width), divisor, &quot, &rem))
		return vcpu_fault(v, VEC_DE, false, 0);
	pair_write(v, width, quot, rem);
	return EMU_OK;
}

/* ---- bits ---- */

/*
 * A bit offset in a register reaches beyond a memory operand: it selects the unit of the operand
 * size that holds the bit, signed (Vol. 2A, "Bit(BitBase, BitOffset)", 3.1.1.9).
 */
static int bit(struct vcpu *v, const struct insn *in)
{
	struct operand o = in->opnd[0];
	unsigned width = o.width;
	uint32_t n, val;
	struct rmw x;
	int r = op_read(v, in, &in->opnd[1], &n);

	if (r)
		return r;
	if (o.kind == OPND_MEM && in->opnd[1].kind == OPND_GPR) {
		int32_t unit = (int32_t)alu_sign_extend(width, n) >> (width == 4 ? 5 : 4);

		o.mem.disp = (int32_t)((uint32_t)o.mem.disp + (uint32_t)unit * width);
	}
	if (in->op == OP_BT) {
		r = op_read(v, in, &o, &val);
		if (!r)
			alu_bit(OP_BT, width, val, n, &v->regs.eflags);
		return r;
	}
	r = rmw_begin(v, in, &o, &x);
	if (r)
		return r;
	return rmw_end(v, in, &x, alu_bit(in->op, width, x.old, n, &v->regs.eflags));
}

/* Of zero: ZF, and the destination stays as it was, as on every CPU (AMD promises it). */
static int bit_scan(struct vcpu *v, const struct insn *in)
{
	uint32_t val;
	int r = op_read(v, in, &in->opnd[1], &val);

	if (r)
		return r;
	if (!val) {
		v->regs.eflags |= FL_ZF;
		return EMU_OK;
	}
	v->regs.eflags &= ~FL_ZF;
	return op_write(
		v, in, &in->opnd[0],
		(uint32_t)(in->op == OP_BSF ? __builtin_ctz(val) : 31 - __builtin_clz(val)));
}

/* ---- exchanges ---- */

static int xchg(struct vcpu *v, const struct insn *in)
{
	unsigned m = in->opnd[1].kind == OPND_MEM; /* either operand may be the memory one */
	const struct operand *reg = &in->opnd[!m];
	uint32_t val;
	struct rmw x;
	int r = rmw_begin(v, in, &in->opnd[m], &x);

	if (r)
		return r;
	r = op_read(v, in, reg, &val);
	if (!r)
		r = rmw_end(v, in, &x, val);
	return r ? r : op_write(v, in, reg, x.old);
}

/* The destination is written in either case (Vol. 2A, CMPXCHG). */
static int cmpxchg(struct vcpu *v, const struct insn *in)
{
	unsigned width = in->opnd[0].width;
	uint32_t src, acc = gpr_read(v, EAX, width);
	bool equal;
	struct rmw x;
	int r = op_read(v, in, &in->opnd[1], &src);

	if (!r)
		r = rmw_begin(v, in, &in->opnd[0], &x);
	if (r)
		return r;
	alu_binary(OP_CMP, width, acc, x.old, &v->regs.eflags);
	equal = v->regs.eflags & FL_ZF;
	if (!equal)
		gpr_write(v, EAX, width, x.old);
	return rmw_end(v, in, &x, equal ? src : x.old);
}

static int cmpxchg8b(struct vcpu *v, const struct insn *in)
{
	const struct operand *o = &in->opnd[0];
	uint64_t old, val;
	gva_t gva;
	int r;

	if (o->kind != OPND_MEM)
		return vcpu_ud(v);
	r = seg_linear(v, o->mem.seg, op_offset(v, in, o), 8, true, &gva);
	if (!r)
		r = mem_probe_write(v, gva, 8, mem_user(v));
	if (!r)
		r = mem_read(v, gva, &old, 8, mem_user(v));
	if (r)
		return r;
	if (old == ((uint64_t)v->regs.gpr[EDX] << 32 | v->regs.gpr[EAX])) {
		val = (uint64_t)v->regs.gpr[ECX] << 32 | v->regs.gpr[EBX];
		v->regs.eflags |= FL_ZF;
	} else {
		val = old;
		v->regs.eflags &= ~FL_ZF;
		v->regs.gpr[EAX] = (uint32_t)old;
		v->regs.gpr[EDX] = (uint32_t)(old >> 32);
	}
	if (in->prefixes & PREFIX_LOCK)
		return mem_cas(v, gva, old, val, 8, mem_user(v));
	return mem_write(v, gva, &val, 8, mem_user(v));
}

/* With the same register twice the sum wins: it is written last. */
static int xadd(struct vcpu *v, const struct insn *in)
{
	uint32_t src, sum;
	struct rmw x;
	int r = op_read(v, in, &in->opnd[1], &src);

	if (!r)
		r = rmw_begin(v, in, &in->opnd[0], &x);
	if (r)
		return r;
	sum = alu_binary(OP_ADD, in->opnd[0].width, x.old, src, &v->regs.eflags);
	r = op_write(v, in, &in->opnd[1], x.old);
	return r ? r : rmw_end(v, in, &x, sum);
}

/* ---- moves ---- */

static uint32_t byte_swap(unsigned width, uint32_t val)
{
	return width == 4 ? __builtin_bswap32(val) : __builtin_bswap16((uint16_t)val);
}

/* mov movzx movsx movbe */
static int move(struct vcpu *v, const struct insn *in)
{
	uint32_t val;
	int r = op_read(v, in, &in->opnd[1], &val);

	if (r)
		return r;
	if (in->op == OP_MOVSX)
		val = alu_sign_extend(in->opnd[1].width, val);
	else if (in->op == OP_MOVBE)
		val = byte_swap(in->opnd[0].width, val);
	return op_write(v, in, &in->opnd[0], val);
}

static int lea(struct vcpu *v, const struct insn *in)
{
	if (in->opnd[1].kind != OPND_MEM)
		return vcpu_ud(v);
	gpr_write(v, in->opnd[0].reg, in->opnd[0].width, op_offset(v, in, &in->opnd[1]));
	return EMU_OK;
}

/* AL := byte at (E)BX + AL, in DS unless overridden. */
static int xlat(struct vcpu *v, const struct insn *in)
{
	uint32_t off = gpr_read(v, EBX, in->addrsize) + gpr_read(v, EAX, 1);
	uint8_t val;
	int r = seg_read(v, in->seg, in->addrsize == 2 ? off & 0xffff : off, &val, 1);

	if (!r)
		gpr_write(v, EAX, 1, val);
	return r;
}

/* The source of CMOVcc is read, and may fault, whatever the condition is. */
static int conditional(struct vcpu *v, const struct insn *in)
{
	bool yes = alu_condition(in->cond, v->regs.eflags);
	uint32_t val;
	int r;

	if (in->op == OP_SETCC)
		return op_write(v, in, &in->opnd[0], yes);
	r = op_read(v, in, &in->opnd[1], &val);
	return r || !yes ? r : op_write(v, in, &in->opnd[0], val);
}

/* A 16-bit BSWAP is undefined; the CPUs we know give zero. */
static int bswap(struct vcpu *v, const struct insn *in)
{
	unsigned reg = in->opnd[0].reg;

	if (in->opsize == 2)
		gpr_write(v, reg, 2, 0);
	else
		gpr_write(v, reg, 4, byte_swap(4, gpr_read(v, reg, 4)));
	return EMU_OK;
}

/* Registers and flags only: cbw/cwde, cwd/cdq, lahf, sahf, clc stc cmc cld std, nop. */
static int simple(struct vcpu *v, const struct insn *in)
{
	const uint32_t sahf = FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF;
	unsigned half = in->opsize / 2;
	uint32_t *fl = &v->regs.eflags;

	switch (in->op) {
	case OP_CBW:
		gpr_write(v, EAX, in->opsize, alu_sign_extend(half, gpr_read(v, EAX, half)));
		break;
	case OP_CWD:
		gpr_write(v, EDX, in->opsize,
			  v->regs.gpr[EAX] >> (in->opsize * 8 - 1) & 1 ? 0xffffffff : 0);
		break;
	case OP_LAHF: gpr_write(v, 4, 1, (*fl & sahf) | FL_FIXED); break; /* 4: AH */
	case OP_SAHF: *fl = (*fl & ~sahf) | (gpr_read(v, 4, 1) & sahf); break;
	case OP_CLC: *fl &= ~FL_CF; break;
	case OP_STC: *fl |= FL_CF; break;
	case OP_CMC: *fl ^= FL_CF; break;
	case OP_CLD: *fl &= ~FL_DF; break;
	case OP_STD: *fl |= FL_DF; break;
	default: break; /* OP_NOP: its memory operand is not accessed */
	}
	return EMU_OK;
}

static int (*const table[OP_COUNT])(struct vcpu *, const struct insn *) = {
	[OP_ADD] = binary,
	[OP_OR] = binary,
	[OP_ADC] = binary,
	[OP_SBB] = binary,
	[OP_AND] = binary,
	[OP_SUB] = binary,
	[OP_XOR] = binary,
	[OP_CMP] = compare,
	[OP_TEST] = compare,
	[OP_INC] = unary,
	[OP_DEC] = unary,
	[OP_NEG] = unary,
	[OP_NOT] = unary,
	[OP_ROL] = shift,
	[OP_ROR] = shift,
	[OP_RCL] = shift,
	[OP_RCR] = shift,
	[OP_SHL] = shift,
	[OP_SHR] = shift,
	[OP_SAR] = shift,
	[OP_SHLD] = double_shift,
	[OP_SHRD] = double_shift,
	[OP_BT] = bit,
	[OP_BTS] = bit,
	[OP_BTR] = bit,
	[OP_BTC] = bit,
	[OP_BSF] = bit_scan,
	[OP_BSR] = bit_scan,
	[OP_MUL] = multiply,
	[OP_IMUL] = multiply,
	[OP_DIV] = divide,
	[OP_IDIV] = divide,
	[OP_XCHG] = xchg,
	[OP_CMPXCHG] = cmpxchg,
	[OP_CMPXCHG8B] = cmpxchg8b,
	[OP_XADD] = xadd,
	[OP_MOV] = move,
	[OP_MOVZX] = move,
	[OP_MOVSX] = move,
	[OP_MOVBE] = move,
	[OP_LEA] = lea,
	[OP_XLAT] = xlat,
	[OP_BSWAP] = bswap,
	[OP_SETCC] = conditional,
	[OP_CMOVCC] = conditional,
	[OP_CBW] = simple,
	[OP_CWD] = simple,
	[OP_LAHF] = simple,
	[OP_SAHF] = simple,
	[OP_CLC] = simple,
	[OP_STC] = simple,
	[OP_CMC] = simple,
	[OP_CLD] = simple,
	[OP_STD] = simple,
	[OP_NOP] = simple,
	[OP_MOVS] = emu_string,
	[OP_STOS] = emu_string,
	[OP_LODS] = emu_string,
	[OP_CMPS] = emu_string,
	[OP_SCAS] = emu_string,
	[OP_PUSH] = emu_push_pop,
	[OP_POP] = emu_push_pop,
	[OP_PUSHA] = emu_push_pop,
	[OP_POPA] = emu_push_pop,
	[OP_ENTER] = emu_push_pop,
	[OP_LEAVE] = emu_push_pop,
	[OP_CALL] = emu_near,
	[OP_JMP] = emu_near,
	[OP_JCC] = emu_near,
	[OP_RET] = emu_near,
	[OP_LOOP] = emu_near,
	[OP_LOOPE] = emu_near,
	[OP_LOOPNE] = emu_near,
	[OP_JCXZ] = emu_near,
};

int emu_ordinary(struct vcpu *v, const struct insn *in)
{
	if (in->op >= OP_COUNT || !table[in->op])
		return EMU_UNHANDLED;
	return table[in->op](v, in);
}
