/* SPDX-License-Identifier: MIT */
/*
 * The model of hardware: complete (every instruction, every cause), exact for guests whose every
 * instruction is known, and consistent with the account of whole runs.
 */
#include <json-c/json.h>

#include "decoder/sensitive.h"
#include "tests/child.h"
#include "tests/devices.h"
#include "tests/paging_guest.h"
#include "vmm/cli.h"
#include "vmm/dev/devices.h"
#include "vmm/irq_stats.h"
#include "vmm/machine.h"
#include "vmm/model.h"

/* ---- completeness ---- */

/* The events that an instruction of each class can be, but for exceptions. */
static const uint8_t md_events[HWC_COUNT][6] = {
	[HWC_NATIVE] = { EV_NATIVE },
	[HWC_CPUID] = { EV_CPUID },
	[HWC_HLT] = { EV_HLT },
	[HWC_IO] = { EV_IO },
	[HWC_CR0_READ] = { EV_CR0_READ, EV_CR0_READ_UNCACHED },
	[HWC_CR0_WRITE] = { EV_CR0_TS, EV_CR0_MP, EV_CR0_WP, EV_CR0_UNCACHED, EV_CR0_OWNED },
	[HWC_CR3] = { EV_CR3 },
	[HWC_CR4_READ] = { EV_CR4_READ },
	[HWC_CR4_WRITE] = { EV_CR4_GUEST, EV_CR4_PGE, EV_CR4_OWNED },
	[HWC_DR] = { EV_DR },
	[HWC_CACHE] = { EV_CACHE },
	[HWC_INVLPG] = { EV_INVLPG },
	[HWC_MSR] = { EV_MSR, EV_MSR_TSC, EV_MSR_SYSENTER },
	[HWC_RDPMC] = { EV_RDPMC },
	[HWC_XSETBV] = { EV_XSETBV },
	[HWC_MWAIT] = { EV_MWAIT },
	[HWC_PAUSE] = { EV_PAUSE },
	[HWC_IRET] = { EV_NATIVE, EV_IRET_NMI },
	[HWC_INT1] = { EV_INT1 },
	[HWC_VMX] = { EV_VMX },
	[HWC_SVM] = { EV_SVM },
	[HWC_UD] = { EV_UD },
	[HWC_UNOFFERED] = { EV_UNOFFERED },
};

/* The two columns of what can exit, by the manuals, against what does, by the model. */
static void md_agree(const struct sensitive *s, unsigned exits, enum model_config c)
{
	unsigned never = 0, always = 0, n = 0;

	for (; n < 6 && md_events[s->hw][n]; n++) {
		unsigned v = model_answer(md_events[s->hw][n])->verdict[c];

		never += v == MODEL_NO;
		always += v == MODEL_YES;
	}
	cr_assert_gt(n, 0, "%s: class %s has no event", s->form, hw_class_name(s->hw));
	if (s->hw == HWC_UNOFFERED) /* the columns are of a CPU that has the instruction */
		return;
	switch (exits) {
	case HW_NEVER:
		cr_expect_gt(never, 0, "%s: class %s in %s", s->form, hw_class_name(s->hw),
			     model_config_name(c));
		break;
	case HW_ALWAYS:
	case HW_UD: /* KVM intercepts #UD */
		cr_expect_eq(always, n, "%s: class %s in %s", s->form, hw_class_name(s->hw),
			     model_config_name(c));
		break;
	case HW_CONTROL:
		cr_expect_lt(never, n, "%s: class %s in %s", s->form, hw_class_name(s->hw),
			     model_config_name(c));
		break;
	case HW_CONTROL_OFF:
		cr_expect_lt(always, n, "%s: class %s in %s", s->form, hw_class_name(s->hw),
			     model_config_name(c));
		break;
	}
}

Test(model, every_instruction_has_a_class_that_agrees_with_its_columns)
{
	size_t n;
	const struct sensitive *t = sensitive_table(&n);

	for (size_t i = 0; i < n; i++) {
		cr_assert_lt(t[i].hw, HWC_COUNT, "%s", t[i].form);
		cr_assert_str_neq(hw_class_name(t[i].hw), "?", "%s", t[i].form);
		md_agree(&t[i], t[i].vtx, MODEL_VTX_EPT);
		md_agree(&t[i], t[i].svm, MODEL_SVM_NPT);
	}
}

