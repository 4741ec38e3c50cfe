/* SPDX-License-Identifier: MIT */
/*
 * What comes first when several things are due at one boundary, NMIs and their blocking, and string
 * instructions that are interrupted.
 * Sources: SDM Vol. 3A, "Priority Among Simultaneous Exceptions and Interrupts" (6.9), "Handling
 * Multiple NMIs" (6.7.1); Vol. 3B, "Single-Step Exception Condition" (17.3.1.4).
 */
#include <pthread.h>

#include "tests/deliver.h"
#include "vmm/tsc.h"

TestSuite(deliver_order, .timeout = 60);

/* Vector and EIP of the events in order: "60@", where the latter is an address. */
static void expect_events(const struct dl *d, unsigned n, const struct dl_event *want)
{
	cr_expect_eq(d->events, n, "%u events", d->events);
	for (unsigned i = 0; i < n && i < d->events; i++)
		cr_expect(d->event[i].vector == want[i].vector && d->event[i].eip == want[i].eip,
			  "event %u: vector %#x at %#x, not %#x at %#x", i, d->event[i].vector,
			  d->event[i].eip, want[i].vector, want[i].eip);
}
#define EXPECT_EVENTS(d, ...)                                                                  \
	expect_events(d, sizeof((struct dl_event[]){ __VA_ARGS__ }) / sizeof(struct dl_event), \
		      (struct dl_event[]){ __VA_ARGS__ })

GUEST(do_nops, "sti\n nop\n nop\n nop\n" DONE);

static void both(unsigned nmi_gate, unsigned irq_gate, struct dl *d)
{
	static struct dl dry;

	dl_load(&dry, do_nops, do_nops_end);
	dl_go(&dry);
	dl_free(&dry);
	dl_load(d, do_nops, do_nops_end);
	d->dry = &dry;
	d->at = 2;
	d->what = DL_RAISE_IRQ | DL_RAISE_NMI;
	dl_gate(d, VEC_NMI, dl_handler(VEC_NMI), nmi_gate);
	dl_gate(d, DL_IRQ, dl_handler(DL_IRQ), irq_gate);
	dl_go(d);
	dl_free(d);
}

Test(deliver_order, nmi_comes_before_an_interrupt)
{
	static struct dl d;

	both(DL_INTERRUPT_GATE, DL_INTERRUPT_GATE, &d);
	EXPECT_EVENTS(&d, { .vector = VEC_NMI, .eip = CG_CODE + 2 },
		      { .vector = DL_IRQ, .eip = CG_CODE + 2 });
}

/* IF stays set: the interrupt is taken before the first instruction of the NMI's handler. */
Test(deliver_order, a_trap_gate_lets_the_next_in_at_once)
{
	static struct dl d;

	both(DL_TRAP_GATE, DL_INTERRUPT_GATE, &d);
	EXPECT_EVENTS(&d, { .vector = DL_IRQ, .eip = dl_handler(VEC_NMI) },
		      { .vector = VEC_NMI, .eip = CG_CODE + 2 });
}

/* The same without an engine in between: nothing traps in the first handler, and nothing kicks. */
GUEST(do_spin, "movl $0x40060,0xfee00300\n movl $0x400,0xfee00300\n nop\n" DONE
	       "do_spin_nmi: cmpl $0x190010,0x190000\n je do_spin_nmi\n" DONE);
extern const uint8_t do_spin_nmi[];

Test(deliver_order, a_trap_gate_lets_the_next_in_without_another_exit)
{
	static struct dl d;

	dl_load_bare(&d, do_spin, do_spin_end);
	d.v.regs.eflags |= FL_IF;
	/* Both wait when the guest starts: taken one on another. */
	dl_raise(&d, DL_RAISE_IRQ | DL_RAISE_NMI);
	dl_gate(&d, VEC_NMI, CG_CODE + (uint32_t)(do_spin_nmi - do_spin), DL_TRAP_GATE);
	dl_go(&d);
	EXPECT_EVENTS(&d, { .vector = DL_IRQ, .eip = CG_CODE + (uint32_t)(do_spin_nmi - do_spin) });
	dl_free_bare(&d);
}

