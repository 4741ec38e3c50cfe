/* SPDX-License-Identifier: MIT */
/*
 * The machine around the work: what a workload finds, and what it dies of.
 */
#include "workload.h"

extern const uint8_t unexpected_entry[256][8]; /* start.S */

/* From start.S, with what is on the stack: an error code, if @vector has one, and where it was. */
void unexpected(uint32_t vector, uint32_t a, uint32_t b, uint32_t c);
void unexpected(uint32_t vector, uint32_t a, uint32_t b, uint32_t c)
{
	print("%s: nobody expects vector %u, with 0x%x 0x%x 0x%x on the stack\n", workload.name,
	      vector, a, b, c);
	machine_exit(EXIT_BAD);
}

void machine_init(void)
{
	segments_init();
	for (unsigned v = 0; v < 256; v++)
		idt_gate(v, unexpected_entry[v], 0);
	idt_load();
	outb(0x21, 0xff); /* both 8259A: nothing */
	outb(0xa1, 0xff);
}

void die(const char *why)
{
	cli();
	print("%s: %s\n", workload.name, why);
	machine_exit(EXIT_BAD);
}
