/* SPDX-License-Identifier: MIT */
/* Part B: a solution, by insn_decode() alone.  right/product.c is the product's own. */
#include "decoder/descend.h"
#include "decoder/insn.h"
#include "decoder/sensitive.h"
#include "vmm/emu/handlers.h"

static bool must_trap(const struct scan_input *in, unsigned off, const struct insn *insn)
{
	if (off + insn->len > SCAN_PAGE)
		return true;
	if (!insn->sens)
		return false;
	if (insn->op == OP_PAUSE)
		return in->patch_pause;
	if (insn->op == OP_RDTSC)
		return in->patch_tsc;
	return insn->sens->patch;
}

static unsigned flow(const struct insn *insn)
{
	bool direct = insn->nopnd && insn->opnd[insn->nopnd - 1].kind == OPND_REL;

	switch (insn->op) {
	case OP_JCC:
	case OP_LOOP:
	case OP_LOOPE:
	case OP_LOOPNE:
	case OP_JCXZ: return FLOW_COND;
	case OP_CALL: return direct ? FLOW_CALL : FLOW_ICALL;
	case OP_JMP: return direct ? FLOW_JUMP : FLOW_INDIRECT;
	case OP_RET: return FLOW_RET;
	case OP_JMP_FAR:
	case OP_RET_FAR:
	case OP_IRET:
	case OP_SYSRET:
	case OP_SYSEXIT:
	case OP_RSM:
	case OP_UD: return FLOW_STOP;
	default: return direct ? FLOW_COND : FLOW_NEXT;
	}
}

void scan_look(const struct scan_input *in, unsigned off, struct scan_look *out)
{
	struct insn insn;
	uint32_t eip;

	*out = (struct scan_look){ .patch = true };
	if (insn_decode(in->bytes + off, in->avail - off, in->bits, &insn))
		return;
	out->len = insn.len;
	out->patch = must_trap(in, off, &insn);
	out->flow = (uint8_t)flow(&insn);
	if (insn.sens && !out->patch && !insn.sens->patch)
		out->privileged = insn.sens->ring3 == RING3_GP || insn.sens->ring3 == RING3_UD ||
				  insn.sens->ring3 == RING3_TRAP;
	if (out->flow == FLOW_COND || out->flow == FLOW_JUMP || out->flow == FLOW_CALL) {
		eip = in->linear + off + insn.len - in->cs_base + insn.opnd[insn.nopnd - 1].imm;
		if (insn.opsize == 2)
			eip &= 0xffff;
		out->target = in->cs_base + eip;
	}
}

void scan_mark(struct scan_result *out, unsigned off, unsigned len, bool patch)
{
	for (unsigned i = off; i < off + len && i < SCAN_PAGE; i++)
		scan_set(out->body, i);
	if (off + len > SCAN_PAGE + out->tail)
		out->tail = (uint16_t)(off + len - SCAN_PAGE);
	if (patch)
		scan_set(out->patch, off);
}

struct work {
	uint16_t off[SCAN_PAGE];
	unsigned count;
	scan_bitmap ever;
	uint8_t len[SCAN_PAGE];
};

/* Control can go to @linear. */
static void reach(struct work *w, const struct scan_input *in, uint32_t linear)
{
	uint32_t off = linear - in->linear;

	if (off >= SCAN_PAGE) {
		if (in->external)
			in->external(in->arg, linear);
	} else if (!scan_test(w->ever, off)) {
		scan_set(w->ever, off);
		w->off[w->count++] = (uint16_t)off;
	}
}

static void visit(struct work *w, const struct scan_input *in, struct scan_result *out,
		  unsigned off)
{
	struct scan_look look;

	scan_look(in, off, &look);
	w->len[off] = look.len ? look.len : 1;
	scan_set(out->start, off);
	scan_mark(out, off, w->len[off], look.patch);
	if (!look.len)
		return;
	if (look.privileged)
		scan_set(out->privileged, off);
	if (look.flow == FLOW_COND || look.flow == FLOW_JUMP || look.flow == FLOW_CALL)
		reach(w, in, look.target);
	if (look.flow == FLOW_NEXT || look.flow == FLOW_COND || look.flow == FLOW_CALL ||
	    look.flow == FLOW_ICALL)
		reach(w, in, in->linear + off + look.len);
}

void scan_descend(const struct scan_input *in, struct scan_result *out)
{
	struct work w = { .count = 0 };

	for (unsigned off = 0; off < SCAN_PAGE; off++)
		if (scan_test(in->entries, off))
			reach(&w, in, in->linear + off);
	while (w.count)
		visit(&w, in, out, w.off[--w.count]);
	/* Downwards: a patch made here may lie inside an instruction that starts before it. */
	for (unsigned off = SCAN_PAGE; off-- > 0;)
		for (unsigned i = 1; i < w.len[off] && off + i < SCAN_PAGE; i++)
			if (scan_test(out->patch, off + i))
				scan_set(out->patch, off);
}

int emu_store_table(struct vcpu *v, const struct insn *in)
{
	const struct desc_table *t = in->op == OP_SGDT ? &v->sh.gdtr : &v->sh.idtr;
	uint8_t buf[6];

	if (in->opnd[0].kind != OPND_MEM)
		return vcpu_ud(v);
	buf[0] = (uint8_t)t->limit;
	buf[1] = (uint8_t)(t->limit >> 8);
	for (unsigned i = 0; i < 4; i++)
		buf[2 + i] = (uint8_t)(t->base >> 8 * i);
	return seg_write(v, in->opnd[0].mem.seg, op_offset(v, in, &in->opnd[0]), buf, sizeof(buf));
}

static int store(struct vcpu *v, const struct insn *in, uint32_t val)
{
	struct operand dst = in->opnd[0];

	dst.width = dst.kind == OPND_MEM ? 2 : in->opsize;
	return op_write(v, in, &dst, val);
}

int emu_store_selector(struct vcpu *v, const struct insn *in)
{
	if (!vcpu_protected(v))
		return vcpu_ud(v);
	return store(v, in, in->op == OP_SLDT ? v->sh.ldtr.sel : v->sh.tr.sel);
}

int emu_store_msw(struct vcpu *v, const struct insn *in)
{
	return store(v, in, v->sh.cr0);
}

int emu_store_seg(struct vcpu *v, const struct insn *in)
{
	if (in->opnd[1].reg >= SEG_COUNT)
		return vcpu_ud(v);
	return store(v, in, v->regs.seg[in->opnd[1].reg].sel);
}
