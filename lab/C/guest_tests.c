/* SPDX-License-Identifier: MIT */
/*
 * Part C: interrupts in guests, small ones assembled here and minios.
 * Expectations: SDM Vol. 2B, STI, MOV; Vol. 3A, "Masking Exceptions and Interrupts When Switching
 * Stacks" (6.8.3), "Task and Processor Priorities" (10.8.3.1).
 */
#include <string.h>

#include "lab/grade/item.h"
#include "tests/deliver.h"
#include "vmm/dev/lapic_count.h"
#include "vmm/dev/lapic_irqs.h"
#include "vmm/trace.h"

/* What a guest needs to get anywhere: better said now than as a guest that hangs. */
static void something_is_there(void)
{
	struct deliver_state s = { .irq = true, .eflags = FL_IF };
	struct lapic_irqs q = { 0 };

	irqs_accept(&q, 0x40, false);
	if (irqs_pending(&q) != 0x40 || irqs_ack(&q) != 0x40 || irqs_eoi(&q) != 0x40)
		LOSE("the guest is not even started: expected that a vector that is accepted is "
		     "pending, can be acknowledged and ended, but it is not so (irqs_...)");
	if (deliver_next(&s) != DELIVER_IRQ)
		LOSE("the guest is not even started: with an interrupt waiting and IF set, "
		     "expected DELIVER_IRQ of deliver_next(), got %d",
		     (int)deliver_next(&s));
}

/* ---- the shadows ---- */

/* An interrupt is there before the instruction behind the shadow: not before that one, but after.
 */
GUEST(cg_sti, "sti\n nop\n nop\n" DONE);
GUEST(cg_cli, "sti\n cli\n nop\n" DONE);
GUEST(cg_movss, "mov %ss,%eax\n sti\n nop\n mov %eax,%ss\n mov %esp,%esp\n nop\n" DONE);

/* What the guest did last, below the sentence of why the points are lost. */
static void note_exits(const struct dl *d)
{
	struct trace_entry e[TRACE_RING];
	size_t n = trace_last(d->v.trace, e);
	char insn[80], cause[40];

	NOTE("the last exits (the code begins at %#x, handlers at 0x101000):", CG_CODE);
	for (size_t i = 0; i < n; i++) {
		trace_insn_text(&e[i], insn, sizeof(insn));
		NOTE("  %08x  %-28s %s", e[i].eip, insn,
		     cause_name(e[i].cause, cause, sizeof(cause)));
	}
}

/* Run the guest of @d to its end, which must be a good one. */
static void run(struct dl *d)
{
	char err[128];

	d->v.trace = trace_new(NULL, TRACE_TEXT, err, sizeof(err));
	vcpu_run(&d->v);
	if (atomic_load(&d->vm.end) != VM_EXITED) {
		note_exits(d);
		LOSE("expected that the guest ends by itself, got: %s", d->vm.death);
	}
	dl_go(d); /* it has ended; collect its events */
}

static void done(struct dl *d)
{
	trace_free(d->v.trace);
	d->v.trace = NULL;
}

/* With @what raised at boundary @at of @code, it must be delivered in front of @want (0: not). */
static void taken_is(const uint8_t *code, const uint8_t *end, int at, unsigned what,
		     uint32_t offset, const char *text)
{
	uint32_t want = offset ? CG_CODE + offset : 0, got;
	static struct dl dry, d;
	const struct dl_event *e;

	NOTE("%s:", text);
	dl_load(&dry, code, end);
	run(&dry);
	done(&dry);
	dl_free(&dry);
	dl_load(&d, code, end);
	d.dry = &dry;
	d.at = at;
	d.what = what;
	run(&d);
	e = dl_find(&d, what == DL_RAISE_NMI ? VEC_NMI : DL_IRQ);
	got = e ? e->eip : 0;
	if (got != want)
		note_exits(&d);
	if (got != want && !want)
		LOSE("%s: expected that it is not delivered, got it with EIP %#x in the frame",
		     text, got);
	if (got != want && !got)
		LOSE("%s: expected it with EIP %#x in the frame, but it was never delivered", text,
		     want);
	if (got != want)
		LOSE("%s: expected it with EIP %#x in the frame, got it with %#x", text, want, got);
	done(&d);
	dl_free(&d);
}

ITEM(guest_shadow)
{
	something_is_there();
	taken_is(cg_sti, cg_sti_end, 1, DL_RAISE_IRQ, 2,
		 "an interrupt right after the STI of \"sti; nop; nop\"");
	taken_is(cg_sti, cg_sti_end, 2, DL_RAISE_IRQ, 2,
		 "an interrupt before the second NOP of \"sti; nop; nop\"");
	taken_is(cg_cli, cg_cli_end, 1, DL_RAISE_IRQ, 0,
		 "an interrupt right after the STI of \"sti; cli; nop\"");
	/* mov 2 bytes, sti, nop, mov 2, mov 2, nop */
	taken_is(cg_movss, cg_movss_end, 4, DL_RAISE_IRQ, 8,
		 "an interrupt right after \"mov %eax,%ss\", before \"mov %esp,%esp\"");
	taken_is(cg_movss, cg_movss_end, 4, DL_RAISE_NMI, 8,
		 "an NMI right after \"mov %eax,%ss\", before \"mov %esp,%esp\"");
}

