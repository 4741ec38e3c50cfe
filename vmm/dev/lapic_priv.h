/* SPDX-License-Identifier: MIT */
/* What lapic.c (registers, priorities, delivery) and lapic_timer.c share; nobody else includes it.
 */
#ifndef RINGSIDE_VMM_DEV_LAPIC_PRIV_H
#define RINGSIDE_VMM_DEV_LAPIC_PRIV_H

#include "vmm/dev/devices.h"

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

/* Version 0x14 and a maximum LVT index of 5: six entries, no CMCI, no EOI-broadcast suppression. */
#define APIC_VERSION_VALUE 0x00050014u

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

#define SVR_ENABLE 0x100u

#define ESR_SEND_VECTOR  0x20u
#define ESR_RECV_VECTOR  0x40u
#define ESR_ILLEGAL_ADDR 0x80u

struct lapic {
	struct lapic_host host;
	struct timers *timers;
	uint8_t reset_id;
	bool hw_enabled; /* IA32_APIC_BASE bit 11 */
	uint32_t id, tpr, ldr, dfr, svr;
	uint32_t icr_lo, icr_hi;
	uint32_t isr[8], tmr[8], irr[8]; /* bit v % 32 of word v / 32 */
	uint32_t lvt[LVT_COUNT];
	bool lint[2];         /* pin levels */
	uint32_t esr;         /* as latched by the last write, what a read gives */
	uint32_t esr_pending; /* errors since */
	bool esr_armed;       /* the next error raises the LVT error interrupt */

	/* Timer; see lapic_timer.c. */
	struct vtimer timer;
	uint32_t initial, divide;
	bool counting;         /* one-shot or periodic count in progress */
	uint64_t zero_ns;      /* when it next reaches zero (with an interrupt) */
	uint64_t tsc_deadline; /* 0: disarmed */
};

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
