/* SPDX-License-Identifier: MIT */
/* Part C: a solution, as simple as will do.  right/product.c is the product's own. */
#include "vmm/deliver.h"
#include "vmm/dev/lapic_count.h"
#include "vmm/dev/lapic_irqs.h"
#include "vmm/emu/frame.h"

/* ---- 1. which interrupt is next ---- */

uint32_t irqs_ppr(const struct lapic_irqs *q)
{
	int highest = lapic_bit_highest(q->isr);

	if (highest < 0 || (uint32_t)highest >> 4 <= q->tpr >> 4)
		return q->tpr;
	return (uint32_t)highest & 0xf0;
}

void irqs_accept(struct lapic_irqs *q, uint8_t vector, bool level)
{
	lapic_bit_set(q->irr, vector);
	lapic_bit_clear(q->tmr, vector);
	if (level)
		lapic_bit_set(q->tmr, vector);
}

int irqs_pending(const struct lapic_irqs *q)
{
	int vector = lapic_bit_highest(q->irr);

	if (vector < 0)
		return -1;
	return (uint32_t)vector >> 4 > irqs_ppr(q) >> 4 ? vector : -1;
}

int irqs_ack(struct lapic_irqs *q)
{
	int vector = irqs_pending(q);

	if (vector < 0)
		return -1;
	lapic_bit_clear(q->irr, (uint8_t)vector);
	lapic_bit_set(q->isr, (uint8_t)vector);
	return vector;
}

int irqs_eoi(struct lapic_irqs *q)
{
	int vector = lapic_bit_highest(q->isr);

	if (vector < 0)
		return -1;
	lapic_bit_clear(q->isr, (uint8_t)vector);
	return vector;
}

/* ---- 2. the timer ---- */

uint32_t count_divisor(uint32_t divide)
{
	static const uint32_t divisor[8] = { 2, 4, 8, 16, 32, 64, 128, 1 };

	return divisor[(divide >> 1 & 4) | (divide & 3)];
}

static uint64_t unit(const struct lapic_count *c)
{
	return (uint64_t)count_divisor(c->divide) * LAPIC_NS_PER_COUNT;
}

void count_start(struct lapic_count *c, uint32_t initial, uint64_t now_ns)
{
	c->initial = initial;
	c->counting = initial > 0;
	c->zero_ns = now_ns + initial * unit(c);
}

uint32_t count_at(const struct lapic_count *c, uint64_t now_ns)
{
	uint64_t left, period = c->initial * unit(c);

	if (!c->counting || now_ns >= c->zero_ns)
		return 0;
	left = (c->zero_ns - now_ns) % period;
	if (left == 0)
		left = period;
	return (uint32_t)((left + unit(c) - 1) / unit(c));
}

bool count_expire(struct lapic_count *c, bool periodic, uint64_t now_ns)
{
	uint64_t interval;

	if (!c->counting || now_ns < c->zero_ns)
		return false;
	if (!periodic) {
		c->counting = false;
		return true;
	}
	interval = count_interval_ns(c->initial * unit(c));
	c->zero_ns += ((now_ns - c->zero_ns) / interval + 1) * interval;
	return true;
}

void count_set_divide(struct lapic_count *c, uint32_t divide, uint64_t now_ns)
{
	uint64_t left = count_at(c, now_ns);

	c->divide = divide & 0xb;
	if (c->counting)
		c->zero_ns = now_ns + left * unit(c);
}

/* ---- 3. what may be delivered now ---- */

enum deliver deliver_next(const struct deliver_state *s)
{
	bool nmi = s->nmi && !s->nmi_blocked;
	bool irq = s->irq && (s->eflags & FL_IF);

	if (!nmi && !irq)
		return DELIVER_NONE;
	if (s->sti_shadow || s->movss_shadow)
		return DELIVER_STEP;
	if (nmi)
		return DELIVER_NMI;
	return DELIVER_IRQ;
}

/* ---- 4. the frame ---- */

