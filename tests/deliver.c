/* SPDX-License-Identifier: MIT */
/*
 * Where an interrupt or NMI is taken: one is raised at every instruction boundary of short
 * sequences, before the instruction and while it executes, with and without --lookahead.
 * Sources: SDM Vol. 2, STI, POPF, IRET, MOV, POP, LSS, HLT; Vol. 3A, "Masking Exceptions and
 * Interrupts When Switching Stacks" (6.8.3), "Handling Multiple NMIs" (6.7.1), "Task and Processor
 * Priorities" (10.8.3.1).
 */
#include "tests/deliver.h"

TestSuite(deliver, .timeout = 60);

#define SS_EAX "mov %ss,%eax\n"
#define TPR    "0xfee00080"
#define EOI    "0xfee000b0"
#define ICR    "0xfee00300"

GUEST(dl_sti, "sti\n nop\n nop\n cli\n nop\n" DONE);
GUEST(dl_sti_sti, "sti\n sti\n nop\n" DONE);
GUEST(dl_sti_cli, "sti\n cli\n nop\n" DONE);
GUEST(dl_sti_jmp, "sti\n jmp 1f\n nop\n 1: nop\n" DONE);
GUEST(dl_sti_cpuid, "sti\n cpuid\n nop\n" DONE);
GUEST(dl_sti_hlt, "sti\n hlt\n nop\n cli\n" DONE);
GUEST(dl_sti_iret0, "push $2\n push $8\n push $" A("1f") "\n sti\n iret\n 1: nop\n" DONE);
GUEST(dl_sti_iret1, "push $0x202\n push $8\n push $" A("1f") "\n sti\n iret\n 1: nop\n" DONE);
GUEST(dl_iret, "push $0x202\n push $8\n push $" A("1f") "\n iret\n 1: nop\n cli\n" DONE);
GUEST(dl_popf, "push $0x202\n popf\n nop\n push $2\n popf\n nop\n" DONE);
GUEST(dl_sti_popf, "push $2\n sti\n popf\n nop\n" DONE);
GUEST(dl_movss, SS_EAX "sti\n nop\n mov %eax,%ss\n mov %esp,%esp\n nop\n" DONE);
GUEST(dl_movss_sti, SS_EAX "mov %eax,%ss\n sti\n nop\n nop\n" DONE);
GUEST(dl_sti_movss, SS_EAX "sti\n mov %eax,%ss\n mov %esp,%esp\n nop\n" DONE);
GUEST(dl_popss, "push %ss\n sti\n nop\n pop %ss\n nop\n nop\n" DONE);
GUEST(dl_movds, SS_EAX "sti\n nop\n mov %eax,%ds\n nop\n" DONE);
GUEST(dl_lss, "mov %esp,0x180000\n mov %ss,0x180004\n sti\n nop\n lss 0x180000,%esp\n nop\n" DONE);
GUEST(dl_ud, "sti\n ud2\n nop\n" DONE);
GUEST(dl_movss_ud, SS_EAX "mov %eax,%ss\n ud2\n nop\n" DONE);
GUEST(dl_int, "sti\n int $0x31\n nop\n" DONE);
GUEST(dl_tpr, "sti\n nop\n movl $0x60," TPR "\n nop\n movl $0x5f," TPR "\n nop\n" DONE);
GUEST(dl_eoi, "movl $0x40061," ICR "\n sti\n nop\n nop\n movl $0," EOI "\n nop\n" DONE);
GUEST(dl_rep,
      "mov $4,%ecx\n mov $0x110000,%esi\n mov $0x120000,%edi\n sti\n rep movsb\n nop\n" DONE);
GUEST(dl_rep0, "xor %ecx,%ecx\n sti\n rep movsb\n nop\n" DONE);
GUEST(dl_repmmio, "mov $3,%ecx\n mov $0xfee00020,%esi\n mov $0x120000,%edi\n sti\n nop\n"
		  "rep movsl\n nop\n" DONE);
GUEST(dl_io, "sti\n nop\n in $0x80,%al\n mov $2,%ecx\n mov $0x80,%dx\n mov $0x120000,%edi\n"
	     "rep insb\n nop\n" DONE);

