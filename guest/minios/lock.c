/* SPDX-License-Identifier: MIT */
/*
 * Spinlocks: who finds one taken tries again until it is not.
 *
 * XCHG with memory is locked by itself: no other processor can come between its read and its
 * write, so of two that try, one gets the 0.  Waiting only reads, which the cache does without
 * disturbing the owner.
 *
 * First come, first served would be fairer (a "ticket lock").  But in a virtual machine the
 * processor whose turn it is may not be running, and all behind it would wait for it; here, any
 * one that runs can go on.  (Even so the owner may be preempted.  Where the machine tells,
 * activation.c, who waits gives it his processor.)
 *
 * Who waits has interrupts off, so it cannot take the interrupt of a TLB shootdown, and the
 * owner of the lock may be the one who waits for that.  Hence spin_wait(): the waiter looks by
 * itself.  Source: SDM Vol. 3A, "Automatic Locking" (8.1.2.1), "PAUSE" in "Spin-Wait Loops"
 * (8.10.6.1).
 */
#include "os.h"
#include "x86.h"

unsigned locks_held(void)
{
	const struct cpu *c = this_cpu();
	return c ? c->locks : 0;
}

void spin_wait(void)
{
	cpu_pause();
	flush_serve();
}

void lock_take(struct lock *l)
{
	struct cpu *c = this_cpu();
	if (!c)
		return;
	/* Held locks are in rising order, so the last is the highest. */
	if (c->locks && c->held[c->locks - 1]->rank >= l->rank)
		panic("lock order: %s taken while %s is held", l->name,
		      c->held[c->locks - 1]->name);
	if (c->locks == LOCKS_MAX)
		panic("more than %u locks held", LOCKS_MAX);
	while (__atomic_exchange_n(&l->taken, 1, __ATOMIC_ACQUIRE))
		while (l->taken) {
			activation_help(l->owner);
			spin_wait();
		}
	l->owner = c;
	c->held[c->locks++] = l;
}

void lock_drop(struct lock *l)
{
	struct cpu *c = this_cpu();
	unsigned i = 0;
	if (!c)
		return;
	while (i < c->locks && c->held[i] != l)
		i++;
	if (i == c->locks || l->owner != c)
		panic("lock %s dropped by a processor that does not hold it", l->name);
	for (c->locks--; i < c->locks; i++)
		c->held[i] = c->held[i + 1];
	l->owner = NULL;
	__atomic_store_n(&l->taken, 0, __ATOMIC_RELEASE);
}