Test(model, every_cause_is_an_event)
{
	char name[32];

	for (unsigned cause = CAUSE_MMIO; cause <= CAUSE_EXIT(EXIT_DEAD); cause++) /* then KVM's */
		cr_expect_neq(model_event_of(cause, EV_NONE), EV_NONE, "%s",
			      cause_name(cause, name, sizeof(name)));
	cr_expect_eq(model_event_of(CAUSE_COUNT, EV_NONE), EV_NONE);
}

Test(model, every_event_has_an_answer_with_reasons)
{
	for (unsigned e = 0; e < EV_COUNT; e++) {
		const struct model_answer *a = model_answer(e);
		const char *const texts[] = { a->name, a->vtx, a->svm, a->vtx_ref, a->svm_ref };

		for (size_t i = 0; i < 5; i++)
			cr_assert(texts[i] && *texts[i], "event %u", e);
		for (unsigned c = 0; c < MODEL_CONFIGS; c++)
			cr_expect_str_neq(model_verdict_name(a->verdict[c]), "?", "%s", a->name);
		for (unsigned other = 0; other < e; other++)
			cr_expect_str_neq(a->name, model_answer(other)->name);
		/* More support from the hardware makes no more exits. */
		if (a->verdict[MODEL_VTX_EPT] == MODEL_NO)
			cr_expect_eq(a->verdict[MODEL_VTX_APICV], MODEL_NO, "%s", a->name);
		if (a->verdict[MODEL_VTX_SHADOW] == MODEL_NO)
			cr_expect_eq(a->verdict[MODEL_VTX_EPT], MODEL_NO, "%s", a->name);
		if (a->verdict[MODEL_SVM_NPT] == MODEL_NO)
			cr_expect_eq(a->verdict[MODEL_SVM_AVIC], MODEL_NO, "%s", a->name);
	}
}

Test(model, the_document_explains_every_event_and_configuration)
{
	FILE *f = fopen("docs/hardware-assist.md", "r");
	char *doc = NULL, want[128];
	size_t size = 0, n;
	const struct model_unseen *u;

	cr_assert_not_null(f);
	cr_assert_gt(getdelim(&doc, &size, '\0', f), 0);
	fclose(f);
	for (unsigned e = 0; e < EV_COUNT; e++) {
		snprintf(want, sizeof(want), "\n- **%s**", model_answer(e)->name);
		cr_expect_not_null(strstr(doc, want), "no item for %s", model_answer(e)->name);
	}
	for (unsigned c = 0; c < MODEL_CONFIGS; c++) {
		snprintf(want, sizeof(want), "| %s | `%s` |", model_config_title(c),
			 model_config_name(c));
		cr_expect_not_null(strstr(doc, want), "no row %s", want);
	}
	u = model_unseen(&n);
	for (size_t i = 0; i < n; i++) {
		snprintf(want, sizeof(want), "\n- **%s**", u[i].what);
		cr_expect_not_null(strstr(doc, want), "no item for %s", u[i].what);
	}
	free(doc);
}

/* ---- guests of which every instruction is known ---- */

struct md_want {
	unsigned cause;
	enum model_event event;
	uint64_t count;
};

/* The row of @cause and @event, or NULL. */
static const struct model_row *md_row(const struct model *m, unsigned cause, enum model_event event)
{
	for (size_t i = 0; i < m->rows; i++)
		if (m->row[i].cause == cause && m->row[i].event == event)
			return &m->row[i];
	return NULL;
}

static void md_expect(const struct model *m, const struct md_want *want, size_t n)
{
	char name[32];

	for (size_t i = 0; i < n; i++) {
		const struct model_row *row = md_row(m, want[i].cause, want[i].event);

		cr_expect_eq(row ? row->count : 0, want[i].count, "%s, %s: %lu, not %lu",
			     cause_name(want[i].cause, name, sizeof(name)),
			     model_answer(want[i].event)->name, row ? (unsigned long)row->count : 0,
			     (unsigned long)want[i].count);
	}
	cr_expect_null(md_row(m, CAUSE_EXC(VEC_PF), EV_NONE));
	for (size_t i = 0; i < m->rows; i++)
		cr_expect_neq(m->row[i].event, EV_NONE, "cause %u is not classified",
			      m->row[i].cause);
}

