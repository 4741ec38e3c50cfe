/* SPDX-License-Identifier: MIT */
/*
 * Part B: the scanner, on pages written by hand and on noise.
 */
#include <string.h>
#include <sys/mman.h>

#include "decoder/descend.h"
#include "decoder/insn.h"
#include "decoder/sensitive.h"
#include "lab/grade/item.h"
#include "tests/emu_fixture.h"

#define LINEAR    0x401000u
#define FOLLOWING (INSN_MAX - 1) /* bytes of the next page that are known */
#define ANY       0xff           /* flow */

/* What one piece of a page is, and should become. */
struct line {
	unsigned off;
	const char *hex;
	const char *text;
	unsigned is; /* flags below; 0: data, or code that control does not reach */
};
#define START 0x01
#define PATCH (0x02 | START)
#define TRAPS (0x04 | START) /* by itself */
#define ENTRY (0x08 | START)
#define MAYBE 0x10 /* patched or not, as you like */

struct page {
	uint8_t bytes[SCAN_PAGE + FOLLOWING];
	scan_bitmap entries;
	struct scan_input in;
	struct scan_result out;
	uint32_t outside[64]; /* what external() was called with */
	unsigned outsides;
};

static void on_external(void *arg, uint32_t linear)
{
	struct page *p = arg;

	if (linear - p->in.linear < SCAN_PAGE)
		LOSE("external(): expected addresses outside the page at %#x, got %#x",
		     p->in.linear, linear);
	for (unsigned i = 0; i < p->outsides; i++)
		if (p->outside[i] == linear)
			return;
	if (p->outsides < sizeof(p->outside) / sizeof(p->outside[0]))
		p->outside[p->outsides++] = linear;
}

/* All pushf, so that what is not there to be code would be patched if it were taken for it. */
static struct page *page_new(unsigned bits)
{
	static struct page p;

	memset(&p, 0, sizeof(p));
	memset(p.bytes, 0x9c, sizeof(p.bytes));
	p.in = (struct scan_input){ .bytes = p.bytes,
				    .avail = sizeof(p.bytes),
				    .linear = LINEAR,
				    .bits = bits,
				    .entries = p.entries,
				    .external = on_external,
				    .arg = &p };
	return &p;
}

static unsigned put(struct page *p, unsigned off, const char *hex)
{
	return (unsigned)fx_hex(hex, p->bytes + off, sizeof(p->bytes) - off);
}

static const struct line *shown;
static unsigned shown_lines;

/* What the page is made of, for who loses. */
static void show(void)
{
	for (unsigned i = 0; i < shown_lines; i++)
		NOTE("%03x: %-20s %s%s", shown[i].off, shown[i].hex, shown[i].text,
		     (shown[i].is & ENTRY) == ENTRY ? "   <- control arrives here" : "");
}

/* What lines say that a page must be: the same bitmaps as the scanner's. */
static void expected(struct page *p, const struct line *l, unsigned n, struct scan_result *e)
{
	shown = l;
	shown_lines = n;
	memset(e, 0, sizeof(*e));
	for (unsigned i = 0; i < n; i++) {
		unsigned len = put(p, l[i].off, l[i].hex);

		if (!(l[i].is & START))
			continue;
		scan_set(e->start, l[i].off);
		for (unsigned k = 0; k < len && l[i].off + k < SCAN_PAGE; k++)
			scan_set(e->body, l[i].off + k);
		if (l[i].off + len > SCAN_PAGE + e->tail)
			e->tail = (uint16_t)(l[i].off + len - SCAN_PAGE);
		if ((l[i].is & PATCH) == PATCH)
			scan_set(e->patch, l[i].off);
		if ((l[i].is & TRAPS) == TRAPS)
			scan_set(e->privileged, l[i].off);
		if ((l[i].is & ENTRY) == ENTRY)
			scan_set(p->entries, l[i].off);
	}
}

static void compare(const uint64_t *got, const uint64_t *want, const char *map, const char *what)
{
	for (unsigned off = 0; off < SCAN_PAGE; off++) {
		if (scan_test(got, off) == scan_test(want, off))
			continue;
		show();
		LOSE("%s: expected %s at offset %03x, got %s", map,
		     scan_test(want, off) ? what : "nothing", off,
		     scan_test(got, off) ? what : "nothing");
	}
}

