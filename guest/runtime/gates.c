/* SPDX-License-Identifier: MIT */
/* Source: SDM Vol. 3A, "IDT Descriptors" (6.11). */
#include "runtime.h"

static uint64_t idt[256];

void idt_gate(unsigned vector, const void *entry, unsigned dpl)
{
	uint32_t at = (uint32_t)entry;

	idt[vector] = (uint64_t)((at & 0xffff0000u) | 0x8e00u | dpl << 13) << 32 |
		      (uint32_t)SEL_CODE << 16 | (at & 0xffffu);
}

void idt_load(void)
{
	struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) idtr = { sizeof(idt) - 1, (uint32_t)idt };

	__asm__ volatile("lidt %0" : : "m"(idtr));
}
