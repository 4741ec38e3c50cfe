/* SPDX-License-Identifier: MIT */
/* Part B: recursion instead of a list of work, and insn_quick() wherever it will do. */
#include "decoder/descend.h"
#include "decoder/insn.h"
#include "decoder/sensitive.h"
#include "vmm/emu/handlers.h"

void scan_look(const struct scan_input *in, unsigned off, struct scan_look *out)
{
	const uint8_t *p = in->bytes + off;
	struct insn insn;
	struct quick q;
	bool quick = !insn_quick(p, in->avail - off, in->bits, &q);
	bool full = (!quick || q.candidate || q.traps) &&
		    !insn_decode(p, in->avail - off, in->bits, &insn);

	*out = (struct scan_look){ .patch = true };
	if (!quick && !full)
		return;
	out->len = quick ? q.len : insn.len;
	out->flow = quick ? q.flow : (uint8_t)FLOW_NEXT;
	if (quick) {
		uint32_t eip = in->linear + off + q.len + (uint32_t)q.rel - in->cs_base;

		out->target = in->cs_base + (q.opsize == 2 ? (uint16_t)eip : eip);
	}
	if (quick && q.decided <= SCAN_PAGE - off && !q.candidate)
		out->patch = false;
	else if (full && (quick ? q.decided : insn.len) <= SCAN_PAGE - off)
		out->patch = insn.sens && (insn.op == OP_PAUSE   ? in->patch_pause
					   : insn.op == OP_RDTSC ? in->patch_tsc
								 : insn.sens->patch);
	out->privileged = full && !out->patch && insn.sens && !insn.sens->patch &&
			  insn.sens->ring3 != RING3_SILENT && insn.sens->ring3 != RING3_HOST &&
			  insn.sens->ring3 != RING3_SELECTOR && insn.sens->ring3 != RING3_SYSCALL;
}

void scan_mark(struct scan_result *out, unsigned off, unsigned len, bool patch)
{
	unsigned end = off + len;

	if (patch)
		scan_set(out->patch, off);
	while (off < end && off < SCAN_PAGE)
		scan_set(out->body, off++);
	if (end - off > out->tail)
		out->tail = (uint16_t)(end - off);
}

static void descend(const struct scan_input *in, struct scan_result *out, uint32_t linear)
{
	for (;;) {
		uint32_t off = linear - in->linear;
		struct scan_look look;

		if (off >= SCAN_PAGE) {
			if (in->external)
				in->external(in->arg, linear);
			return;
		}
		if (scan_test(out->start, off))
			return;
		scan_set(out->start, off);
		scan_look(in, off, &look);
		scan_mark(out, off, look.len ? look.len : 1, look.patch);
		if (look.privileged)
			scan_set(out->privileged, off);
		if (!look.len)
			return;
		linear += look.len;
		if (look.flow == FLOW_JUMP)
			linear = look.target;
		else if (look.flow == FLOW_COND || look.flow == FLOW_CALL)
			descend(in, out, look.target);
		else if (look.flow != FLOW_NEXT && look.flow != FLOW_ICALL)
			return;
	}
}

void scan_descend(const struct scan_input *in, struct scan_result *out)
{
	bool again = true;

	for (unsigned off = 0; off < SCAN_PAGE; off++)
		if (scan_test(in->entries, off))
			descend(in, out, in->linear + off);
	while (again) {
		again = false;
		for (unsigned off = 0; off < SCAN_PAGE; off++) {
			struct scan_look look;

			if (!scan_test(out->start, off) || scan_test(out->patch, off))
				continue;
			scan_look(in, off, &look);
			for (unsigned i = off + 1; i < off + look.len && i < SCAN_PAGE; i++)
				if (scan_test(out->patch, i)) {
					scan_set(out->patch, off);
					again = true;
				}
		}
	}
}

int emu_store_table(struct vcpu *v, const struct insn *in)
{
	const struct desc_table t = in->op == OP_SGDT ? v->sh.gdtr : v->sh.idtr;
	const uint64_t image = t.limit | (uint64_t)t.base << 16;

	if (in->opnd[0].kind != OPND_MEM)
		return vcpu_ud(v);
	return seg_write(v, in->opnd[0].mem.seg, op_offset(v, in, &in->opnd[0]), &image, 6);
}

static int store16(struct vcpu *v, const struct insn *in, uint32_t val)
{
	const struct operand *o = &in->opnd[0];
	uint16_t word = (uint16_t)val;

	if (o->kind == OPND_MEM)
		return seg_write(v, o->mem.seg, op_offset(v, in, o), &word, 2);
	gpr_write(v, o->reg, in->opsize, val);
	return EMU_OK;
}

int emu_store_selector(struct vcpu *v, const struct insn *in)
{
	if (!vcpu_protected(v))
		return vcpu_ud(v);
	return store16(v, in, in->op == OP_STR ? v->sh.tr.sel : v->sh.ldtr.sel);
}

int emu_store_msw(struct vcpu *v, const struct insn *in)
{
	return store16(v, in, v->sh.cr0);
}

int emu_store_seg(struct vcpu *v, const struct insn *in)
{
	return in->opnd[1].reg < SEG_COUNT ? store16(v, in, v->regs.seg[in->opnd[1].reg].sel)
					   : vcpu_ud(v);
}
