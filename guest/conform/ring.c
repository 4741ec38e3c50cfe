/* SPDX-License-Identifier: MIT */
/*
 * Into an outer ring and back.  enter() of entry.S ends in an IRET: with the outer SS:ESP above its
 * frame it changes rings.  What the case pushes on the way back lies on the stack of ring 0 that
 * the TSS names; `seen` gets the outer SS:ESP from there.
 */
#include "ring.h"

void user_segments(void)
{
	__asm__ volatile("movl %0, %%ds; movl %0, %%es" : : "r"(DS3));
}

void kernel_segments(void)
{
	__asm__ volatile("movl %0, %%ds; movl %0, %%es" : : "r"(SEL_DATA));
}

/* The TSS: stacks of the three inner rings, no port allowed. */
static void make_tss(void)
{
	volatile uint32_t *tss = (volatile uint32_t *)TSS;

	memset((void *)TSS, 0, 0x1000);
	for (unsigned i = 0; i < 3; i++)
		tss[1 + 2 * i] = RING_STACK(i);
	tss[2] = SEL_DATA;
	tss[4] = SEL_DATA1 | 1;
	tss[6] = SEL_DATA2 | 2;
	tss[25] = TSS_IOMAP << 16;
	memset((void *)(TSS + TSS_IOMAP), 0xff, 0x100);
}

void ring_reset(void)
{
	make_tss();
	/* Accessed already, so that no line has to say so. */
	set_descriptor(GDT, SEL_DATA3, 0, 0xfffff, 0xf3, FLAG_G | FLAG_D);
	set_descriptor(GDT, SEL_DATA1, 0, 0xfffff, 0xb3, FLAG_G | FLAG_D);
	set_descriptor(GDT, SEL_CODE1, 0, 0xfffff, 0xbb, FLAG_G | FLAG_D);
	set_descriptor(GDT, SEL_CODE2, 0, 0xfffff, 0xdb, FLAG_G | FLAG_D);
	set_descriptor(GDT, SEL_DATA2, 0, 0xfffff, 0xd3, FLAG_G | FLAG_D);
	set_vector(0x31, SEL_CODE, STUB(0x31), GATE32 | 0x60);
}

void ring_tables(void)
{
	ring_reset();
	set_descriptor(GDT, SEL_TSS32, TSS, TSS_IOMAP + 0xff, 0x89, 0);
	__asm__ volatile("ltr %%ax" : : "a"(SEL_TSS32));
}

void rings_on(void)
{
	paging_on(SMALL_32);
	ring_tables();
	set_vector(14, SEL_CODE, STUB(14), GATE32);
	kernel_segments();
}

void rings_off(void)
{
	paging_off();
}

/*
 * A case ends at an outer ring in INT 0x31, behind its code or at one of the targets.  On the stack
 * of ring 0 that is followed by SS:ESP, because the ring changed.
 */
void enter_outer(struct test *t)
{
	struct state s;
	volatile uint32_t *frame = (volatile uint32_t *)(RING_STACK(0) - 0x100);

	memcpy(&s, &t->eip, sizeof(s));
	if (t->cs & 3) {
		frame[0] = t->esp;
		frame[1] = t->ss;
		s.esp = (uint32_t)frame;
		s.ss = SEL_DATA;
	}
	enter(&s);
	if ((seen.cs & 3) && seen.esp == RING_STACK(0) - 8) {
		frame = (volatile uint32_t *)seen.esp;
		seen.esp = frame[0];
		seen.ss = frame[1] & 0xffff;
	}
	if (seen.vector == 0x31 && seen.eip == t->code.done)
		seen.vector = NO_FAULT;
	else if (seen.vector == 0x31 && seen.eip == (uint32_t)user_target + 2) {
		seen.vector = NO_FAULT;
		seen.eip = (uint32_t)target32 + TAIL;
	}
}
