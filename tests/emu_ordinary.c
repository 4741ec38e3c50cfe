/* SPDX-License-Identifier: MIT */
/*
 * Ordinary instructions on device memory, in 16-bit code, under faults and under concurrency: what
 * tests/differential.c, which compares with the CPU, cannot reach.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "tests/emu_fixture.h"

#define MMIO 0xd0000000u

/* A device of eight dwords that counts its accesses. */
struct regs {
	uint32_t word[8];
	unsigned reads, writes;
	unsigned width; /* of the last access */
};

static uint32_t regs_read(void *dev, uint64_t off, unsigned width)
{
	struct regs *d = dev;
	uint32_t val = 0;

	d->reads++;
	d->width = width;
	memcpy(&val, (uint8_t *)d->word + off, width);
	return val;
}

static void regs_write(void *dev, uint64_t off, unsigned width, uint32_t val)
{
	struct regs *d = dev;

	d->writes++;
	d->width = width;
	memcpy((uint8_t *)d->word + off, &val, width);
}

static void regs_init(struct fx *f, struct regs *d)
{
	const struct bus_range r = { .name = "regs",
				     .base = MMIO,
				     .len = sizeof(d->word),
				     .dev = d,
				     .read = regs_read,
				     .write = regs_write };

	fx_init(f);
	memset(d, 0, sizeof(*d));
	cr_assert_eq(bus_add(&f->vm.mmio, &r), 0);
	f->v.regs.gpr[EBX] = MMIO;
	f->v.regs.gpr[ECX] = 1;
}

/* Instruction with %ebx at the device, ECX 1: how many bus accesses of what width. */
Test(emu_ordinary, a_device_sees_each_access_once)
{
	static const struct {
		const char *code;
		unsigned reads, writes, width;
	} rows[] = {
		{ "8b03", 1, 0, 4 }, /* mov (%ebx),%eax */
		{ "668b03", 1, 0, 2 },       { "8a03", 1, 0, 1 },
		{ "8903", 0, 1, 4 }, /* mov %eax,(%ebx) */
		{ "c70311223344", 0, 1, 4 }, { "c60311", 0, 1, 1 },
		{ "0fb603", 1, 0, 1 },                            /* movzbl */
		{ "0fbf03", 1, 0, 2 },                            /* movswl */
		{ "a1000000d0", 1, 0, 4 },                        /* mov 0xd0000000,%eax */
		{ "a3000000d0", 0, 1, 4 },   { "010b", 1, 1, 4 }, /* add %ecx,(%ebx) */
		{ "030b", 1, 0, 4 },                              /* add (%ebx),%ecx */
		{ "830b10", 1, 1, 4 },                            /* or $0x10,(%ebx) */
		{ "390b", 1, 0, 4 },                              /* cmp */
		{ "850b", 1, 0, 4 },                              /* test */
		{ "f70301000000", 1, 0, 4 }, { "ff03", 1, 1, 4 }, /* inc */
		{ "f71b", 1, 1, 4 },                              /* neg */
		{ "d323", 1, 1, 4 },                              /* shl %cl,(%ebx) */
		{ "0fab0b", 1, 1, 4 },                            /* bts */
		{ "0fa30b", 1, 0, 4 },                            /* bt */
		{ "870b", 1, 1, 4 },                              /* xchg */
		{ "f00fb10b", 1, 1, 4 },                          /* lock cmpxchg */
		{ "0fc10b", 1, 1, 4 },                            /* xadd */
		{ "f00fc70b", 2, 2, 4 }, /* lock cmpxchg8b: two dwords each way */
		{ "ff33", 1, 0, 4 },     /* push (%ebx) */
		{ "8f03", 0, 1, 4 },     /* pop (%ebx) */
		{ "0f9403", 0, 1, 1 },   /* sete */
		{ "0f440b", 1, 0, 4 },   /* cmove: reads in any case */
		{ "f723", 1, 0, 4 },     /* mul */
	};
	struct regs d;
	struct fx f;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		regs_init(&f, &d);
		cr_assert_eq(fx_run(&f, rows[i].code), EMU_OK, "%s", rows[i].code);
		cr_assert(d.reads == rows[i].reads && d.writes == rows[i].writes,
			  "%s: %u reads, %u writes", rows[i].code, d.reads, d.writes);
		cr_assert_eq(d.width, rows[i].width, "%s", rows[i].code);
		fx_fini(&f);
	}
}