#define SELF_NMI "movl $0x400,0xfee00300\n"
#define SELF_IRQ "movl $0x40060,0xfee00300\n"

GUEST(do_nested,
      SELF_NMI "nop\n" DONE
	       /* The first handler sends two more; they are one, and come behind its iret. */
	       "do_nested_nmi: cmpl $0x190010,0x190000\n jne 1f\n" SELF_NMI SELF_NMI
	       "nop\n pushf\n popf\n 1: jmp 0x101100 - 0x100000 + base\n");
extern const uint8_t do_nested_nmi[];

static void nested(bool lookahead)
{
	static struct dl d;

	dl_load(&d, do_nested, do_nested_end);
	d.vm.lookahead = lookahead;
	dl_gate(&d, VEC_NMI, CG_CODE + (uint32_t)(do_nested_nmi - do_nested), DL_INTERRUPT_GATE);
	dl_go(&d);
	EXPECT_EVENTS(&d, { .vector = VEC_NMI, .eip = CG_CODE + 10 },
		      { .vector = VEC_NMI, .eip = CG_CODE + 10 });
	cr_expect_eq(d.v.irq_stats->vector[VEC_NMI].n.raised, 3);
	cr_expect_eq(d.v.irq_stats->vector[VEC_NMI].n.coalesced, 1);
	cr_expect_eq(d.v.irq_stats->vector[VEC_NMI].n.delivered, 2);
	dl_free(&d);
}

Test(deliver_order, nmis_in_the_handler_are_one_behind_its_iret)
{
	nested(false);
}

Test(deliver_order, nmis_in_the_handler_are_one_with_lookahead)
{
	nested(true);
}

/*
 * The handler's IRET pops a selector beyond the GDT: #GP.  The NMI that waits is taken at the first
 * instruction of the #GP's handler, whatever IF is: the IRET has unblocked NMIs although it
 * faulted.
 */
GUEST(do_fault,
      SELF_NMI "do_fault_ret: nop\n" DONE "do_fault_nmi: btsl $0,0x180000\n jc 1f\n" SELF_NMI
	       "movl $0x48,4(%esp)\n do_fault_iret: iret\n 1: jmp 0x101100 - 0x100000 + base\n"
	       "do_fault_gp: movl $8,20(%esp)\n mov (%esp),%ebx\n lea 4(%esp),%esp\n iret\n");
extern const uint8_t do_fault_nmi[], do_fault_gp[], do_fault_iret[];

Test(deliver_order, an_iret_that_faults_unblocks_nmis)
{
	const uint32_t gp = CG_CODE + (uint32_t)(do_fault_gp - do_fault);
	static struct dl d;

	dl_load(&d, do_fault, do_fault_end);
	/* The second entry's frame is on the #GP handler, with IF clear. */
	dl_gate(&d, VEC_NMI, CG_CODE + (uint32_t)(do_fault_nmi - do_fault), DL_INTERRUPT_GATE);
	dl_gate(&d, VEC_GP, gp, DL_INTERRUPT_GATE);
	dl_go(&d);
	cr_assert_geq(d.events, 1);
	cr_expect_eq(d.event[0].eip, gp, "%#x", d.event[0].eip);
	cr_expect_eq(d.v.regs.gpr[EBX], 0x48);
	dl_free(&d);
}

/* ---- single steps ---- */

GUEST(do_tf, "push $0x302\n popf\n nop\n do_tf_2: nop\n do_tf_3: nop\n" DONE);
#define TF_NOP 2 /* boundary of the first nop; its trap is due at the second */

static void step(unsigned gate, struct dl *d)
{
	static struct dl dry;

	dl_load(&dry, do_tf, do_tf_end);
	dl_go(&dry);
	dl_free(&dry);
	dl_load(d, do_tf, do_tf_end);
	d->dry = &dry;
	d->at = TF_NOP;
	d->what = DL_RAISE_IRQ;
	d->when = DL_DURING;
	dl_gate(d, VEC_DB, dl_handler(VEC_DB), gate);
}

