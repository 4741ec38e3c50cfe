/* SPDX-License-Identifier: MIT */
/* The world engine alone: machine code in guest RAM, one run, what came back. */
#include <criterion/criterion.h>
#include <cpuid.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/tsc.h"
#include "vmm/world/world.h"

#define RAM  (8u << 20)
#define CODE 0x100000u
#define DATA 0x200000u
#define GDT  0x1000u

TestSuite(world, .timeout = 30);

struct fixture {
	struct vm vm;
	struct vcpu v;
	struct exit x;
};

static void start(struct fixture *f)
{
	cr_assert_eq(vm_init(&f->vm, RAM), 0, "%s", f->vm.death);
	memset(&f->v, 0, sizeof(f->v));
	f->v.vm = &f->vm;
	f->vm.vcpu[0] = &f->v;
	f->vm.vcpus = 1;
	vcpu_boot_multiboot(&f->v, CODE, 0, 0);
	f->v.regs.gpr[ESP] = DATA + 0x1000;
	cr_assert_eq(world_engine.create(&f->v, &f->v.engine), 0, "%s", f->vm.death);
	cr_assert_eq(world_engine.map(f->v.engine, CODE, CODE, RAM - CODE, MAP_R | MAP_W | MAP_X),
		     0);
}

static void stop(struct fixture *f)
{
	world_engine.destroy(f->v.engine);
	vm_destroy(&f->vm);
}

static void code(struct fixture *f, const void *bytes, size_t len)
{
	memcpy(f->vm.ram + CODE, bytes, len);
	f->v.regs.eip = CODE;
}
#define CODE_IS(f, ...) \
	code(f, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))
#define LE32(n) (uint8_t)(n), (uint8_t)((n) >> 8), (uint8_t)((n) >> 16), (uint8_t)((n) >> 24)

static void run(struct fixture *f, unsigned flags)
{
	cr_assert_eq(world_engine.run(f->v.engine, flags, &f->x), 0, "%s", f->vm.death);
}

#define EXPECT_EXIT(f, r, vec, at)                                                              \
	do {                                                                                    \
		cr_expect_eq((f)->x.reason, r, "exit reason %d, vector %d, error %#x, gva %#x", \
			     (f)->x.reason, (f)->x.vector, (f)->x.error, (f)->x.gva);           \
		cr_expect_eq((f)->x.vector, vec, "vector %d", (f)->x.vector);                   \
		cr_expect_eq((f)->v.regs.eip, at, "eip %#x", (f)->v.regs.eip);                  \
	} while (0)

/* 8-byte descriptor; SDM Vol. 3A, "Segment Descriptors" (3.4.5). */
static void gdt_set(struct fixture *f, unsigned index, uint32_t base, uint32_t limit,
		    uint8_t access, uint8_t flags)
{
	uint64_t d = (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)access << 40 |
		     (uint64_t)((limit >> 16 & 0xf) | (unsigned)flags << 4) << 48 |
		     (uint64_t)(base >> 24) << 56;

	memcpy(f->vm.ram + GDT + 8 * index, &d, 8);
	f->v.sh.gdtr.base = GDT;
	if (f->v.sh.gdtr.limit < 8 * index + 7)
		f->v.sh.gdtr.limit = (uint16_t)(8 * index + 7);
}

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

	const gpa_t end = RAM + VM_COPIES_LEN; /* behind the RAM: copies of code pages */

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

/* ---- kick ---- */

static void *kicker(void *arg)
{
	struct fixture *f = arg;

	while (!atomic_load(&world_of(f->v.engine)->in_guest))
		sched_yield();
	vcpu_kick(&f->v);
	return NULL;
}

Test(world, kick_ends_an_endless_loop)
{
	struct fixture f;
	pthread_t t;

	start(&f);
	for (int i = 0; i < 20; i++) {
		CODE_IS(&f, 0xeb, 0xfe); /* jmp . */
		atomic_store(&f.v.kicked, 0);
		pthread_create(&t, NULL, kicker, &f);
		do
			run(&f, 0);
		while (f.x.reason == EXIT_PAGE_FAULT);
		pthread_join(t, NULL);
		cr_expect_eq(f.x.reason, EXIT_KICK);
		cr_expect_eq(f.v.regs.eip, CODE);
	}
	stop(&f);
}

Test(world, kick_before_run_is_not_lost)
{
	struct fixture f;

	start(&f);
	CODE_IS(&f, 0xeb, 0xfe);
	vcpu_kick(&f.v);
	run(&f, 0);
	cr_expect_eq(f.x.reason, EXIT_KICK);
	stop(&f);
}

