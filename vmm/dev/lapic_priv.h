/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the local APIC share: lapic.c (delivery), lapic_irqs.c (priorities),
 * lapic_regs.c (MMIO), lapic_x2apic.c (MSRs), lapic_ipi.c (ICR, destinations), lapic_posted.c,
 * lapic_timer.c and lapic_count.c.
 * Nobody else includes it.
 */
#ifndef RINGSIDE_VMM_DEV_LAPIC_PRIV_H
#define RINGSIDE_VMM_DEV_LAPIC_PRIV_H

#include <stdatomic.h>

#include "vmm/dev/devices.h"
#include "vmm/dev/lapic_count.h"
#include "vmm/dev/lapic_irqs.h"
#include "vmm/irq_stats.h"

/* Register offsets; SDM Vol. 3A, table "Local APIC Register Address Map" (10-1). */
#define APIC_ID            0x020
#define APIC_VERSION       0x030
#define APIC_TPR           0x080
#define APIC_APR           0x090
#define APIC_PPR           0x0a0
#define APIC_EOI           0x0b0
#define APIC_RRD           0x0c0
#define APIC_LDR           0x0d0
#define APIC_DFR           0x0e0
#define APIC_SVR           0x0f0
#define APIC_ISR           0x100 /* to 0x170 */
#define APIC_TMR           0x180
#define APIC_IRR           0x200
#define APIC_ESR           0x280
#define APIC_ICR_LO        0x300
#define APIC_ICR_HI        0x310
#define APIC_LVT_TIMER     0x320
#define APIC_LVT_ERROR     0x370
#define APIC_TIMER_INITIAL 0x380
#define APIC_TIMER_CURRENT 0x390
#define APIC_TIMER_DIVIDE  0x3e0

#define APIC_SELF_IPI 0x3f0 /* x2APIC only */

/* Version 0x14, a maximum LVT index of 5 (six entries, no CMCI), EOI-broadcast suppression. */
#define APIC_VERSION_VALUE 0x01050014u

enum lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

#define LVT_VECTOR     0x000ffu
#define LVT_MODE       0x00700u
#define LVT_POLARITY   0x02000u
#define LVT_REMOTE_IRR 0x04000u
#define LVT_LEVEL      0x08000u
#define LVT_MASK       0x10000u

#define TIMER_MODE     0x60000u
#define TIMER_ONESHOT  0x00000u
#define TIMER_PERIODIC 0x20000u
#define TIMER_DEADLINE 0x40000u

/* Delivery modes, in bits 10:8 of LVT entries and of the ICR. */
#define DM_FIXED  0x000u
#define DM_LOWEST 0x100u
#define DM_SMI    0x200u
#define DM_NMI    0x400u
#define DM_INIT   0x500u
#define DM_SIPI   0x600u
#define DM_EXTINT 0x700u

#define SVR_ENABLE       0x0100u
#define SVR_FOCUS        0x0200u
#define SVR_DIRECTED_EOI 0x1000u /* no EOI broadcast: the guest tells the IOAPIC itself */
#define SVR_WRITABLE     0x13ffu
#define SVR_RESET        0x00ffu

#define ESR_SEND_VECTOR  0x20u
#define ESR_RECV_VECTOR  0x40u
#define ESR_ILLEGAL_ADDR 0x80u

/*
 * Interrupts posted by anyone without the device lock: the "posted-interrupt descriptor" of SDM
 * Vol. 3C, "Posted-Interrupt Processing" (29.6).  Requests first, then the outstanding bit; taken
 * in the opposite order.
 */
struct posted {
	_Atomic uint64_t pir[4];
	_Atomic bool outstanding;
	_Atomic uint64_t since_ns[256];  /* when the bit was set; 0: it is clear */
	_Atomic uint32_t coalesced[256]; /* posts that found it set */
};

struct lapic {
	struct lapic_host host;
	struct timers *timers;
	uint8_t reset_id;
	bool hw_enabled; /* IA32_APIC_BASE bit 11 */
	bool x2apic;     /* IA32_APIC_BASE bit 10 */
	uint32_t id, ldr, dfr, svr;
	uint32_t icr_lo, icr_hi;
	struct lapic_irqs irqs; /* IRR, ISR, TMR, TPR; see lapic_irqs.h */
	uint32_t lvt[LVT_COUNT];
	bool lint[2];         /* pin levels */
	uint32_t esr;         /* as latched by the last write, what a read gives */
	uint32_t esr_pending; /* errors since */
	bool esr_armed;       /* the next error raises the LVT error interrupt */

	/* Timer; see lapic_timer.c. */
	struct vtimer timer;
	struct lapic_count count; /* one-shot and periodic mode; see lapic_count.h */
	uint64_t tsc_deadline;    /* 0: disarmed */

	struct irq_stats *stats; /* may be NULL */
	struct posted posted;    /* see lapic_posted.c */
};

static inline bool lapic_sw_enabled(const struct lapic *l)
{
	return l->svr & SVR_ENABLE;
}

/* After anything that may have made a vector deliverable. */
void lapic_notify(struct lapic *l);
/* 10.5.3 "Error Handling": latch @bit; the interrupt comes once per write to ESR. */
void lapic_error(struct lapic *l, uint32_t bit);

/* Registers; each is what software writes, reserved bits dropped. */
uint32_t lapic_ldr(const struct lapic *l);
void lapic_write_svr(struct lapic *l, uint32_t val);
void lapic_write_lvt(struct lapic *l, enum lvt n, uint32_t val);
void lapic_write_esr(struct lapic *l);
void lapic_write_tpr(struct lapic *l, uint32_t val);
/* What software may write into each LVT entry. */
extern const uint32_t lapic_lvt_writable[LVT_COUNT];
/*
 * The register at @off, a multiple of 16 below 0x400, for which both interfaces give the same
 * value.  Returns false if there is none.
 */
bool lapic_read_reg(struct lapic *l, uint32_t off, uint32_t *val);

/* Write to the ICR with destination @dest (8 bits in xAPIC mode, 32 in x2APIC mode). */
void lapic_write_icr(struct lapic *l, uint32_t val, uint32_t dest);
void lapic_self_ipi(struct lapic *l, uint8_t vector);

/* An event of LVT entry @n happens: deliver it unless it is masked. */
void lapic_lvt_event(struct lapic *l, enum lvt n);

/* Register and MSR accesses of the timer. */
void lapic_timer_init(struct lapic *l);
void lapic_timer_reset(struct lapic *l);
void lapic_timer_write_initial(struct lapic *l, uint32_t val);
void lapic_timer_write_divide(struct lapic *l, uint32_t val);
uint32_t lapic_timer_current(struct lapic *l);
/* Expire what is due, before the LVT entry changes to @lvt; then go on under the new entry. */
void lapic_timer_write_lvt(struct lapic *l, uint32_t lvt);

#endif
