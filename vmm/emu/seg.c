/* SPDX-License-Identifier: MIT */
/*
 * Descriptors and segment registers.  A descriptor is read from guest memory once and checked on
 * the copy: another vCPU may be rewriting the table.
 *
 * Accesses to descriptor tables are implicit supervisor accesses whatever the vCPL (SDM Vol. 3A,
 * "Access Rights" 4.6), so they pass access 0 to mem_read() and mem_write().
 */
#include <errno.h>

#include "vmm/emu/seg.h"

void desc_unpack(uint64_t desc, uint16_t sel, struct segment *s)
{
	uint32_t limit = (uint32_t)(desc & 0xffff) | (uint32_t)(desc >> 32 & 0xf0000);

	*s = (struct segment){
		.sel = sel,
		.type = desc >> 40 & 0xf,
		.s = desc >> 44 & 1,
		.dpl = desc >> 45 & 3,
		.present = desc >> 47 & 1,
		.avl = desc >> 52 & 1,
		.db = desc >> 54 & 1,
		.g = desc >> 55 & 1,
		.base = (uint32_t)(desc >> 16 & 0xffffff) | (uint32_t)(desc >> 56) << 24,
		.limit = limit,
	};
	if (s->g)
		s->limit = limit << 12 | 0xfff;
}

void gate_unpack(uint64_t desc, struct gate *g)
{
	*g = (struct gate){
		.sel = (uint16_t)(desc >> 16),
		.off = (uint32_t)(desc & 0xffff) | (uint32_t)(desc >> 48) << 16,
		.type = desc >> 40 & 0xf,
		.s = desc >> 44 & 1,
		.dpl = desc >> 45 & 3,
		.present = desc >> 47 & 1,
		.count = desc >> 32 & 0x1f,
		.width = 4,
	};
	if (!(g->type & 8)) { /* bit 3 of a gate's type: 32-bit */
		g->width = 2;
		g->off &= 0xffff;
	}
}

/* Linear address of the descriptor of @sel; false if its table does not reach that far. */
static bool desc_gva(const struct vcpu *v, uint16_t sel, gva_t *gva)
{
	uint32_t base = v->sh.gdtr.base, limit = v->sh.gdtr.limit;

	if (sel & 4) {
		if (v->sh.ldtr.unusable)
			return false;
		base = v->sh.ldtr.base;
		limit = v->sh.ldtr.limit;
	}
	if ((sel | 7u) > limit)
		return false;
	*gva = base + (sel & ~7u);
	return true;
}

int desc_lookup(struct vcpu *v, uint16_t sel, uint64_t *desc)
{
	gva_t gva;

	if (!desc_gva(v, sel, &gva))
		return DESC_OUTSIDE;
	return mem_read(v, gva, desc, sizeof(*desc), 0);
}

int desc_read(struct vcpu *v, uint16_t sel, uint64_t *desc)
{
	int ret = desc_lookup(v, sel, desc);

	return ret == DESC_OUTSIDE ? vcpu_gp(v, sel_error(sel)) : ret;
}

int seg_lookup(struct vcpu *v, uint16_t sel, unsigned vector, struct segment *s)
{
	uint64_t desc;
	int ret = desc_lookup(v, sel, &desc);

	if (ret == DESC_OUTSIDE)
		return vcpu_fault(v, vector, true, sel_error(sel));
	if (ret)
		return ret;
	desc_unpack(desc, sel, s);
	return EMU_OK;
}

#define SET_TYPE_TRIES 16

/*
 * A locked read-modify-write, as on the CPU: another vCPU may be editing the same descriptor.  One
 * that never stops doing so only gets its last edit overwritten.
 */
int desc_set_type(struct vcpu *v, uint16_t sel, uint8_t type)
{
	uint8_t old, access;
	gva_t gva;
	int ret;

	if (!desc_gva(v, sel, &gva))
		return vcpu_gp(v, sel_error(sel));
	gva += 5;
	for (unsigned i = 0; i < SET_TYPE_TRIES; i++) {
		ret = mem_read(v, gva, &old, 1, 0);
		if (ret)
			return ret;
		if ((old & 0xf) == type)
			return EMU_OK; /* the table may well be read-only */
		access = (uint8_t)((old & 0xf0) | (type & 0xf));
		ret = mem_cas(v, gva, old, access, 1, 0);
		if (ret != -EAGAIN)
			return ret;
	}
	return mem_write(v, gva, &access, 1, 0);
}

int seg_mark_accessed(struct vcpu *v, struct segment *s)
{
	int ret;

	if (s->type & TYPE_ACCESSED)
		return EMU_OK;
	ret = desc_set_type(v, s->sel, s->type | TYPE_ACCESSED);
	if (ret)
		return ret;
	s->type |= TYPE_ACCESSED;
	return EMU_OK;
}

int ss_check(struct vcpu *v, uint16_t sel, unsigned cpl, unsigned vector, struct segment *ss)
{
	int ret;

	if (sel_is_null(sel))
		return vcpu_fault(v, vector, true, 0);
	ret = seg_lookup(v, sel, vector, ss);
	if (ret)
		return ret;
	if (sel_rpl(sel) != cpl || ss->dpl != cpl || !seg_is_writable(ss))
		return vcpu_fault(v, vector, true, sel_error(sel));
	if (!ss->present)
		return vcpu_fault(v, VEC_SS, true, sel_error(sel));
	return EMU_OK;
}

