/* SPDX-License-Identifier: MIT */
/* What the lists of cases with several processors share; in ipi.c. */
#ifndef APIC_IPI_H
#define APIC_IPI_H

#include "apic.h"

/* quiet(), and every local APIC as well. */
void all_quiet(void);
/* A register of the local APIC of @cpu. */
uint32_t lapic_of(unsigned cpu, unsigned reg);
void lapic_write(unsigned cpu, unsigned reg, uint32_t val);
uint32_t irr_of(unsigned cpu, unsigned vector);
/* "0-2-": the processors in whose IRR @vector is. */
const char *who(unsigned vector);
void send_ipi(uint32_t icr, unsigned dest);

#endif