/* New descriptors while the queue for the mapper is almost full: each must arrive. */
Test(world, segments_behind_a_full_queue)
{
	static const enum seg changed[] = { SEG_ES, SEG_SS, SEG_DS, SEG_FS, SEG_GS };
	struct fixture f;

	start(&f);
	CODE_IS(&f, 0xf4);
	run(&f, 0);
	for (uint32_t i = 0; i < 5; i++) {
		f.v.regs.seg[changed[i]].base = 0x100 * (i + 1);
		memset(f.vm.ram + DATA + 0x100 * (i + 1), (int)(i + 1), 4);
	}
	for (unsigned i = 0; i < WORLD_BATCH - 1; i++)
		cr_assert_eq(world_engine.unmap(f.v.engine, 0xc0000000u, PAGE_SIZE), 0);
	/* mov %es:DATA,%eax; %ss, %ecx; %ds, %edx; %fs, %ebx; %gs, %esi; hlt */
	CODE_IS(&f, 0x26, 0xa1, LE32(DATA), 0x36, 0x8b, 0x0d, LE32(DATA), 0x8b, 0x15, LE32(DATA),
		0x64, 0x8b, 0x1d, LE32(DATA), 0x65, 0x8b, 0x35, LE32(DATA), 0xf4);
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_PRIVILEGED, VEC_GP, CODE + 33);
	cr_expect_eq(f.v.regs.gpr[EAX], 0x01010101);
	cr_expect_eq(f.v.regs.gpr[ECX], 0x02020202);
	cr_expect_eq(f.v.regs.gpr[EDX], 0x03030303);
	cr_expect_eq(f.v.regs.gpr[EBX], 0x04040404);
	cr_expect_eq(f.v.regs.gpr[ESI], 0x05050505);
	stop(&f);
}

static bool is_mapped(pid_t pid, unsigned long gva)
{
	char path[64], line[512];
	bool found = false;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "r");
	cr_assert(maps);
	while (fgets(line, sizeof(line), maps))
		found |= strtoul(line, NULL, 16) == gva;
	fclose(maps);
	return found;
}

/* A breached runner can write all of the exchange page, but not report for the mapper. */
Test(world, report_of_the_mapper_cannot_be_forged)
{
	struct fixture f;

	start(&f);
	CODE_IS(&f, 0xf4);
	run(&f, 0);
	for (uint32_t i = 0; i < 50; i++) {
		struct world *w = world_of(f.v.engine);
		uint32_t *line = (uint32_t *)((uint8_t *)w->xchg + 192);
		uint32_t gva = 0x10000000 + i * 0x10000;

		line[0] = w->seq + 1;
		cr_assert_eq(world_engine.map(f.v.engine, gva, CODE, PAGE_SIZE, MAP_R), 0);
		cr_assert_eq(world_engine.sync(f.v.engine), 0, "%s", f.vm.death);
		cr_assert(is_mapped(w->pid, gva), "request %u was not carried out", i);
	}
	stop(&f);
}

/* ---- FPU ---- */

Test(world, fpu_state_moves_to_another_world)
{
	static uint8_t image[65536];
	struct fixture f, g;
	long len;

	start(&f);
	start(&g);
	for (int i = 0; i < 16; i++)
		f.vm.ram[DATA + i] = (uint8_t)(0xa0 + i);
	/* movups DATA,%xmm5; fldpi; hlt */
	CODE_IS(&f, 0x0f, 0x10, 0x2d, LE32(DATA), 0xd9, 0xeb, 0xf4);
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_PRIVILEGED, VEC_GP, CODE + 9);
	len = world_engine.get_fpu(f.v.engine, image, sizeof(image));
	cr_assert_geq(len, 512);
	cr_assert_leq((size_t)len, sizeof(image));
	/* And it survives in its own world. */
	CODE_IS(&f, 0x0f, 0x11, 0x2d, LE32(DATA + 32), 0xf4);
	run(&f, 0);
	cr_expect_arr_eq(f.vm.ram + DATA + 32, f.vm.ram + DATA, 16);

	CODE_IS(&g, 0xf4);
	run(&g, 0);
	cr_assert_eq(world_engine.set_fpu(g.v.engine, image, (size_t)len), 0);
	/* movups %xmm5,DATA; fstpl DATA+16; hlt */
	CODE_IS(&g, 0x0f, 0x11, 0x2d, LE32(DATA), 0xdd, 0x1d, LE32(DATA + 16), 0xf4);
	run(&g, 0);
	EXPECT_EXIT(&g, EXIT_PRIVILEGED, VEC_GP, CODE + 13);
	cr_expect_arr_eq(g.vm.ram + DATA, f.vm.ram + DATA, 16);
	double pi;

	memcpy(&pi, g.vm.ram + DATA + 16, sizeof(pi));
	cr_expect(pi > 3.141592 && pi < 3.141593);
	stop(&f);
	stop(&g);
}