Test(emu_ordinary, results_arrive_in_the_device)
{
	struct regs d;
	struct fx f;

	regs_init(&f, &d);
	d.word[0] = 0xfffffffe;
	f.v.regs.gpr[ECX] = 3;
	cr_assert_eq(fx_run(&f, "010b"), EMU_OK);
	cr_assert_eq(d.word[0], 1);
	cr_assert(f.v.regs.eflags & FL_CF);
	f.v.regs.gpr[EAX] = 0x80;
	cr_assert_eq(fx_run(&f, "884305"), EMU_OK); /* mov %al,5(%ebx) */
	cr_assert_eq(d.word[1], 0x8000);
	cr_assert_eq(fx_run(&f, "0fbe4305"), EMU_OK); /* movsbl 5(%ebx),%eax */
	cr_assert_eq(f.v.regs.gpr[EAX], 0xffffff80);
	fx_fini(&f);
}

Test(emu_ordinary, rep_movs_between_ram_and_device)
{
	struct regs d;
	struct fx f;

	regs_init(&f, &d);
	for (uint32_t i = 0; i < 8; i++)
		fx_w32(&f, FX_DATA + 4 * i, i + 1);
	f.v.regs.gpr[ESI] = FX_DATA;
	f.v.regs.gpr[EDI] = MMIO;
	f.v.regs.gpr[ECX] = 8;
	cr_assert_eq(fx_run(&f, "f3a5"), EMU_OK);
	cr_assert_eq(d.word[7], 8);
	cr_assert(d.writes == 8 && d.reads == 0);
	f.v.regs.gpr[ESI] = MMIO;
	f.v.regs.gpr[EDI] = FX_DATA + 64;
	f.v.regs.gpr[ECX] = 8;
	cr_assert_eq(fx_run(&f, "f3a5"), EMU_OK);
	cr_assert_eq(fx_r32(&f, FX_DATA + 64 + 28), 8);
	cr_assert_eq(d.reads, 8);
	fx_fini(&f);
}

/* A device is not read by an instruction that then faults. */
Test(emu_ordinary, a_fault_comes_before_the_device)
{
	struct regs d;
	struct fx f;

	regs_init(&f, &d);
	f.v.regs.seg[SEG_DS].type = 1; /* read-only */
	cr_assert(fx_faults(&f, "010b", VEC_GP, 0));
	cr_assert(fx_faults(&f, "870b", VEC_GP, 0));
	cr_assert(fx_faults(&f, "f00fc70b", VEC_GP, 0));
	f.v.regs.gpr[ESI] = MMIO;
	f.v.regs.gpr[EDI] = FX_DATA;
	f.v.regs.seg[SEG_ES].limit = 0xff;
	cr_assert(fx_faults(&f, "a5", VEC_GP, 0));
	cr_assert_eq(d.reads + d.writes, 0);
	fx_fini(&f);
}

Test(emu_ordinary, rep_is_bounded_and_resumes)
{
	struct fx f;

	fx_init(&f);
	f.v.regs.gpr[EDI] = FX_DATA;
	f.v.regs.gpr[EAX] = 0x5a;
	f.v.regs.gpr[ECX] = 2 * REP_MAX + 1;
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(fx_run(&f, "f3aa"), EMU_OK);
		cr_assert_eq(f.v.regs.eip, FX_CODE);
	}
	cr_assert_eq(fx_run(&f, "f3aa"), EMU_OK);
	cr_assert_eq(f.v.regs.eip, FX_CODE + 2);
	cr_assert_eq(f.v.regs.gpr[EDI], FX_DATA + 2 * REP_MAX + 1);
	cr_assert_eq(f.vm.ram[FX_DATA + 2 * REP_MAX], 0x5a);
	cr_assert_eq(f.vm.ram[FX_DATA + 2 * REP_MAX + 1], 0);
	fx_fini(&f);
}

