/* SPDX-License-Identifier: MIT */
/* The trace file in both formats, the ring of recent exits, and the report of a death. */
#include <criterion/criterion.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/account.h"
#include "vmm/symbols.h"
#include "vmm/trace.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define TRC_RAM 0x4000u

struct trc {
	struct vm vm;
	struct vcpu v;
	uint8_t ram[TRC_RAM];
	char path[32];
};

static void trc_init(struct trc *t)
{
	static const struct segment flat = {
		.sel = 8, .type = 0xb, .s = true, .present = true, .db = true, .limit = UINT32_MAX
	};
	int fd;

	memset(t, 0, sizeof(*t));
	t->vm.ram = t->ram;
	t->vm.ram_len = TRC_RAM;
	t->vm.symbols = symbols_new();
	symbols_add(t->vm.symbols, 0x1000, 0x100, "start");
	symbols_add(t->vm.symbols, 0x1100, 0x100, "say \"\x1b[2Jhi\\\n\"\xff");
	symbols_finish(t->vm.symbols);
	t->v.vm = &t->vm;
	t->v.id = 3;
	for (int i = 0; i < SEG_COUNT; i++)
		t->v.regs.seg[i] = flat;
	t->v.regs.eflags = FL_FIXED;
	memcpy(t->path, "/tmp/ringside-trace-XXXXXX", 27);
	fd = mkstemp(t->path);
	cr_assert_geq(fd, 0);
	close(fd);
}

static void trc_fini(struct trc *t)
{
	symbols_free(t->vm.symbols);
	unlink(t->path);
}

static struct trace *trc_open(struct trc *t, const char *path, enum trace_format format)
{
	char err[256] = "";
	struct trace *tr = trace_new(path, format, err, sizeof(err));

	cr_assert_not_null(tr, "%s", err);
	t->v.trace = tr;
	return tr;
}

/* The @i-th exit: cli at 0x1000 + i, 10 us apart from 1 s on. */
static struct trace_entry trc_entry(unsigned i)
{
	return (struct trace_entry){ .time_ns = 1000000000ull + 10000 * i,
				     .eip = 0x1000 + i,
				     .cause = CAUSE_INSN(OP_CLI),
				     .insn_len = 1,
				     .insn = { 0xfa },
				     .bits = 32,
				     .error = 0xabc,
				     .guest_ns = 2500,
				     .handoff_ns = 1234,
				     .handling_ns = 5678 };
}

static void trc_exits(struct trc *t, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct trace_entry e = trc_entry(i);

		trace_exit(t->v.trace, &t->v, &e);
	}
}

static char *trc_slurp(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text = NULL;
	size_t size = 0;

	cr_assert_not_null(f);
	if (getdelim(&text, &size, '\0', f) < 0)
		text[0] = '\0';
	fclose(f);
	return text;
}

