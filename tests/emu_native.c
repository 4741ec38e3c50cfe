/* SPDX-License-Identifier: MIT */
/* Running one instruction natively and emulated: see emu_native.h. */
#include <criterion/criterion.h>
#include <asm/ldt.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/emu_native.h"

static const struct user_desc ldt[LDT_LAST] = {
	[LDT_RW] = { .limit = 0xfffff, .seg_32bit = 1, .limit_in_pages = 1 },
	[LDT_RO] = { .limit = 0xfffff, .seg_32bit = 1, .limit_in_pages = 1, .read_exec_only = 1 },
	[LDT_DOWN] = { .limit = 0x1ff, .seg_32bit = 1, .limit_in_pages = 1, .contents = 1 },
	[LDT_DOWN_RO] = { .limit = 0x1ff,
			  .seg_32bit = 1,
			  .limit_in_pages = 1,
			  .contents = 1,
			  .read_exec_only = 1 },
	[LDT_CODE_X] = { .limit = 0xfffff,
			 .seg_32bit = 1,
			 .limit_in_pages = 1,
			 .contents = 2,
			 .read_exec_only = 1 },
	[LDT_CODE_XR] = { .limit = 0xfffff, .seg_32bit = 1, .limit_in_pages = 1, .contents = 2 },
	[LDT_CONF_NP] = { .limit = 0xfffff,
			  .seg_32bit = 1,
			  .limit_in_pages = 1,
			  .contents = 3,
			  .seg_not_present = 1 },
	[LDT_DATA_NP] = { .limit = 0x1234, .seg_32bit = 1, .seg_not_present = 1 },
	[LDT_CODE_NP] = { .limit = 0x1234, .seg_32bit = 1, .contents = 2, .seg_not_present = 1 },
	[LDT_BYTE] = { .base_addr = NATIVE_DATA, .limit = 0xfff, .seg_32bit = 1 },
	[LDT_STACK16] = { .base_addr = NATIVE_STACK, .limit = 0xffff },
	[LDT_CODE16] = { .base_addr = NATIVE_CODE, .limit = 0xfff, .contents = 2 },
	[LDT_CODE_BASE] = { .base_addr = NATIVE_CODE,
			    .limit = 0xfff,
			    .seg_32bit = 1,
			    .contents = 2 },
	[LDT_AVL] = { .limit = 0xfffff, .seg_32bit = 1, .limit_in_pages = 1, .useable = 1 },
	[LDT_DATA_BASE] = { .base_addr = NATIVE_DATA,
			    .limit = 0xf,
			    .seg_32bit = 1,
			    .limit_in_pages = 1 },
	[LDT_CONF_X_NP] = { .limit = 0xabcde,
			    .contents = 3,
			    .read_exec_only = 1,
			    .seg_32bit = 1,
			    .seg_not_present = 1 },
	[LDT_DOWN16] = { .base_addr = NATIVE_STACK, .limit = 0x7fff, .contents = 1 },
	[LDT_ZERO_LIMIT] = { .base_addr = NATIVE_DATA, .limit = 0, .seg_32bit = 1, .useable = 1 },
	[LDT_CODE_SHORT] = { .base_addr = NATIVE_CODE,
			     .limit = 0x7f,
			     .seg_32bit = 1,
			     .contents = 2 },
};

/* What the kernel makes of a struct user_desc: DPL 3, accessed (arch/x86/include/asm/desc.h). */
static uint64_t ldt_raw(const struct user_desc *d)
{
	unsigned access = FX_S | FX_DPL(3) | FX_ACC | (d->read_exec_only ? 0 : 2u) |
			  (unsigned)d->contents << 2 | (d->seg_not_present ? 0 : FX_P);
	unsigned flags = (d->limit_in_pages ? FX_G : 0) | (d->seg_32bit ? FX_DB : 0) |
			 (d->useable ? FX_AVL : 0);

	return fx_desc(d->base_addr, d->limit, access, flags);
}