static void descend(struct page *p, const struct line *l, unsigned n)
{
	struct scan_result e;

	expected(p, l, n, &e);
	scan_descend(&p->in, &p->out);
	for (unsigned i = 0; i < n; i++)
		if ((l[i].is & MAYBE) && scan_test(p->out.patch, l[i].off))
			scan_set(e.patch, l[i].off);
	compare(p->out.start, e.start, "start", "an instruction that control reaches");
	compare(p->out.body, e.body, "body", "a byte of an instruction");
	compare(p->out.patch, e.patch, "patch", "a patch");
	compare(p->out.privileged, e.privileged, "privileged", "one that traps by itself");
	if (p->out.tail != e.tail)
		show();
	WANT(p->out.tail, e.tail, "tail");
}
#define DESCEND(p, lines) descend(p, lines, sizeof(lines) / sizeof((lines)[0]))

/* external() was called for each of these, and for no other. */
static void want_outside(const struct page *p, const uint32_t *want, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		bool found = false;

		for (unsigned k = 0; k < p->outsides; k++)
			found |= p->outside[k] == want[i];
		if (!found)
			show();
		if (!found)
			LOSE("external(): expected a call for %#x, got none", want[i]);
	}
	for (unsigned k = 0; k < p->outsides; k++) {
		bool found = false;

		for (unsigned i = 0; i < n; i++)
			found |= p->outside[k] == want[i];
		if (!found)
			show();
		if (!found)
			LOSE("external(): expected no call for %#x, got one", p->outside[k]);
	}
}
#define OUTSIDE(p, ...)                                    \
	want_outside(p, (const uint32_t[]){ __VA_ARGS__ }, \
		     sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

/* ---- 1. one instruction ---- */

struct looked {
	const char *hex, *text;
	unsigned is;   /* 0, PATCH or TRAPS */
	unsigned flow; /* enum quick_flow, or ANY */
};

/* In the middle of a page of nops, so that nothing depends on where it is. */
static void look(const struct scan_input *like, const struct looked *l)
{
	struct page *p = page_new(like->bits);
	struct scan_look got;
	unsigned len;

	memset(p->bytes, 0x90, sizeof(p->bytes));
	p->in.patch_tsc = like->patch_tsc;
	p->in.patch_pause = like->patch_pause;
	memset(&got, 0xa5, sizeof(got));
	len = put(p, 0x100, l->hex);
	scan_look(&p->in, 0x100, &got);
	WANT(got.len, len, "%s (%s), %u-bit code: length", l->text, l->hex, like->bits);
	if (got.patch != (l->is == PATCH))
		LOSE("%s (%s), %u-bit code: expected that it is %spatched, got that it is%s",
		     l->text, l->hex, like->bits, got.patch ? "not " : "", got.patch ? "" : " not");
	if (got.privileged != (l->is == TRAPS))
		LOSE("%s (%s), %u-bit code: expected that it %s by itself, got that it %s", l->text,
		     l->hex, like->bits, got.privileged ? "does not trap" : "traps",
		     got.privileged ? "does" : "does not");
	if (l->flow != ANY)
		WANT(got.flow, l->flow, "%s (%s): flow", l->text, l->hex);
}

static void looks(unsigned bits, bool tsc, bool pause, const struct looked *l, unsigned n)
{
	const struct scan_input like = { .bits = bits, .patch_tsc = tsc, .patch_pause = pause };

	for (unsigned i = 0; i < n; i++)
		look(&like, &l[i]);
}
#define LOOKS(bits, tsc, pause, ...)                                \
	looks(bits, tsc, pause, (const struct looked[])__VA_ARGS__, \
	      sizeof((const struct looked[])__VA_ARGS__) / sizeof(struct looked))

ITEM(look_table)
{
	struct page *p = page_new(32);
	struct scan_look got;

	LOOKS(32, false, false,
	      { { "9c", "pushf", PATCH, FLOW_NEXT },
		{ "9d", "popf", PATCH, FLOW_NEXT },
		{ "0f01e0", "smsw %eax", PATCH, FLOW_NEXT },
		{ "0f0125 78563412", "smsw 0x12345678", PATCH, FLOW_NEXT },
		{ "0f0103", "sgdt (%ebx)", PATCH, FLOW_NEXT },
		{ "0f014c2408", "sidt 8(%esp)", PATCH, FLOW_NEXT },
		{ "0f00c0", "sldt %eax", PATCH, FLOW_NEXT },
		{ "0f00cb", "str %ebx", PATCH, FLOW_NEXT },
		{ "8cc8", "mov %cs,%eax", PATCH, FLOW_NEXT },
		{ "8c1b", "mov %ds,(%ebx)", PATCH, FLOW_NEXT },
		{ "0e", "push %cs", PATCH, FLOW_NEXT },
		{ "0fa0", "push %fs", PATCH, FLOW_NEXT },
		{ "0f02c3", "lar %bx,%eax", PATCH, FLOW_NEXT },
		{ "0f00e0", "verr %ax", PATCH, FLOW_NEXT },
		{ "63c3", "arpl %ax,%bx", PATCH, FLOW_NEXT },
		{ "0f01f9", "rdtscp", PATCH, FLOW_NEXT },
		{ "8ed8", "mov %eax,%ds", PATCH, FLOW_NEXT },
		{ "cf", "iret", PATCH, FLOW_STOP },
		{ "fa", "cli", TRAPS, FLOW_NEXT },
		{ "fb", "sti", TRAPS, FLOW_NEXT },
		{ "f4", "hlt", TRAPS, FLOW_NEXT },
		{ "e460", "in $0x60,%al", TRAPS, FLOW_NEXT },
		{ "ef", "out %eax,(%dx)", TRAPS, FLOW_NEXT },
		{ "0f20c0", "mov %cr0,%eax", TRAPS, FLOW_NEXT },
		{ "0f22d8", "mov %eax,%cr3", TRAPS, FLOW_NEXT },
		{ "0f0113", "lgdt (%ebx)", TRAPS, FLOW_NEXT },
		{ "0f01f0", "lmsw %ax", TRAPS, FLOW_NEXT },
		{ "0f00d8", "ltr %ax", TRAPS, FLOW_NEXT },
		{ "0f013b", "invlpg (%ebx)", TRAPS, FLOW_NEXT },
		{ "0f32", "rdmsr", TRAPS, FLOW_NEXT },
		{ "90", "nop", 0, FLOW_NEXT },
		{ "f390", "pause", 0, FLOW_NEXT },
		{ "0f31", "rdtsc", 0, FLOW_NEXT },
		{ "89d8", "mov %ebx,%eax", 0, FLOW_NEXT },
		{ "b8 9c9d9c9d", "mov $0x9d9c9d9c,%eax", 0, FLOW_NEXT },
		{ "50", "push %eax", 0, FLOW_NEXT },
		{ "0fb6c0", "movzbl %al,%eax", 0, FLOW_NEXT },
		{ "9f", "lahf", 0, FLOW_NEXT },
		{ "7410", "je", 0, FLOW_COND },
		{ "0f84 00010000", "je", 0, FLOW_COND },
		{ "e210", "loop", 0, FLOW_COND },
		{ "e310", "jecxz", 0, FLOW_COND },
		{ "e8 00010000", "call", 0, FLOW_CALL },
		{ "eb10", "jmp", 0, FLOW_JUMP },
		{ "e9 00010000", "jmp", 0, FLOW_JUMP },
		{ "ffd0", "call *%eax", 0, FLOW_ICALL },
		{ "ffe0", "jmp *%eax", 0, FLOW_INDIRECT },
		{ "c3", "ret", 0, FLOW_RET },
		{ "c20800", "ret $8", 0, FLOW_RET },
		{ "0f0b", "ud2", 0, FLOW_STOP } });
	LOOKS(32, true, false,
	      { { "0f31", "rdtsc, to be patched", PATCH, FLOW_NEXT },
		{ "f390", "pause", 0, FLOW_NEXT } });
	LOOKS(32, false, true,
	      { { "0f31", "rdtsc", 0, FLOW_NEXT },
		{ "f390", "pause, to be patched", PATCH, FLOW_NEXT },
		{ "9c", "pushf", PATCH, FLOW_NEXT } });
	put(p, 0x100, "0f0a"); /* no instruction of any processor so far */
	scan_look(&p->in, 0x100, &got);
	WANT(got.len, 0, "0f 0a, which is no instruction: length");
	WANT(got.patch, 1, "0f 0a, which is no instruction: patch");
}

ITEM(look_prefixes)
{
	LOOKS(32, false, false,
	      { { "669c", "pushfw", PATCH, FLOW_NEXT },
		{ "669d", "popfw", PATCH, FLOW_NEXT },
		{ "f39d", "rep popf", PATCH, FLOW_NEXT },
		{ "2e9d", "cs popf", PATCH, FLOW_NEXT },
		{ "67662e9d", "popfw with three prefixes", PATCH, FLOW_NEXT },
		{ "660f01e0", "smsw %ax", PATCH, FLOW_NEXT },
		{ "260f0103", "sgdt %es:(%ebx)", PATCH, FLOW_NEXT },
		{ "67 0f010f", "sidt (%bx)", PATCH, FLOW_NEXT },
		{ "668cd8", "mov %ds,%ax", PATCH, FLOW_NEXT },
		{ "2ee9 00000000", "cs jmp", 0, FLOW_JUMP },
		{ "3e7400", "je, likely", 0, FLOW_COND },
		{ "66b8 9c9d", "mov $0x9d9c,%ax", 0, FLOW_NEXT } });
	LOOKS(16, false, false,
	      { { "9c", "pushf", PATCH, FLOW_NEXT },
		{ "669d", "popfl", PATCH, FLOW_NEXT },
		{ "0f010e 3412", "sidt 0x1234", PATCH, FLOW_NEXT },
		{ "0f0107", "sgdt (%bx)", PATCH, FLOW_NEXT },
		{ "8c1e 3412", "mov %ds,0x1234", PATCH, FLOW_NEXT },
		{ "0f01e0", "smsw %ax", PATCH, FLOW_NEXT },
		{ "b8 9c9d", "mov $0x9d9c,%ax", 0, FLOW_NEXT },
		{ "e8 9c00", "call", 0, FLOW_CALL },
		{ "e9 9c00", "jmp", 0, FLOW_JUMP },
		{ "0f84 9c00", "je", 0, FLOW_COND } });
}

/* The instruction @hex @here bytes before the end of the page. */
static struct scan_look look_at_end(const char *hex, unsigned here, bool next_known)
{
	struct page *p = page_new(32);
	struct scan_look got;

	put(p, SCAN_PAGE - here, hex);
	if (!next_known)
		p->in.avail = SCAN_PAGE;
	scan_look(&p->in, SCAN_PAGE - here, &got);
	return got;
}

ITEM(look_page_end)
{
	struct scan_look got = look_at_end("0f01e0", 3, true);

	WANT(got.patch, 1, "smsw at the very end of the page: patch");
	got = look_at_end("90", 1, true);
	WANT(got.len, 1, "nop at the very end of the page: length");
	WANT(got.patch, 0, "nop at the very end of the page: patch");
	got = look_at_end("b8 00000000", 5, true);
	WANT(got.patch, 0, "mov $0,%%eax at the very end of the page: patch");
	got = look_at_end("0f01e0", 1, true);
	WANT(got.len, 3, "smsw, of which one byte is in this page: length");
	WANT(got.patch, 1, "smsw, of which one byte is in this page: patch");
	got = look_at_end("0f85 00000000", 1, true);
	WANT(got.len, 6, "jne, of which one byte is in this page: length");
	WANT(got.patch, 1,
	     "jne, whose first byte 0f is in this page and could become smsw's by a write to the "
	     "next page: patch");
	got = look_at_end("66 89d8", 1, true);
	WANT(got.patch, 1,
	     "mov %%bx,%%ax, of which only the prefix is in this page and could become popf's by a "
	     "write to the next page: patch");
	got = look_at_end("8c 1d 00000000", 2, true);
	WANT(got.patch, 1, "mov %%ds,0, whose address is in the next page: patch");
	/* The next page is not known at all. */
	got = look_at_end("90", 1, false);
	WANT(got.len, 1, "nop at the end, next page unknown: length");
	WANT(got.patch, 0, "nop at the end, next page unknown: patch");
	got = look_at_end("0f", 1, false);
	WANT(got.patch, 1, "0f at the end, next page unknown: patch");
}

/* ---- 2. the page ---- */

ITEM(descent_paths)
{
	static const struct line both[] = {
		{ 0x000, "90", "nop", ENTRY },
		{ 0x001, "7404", "je 007", START },
		{ 0x003, "9d", "popf", PATCH },
		{ 0x004, "fa", "cli", TRAPS },
		{ 0x005, "eb07", "jmp 00e", START },
		{ 0x007, "9c", "pushf", PATCH },
		{ 0x008, "e8 f3000000", "call 100", START },
		{ 0x00d, "fb", "sti", TRAPS },
		{ 0x00e, "ffd0", "call *%eax", START },
		{ 0x010, "e2ee", "loop 000", START },
		{ 0x012, "f4", "hlt", TRAPS },
		{ 0x013, "ebfd", "jmp 012", START },
		{ 0x100, "8cc8", "mov %cs,%eax", PATCH },
		{ 0x102, "0f84 f8000000", "je 200", START },
		{ 0x108, "c3", "ret", START },
		{ 0x200, "0f0103", "sgdt (%ebx)", PATCH },
		{ 0x203, "ffe0", "jmp *%eax", START },
	};
	static const struct line entries[] = {
		{ 0x000, "c3", "ret", ENTRY },        { 0x7ff, "9d", "popf", ENTRY | PATCH },
		{ 0x800, "c20400", "ret $4", START }, { 0x900, "e9 fbfeffff", "jmp 800", ENTRY },
		{ 0xfff, "c3", "ret", ENTRY },
	};
	static const struct line stops[] = {
		{ 0x000, "0f0b", "ud2", ENTRY },
		{ 0x100, "cf", "iret", ENTRY | PATCH },
		{ 0x200, "cb", "lret", ENTRY | PATCH },
		{ 0x300, "ea 00000000 0800", "ljmp", ENTRY | PATCH },
		/* A start of length 1, patched, and the end of the path. */
		{ 0x400, "90", "nop", ENTRY },
		{ 0x401, "0f", "with the 0a behind it, no instruction", PATCH },
		{ 0x402, "0a", "not reached", 0 },
	};

	DESCEND(page_new(32), both);
	DESCEND(page_new(32), entries);
	DESCEND(page_new(32), stops);
}

/* Bytes that nobody executes may be data: they must stay what they are. */
ITEM(descent_data)
{
	static const struct line lines[] = {
		{ 0x000, "eb08", "jmp 00a", ENTRY },
		{ 0x002, "9c9d9c9d 9c9d9c9d", "data", 0 },
		{ 0x00a, "b8 9c9d0f01", "mov $0x10f9d9c,%eax", START },
		{ 0x00f, "8b0d 02104000", "mov 0x401002,%ecx", START },
		{ 0x015, "ff24 85 20104000", "jmp *0x401020(,%eax,4)", START },
		{ 0x01c, "0f01e000", "data", 0 },
		{ 0x020, "9c9c9c9c", "data: a table of addresses", 0 },
		{ 0x040, "c3", "ret", ENTRY },
		{ 0x041, "8cc8", "data", 0 },
	};

	DESCEND(page_new(32), lines);
}

ITEM(descent_outside)
{
	static const struct line lines[] = {
		{ 0x000, "e8 fb1f0000", "call 2000", ENTRY },
		{ 0x005, "0f84 f50f0000", "je 1000", START },
		{ 0x00b, "74f3", "je 000", START },
		{ 0x00d, "75f0", "jne -1", START },
		{ 0x00f, "e9 ecefffff", "jmp -1000", START },
	};
	static const struct line wraps[] = {
		{ 0xff0, "e9 1d00", "jmp 0x10 of the segment", ENTRY },
		{ 0x000, "66e9 fa0f0000", "jmp, 32 bits, to 0x10000 of the segment", ENTRY },
		{ 0x100, "e9 fd0d", "jmp 0xff00 of the segment", ENTRY },
		{ 0xf00, "9d", "popf", PATCH },
		{ 0xf01, "c3", "ret", START },
	};
	static const struct line end[] = {
		{ 0xffe, "90", "nop", ENTRY },
		{ 0xfff, "90", "nop, and on to the next page", START },
	};
	struct page *p = page_new(32);

	NOTE("the page is at linear address %#x", LINEAR);
	DESCEND(p, lines);
	OUTSIDE(p, LINEAR + 0x2000, LINEAR + 0x1000, LINEAR - 1, LINEAR - 0x1000);
	p = page_new(32);
	DESCEND(p, end);
	OUTSIDE(p, LINEAR + 0x1000);
	p = page_new(32); /* external may be NULL */
	p->in.external = NULL;
	DESCEND(p, lines);
	/* 16-bit code in a segment with a base: EIP wraps in the segment. */
	p = page_new(16);
	p->in.cs_base = 0x20000;
	p->in.linear = 0x2f000;
	NOTE("16-bit code: the segment is at linear address 0x20000, the page at 0x2f000");
	DESCEND(p, wraps);
	OUTSIDE(p, 0x20010, 0x30000);
}

ITEM(descent_middle)
{
	/* The immediate of the mov is executed, too. */
	static const struct line inside[] = {
		{ 0x000, "7401", "je 003", ENTRY },
		{ 0x002, "b8 9c589090", "mov $0x9090589c,%eax", PATCH },
		{ 0x003, "9c", "pushf, inside the mov", PATCH },
		{ 0x004, "58", "pop %eax", START },
		{ 0x005, "90", "nop", START },
		{ 0x006, "90", "nop", START },
		{ 0x007, "c3", "ret", START },
	};
	/* Nothing to patch inside: nothing to patch. */
	static const struct line harmless[] = {
		{ 0x000, "7401", "je 003", ENTRY },
		{ 0x002, "b8 90589090", "mov $0x90905890,%eax", START },
		{ 0x003, "90", "nop, inside the mov", START },
		{ 0x004, "58", "pop %eax", START },
		{ 0x005, "90", "nop", START },
		{ 0x006, "90", "nop", START },
		{ 0x007, "c3", "ret", START },
	};
	/* The patch of the second, which it needs because of the third, is in the way of the first.
	 */
	static const struct line chain[] = {
		{ 0x100, "b8 909090b9", "mov $0xb9909090,%eax", ENTRY | PATCH },
		{ 0x104, "b9 9090909c", "mov $0x9c909090,%ecx", ENTRY | PATCH },
		{ 0x108, "9c", "pushf", ENTRY | PATCH },
		{ 0x105, "90", "nop", START },
		{ 0x106, "90", "nop", START },
		{ 0x107, "90", "nop", START },
		{ 0x109, "c3", "ret", START },
	};
	/* No patch byte inside the loopne. */
	static const struct line behind[] = {
		{ 0x200, "0f01e0", "smsw %eax", ENTRY | PATCH },
		{ 0x202, "e0fe", "loopne 202, inside the smsw", ENTRY },
		{ 0x203, "fec3", "inc %bl", START },
		{ 0x204, "c3", "ret, inside the inc", START },
		{ 0x205, "c3", "ret", START },
	};

	DESCEND(page_new(32), inside);
	DESCEND(page_new(32), harmless);
	DESCEND(page_new(32), chain);
	DESCEND(page_new(32), behind);
}

ITEM(descent_end)
{
	static const struct line split[] = {
		{ 0xff0, "eb0d", "jmp fff", ENTRY },
		{ 0xfff, "0f01e0", "smsw %eax, one byte in this page", PATCH },
	};
	/* Of two that go on in the next page the longer one counts, whichever is seen first. */
	static const struct line longest[] = {
		{ 0xffe, "b8 c2334455", "mov $0x554433c2,%eax", ENTRY | MAYBE },
		{ 0xfff, "c2 3344", "ret $0x4433, inside the mov", ENTRY | MAYBE },
	};
	static const struct line whole[] = {
		{ 0xffb, "b8 9c9c9c9c", "mov $0x9c9c9c9c,%eax", ENTRY },
	};
	static const struct line last[] = {
		{ 0xfff, "9d", "popf", ENTRY | PATCH },
	};
	struct page *p = page_new(32);

	NOTE("the page ends at fff; what is behind it is known");
	DESCEND(p, split);
	OUTSIDE(p, LINEAR + 0x1002);
	p = page_new(32);
	DESCEND(p, whole);
	OUTSIDE(p, LINEAR + 0x1000);
	p = page_new(32);
	DESCEND(p, last);
	OUTSIDE(p, LINEAR + 0x1000);
	p = page_new(32);
	DESCEND(p, longest);
	scan_mark(&p->out, 0xff8, 15, false);
	WANT(p->out.tail, 7, "tail 3, then scan_mark() of 15 bytes from ff8: tail");
	scan_mark(&p->out, 0xffc, 5, true);
	WANT(p->out.tail, 7, "tail 7, then scan_mark() of 5 bytes from ffc: tail");
	WANT(scan_test(p->out.patch, 0xffc), 1, "patch at ffc");
}

/* ---- 3. anything ---- */

static uint32_t noise(void)
{
	static uint64_t x = 0x9e3779b97f4a7c15u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 16);
}