int cs_check_return(struct vcpu *v, uint16_t sel, struct segment *cs)
{
	unsigned rpl = sel_rpl(sel);
	int ret;

	if (sel_is_null(sel))
		return vcpu_gp(v, 0);
	ret = seg_lookup(v, sel, VEC_GP, cs);
	if (ret)
		return ret;
	if (!seg_is_code(cs) || rpl < v->sh.cpl)
		return vcpu_gp(v, sel_error(sel));
	if (seg_is_conforming(cs) ? cs->dpl > rpl : cs->dpl != rpl)
		return vcpu_gp(v, sel_error(sel));
	if (!cs->present)
		return vcpu_fault(v, VEC_NP, true, sel_error(sel));
	return EMU_OK;
}

int cs_check_gate(struct vcpu *v, uint16_t sel, bool inner, struct segment *cs)
{
	int ret;

	if (sel_is_null(sel))
		return vcpu_gp(v, 0);
	ret = seg_lookup(v, sel, VEC_GP, cs);
	if (ret)
		return ret;
	if (!seg_is_code(cs) || cs->dpl > v->sh.cpl)
		return vcpu_gp(v, sel_error(sel));
	if (!inner && !seg_is_conforming(cs) && cs->dpl != v->sh.cpl)
		return vcpu_gp(v, sel_error(sel));
	if (!cs->present)
		return vcpu_fault(v, VEC_NP, true, sel_error(sel));
	return EMU_OK;
}

/*
 * SDM Vol. 3A, "Real-Address Mode" (21.1): the base becomes the selector times 16.  The limit stays
 * what it was, which after a visit to protected mode may be 4 GiB ("unreal mode").
 */
void seg_load_real(struct vcpu *v, enum seg seg, uint16_t sel)
{
	struct segment *s = &v->regs.seg[seg];

	s->sel = sel;
	s->base = (uint32_t)sel << 4;
	s->s = true;
	s->present = true;
	s->unusable = false;
	s->dpl = 0;
	/* What was a read-only segment in protected mode is writable again after a reload. */
	s->type = seg == SEG_CS ? TYPE_CODE | TYPE_WRITABLE | TYPE_ACCESSED
				: TYPE_WRITABLE | TYPE_ACCESSED;
}

/* May the vCPL load *@s, for selector RPL @rpl, into DS ES FS GS?  SDM Vol. 3A, 5.6. */
static bool data_allowed(const struct segment *s, unsigned cpl, unsigned rpl)
{
	if (!seg_is_readable(s))
		return false;
	return seg_is_conforming(s) || (rpl <= s->dpl && cpl <= s->dpl);
}

int seg_load(struct vcpu *v, enum seg seg, uint16_t sel)
{
	struct segment s;
	int ret;

	if (!vcpu_protected(v)) {
		seg_load_real(v, seg, sel);
		return EMU_OK;
	}
	if (seg == SEG_SS) {
		ret = ss_check(v, sel, v->sh.cpl, VEC_GP, &s);
		if (ret)
			return ret;
	} else if (sel_is_null(sel)) {
		v->regs.seg[seg] = (struct segment){ .sel = sel, .unusable = true };
		return EMU_OK;
	} else {
		ret = seg_lookup(v, sel, VEC_GP, &s);
		if (ret)
			return ret;
		if (!data_allowed(&s, v->sh.cpl, sel_rpl(sel)))
			return vcpu_gp(v, sel_error(sel));
		if (!s.present)
			return vcpu_fault(v, VEC_NP, true, sel_error(sel));
	}
	ret = seg_mark_accessed(v, &s);
	if (ret)
		return ret;
	v->regs.seg[seg] = s;
	return EMU_OK;
}

int cs_load(struct vcpu *v, const struct segment *s, unsigned cpl, uint32_t eip)
{
	struct segment *cs = &v->regs.seg[SEG_CS];

	if (eip > s->limit)
		return vcpu_gp(v, 0);
	*cs = *s;
	/* Real-mode selectors are paragraph numbers: their low bits are no RPL. */
	if (vcpu_protected(v))
		cs->sel = (uint16_t)((s->sel & ~3u) | cpl);
	v->sh.cpl = (uint8_t)cpl;
	v->regs.eip = eip;
	return EMU_OK;
}

void seg_drop_privileged(struct vcpu *v, unsigned cpl)
{
	static const enum seg data[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };

	for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
		struct segment *s = &v->regs.seg[data[i]];

		/*
		 * A null selector becomes zero whatever its RPL: what the processors do, and a
		 * known way to notice interrupts (Zhang et al., "SegScope", HPCA 2024).
		 */
		if (s->unusable || (!seg_is_conforming(s) && s->dpl < cpl))
			*s = (struct segment){ .unusable = true };
	}
}

bool seg_contains(const struct segment *s, uint32_t off, uint32_t len)
{
	uint64_t last = (uint64_t)off + len - 1;

	if (s->unusable)
		return false;
	if (s->s && (s->type & (TYPE_CODE | TYPE_CONFORMING)) == TYPE_CONFORMING)
		return off > s->limit && last <= (s->db ? 0xffffffffu : 0xffffu);
	if (s->limit == 0xffffffff) /* an access may wrap: see seg_linear() */
		return true;
	return last <= s->limit;
}