bool nat_init(struct fx *f)
{
	struct native_state st = native_state();

	for (unsigned i = 1; i < LDT_LAST; i++) {
		struct user_desc d = ldt[i];

		d.entry_number = i;
		if (syscall(SYS_modify_ldt, 0x11, &d, sizeof(d))) {
			cr_log_warn("modify_ldt of entry %u: %s", i, strerror(errno));
			return false;
		}
	}
	if (native_run((const uint8_t *)"\x90", 1, &st, NULL) != NATIVE_DONE) {
		cr_log_warn("cannot run 32-bit code here");
		return false;
	}
	fx_init(f);
	for (unsigned i = 1; i < LDT_LAST; i++)
		fx_set(f, LDT_SEL(i), ldt_raw(&ldt[i]));
	f->v.sh.ldtr.limit = LDT_LAST * 8 - 1;

	/* The host's GDT: linux/arch/x86/include/asm/segment.h, 64-bit. */
	memset(f->vm.ram + FX_GDT, 0, FX_ENTRIES * 8);
	f->v.sh.gdtr.limit = 0x7f;
	fx_set(f, 0x08, fx_desc(0, 0xfffff, 0x9b, FX_G | FX_DB));
	fx_set(f, 0x10, fx_desc(0, 0xfffff, 0x9b, FX_G | 2));
	fx_set(f, 0x18, fx_desc(0, 0xfffff, 0x93, FX_G | FX_DB));
	fx_set(f, 0x20, fx_desc(0, 0xfffff, 0xfb, FX_G | FX_DB));
	fx_set(f, 0x28, fx_desc(0, 0xfffff, 0xf3, FX_G | FX_DB));
	fx_set(f, 0x40, fx_desc(0x1000, 0x1000, 0x8b, 0));
	fx_set(f, 0x50, fx_desc(0x1000, 0xfff, 0x82, 0));
	return true;
}

static void load(struct vcpu *v, enum seg seg, uint16_t sel)
{
	uint64_t desc;

	if (!(sel & 0xfffc)) {
		v->regs.seg[seg] = (struct segment){ .sel = sel, .unusable = true };
		return;
	}
	cr_assert_eq(desc_read(v, sel, &desc), 0);
	desc_unpack(desc, sel, &v->regs.seg[seg]);
}

#define FLAGS_SEEN (FL_ARITH | FL_DF | FL_IF | FL_NT | FL_AC | FL_ID)

unsigned long nat_runs;

bool nat_same(struct fx *f, const uint8_t *code, size_t len, const struct native_state *st,
	      const char *what)
{
	struct native_state n = *st;
	struct native_trap trap = { 0 };
	struct vcpu *v = &f->v;
	char name[64];
	int ret, end;

	nat_runs++;
	memcpy(v->regs.gpr, st->gpr, sizeof(st->gpr));
	v->regs.eflags = (st->eflags & FLAGS_SEEN) | FL_FIXED | FL_IF;
	for (int i = 0; i < SEG_COUNT; i++)
		load(v, (enum seg)i, i == SEG_CS ? 0x23 : i == SEG_SS ? 0x2b : st->sreg[i]);
	v->regs.eip = NATIVE_CODE;
	v->sh.cpl = 3;
	v->halted = false;
	memcpy(f->vm.ram + NATIVE_DATA, native_ptr(NATIVE_DATA), NATIVE_DATA_LEN);
	memcpy(f->vm.ram + NATIVE_STACK, native_ptr(NATIVE_STACK), NATIVE_STACK_LEN);
	ret = fx_run_bytes(f, code, len);
	end = native_run(code, len, &n, &trap);

	snprintf(name, sizeof(name), "%s eax=%#x mem=%#x:%#x", what, st->gpr[EAX],
		 fx_r16(f, NATIVE_DATA + 4), fx_r32(f, NATIVE_DATA));
	if (ret == EMU_FAULT) {
		bool err = v->fault.has_error;

		if (end == NATIVE_TRAPPED && trap.trapno == v->fault.vector &&
		    trap.err == (err ? v->fault.error : 0) && n.eip == v->regs.eip)
			return true;
		cr_log_error("%s: emulated #%u(%#x), native end %d trap %d(%#x) eip %#x", name,
			     v->fault.vector, err ? v->fault.error : 0, end, trap.trapno, trap.err,
			     n.eip);
		return false;
	}
	/* It fell through, or went to an int3 of the code page, or where nothing is mapped. */
	if (trap.trapno == VEC_PF && trap.err & PF_FETCH)
		n.eip++;
	else if (ret == EMU_OK && end != NATIVE_DONE && trap.trapno != VEC_BP)
		ret = -1;
	if (ret != EMU_OK) {
		cr_log_error("%s: emulated result %d, native end %d trap %d(%#x) cr2 %#x eip %#x",
			     name, ret, end, trap.trapno, trap.err, trap.cr2, n.eip);
		return false;
	}
	if (end != NATIVE_DONE)
		n.eip--;
	for (int i = 0; i < GPR_COUNT; i++) {
		if (n.gpr[i] != v->regs.gpr[i]) {
			cr_log_error("%s: gpr %d is %#x, native %#x", name, i, v->regs.gpr[i],
				     n.gpr[i]);
			return false;
		}
	}
	for (int i = 0; i < SEG_COUNT; i++) {
		uint16_t sel = v->regs.seg[i].sel;

		/*
		 * The kernel's IRET on the way to the signal handler has made null selectors zero
		 * (see seg_drop_privileged()): the native one cannot be seen.
		 */
		if (n.sreg[i] != (sel > 3 ? sel : 0)) {
			cr_log_error("%s: sreg %d is %#x, native %#x", name, i, v->regs.seg[i].sel,
				     n.sreg[i]);
			return false;
		}
	}
	if (n.eip != v->regs.eip || (n.eflags ^ v->regs.eflags) & FLAGS_SEEN) {
		cr_log_error("%s: eip %#x flags %#x, native %#x %#x", name, v->regs.eip,
			     v->regs.eflags, n.eip, n.eflags);
		return false;
	}
	if (memcmp(f->vm.ram + NATIVE_DATA, native_ptr(NATIVE_DATA), NATIVE_DATA_LEN) ||
	    memcmp(f->vm.ram + NATIVE_STACK, native_ptr(NATIVE_STACK), NATIVE_STACK_LEN)) {
		cr_log_error("%s: memory differs", name);
		return false;
	}
	return true;
}