/* All exits but those for RAM, which the answers must make exact. */
static void md_expect_total(const struct model *m, enum model_config c, uint64_t min, uint64_t max)
{
	const struct model_row *ram = md_row(m, CAUSE_COUNT, EV_RAM);

	cr_assert_not_null(ram);
	cr_expect_eq(m->total[c].min - ram->exits[c].min, min, "%s: at least %lu, not %lu",
		     model_config_name(c), (unsigned long)(m->total[c].min - ram->exits[c].min),
		     (unsigned long)min);
	if (c == MODEL_VTX_SHADOW) {
		cr_expect_eq(m->total[c].max, MODEL_UNKNOWN, "its faults are not seen");
		return;
	}
	cr_expect_eq(m->total[c].max - ram->exits[c].max, max, "%s: at most %lu, not %lu",
		     model_config_name(c), (unsigned long)(m->total[c].max - ram->exits[c].max),
		     (unsigned long)max);
}

#define EXPECT(m, ...)                                        \
	md_expect(m, (const struct md_want[]){ __VA_ARGS__ }, \
		  sizeof((const struct md_want[]){ __VA_ARGS__ }) / sizeof(struct md_want))

GUEST(md_simple, ".rept 10\n xor %eax,%eax\n cpuid\n .endr\n .rept 4\n mov $1,%al\n out %al,$0xf3\n"
		 ".endr\n .rept 3\n pushf\n popf\n .endr\n cli\n sti\n rdtsc\n" DONE);

/* 10 cpuid, 5 out; popf, cli and the rest stay in the guest: the same in all configurations. */
Test(model, cpuid_and_out_exit_popf_does_not, .timeout = 120)
{
	static struct cg g;
	struct model *m;

	RUN(&g, md_simple);
	m = model_compute(&g.vm);
	cr_assert_not_null(m);
	EXPECT(m, { OP_CPUID, EV_CPUID, 10 }, { OP_OUT, EV_IO, 5 }, { OP_POPF, EV_NATIVE, 3 },
	       { OP_PUSHF, EV_NATIVE, 3 }, { OP_CLI, EV_NATIVE, 1 }, { OP_STI, EV_NATIVE, 1 });
	for (unsigned c = 0; c < MODEL_CONFIGS; c++)
		md_expect_total(m, c, 15, 15);
	cr_expect_eq(m->world, account_total(g.v.account));
	model_free(m);
	cg_free(&g);
}

/* CR0 is 0x11 at first: PE, ET. */
GUEST(md_control,
      "mov %cr0,%eax\n or $8,%eax\n mov %eax,%cr0\n clts\n mov %eax,%cr0\n"    /* TS: 3 times */
      "and $~8,%eax\n mov %eax,%cr0\n mov %eax,%cr0\n"                         /* TS, nothing */
      "or $2,%eax\n mov %eax,%cr0\n lmsw %ax\n and $~2,%eax\n mov %eax,%cr0\n" /* MP, -, MP */
      "or $0x10000,%eax\n mov %eax,%cr0\n"                                     /* WP */
      "or $0x40000,%eax\n mov %eax,%cr0\n"                                     /* AM */
      "and $~0x10,%eax\n mov %eax,%cr0\n" /* ET: reads as one */
      "smsw %ebx\n"
      "mov %cr4,%ecx\n or $8,%ecx\n mov %ecx,%cr4\n mov %ecx,%cr4\n" /* DE, nothing */
      "or $0x80,%ecx\n mov %ecx,%cr4\n"                              /* PGE */
      "or $0x10,%ecx\n mov %ecx,%cr4\n mov %cr4,%ecx\n"              /* PSE */
      "mov %eax,%cr3\n mov %eax,%cr3\n mov %cr3,%edx\n mov %eax,%cr2\n mov %cr2,%eax\n"
      "invlpg 0x1000\n wbinvd\n" DONE);