uint32_t frame_flags(const struct vcpu *v, const struct event *ev)
{
	if (ev->soft)
		return v->regs.eflags & ~FL_RF;
	if (event_is_fault(ev))
		return v->regs.eflags | FL_RF;
	return v->regs.eflags;
}

int frame_enter(struct vcpu *v, const struct event *ev, const struct entry *to)
{
	uint32_t item[6], esp = to->esp;
	unsigned n = 0;
	int ret;

	if (to->inner) {
		item[n++] = v->regs.seg[SEG_SS].sel;
		item[n++] = v->regs.gpr[ESP];
	}
	item[n++] = frame_flags(v, ev);
	item[n++] = v->regs.seg[SEG_CS].sel;
	item[n++] = v->regs.eip;
	if (ev->has_error && event_is_exception(ev))
		item[n++] = ev->error;
	ret = stack_push_frame(v, &to->ss, &esp, to->cpl, to->width, item, n, to->ss_error);
	if (ret)
		return ret;
	ret = cs_load(v, &to->cs, to->cpl, to->eip);
	if (ret)
		return ret;
	v->regs.seg[SEG_SS] = to->ss;
	v->regs.gpr[ESP] = esp;
	v->regs.eflags &= ~(FL_TF | FL_NT | FL_RF | FL_VM);
	if (to->interrupt_gate)
		v->regs.eflags &= ~FL_IF;
	return EMU_OK;
}

static uint32_t loaded_flags(const struct vcpu *v, unsigned width)
{
	uint32_t mask = FL_ARITH | FL_TF | FL_DF | FL_NT;

	if (width == 4)
		mask |= FL_RF | FL_AC | FL_ID;
	if (v->sh.cpl <= vcpu_iopl(v))
		mask |= FL_IF;
	if (v->sh.cpl == 0)
		mask |= FL_IOPL;
	if (v->sh.cpl == 0 && width == 4)
		mask |= FL_VIF | FL_VIP;
	return mask;
}

int frame_leave(struct vcpu *v, unsigned width)
{
	uint32_t eip, sel, flags, esp, ss_sel, mask = loaded_flags(v, width);
	struct segment cs, ss = v->regs.seg[SEG_SS];
	unsigned rpl;
	bool outer;
	int ret;

	ret = stack_peek(v, 0, width, &eip);
	if (!ret)
		ret = stack_peek(v, width, width, &sel);
	if (!ret)
		ret = stack_peek(v, 2 * width, width, &flags);
	if (ret)
		return ret;
	if (width == 4 && v->sh.cpl == 0 && (flags & FL_VM))
		return iret_v86(v);
	ret = cs_check_return(v, (uint16_t)sel, &cs);
	if (ret)
		return ret;
	rpl = sel_rpl((uint16_t)sel);
	outer = rpl > v->sh.cpl;
	esp = stack_move(&ss, v->regs.gpr[ESP], (int32_t)(3 * width));
	if (outer) {
		ret = stack_peek(v, 3 * width, width, &esp);
		if (!ret)
			ret = stack_peek(v, 4 * width, 2, &ss_sel);
		if (!ret)
			ret = ss_check(v, (uint16_t)ss_sel, rpl, VEC_GP, &ss);
		if (ret)
			return ret;
		if (!ss.db)
			esp = (v->regs.gpr[ESP] & 0xffff0000) | (esp & 0xffff);
	}
	if (eip > cs.limit)
		return vcpu_gp(v, 0);
	ret = seg_mark_accessed(v, &cs);
	if (!ret && outer)
		ret = seg_mark_accessed(v, &ss);
	if (!ret)
		ret = cs_load(v, &cs, rpl, eip);
	if (ret)
		return ret;
	v->regs.seg[SEG_SS] = ss;
	v->regs.gpr[ESP] = esp;
	v->regs.eflags = (v->regs.eflags & ~mask) | (flags & mask) | FL_FIXED;
	if (outer)
		seg_drop_privileged(v, rpl);
	return EMU_OK;
}
