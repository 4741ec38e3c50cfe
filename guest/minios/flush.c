/* SPDX-License-Identifier: MIT */
/*
 * TLB shootdown.
 *
 * Each processor remembers translations in a TLB of its own, and does not notice when another one
 * changes the page table behind them.  So after taking something away (a page, or the permission
 * to write to it) tell all that may remember, and wait until each says that it has forgotten:
 * only then may the frame be used for something else.
 *
 * Which ones?  Those that have the address space in CR3: space->cpus.  space_use() sets the bit
 * first and loads CR3 then; we change the page table first and read the bits then.  So if we do
 * not see the bit of a processor, its CR3 is loaded after our change, and it sees that.
 *
 * Giving something needs no shootdown: an entry that says "not present" is never remembered, and
 * one that says "read-only" is at worst one page fault too many (space_fault()). Source: SDM Vol.
 * 3A, "Propagation of Paging-Structure Changes to Multiple Processors" (4.10.5).
 */
#include "os.h"
#include "x86.h"

#define ONE_BY_ONE 8 /* for more pages, forget everything: reload CR3 */

/* The request; one at a time. */
static struct lock lock = { .rank = RANK_FLUSH, .name = "flush" };
static volatile uint32_t from, pages;

static void forget(uint32_t va, uint32_t count)
{
	if (count > ONE_BY_ONE)
		WRITE_CR(3, READ_CR(3));
	else
		for (; count; count--, va += PAGE_SIZE)
			invlpg(va);
}

void flush_serve(void)
{
	struct cpu *c = this_cpu();
	if (!c->flush)
		return;
	forget(from, pages);
	__atomic_store_n(&c->flush, 0, __ATOMIC_RELEASE); /* the acknowledgement */
}

static void on_flush(struct frame *f)
{
	(void)f;
	LAPIC_REG(LAPIC_EOI) = 0;
	flush_serve(); /* nothing, if spin_wait() was faster than the interrupt */
}

static void tell(uint32_t cpus_mask, uint32_t va, uint32_t count)
{
	struct cpu *self = this_cpu();
	cpus_mask &= ~(1u << self->number);
	if (!cpus_mask)
		return;
	lock_take(&lock);
	from = va;
	pages = count;
	for (unsigned i = 0; i < cpu_count; i++) {
		if (!(cpus_mask >> i & 1))
			continue;
		__atomic_store_n(&cpus[i].flush, 1, __ATOMIC_RELEASE);
		lapic_ipi(cpus[i].apic_id, VEC_FLUSH);
	}
	for (unsigned i = 0; i < cpu_count; i++)
		while (__atomic_load_n(&cpus[i].flush, __ATOMIC_ACQUIRE))
			cpu_pause();
	lock_drop(&lock);
}

void flush_space(const struct space *s, uint32_t va, uint32_t count)
{
	/* A full barrier: the change of the page table comes first. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (this_cpu()->space == s)
		forget(va, count);
	tell(__atomic_load_n(&s->cpus, __ATOMIC_SEQ_CST), va, count);
}

void flush_everywhere(uint32_t va)
{
	forget(va, 1);
	tell((1u << cpu_count) - 1, va, 1);
}

void flush_init(void)
{
	trap_handle(VEC_FLUSH, on_flush);
}