Test(emu_ordinary, repne_scas_stops_at_the_match)
{
	struct fx f;

	fx_init(&f);
	memset(f.vm.ram + FX_DATA, 'x', REP_MAX + 10);
	fx_w8(&f, FX_DATA + REP_MAX + 3, 'y');
	f.v.regs.gpr[EDI] = FX_DATA;
	f.v.regs.gpr[EAX] = 'y';
	f.v.regs.gpr[ECX] = 0xffffffff;
	cr_assert_eq(fx_run(&f, "f2ae"), EMU_OK);
	cr_assert_eq(f.v.regs.eip, FX_CODE);
	cr_assert_eq(fx_run(&f, "f2ae"), EMU_OK);
	cr_assert_eq(f.v.regs.eip, FX_CODE + 2);
	cr_assert_eq(f.v.regs.gpr[EDI], FX_DATA + REP_MAX + 4);
	fx_fini(&f);
}

/*
 * Vol. 2B, REP: CMPS and SCAS that are suspended between two elements show the flags from before
 * the instruction, with RF (Vol. 3B, 17.3.1.1).  Found by tests/differential.c.
 */
Test(emu_ordinary, suspended_repe_cmps_keeps_the_flags)
{
	struct fx f;
	uint32_t before;

	fx_init(&f);
	memset(f.vm.ram + FX_DATA, 'x', 64);
	f.v.regs.gpr[ESI] = FX_DATA;
	f.v.regs.gpr[EDI] = FX_DATA + 32;
	f.v.regs.gpr[ECX] = 2;
	before = f.v.regs.eflags |= FL_TF | FL_CF | FL_SF; /* stepped: one element at a time */
	cr_assert_eq(fx_run(&f, "f3a6"), EMU_OK);
	cr_assert_eq(f.v.regs.eip, FX_CODE);
	cr_assert_eq(f.v.regs.gpr[ECX], 1);
	cr_assert_eq(f.v.regs.eflags, before | FL_RF);
	cr_assert_eq(fx_run(&f, "f3a6"), EMU_OK);
	cr_assert_eq(f.v.regs.eip, FX_CODE + 2);
	cr_assert_eq(f.v.regs.eflags, FL_FIXED | FL_TF | FL_ZF | FL_PF);

	/* A fault at the second element. */
	f.v.regs.eip = FX_CODE;
	f.v.regs.eflags = before = FL_FIXED | FL_CF;
	f.v.regs.gpr[ESI] = FX_DATA;
	f.v.regs.gpr[ECX] = 2;
	f.v.regs.seg[SEG_DS].limit = FX_DATA;
	cr_assert_eq(fx_run(&f, "f3a6"), EMU_OK);
	cr_assert_eq(f.v.regs.gpr[ECX], 1);
	cr_assert_eq(f.v.regs.eflags, before | FL_RF);
	cr_assert(fx_faults(&f, "f3a6", VEC_GP, 0));
	fx_fini(&f);
}

struct adder {
	uint32_t *word;
	uint32_t added;
	_Atomic bool go, stop;
};

