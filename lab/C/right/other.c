/* SPDX-License-Identifier: MIT */
/* Part C: a solution that goes other ways: vectors one by one, the count from its start. */
#include "vmm/deliver.h"
#include "vmm/dev/lapic_count.h"
#include "vmm/dev/lapic_irqs.h"
#include "vmm/emu/frame.h"

static int top(const uint32_t *set)
{
	int vector = 255;

	while (vector >= 0 && !lapic_bit_test(set, (uint8_t)vector))
		vector--;
	return vector;
}

uint32_t irqs_ppr(const struct lapic_irqs *q)
{
	uint32_t task = q->tpr & 0xf0, service = 0;

	if (top(q->isr) >= 0)
		service = (uint32_t)top(q->isr) & 0xf0;
	/* Of equal classes, the subclass 0. */
	return task > service ? q->tpr & 0xff : service;
}

void irqs_accept(struct lapic_irqs *q, uint8_t vector, bool level)
{
	const uint32_t bit = 1u << vector % 32;

	q->irr[vector / 32] |= bit;
	q->tmr[vector / 32] = (q->tmr[vector / 32] & ~bit) | (level ? bit : 0);
}

int irqs_pending(const struct lapic_irqs *q)
{
	int least = (int)(irqs_ppr(q) & 0xf0) + 16, vector = top(q->irr);

	return vector >= least ? vector : -1;
}

int irqs_ack(struct lapic_irqs *q)
{
	int vector = irqs_pending(q);

	if (vector >= 0) {
		q->isr[vector / 32] |= 1u << vector % 32;
		q->irr[vector / 32] &= ~(1u << vector % 32);
	}
	return vector;
}

int irqs_eoi(struct lapic_irqs *q)
{
	for (int i = 7; i >= 0; i--) {
		for (int bit = 31; bit >= 0; bit--) {
			if (q->isr[i] >> bit & 1) {
				q->isr[i] ^= 1u << bit;
				return 32 * i + bit;
			}
		}
	}
	return -1;
}

uint32_t count_divisor(uint32_t divide)
{
	switch (divide & 0xb) {
	case 0x0: return 2;
	case 0x1: return 4;
	case 0x2: return 8;
	case 0x3: return 16;
	case 0x8: return 32;
	case 0x9: return 64;
	case 0xa: return 128;
	default: return 1;
	}
}

static uint64_t ns(const struct lapic_count *c, uint64_t counts)
{
	return counts * count_divisor(c->divide) * LAPIC_NS_PER_COUNT;
}

void count_start(struct lapic_count *c, uint32_t initial, uint64_t now_ns)
{
	c->initial = initial;
	c->zero_ns = now_ns + ns(c, initial);
	c->counting = initial;
}

uint32_t count_at(const struct lapic_count *c, uint64_t now_ns)
{
	uint64_t left;

	if (!c->counting || now_ns >= c->zero_ns)
		return 0;
	/* Whole counts that are left, behind the one that has begun. */
	left = (c->zero_ns - now_ns - 1) / ns(c, 1);
	return (uint32_t)(left % c->initial + 1);
}

bool count_expire(struct lapic_count *c, bool periodic, uint64_t now_ns)
{
	bool due = c->counting && now_ns >= c->zero_ns;

	if (due && periodic) {
		uint64_t step = count_interval_ns(ns(c, c->initial));

		c->zero_ns = now_ns + step - (now_ns - c->zero_ns) % step;
	} else if (due) {
		c->counting = false;
	}
	return due;
}

void count_set_divide(struct lapic_count *c, uint32_t divide, uint64_t now_ns)
{
	uint32_t left = count_at(c, now_ns);

	c->divide = divide & 0xb;
	c->zero_ns = now_ns + ns(c, left);
}

enum deliver deliver_next(const struct deliver_state *s)
{
	enum deliver what = DELIVER_NONE;