Test(model, control_registers_exit_by_the_bits_that_change, .timeout = 120)
{
	static struct cg g;
	struct model *m;

	RUN(&g, md_control);
	m = model_compute(&g.vm);
	cr_assert_not_null(m);
	EXPECT(m, { OP_MOV_TO_CR, EV_CR0_TS, 4 }, { OP_CLTS, EV_CR0_TS, 1 },
	       { OP_LMSW, EV_CR0_TS, 1 }, { OP_MOV_TO_CR, EV_CR0_MP, 2 },
	       { OP_MOV_TO_CR, EV_CR0_WP, 1 }, { OP_MOV_TO_CR, EV_CR0_OWNED, 2 },
	       { OP_MOV_FROM_CR, EV_CR0_READ, 1 }, { OP_SMSW, EV_CR0_READ, 1 },
	       { OP_MOV_FROM_CR, EV_CR4_READ, 2 }, { OP_MOV_TO_CR, EV_CR4_GUEST, 2 },
	       { OP_MOV_TO_CR, EV_CR4_PGE, 1 }, { OP_MOV_TO_CR, EV_CR4_OWNED, 1 },
	       { OP_MOV_TO_CR, EV_CR3, 2 }, { OP_MOV_FROM_CR, EV_CR3, 1 },
	       { OP_MOV_TO_CR, EV_NATIVE, 1 }, { OP_MOV_FROM_CR, EV_NATIVE, 1 },
	       { OP_INVLPG, EV_INVLPG, 1 }, { OP_WBINVD, EV_CACHE, 1 });
	/* MP 2, AM and ET 2, PSE 1, wbinvd 1, out 1; WP by Linux version. */
	md_expect_total(m, MODEL_VTX_EPT, 7, 8);
	md_expect_total(m, MODEL_VTX_APICV, 7, 8);
	/* And WP, PGE, CR3 3, invlpg. */
	md_expect_total(m, MODEL_VTX_SHADOW, 13, 13);
	/* WP, AM and ET 2, CR4 4 + 2, wbinvd, out. */
	md_expect_total(m, MODEL_SVM_NPT, 11, 11);
	md_expect_total(m, MODEL_SVM_AVIC, 11, 11);
	model_free(m);
	cg_free(&g);
}

GUEST(md_caches_off,
      "mov %cr0,%eax\n or $0x40000000,%eax\n mov %eax,%cr0\n mov %cr0,%ebx\n"
      "mov %eax,%cr0\n and $~0x40000000,%eax\n mov %eax,%cr0\n mov %cr0,%ebx\n" DONE);

/* KVM's svm_set_cr0(): with CD set the register that the CPU has is not the guest's. */
Test(model, svm_intercepts_cr0_while_the_caches_are_off, .timeout = 120)
{
	static struct cg g;
	struct model *m;

	RUN(&g, md_caches_off);
	m = model_compute(&g.vm);
	cr_assert_not_null(m);
	EXPECT(m, { OP_MOV_FROM_CR, EV_CR0_READ, 2 }, { OP_MOV_FROM_CR, EV_CR0_READ_UNCACHED, 1 },
	       { OP_MOV_TO_CR, EV_CR0_OWNED, 2 }, { OP_MOV_TO_CR, EV_CR0_UNCACHED, 1 });
	md_expect_total(m, MODEL_VTX_EPT, 3, 4);
	md_expect_total(m, MODEL_SVM_NPT, 5, 5);
	model_free(m);
	cg_free(&g);
}

GUEST(md_msr, "mov $0x10,%ecx\n rdmsr\n rdmsr\n wrmsr\n"
	      "mov $0x174,%ecx\n xor %eax,%eax\n xor %edx,%edx\n wrmsr\n rdmsr\n"
	      "mov $0xc0000080,%ecx\n rdmsr\n wrmsr\n"
	      "mov %dr0,%eax\n mov %eax,%dr0\n mov %dr7,%eax\n" DONE);

Test(model, msrs_exit_by_index_debug_registers_once_or_more, .timeout = 120)
{
	static struct cg g;
	struct model *m;

	RUN(&g, md_msr);
	m = model_compute(&g.vm);
	cr_assert_not_null(m);
	EXPECT(m, { OP_RDMSR, EV_MSR_TSC, 2 }, { OP_WRMSR, EV_MSR, 2 }, { OP_RDMSR, EV_MSR, 1 },
	       { OP_WRMSR, EV_MSR_SYSENTER, 1 }, { OP_RDMSR, EV_MSR_SYSENTER, 1 },
	       { OP_MOV_FROM_DR, EV_DR, 2 }, { OP_MOV_TO_DR, EV_DR, 1 });
	/* Reads and writes of debug registers are two causes, but have one first access. */
	md_expect_total(m, MODEL_VTX_EPT, 3 + 1 + 1, 3 + 3 + 1);
	md_expect_total(m, MODEL_SVM_NPT, 5 + 1 + 1, 5 + 3 + 1);
	model_free(m);
	cg_free(&g);
}

