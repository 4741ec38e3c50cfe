/* SPDX-License-Identifier: MIT */
/*
 * Real segment registers.  The guest's selectors mean something only in the guest's own tables;
 * the CPU needs selectors that load at ring 3 in the host.  Every segment, flat ones too, gets a
 * descriptor in the world's LDT, from the top of the table: so no selector that a guest might
 * load by itself (its own small ones fault, the host's GDT ones do not) equals one of ours, and a
 * native load is always recognized on the next exit.
 */
#include <asm/ldt.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "vmm/emu/handlers.h"
#include "vmm/world/world.h"

#define KEY_USED (1ull << 63)

/* The descriptor of @g at DPL 3, as modify_ldt wants it. */
static struct user_desc seg_user_desc(const struct segment *g)
{
	struct user_desc d = { .base_addr = g->base, .seg_32bit = g->db, .useable = 1 };
	bool code = g->type & 8;

	/* More than 20 bits of limit need page granularity; then the low 12 bits are ones. */
	if (g->limit > 0xfffff) {
		d.limit = g->limit >> 12;
		d.limit_in_pages = 1;
	} else {
		d.limit = g->limit;
	}
	/* Conforming or not is about the guest's rings, which the CPU does not see. */
	d.contents = code ? MODIFY_LDT_CONTENTS_CODE
			  : (g->type & 4 ? MODIFY_LDT_CONTENTS_STACK : MODIFY_LDT_CONTENTS_DATA);
	d.read_exec_only = !(g->type & 2);
	return d;
}

static uint64_t desc_key(const struct user_desc *d)
{
	return KEY_USED | (uint64_t)d->base_addr | (uint64_t)d->limit << 32 |
	       (uint64_t)d->limit_in_pages << 52 | (uint64_t)d->seg_32bit << 53 |
	       (uint64_t)d->contents << 54 | (uint64_t)d->read_exec_only << 56;
}

static uint16_t slot_selector(unsigned slot)
{
	return (uint16_t)((LDT_FIRST + LDT_SLOTS - 1 - slot) << 3 | 7);
}

static bool slot_in_use(const uint16_t real[SEG_COUNT], unsigned slot)
{
	for (int i = 0; i < SEG_COUNT; i++)
		if (real[i] == slot_selector(slot))
			return true;
	return false;
}

/* The selector of an LDT slot with @g's descriptor; fills a slot if there is none. */
static int seg_slot(struct world *w, const struct segment *g, const uint16_t real[SEG_COUNT],
		    uint16_t *sel)
{
	struct user_desc d = seg_user_desc(g);
	uint64_t key = desc_key(&d);
	unsigned slot;

	for (slot = 0; slot < w->ldt_used; slot++)
		if (w->ldt_key[slot] == key) {
			*sel = slot_selector(slot);
			return 0;
		}
	if (w->ldt_used < LDT_SLOTS) {
		slot = w->ldt_used++;
	} else {
		do {
			slot = w->ldt_next++ % LDT_SLOTS;
		} while (slot_in_use(real, slot));
	}
	/* Before @desc is filled: a flush would end the batch that it belongs to. */
	if (w->descs == WORLD_DESCS || w->queued == WORLD_BATCH) {
		int err = world_flush(w);

		if (err)
			return err;
	}
	d.entry_number = LDT_FIRST + LDT_SLOTS - 1 - slot;
	_Static_assert(sizeof(d) == sizeof(w->ctl->desc[0]), "user_desc");
	memcpy(&w->ctl->desc[w->descs], &d, sizeof(d));
	struct world_request rq = {
		.nr = SYS_modify_ldt,
		.arg = { 0x11,
			 WORLD_SHARE_ADDR + offsetof(struct world_ctl, desc) +
				 w->descs * sizeof(w->ctl->desc[0]),
			 sizeof(d) },
	};
	w->descs++;
	w->ldt_key[slot] = key;
	*sel = slot_selector(slot);
	return world_queue(w, &rq);
}

int world_install_segments(struct world *w, uint16_t real[SEG_COUNT])
{
	const struct segment *seg = w->vcpu->regs.seg;

	/* Nearly always nothing has changed since the last run. */
	if (!memcmp(seg, w->installed, sizeof(w->installed))) {
		memcpy(real, w->real, sizeof(w->real));
		return 0;
	}
	/* Start from what was installed, so that no slot in use is taken for another descriptor. */
	memcpy(real, w->real, sizeof(w->real));
	for (int i = 0; i < SEG_COUNT; i++) {
		if (seg[i].unusable && i != SEG_CS && i != SEG_SS) {
			real[i] = 0;
			continue;
		}
		int err = seg_slot(w, &seg[i], real, &real[i]);

		if (err)
			return err;
	}
	memcpy(w->installed, seg, sizeof(w->installed));
	return 0;
}

/* CS was changed natively: a far transfer or iret to a host code selector. */
static int reconcile_cs(struct vcpu *v, uint16_t now)
{
	/* The CPU forced RPL to 3; the guest meant its own privilege level. */
	uint16_t sel = (uint16_t)((now & ~3u) | v->sh.cpl);
	uint32_t error = now & ~3u;
	struct segment s;
	uint64_t desc;
	int res = desc_read(v, sel, &desc);

	if (res)
		return res;
	desc_unpack(desc, sel, &s);
	if (!s.s || !(s.type & 8) || ((s.type & 4) ? s.dpl > v->sh.cpl : s.dpl != v->sh.cpl))
		return vcpu_gp(v, error);
	if (!s.present)
		return vcpu_fault(v, VEC_NP, true, error);
	return cs_load(v, &s, v->sh.cpl, v->regs.eip);
}

int world_reconcile(struct world *w, const uint16_t now[SEG_COUNT], bool *repaired)
{
	struct vcpu *v = w->vcpu;

	*repaired = false;
	for (int i = 0; i < SEG_COUNT; i++) {
		int res;

		if (now[i] == w->real[i])
			continue;
		res = i == SEG_CS ? reconcile_cs(v, now[i]) : seg_load(v, (enum seg)i, now[i]);
		if (res)
			return res;
		*repaired = true;
	}
	return EMU_OK;
}
