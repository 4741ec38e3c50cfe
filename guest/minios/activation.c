/* SPDX-License-Identifier: MIT */
/*
 * Scheduler activations: what a virtual machine can know about its processors.
 *
 * A real processor runs always.  A virtual one may be preempted, and whoever waits for what was
 * running on it waits for milliseconds.  A virtual machine monitor that offers it (Ringside:
 * docs/activations.md) says so, in a page that it writes and with an interrupt to a
 * processor that runs.  The kernel does with that what Anderson et al. made it for: it lets a
 * thread library continue elsewhere what a preempted processor was computing (user/uthread.c).
 *
 * Why that is safe: the monitor interrupts a processor that it resumes, with a vector higher than
 * all others, so before its next user instruction it is here, in activation_enter(), and takes
 * activation_lock.  And who takes its registers away has that lock, and has seen in the page that
 * it is preempted.  So either the taker comes first, and the processor finds its process's
 * `taken` set and goes on somewhere else; or the page no longer says "preempted".
 *
 * Nothing of this happens before a program asks for it, nor on a machine that offers nothing.
 */
#include "activation.h"
#include "../../vmm/activations_abi.h"
#include "os.h"
#include "x86.h"

#define HYPERVISOR 0x40000000u
#define TRIES      1000u /* to find a record that is not being written */

struct lock activation_lock = { .rank = RANK_ACTIVATION, .name = "activation" };

static struct sa_page page __attribute__((aligned(4096)));
static volatile bool on;
static uint32_t tail;                   /* events of the ring that we have seen */
static uint32_t seen[SA_KINDS], missed; /* of each kind; and those overwritten before */
static uint8_t last[SA_PROCESSORS];     /* kind of the last event of each; 0: not known */
static uint32_t odd;                    /* events that cannot follow the one before */

static void wrmsr(uint32_t msr, uint32_t val)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"(val), "d"(0) : "memory");
}

/* Does the machine offer it? */
static bool offered(void)
{
	uint32_t r[4];
	cpuid(1, r);
	if (!(r[2] >> 31))
		return false; /* no virtual machine, or one that does not say so */
	cpuid(HYPERVISOR, r);
	/* "Ringside": other monitors have other things in these leaves. */
	if (r[0] < SA_CPUID || r[1] != 0x676e6952 || r[2] != 0x65646973)
		return false;
	cpuid(SA_CPUID, r);
	return (r[0] & SA_CPUID_OFFER) && r[1] == SA_MSR && r[2] == SA_VERSION;
}

/* The upcall comes to every processor, when it is resumed. */
static bool switch_on(void)
{
	lock_take(&activation_lock);
	if (!on && offered()) {
		wrmsr(SA_MSR + SA_MSR_UPCALL,
		      VEC_UPCALL | SA_UPCALL_ON(SA_PREEMPTED) | SA_UPCALL_ON(SA_RESUMED));
		wrmsr(SA_MSR + SA_MSR_PAGE, (uint32_t)&page | SA_ENABLE);
		on = true;
	}
	lock_drop(&activation_lock);
	return on;
}

/* A copy of the record of @c, one that was not being written meanwhile. */
static bool read_record(const struct cpu *c, struct sa_processor *copy)
{
	const volatile struct sa_processor *r = &page.processor[c->apic_id % SA_PROCESSORS];
	for (unsigned i = 0; i < TRIES; i++) {
		const volatile uint32_t *from = (const volatile uint32_t *)r;
		uint32_t *to = (uint32_t *)copy, before = r->seq;
		if (before & 1) {
			cpu_pause();
			continue;
		}
		for (unsigned n = 0; n < sizeof(*copy) / sizeof(*to); n++)
			to[n] = from[n]; /* a PC's loads are not reordered: SDM Vol. 3A, 8.2.2 */
		if (r->seq == before)
			return true;
	}
	return false;
}

