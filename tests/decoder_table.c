/* SPDX-License-Identifier: MIT */
/* The table of sensitive instructions: every row, against itself and against the CPU. */
#include "decoder/sensitive.h"
#include "tests/native.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static size_t bytes_of(const char *hex, uint8_t out[INSN_MAX])
{
	size_t n = 0;
	unsigned byte;

	for (; n < INSN_MAX && sscanf(hex + 2 * n, "%2x", &byte) == 1; n++)
		out[n] = (uint8_t)byte;
	return n;
}

/* CPU registers that make every example reach valid memory. */
static struct native_state scratch_state(void)
{
	struct native_state st = native_state();

	for (int r = 0; r < GPR_COUNT; r++)
		if (r != ESP)
			st.gpr[r] = NATIVE_DATA + NATIVE_DATA_LEN / 2;
	st.gpr[ECX] = 0;
	return st;
}

#define SKIP_WITHOUT_LOW_MEMORY()                                             \
	do {                                                                  \
		if (!native_ptr(NATIVE_DATA))                                 \
			cr_skip_test("no memory below 4 GiB, or no seccomp"); \
	} while (0)

Test(decoder_table, every_example_decodes_to_its_own_row)
{
	size_t count;
	const struct sensitive *table = sensitive_table(&count);

	cr_assert_gt(count, 100);
	for (const struct sensitive *s = table; s < table + count; s++) {
		uint8_t bytes[INSN_MAX];
		size_t len = bytes_of(s->example, bytes);
		struct insn in;

		cr_assert_eq(insn_decode(bytes, len, 32, &in), 0, "%s", s->form);
		cr_expect_eq(in.op, s->op, "%s decodes as %s", s->form, insn_op_name(in.op));
		cr_expect_eq(in.len, len, "%s: %u bytes", s->form, in.len);
		cr_expect_eq(in.sens, s, "%s finds the row of %s", s->form,
			     in.sens ? in.sens->form : "nothing");
		cr_expect_eq(sensitive_find(&in), s, "%s", s->form);
	}
}

Test(decoder_table, columns_agree_with_each_other)
{
	size_t count;
	const struct sensitive *table = sensitive_table(&count);

	for (const struct sensitive *s = table; s < table + count; s++) {
		bool certain = s->ring3 == RING3_GP || s->ring3 == RING3_UD;
		/* syscall and sysenter trap under seccomp, but too late: see sensitive.c */
		bool state_lost = s->op == OP_SYSCALL || s->op == OP_SYSENTER;
		bool unreliable = s->ring3 == RING3_SILENT || s->ring3 == RING3_SELECTOR ||
				  s->ring3 == RING3_HOST || state_lost;

		cr_expect(*s->mnemonic && *s->form && *s->example, "row %td", s - table);
		cr_expect(*s->vtx_why && *s->svm_why, "%s: a reason each", s->form);
		cr_expect(strstr(s->ref, "SDM") || strstr(s->ref, "APM") || strstr(s->ref, "TDX"),
			  "%s: %s", s->form, s->ref);
		cr_expect_eq(s->privileged, certain, "%s: what is privileged traps, and vice versa",
			     s->form);
		cr_expect_eq(s->patch, unreliable && s->op != OP_PAUSE, "%s: patch", s->form);
		cr_expect_lt(s->handler, EMU_HANDLER_COUNT, "%s", s->form);
		cr_expect_lt(s->op, OP_COUNT, "%s", s->form);
		cr_expect(s->op != OP_UNOFFERED || s->handler == EMU_NONE, "%s", s->form);
		cr_expect_str_neq(ring3_name(s->ring3), "?", "%s", s->form);
		cr_expect_str_neq(hw_exit_name(s->vtx), "?", "%s", s->form);
		cr_expect_str_neq(hw_exit_name(s->svm), "?", "%s", s->form);
		if (s->vtx == HW_ALWAYS || s->vtx == HW_CONTROL || s->vtx == HW_CONTROL_OFF)
			cr_expect(strstr(s->ref, "26."), "%s exits, but by what rule?", s->form);
		if (s->svm == HW_ALWAYS || s->svm == HW_CONTROL || s->svm == HW_CONTROL_OFF)
			cr_expect(strstr(s->ref, "AMD APM"), "%s exits, but by what rule?",
				  s->form);
	}
}

Test(decoder_table, rows_of_one_operation_are_adjacent)
{
	size_t count;
	const struct sensitive *table = sensitive_table(&count);
	bool seen[OP_COUNT] = { false };

	for (size_t i = 0; i < count; i++) {
		cr_expect(!seen[table[i].op] || table[i - 1].op == table[i].op, "%s",
			  table[i].form);
		seen[table[i].op] = true;
	}
	for (unsigned op = OP_OTHER + 1; op <= OP_UNOFFERED; op++)
		cr_expect(seen[op] || op == OP_UD, "%s has no row", insn_op_name(op));
}