/* Table 6-2: a trap on the previous instruction comes before an interrupt. */
Test(deliver_order, a_single_step_trap_comes_before_an_interrupt)
{
	static struct dl d;

	step(DL_INTERRUPT_GATE, &d);
	dl_go(&d);
	EXPECT_EVENTS(&d, { .vector = VEC_DB, .eip = CG_CODE + 7 },
		      { .vector = DL_IRQ, .eip = CG_CODE + 7 });
	dl_free(&d);
	step(DL_TRAP_GATE, &d); /* its frame is there when the interrupt comes */
	dl_go(&d);
	EXPECT_EVENTS(&d, { .vector = DL_IRQ, .eip = dl_handler(VEC_DB) },
		      { .vector = VEC_DB, .eip = CG_CODE + 7 });
	dl_free(&d);
}

/* No trap is due yet: the interrupt first, with TF in its image; the step goes on behind its iret.
 */
Test(deliver_order, an_interrupt_before_the_first_step_keeps_tf_in_its_image)
{
	static struct dl d;

	step(DL_INTERRUPT_GATE, &d);
	d.when = DL_BEFORE;
	dl_go(&d);
	EXPECT_EVENTS(&d, { .vector = DL_IRQ, .eip = CG_CODE + 6 },
		      { .vector = VEC_DB, .eip = CG_CODE + 7 });
	cr_expect(d.events && d.event[0].eflags & FL_TF);
	dl_free(&d);
}

/* TF loaded by IRET traps behind the next instruction, not behind the IRET. */
GUEST(do_tf_iret, "push $0x102\n push $8\n push $" A("1f") "\n iret\n nop\n 1: nop\n nop\n" DONE);

Test(deliver_order, tf_loaded_by_iret_traps_behind_the_next_instruction)
{
	static struct dl d;

	dl_load_bare(&d, do_tf_iret, do_tf_iret_end);
	dl_go(&d);
	EXPECT_EVENTS(&d, { .vector = VEC_DB, .eip = CG_CODE + 15 });
	dl_free_bare(&d);
}

/* A single step of STI is not held off by its shadow; one of MOV SS is. */
GUEST(do_tf_sti, "push $0x102\n popf\n sti\n nop\n" DONE);
GUEST(do_tf_ss, "mov %ss,%eax\n push $0x102\n popf\n mov %eax,%ss\n nop\n nop\n" DONE);

Test(deliver_order, single_step_of_sti_and_of_mov_ss)
{
	static struct dl d;

	dl_load_bare(&d, do_tf_sti, do_tf_sti_end);
	dl_raise(&d, DL_RAISE_IRQ);
	dl_go(&d);
	EXPECT_EVENTS(&d, { .vector = VEC_DB, .eip = CG_CODE + 7 },
		      { .vector = DL_IRQ, .eip = CG_CODE + 7 });
	dl_free_bare(&d);
	dl_load_bare(&d, do_tf_ss, do_tf_ss_end);
	dl_go(&d);
	EXPECT_EVENTS(&d, { .vector = VEC_DB, .eip = CG_CODE + 11 });
	dl_free_bare(&d);
}

/* A HLT that is single-stepped traps behind itself and does not halt. */
GUEST(do_tf_hlt, "push $0x102\n popf\n hlt\n nop\n" DONE);

Test(deliver_order, single_step_of_hlt)
{
	static struct dl d;

	dl_load_bare(&d, do_tf_hlt, do_tf_hlt_end);
	dl_go(&d);
	EXPECT_EVENTS(&d, { .vector = VEC_DB, .eip = CG_CODE + 7 });
	dl_free_bare(&d);
}

/* ---- interrupted string instructions ---- */

/* Port 0xe0: the fifth read raises the interrupt. */
static void no_write(void *dev, uint64_t off, unsigned width, uint32_t val)
{
	(void)dev;
	(void)off;
	(void)width;
	(void)val;
}

static uint32_t count_reads(void *dev, uint64_t off, unsigned width)
{
	static unsigned n;
	struct dl *d = dev;

	(void)off;
	(void)width;
	if (++n == 5)
		dl_raise(d, d->what);
	return n;
}