/* Before a VM exit: #GP by privilege, #UD; after it: #GP for the value.  SDM Vol. 3C, 26.1.1. */
GUEST(md_faults, PK_KERNEL PK_PAGING
      "mov $0xdead,%ecx\n" PK_TRY("rdmsr") "mov $0x80000000,%eax\n" PK_TRY("mov %eax,%cr4")
	      PK_TRY("ud2") PK_TO_USER("1f") ".balign 4096\n 1:" PK_TRY("hlt") PK_TRY("rdmsr")
		      PK_TRY("mov %cr0,%eax") PK_TRY("out %al,$0x99") PK_TRY("mov %dr0,%eax")
			      PK_TRY("mov 0x300000,%eax") PK_END);

Test(model, what_faults_exits_by_the_order_of_fault_and_exit, .timeout = 120)
{
	static struct cg g;
	struct model *m;

	pk_load(&g, md_faults, md_faults_end);
	*pk_pte(&g, CG_CODE + 0x1000) |= 4;
	*pk_pte(&g, PK_COUNT) |= 4;
	*pk_word(&g, PK_PD) |= 4;
	cg_go(&g);
	m = model_compute(&g.vm);
	cr_assert_not_null(m);
	EXPECT(m, { OP_RDMSR, EV_MSR, 1 }, { OP_MOV_TO_CR, EV_CR4_FAULT, 1 },
	       { CAUSE_EXC(VEC_UD), EV_EXC_UD, 1 }, { OP_HLT, EV_EXC, 1 }, { OP_RDMSR, EV_EXC, 1 },
	       { OP_MOV_FROM_CR, EV_EXC, 1 }, { OP_MOV_FROM_DR, EV_DR, 1 },
	       { CAUSE_EXC(VEC_PF), EV_EXC_PF, 1 }, { OP_OUT, EV_IO, 1 }, { OP_OUT, EV_EXC, 1 });
	model_free(m);
	cg_free(&g);
}

/* ---- RAM ---- */

GUEST(md_ram, "mov %eax,0x200000\n mov %eax,0x200ffc\n mov %eax,0x201000\n mov 0x202000,%eax\n"
	      "mov %eax,0x180000\n" DONE);

/*
 * One page of code was there; four more are touched, three of them in the second 2 MiB, and the
 * scanner looks at the page behind the code.
 */
Test(model, ram_is_counted_by_pages_touched, .timeout = 120)
{
	static struct cg g;
	const struct model_row *ram;
	struct model *m;

	RUN(&g, md_ram);
	m = model_compute(&g.vm);
	cr_assert_not_null(m);
	cr_assert(m->pages.known);
	cr_expect_eq(m->pages.before, 1, "%lu", (unsigned long)m->pages.before);
	cr_expect_eq(m->pages.after, 6, "%lu", (unsigned long)m->pages.after);
	cr_expect_eq(m->pages.chunks, 2, "%lu", (unsigned long)m->pages.chunks);
	ram = md_row(m, CAUSE_COUNT, EV_RAM);
	cr_assert_not_null(ram);
	cr_expect_eq(ram->exits[MODEL_VTX_EPT].min, 2);
	cr_expect_eq(ram->exits[MODEL_SVM_AVIC].max, 6);
	cr_expect_eq(ram->exits[MODEL_VTX_SHADOW].max, MODEL_UNKNOWN);
	model_free(m);
	cg_free(&g);
}

/* ---- the local APIC, interrupts ---- */

static struct bench md_b;
static struct vm md_vm;
static struct vcpu md_v;

static void md_setup(void)
{
	static const struct lapic_host host;

	bench_init(&md_b);
	md_vm = (struct vm){ .ram_fd = -1, .vcpus = 1, .vcpu = { &md_v } };
	md_v = (struct vcpu){ .vm = &md_vm, .account = account_new() };
	md_v.irq_stats = irq_stats_new();
	md_v.lapic = lapic_new(0, &md_b.timers, &host);
	lapic_set_stats(md_v.lapic, md_v.irq_stats);
	lapic_mmio_write(md_v.lapic, 0xf0, 4, 0x1ff);
}

static void md_teardown(void)
{
	lapic_free(md_v.lapic);
	irq_stats_free(md_v.irq_stats);
	account_free(md_v.account);
}

