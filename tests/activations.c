/* SPDX-License-Identifier: MIT */
/*
 * Scheduler activations, piece by piece: CPUID and MSRs, the page, upcalls.  What is expected is
 * docs/activations.md.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tests/raw_guest.h"
#include "vmm/activations.h"
#include "vmm/emu/emulate.h"
#include "vmm/irq_stats.h"
#include "vmm/machine.h"
#include "vmm/machine_priv.h"
#include "vmm/mem.h"

#define AC_CPUS  3
#define AC_GPA   0x5000u
#define AC_VEC   0xf0
#define AC_KINDS (SA_UPCALL_ON(SA_PREEMPTED) | SA_UPCALL_ON(SA_RESUMED))

static struct vm ac_vm;
static struct activations *ac;

static void ac_setup(void)
{
	const struct machine_config cfg = { .console_in = -1,
					    .console_out = -1,
					    .debugcon_out = -1 };

	cr_assert_eq(vm_init(&ac_vm, VM_RAM_MIN), 0);
	ac_vm.dead_quietly = true;
	for (unsigned i = 0; i < AC_CPUS; i++) {
		ac_vm.vcpu[i] = calloc(1, sizeof(struct vcpu));
		ac_vm.vcpu[i]->vm = &ac_vm;
		ac_vm.vcpu[i]->id = i;
		vcpu_reset(ac_vm.vcpu[i]);
	}
	ac_vm.vcpus = AC_CPUS;
	ac = ac_vm.activations = activations_new(&ac_vm);
	cr_assert_not_null(ac);
	cr_assert_eq(machine_create(&ac_vm, &cfg), 0);
	for (unsigned i = 0; i < AC_CPUS; i++)
		machine_mmio_write(&ac_vm, ac_vm.vcpu[i], LAPIC_BASE + 0xf0, 4, 0x1ff);
}

static void ac_teardown(void)
{
	machine_destroy(&ac_vm);
	for (unsigned i = 0; i < AC_CPUS; i++)
		free(ac_vm.vcpu[i]);
	vm_destroy(&ac_vm);
}

TestSuite(activations, .init = ac_setup, .fini = ac_teardown, .timeout = 60);

static bool ac_write(unsigned cpu, unsigned msr, uint64_t val)
{
	return msr_write(ac_vm.vcpu[cpu], SA_MSR + msr, val) == EMU_OK;
}

static uint64_t ac_read(unsigned msr)
{
	uint64_t val = ~0ull;

	cr_assert_eq(msr_read(ac_vm.vcpu[0], SA_MSR + msr, &val), EMU_OK);
	return val;
}

static struct sa_page *ac_page(void)
{
	return vm_ptr(&ac_vm, AC_GPA, sizeof(struct sa_page));
}

static void ac_on(uint32_t kinds)
{
	cr_assert(ac_write(0, SA_MSR_UPCALL, AC_VEC | kinds));
	cr_assert(ac_write(0, SA_MSR_PAGE, AC_GPA | SA_ENABLE));
}

static void ac_event(unsigned id, unsigned kind, uint32_t state, uint64_t now)
{
	const struct activations_now n = { .state = state,
					   .pcpu = 1,
					   .now_ns = now,
					   .run_ns = now / 2,
					   .steal_ns = now / 4,
					   .idle_ns = now / 8,
					   .left = kind == SA_PREEMPTED ? ac_vm.vcpu[id] : NULL };

	activations_event(ac, id, kind, &n);
}

/* ---- CPUID and MSRs ---- */

Test(activations, leaf_says_what_there_is)
{
	uint32_t out[4];

	cpuid_policy(ac_vm.vcpu[0], 0x40000000, 0, out);
	cr_expect_eq(out[0], SA_CPUID);
	cpuid_policy(ac_vm.vcpu[0], SA_CPUID, 0, out);
	cr_expect_eq(out[0], SA_CPUID_OFFER);
	cr_expect_eq(out[1], SA_MSR);
	cr_expect_eq(out[2], SA_VERSION);
	cr_expect_eq(out[3], 0);
	cpuid_policy(ac_vm.vcpu[0], SA_CPUID + 1, 0, out);
	cr_expect(!(out[0] | out[1] | out[2] | out[3]));
}