GUEST(do_insb,
      "sti\n mov $0xe0,%dx\n mov $100,%ecx\n mov $0x120000,%edi\n do_insb_at: rep insb\n" DONE);
extern const uint8_t do_insb_at[];

Test(deliver_order, a_device_interrupts_the_string_that_reads_it)
{
	struct bus_range r = {
		.name = "counter", .base = 0xe0, .len = 1, .read = count_reads, .write = no_write
	};
	static struct dl d;

	dl_load(&d, do_insb, do_insb_end);
	r.dev = &d;
	cr_assert_eq(bus_add(&d.vm.pio, &r), 0);
	d.what = DL_RAISE_IRQ;
	dl_go(&d);
	EXPECT_EVENTS(&d, { .vector = DL_IRQ, .eip = CG_CODE + (uint32_t)(do_insb_at - do_insb) });
	cr_expect_eq(d.event[0].ecx, 95, "%u", d.event[0].ecx);
	cr_expect(d.event[0].eflags & FL_RF);
	for (unsigned i = 0; i < 100; i++)
		cr_expect_eq(d.vm.ram[0x120000 + i], i + 1);
	cr_expect_eq(d.v.regs.gpr[EDI], 0x120064);
	cr_expect_eq(d.v.regs.gpr[ECX], 0);
	dl_free(&d);
}

/*
 * A thread posts interrupts while the guest copies 1 MiB with the direction flag set, which takes a
 * while.  The guest goes on until one came in the middle: then each handler's ECX says how far the
 * copy was, and the copy must be right.
 */
GUEST(do_movs,
      "sti\n std\n"
      "1: mov $0x100000,%ecx\n mov $0x2fffff,%esi\n mov $0x3fffff,%edi\n movl $0x190010,0x190000\n"
      "do_movs_at: rep movsb\n do_movs_end_of:\n mov 0x190000,%eax\n sub $16,%eax\n"
      "2: cmp $0x190010,%eax\n jb 1b\n cmpl $" A(
	      "do_movs_at") ",4(%eax)\n jne 3f\n"
			    "cmpl $0x100000,8(%eax)\n jb 4f\n 3: sub $16,%eax\n jmp 2b\n "
			    "4:\n" DONE);
extern const uint8_t do_movs_at[];

static void *post_until_the_end(void *arg)
{
	const struct timespec ms = { .tv_nsec = 200000 };
	struct dl *d = arg;

	while (!atomic_load(&d->vm.stop)) {
		if (lapic_post(d->v.lapic, DL_IRQ, 1, host_ns())) {
			atomic_store(&d->v.irq_pending, true);
			vcpu_kick(&d->v);
		}
		nanosleep(&ms, NULL); /* the guest's progress does not depend on it */
	}
	return NULL;
}

Test(deliver_order, a_native_string_instruction_resumes_in_the_middle)
{
	const uint32_t at = CG_CODE + (uint32_t)(do_movs_at - do_movs);
	static struct dl d;
	pthread_t thread;
	unsigned middle = 0;

	dl_load_bare(&d, do_movs, do_movs_end);
	for (unsigned i = 0; i < 0x100000; i++)
		d.vm.ram[0x200000 + i] = (uint8_t)(i * 7 + (i >> 8));
	pthread_create(&thread, NULL, post_until_the_end, &d);
	dl_go(&d);
	pthread_join(thread, NULL);
	for (unsigned i = 0; i < d.events; i++) {
		const struct dl_event *ev = &d.event[i];

		if (ev->eip != at || !ev->ecx || ev->ecx == 0x100000)
			continue;
		middle++;
		cr_expect(ev->eflags & FL_RF, "ecx %#x: eflags %#x", ev->ecx, ev->eflags);
	}
	cr_expect_geq(middle, 1);
	cr_expect_eq(d.v.regs.gpr[ECX], 0);
	cr_expect_eq(d.v.regs.gpr[ESI], 0x1fffff);
	cr_expect_eq(d.v.regs.gpr[EDI], 0x2fffff);
	cr_expect_arr_eq(d.vm.ram + 0x300000, d.vm.ram + 0x200000, 0x100000);
	dl_free_bare(&d);
}