static void *add_natively(void *arg)
{
	struct adder *a = arg;

	atomic_store(&a->go, true);
	for (; !atomic_load(&a->stop); a->added++)
		__atomic_fetch_add(a->word, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* Another vCPU that runs natively must not lose its increments, nor we ours. */
Test(emu_ordinary, lock_is_atomic_against_other_vcpus)
{
	static const char *const code[] = { "f0ff03", "f00fc10b", "f0834301ff" };
	const uint32_t ours = 50000;
	struct adder a = { .added = 0 };
	pthread_t th;
	struct fx f;

	fx_init(&f);
	f.v.regs.gpr[EBX] = FX_DATA;
	a.word = (uint32_t *)(f.vm.ram + FX_DATA);
	cr_assert_eq(pthread_create(&th, NULL, add_natively, &a), 0);
	while (!atomic_load(&a.go))
		sched_yield();
	for (uint32_t i = 0; i < ours; i++) {
		f.v.regs.gpr[ECX] = 1;
		do { /* EIP stays on it if the race was lost too often */
			f.v.regs.eip = FX_CODE;
			cr_assert_eq(fx_run(&f, code[i & 1]), EMU_OK);
		} while (f.v.regs.eip == FX_CODE);
	}
	atomic_store(&a.stop, true);
	pthread_join(th, NULL);
	cr_assert_eq(fx_r32(&f, FX_DATA), a.added + ours);
	f.v.regs.eip = FX_CODE;
	cr_assert_eq(fx_run(&f, code[2]), EMU_OK); /* misaligned: works, not atomic */
	fx_fini(&f);
}

Test(emu_ordinary, sixteen_bit_code_and_addresses)
{
	struct fx f;

	fx_init_real(&f);
	f.v.regs.gpr[EBX] = 0x1fff0;
	f.v.regs.gpr[ESI] = 0x20020;
	fx_w16(&f, 0x20010, 0xbeef);
	cr_assert_eq(fx_run(&f, "8b00"), EMU_OK); /* mov (%bx,%si),%ax: wraps to 0x10 */
	cr_assert_eq(f.v.regs.gpr[EAX], 0xbeef);
	f.v.regs.eip = 0x200;
	cr_assert_eq(fx_run(&f, "e8fdfe"), EMU_OK); /* call .-0x100 */
	cr_assert_eq(f.v.regs.eip, 0x100);
	cr_assert_eq(f.v.regs.gpr[ESP], 0x7ffe);
	cr_assert_eq(fx_r16(&f, 0x37ffe), 0x203);
	cr_assert_eq(fx_run(&f, "c3"), EMU_OK);
	cr_assert_eq(f.v.regs.eip, 0x203);
	f.v.regs.gpr[EBX] = 0xffff;
	cr_assert(fx_faults(&f, "8b07", VEC_GP, 0)); /* a word at 0xffff */
	fx_fini(&f);
}

Test(emu_ordinary, a_branch_beyond_the_limit_faults_on_the_branch)
{
	static const char *const code[] = { "eb7f", "e97f000000", "e87f000000", "747f",
					    "e37f", "c3",         "ff23" };
	struct fx f;

	fx_init(&f);
	f.v.regs.seg[SEG_CS].limit = FX_CODE + 0x20;
	f.v.regs.eflags |= FL_ZF;
	f.v.regs.gpr[EBX] = FX_DATA;
	fx_w32(&f, FX_DATA, FX_CODE + 0x21);
	fx_w32(&f, FX_STACK, FX_CODE + 0x21);
	for (size_t i = 0; i < sizeof(code) / sizeof(code[0]); i++)
		cr_assert(fx_faults(&f, code[i], VEC_GP, 0), "%s", code[i]);
	cr_assert_eq(fx_r32(&f, FX_STACK - 4), 0); /* the call pushed nothing */
	fx_fini(&f);
}

Test(emu_ordinary, divide_error_leaves_the_registers)
{
	struct fx f;

	fx_init(&f);
	f.v.regs.gpr[EAX] = 0x80000000;
	f.v.regs.gpr[EDX] = 0xffffffff;
	f.v.regs.gpr[ECX] = 0xffffffff;
	cr_assert(fx_faults(&f, "f7f9", VEC_DE, -1)); /* INT_MIN / -1 */
	f.v.regs.gpr[ECX] = 0;
	cr_assert(fx_faults(&f, "f7f1", VEC_DE, -1));
	fx_fini(&f);
}

Test(emu_ordinary, pusha_and_call_fault_without_writing)
{
	struct fx f;

	fx_init(&f);
	f.v.regs.seg[SEG_SS].type = 7; /* expand-down: valid above the limit */
	f.v.regs.seg[SEG_SS].limit = FX_STACK - 17;
	cr_assert(fx_faults(&f, "60", VEC_SS, 0));
	f.v.regs.gpr[ESP] = FX_STACK - 16;
	cr_assert(fx_faults(&f, "e800000000", VEC_SS, 0));
	cr_assert(fx_faults(&f, "50", VEC_SS, 0));
	fx_fini(&f);
}

Test(emu_ordinary, what_is_not_ours_is_left_to_the_caller)
{
	static const char *const code[] = { "d9ee", "0f5803", "660fef03", "0fae03", "d903" };
	struct fx f;

	fx_init(&f);
	f.v.regs.gpr[EBX] = FX_DATA;
	for (size_t i = 0; i < sizeof(code) / sizeof(code[0]); i++) {
		struct cpu_regs was = f.v.regs;

		cr_assert_eq(fx_run(&f, code[i]), EMU_UNHANDLED, "%s", code[i]);
		cr_assert_eq(memcmp(&was, &f.v.regs, sizeof(was)), 0);
	}
	fx_fini(&f);
}

/*
 * Whatever bytes a guest executes, with whatever registers, the emulator ends in one of its results
 * and a fault leaves no trace.  Under the sanitizers this is the test of "no undefined behaviour".
 */
Test(emu_ordinary, random_instructions_end_well)
{
	uint64_t x = 88172645463325252ull; /* xorshift64; Marsaglia (2003) */
	struct fx f[2];
	struct insn in;

	fx_init(&f[0]);
	fx_init_real(&f[1]);
	for (unsigned i = 0; i < 200000; i++) {
		struct fx *one = &f[i & 1];
		struct vcpu *v = &one->v;
		uint8_t code[INSN_MAX];
		struct cpu_regs was;
		int r;

		for (unsigned j = 0; j < INSN_MAX + GPR_COUNT; j++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			if (j < INSN_MAX)
				code[j] = (uint8_t)(x >> 32);
			else
				v->regs.gpr[j - INSN_MAX] = x & 1 ? (uint32_t)(x >> 32)
								  : (uint32_t)(x >> 42);
		}
		if (i % 4 == 0) /* more of the two-byte opcodes */
			code[0] = 0x0f;
		if (insn_decode(code, sizeof(code), i & 1 ? 16 : 32, &in))
			continue;
		if (!(i & 1))
			fx_cpl(one, i & 2 ? 3 : 0);
		v->sh.cr0 = i & 1 ? CR0_ET : CR0_ET | CR0_PE;
		v->regs.eflags = ((uint32_t)(x >> 20) & 0x247fd5) | FL_FIXED;
		was = v->regs;
		r = emulate(v, &in);
		if (r < 0) { /* refused for now, such as CR0.PG */
			cr_assert_eq(atomic_load(&one->vm.end), VM_KILLED);
			atomic_store(&one->vm.end, VM_RUNNING);
		} else if (r != EMU_OK) {
			cr_assert(r == EMU_FAULT || r == EMU_UNHANDLED);
			cr_assert_eq(memcmp(&was, &v->regs, sizeof(was)), 0, "%s",
				     insn_op_name(in.op));
		}
		v->regs.seg[SEG_CS] = was.seg[SEG_CS];
		v->regs.eip = was.eip;
		if (i % 64 == 63) { /* tables and segments it may have changed */
			fx_fini(&f[0]);
			fx_fini(&f[1]);
			fx_init(&f[0]);
			fx_init_real(&f[1]);
		}
	}
	fx_fini(&f[0]);
	fx_fini(&f[1]);
}
