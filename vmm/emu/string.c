/* SPDX-License-Identifier: MIT */
/*
 * String instructions and the rep machinery they share with INS and OUTS.
 * Source: SDM Vol. 2B, REP/REPE/REPNE; Vol. 1, "String Instructions" (7.3.9).
 */
#include "vmm/emu/alu.h"
#include "vmm/emu/handlers.h"

void rep_begin(const struct vcpu *v, const struct insn *in, struct rep *rep)
{
	rep->on = in->prefixes & (PREFIX_REP | PREFIX_REPNE);
	rep->stop = false;
	rep->done = 0;
	rep->max = v->regs.eflags & FL_TF ? 1 : REP_MAX;
}

bool rep_more(const struct vcpu *v, const struct insn *in, const struct rep *rep)
{
	if (!rep->on)
		return rep->done == 0;
	/* Whoever wants the vCPU gets it between two iterations, as on a CPU. */
	if (rep->done && (atomic_load(&v->kicked) || vcpu_deliver_next(v) != DELIVER_NONE))
		return false;
	return !rep->stop && rep->done < rep->max && gpr_read(v, ECX, in->addrsize) != 0;
}

void rep_count(struct vcpu *v, const struct insn *in, struct rep *rep)
{
	rep->done++;
	if (rep->on)
		gpr_write(v, ECX, in->addrsize, gpr_read(v, ECX, in->addrsize) - 1);
}

int rep_end(struct vcpu *v, const struct insn *in, const struct rep *rep, int r)
{
	if (r != EMU_OK && !(r == EMU_FAULT && rep->done))
		return r;
	/*
	 * Between iterations: whatever comes now pushes an image with RF set; SDM Vol. 3B,
	 * "Instruction-Breakpoint Exception Condition" (17.3.1.1).
	 */
	if (r == EMU_FAULT || (rep->on && !rep->stop && gpr_read(v, ECX, in->addrsize) != 0)) {
		v->regs.eip = insn_eip(v, in);
		v->regs.eflags |= FL_RF;
	}
	return EMU_OK;
}

void string_advance(struct vcpu *v, const struct insn *in, enum gpr reg)
{
	uint32_t step = v->regs.eflags & FL_DF ? 0u - in->width : in->width;

	gpr_write(v, reg, in->addrsize, gpr_read(v, reg, in->addrsize) + step);
}

static int source(struct vcpu *v, const struct insn *in, uint32_t *val)
{
	*val = 0;
	return seg_read(v, in->seg, gpr_read(v, ESI, in->addrsize), val, in->width);
}

/* ES cannot be overridden on the EDI side. */
static int destination(struct vcpu *v, const struct insn *in, uint32_t *val)
{
	*val = 0;
	return seg_read(v, SEG_ES, gpr_read(v, EDI, in->addrsize), val, in->width);
}

/*
 * Both sides are checked before either is touched: a device register read twice because the write
 * faulted would be a different machine.
 */
static int movs(struct vcpu *v, const struct insn *in)
{
	gva_t from, to;
	uint32_t val;
	int r;

	r = seg_linear(v, in->seg, gpr_read(v, ESI, in->addrsize), in->width, false, &from);
	if (!r)
		r = mem_probe_read(v, from, in->width, mem_user(v));
	if (!r)
		r = seg_linear(v, SEG_ES, gpr_read(v, EDI, in->addrsize), in->width, true, &to);
	if (!r)
		r = mem_probe_write(v, to, in->width, mem_user(v));
	if (!r)
		r = mem_read(v, from, &val, in->width, mem_user(v));
	if (!r)
		r = mem_write(v, to, &val, in->width, mem_user(v));
	if (r)
		return r;
	string_advance(v, in, ESI);
	string_advance(v, in, EDI);
	return EMU_OK;
}

static int stos(struct vcpu *v, const struct insn *in)
{
	uint32_t val = gpr_read(v, EAX, in->width);
	int r = seg_write(v, SEG_ES, gpr_read(v, EDI, in->addrsize), &val, in->width);

	if (!r)
		string_advance(v, in, EDI);
	return r;
}

static int lods(struct vcpu *v, const struct insn *in)
{
	uint32_t val;
	int r = source(v, in, &val);

	if (r)
		return r;
	gpr_write(v, EAX, in->width, val);
	string_advance(v, in, ESI);
	return EMU_OK;
}

static int cmps(struct vcpu *v, const struct insn *in)
{
	uint32_t a, b;
	int r = source(v, in, &a);

	if (!r)
		r = destination(v, in, &b);
	if (r)
		return r;
	alu_binary(OP_CMP, in->width, a, b, &v->regs.eflags);
	string_advance(v, in, ESI);
	string_advance(v, in, EDI);
	return EMU_OK;
}

static int scas(struct vcpu *v, const struct insn *in)
{
	uint32_t val;
	int r = destination(v, in, &val);

	if (r)
		return r;
	alu_binary(OP_CMP, in->width, gpr_read(v, EAX, in->width), val, &v->regs.eflags);
	string_advance(v, in, EDI);
	return EMU_OK;
}

static int one(struct vcpu *v, const struct insn *in)
{
	switch (in->op) {
	case OP_MOVS: return movs(v, in);
	case OP_STOS: return stos(v, in);
	case OP_LODS: return lods(v, in);
	case OP_CMPS: return cmps(v, in);
	default: return scas(v, in);
	}
}

/* REPE goes on while ZF is set, REPNE while it is clear; only CMPS and SCAS look at it. */
static bool condition_ends(const struct vcpu *v, const struct insn *in)
{
	bool zf = v->regs.eflags & FL_ZF;

	if (in->op != OP_CMPS && in->op != OP_SCAS)
		return false;
	return (in->prefixes & PREFIX_REPNE) ? zf : !zf;
}

/*
 * CMPS and SCAS that stop between two elements, for a fault, a single step or an interrupt, show
 * the flags from before the instruction: they do not need them to go on (SDM Vol. 2B, REP).
 */
int emu_string(struct vcpu *v, const struct insn *in)
{
	const uint32_t eflags = v->regs.eflags, next = v->regs.eip;
	struct rep rep;
	int r = EMU_OK;

	if (in->width != 1 && in->width != 2 && in->width != 4)
		return EMU_UNHANDLED;
	for (rep_begin(v, in, &rep); rep_more(v, in, &rep);) {
		r = one(v, in);
		if (r)
			break;
		rep_count(v, in, &rep);
		rep.stop = rep.on && condition_ends(v, in);
	}
	r = rep_end(v, in, &rep, r);
	if (v->regs.eip != next)
		v->regs.eflags = eflags | (v->regs.eflags & FL_RF);
	return r;
}
