/* SPDX-License-Identifier: MIT */
/*
 * Descriptor-table registers, and the instructions by which a program asks about descriptors.
 * What stores them is in store.c.
 * Source: Intel SDM Vol. 2, LGDT/LIDT, LLDT, LTR, LAR, LSL, VERR/VERW, ARPL.
 */
#include "vmm/emu/seg.h"

static int load_table(struct vcpu *v, const struct insn *in, struct desc_table *t)
{
	const struct operand *src = &in->opnd[0];
	uint8_t buf[6];
	uint32_t base;
	int ret = need_cpl0(v);

	if (ret)
		return ret;
	if (src->kind != OPND_MEM)
		return vcpu_ud(v);
	ret = seg_read(v, (enum seg)src->mem.seg, op_offset(v, in, src), buf, sizeof(buf));
	if (ret)
		return ret;
	base = (uint32_t)buf[2] | (uint32_t)buf[3] << 8 | (uint32_t)buf[4] << 16;
	if (in->opsize == 4) /* a 16-bit operand has a 24-bit base, as on the 286 */
		base |= (uint32_t)buf[5] << 24;
	*t = (struct desc_table){ .base = base, .limit = (uint16_t)(buf[0] | buf[1] << 8) };
	return EMU_OK;
}

/* The 16-bit source operand of LLDT, LTR, VERR ...: a register's low half or a word of memory. */
static int read_selector(struct vcpu *v, const struct insn *in, unsigned n, uint16_t *sel)
{
	struct operand src = in->opnd[n];
	uint32_t val;
	int ret;

	src.width = 2;
	ret = op_read(v, in, &src, &val);
	if (!ret)
		*sel = (uint16_t)val;
	return ret;
}

/* What LLDT and LTR have in common: the descriptor of a GDT selector, or a fault. */
static int read_system(struct vcpu *v, uint16_t sel, struct segment *s)
{
	if (sel & 4)
		return vcpu_gp(v, sel_error(sel));
	return seg_lookup(v, sel, VEC_GP, s);
}

static int lldt(struct vcpu *v, const struct insn *in)
{
	struct segment s;
	uint16_t sel;
	int ret = vcpu_protected(v) ? need_cpl0(v) : vcpu_ud(v);

	if (!ret)
		ret = read_selector(v, in, 0, &sel);
	if (ret)
		return ret;
	if (sel_is_null(sel)) { /* allowed: any later use of an LDT selector faults */
		v->sh.ldtr = (struct segment){ .sel = sel, .unusable = true };
		return EMU_OK;
	}
	ret = read_system(v, sel, &s);
	if (ret)
		return ret;
	if (s.s || s.type != DESC_LDT)
		return vcpu_gp(v, sel_error(sel));
	if (!s.present)
		return vcpu_fault(v, VEC_NP, true, sel_error(sel));
	v->sh.ldtr = s;
	return EMU_OK;
}

static int ltr(struct vcpu *v, const struct insn *in)
{
	struct segment s;
	uint16_t sel;
	int ret = vcpu_protected(v) ? need_cpl0(v) : vcpu_ud(v);

	if (!ret)
		ret = read_selector(v, in, 0, &sel);
	if (ret)
		return ret;
	if (sel_is_null(sel))
		return vcpu_gp(v, 0);
	ret = read_system(v, sel, &s);
	if (ret)
		return ret;
	if (s.s || (s.type != DESC_TSS16 && s.type != DESC_TSS32))
		return vcpu_gp(v, sel_error(sel)); /* not a TSS, or busy */
	if (!s.present)
		return vcpu_fault(v, VEC_NP, true, sel_error(sel));
	s.type |= 2; /* busy: DESC_TSS16_BUSY, DESC_TSS32_BUSY */
	ret = desc_set_type(v, sel, s.type);
	if (ret)
		return ret;
	v->sh.tr = s;
	return EMU_OK;
}