/* An engine that cannot show the registers of a vCPU offers none: instance.c. */
Test(activations, without_them_neither_leaf_nor_msrs)
{
	uint32_t out[4];
	uint64_t val;

	ac_vm.activations = NULL;
	cpuid_policy(ac_vm.vcpu[0], 0x40000000, 0, out);
	cr_expect_eq(out[0], 0x40000000);
	cpuid_policy(ac_vm.vcpu[0], SA_CPUID, 0, out);
	cr_expect(!(out[0] | out[1] | out[2] | out[3]));
	for (unsigned i = 0; i < SA_MSRS; i++) {
		cr_expect_eq(msr_read(ac_vm.vcpu[0], SA_MSR + i, &val), EMU_FAULT);
		cr_expect_eq(msr_write(ac_vm.vcpu[0], SA_MSR + i, 0), EMU_FAULT);
	}
	ac_vm.activations = ac;
}

Test(activations, msr_after_the_last_is_gp)
{
	uint64_t val;

	cr_expect_eq(msr_read(ac_vm.vcpu[0], SA_MSR + SA_MSRS, &val), EMU_FAULT);
	cr_expect_eq(ac_vm.vcpu[0]->fault.vector, VEC_GP);
	cr_expect_eq(msr_write(ac_vm.vcpu[0], SA_MSR - 1, 0), EMU_FAULT);
}

Test(activations, page_must_be_one_of_ram)
{
	static const uint64_t bad[] = { 0x5003,
					0x5801,
					0x5000,
					2,
					VM_RAM_MIN | SA_ENABLE,
					0xfee00001,
					0xfffff001,
					0x100000001,
					0x8000000000000001,
					UINT64_MAX };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect_not(ac_write(0, SA_MSR_PAGE, bad[i]), "%#llx",
			      (unsigned long long)bad[i]);
		cr_expect_eq(ac_vm.vcpu[0]->fault.vector, VEC_GP);
		cr_expect_eq(ac_read(SA_MSR_PAGE), 0);
	}
	cr_expect(ac_write(0, SA_MSR_PAGE, (VM_RAM_MIN - PAGE_SIZE) | SA_ENABLE), "the last page");
	cr_expect_eq(ac_read(SA_MSR_PAGE), (VM_RAM_MIN - PAGE_SIZE) | SA_ENABLE);
	cr_expect(ac_write(1, SA_MSR_PAGE, 0 | SA_ENABLE), "the first page, by another");
	cr_expect_not(ac_write(0, SA_MSR_PAGE, 0x5003));
	cr_expect_eq(ac_read(SA_MSR_PAGE), SA_ENABLE, "as it was");
	cr_expect(ac_write(0, SA_MSR_PAGE, 0));
	cr_expect_eq(ac_read(SA_MSR_PAGE), 0);
}

Test(activations, upcall_vector_and_kinds)
{
	static const uint64_t bad[] = { 31, 0x100, AC_VEC | 0x100, AC_VEC | 0x4000,
					1ull << 32 | AC_VEC };
	static const uint64_t good[] = { 32, 0xff, AC_VEC | AC_KINDS, AC_VEC | 0x3e00, 0 };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_not(ac_write(0, SA_MSR_UPCALL, bad[i]), "%#llx",
			      (unsigned long long)bad[i]);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		cr_expect(ac_write(0, SA_MSR_UPCALL, good[i]), "%#llx",
			  (unsigned long long)good[i]);
		cr_expect_eq(ac_read(SA_MSR_UPCALL), good[i]);
	}
}

