/* SPDX-License-Identifier: MIT */
/* The world engine alone: exits, mappings and segments. */
#include "tests/world_fixture.h"

TestSuite(world, .timeout = 30);

/* ---- registers and exits ---- */

Test(world, privileged_instruction_traps_with_all_registers)
{
	static const uint32_t pattern[GPR_COUNT] = {
		0x11111111, 0x22222222, 0x33333333, 0x44444444,
		0xdeadbeef, 0x55555555, 0x66666666, 0xffffffff
	};
	struct fixture f;

	start(&f);
	CODE_IS(&f, 0xfa); /* cli */
	memcpy(f.v.regs.gpr, pattern, sizeof(pattern));
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_PRIVILEGED, VEC_GP, CODE);
	cr_expect_eq(f.x.error, 0);
	cr_expect_arr_eq(f.v.regs.gpr, pattern, sizeof(pattern));
	stop(&f);
}

Test(world, ordinary_code_runs_natively)
{
	struct fixture f;

	start(&f);
	/* mov $0x12345678,%eax; mov %eax,DATA; push %eax; pop %ebx; hlt */
	CODE_IS(&f, 0xb8, LE32(0x12345678), 0xa3, LE32(DATA), 0x50, 0x5b, 0xf4);
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_PRIVILEGED, VEC_GP, CODE + 12);
	cr_expect_eq(f.v.regs.gpr[EAX], 0x12345678);
	cr_expect_eq(f.v.regs.gpr[EBX], 0x12345678);
	cr_expect_eq(*(uint32_t *)(f.vm.ram + DATA), 0x12345678);
	stop(&f);
}

Test(world, flags_rule)
{
	struct fixture f;

	start(&f);
	CODE_IS(&f, 0x90, 0xf4);
	/* Arithmetic flags and DF travel; IF, IOPL and the rest stay the shadow's as they are. */
	f.v.regs.eflags = FL_FIXED | FL_CF | FL_DF | FL_OF | FL_IOPL | FL_VIF;
	run(&f, 0);
	cr_expect_eq(f.v.regs.eflags, FL_FIXED | FL_CF | FL_DF | FL_OF | FL_IOPL | FL_VIF);
	CODE_IS(&f, 0xf8, 0xfc, 0xf4); /* clc; cld; hlt */
	f.v.regs.eflags |= FL_IF;
	run(&f, 0);
	cr_expect_eq(f.v.regs.eflags, FL_FIXED | FL_OF | FL_IOPL | FL_VIF | FL_IF);
	stop(&f);
}

/* popf at ring 3 sets AC, NT and ID without a trap; they move to the shadow and are gone from the
 * CPU. */
Test(world, flags_set_natively_are_taken_over_once)
{
	struct fixture f;

	start(&f);
	CODE_IS(&f, 0x68, LE32(FL_AC | FL_NT | FL_ID | FL_FIXED), 0x9d, 0xf4); /* push; popf; hlt */
	run(&f, 0);
	cr_expect_eq(f.v.regs.eflags & (FL_AC | FL_NT | FL_ID), FL_AC | FL_NT | FL_ID);
	f.v.regs.eflags = FL_FIXED;
	/* pushf; pop %ebx; mov DATA+1,%ecx (misaligned); hlt */
	CODE_IS(&f, 0x9c, 0x5b, 0x8b, 0x0d, LE32(DATA + 1), 0xf4);
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_PRIVILEGED, VEC_GP, CODE + 8);
	cr_expect_eq(f.v.regs.eflags, FL_FIXED);
	cr_expect_eq(f.v.regs.gpr[EBX] & (FL_AC | FL_NT | FL_ID), 0, "%#x", f.v.regs.gpr[EBX]);
	stop(&f);
}

/* Alignment checks of the guest's own ring 3: what its popf makes of AC counts. */
Test(world, alignment_flag_is_cleared_natively)
{
	struct fixture f;

	start(&f);
	f.v.sh.cpl = 3;
	f.v.sh.cr0 |= CR0_AM;
	f.v.regs.eflags = FL_FIXED | FL_AC;
	CODE_IS(&f, 0x6a, 0x02, 0x9d, 0xf4); /* push $2; popf; hlt */
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_PRIVILEGED, VEC_GP, CODE + 3);
	cr_expect_eq(f.v.regs.eflags, FL_FIXED, "%#x", f.v.regs.eflags);
	stop(&f);
}