TestSuite(model_irq, .init = md_setup, .fini = md_teardown);

static uint64_t md_count(unsigned cause, enum model_event e)
{
	return model_count(account_model(md_v.account), cause, e);
}

/* One access in memory, or as an MSR: what is it? */
static enum model_event md_access(uint32_t off, bool write, uint32_t val, bool msr)
{
	unsigned cause = msr ? OP_WRMSR : CAUSE_MMIO;
	uint64_t before[EV_COUNT];

	for (unsigned e = 0; e < EV_COUNT; e++)
		before[e] = md_count(cause, e);
	model_lapic(&md_v, off, write, val, msr);
	model_exit(&md_v, cause);
	for (unsigned e = 0; e < EV_COUNT; e++)
		if (md_count(cause, e) != before[e])
			return e;
	return EV_NONE;
}

/* SDM Vol. 3C, 29.4.2 and 29.4.3.1: the offsets that APIC-register virtualization knows. */
Test(model_irq, registers_by_offset_and_direction)
{
	static const struct {
		uint32_t off;
		bool write;
		uint32_t val;
		enum model_event mmio, msr;
	} rows[] = {
		{ 0x020, false, 0, EV_LAPIC_READ, EV_X2APIC_READ },
		{ 0x080, false, 0, EV_LAPIC_TPR_READ, EV_X2APIC_TPR },
		{ 0x080, true, 0, EV_LAPIC_TPR_WRITE, EV_X2APIC_TPR },
		{ 0x0a0, false, 0, EV_LAPIC_READ_OTHER, EV_X2APIC_READ },
		{ 0x0b0, true, 0, EV_LAPIC_EOI, EV_X2APIC_EOI },
		{ 0x0f0, true, 0, EV_LAPIC_WRITE, EV_LAPIC_WRITE },
		{ 0x100, false, 0, EV_LAPIC_READ, EV_X2APIC_READ },
		{ 0x270, false, 0, EV_LAPIC_READ, EV_X2APIC_READ },
		{ 0x300, false, 0, EV_LAPIC_READ, EV_X2APIC_READ },
		{ 0x300, true, 0x00040, EV_LAPIC_ICR, EV_LAPIC_ICR },
		{ 0x300, true, 0x40040, EV_LAPIC_ICR_SELF, EV_LAPIC_ICR_SELF },
		{ 0x300, true, 0xc0040, EV_LAPIC_ICR_MANY, EV_LAPIC_ICR_MANY },
		{ 0x300, true, 0x04500, EV_LAPIC_ICR_OTHER, EV_LAPIC_ICR_OTHER },
		{ 0x300, true, 0x00140, EV_LAPIC_ICR_OTHER, EV_LAPIC_ICR_OTHER },
		{ 0x300, true, 0x00008, EV_LAPIC_ICR_OTHER, EV_LAPIC_ICR_OTHER },
		{ 0x310, true, 0, EV_LAPIC_ICR_HIGH, EV_LAPIC_WRITE },
		{ 0x380, true, 0, EV_LAPIC_WRITE, EV_LAPIC_WRITE },
		{ 0x390, false, 0, EV_LAPIC_READ_OTHER, EV_LAPIC_READ_OTHER },
		{ 0x3f0, true, 0x40, EV_LAPIC_WRITE, EV_X2APIC_SELF },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_expect_eq(md_access(rows[i].off, rows[i].write, rows[i].val, false),
			     rows[i].mmio, "row %zu", i);
		cr_expect_eq(md_access(rows[i].off, rows[i].write, rows[i].val, true), rows[i].msr,
			     "row %zu as MSR", i);
	}
	/* Of a read and a write by one instruction, the write is the exit with APICv. */
	model_lapic(&md_v, 0x320, false, 0, false);
	model_lapic(&md_v, 0x320, true, 0, false);
	model_exit(&md_v, CAUSE_MMIO);
	cr_expect_eq(md_count(CAUSE_MMIO, EV_LAPIC_WRITE), 4);
}

