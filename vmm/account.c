/* SPDX-License-Identifier: MIT */
/* Counting exits.  What is made of the counts is in account_print.c. */
#include <errno.h>
#include <stdlib.h>

#include "vmm/account_priv.h"
#include "vmm/counter.h"
#include "vmm/model.h"

static const char *const memory_names[CAUSE_INT(0) - CAUSE_MMIO] = {
	[CAUSE_MMIO - CAUSE_MMIO] = "mmio",
	[CAUSE_LOW - CAUSE_MMIO] = "low memory",
	[CAUSE_FILL - CAUSE_MMIO] = "fill",
	[CAUSE_SCAN - CAUSE_MMIO] = "scan",
	[CAUSE_CODE_WRITE - CAUSE_MMIO] = "code write",
	[CAUSE_ORIGINAL - CAUSE_MMIO] = "original",
};

static const char *const exit_names[EXIT_REASONS] = {
	[EXIT_KICK] = "kick",
	[EXIT_STEP] = "step",
	[EXIT_PRIVILEGED] = "privileged",
	[EXIT_PAGE_FAULT] = "page fault",
	[EXIT_SOFT_INT] = "software interrupt",
	/* Instructions of these names can also trap and be emulated: other rows. */
	[EXIT_SYSENTER] = "sysenter exit",
	[EXIT_SYSCALL] = "syscall exit",
	[EXIT_EXCEPTION] = "exception",
	[EXIT_RECONCILED] = "reconciled",
	[EXIT_BREACH] = "breach",
	[EXIT_NO_PAGE] = "no page",
	[EXIT_DEAD] = "dead",
	[EXIT_IO] = "i/o exit",
	[EXIT_MMIO] = "mmio exit",
	[EXIT_HLT] = "hlt exit",
	[EXIT_MSR] = "msr exit",
	[EXIT_IRQ_WINDOW] = "interrupt window",
	[EXIT_SHUTDOWN] = "shutdown",
	[EXIT_EMULATION] = "emulation failure",
};

/* SDM Vol. 3A, "Exception and Interrupt Reference" (6.15). */
static const char *const vector_names[32] = {
	[VEC_DE] = "#DE", [VEC_DB] = "#DB", [VEC_NMI] = "NMI", [VEC_BP] = "#BP", [VEC_OF] = "#OF",
	[VEC_BR] = "#BR", [VEC_UD] = "#UD", [VEC_NM] = "#NM",  [VEC_DF] = "#DF", [VEC_TS] = "#TS",
	[VEC_NP] = "#NP", [VEC_SS] = "#SS", [VEC_GP] = "#GP",  [VEC_PF] = "#PF", [VEC_MF] = "#MF",
	[VEC_AC] = "#AC", [VEC_MC] = "#MC", [VEC_XM] = "#XM",
};

const char *vector_name(uint8_t vector)
{
	return vector < 32 ? vector_names[vector] : NULL;
}

const char *cause_name(unsigned cause, char *buf, size_t size)
{
	if (cause < OP_COUNT)
		return insn_op_name(cause);
	if (cause < CAUSE_INT(0))
		return memory_names[cause - CAUSE_MMIO];
	if (cause < CAUSE_EXC(0)) {
		snprintf(buf, size, "int 0x%02x", cause - CAUSE_INT(0));
		return buf;
	}
	if (cause < CAUSE_EXIT(0)) {
		const char *name = vector_name((uint8_t)(cause - CAUSE_EXC(0)));

		if (name)
			return name;
		snprintf(buf, size, "exception %u", cause - CAUSE_EXC(0));
		return buf;
	}
	if (cause < CAUSE_COUNT)
		return exit_names[cause - CAUSE_EXIT(0)];
	return "unknown";
}

struct account *account_new(void)
{
	struct account *a = calloc(1, sizeof(struct account));

	if (a)
		a->model = model_counts_new(); /* without it the model says that it knows nothing */
	return a;
}

void account_free(struct account *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < CAUSE_COUNT; i++)
		free(a->tally[i].hist);
	sites_free(&a->sites);
	model_counts_free(a->model);
	free(a);
}

/* Published when it is all zero, for readers of a live account. */
static struct hist *tally_hist(struct tally *t)
{
	if (!t->hist)
		__atomic_store_n(&t->hist, calloc(COSTS, sizeof(*t->hist)), __ATOMIC_RELEASE);
	return t->hist;
}

/*: 300. The account
 * Every exit is counted under its cause, with the time in the guest, in the hand-off and in the
 * handler. This is what `--stats` prints and `ringside compare` sets beside hardware assistance.
 * End of the tour: now run one of your own.
 */
