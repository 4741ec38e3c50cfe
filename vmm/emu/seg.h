/* SPDX-License-Identifier: MIT */
/*
 * Descriptors, stacks and event delivery: what the segmentation and control-transfer handlers
 * share.  Private to vmm/emu/.
 */
#ifndef RINGSIDE_VMM_EMU_SEG_H
#define RINGSIDE_VMM_EMU_SEG_H

#include "vmm/emu/handlers.h"

/* System-descriptor types; SDM Vol. 3A, "System Descriptor Types" (3.5). */
enum desc_type {
	DESC_TSS16 = 1,
	DESC_LDT = 2,
	DESC_TSS16_BUSY = 3,
	DESC_CALL16 = 4,
	DESC_TASK_GATE = 5,
	DESC_INT16 = 6,
	DESC_TRAP16 = 7,
	DESC_TSS32 = 9,
	DESC_TSS32_BUSY = 11,
	DESC_CALL32 = 12,
	DESC_INT32 = 14,
	DESC_TRAP32 = 15,
};

/* Bits of the type field of code and data; SDM Vol. 3A, "Code- and Data-Segment Types" (3.4.5.1).
 */
#define TYPE_ACCESSED   0x1
#define TYPE_WRITABLE   0x2 /* data; for code: readable */
#define TYPE_CONFORMING 0x4 /* code; for data: expand-down */
#define TYPE_CODE       0x8

static inline bool seg_is_code(const struct segment *s)
{
	return s->s && (s->type & TYPE_CODE);
}
static inline bool seg_is_conforming(const struct segment *s)
{
	return seg_is_code(s) && (s->type & TYPE_CONFORMING);
}
static inline bool seg_is_writable(const struct segment *s)
{
	return s->s && !(s->type & TYPE_CODE) && (s->type & TYPE_WRITABLE);
}
static inline bool seg_is_readable(const struct segment *s)
{
	return s->s && (!(s->type & TYPE_CODE) || (s->type & TYPE_WRITABLE));
}

static inline bool sel_is_null(uint16_t sel)
{
	return !(sel & 0xfffc);
}
static inline unsigned sel_rpl(uint16_t sel)
{
	return sel & 3;
}
/* The selector's error code, without EXT; SDM Vol. 3A, "Error Code" (6.13). */
static inline uint32_t sel_error(uint16_t sel)
{
	return sel & 0xfffc;
}

/* A gate descriptor; SDM Vol. 3A, "Call Gates" (5.8.3), "IDT Descriptors" (6.11). */
struct gate {
	uint16_t sel;
	uint32_t off; /* 16-bit gates: zero-extended */
	uint8_t type; /* enum desc_type */
	uint8_t dpl;
	uint8_t count; /* parameters to copy, in units of the gate's width */
	uint8_t width; /* 2 or 4 bytes */
	bool present;
	bool s; /* not a gate at all, but code or data */
};

void gate_unpack(uint64_t desc, struct gate *g);

#define DESC_OUTSIDE 0x100 /* of desc_lookup() only: beyond the table, or no LDT */

/*
 * Read the raw descriptor of @sel, once.  Returns EMU_OK, DESC_OUTSIDE (nothing recorded: the
 * error's vector is the caller's to choose), or EMU_FAULT with a #PF.
 */
int desc_lookup(struct vcpu *v, uint16_t sel, uint64_t *desc);

/* The same, unpacked; outside the table raises @vector (with the selector). */
int seg_lookup(struct vcpu *v, uint16_t sel, unsigned vector, struct segment *s);

/* Set the accessed bit of code or data segment *@s in guest memory and in *@s, if it is clear. */
int seg_mark_accessed(struct vcpu *v, struct segment *s);

/*
 * Look @sel up as the stack segment of privilege level @cpl: null, RPL, DPL, type raise @vector
 * (#GP or #TS), not present #SS.  Out: *@ss.  Nothing is loaded.
 * Source: SDM Vol. 2, MOV, IRET, "INT n".
 */
int ss_check(struct vcpu *v, uint16_t sel, unsigned cpl, unsigned vector, struct segment *ss);

/*
 * Look @sel up as the target of a return (RET far, IRET) to CS @sel from the vCPL: #GP, #NP.
 * Out: *@cs.  Source: SDM Vol. 2, RET, IRET.
 */
int cs_check_return(struct vcpu *v, uint16_t sel, struct segment *cs);

/*
 * Look @sel up as the code segment that a gate leads to, from the vCPL: null #GP(0), not code or
 * DPL > CPL #GP(sel), not present #NP(sel).  @inner: it may be more privileged (not for JMP).
 * Out: *@cs.  Source: SDM Vol. 2, "INT n", CALL, JMP.
 */
int cs_check_gate(struct vcpu *v, uint16_t sel, bool inner, struct segment *cs);

/* Real mode: what loading @sel makes of the register (base only; limit and kind stay). */
void seg_load_real(struct vcpu *v, enum seg seg, uint16_t sel);

/*
 * After a return to the less privileged @cpl: data segment registers it may not hold become null.
 * Source: SDM Vol. 2, IRET, "RETURN-TO-OUTER-PRIVILEGE-LEVEL".
 */
void seg_drop_privileged(struct vcpu *v, unsigned cpl);

/* Are bytes [off, off + len) inside the limit of *@s (expand-down too)?  @len > 0. */
bool seg_contains(const struct segment *s, uint32_t off, uint32_t len);

/* ---- stack.c ---- */
/* Stack pointer @esp moved by @delta, in a stack segment of this size: 16 bits keep the rest. */
uint32_t stack_move(const struct segment *ss, uint32_t esp, int32_t delta);

/* Read the item of @width bytes that lies @disp bytes above the stack pointer; #SS(0), #PF. */
int stack_peek(struct vcpu *v, uint32_t disp, unsigned width, uint32_t *val);

/*
 * Push @n items of @width bytes, val[0] first, below *@esp in the stack segment *@ss with the
 * rights of @cpl; none is written if one cannot be.  *@ss need not be loaded.  Out: *@esp.
 * EMU_FAULT: #SS(@error) outside the limit, #PF.
 */
int stack_push_frame(struct vcpu *v, const struct segment *ss, uint32_t *esp, unsigned cpl,
		     unsigned width, const uint32_t *val, unsigned n, uint32_t error);

/* ---- inject.c ---- */
/*
 * Deliver @ev, without escalation: EMU_OK, EMU_FAULT with the nested fault in v->fault and
 * nothing changed, or negative errno if the VM was killed.
 */
int inject_once(struct vcpu *v, const struct event *ev);

#endif