Test(model_irq, an_eoi_by_what_it_ends)
{
	lapic_deliver_from(md_v.lapic, 0x40, false, IRQ_PATH_IPI);
	lapic_ack(md_v.lapic);
	cr_expect_eq(md_access(0xb0, true, 0, false), EV_LAPIC_EOI);
	lapic_eoi(md_v.lapic);
	lapic_deliver_from(md_v.lapic, 0x41, false, IRQ_PATH_EXTERNAL);
	lapic_ack(md_v.lapic);
	cr_expect_eq(md_access(0xb0, true, 0, false), EV_LAPIC_EOI_DEVICE);
	lapic_eoi(md_v.lapic);
	lapic_deliver_from(md_v.lapic, 0x42, true, IRQ_PATH_EXTERNAL);
	lapic_ack(md_v.lapic);
	cr_expect_eq(md_access(0xb0, true, 0, true), EV_LAPIC_EOI_LEVEL);
}

Test(model_irq, an_interrupt_by_where_it_finds_the_vcpu)
{
	const unsigned none = CAUSE_COUNT;

	md_v.halted = true;
	model_interrupt(&md_v, false, 0x40);
	md_v.halted = false;
	cr_expect_eq(md_count(none, EV_IRQ_HALTED), 1);

	model_exit(&md_v, CAUSE_EXIT(EXIT_KICK));
	model_interrupt(&md_v, true, 0x20);
	cr_expect_eq(md_count(none, EV_IRQ_RUNNING_PIC), 1);
	model_interrupt(&md_v, false, 0x41); /* the kick was the other's */
	cr_expect_eq(md_count(none, EV_IRQ_STOPPED), 1);

	lapic_deliver_from(md_v.lapic, 0x42, false, IRQ_PATH_SYSTEM);
	lapic_ack(md_v.lapic);
	model_exit(&md_v, CAUSE_EXIT(EXIT_KICK));
	model_interrupt(&md_v, false, 0x42);
	cr_expect_eq(md_count(none, EV_IRQ_RUNNING_TIMER), 1);

	/* It lost its pCPU after the kick: nobody was running. */
	model_exit(&md_v, CAUSE_EXIT(EXIT_KICK));
	model_leave(&md_v);
	model_interrupt(&md_v, false, 0x41);
	cr_expect_eq(md_count(none, EV_IRQ_STOPPED), 2);
	cr_expect_eq(md_count(none, EV_WINDOW), 0);
	cr_expect_eq(md_count(none, EV_WINDOW_PIC), 0);
}

/* ---- whole runs ---- */

static struct json_object *md_get(struct json_object *o, const char *key)
{
	struct json_object *val = NULL;

	cr_assert(json_object_object_get_ex(o, key, &val), "no key %s", key);
	return val;
}

static int64_t md_num(struct json_object *o, const char *key)
{
	return json_object_get_int64(md_get(o, key));
}

static bool md_is(struct json_object *o, const char *key, const char *text)
{
	const char *val = json_object_get_string(md_get(o, key));

	return val && !strcmp(val, text);
}

/* Sum of @o's list @key where member @name is @text. */
static int64_t md_sum(struct json_object *o, const char *key, const char *name, const char *text)
{
	struct json_object *list = md_get(o, key);
	int64_t sum = 0;

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *row = json_object_array_get_idx(list, i);

		if (md_is(row, name, text))
			sum += md_num(row, "count");
	}
	return sum;
}

/* Causes, world and interrupts of the model are those of the account; totals are the rows'. */
static void md_consistent(struct json_object *account)
{
	struct json_object *model = md_get(account, "model"), *rows = md_get(model, "rows");
	struct json_object *causes = md_get(account, "causes"), *list;
	int64_t irqs = 0, external = 0, min[MODEL_CONFIGS] = { 0 };

	cr_expect_eq(md_num(model, "world"), md_num(account, "exits"));
	for (size_t i = 0; i < json_object_array_length(causes); i++) {
		struct json_object *c = json_object_array_get_idx(causes, i);
		const char *name = json_object_get_string(md_get(c, "cause"));

		cr_expect_eq(md_sum(model, "rows", "cause", name), md_num(c, "count"), "%s", name);
	}
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		const char *event = json_object_get_string(md_get(row, "event"));

		cr_expect_str_neq(event, "unclassified");
		cr_expect(json_object_object_get_ex(md_get(model, "events"), event, &list));
		if (strstr(event, "interrupt, ") == event || strstr(event, "PIC interrupt") ||
		    strstr(event, "LAPIC timer, "))
			irqs += md_num(row, "count");
		for (unsigned c = 0; c < MODEL_CONFIGS; c++)
			min[c] += json_object_get_int64(json_object_array_get_idx(
				md_get(md_get(row, "exits"), model_config_name(c)), 0));
	}
	list = md_get(account, "injected");
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *row = json_object_array_get_idx(list, i);

		if (json_object_get_boolean(md_get(row, "external")))
			external += md_num(row, "count");
	}
	cr_expect_eq(irqs, external, "%ld interrupts, %ld injected", (long)irqs, (long)external);
	for (unsigned c = 0; c < MODEL_CONFIGS; c++) {
		list = md_get(md_get(model, "total"), model_config_name(c));
		cr_expect_eq(json_object_get_int64(json_object_array_get_idx(list, 0)), min[c]);
	}
}