/* Whatever the bytes: a sensitive operation has a row, an ordinary one has none. */
Test(decoder_table, every_form_of_a_sensitive_operation_has_a_row)
{
	static const uint8_t prefixes[] = { 0, 0x66, 0x67, 0xf2, 0xf3, 0x64 };
	unsigned found = 0;

	for (size_t p = 0; p < sizeof(prefixes); p++) {
		for (unsigned op = 0; op < 3 * 256; op++) {
			for (unsigned modrm = 0; modrm < 256; modrm++) {
				uint8_t b[INSN_MAX] = { 0 };
				struct insn in;
				size_t n = 0;

				if (prefixes[p])
					b[n++] = prefixes[p];
				if (op >= 256)
					b[n++] = 0x0f;
				if (op >= 512)
					b[n++] = 0x38;
				b[n++] = (uint8_t)op;
				b[n] = (uint8_t)modrm;
				if (insn_decode(b, sizeof(b), 32, &in))
					continue;
				bool sensitive = in.op > OP_OTHER && in.op <= OP_UNOFFERED &&
						 in.op != OP_UD;

				cr_assert_eq(!!in.sens, sensitive, "%s: prefix %02x, %03x /%02x",
					     insn_op_name(in.op), prefixes[p], op, modrm);
				found += sensitive;
			}
		}
	}
	cr_assert_gt(found, 10000);
}

/* Rows that need a CPU feature: without it #UD comes first, and SYSRET differs by vendor. */
static bool either_fault(const struct sensitive *s)
{
	return s->handler == EMU_NONE || s->op == OP_INVPCID || s->op == OP_XSETBV ||
	       s->op == OP_SYSRET;
}

static const char *what_happened(int end, const struct native_trap *t, char buf[64])
{
	snprintf(buf, 64, "end %d, signal %d, vector %d, error %#x", end, t->signo, t->trapno,
		 t->err);
	return buf;
}

Test(decoder_table, ring3_column_is_what_this_cpu_does)
{
	size_t count, ran = 0;
	const struct sensitive *table = sensitive_table(&count);

	SKIP_WITHOUT_LOW_MEMORY();
	for (const struct sensitive *s = table; s < table + count; s++) {
		struct native_state st = scratch_state();
		struct native_trap trap = { 0 };
		uint8_t bytes[INSN_MAX];
		size_t len = bytes_of(s->example, bytes);
		char text[64];
		bool gp, ud;
		int end;

		if (s->ring3 != RING3_GP && s->ring3 != RING3_UD && s->ring3 != RING3_SILENT)
			continue;
		end = native_run(bytes, len, &st, &trap);
		gp = end == NATIVE_TRAPPED && trap.signo == SIGSEGV && trap.trapno == 13 &&
		     trap.err == 0 && st.eip == NATIVE_CODE;
		ud = end == NATIVE_TRAPPED && trap.signo == SIGILL && trap.trapno == 6 &&
		     st.eip == NATIVE_CODE;
		what_happened(end, &trap, text);
		if (s->ring3 == RING3_SILENT)
			cr_expect_eq(end, NATIVE_DONE, "%s: %s", s->form, text);
		else if (either_fault(s))
			cr_expect(gp || ud, "%s: %s", s->form, text);
		else
			cr_expect(s->ring3 == RING3_GP ? gp : ud, "%s: %s", s->form, text);
		ran++;
	}
	cr_assert_gt(ran, 70);
}

/* DESIGN section 3: loads of the host's own ring-3 selectors do not trap, others do. */
Test(decoder_table, selector_rows_trap_or_not_by_selector)
{
	static const struct {
		uint8_t code[2];
	} loads[] = {
		{ { 0x8e, 0xc0 } }, { { 0x8e, 0xd8 } }, { { 0x8e, 0xe0 } }, { { 0x8e, 0xe8 } }
	};

	SKIP_WITHOUT_LOW_MEMORY();
	for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
		struct native_state st = native_state();
		struct native_trap trap;
		struct insn in;

		cr_assert_eq(insn_decode(loads[i].code, 2, 32, &in), 0);
		cr_assert_eq(in.sens->ring3, RING3_SELECTOR);
		st.gpr[EAX] = NATIVE_FLAT;
		cr_expect_eq(native_run(loads[i].code, 2, &st, &trap), NATIVE_DONE);
		st.gpr[EAX] = 0x60; /* the host kernel's */
		cr_expect_eq(native_run(loads[i].code, 2, &st, &trap), NATIVE_TRAPPED);
		cr_expect_eq(trap.trapno, 13);
		cr_expect_eq(trap.err, 0x60);
	}
}