Test(activations, downcalls_with_nonsense_are_gp)
{
	cr_expect_not(ac_write(0, SA_MSR_IDLE, 0), "nothing registered: nobody could end it");
	cr_expect_not(ac_vm.vcpu[0]->halted);
	ac_on(0);
	cr_expect_not(ac_write(0, SA_MSR_IDLE, 1));
	cr_expect(ac_write(0, SA_MSR_IDLE, 0));
	cr_expect(ac_vm.vcpu[0]->halted && ac_vm.vcpu[0]->idle);
	cr_expect_not(ac_write(0, SA_MSR_WANT, 0));
	cr_expect_not(ac_write(0, SA_MSR_WANT, AC_CPUS + 1));
	cr_expect_not(ac_write(0, SA_MSR_WANT, 1ull << 32));
	cr_expect(ac_write(0, SA_MSR_WANT, AC_CPUS));
	cr_expect_eq(ac_read(SA_MSR_WANT), AC_CPUS, "all of them, without a dispatcher");
	cr_expect_not(ac_write(0, SA_MSR_YIELD, 0), "itself");
	cr_expect_not(ac_write(0, SA_MSR_YIELD, AC_CPUS));
	cr_expect_not(ac_write(0, SA_MSR_YIELD, UINT64_MAX));
	cr_expect(ac_write(0, SA_MSR_YIELD, 1));
}

/* ---- the page ---- */

Test(activations, record_shows_times_and_registers)
{
	struct vcpu *v = ac_vm.vcpu[2];
	const struct sa_processor *r = &ac_page()->processor[2];

	ac_on(0);
	for (unsigned i = 0; i < GPR_COUNT; i++)
		v->regs.gpr[i] = 0x100 + i;
	v->regs.eip = 0x12345678;
	v->regs.eflags = FL_FIXED | FL_IF;
	v->sh.cr3 = 0x9000;
	v->sh.cpl = 3;
	ac_event(2, SA_PREEMPTED, SA_READY, 8000);
	cr_expect_eq(ac_page()->head, 0, "noted, not written");
	activations_publish(ac);
	cr_expect_eq(ac_page()->version, SA_VERSION);
	cr_expect_eq(ac_page()->processors, AC_CPUS);
	cr_expect_eq(ac_page()->head, 1);
	cr_expect_eq(ac_page()->now_ns, 8000);
	cr_expect(r->seq && !(r->seq & 1));
	cr_expect_eq(r->state, SA_READY);
	cr_expect_eq(r->pcpu, 1);
	cr_expect_eq(r->preempts, 1);
	cr_expect_eq(r->since_ns, 8000);
	cr_expect_eq(r->run_ns, 4000);
	cr_expect_eq(r->steal_ns, 2000);
	cr_expect_eq(r->idle_ns, 1000);
	cr_expect_eq(r->ctx.eax, 0x100 + EAX);
	cr_expect_eq(r->ctx.ecx, 0x100 + ECX);
	cr_expect_eq(r->ctx.edx, 0x100 + EDX);
	cr_expect_eq(r->ctx.ebx, 0x100 + EBX);
	cr_expect_eq(r->ctx.esp, 0x100 + ESP);
	cr_expect_eq(r->ctx.ebp, 0x100 + EBP);
	cr_expect_eq(r->ctx.esi, 0x100 + ESI);
	cr_expect_eq(r->ctx.edi, 0x100 + EDI);
	cr_expect_eq(r->ctx.eip, 0x12345678);
	cr_expect_eq(r->ctx.eflags, FL_FIXED | FL_IF);
	cr_expect_eq(r->ctx.cr3, 0x9000);
	cr_expect_eq(r->ctx.cpl, 3);
	cr_expect_eq(r->flags, SA_STABLE);
}

/* The upcall of a resumed processor must come before its next instruction, or it must say so. */
Test(activations, what_holds_interrupts_off_is_not_stable)
{
	const struct sa_processor *r = &ac_page()->processor[1];
	struct vcpu *v = ac_vm.vcpu[1];

	ac_on(0);
	for (unsigned i = 0; i < 5; i++) {
		v->regs.eflags = FL_FIXED | (i == 0 ? 0 : FL_IF);
		v->sh.sti_shadow = i == 1;
		v->sh.movss_shadow = i == 2;
		v->step_original = i == 3;
		ac_event(1, SA_PREEMPTED, SA_READY, 100);
		activations_publish(ac);
		cr_expect_eq(r->flags, i == 4 ? SA_STABLE : 0, "case %u", i);
	}
}