struct dl_case {
	const char *name;
	const uint8_t *code, *end;
	/* For each boundary: may the interrupt, may the NMI be taken there?  '-': it is not tried.
	 */
	const char *irq, *nmi;
	int last;  /* highest boundary to raise at if the guest waits for it behind that, or 0 */
	int traps; /* boundary of an instruction that leads to the handler of @vector, or 0 */
	unsigned vector;
	int rep; /* boundary of a string instruction that is emulated, many iterations at once */
};

#define CASE(x, ...)                        \
	{                                   \
#x, x, x##_end, __VA_ARGS__ \
	}

/*
 * The boundary in front of an instruction: '1' taken there, '0' not.  The STI shadow may or may not
 * hold off an NMI (Vol. 2B, STI); here it does.
 */
static const struct dl_case cases[] = {
	CASE(dl_sti, .irq = "001100", .nmi = "101111"),
	CASE(dl_sti_sti, .irq = "0011", .nmi = "1011"),
	CASE(dl_sti_cli, .irq = "0000", .nmi = "1011"),
	CASE(dl_sti_jmp, .irq = "0011", .nmi = "1011"),
	CASE(dl_sti_cpuid, .irq = "0011", .nmi = "1011"),
	CASE(dl_sti_hlt, .irq = "00110", .last = 1),
	CASE(dl_sti_iret0, .irq = "0000000", .nmi = "1111011"),
	CASE(dl_sti_iret1, .irq = "0000011", .nmi = "1111011"),
	CASE(dl_iret, .irq = "0000110", .nmi = "1111111"),
	CASE(dl_popf, .irq = "0011100", .nmi = "1111111"),
	CASE(dl_sti_popf, .irq = "00000", .nmi = "11011"),
	CASE(dl_movss, .irq = "0001011", .nmi = "1101011"),
	CASE(dl_movss_sti, .irq = "000011", .nmi = "110011"),
	CASE(dl_sti_movss, .irq = "000011", .nmi = "110011"),
	CASE(dl_popss, .irq = "0001011", .nmi = "1101011"),
	CASE(dl_movds, .irq = "000111", .nmi = "110111"),
	CASE(dl_lss, .irq = "0000111", .nmi = "1110111"),
	CASE(dl_ud, .irq = "0011", .nmi = "1011", .traps = 1, .vector = 0x6),
	CASE(dl_movss_ud, .irq = "00000", .nmi = "11011", .traps = 2, .vector = 0x6),
	CASE(dl_int, .irq = "0011", .nmi = "1011", .traps = 1, .vector = 0x31),
	CASE(dl_tpr, .irq = "0010011", .nmi = "1011111"),
	CASE(dl_eoi, .irq = "0000011", .nmi = "1101111"),
	CASE(dl_rep, .irq = "0000011111", .nmi = "1111011111"),
	CASE(dl_rep0, .irq = "00011", .nmi = "11011"),
	CASE(dl_repmmio, .irq = "00000111", .nmi = "11110111", .rep = 5),
	CASE(dl_io, .irq = "001111111", .nmi = "101111111", .rep = 6),
};
#define CASES (sizeof(cases) / sizeof(cases[0]))

/*
 * The boundaries of @c, in @dry.  Nothing is raised, but for what a HLT waits for: the boundary
 * behind it is found like that.
 */
static void dry_run(struct dl *dry, const struct dl_case *c)
{
	dl_load(dry, c->code, c->end);
	if (c->last) {
		dry->at = c->last;
		dry->what = DL_RAISE_IRQ;
	}
	dl_go(dry);
	dl_free(dry);
}

/*
 * Where should what was raised at @d->at have been taken?  RF in the image: between the iterations
 * of a string instruction; Vol. 3B, 17.3.1.1.
 */
static bool expected(const struct dl_case *c, const struct dl *d, const char *allowed,
		     struct dl_boundary *want, bool *rf)
{
	unsigned n = (unsigned)d->at + (d->when == DL_DURING);