Test(decoder_table, trap_rows_arrive_with_their_own_vector)
{
	static const struct {
		const char *hex;
		int trapno;
		uint32_t err, eip;
	} rows[] = {
		{ "cd21", 13, 0x21 << 3 | 2, 0 }, /* as the gate's #GP; EIP at the instruction */
		{ "cc", 3, 0, 1 },                /* EIP after it */
		{ "f1", 1, 0, 1 },
		{ "6203", 5, 0, 0 },
		{ "cd80", -1, 0, 2 }, /* SIGSYS under seccomp, EIP after it */
	};

	SKIP_WITHOUT_LOW_MEMORY();
	memset(native_ptr(NATIVE_DATA), 0, NATIVE_DATA_LEN); /* bounds 0 and 0 */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct native_state st = scratch_state();
		struct native_trap trap;
		uint8_t code[INSN_MAX + 1];
		size_t len = bytes_of(rows[i].hex, code);
		struct insn in;

		cr_assert_eq(insn_decode(code, len, 32, &in), 0);
		cr_expect(in.sens->ring3 == RING3_TRAP || in.sens->ring3 == RING3_SYSCALL);
		code[len++] = 0x90; /* so that an int3 is not mistaken for the end */
		cr_expect_eq(native_run(code, len, &st, &trap), NATIVE_TRAPPED, "%s", rows[i].hex);
		if (rows[i].trapno == -1 && trap.trapno == 13)
			continue; /* a host without 32-bit emulation: DESIGN section 3 */
		cr_expect_eq(trap.trapno, rows[i].trapno, "%s: %d", rows[i].hex, trap.trapno);
		cr_expect_eq(st.eip, NATIVE_CODE + rows[i].eip, "%s: %#x", rows[i].hex, st.eip);
		if (rows[i].trapno == 13)
			cr_expect_eq(trap.err, rows[i].err, "%s: %#x", rows[i].hex, trap.err);
	}
}

Test(decoder_table, int_80_is_told_from_other_vectors)
{
	struct insn in;

	cr_assert_eq(insn_decode((const uint8_t[]){ 0xcd, 0x80 }, 2, 32, &in), 0);
	cr_expect_eq(in.sens->ring3, RING3_SYSCALL);
	cr_assert_eq(insn_decode((const uint8_t[]){ 0xcd, 0x81 }, 2, 32, &in), 0);
	cr_expect_eq(in.sens->ring3, RING3_TRAP);
}

/* The helper itself: what the other tests rely on. */
Test(native, gives_registers_flags_and_memory_back)
{
	/* add $1,%eax; stc; mov %ebx,(%esi) */
	static const uint8_t code[] = { 0x83, 0xc0, 0x01, 0xf9, 0x89, 0x1e };
	struct native_state st = native_state();
	uint32_t *mem = native_ptr(NATIVE_DATA);

	SKIP_WITHOUT_LOW_MEMORY();
	*mem = 0;
	st.gpr[EAX] = 0x7fffffff;
	st.gpr[EBX] = 0xdeadbeef;
	st.gpr[ESI] = NATIVE_DATA;
	cr_assert_eq(native_run(code, sizeof(code), &st, NULL), NATIVE_DONE);
	cr_expect_eq(st.gpr[EAX], 0x80000000);
	cr_expect_eq(*mem, 0xdeadbeef);
	cr_expect_eq(st.eflags & 0x8d5, 0x800 | 0x80 | 0x10 | 0x4 | 0x1, "%#x", st.eflags);
	cr_expect_eq(st.eip, NATIVE_CODE + sizeof(code));
	cr_expect_eq(st.gpr[ESP], NATIVE_ESP);
}

Test(native, reports_faults_and_survives_hostile_state)
{
	static const uint8_t code[] = {
		0x68, 0x02, 0x46, 0x04, 0x00, 0x9d, /* AC, NT, DF and IF by push and popf */
		0x8e, 0xe0, 0x8e, 0xe8,             /* mov %eax,%fs; mov %eax,%gs */
		0xff, 0x05, 0x00, 0x00, 0x01, 0x00, /* incl 0x10000, which is not mapped */
	};
	struct native_state st;
	struct native_trap trap;

	SKIP_WITHOUT_LOW_MEMORY();
	for (int i = 0; i < 3; i++) {
		st = native_state();
		st.gpr[EAX] = NATIVE_FLAT;
		cr_assert_eq(native_run(code, sizeof(code), &st, &trap), NATIVE_TRAPPED);
		cr_expect_eq(trap.trapno, 14);
		cr_expect_eq(trap.err, 6, "a write from ring 3 to a page that is not there");
		cr_expect_eq(trap.cr2, 0x10000);
		cr_expect_eq(st.eip, NATIVE_CODE + 10);
		cr_expect_eq(st.sreg[SEG_GS], NATIVE_FLAT);
	}
	st = native_state();
	cr_assert_eq(native_run((const uint8_t[]){ 0x90 }, 1, &st, &trap), NATIVE_DONE);
}

Test(native, stops_endless_code)
{
	struct native_state st = native_state();

	SKIP_WITHOUT_LOW_MEMORY();
	cr_assert_eq(native_run((const uint8_t[]){ 0xeb, 0xfe }, 2, &st, NULL), -ETIMEDOUT);
}