/*
 * The process whose user code @c was executing when it was preempted, and its registers; or NULL.
 * The lock is held.  The same record before and after: it has not run in between.
 */
static struct process *preempted_on(const struct cpu *c, struct sa_processor *r)
{
	struct sa_processor again;
	struct process *p;
	if (!c->online || !read_record(c, r) || r->state != SA_READY || r->ctx.cpl != 3 ||
	    !(r->flags & SA_STABLE))
		return NULL;
	p = c->running;
	if (!p || !p->space || r->ctx.cr3 != (uint32_t)p->space->dir || !p->activate.eip)
		return NULL;
	if (!read_record(c, &again) || again.seq != r->seq || p->taken)
		return NULL;
	return p;
}

/*
 * In the library a thread may hold its lock, or be on its way from one stack to another.  Most
 * often it is a worker that has nothing to do.
 */
static bool in_library(const struct process *p, const struct sa_processor *r)
{
	return r->ctx.eip >= p->activate.text && r->ctx.eip < p->activate.text_end;
}

/* From whom something can be taken, of those in the address space @s.  The lock is held. */
static uint32_t preempted_in(const struct space *s)
{
	struct sa_processor r;
	uint32_t mask = 0;
	for (unsigned i = 0; i < cpu_count; i++) {
		const struct process *p = preempted_on(&cpus[i], &r);
		if (p && p->space == s && !in_library(p, &r))
			mask |= 1u << process_number(p);
	}
	return mask;
}

/* What may follow on each other, for one processor: bit n of [k]: kind n after kind k. */
#define MAY(kind) (1u << (kind))
static const uint8_t after[SA_KINDS] = {
	[0] = 0xff,
	[SA_ADDED] = MAY(SA_RESUMED),
	[SA_PREEMPTED] = MAY(SA_RESUMED),
	[SA_RESUMED] = MAY(SA_PREEMPTED) | MAY(SA_BLOCKED),
	[SA_BLOCKED] = MAY(SA_UNBLOCKED) | MAY(SA_ADDED),
	[SA_UNBLOCKED] = MAY(SA_RESUMED),
};

static void check(const struct sa_event *e)
{
	uint8_t *before = &last[e->processor % SA_PROCESSORS];
	if (!(after[*before] >> e->kind & 1))
		odd++;
	*before = e->kind;
}

static void miss(uint32_t count)
{
	missed += count;
	memset(last, 0, sizeof(last));
}

/* Count what is new in the ring. */
static void drain(void)
{
	uint32_t head = *(volatile uint32_t *)&page.head;
	if (head - tail > SA_EVENTS) {
		miss(head - tail - SA_EVENTS);
		tail = head - SA_EVENTS;
	}
	while (tail != head) {
		const volatile struct sa_event *e = &page.event[tail++ % SA_EVENTS];
		struct sa_event copy = { .seq = e->seq,
					 .kind = e->kind,
					 .processor = e->processor };
		if (copy.seq != tail || e->seq != tail || copy.kind >= SA_KINDS) {
			miss(1); /* overwritten just now */
			continue;
		}
		seen[copy.kind]++;
		check(&copy);
	}
}

/* Tell the program that runs here; its memory may have to be fetched: no lock. */
static void hint(void)
{
	struct process *self = current;
	uint32_t mask;
	lock_take(&activation_lock);
	drain();
	mask = self->space && self->activate.preempted ? preempted_in(self->space) : 0;
	lock_drop(&activation_lock);
	if (self->activate.preempted)
		*(volatile uint32_t *)self->activate.preempted = mask;
}

static void on_upcall(struct frame *f)
{
	LAPIC_REG(LAPIC_EOI) = 0;
	hint();
	if (from_user(f) && current->killed)
		process_exit(STATUS_KILLED);
}

