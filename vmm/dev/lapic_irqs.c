/* SPDX-License-Identifier: MIT */
/* Which interrupt comes next: IRR, ISR, TPR and PPR of a local APIC. */
#include "vmm/dev/lapic_irqs.h"

#define CLASS(priority) ((priority)&0xf0)

uint32_t irqs_ppr(const struct lapic_irqs *q)
{
	int highest = lapic_bit_highest(q->isr);
	uint32_t isrv = highest < 0 ? 0 : (uint32_t)highest;

	return CLASS(q->tpr) >= CLASS(isrv) ? q->tpr : CLASS(isrv);
}

void irqs_accept(struct lapic_irqs *q, uint8_t vector, bool level)
{
	lapic_bit_set(q->irr, vector);
	if (level)
		lapic_bit_set(q->tmr, vector);
	else
		lapic_bit_clear(q->tmr, vector);
}

/*: 170. The highest that may
 * A bit for each vector that waits (IRR), a bit for each that is in service (ISR), and a class
 * below which nothing comes through (TPR, PPR).
 */
int irqs_pending(const struct lapic_irqs *q)
{
	int vector = lapic_bit_highest(q->irr);

	if (vector < 0 || CLASS((uint32_t)vector) <= CLASS(irqs_ppr(q)))
		return -1;
	return vector;
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

	if (vector >= 0)
		lapic_bit_clear(q->isr, (uint8_t)vector);
	return vector;
}
