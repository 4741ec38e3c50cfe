/* SPDX-License-Identifier: MIT */
/* An interrupt line from a device's pin to an interrupt controller's input. */
#ifndef RINGSIDE_VMM_IRQ_H
#define RINGSIDE_VMM_IRQ_H

#include <stdbool.h>

struct irq_line {
	void (*set)(void *controller, unsigned input, bool level);
	void *controller;
	unsigned input;
};

static inline void irq_set(const struct irq_line *l, bool level)
{
	if (l->set)
		l->set(l->controller, l->input, level);
}

#endif