/* ---- the sandbox ---- */

Test(world, has_only_its_two_descriptors_and_no_memory_of_ours)
{
	char path[64], line[512];
	struct fixture f;
	struct dirent *d;
	unsigned fds = 0;
	DIR *dir;
	FILE *maps;

	start(&f);
	CODE_IS(&f, 0xf4);
	run(&f, 0);
	pid_t pid = world_of(f.v.engine)->pid;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	cr_assert(dir);
	while ((d = readdir(dir)))
		if (d->d_name[0] != '.') {
			fds++;
			int n = atoi(d->d_name);

			cr_expect(n == WORLD_FD_RAM || n == WORLD_FD_DONE, "descriptor %d", n);
		}
	closedir(dir);
	cr_expect_eq(fds, 2);

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "r");
	cr_assert(maps);
	while (fgets(line, sizeof(line), maps)) {
		unsigned long from = strtoul(line, NULL, 16);
		bool ours = (from >= CODE && from < RAM) || from >= WORLD_STUB_ADDR;

		cr_expect(ours, "unexpected mapping: %s", line);
		cr_expect_null(strstr(line, "heap"), "%s", line);
		cr_expect_null(strstr(line, "[stack]"), "%s", line);
		if (strstr(line, "vdso"))
			cr_expect_eq(from, WORLD_VDSO_ADDR, "%s", line);
	}
	fclose(maps);
	stop(&f);
}

Test(world, both_threads_are_filtered)
{
	char path[300], line[256];
	struct fixture f;
	struct dirent *d;
	unsigned threads = 0, filtered = 0, nnp = 0;
	DIR *dir;

	start(&f);
	CODE_IS(&f, 0xf4);
	run(&f, 0);
	snprintf(path, sizeof(path), "/proc/%d/task", world_of(f.v.engine)->pid);
	dir = opendir(path);
	cr_assert(dir);
	while ((d = readdir(dir))) {
		FILE *st;

		if (d->d_name[0] == '.')
			continue;
		threads++;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", world_of(f.v.engine)->pid,
			 d->d_name);
		st = fopen(path, "r");
		cr_assert(st);
		while (fgets(line, sizeof(line), st)) {
			filtered += !strcmp(line, "Seccomp:\t2\n");
			nnp += !strcmp(line, "NoNewPrivs:\t1\n");
		}
		fclose(st);
	}
	closedir(dir);
	cr_expect_eq(threads, 2);
	cr_expect_eq(filtered, 2);
	cr_expect_eq(nnp, 2);
	stop(&f);
}

Test(world, sixty_four_bit_code_is_a_breach)
{
	/* ljmp $0x33,$CODE+7; then 64-bit: mov $39,%eax; syscall (getpid) */
	static const uint8_t syscall64[] = { 0xea, LE32(CODE + 7), 0x33, 0, 0xb8, 39, 0, 0,
					     0,    0x0f,           0x05 };
	/* ... and ud2 */
	static const uint8_t ud64[] = { 0xea, LE32(CODE + 7), 0x33, 0, 0x0f, 0x0b };
	/* ... and movabs $share+PAGE (the turn word),%rbx; movl $7,(%rbx); jmp . */
	static const uint8_t scribble[] = {
		0xea, LE32(CODE + 7), 0x33, 0,    0x48,    0xbb, 0x00, 0x10, 0x00, 0x00, 0x00, 0x7d,
		0x00, 0x00,           0xc7, 0x83, LE32(0), 7,    0,    0,    0,    0xeb, 0xfe
	};
	const struct {
		const uint8_t *bytes;
		size_t len;
	} cases[] = { { syscall64, sizeof(syscall64) }, { ud64, sizeof(ud64) } };
	struct fixture f;

	for (size_t i = 0; i < 2; i++) {
		start(&f);
		code(&f, cases[i].bytes, cases[i].len);
		run(&f, 0);
		cr_expect_eq(f.x.reason, EXIT_BREACH);
		cr_expect_not_null(f.x.why);
		stop(&f);
	}
	start(&f);
	code(&f, scribble, sizeof(scribble));
	/* The address in the code above is WORLD_SHARE_ADDR + WORLD_PAGE. */
	memcpy(f.vm.ram + CODE + 9, &(uint64_t){ WORLD_SHARE_ADDR + WORLD_PAGE }, 8);
	run(&f, 0);
	cr_expect_eq(f.x.reason, EXIT_BREACH);
	stop(&f);
}