static struct json_object *md_run(const char *guest, const char *smp, const char *append,
				  const char *module)
{
	static struct child c;
	struct json_object *o;

	c = (struct child){ .argv = { child_ringside(), "run", "--stats=json", "--smp", smp,
				      child_guest(guest), "--append", append,
				      module ? "--module" : NULL, module },
			    .seconds = 90 };
	child_run(&c);
	cr_assert_eq(c.status, 33, "%s %s: status %d\n%s", guest, append, c.status, c.err);
	o = json_tokener_parse(c.err);
	cr_assert_not_null(o, "%s", c.err);
	return o;
}

/* minios writes the console by port, uses the APIC's timer and halts. */
Test(model, a_run_without_paging_agrees_with_its_account, .timeout = 120)
{
	struct json_object *o = md_run("minios", "1", "demo", NULL);
	struct json_object *model = md_get(o, "model");

	md_consistent(o);
	cr_expect_gt(md_sum(model, "rows", "event", "LAPIC EOI"), 0);
	cr_expect_gt(md_sum(model, "rows", "event", "hlt"), 0);
	cr_expect_gt(md_sum(model, "rows", "event", "interrupt, vCPU halted"), 0);
	json_object_put(o);
}

Test(model, a_run_with_paging_agrees_with_its_account, .timeout = 120)
{
	char module[512];
	struct json_object *o, *model;

	snprintf(module, sizeof(module), "%s/minios-programs.a", getenv("GUESTS"));
	o = md_run("minios", "1", "script=forktest", module);
	model = md_get(o, "model");
	md_consistent(o);
	cr_expect_gt(md_sum(model, "rows", "event", "CR3"), 0);
	cr_expect_gt(md_sum(model, "rows", "event", "exception #PF"), 0);
	json_object_put(o);
}

Test(model, a_run_of_several_vcpus_agrees_with_its_account, .timeout = 120)
{
	struct json_object *o = md_run("smp", "4", "", NULL);
	struct json_object *model = md_get(o, "model");

	md_consistent(o);
	cr_expect_gt(md_sum(model, "rows", "event", "LAPIC ICR, other modes"), 0, "INIT, SIPI");
	json_object_put(o);
}

Test(model, the_table_as_text, .timeout = 120)
{
	static struct child c;
	const struct model_unseen *u;
	size_t n;

	c = (struct child){ .argv = { child_ringside(), "run", "--stats=model",
				      child_guest("minios"), "--append", "demo" },
			    .seconds = 90 };
	child_run(&c);
	cr_assert_eq(c.status, 33, "%d", c.status);
	for (unsigned i = 0; i < MODEL_CONFIGS; i++)
		cr_expect_not_null(strstr(c.err, model_config_title(i)));
	cr_expect_not_null(strstr(c.err, "cpuid"));
	cr_expect_not_null(strstr(c.err, "total"));
	cr_expect_null(strstr(c.err, "unclassified"), "%s", c.err);
	u = model_unseen(&n);
	for (size_t i = 0; i < n; i++)
		cr_expect_not_null(strstr(c.err, u[i].what));
	cr_expect_null(strstr(c.err, "trap account"), "only what was asked for");
}

Test(model, ranges_as_text)
{
	char buf[48];

	cr_expect_str_eq(model_range_text(&(struct model_range){ 3, 3 }, buf, sizeof(buf)), "3");
	cr_expect_str_eq(model_range_text(&(struct model_range){ 3, 7 }, buf, sizeof(buf)), "3..7");
	cr_expect_str_eq(
		model_range_text(&(struct model_range){ 3, MODEL_UNKNOWN }, buf, sizeof(buf)),
		"3..?");
}