bool nat_same_hex(struct fx *f, const char *hex, const struct native_state *st)
{
	uint8_t code[INSN_MAX];

	return nat_same(f, code, fx_hex(hex, code, sizeof(code)), st, hex);
}

bool nat_selector(unsigned n, uint16_t *sel)
{
	static const uint16_t gdt[] = { 0x00, 0x08, 0x10, 0x18, 0x20,   0x28,  0x40,
					0x50, 0x58, 0x80, 0x88, 0x1000, 0xfff8 };
	const unsigned ngdt = sizeof(gdt) / sizeof(gdt[0]), rpl = n & 3;

	n >>= 2;
	if (n < ngdt)
		*sel = (uint16_t)(gdt[n] | rpl);
	else if (n - ngdt < LDT_LAST + 3)
		*sel = (uint16_t)((n - ngdt) << 3 | 4 | rpl);
	else if (n - ngdt == LDT_LAST + 3)
		*sel = (uint16_t)(0xfffc | rpl);
	else
		return false;
	return true;
}

void nat_matrix(const char *const *hex, size_t count)
{
	unsigned bad = 0;
	struct fx f;
	uint16_t sel;

	NAT_INIT(&f);
	for (size_t i = 0; i < count; i++) {
		for (unsigned n = 0; nat_selector(n, &sel); n++) {
			struct native_state st = native_state();
			uint8_t *data = native_ptr(NATIVE_DATA);
			uint32_t *stack = native_ptr(NATIVE_ESP);

			memset(data, 0xa5, 64);
			memset((uint8_t *)native_ptr(NATIVE_ESP) - 64, 0x5a, 128);
			/* The selector: in EAX, after a 32-bit and after a 16-bit offset, on the
			 * stack. */
			st.gpr[EAX] = 0xbeef0000 | sel;
			st.gpr[EBX] = NATIVE_DATA;
			st.gpr[ECX] = 0x12345678;
			st.gpr[EDX] = 0xffffffff;
			st.eflags |= n & 4 ? FL_ZF | FL_CF : FL_OF;
			memcpy(data, "\x10\x00\x10\x00", 4); /* NATIVE_CODE + 0x10 */
			memcpy(data + 4, &sel, 2);
			memcpy(data + 8, "\x40\x00", 2);
			memcpy(data + 10, &sel, 2);
			stack[0] = 0xcafe0000 | sel;
			bad += !nat_same_hex(&f, hex[i], &st);
		}
	}
	cr_log_info("%lu runs", nat_runs);
	cr_expect_eq(bad, 0, "%u of %lu runs differ", bad, nat_runs);
	fx_fini(&f);
}
