/* SPDX-License-Identifier: MIT */
/*
 * The local APIC: bytes into its page, for C and assembly.
 * Source: Intel SDM Vol. 3A, "Local APIC Register Address Map", table 10-1; "Interrupt Command
 * Register" (10.6.1); "APIC Timer" (10.5.4).
 */
#ifndef GUEST_RUNTIME_LAPIC_H
#define GUEST_RUNTIME_LAPIC_H

#define LAPIC_BASE   0xfee00000
#define LAPIC_ID     0x020 /* the upper 8 bits */
#define TPR          0x080
#define EOI          0x0b0
#define SVR          0x0f0
#define ISR          0x100 /* 8 words, 16 bytes apart; IRR too */
#define IRR          0x200
#define ICR_LOW      0x300
#define ICR_HIGH     0x310 /* the upper 8 bits: to whom, without a shorthand */
#define LVT_TIMER    0x320
#define LVT_LINT0    0x350
#define LVT_ERROR    0x370
#define TIMER_INIT   0x380
#define TIMER_NOW    0x390
#define TIMER_DIVIDE 0x3e0

#define SVR_ENABLE   0x100
#define LVT_MASKED   0x10000
#define LVT_PERIODIC 0x20000

/* The lower half of the ICR, besides the vector. */
#define ICR_INIT    0x00500
#define ICR_STARTUP 0x00600
#define ICR_PENDING 0x01000
#define ICR_ASSERT  0x04000
#define ICR_SELF    0x40000 /* shorthands */
#define ICR_ALL     0x80000
#define ICR_OTHERS  0xc0000

#ifndef __ASSEMBLER__
#define LAPIC(reg) (*(volatile uint32_t *)(LAPIC_BASE + (reg)))
#endif

#endif