void activation_enter(struct frame *f)
{
	struct process *self = current;
	bool taken;
	if (!self->activate.eip)
		return;
	lock_take(&activation_lock);
	taken = self->taken;
	self->taken = false;
	lock_drop(&activation_lock);
	if (!taken)
		return;
	if (f->vector < 32 || f->vector == SYSCALL_VECTOR)
		panic("process %d went on with what was taken from it", self->pid);
	f->eip = self->activate.eip;
	f->user_esp = self->activate.esp;
}

int activation_register(const struct activate *a)
{
	if (!switch_on())
		return ERR_ABSENT;
	current->activate = *a;
	/* There will be work for all of us. */
	wrmsr(SA_MSR + SA_MSR_WANT, cpu_count);
	return (int)process_number(current);
}

int activation_take(int slot, struct taken *to)
{
	struct process *self = current, *p = NULL;
	struct sa_processor r;
	lock_take(&activation_lock);
	for (unsigned i = 0; i < cpu_count && !p; i++) {
		p = preempted_on(&cpus[i], &r);
		if (p && (p == self || p->space != self->space || in_library(p, &r) ||
			  (slot >= 0 && (unsigned)slot != process_number(p))))
			p = NULL;
	}
	if (p)
		p->taken = true;
	lock_drop(&activation_lock);
	hint();
	if (!p)
		return ERR_AGAIN;
	memcpy(to, &r.ctx, sizeof(*to));
	return (int)process_number(p);
}

bool activation_yield_to(unsigned slot)
{
	const struct process *self = current;
	struct sa_processor r;
	const struct cpu *c = NULL;
	lock_take(&activation_lock);
	for (unsigned i = 0; i < cpu_count && on; i++) {
		const struct process *p = preempted_on(&cpus[i], &r);
		if (p && p != self && p->space == self->space && process_number(p) == slot)
			c = &cpus[i];
	}
	lock_drop(&activation_lock);
	if (c)
		wrmsr(SA_MSR + SA_MSR_YIELD, c->apic_id);
	return c;
}

bool activation_rest(void)
{
	if (!on)
		return false;
	/* As STI and HLT: an interrupt that came before is only delivered after it. */
	__asm__ volatile("sti\n\twrmsr\n\tcli"
			 :
			 : "c"(SA_MSR + SA_MSR_IDLE), "a"(0), "d"(0)
			 : "memory");
	return true;
}

void activation_help(const struct cpu *owner)
{
	/* Only a look: at worst we yield for nothing, or not at all this time. */
	if (on && owner &&
	    *(volatile uint32_t *)&page.processor[owner->apic_id % SA_PROCESSORS].state == SA_READY)
		wrmsr(SA_MSR + SA_MSR_YIELD, owner->apic_id);
}

/* In microseconds, by division of 32 bits: no libgcc here. */
static uint64_t to_us(uint64_t ns)
{
	uint32_t high = (uint32_t)(ns >> 32), low = (uint32_t)ns, rest, quotient[2];
	quotient[1] = high / 1000;
	rest = high % 1000;
	__asm__("divl %3" : "=a"(quotient[0]), "=d"(rest) : "0"(low), "r"(1000u), "1"(rest));
	return (uint64_t)quotient[1] << 32 | quotient[0];
}

int activation_processor(unsigned number, struct processor_info *info)
{
	struct sa_processor r;
	if (number >= cpu_count)
		return ERR_ARGUMENT;
	if (!switch_on() || !read_record(&cpus[number], &r))
		return ERR_ABSENT;
	lock_take(&activation_lock);
	drain();
	memcpy(info->events, seen, sizeof(seen));
	info->events[0] = missed;
	info->odd = odd;
	lock_drop(&activation_lock);
	info->state = r.state;
	info->preempts = r.preempts;
	info->run_us = to_us(r.run_ns);
	info->steal_us = to_us(r.steal_ns);
	info->idle_us = to_us(r.idle_ns);
	return 0;
}

void activation_init(void)
{
	trap_handle(VEC_UPCALL, on_upcall);
}