static unsigned trc_lines(const char *text)
{
	unsigned n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

/* ---- the ring ---- */

Test(trace, ring_keeps_the_last_sixteen_oldest_first)
{
	struct trace_entry e, out[TRACE_RING];
	struct trace *tr;
	struct trc t;

	trc_init(&t);
	tr = trc_open(&t, NULL, TRACE_TEXT);
	cr_assert_eq(trace_last(tr, out), 0);
	for (unsigned i = 0; i < 100; i++) {
		e = trc_entry(i);
		trace_exit(tr, &t.v, &e);
		size_t n = trace_last(tr, out), want = i + 1 < TRACE_RING ? i + 1 : TRACE_RING;

		cr_assert_eq(n, want);
		for (size_t j = 0; j < n; j++)
			cr_assert_eq(out[j].eip, 0x1000 + i + 1 - n + j);
	}
	cr_assert_eq(trace_free(tr), 0);
	cr_assert_eq(trace_last(NULL, out), 0);
	trc_fini(&t);
}

/* ---- text ---- */

Test(trace, text_has_one_line_an_exit)
{
	char sym[32], insn[32], cause[32];
	unsigned us, ns, cpu, eip, error, guest, handoff, handling;
	struct trace *tr;
	struct trc t;
	char *text, *line;

	trc_init(&t);
	tr = trc_open(&t, t.path, TRACE_TEXT);
	trc_exits(&t, 50);
	cr_assert_eq(trace_free(tr), 0);
	text = trc_slurp(t.path);
	cr_assert_eq(trc_lines(text), 51, "a heading and 50 lines:\n%s", text);
	cr_assert_eq(text[0], '#');
	line = strchr(text, '\n') + 1;
	for (unsigned i = 0; i < 50; i++, line = strchr(line, '\n') + 1) {
		int n = sscanf(line, "%u.%u v%u %x %31s %31s %31s %x %u %u %u", &us, &ns, &cpu,
			       &eip, sym, insn, cause, &error, &guest, &handoff, &handling);

		cr_assert_eq(n, 11, "%s", line);
		/* Time begins with the guest's first instruction, 2.5 us before its first exit. */
		cr_assert_eq(us * 1000 + ns, 2500 + 10000 * i);
		cr_assert_eq(cpu, 3);
		cr_assert_eq(eip, 0x1000 + i);
		cr_assert_str_eq(insn, "cli");
		cr_assert_str_eq(cause, "cli");
		cr_assert_eq(error, 0xabc);
		cr_assert_eq(guest, 2500);
		cr_assert_eq(handoff, 1234);
		cr_assert_eq(handling, 5678);
		if (i == 0)
			cr_assert_str_eq(sym, "start");
		if (i == 18)
			cr_assert_str_eq(sym, "start+0x12");
	}
	free(text);
	trc_fini(&t);
}

Test(trace, same_place_other_bytes_is_other_text)
{
	struct trace_entry e = trc_entry(0);
	struct trace *tr;
	struct trc t;
	char *text;

	/* A guest that modifies itself: what was disassembled here before is not it. */
	trc_init(&t);
	tr = trc_open(&t, t.path, TRACE_TEXT);
	trace_exit(tr, &t.v, &e);
	e.insn[0] = 0xfb;
	trace_exit(tr, &t.v, &e);
	e.insn_len = 0;
	e.cause = CAUSE_EXIT(EXIT_KICK);
	trace_exit(tr, &t.v, &e);
	trace_free(tr);
	text = trc_slurp(t.path);
	cr_assert_not_null(strstr(text, " cli        "));
	cr_assert_not_null(strstr(text, " sti        "), "%s", text);
	cr_assert_not_null(strstr(text, " -          "));
	free(text);
	trc_fini(&t);
}

Test(trace, symbols_cannot_send_escape_sequences)
{
	struct trace_entry e = trc_entry(0x100);
	struct trace *tr;
	struct trc t;
	char *text;

	trc_init(&t);
	tr = trc_open(&t, t.path, TRACE_TEXT);
	trace_exit(tr, &t.v, &e);
	trace_free(tr);
	text = trc_slurp(t.path);
	cr_assert_not_null(strstr(text, "say?\"?[2Jhi\\?\"?"), "%s", text);
	for (const char *c = text; *c; c++)
		cr_assert(*c == '\n' || (*c >= ' ' && *c <= '~'), "byte %#x", (unsigned char)*c);
	free(text);
	trc_fini(&t);
}

/* ---- Chrome ---- */

static struct json_object *trc_key(struct json_object *o, const char *name)
{
	struct json_object *val = NULL;

	cr_assert(json_object_object_get_ex(o, name, &val), "no key %s", name);
	return val;
}

static struct json_object *trc_events(const char *path, struct json_object **root)
{
	*root = json_object_from_file(path);
	cr_assert_not_null(*root, "%s", json_util_get_last_err());
	return trc_key(*root, "traceEvents");
}

Test(trace, chrome_events_parse)
{
	struct json_object *root, *events, *args;
	unsigned complete = 0;
	struct trace *tr;
	struct trc t;

	trc_init(&t);
	tr = trc_open(&t, t.path, TRACE_CHROME);
	trc_exits(&t, 40);
	cr_assert_eq(trace_free(tr), 0);
	events = trc_events(t.path, &root);
	for (size_t i = 0; i < json_object_array_length(events); i++) {
		struct json_object *ev = json_object_array_get_idx(events, i);
		const char *ph = json_object_get_string(trc_key(ev, "ph"));

		if (strcmp(ph, "X") != 0) {
			cr_assert_str_eq(ph, "M"); /* names */
			continue;
		}
		cr_assert_str_eq(json_object_get_string(trc_key(ev, "name")), "cli");
		cr_assert_eq(json_object_get_int(trc_key(ev, "tid")), 3);
		cr_assert_eq(json_object_get_int(trc_key(ev, "pid")), 1);
		cr_assert_float_eq(json_object_get_double(trc_key(ev, "ts")), 2.5 + 10 * complete,
				   1e-6);
		cr_assert_float_eq(json_object_get_double(trc_key(ev, "dur")), 5.678, 1e-6);
		args = trc_key(ev, "args");
		cr_assert_eq(strtoul(json_object_get_string(trc_key(args, "eip")), NULL, 16),
			     0x1000 + complete);
		cr_assert_str_eq(json_object_get_string(trc_key(args, "insn")), "cli");
		cr_assert_eq(json_object_get_int(trc_key(args, "handoff_ns")), 1234);
		complete++;
	}
	cr_assert_eq(complete, 40);
	json_object_put(root);
	trc_fini(&t);
}

Test(trace, chrome_file_without_exits_parses)
{
	struct json_object *root;
	struct trc t;

	trc_init(&t);
	cr_assert_eq(trace_free(trc_open(&t, t.path, TRACE_CHROME)), 0);
	cr_assert_eq(json_object_array_length(trc_events(t.path, &root)), 0);
	json_object_put(root);
	trc_fini(&t);
}

Test(trace, chrome_quotes_symbols)
{
	struct trace_entry e = trc_entry(0x100);
	struct json_object *root, *events, *ev;
	struct trace *tr;
	struct trc t;

	trc_init(&t);
	tr = trc_open(&t, t.path, TRACE_CHROME);
	trace_exit(tr, &t.v, &e);
	trace_free(tr);
	events = trc_events(t.path, &root);
	ev = json_object_array_get_idx(events, json_object_array_length(events) - 1);
	cr_assert_str_eq(json_object_get_string(trc_key(trc_key(ev, "args"), "symbol")),
			 "say?\"?[2Jhi\\?\"?");
	json_object_put(root);
	trc_fini(&t);
}

/* ---- errors ---- */

Test(trace, file_that_cannot_be_written_is_a_sentence)
{
	char err[256] = "";

	cr_assert_null(trace_new("/nonexistent/trace", TRACE_TEXT, err, sizeof(err)));
	cr_assert_not_null(strstr(err, "/nonexistent/trace"));
	cr_assert_not_null(strstr(err, "No such file"));
}

Test(trace, full_disk_is_reported_at_the_end)
{
	struct trc t;
	struct trace *tr;

	trc_init(&t);
	tr = trc_open(&t, "/dev/full", TRACE_TEXT);
	/* More than the buffer holds: the first write fails in the middle, the exits go on. */
	trc_exits(&t, 20000);
	freopen("/dev/null", "w", stderr);
	cr_assert_eq(trace_free(tr), -ENOSPC);
	tr = trc_open(&t, "/dev/full", TRACE_CHROME);
	cr_assert_eq(trace_free(tr), -ENOSPC);
	trc_fini(&t);
}

/* ---- the report ---- */

static char *trc_report(struct trc *t)
{
	char *text = NULL;
	size_t len;
	FILE *m = open_memstream(&text, &len);

	report_death(&t->vm, &t->v, m);
	fclose(m);
	return text;
}

static void trc_has(const char *text, const char *what)
{
	cr_assert_not_null(strstr(text, what), "no \"%s\" in:\n%s", what, text);
}

static void trc_code(struct trc *t, uint32_t at, const void *code, size_t len)
{
	memcpy(t->ram + at, code, len);
}

Test(trace, report_has_sentence_registers_and_exits)
{
	struct trace *tr;
	struct trc t;
	char *text;

	trc_init(&t);
	tr = trc_open(&t, NULL, TRACE_TEXT);
	trc_exits(&t, 20);
	snprintf(t.vm.death, sizeof(t.vm.death), "it asked for it");
	t.v.regs.gpr[EDI] = 0xdeadbeef;
	t.v.regs.eip = 0x1002;
	t.v.regs.eflags = FL_FIXED | FL_CF | FL_IF | 3 << FL_IOPL_SHIFT;
	t.v.regs.seg[SEG_FS] = (struct segment){ .sel = 0x2b, .unusable = true };
	t.v.regs.seg[SEG_GS] = (struct segment){
		.sel = 0x33, .type = 7, .s = true, .dpl = 3, .base = 0x12345000, .limit = 0xfff
	};
	t.v.sh.cr0 = CR0_PE | CR0_TS;
	t.v.sh.cr2 = 0xcafe0000;
	t.v.sh.cr3 = 0x77000;
	t.v.sh.cr4 = CR4_PSE;
	t.v.sh.cpl = 2;
	t.v.sh.gdtr = (struct desc_table){ .base = 0x5000, .limit = 0x2f };
	t.v.sh.idtr = (struct desc_table){ .base = 0x6000, .limit = 0x7ff };
	t.v.sh.ldtr = (struct segment){ .sel = 0x48, .type = 2, .present = true, .base = 0x7000 };
	t.v.sh.tr = (struct segment){ .sel = 0x50, .type = 11, .present = true, .limit = 0x67 };
	text = trc_report(&t);
	trc_has(text, "ringside: the guest died: it asked for it\n");
	trc_has(text, "edi deadbeef");
	trc_has(text, "eip 00001002  start+0x2\n");
	trc_has(text, "eflags 00003203 [CF IF] iopl 3, vcpl 2");
	trc_has(text, "cr0 00000009 [PE TS]");
	trc_has(text, "cr2 cafe0000  cr3 00077000  cr4 00000010 [PSE]");
	trc_has(text, "cs   0008 base 00000000 limit ffffffff dpl 0 code rx 32-bit\n");
	trc_has(text, "fs   002b null\n");
	trc_has(text, "gs   0033 base 12345000 limit 00000fff dpl 3 data rw expand-down 16-bit "
		      "not present\n");
	trc_has(text, "ldtr 0048 base 00007000 limit 00000000 dpl 0 LDT\n");
	trc_has(text, "tr   0050 base 00000000 limit 00000067 dpl 0 TSS32 busy\n");
	trc_has(text, "gdtr base 00005000 limit 002f\n");
	trc_has(text, "idtr base 00006000 limit 07ff\n");
	trc_has(text, "last 16 exits, oldest first:\n");
	/* 20 exits, so the first four are gone; the 16 left span 150 us. */
	trc_has(text, "150.000 us before  00001004 start+0x4 ");
	trc_has(text, "  0.000 us before  00001013 start+0x13 ");
	cr_assert_null(strstr(text, "00001003 start+0x3"));
	cr_assert_lt(strstr(text, "00001004 start"), strstr(text, "00001013 start"));
	free(text);
	trace_free(tr);
	trc_fini(&t);
}

Test(trace, report_marks_eip_among_its_neighbours)
{
	/* mov $0x12345678,%eax; mov $1,%ebx; nop; cli; popf (EIP); sti; hlt; nop; nop; nop */
	static const uint8_t code[] = "\xb8\x78\x56\x34\x12\xbb\x01\x00\x00\x00\x90\xfa"
				      "\x9d\xfb\xf4\x90\x90\x90";
	struct trc t;
	char *text;

	trc_init(&t);
	trc_code(&t, 0x1000, code, sizeof(code) - 1);
	t.v.regs.eip = 0x100c;
	text = trc_report(&t);
	trc_has(text, "   00001000  b8 78 56 34 12                 mov");
	trc_has(text, "   00001005  bb 01 00 00 00 ");
	trc_has(text, "   0000100b  fa                             cli\n");
	trc_has(text, "=> 0000100c  9d                             popf\n");
	trc_has(text, "   0000100e  f4                             hlt\n");
	trc_has(text, "   00001010  90                             nop\n");
	cr_assert_null(strstr(text, "   00001011"), "five from EIP on:\n%s", text);
	free(text);
	trc_fini(&t);
}

Test(trace, report_of_bytes_that_are_no_instruction)
{
	struct trc t;
	char *text;

	trc_init(&t);
	memset(t.ram + 0x1000, 0x90, 64);
	trc_code(&t, 0x1010, "\x0f\xff\xf4", 3); /* 0f ff needs ModR/M: f4 */
	trc_code(&t, 0x1020, "\xc4\xc4\xfa", 3); /* les with a register: #UD */
	t.v.regs.eip = 0x1020;
	text = trc_report(&t);
	trc_has(text, "=> 00001020  c4                             (bad)\n");
	trc_has(text, "   00001021  c4");
	free(text);
	trc_fini(&t);
}

/* EIP anywhere, even at the ends of RAM, of the segment and of the address space. */
Test(trace, report_survives_any_eip)
{
	static const uint32_t eips[] = { 0,           1,           39,           TRC_RAM - 1,
					 TRC_RAM,     TRC_RAM + 1, TRC_RAM + 39, 0x7fffffff,
					 0xffffffd0u, 0xfffffffeu, 0xffffffffu };
	static const uint32_t bases[] = { 0, 0x1000, 0xfffff000u, 0x80000000u };
	struct trc t;
	char *text;

	for (size_t b = 0; b < sizeof(bases) / sizeof(bases[0]); b++) {
		for (size_t i = 0; i < sizeof(eips) / sizeof(eips[0]); i++) {
			char mark[16];

			trc_init(&t);
			t.v.regs.seg[SEG_CS].base = bases[b];
			t.v.regs.eip = eips[i];
			text = trc_report(&t);
			/* Either the instruction is marked, or the report says why not. */
			snprintf(mark, sizeof(mark), "=> %08x", eips[i]);
			if ((uint32_t)(bases[b] + eips[i]) < TRC_RAM)
				trc_has(text, mark);
			else
				trc_has(text, "is not RAM");
			/* Offsets do not wrap: what is at 0 does not follow the end of the segment.
			 */
			if (eips[i] > TRC_RAM + 39)
				cr_assert_null(strstr(text, "   00000000  "), "%s", text);
			free(text);
			trc_fini(&t);
		}
	}
}

Test(trace, report_reads_through_the_code_segment)
{
	struct trc t;
	char *text;

	trc_init(&t);
	memset(t.ram, 0x90, TRC_RAM);
	trc_code(&t, 0x1800, "\xb8\x34\x12\xfa", 4);
	t.v.regs.seg[SEG_CS].base = 0x1000;
	t.v.regs.seg[SEG_CS].db = false;
	t.v.regs.eip = 0x800;
	text = trc_report(&t);
	/* 16-bit code: mov $0x1234,%ax is three bytes. */
	trc_has(text, "=> 00000800  b8 34 12 ");
	trc_has(text, "   00000803  fa                             cli\n");
	free(text);
	trc_fini(&t);
}

Test(trace, report_with_paging_shows_no_code)
{
	struct trc t;
	char *text;

	trc_init(&t);
	t.v.sh.cr0 = CR0_PE | CR0_PG;
	text = trc_report(&t);
	trc_has(text, "paging is on");
	cr_assert_null(strstr(text, "=>"));
	free(text);
	trc_fini(&t);
}
