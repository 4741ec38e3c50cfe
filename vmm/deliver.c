/* SPDX-License-Identifier: MIT */
/* What may be delivered now. */
#include "vmm/deliver.h"

#include "vmm/types.h"

enum deliver deliver_next(const struct deliver_state *s)
{
	bool nmi = s->nmi && !s->nmi_blocked;
	bool irq = s->irq && (s->eflags & FL_IF);

	if (!nmi && !irq)
		return DELIVER_NONE;
	if (s->sti_shadow || s->movss_shadow)
		return DELIVER_STEP;
	return nmi ? DELIVER_NMI : DELIVER_IRQ;
}