	*rf = false;
	if (c->rep && d->when == DL_DURING && d->at == c->rep) {
		*want = d->dry->boundary[d->at];
		want->ecx--;
		*rf = true;
		return true;
	}
	while (allowed[n] == '0')
		n++;
	if (c->traps && (allowed == c->nmi) && d->at <= c->traps && (int)n > c->traps) {
		*want = (struct dl_boundary){ dl_handler(c->vector), d->dry->boundary[n].ecx };
		return true;
	}
	if (!allowed[n])
		return false;
	*want = d->dry->boundary[n];
	*rf = n && d->dry->boundary[n - 1].eip == want->eip;
	if (c->vector == VEC_UD && (int)n == c->traps + 1)
		*rf = true; /* the handler's IRET has just loaded it */
	return true;
}

static void check(const struct dl_case *c, const struct dl *d, const char *allowed, unsigned vector)
{
	const struct dl_event *ev = dl_find(d, vector);
	const char *when = d->when == DL_BEFORE ? "before" : "during";
	struct dl_boundary want;
	bool rf;

	if (!expected(c, d, allowed, &want, &rf)) {
		cr_expect_null(ev, "%s: %#x raised %s %d, but taken", c->name, vector, when, d->at);
		return;
	}
	cr_expect_not_null(ev, "%s: %#x raised %s %d, lost", c->name, vector, when, d->at);
	if (!ev)
		return;
	cr_expect(ev->eip == want.eip && ev->ecx == want.ecx,
		  "%s: %#x raised %s %d, taken at %#x (ecx %u), not %#x (ecx %u)", c->name, vector,
		  when, d->at, ev->eip, ev->ecx, want.eip, want.ecx);
	cr_expect_eq(!!(ev->eflags & FL_RF), rf, "%s: %#x raised %s %d: eflags %#x", c->name,
		     vector, when, d->at, ev->eflags);
}

static void sweep(unsigned what, enum dl_when when, bool lookahead)
{
	static struct dl dry, d;

	for (unsigned i = 0; i < CASES; i++) {
		const struct dl_case *c = &cases[i];
		const char *allowed = what & DL_RAISE_IRQ ? c->irq : c->nmi;
		unsigned n, raised = 0;

		if (!allowed)
			continue;
		n = (unsigned)strlen(allowed);
		dry_run(&dry, c);
		cr_assert_eq(dry.boundaries, n, "%s has %u boundaries", c->name, dry.boundaries);
		for (unsigned at = 0; at < n && !(c->last && (int)at > c->last); at++) {
			dl_load(&d, c->code, c->end);
			d.at = (int)at;
			d.what = what;
			d.when = when;
			d.dry = &dry;
			d.vm.lookahead = lookahead;
			dl_go(&d);
			/* What is emulated ahead has no boundary: the next, or there is none. */
			cr_expect(d.raised || lookahead, "%s: not raised at %u", c->name, at);
			if (d.raised && !(when == DL_DURING && d.at + 1 == (int)n))
				check(c, &d, allowed, what & DL_RAISE_IRQ ? DL_IRQ : VEC_NMI);
			lapic_posted_settle(d.v.lapic);
			cr_expect_eq(d.v.irq_stats->vector[DL_IRQ].n.raised,
				     d.raised && (what & DL_RAISE_IRQ));
			raised += d.raised;
			dl_free(&d);
		}
		cr_expect_geq(raised, 1, "%s", c->name);
	}
}

Test(deliver, interrupt_at_every_boundary)
{
	sweep(DL_RAISE_IRQ, DL_BEFORE, false);
}

Test(deliver, interrupt_during_every_instruction)
{
	sweep(DL_RAISE_IRQ, DL_DURING, false);
}

Test(deliver, nmi_at_every_boundary)
{
	sweep(DL_RAISE_NMI, DL_BEFORE, false);
}

Test(deliver, nmi_during_every_instruction)
{
	sweep(DL_RAISE_NMI, DL_DURING, false);
}

Test(deliver, interrupt_with_lookahead)
{
	sweep(DL_RAISE_IRQ, DL_BEFORE, true);
	sweep(DL_RAISE_IRQ, DL_DURING, true);
}