/* ---- nested priorities ---- */

#define TRAIL      0x1a0000u /* where the next byte goes, then the bytes at TRAIL + 16 */
#define LOG(what)  "mov 0x1a0000,%edi\n movb $" what ",(%edi)\n incl 0x1a0000\n"
#define SEND(v)    "movl $0x400" v ",0xfee00300\n" /* ICR: fixed, to self */
#define END        "movl $0,0xfee000b0\n"
#define LOG_PPR    "mov 0x1a0000,%edi\n mov 0xfee000a0,%eax\n mov %al,(%edi)\n incl 0x1a0000\n"
#define BEGIN(v)   "c_" v ": pusha\n" LOG("0x" v)
#define LEAVE(low) LOG("0xe" low) END "popa\n iret\n"

/*
 * Each handler logs its vector when it begins and 0xeN when it ends, before its EOI.  The one of
 * 0x51 lets interrupts in: what is higher comes at once, what is of its class or lower does not.
 */
GUEST(cg_nested, "movl $0x1a0010,0x1a0000\n sti\n nop\n" SEND("51") LOG("0x01") DONE
			 /* 0x51 */
			 BEGIN("51") "sti\n nop\n" SEND("42") SEND("5f") SEND("71")
				 LOG_PPR LOG("0x02") LEAVE("1")
      /* 0x71, an interrupt gate: 0x82 has to wait for its iret in spite of its class */
      BEGIN("71") SEND("82") LOG_PPR LEAVE("7") BEGIN("82") LEAVE("8")
      /* 0x5f, a trap gate: IF stays set; raised twice, taken once */
      BEGIN("5f") SEND("42") LEAVE("5") BEGIN("42") LEAVE("4"));
extern const uint8_t c_51[], c_71[], c_82[], c_5f[], c_42[];

static void trail_text(char *text, size_t size, const uint8_t *trail, unsigned n)
{
	size_t len = 0;

	text[0] = 0;
	for (unsigned i = 0; i < n && len < size - 4; i++)
		len += (size_t)snprintf(text + len, size - len, "%s%02x", i ? " " : "", trail[i]);
}

ITEM(guest_nested)
{
	/* 0x51 begins; 0x71 nests in it, reads PPR and ends; with its iret comes 0x82; then 0x51
	 * goes on, reads PPR and ends; with its EOI comes 0x5f, with whose EOI 0x42; at last the
	 * main program. */
	static const uint8_t want[] = { 0x51, 0x71, 0x70, 0xe7, 0x82, 0xe8, 0x50,
					0x02, 0xe1, 0x5f, 0xe5, 0x42, 0xe4, 0x01 };
	char expected[200], got[200];
	static struct dl d;
	uint32_t end;
	unsigned n;

	something_is_there();
	dl_load(&d, cg_nested, cg_nested_end);
	d.v.engine = d.world; /* no boundaries are counted: at full speed */
	dl_gate(&d, 0x51, CG_CODE + (uint32_t)(c_51 - cg_nested), DL_INTERRUPT_GATE);
	dl_gate(&d, 0x71, CG_CODE + (uint32_t)(c_71 - cg_nested), DL_INTERRUPT_GATE);
	dl_gate(&d, 0x82, CG_CODE + (uint32_t)(c_82 - cg_nested), DL_INTERRUPT_GATE);
	dl_gate(&d, 0x5f, CG_CODE + (uint32_t)(c_5f - cg_nested), DL_TRAP_GATE);
	dl_gate(&d, 0x42, CG_CODE + (uint32_t)(c_42 - cg_nested), DL_INTERRUPT_GATE);
	run(&d);
	memcpy(&end, d.vm.ram + TRAIL, 4);
	n = end - TRAIL - 16;
	trail_text(expected, sizeof(expected), want, sizeof(want));
	trail_text(got, sizeof(got), d.vm.ram + TRAIL + 16, n < 60 ? n : 60);
	if (n != sizeof(want) || memcmp(want, d.vm.ram + TRAIL + 16, n)) {
		note_exits(&d);
		LOSE("handlers of vectors 0x42 to 0x82, in the order in which they began (their "
		     "vector), read PPR (70, 50) and ended (e.):\nexpected %s\ngot      %s",
		     expected, got);
	}
	done(&d);
	dl_free_bare(&d);
}

/* ---- minios ---- */

ITEM(boot_minios)
{
	struct lapic_count c = { .divide = 3 };

	something_is_there();
	count_start(&c, 1000, 0);
	if (!count_expire(&c, false, 16000))
		LOSE("the guest is not even started: expected that count_expire() says that a "
		     "one-shot count of 1000, divided by 16, is over after 16000 ns");
	lab_boot("minios", ARGS("--append", "demo"), 5, 33, "ok 100 lapic timer ticks", NULL);
}