static void check_any(const struct page *p, unsigned round)
{
	const struct scan_result *r = &p->out;
	struct insn i;

	for (unsigned off = 0; off < SCAN_PAGE; off++) {
		const uint8_t *b = p->in.bytes + off;
		bool patched = scan_test(r->patch, off);

		if (scan_test(p->entries, off) && !scan_test(r->start, off))
			LOSE("page %u of noise: expected a start at the entry %03x, got none",
			     round, off);
		if ((patched || scan_test(r->privileged, off)) && !scan_test(r->start, off))
			LOSE("page %u of noise: expected patches at starts only, got one at %03x",
			     round, off);
		if (!scan_test(r->start, off))
			continue;
		if (!scan_test(r->body, off))
			LOSE("page %u of noise: expected that the start at %03x is in the body, "
			     "got "
			     "that it is not",
			     round, off);
		if (patched)
			continue;
		if (insn_decode(b, p->in.avail - off, p->in.bits, &i)) {
			struct quick q; /* tells less of what never existed */

			if (!insn_quick(b, p->in.avail - off, p->in.bits, &q) && !q.candidate)
				continue;
			LOSE("page %u of noise, offset %03x: expected that what is no instruction "
			     "is patched, got %02x %02x %02x unpatched",
			     round, off, b[0], b[1], b[2]);
		}
		if (i.sens && i.sens->patch && i.op != OP_RDTSC)
			LOSE("page %u of noise, offset %03x: expected a patch for %s, got none",
			     round, off, i.sens->mnemonic);
		for (unsigned k = 1; k < i.len && off + k < SCAN_PAGE; k++)
			if (!scan_test(r->body, off + k) || scan_test(r->patch, off + k))
				LOSE("page %u of noise: expected that the %u bytes at %03x are in "
				     "the body, and unpatched as the first is, got byte %03x %s",
				     round, i.len, off, off + k,
				     scan_test(r->patch, off + k) ? "patched" : "not in the body");
	}
}