Test(activations, ring_keeps_the_last_events)
{
	const struct sa_page *p = ac_page();

	ac_on(0);
	for (uint32_t n = 1; n <= 150; n++) {
		ac_event(n % AC_CPUS, n % 2 ? SA_BLOCKED : SA_UNBLOCKED, SA_READY, 1000 + n);
		if (n % 7 == 0)
			activations_publish(ac);
	}
	activations_publish(ac);
	cr_assert_eq(p->head, 150);
	for (uint32_t n = 150 - SA_EVENTS + 1; n <= 150; n++) {
		const struct sa_event *e = &p->event[(n - 1) % SA_EVENTS];

		cr_assert_eq(e->seq, n);
		cr_assert_eq(e->processor, n % AC_CPUS);
		cr_assert_eq(e->kind, n % 2 ? SA_BLOCKED : SA_UNBLOCKED);
		cr_assert_eq(e->time_ns, 1000 + n);
	}
}

/* A gap: fewer entries than HEAD says, and the states are right all the same. */
Test(activations, more_than_can_be_noted_leaves_a_gap)
{
	const struct sa_page *p = ac_page();
	struct activations_stats st;
	unsigned found = 0;

	ac_on(0);
	for (uint32_t n = 1; n <= SA_EVENTS + 16; n++)
		ac_event(0, SA_BLOCKED, n == SA_EVENTS + 16 ? SA_IDLE : SA_IS_BLOCKED, n);
	activations_publish(ac);
	cr_expect_eq(p->head, SA_EVENTS + 16);
	for (unsigned i = 0; i < SA_EVENTS; i++)
		found += p->event[i].seq > 16;
	cr_expect_eq(found, SA_EVENTS - 16);
	cr_expect_eq(p->processor[0].state, SA_IDLE);
	cr_expect_eq(p->processor[0].since_ns, SA_EVENTS + 16);
	activations_get_stats(ac, &st);
	cr_expect_eq(st.lost, 16);
	ac_event(0, SA_UNBLOCKED, SA_READY, 1);
	activations_publish(ac);
	cr_expect_eq(p->event[(p->head - 1) % SA_EVENTS].seq, p->head, "and goes on behind it");
}

Test(activations, who_comes_straight_back_was_not_away)
{
	const struct sa_page *p = ac_page();
	struct activations_stats st;

	ac_on(AC_KINDS);
	ac_event(1, SA_RESUMED, SA_RUNNING, 1);
	activations_publish(ac);
	ac_event(0, SA_PREEMPTED, SA_READY, 2);
	ac_event(0, SA_RESUMED, SA_RUNNING, 3);
	activations_publish(ac);
	cr_expect_eq(p->head, 1);
	cr_expect_eq(p->elided, 1);
	cr_expect_eq(p->processor[0].preempts, 0);
	cr_expect_eq(p->processor[0].state, SA_RUNNING);
	cr_expect_eq(p->upcalls, 1, "of the first event");
	/* But not if something came in between, or it has been told. */
	ac_event(0, SA_PREEMPTED, SA_READY, 4);
	ac_event(2, SA_UNBLOCKED, SA_READY, 4);
	ac_event(0, SA_RESUMED, SA_RUNNING, 5);
	activations_publish(ac);
	cr_expect_eq(p->head, 4);
	ac_event(0, SA_PREEMPTED, SA_READY, 6);
	activations_publish(ac);
	ac_event(0, SA_RESUMED, SA_RUNNING, 7);
	activations_publish(ac);
	cr_expect_eq(p->head, 6);
	cr_expect_eq(p->processor[0].preempts, 2);
	activations_get_stats(ac, &st);
	cr_expect_eq(st.elided, 1);
	cr_expect_eq(st.events[SA_PREEMPTED], 2);
}

Test(activations, registering_again_begins_at_one)
{
	ac_on(0);
	for (unsigned n = 0; n < 5; n++)
		ac_event(0, SA_BLOCKED, SA_IS_BLOCKED, n);
	activations_publish(ac);
	cr_assert(ac_write(0, SA_MSR_PAGE, 0x7000 | SA_ENABLE));
	ac_event(0, SA_UNBLOCKED, SA_READY, 9);
	activations_publish(ac);
	cr_expect_eq(ac_page()->head, 5, "the old page is left alone");
	cr_expect_eq(((struct sa_page *)vm_ptr(&ac_vm, 0x7000, PAGE_SIZE))->head, 1);
}

