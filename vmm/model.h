/* SPDX-License-Identifier: MIT */
/*
 * What hardware would have done: for every event of a run of the world engine, would it have been
 * a VM exit under VT-x or SVM as Linux KVM (6.x, default settings) configures them?
 *
 *   the emulator, the devices        classify what happens while they know the values
 * (model_count.c) the table of events              says for each and each configuration: exit or
 * not (model_events.c) model_compute()                  multiplies (model.c)
 *
 * An answer that depends on something a run does not show is a range, and what the world engine
 * cannot see at all is in a list (model_unseen()): nothing is guessed in silence.  For readers:
 * docs/hardware-assist.md.
 */
#ifndef RINGSIDE_VMM_MODEL_H
#define RINGSIDE_VMM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct vm;
struct vcpu;
struct insn;
struct json_object;

enum model_config {
	MODEL_VTX_EPT,    /* VT-x with EPT, unrestricted guest and TPR shadow; no APICv */
	MODEL_VTX_APICV,  /* the same with APICv and posted interrupts */
	MODEL_VTX_SHADOW, /* VT-x with shadow paging (kvm_intel.ept=0), no APICv */
	MODEL_SVM_NPT,    /* SVM with nested paging, no AVIC */
	MODEL_SVM_AVIC,   /* the same with AVIC */
	MODEL_CONFIGS
};

/* "vtx-ept", for programs; "VT-x, EPT", for people. */
const char *model_config_name(enum model_config c);
const char *model_config_title(enum model_config c);
/* The one of that name; -1: there is none. */
int model_config_find(const char *name);

enum model_verdict {
	MODEL_NO,    /* never an exit */
	MODEL_YES,   /* each is one */
	MODEL_MAYBE, /* between none and all: on what it depends, the phrase says */
	MODEL_FIRST, /* at least one of the event, whatever its causes; at most all */
	MODEL_TWICE, /* each is one, and may be two */
	MODEL_PAGES, /* not by count: by distinct pages of RAM, see model_compute() */
	MODEL_OPEN,  /* at least as MODEL_PAGES; how many more, no run of the world engine shows */
};

/* "no", "yes", "0..n", "1..n", "n..2n", "pages", "pages or more" */
const char *model_verdict_name(enum model_verdict v);

/*
 * An event: an instruction of one class with the values that matter, an access to a device, an
 * interrupt on its way.  Names and answers are in model_events.c, in this order.
 */
enum model_event {
	EV_NONE, /* not classified: any answer is possible */
	/* instructions */
	EV_NATIVE,
	EV_CPUID,
	EV_HLT,
	EV_IO,
	EV_IO_ELEMENTS, /* of rep ins and rep outs; no exits of the world engine */
	EV_CR0_READ,
	EV_CR0_READ_UNCACHED,
	EV_CR0_TS,
	EV_CR0_MP,
	EV_CR0_WP,
	EV_CR0_UNCACHED,
	EV_CR0_OWNED,
	EV_CR3,
	EV_CR4_READ,
	EV_CR4_GUEST,
	EV_CR4_PGE,
	EV_CR4_OWNED,
	EV_CR0_FAULT,
	EV_CR4_FAULT,
	EV_DR,
	EV_CACHE,
	EV_INVLPG,
	EV_MSR,
	EV_MSR_TSC,
	EV_MSR_SYSENTER,
	EV_RDPMC,
	EV_XSETBV,
	EV_MWAIT,
	EV_PAUSE,
	EV_IRET_NMI,
	EV_INT1,
	EV_VMX,
	EV_SVM,
	EV_UD,
	EV_UNOFFERED,
	/* the guest's exceptions, natural or by an instruction that faults before it could exit */
	EV_EXC,
	EV_EXC_UD,
	EV_EXC_DB,
	EV_EXC_AC,
	EV_EXC_MC,
	EV_EXC_PF,
	/* memory without RAM behind it */
	EV_MMIO,
	EV_LAPIC_TPR_READ,
	EV_LAPIC_TPR_WRITE,
	EV_LAPIC_READ,
	EV_LAPIC_READ_OTHER,
	EV_LAPIC_EOI,
	EV_LAPIC_EOI_DEVICE,
	EV_LAPIC_EOI_LEVEL,
	EV_LAPIC_ICR,
	EV_LAPIC_ICR_SELF,
	EV_LAPIC_ICR_MANY,
	EV_LAPIC_ICR_OTHER,
	EV_LAPIC_ICR_HIGH,
	EV_LAPIC_WRITE,
	/* local APIC registers as MSRs, where the answer differs from memory's */
	EV_X2APIC_TPR,
	EV_X2APIC_READ,
	EV_X2APIC_EOI,
	EV_X2APIC_SELF,
	/* exits of the world engine that only deprivileging has */
	EV_FILL,
	EV_ARTEFACT,
	EV_KICK,
	EV_END,
	/* no exits of the world engine: interrupts on their way, memory, the end */
	EV_IRQ_HALTED,
	EV_IRQ_RUNNING_PIC,
	EV_IRQ_RUNNING_TIMER,
	EV_IRQ_RUNNING,
	EV_IRQ_STOPPED_PIC,
	EV_IRQ_STOPPED_TIMER,
	EV_IRQ_STOPPED,
	EV_WINDOW_PIC,
	EV_WINDOW,
	EV_NMI,
	EV_RAM,
	EV_SHUTDOWN,
	EV_COUNT
};