/* A step for the VMM's sake does not swallow the guest's own single-step trap. */
Test(world, step_of_a_guest_that_single_steps)
{
	struct fixture f;

	start(&f);
	CODE_IS(&f, 0x90, 0x90, 0xf4);
	f.v.regs.eflags |= FL_TF;
	run(&f, ENGINE_STEP);
	EXPECT_EXIT(&f, EXIT_EXCEPTION, VEC_DB, CODE + 1);
	cr_expect_eq(f.x.dr6, 1u << 14);
	cr_expect(f.v.regs.eflags & FL_TF);
	stop(&f);
}

Test(world, step_runs_one_instruction)
{
	struct fixture f;

	start(&f);
	CODE_IS(&f, 0x40, 0x40, 0xf4); /* inc %eax; inc %eax; hlt */
	f.v.regs.gpr[EAX] = 5;
	run(&f, ENGINE_STEP);
	cr_expect_eq(f.x.reason, EXIT_STEP);
	cr_expect_eq(f.v.regs.eip, CODE + 1);
	cr_expect_eq(f.v.regs.gpr[EAX], 6);
	cr_expect_not(f.v.regs.eflags & FL_TF, "the engine's TF must not show");
	stop(&f);
}

Test(world, guest_single_step_is_its_own_debug_exception)
{
	struct fixture f;

	start(&f);
	CODE_IS(&f, 0x40, 0xf4);
	f.v.regs.eflags |= FL_TF;
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_EXCEPTION, VEC_DB, CODE + 1);
	cr_expect_eq(f.x.dr6, 1u << 14);
	cr_expect(f.v.regs.eflags & FL_TF);
	stop(&f);
}

Test(world, software_interrupts)
{
	struct fixture f;

	start(&f);
	for (uint32_t nr = 0; nr < 500; nr += 7) {
		CODE_IS(&f, 0xcd, 0x80, 0xf4);
		f.v.regs.gpr[EAX] = nr;
		run(&f, 0);
		EXPECT_EXIT(&f, EXIT_SOFT_INT, 0x80, CODE + 2);
		cr_expect_eq(f.v.regs.gpr[EAX], nr);
	}
	CODE_IS(&f, 0xcc);
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_SOFT_INT, VEC_BP, CODE + 1);
	CODE_IS(&f, 0xcd, 0x03);
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_SOFT_INT, VEC_BP, CODE + 2);
	CODE_IS(&f, 0xce);
	f.v.regs.eflags |= FL_OF;
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_SOFT_INT, VEC_OF, CODE + 1);
	CODE_IS(&f, 0xcd, 0x21);
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_PRIVILEGED, VEC_GP, CODE);
	cr_expect_eq(f.x.error, 0x21 << 3 | 2);
	stop(&f);
}

Test(world, guest_exceptions)
{
	struct fixture f;

	start(&f);
	CODE_IS(&f, 0x31, 0xc9, 0xf7, 0xf1); /* xor %ecx,%ecx; div %ecx */
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_EXCEPTION, VEC_DE, CODE + 2);
	CODE_IS(&f, 0x0f, 0x0b);
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_PRIVILEGED, VEC_UD, CODE);
	CODE_IS(&f, 0xf1); /* int1 */
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_EXCEPTION, VEC_DB, CODE + 1);
	CODE_IS(&f, 0x62, 0x05, LE32(DATA)); /* bound %eax,DATA */
	f.v.regs.gpr[EAX] = 5;
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_EXCEPTION, VEC_BR, CODE);
	stop(&f);
}

Test(world, page_faults_say_address_and_kind)
{
	struct fixture f;

	start(&f);
	CODE_IS(&f, 0xa1, LE32(0xfee00020));
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_PAGE_FAULT, VEC_PF, CODE);
	cr_expect_eq(f.x.gva, 0xfee00020);
	cr_expect_eq(f.x.error, 0);
	CODE_IS(&f, 0xa3, LE32(0xfffffffc));
	run(&f, 0);
	cr_expect_eq(f.x.gva, 0xfffffffc);
	cr_expect_eq(f.x.error, PF_WRITE);
	f.v.regs.eip = 0xa0000;
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_PAGE_FAULT, VEC_PF, 0xa0000);
	cr_expect_eq(f.x.error, PF_FETCH);
	stop(&f);
}

/* ---- mappings ---- */