Test(activations, what_found_no_room_came_in_between_too)
{
	ac_on(AC_KINDS);
	for (unsigned n = 1; n < SA_EVENTS; n++)
		ac_event(0, SA_BLOCKED, SA_IS_BLOCKED, n);
	ac_event(1, SA_PREEMPTED, SA_READY, 100);
	ac_event(2, SA_UNBLOCKED, SA_READY, 101); /* no room */
	ac_event(1, SA_RESUMED, SA_RUNNING, 102);
	activations_publish(ac);
	cr_expect_eq(ac_page()->head, SA_EVENTS + 2);
	cr_expect_eq(ac_page()->elided, 0);
	cr_expect_eq(ac_page()->upcalls, 1, "the resumed one is told all the same");
}

/* What the guest writes there is its own affair: nothing of it is read. */
Test(activations, page_is_never_read)
{
	struct sa_page *p = ac_page();

	ac_on(AC_KINDS);
	memset(p, 0xff, sizeof(*p));
	ac_event(1, SA_RESUMED, SA_RUNNING, 1);
	memset(p, 0xaa, sizeof(*p));
	ac_event(0, SA_PREEMPTED, SA_READY, 2);
	activations_publish(ac);
	cr_expect_eq(p->head, 2);
	cr_expect_eq(p->processor[0].state, SA_READY);
	cr_expect_eq(p->processor[0].preempts, 1);
	cr_expect_not(p->processor[0].seq & 1);
	cr_expect_eq(p->event[1].seq, 2);
}

/* ---- upcalls ---- */

static int ac_ack(unsigned cpu)
{
	int vector = machine_ack_interrupt(&ac_vm, ac_vm.vcpu[cpu]);

	if (vector >= 0)
		machine_mmio_write(&ac_vm, ac_vm.vcpu[cpu], LAPIC_BASE + 0xb0, 4, 0);
	return vector;
}

Test(activations, preempted_is_told_to_one_that_runs)
{
	ac_on(SA_UPCALL_ON(SA_PREEMPTED));
	ac_event(0, SA_RESUMED, SA_RUNNING, 1);
	ac_event(1, SA_RESUMED, SA_RUNNING, 1);
	ac_event(2, SA_RESUMED, SA_RUNNING, 1);
	activations_publish(ac);
	for (unsigned i = 0; i < AC_CPUS; i++)
		cr_expect_eq(ac_ack(i), -1, "not asked for");
	ac_event(1, SA_PREEMPTED, SA_READY, 2);
	activations_publish(ac);
	cr_expect_eq(ac_ack(2), AC_VEC);
	cr_expect_eq(ac_ack(0), -1);
	cr_expect_eq(ac_ack(1), -1);
	cr_expect_eq(ac_vm.vcpu[2]->irq_stats->path[IRQ_PATH_UPCALL].raised, 1);
	ac_event(2, SA_PREEMPTED, SA_READY, 3);
	activations_publish(ac);
	cr_expect_eq(ac_ack(0), AC_VEC);
	ac_event(0, SA_PREEMPTED, SA_READY, 4);
	activations_publish(ac);
	for (unsigned i = 0; i < AC_CPUS; i++)
		cr_expect_eq(ac_ack(i), -1, "nobody runs");
}

Test(activations, resumed_is_told_to_itself_first)
{
	ac_on(AC_KINDS);
	ac_event(1, SA_RESUMED, SA_RUNNING, 1);
	cr_expect_not(atomic_load(&ac_vm.vcpu[1]->irq_pending));
	activations_publish(ac);
	cr_expect(atomic_load(&ac_vm.vcpu[1]->irq_pending));
	cr_expect_eq(ac_ack(1), AC_VEC);
	cr_expect_eq(ac_ack(0), -1);
}