struct model_answer {
	const char *name;               /* "cpuid", "LAPIC EOI"; unique */
	uint8_t verdict[MODEL_CONFIGS]; /* enum model_verdict */
	const char *vtx, *svm;          /* why: a phrase for a person */
	const char *vtx_ref, *svm_ref;  /* the manual, or the function in the KVM source */
};

const struct model_answer *model_answer(enum model_event e);
/* The one of that name; EV_NONE if there is none. */
enum model_event model_event_find(const char *name);

/* What the world engine cannot see, and so nobody counted. */
struct model_unseen {
	const char *what;
	bool where[MODEL_CONFIGS]; /* would be exits there */
	const char *why;
};
const struct model_unseen *model_unseen(size_t *count);

/* ---- counting, by the vCPU's thread; nothing happens for a vCPU without an account ---- */

struct model_counts;

struct model_counts *model_counts_new(void);
void model_counts_free(struct model_counts *m);
void model_counts_add(struct model_counts *to, const struct model_counts *from);
/* How often @event was seen behind exits of @cause (account.h), or behind none: CAUSE_COUNT. */
uint64_t model_count(const struct model_counts *m, unsigned cause, enum model_event event);

/* What an exit of @cause is, given what was noted while it was handled; EV_NONE: unknown. */
enum model_event model_event_of(unsigned cause, enum model_event noted);
/* @in is about to be emulated; registers and shadow are as before it. */
void model_insn(struct vcpu *v, const struct insn *in);
/* A string instruction with a REP prefix moved @n elements from or to a port. */
void model_elements(struct vcpu *v, unsigned n);
/* It ended in v->fault. */
void model_fault(struct vcpu *v, const struct insn *in);
/* @v accesses its local APIC's register @off, in memory or as an MSR.  Before it takes effect. */
void model_lapic(struct vcpu *v, uint32_t off, bool write, uint32_t val, bool msr);
/* The exit, whose cause is known now, was handled. */
void model_exit(struct vcpu *v, unsigned cause);
/* The vCPU gives up its pCPU: what is raised until it returns finds it not running. */
void model_leave(struct vcpu *v);
/* An interrupt can be taken but for IF. */
void model_waits(struct vcpu *v);
/* @v takes an interrupt, from the PIC, or @vector from its local APIC.  Before it is woken. */
void model_interrupt(struct vcpu *v, bool pic, uint8_t vector);
void model_nmi(struct vcpu *v);
void model_shutdown(struct vcpu *v);

/* ---- RAM ---- */

struct model_ram;

/* Before the guest's first instruction: note which pages the host has given it already. */
void model_ram_start(struct vm *vm);

struct model_pages {
	bool known; /* the host can tell */
	uint64_t
		before; /* 4 KiB pages with memory behind them before the guest ran: the loader's */
	uint64_t after; /* and now */
	uint64_t chunks; /* 2 MiB regions in which the run added some */
};
void model_pages(const struct vm *vm, struct model_pages *out);

/* ---- results ---- */

#define MODEL_UNKNOWN UINT64_MAX

struct model_range {
	uint64_t min, max; /* exits; @max may be MODEL_UNKNOWN */
};

struct model_row {
	unsigned cause; /* account.h; CAUSE_COUNT: the world engine has no exit for it */
	enum model_event event;
	uint64_t count; /* in the world engine's run: exits, interrupts, pages */
	struct model_range exits[MODEL_CONFIGS];
};

struct model {
	uint64_t world; /* exits of the world engine */
	struct model_range total[MODEL_CONFIGS];
	struct model_pages pages;
	size_t rows; /* most frequent first; those without an exit of the world engine last */
	struct model_row *row;
};

/*
 * All of @vm's vCPUs, after they stopped.  Returns NULL if memory ran out; free with
 * model_free().
 *
 * EPT and NPT violations (EV_RAM): one for each 2 MiB region in which the guest touched memory
 * first, if the host backs it with huge pages, and at most one for each 4 KiB page that is there at
 * the end, since the guest may or may not have touched what the loader wrote.
 */
struct model *model_compute(const struct vm *vm);
void model_free(struct model *m);

/* The model of @vm's run as a table, or as JSON; NULL if memory ran out. */
void model_print(const struct vm *vm, FILE *f);
struct json_object *model_json(const struct vm *vm);
/* "3", "3..7", "3..?" into @buf. */
const char *model_range_text(const struct model_range *r, char *buf, size_t size);

#endif