Test(world, map_unmap_invalidate)
{
	struct fixture f;

	start(&f);
	/* More pages than fit one batch, each at a gva of its own, in reverse. */
	for (unsigned i = 0; i < 100; i++) {
		f.vm.ram[0x300000 + i * PAGE_SIZE] = (uint8_t)i;
		cr_assert_eq(world_engine.map(f.v.engine, 0x40000000 + (99 - i) * PAGE_SIZE,
					      0x300000 + i * PAGE_SIZE, PAGE_SIZE, MAP_R),
			     0);
	}
	CODE_IS(&f, 0x8a, 0x03, 0xf4); /* mov (%ebx),%al; hlt */
	for (unsigned i = 0; i < 100; i++) {
		f.v.regs.eip = CODE;
		f.v.regs.gpr[EBX] = 0x40000000 + (99 - i) * PAGE_SIZE;
		run(&f, 0);
		EXPECT_EXIT(&f, EXIT_PRIVILEGED, VEC_GP, CODE + 2);
		cr_expect_eq(f.v.regs.gpr[EAX] & 0xff, i);
	}
	CODE_IS(&f, 0x88, 0x03); /* a read-only page */
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_PAGE_FAULT, VEC_PF, CODE);
	cr_expect_eq(f.x.error, PF_WRITE);
	cr_assert_eq(world_engine.unmap(f.v.engine, 0x40000000, PAGE_SIZE), 0);
	CODE_IS(&f, 0x8a, 0x03, 0xf4);
	f.v.regs.gpr[EBX] = 0x40000000;
	run(&f, 0);
	cr_expect_eq(f.x.gva, 0x40000000);
	cr_assert_eq(world_engine.invalidate(f.v.engine), 0);
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_PAGE_FAULT, VEC_PF, CODE);
	cr_expect_eq(f.x.error, PF_FETCH);
	stop(&f);
}

Test(world, map_refuses_what_is_not_ram)
{
	struct fixture f;

	start(&f);
	struct engine *e = f.v.engine;

	const gpa_t end = VM_COPIES_GPA + VM_COPIES_LEN; /* copies of code pages */

	cr_expect_eq(world_engine.map(e, 0x400000, RAM, PAGE_SIZE, MAP_R), -EINVAL);
	cr_expect_eq(world_engine.map(e, 0x400000, RAM - PAGE_SIZE, 2 * PAGE_SIZE, MAP_R), -EINVAL);
	cr_expect_eq(world_engine.map(e, 0x400000, end, PAGE_SIZE, MAP_R), -EINVAL);
	cr_expect_eq(world_engine.map(e, 0x400000, end - PAGE_SIZE, 2 * PAGE_SIZE, MAP_R), -EINVAL);
	cr_expect_eq(world_engine.map(e, 0x400000, 0, UINT64_MAX & ~0xfffull, MAP_R), -EINVAL);
	cr_expect_eq(world_engine.map(e, 0xfffff000, 0, 2 * PAGE_SIZE, MAP_R), -EINVAL);
	cr_expect_eq(world_engine.map(e, 0x400001, 0, PAGE_SIZE, MAP_R), -EINVAL);
	cr_expect_eq(world_engine.unmap(e, 0xfffff000, 2 * PAGE_SIZE), -EINVAL);
	cr_expect_eq(world_engine.map(e, 0xfffff000, 0, PAGE_SIZE, MAP_R), 0);
	stop(&f);
}

/* ---- segments ---- */

Test(world, segment_bases_and_limits_are_real)
{
	struct fixture f;

	start(&f);
	struct segment *fs = &f.v.regs.seg[SEG_FS];

	f.vm.ram[DATA + 0x17] = 0x99;
	fs->base = DATA;
	fs->limit = 0x17;
	CODE_IS(&f, 0x64, 0xa0, LE32(0x17), 0x64, 0xa0, LE32(0x18)); /* mov %fs:0x17,%al ... 0x18 */
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_PRIVILEGED, VEC_GP, CODE + 6);
	cr_expect_eq(f.v.regs.gpr[EAX] & 0xff, 0x99);

	/* Expand-down: offsets above the limit are valid; SDM Vol. 3A, "Limit Checking" (5.3). */
	fs->type = 7;
	f.v.regs.eip = CODE;
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_PRIVILEGED, VEC_GP, CODE);

	/* Read-only. */
	*fs = f.v.regs.seg[SEG_DS];
	fs->type = 1;
	CODE_IS(&f, 0x64, 0xa2, LE32(DATA));
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_PRIVILEGED, VEC_GP, CODE);

	/* Null. */
	fs->unusable = true;
	CODE_IS(&f, 0x64, 0xa0, LE32(DATA));
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_PRIVILEGED, VEC_GP, CODE);

	/* #SS has its own vector. */
	f.v.regs.seg[SEG_SS].limit = 0xfff;
	CODE_IS(&f, 0x50);
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_EXCEPTION, VEC_SS, CODE);
	stop(&f);
}

