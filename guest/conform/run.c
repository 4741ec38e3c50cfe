/* SPDX-License-Identifier: MIT */
/*
 * One case: fill memory and tables, run the code, and print what differs from before.
 *
 *   name: RESULT [+N] [register=value] [flags] [segment=selector] [memory] [descriptors]
 *
 * RESULT is "ok" or the exception with its error code; +N is where EIP stands from the start of the
 * instruction (for "ok" only if it is not the end).  eax=, ecx= ... are registers that changed;
 * esp as a difference; "+ZF -IF" flags that came and went; [40]= a changed dword of the arena,
 * s[-4]= of the stack at or above ESP, gdt[18]= the access byte of a descriptor.
 */
#include "conform.h"

struct seen seen;
volatile struct code code_here;

static char text[400];
static size_t text_len;

static uint32_t arena_was[ARENA_LEN / 4], stack_was[STACK_LEN / 2];
static uint8_t access_was[GDT_ENTRIES];
static struct {
	const struct test *t;
	uint32_t at[16];
	unsigned count;
} trace;
static unsigned cases;

static void put(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void put(const char *fmt, ...)
{
	__builtin_va_list ap;

	__builtin_va_start(ap, fmt);
	text_len += (size_t)format(text + text_len, sizeof(text) - text_len, fmt, ap);
	__builtin_va_end(ap);
}

const char *name(const char *fmt, ...)
{
	static char buf[100];
	__builtin_va_list ap;

	__builtin_va_start(ap, fmt);
	format(buf, sizeof(buf), fmt, ap);
	__builtin_va_end(ap);
	return buf;
}

static void end_line(const char *what)
{
	print("%s:%s\n", what, text);
	text_len = 0;
	text[0] = 0;
	cases++;
}

void line(const char *what, const char *fmt, ...)
{
	__builtin_va_list ap;

	put(" ");
	__builtin_va_start(ap, fmt);
	text_len += (size_t)format(text + text_len, sizeof(text) - text_len, fmt, ap);
	__builtin_va_end(ap);
	end_line(what);
}

unsigned cases_run(void)
{
	return cases;
}

void fill(void)
{
	for (unsigned i = 0; i < ARENA_LEN / 4; i++)
		*arena(4 * i) = 0x5a005a00 + i * 0x00010001;
	for (int i = -(int)STACK_LEN; i < (int)STACK_LEN; i += 4)
		*stack(i) = 0x70007000 + (uint32_t)i;
}

/* ---- the line ---- */

static const char *const vectors[] = { "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD",
				       "#NM", "#DF", "#9",  "#TS", "#NP", "#SS", "#GP",
				       "#PF", "#15", "#MF", "#AC", "#MC", "#XM" };

static bool has_error(uint32_t vector)
{
	return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

static void put_where(const struct test *t)
{
	if (seen.vector == NO_FAULT) {
		if (seen.eip == t->code.done)
			return;
		if (seen.eip == (uint32_t)target32 + TAIL) {
			put(" at target32");
			return;
		}
		if (seen.eip == (uint32_t)target16_end - CODE16_BASE) {
			put(" at target16");
			return;
		}
	}
	if (t->no_eip)
		return;
	if (seen.eip - t->code.start < 256)
		put(" +%u", seen.eip - t->code.insn);
	else
		put(" at %08x", seen.eip);
}

static void put_result(const struct test *t)
{
	uint32_t v = seen.vector;

	if (v == NO_FAULT)
		put(" ok");
	else if (v == GATE16)
		put(" gate16");
	else if (v < sizeof(vectors) / sizeof(vectors[0]))
		put(" %s", vectors[v]);
	else if (v >= 0x20 && v < 0x30)
		put(" irq%u", v - 0x20);
	else
		put(" vector %x", v);
	if (has_error(v))
		put("(%04x)", seen.error);
	put_where(t);
}

static void put_regs(const struct test *t)
{
	const struct {
		const char *reg;
		uint32_t was, is;
	} regs[] = {
		{ "eax", t->eax, seen.eax }, { "ecx", t->ecx, seen.ecx },
		{ "edx", t->edx, seen.edx }, { "ebx", t->ebx, seen.ebx },
		{ "ebp", t->ebp, seen.ebp }, { "esi", t->esi, seen.esi },
		{ "edi", t->edi, seen.edi },
	};

	for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]) && !t->no_regs; i++)
		if (regs[i].was != regs[i].is)
			put(" %s=%08x", regs[i].reg, regs[i].is);
	if (seen.esp != t->esp && seen.esp - t->esp + 0x1000 < 0x2000)
		put(" esp%s%d", (int)(seen.esp - t->esp) > 0 ? "+" : "", (int)(seen.esp - t->esp));
	else if (seen.esp != t->esp)
		put(" esp=%08x", seen.esp);
}