void account_exit(struct account *a, unsigned cause, const struct exit *x, uint64_t handling_ns)
{
	struct tally *t;
	struct hist *h;

	if (!a || cause >= CAUSE_COUNT)
		return;
	t = &a->tally[cause];
	counter_add(&t->count, 1);
	counter_add(&a->times.guest_ns, x->guest_ns);
	counter_add(&a->times.handoff_ns, x->handoff_ns);
	counter_add(&a->times.handling_ns, handling_ns);
	h = tally_hist(t);
	if (!h)
		return;
	if (x->handoff_ns)
		hist_add(&h[COST_HANDOFF], x->handoff_ns);
	hist_add(&h[COST_HANDLING], handling_ns);
}

void account_inject(struct account *a, uint8_t vector, bool external)
{
	if (!a)
		return;
	if (external)
		counter_add(&a->external[vector], 1);
	else
		counter_add(&a->inner[vector], 1);
}

void account_lookahead(struct account *a)
{
	if (a)
		counter_add(&a->lookahead, 1);
}

uint64_t account_lookaheads(const struct account *a)
{
	return a ? counter_read(&a->lookahead) : 0;
}

void account_blocked(struct account *a, uint64_t ns)
{
	if (a)
		counter_add(&a->times.blocked_ns, ns);
}

void account_ready(struct account *a, uint64_t ns)
{
	if (a)
		counter_add(&a->times.ready_ns, ns);
}

void account_mmio(struct account *a)
{
	if (a)
		counter_add(&a->mmio, 1);
}

void account_handoff_switch(struct account *a)
{
	if (a)
		counter_add(&a->handoff_switches, 1);
}

struct model_counts *account_model(const struct account *a)
{
	return a->model;
}

uint64_t account_total(const struct account *a)
{
	uint64_t total = 0;

	for (size_t i = 0; a && i < CAUSE_COUNT; i++)
		total += counter_read(&a->tally[i].count);
	return total;
}

uint64_t account_count(const struct account *a, unsigned cause)
{
	return a && cause < CAUSE_COUNT ? counter_read(&a->tally[cause].count) : 0;
}

int account_merge_counts(struct account *to, const struct account *from)
{
	int err = 0;

	for (size_t i = 0; i < CAUSE_COUNT; i++) {
		const struct tally *f = &from->tally[i];
		const struct hist *live = __atomic_load_n(&f->hist, __ATOMIC_ACQUIRE);
		struct hist *h;

		to->tally[i].count += counter_read(&f->count);
		if (!live)
			continue;
		h = tally_hist(&to->tally[i]);
		if (!h) {
			err = -ENOMEM;
			continue;
		}
		for (int c = 0; c < COSTS; c++)
			hist_merge(&h[c], &live[c]);
	}
	for (size_t i = 0; i < 256; i++) {
		to->inner[i] += counter_read(&from->inner[i]);
		to->external[i] += counter_read(&from->external[i]);
	}
	to->times.guest_ns += counter_read(&from->times.guest_ns);
	to->times.handoff_ns += counter_read(&from->times.handoff_ns);
	to->times.handling_ns += counter_read(&from->times.handling_ns);
	to->times.blocked_ns += counter_read(&from->times.blocked_ns);
	to->times.ready_ns += counter_read(&from->times.ready_ns);
	to->handoff_switches += counter_read(&from->handoff_switches);
	to->lookahead += counter_read(&from->lookahead);
	to->mmio += counter_read(&from->mmio);
	return err;
}

int account_merge(struct account *to, const struct account *from)
{
	int err = account_merge_counts(to, from);

	sites_merge(&to->sites, &from->sites);
	if (to->model && from->model)
		model_counts_add(to->model, from->model);
	return err;
}

static int by_count(const void *x, const void *y, void *arg)
{
	const struct account *a = arg;
	unsigned i = *(const uint16_t *)x, j = *(const uint16_t *)y;
	uint64_t ci = a->tally[i].count, cj = a->tally[j].count;

	if (ci != cj)
		return ci < cj ? 1 : -1;
	return i < j ? -1 : 1;
}

size_t account_sorted(const struct account *a, uint16_t out[CAUSE_COUNT])
{
	size_t n = 0;

	_Static_assert(CAUSE_COUNT <= UINT16_MAX, "a cause fits 16 bits");
	for (size_t i = 0; i < CAUSE_COUNT; i++)
		if (a->tally[i].count)
			out[n++] = (uint16_t)i;
	qsort_r(out, n, sizeof(*out), by_count, (void *)(uintptr_t)a);
	return n;
}