ITEM(descent_any)
{
	/* What lies behind the bytes that are given cannot be read. */
	uint8_t *map = mmap(NULL, 3 * SCAN_PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static struct scan_result again;

	if (map == MAP_FAILED || mprotect(map + 2 * SCAN_PAGE, SCAN_PAGE, PROT_NONE))
		LOSE("no memory for the item");
	for (unsigned round = 0; round < 60; round++) {
		struct page *p = page_new(round % 4 == 3 ? 16 : 32);
		uint8_t *bytes;

		p->in.avail = SCAN_PAGE + (round % 3 ? round % (FOLLOWING + 1) : 0);
		bytes = map + 2 * SCAN_PAGE - p->in.avail;
		p->in.bytes = bytes;
		for (unsigned i = 0; i < p->in.avail; i++)
			bytes[i] = round % 2 || noise() % 4 == 0 ? (uint8_t)noise() : 0x90;
		if (round == 0) /* a jump to itself, and a long way round */
			memset(bytes, 0xeb, p->in.avail);
		for (unsigned i = 0; i < 1 + round % 40; i++)
			scan_set(p->entries, noise() % SCAN_PAGE);
		if (round == 2)
			memset(p->entries, 0xff, sizeof(p->entries));
		p->in.linear = noise() & ~(SCAN_PAGE - 1);
		scan_descend(&p->in, &p->out);
		check_any(p, round);
		memset(&again, 0, sizeof(again));
		p->in.external = NULL;
		scan_descend(&p->in, &again);
		if (memcmp(&again, &p->out, sizeof(again)))
			LOSE("page %u of noise: expected the same result without external(), got "
			     "another",
			     round);
	}
}