static void put_flags(const struct test *t)
{
	static const struct {
		const char *flag;
		uint32_t bit;
	} names[] = { { "CF", CF },          { "PF", PF },   { "AF", AF },   { "ZF", ZF },
		      { "SF", SF },          { "TF", TF },   { "IF", IF },   { "DF", DF },
		      { "OF", OF },          { "NT", NT },   { "RF", RF },   { "VM", VM },
		      { "AC", AC },          { "VIF", VIF }, { "VIP", VIP }, { "ID", ID },
		      { "b1", 2 },           { "b3", 8 },    { "b5", 0x20 }, { "b15", 0x8000 },
		      { "b22+", 0xffc00000 } };
	uint32_t diff = (seen.eflags ^ t->eflags) & ~t->hide;

	if (seen.vector == GATE16)
		diff &= 0xffff;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (diff & names[i].bit)
			put(" %s%s", seen.eflags & names[i].bit ? "+" : "-", names[i].flag);
	if (diff & IOPL3)
		put(" IOPL=%u", seen.eflags >> 12 & 3);
}

static void put_segments(const struct test *t)
{
	const struct {
		const char *seg;
		uint32_t was, is;
	} segs[] = {
		{ "cs", t->cs, seen.cs }, { "ss", t->ss, seen.ss }, { "ds", t->ds, seen.ds },
		{ "es", t->es, seen.es }, { "fs", t->fs, seen.fs }, { "gs", t->gs, seen.gs },
	};

	for (size_t i = 0; i < sizeof(segs) / sizeof(segs[0]); i++)
		if (segs[i].was != segs[i].is)
			put(" %s=%04x", segs[i].seg, segs[i].is);
}

/* A return address is printed relative to the instruction, alone or with CS in a 16-bit frame. */
static void put_stack(const struct test *t, int i)
{
	uint32_t val = *stack(i);

	if (val - t->code.insn < 64)
		put(" s[%d]=+%u", i, val - t->code.insn);
	else if ((uint16_t)(val - t->code.insn) < 64)
		put(" s[%d]=%04x:+%u", i, val >> 16, (uint16_t)(val - t->code.insn));
	else
		put(" s[%d]=%08x", i, val);
}

static bool flat_stack(void)
{
	return seen.ss == SEL_DATA || seen.ss == (SEL_DATA3 | 3);
}

static void put_memory(const struct test *t)
{
	for (unsigned i = 0; i < ARENA_LEN / 4; i++)
		if (*arena(4 * i) != arena_was[i])
			put(" [%x]=%08x", 4 * i, *arena(4 * i));
	for (int i = -(int)STACK_LEN; i < (int)STACK_LEN && flat_stack(); i += 4)
		if (STACK_TOP + (uint32_t)i >= seen.esp &&
		    *stack(i) != stack_was[(i + (int)STACK_LEN) / 4])
			put_stack(t, i);
	for (unsigned i = 0; i < GDT_ENTRIES; i++)
		if (access_byte(8 * i) != access_was[i])
			put(" gdt[%x]=%02x", 8 * i, access_byte(8 * i));
}

static void put_trace(const struct test *t)
{
	if (!trace.count)
		return;
	put(" steps");
	for (unsigned i = 0; i < trace.count && i < sizeof(trace.at) / sizeof(trace.at[0]); i++) {
		int off = (int)(trace.at[i] - t->code.insn);

		put(i ? ",%d" : " %d", off);
	}
}

/* ---- running ---- */

void trace_step(struct trace_frame *f)
{
	if (trace.count < sizeof(trace.at) / sizeof(trace.at[0]))
		trace.at[trace.count] = f->eip;
	trace.count++;
	if (f->eip >= trace.t->code.end || trace.count > 100)
		f->eflags &= ~(uint32_t)TF;
}

void run_silent(struct test t)
{
	t.eip = t.code.start;
	trace.t = &t;
	trace.count = 0;
	if (t.trace)
		set_vector(1, SEL_CODE, (uint32_t)stub_trace, GATE32);
	if (t.from0 || t.cs & 3)
		enter_outer(&t);
	else
		enter(&t);
	/* Pushes of a selector may leave the upper half of the slot alone. */
	seen.cs &= 0xffff;
	seen.ds &= 0xffff;
	if (t.trace)
		set_vector(1, SEL_CODE, STUB(1), GATE32);
}

/* What was changed for one case is undone by it, so that each starts from the same state. */
void run(struct test t, const char *what)
{
	memcpy(arena_was, (const void *)ARENA, sizeof(arena_was));
	memcpy(stack_was, (const void *)(STACK_TOP - STACK_LEN), sizeof(stack_was));
	for (unsigned i = 0; i < GDT_ENTRIES; i++)
		access_was[i] = access_byte(8 * i);
	run_silent(t);
	seen.eax = (seen.eax & ~t.undefined_eax) | (t.eax & t.undefined_eax);
	put_result(&t);
	put_regs(&t);
	put_flags(&t);
	put_segments(&t);
	put_memory(&t);
	put_trace(&t);
	end_line(what);
	tables_reset();
	fill();
}