Test(world, sixteen_bit_code_segment)
{
	struct fixture f;

	start(&f);
	f.v.regs.seg[SEG_CS].base = CODE;
	f.v.regs.seg[SEG_CS].limit = 0xffff;
	f.v.regs.seg[SEG_CS].db = false;
	CODE_IS(&f, 0xb8, 0x34, 0x12, 0xf4); /* mov $0x1234,%ax; hlt */
	f.v.regs.gpr[EAX] = 0xaaaaaaaa;
	f.v.regs.eip = 0;
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_PRIVILEGED, VEC_GP, 3);
	cr_expect_eq(f.v.regs.gpr[EAX], 0xaaaa1234);
	stop(&f);
}

Test(world, more_descriptors_than_slots)
{
	struct fixture f;

	start(&f);
	CODE_IS(&f, 0x64, 0xa0, LE32(0), 0x65, 0x8a, 0x25, LE32(0),
		0xf4); /* %fs:0 -> al, %gs:0 -> ah */
	for (unsigned i = 0; i < 3 * LDT_SLOTS; i++) {
		f.vm.ram[DATA + 16 * i] = (uint8_t)i;
		f.vm.ram[DATA + 16 * i + 8] = (uint8_t)~i;
		f.v.regs.seg[SEG_FS].base = DATA + 16 * i;
		f.v.regs.seg[SEG_GS].base = DATA + 16 * i + 8;
		f.v.regs.eip = CODE;
		run(&f, 0);
		EXPECT_EXIT(&f, EXIT_PRIVILEGED, VEC_GP, CODE + 13);
		cr_expect_eq(f.v.regs.gpr[EAX] & 0xffff, (i & 0xff) | (~i & 0xff) << 8);
	}
	stop(&f);
}

/* ---- reconcile: host selectors load natively ---- */

Test(world, native_load_of_a_host_selector_gets_the_guests_descriptor)
{
	static const uint16_t host[] = { 0x20, 0x23, 0x28, 0x2b, 0x33, 0x78, 0x7b };
	struct fixture f;

	start(&f);
	for (size_t i = 0; i < sizeof(host) / sizeof(host[0]); i++) {
		/* mov $sel,%ax; mov %ax,%es; mov %es:0,%bl; hlt */
		CODE_IS(&f, 0x66, 0xb8, host[i], 0, 0x8e, 0xc0, 0x26, 0x8a, 0x1d, LE32(0), 0xf4);
		memset(f.vm.ram + GDT, 0, 256);
		gdt_set(&f, host[i] >> 3, DATA + 64, 0xff, 0xf2, 4);
		f.vm.ram[DATA + 64] = 0x5a;
		f.v.regs.gpr[EBX] = 0;
		run(&f, 0);
		if (f.x.reason == EXIT_RECONCILED)
			run(&f, 0);
		/* Flat host data at 0 is not mapped in this world: a page fault reconciles too. */
		EXPECT_EXIT(&f, EXIT_PRIVILEGED, VEC_GP, CODE + 13);
		cr_expect_eq(f.v.regs.seg[SEG_ES].sel, host[i]);
		cr_expect_eq(f.v.regs.seg[SEG_ES].base, DATA + 64);
		cr_expect_eq(f.v.regs.gpr[EBX], 0x5a, "selector %#x", host[i]);
		f.v.regs.seg[SEG_ES] = f.v.regs.seg[SEG_DS];
	}
	stop(&f);
}

Test(world, native_load_of_a_host_selector_the_guest_does_not_have_is_gp)
{
	struct fixture f;

	start(&f);
	gdt_set(&f, 2, 0, 0xfffff, 0x92, 0xc);
	CODE_IS(&f, 0x66, 0xb8, 0x2b, 0, 0x8e, 0xc0, 0xf4);
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_EXCEPTION, VEC_GP, CODE + 6);
	cr_expect_eq(f.x.error, 0x28);
	stop(&f);
}

Test(world, native_null_load_is_reconciled)
{
	struct fixture f;

	start(&f);
	CODE_IS(&f, 0x31, 0xc0, 0x8e, 0xe8, 0xf4); /* xor %eax,%eax; mov %ax,%gs; hlt */
	run(&f, 0);
	if (f.x.reason == EXIT_RECONCILED)
		run(&f, 0);
	EXPECT_EXIT(&f, EXIT_PRIVILEGED, VEC_GP, CODE + 4);
	cr_expect(f.v.regs.seg[SEG_GS].unusable);
	cr_expect_eq(f.v.regs.seg[SEG_GS].sel, 0);
	stop(&f);
}