Test(world, a_killed_world_is_noticed)
{
	struct fixture f;

	start(&f);
	CODE_IS(&f, 0xf4);
	run(&f, 0);
	kill(world_of(f.v.engine)->pid, SIGKILL);
	f.v.regs.eip = CODE;
	run(&f, 0);
	cr_expect_eq(f.x.reason, EXIT_DEAD);
	run(&f, 0);
	cr_expect_eq(f.x.reason, EXIT_DEAD, "and stays dead");
	stop(&f);
}

/* Intel: sysenter enters the host from compatibility mode; AMD: #UD. */
Test(world, sysenter_never_reaches_the_host)
{
	static const uint32_t ebp[] = { DATA, 0, 0xfffffff0u, 0x700000 };
	unsigned a, b = 0, c, d;
	struct fixture f;

	__get_cpuid(0, &a, &b, &c, &d);
	start(&f);
	for (size_t i = 0; i < 4; i++) {
		CODE_IS(&f, 0x0f, 0x34);
		f.v.regs.gpr[EAX] = 20; /* getpid */
		f.v.regs.gpr[EBP] = ebp[i];
		run(&f, 0);
		if (b == signature_INTEL_ebx)
			cr_expect_eq(f.x.reason, EXIT_SYSENTER, "ebp %#x: reason %d gva %#x",
				     ebp[i], f.x.reason, f.x.gva);
		else
			EXPECT_EXIT(&f, EXIT_PRIVILEGED, VEC_UD, CODE);
	}
	CODE_IS(&f, 0x0f, 0x05, 0xf4);
	run(&f, 0);
	if (b == signature_INTEL_ebx) {
		EXPECT_EXIT(&f, EXIT_PRIVILEGED, VEC_UD, CODE);
	} else {
		cr_expect_eq(f.x.reason, EXIT_SYSCALL);
		cr_expect_eq(f.v.regs.gpr[ECX], CODE + 2);
	}
	stop(&f);
}

/* The whole engine as an unprivileged user: low addresses are refused, the rest works. */
Test(world, works_unprivileged)
{
	int status;
	pid_t pid;

	if (getuid() != 0) /* then every test of this file already runs unprivileged */
		return;
	pid = fork();
	if (pid == 0) {
		struct fixture f;
		int bad = 0;

		if (setgid(65534) || setuid(65534))
			_exit(100);
		start(&f);
		CODE_IS(&f, 0x40, 0xfa);
		f.v.regs.gpr[EAX] = 41;
		run(&f, 0);
		bad |= f.x.reason != EXIT_PRIVILEGED || f.v.regs.gpr[EAX] != 42;
		bad |= (f.v.engine->low_limit == 0) << 1;
		bad |= (world_engine.map(f.v.engine, 0, 0, PAGE_SIZE, MAP_R) != -EPERM) << 2;
		bad |= (world_engine.map(f.v.engine, (gva_t)f.v.engine->low_limit, 0, PAGE_SIZE,
					 MAP_R) != 0)
		       << 3;
		CODE_IS(&f, 0xa0, LE32(0), 0xf4);
		run(&f, 0);
		bad |= (f.x.reason != EXIT_PAGE_FAULT || f.x.gva != 0) << 4;
		stop(&f);
		_exit(bad);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", status);
}

Test(world, both_handoffs_carry_the_same_state)
{
	struct fixture f;

	start(&f);
	CODE_IS(&f, 0x40, 0xfa, 0xeb, 0xfc); /* inc %eax; cli; jmp CODE */
	f.v.regs.gpr[EAX] = 0;
	for (uint32_t i = 1; i <= 3000; i++) {
		f.v.regs.eip = i == 1 ? CODE : CODE + 2;
		if (i % 500 == 0)
			handoff_force(world_of(f.v.engine),
				      i / 500 % 2 ? HANDOFF_SPIN : HANDOFF_SHARE);
		run(&f, 0);
		cr_assert_eq(f.x.reason, EXIT_PRIVILEGED);
		cr_assert_eq(f.v.regs.gpr[EAX], i);
	}
	stop(&f);
}