	if (s->irq && (s->eflags & FL_IF))
		what = DELIVER_IRQ;
	if (s->nmi && !s->nmi_blocked)
		what = DELIVER_NMI;
	if (what != DELIVER_NONE && (s->sti_shadow || s->movss_shadow))
		what = DELIVER_STEP;
	return what;
}

uint32_t frame_flags(const struct vcpu *v, const struct event *ev)
{
	uint32_t flags = v->regs.eflags & ~FL_RF;

	if (event_is_fault(ev) || (!ev->soft && (v->regs.eflags & FL_RF)))
		flags |= FL_RF;
	return flags;
}

int frame_enter(struct vcpu *v, const struct event *ev, const struct entry *to)
{
	const uint32_t item[6] = { v->regs.seg[SEG_SS].sel, v->regs.gpr[ESP], frame_flags(v, ev),
				   v->regs.seg[SEG_CS].sel, v->regs.eip,      ev->error };
	unsigned first = to->inner ? 0 : 2, n = (ev->has_error ? 6 : 5) - first;
	uint32_t clear = FL_TF | FL_NT | FL_RF | FL_VM | (to->interrupt_gate ? FL_IF : 0);
	uint32_t esp = to->esp;
	int ret = stack_push_frame(v, &to->ss, &esp, to->cpl, to->width, item + first, n,
				   to->ss_error);

	if (!ret)
		ret = cs_load(v, &to->cs, to->cpl, to->eip);
	if (!ret) {
		v->regs.seg[SEG_SS] = to->ss;
		v->regs.gpr[ESP] = esp;
		v->regs.eflags &= ~clear;
	}
	return ret;
}

/* The flags that IRET loads: by width, and by level and IOPL. */
static uint32_t loads(const struct vcpu *v, unsigned width)
{
	uint32_t system = 0;

	if (v->sh.cpl == 0)
		system = FL_IF | FL_IOPL | FL_VIF | FL_VIP;
	else if (v->sh.cpl <= vcpu_iopl(v))
		system = FL_IF;
	system |= FL_ARITH | FL_TF | FL_DF | FL_NT | FL_RF | FL_AC | FL_ID;
	return width == 2 ? system & 0xffff : system;
}

int frame_leave(struct vcpu *v, unsigned width)
{
	const uint32_t mask = loads(v, width);
	struct segment *old = &v->regs.seg[SEG_SS], ss = *old, cs;
	uint32_t item[4], ss_sel = 0;
	unsigned n, level;
	int ret = EMU_OK;

	for (n = 0; n < 3 && !ret; n++)
		ret = stack_peek(v, n * width, width, &item[n]);
	if (!ret && width == 4 && v->sh.cpl == 0 && (item[2] & FL_VM))
		ret = iret_v86(v);
	if (!ret)
		ret = cs_check_return(v, (uint16_t)item[1], &cs);
	if (ret)
		return ret;
	level = item[1] & 3;
	item[3] = stack_move(old, v->regs.gpr[ESP], (int32_t)(3 * width));
	if (level != v->sh.cpl) {
		ret = stack_peek(v, 3 * width, width, &item[3]);
		if (!ret)
			ret = stack_peek(v, 4 * width, 2, &ss_sel);
		if (!ret)
			ret = ss_check(v, (uint16_t)ss_sel, level, VEC_GP, &ss);
		if (!ret && !ss.db)
			item[3] = (item[3] & 0xffff) | (v->regs.gpr[ESP] & ~0xffffu);
	}
	if (!ret && item[0] > cs.limit)
		ret = vcpu_gp(v, 0);
	if (!ret)
		ret = seg_mark_accessed(v, &cs);
	if (!ret && level != v->sh.cpl)
		ret = seg_mark_accessed(v, &ss);
	if (ret)
		return ret;
	v->regs.eflags = (v->regs.eflags & ~mask) | (item[2] & mask) | FL_FIXED;
	v->regs.seg[SEG_SS] = ss;
	v->regs.gpr[ESP] = item[3];
	n = v->sh.cpl;
	ret = cs_load(v, &cs, level, item[0]);
	if (!ret && level > n)
		seg_drop_privileged(v, level);
	return ret;
}