int emu_dtable(struct vcpu *v, const struct insn *in)
{
	switch (in->op) {
	case OP_LGDT: return load_table(v, in, &v->sh.gdtr);
	case OP_LIDT: return load_table(v, in, &v->sh.idtr);
	case OP_SGDT:
	case OP_SIDT: return emu_store_table(v, in);
	case OP_LLDT: return lldt(v, in);
	case OP_LTR: return ltr(v, in);
	case OP_SLDT:
	case OP_STR: return emu_store_selector(v, in);
	default: return EMU_UNHANDLED;
	}
}

/* System types that LAR answers for; SDM Vol. 2, LAR, "Segment and Gate Types". */
static const uint16_t lar_types = 1 << DESC_TSS16 | 1 << DESC_LDT | 1 << DESC_TSS16_BUSY |
				  1 << DESC_CALL16 | 1 << DESC_TASK_GATE | 1 << DESC_TSS32 |
				  1 << DESC_TSS32_BUSY | 1 << DESC_CALL32;
/* The same for LSL: those that have a limit. */
static const uint16_t lsl_types = 1 << DESC_TSS16 | 1 << DESC_LDT | 1 << DESC_TSS16_BUSY |
				  1 << DESC_TSS32 | 1 << DESC_TSS32_BUSY;

/* May the vCPL see code, data or a system descriptor of one of @types?  Presence is no matter. */
static bool probe_visible(const struct vcpu *v, const struct segment *s, unsigned types)
{
	if (!s->s && !(types >> s->type & 1))
		return false;
	return seg_is_conforming(s) || (v->sh.cpl <= s->dpl && sel_rpl(s->sel) <= s->dpl);
}

/* The answer for selector @sel: *@ok, and *@val for LAR and LSL.  EMU_FAULT only for #PF. */
static int probe(struct vcpu *v, unsigned op, uint16_t sel, bool *ok, uint32_t *val)
{
	struct segment s;
	uint64_t desc;
	int ret;

	*ok = false;
	if (sel_is_null(sel))
		return EMU_OK;
	ret = desc_lookup(v, sel, &desc);
	if (ret)
		return ret == DESC_OUTSIDE ? EMU_OK : ret;
	desc_unpack(desc, sel, &s);
	switch (op) {
	case OP_LAR:
		*ok = probe_visible(v, &s, lar_types);
		*val = (uint32_t)(desc >> 32) & 0x00ffff00;
		break;
	case OP_LSL:
		*ok = probe_visible(v, &s, lsl_types);
		*val = s.limit;
		break;
	case OP_VERR: *ok = seg_is_readable(&s) && probe_visible(v, &s, 0); break;
	case OP_VERW: *ok = seg_is_writable(&s) && probe_visible(v, &s, 0); break;
	}
	return EMU_OK;
}

static void set_zf(struct vcpu *v, bool zf)
{
	v->regs.eflags = (v->regs.eflags & ~FL_ZF) | (zf ? FL_ZF : 0);
}

static int arpl(struct vcpu *v, const struct insn *in)
{
	struct operand dst = in->opnd[0];
	uint16_t sel, rpl;
	int ret = read_selector(v, in, 0, &sel);

	if (!ret)
		ret = read_selector(v, in, 1, &rpl);
	if (ret)
		return ret;
	rpl &= 3;
	if (sel_rpl(sel) >= rpl) {
		set_zf(v, false);
		return EMU_OK;
	}
	dst.width = 2;
	ret = op_write(v, in, &dst, (sel & ~3u) | rpl);
	if (!ret)
		set_zf(v, true);
	return ret;
}

int emu_probe(struct vcpu *v, const struct insn *in)
{
	bool has_dst = in->op == OP_LAR || in->op == OP_LSL, ok;
	uint32_t val = 0;
	uint16_t sel;
	int ret;

	if (!vcpu_protected(v)) /* "not recognized in real-address mode" */
		return vcpu_ud(v);
	if (in->op == OP_ARPL)
		return arpl(v, in);
	ret = read_selector(v, in, has_dst ? 1 : 0, &sel);
	if (!ret)
		ret = probe(v, in->op, sel, &ok, &val);
	if (ret)
		return ret;
	set_zf(v, ok);
	if (ok && has_dst)
		gpr_write(v, in->opnd[0].reg, in->opsize, val);
	return EMU_OK;
}