Test(activations, without_a_vector_nobody_is_interrupted)
{
	cr_assert(ac_write(0, SA_MSR_PAGE, AC_GPA | SA_ENABLE));
	ac_event(0, SA_RESUMED, SA_RUNNING, 1);
	ac_event(1, SA_PREEMPTED, SA_READY, 1);
	activations_publish(ac);
	cr_expect_eq(ac_page()->head, 2);
	for (unsigned i = 0; i < AC_CPUS; i++)
		cr_expect_eq(ac_ack(i), -1);
}

Test(activations, many_events_are_one_interrupt)
{
	ac_on(AC_KINDS);
	for (unsigned n = 0; n < 20; n++)
		ac_event(1, SA_RESUMED, SA_RUNNING, n);
	activations_publish(ac);
	cr_expect_eq(ac_ack(1), AC_VEC);
	cr_expect_eq(ac_ack(1), -1);
	cr_expect_eq(ac_page()->upcalls, 1);
}

/* ---- off, while events fly ---- */

static _Atomic bool ac_stop;

static void *ac_flood(void *arg)
{
	unsigned id = (unsigned)(uintptr_t)arg;

	for (uint64_t n = 1; !atomic_load(&ac_stop); n++) {
		ac_event(id, SA_RESUMED, SA_RUNNING, n);
		activations_publish(ac);
		ac_event(id, SA_PREEMPTED, SA_READY, n);
		activations_publish(ac);
	}
	return NULL;
}

Test(activations, off_is_off_while_events_fly)
{
	pthread_t t[2];
	uint8_t *page = vm_ptr(&ac_vm, AC_GPA, PAGE_SIZE);

	for (uintptr_t i = 0; i < 2; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, ac_flood, (void *)(i + 1)), 0);
	for (unsigned n = 0; n < 100; n++) {
		ac_on(AC_KINDS);
		while (!__atomic_load_n(&ac_page()->head, __ATOMIC_RELAXED))
			sched_yield();
		cr_assert(ac_write(0, SA_MSR_PAGE, 0));
		memset(page, 0, PAGE_SIZE);
		sched_yield();
		for (unsigned i = 0; i < PAGE_SIZE; i++)
			cr_assert_eq(page[i], 0, "round %u: written after it was off", n);
	}
	atomic_store(&ac_stop, true);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
}

/* ---- code in the page ---- */

static uint32_t ac_calls;

/* Port 0xf6: so many events that the low byte of `head', at offset 8, is a ret. */
static void ac_note(void *dev, uint64_t off, unsigned width, uint32_t val)
{
	struct cg *g = dev;
	const struct activations_now now = { .state = SA_IS_BLOCKED };

	(void)off;
	(void)width;
	(void)val;
	ac_calls++;
	for (unsigned i = 0; i < 0xc3; i++)
		activations_event(g->vm.activations, 0, SA_BLOCKED, &now);
	activations_publish(g->vm.activations);
}

GUEST(ac_code, "mov $0x52530000,%ecx\n mov $0x110001,%eax\n xor %edx,%edx\n"
	       /* mov $1,%eax; pushf; popl %edx; ret: the copy is a patched one */
	       "movl $0x000001b8,0x110008\n movl $0xc35a9c00,0x11000c\n"
	       "wrmsr\n mov $0x110008,%esi\n xor %eax,%eax\n call *%esi\n mov %eax,%ebx\n"
	       "out %al,$0xf6\n mov $7,%eax\n call *%esi\n mov %eax,%edi\n" DONE);

/* The copy from which the guest executes follows what the VMM writes. */
Test(activations_code, a_page_that_is_executed_is_written_too)
{
	static struct cg g;
	struct bus_range r = {
		.name = "note", .base = 0xf6, .len = 1, .read = cg_read, .write = ac_note
	};

	cg_load(&g, ac_code, ac_code_end);
	r.dev = &g;
	cr_assert_eq(bus_add(&g.vm.pio, &r), 0);
	g.vm.activations = activations_new(&g.vm);
	cr_assert_not_null(g.vm.activations);
	cg_go(&g);
	cr_expect_eq(ac_calls, 1);
	cr_expect_eq(REG(&g, EBX), 1, "the function as the guest wrote it");
	cr_expect_eq(REG(&g, EDI), 7, "ret, as the VMM wrote it");
	cg_free(&g);
}
