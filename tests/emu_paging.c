/* SPDX-License-Identifier: MIT */
/*
 * Paging and the emulator: the control registers that switch it, what flushes translations and
 * loads PDPTEs, #PF from emulated instructions that lie over two pages, its delivery.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/emu_fixture.h"
#include "vmm/code.h"
#include "vmm/mmu.h"
#include "vmm/shadow.h"

#define PD    0x3f0000u
#define PT    0x3f1000u
#define PDPT  0x3f2000u
#define EDGE  (FX_DATA + PAGE_SIZE) /* between the two pages that instructions lie over */
#define INNER FX_RING0_STACK

enum { P = 1, RW = 2, US = 4, ACC = 0x20, DRT = 0x40, ALL = P | RW | US };

static void pte(struct fx *f, uint32_t gva, uint32_t flags)
{
	fx_w32(f, PT + (gva >> 12) * 4, (gva & ~0xfffu) | flags);
}

static uint32_t pte_flags(struct fx *f, uint32_t gva)
{
	return fx_r32(f, PT + (gva >> 12) * 4) & 0xfff;
}

/* The fixture at ring @cpl, RAM mapped one to one, for everybody. */
static void paged(struct fx *f, unsigned cpl)
{
	fx_init(f);
	fx_w32(f, PD, PT | ALL);
	for (uint32_t gva = 0; gva < FX_RAM; gva += PAGE_SIZE)
		pte(f, gva, ALL);
	fx_cpl(f, cpl);
	f->v.sh.cr3 = PD;
	f->v.sh.cr0 |= CR0_PG | CR0_WP;
}

static int to_cr(struct fx *f, unsigned cr, uint32_t val)
{
	const uint8_t code[] = { 0x0f, 0x22, (uint8_t)(0xc0 | cr << 3) }; /* mov %eax,%crN */

	f->v.regs.gpr[EAX] = val;
	return fx_run_bytes(f, code, sizeof(code));
}

/* Paging on by MOV to CR0, a page moved, paging off: what is read follows. */
Test(emu_paging, on_and_off)
{
	struct fx f;

	fx_init(&f);
	fx_w32(&f, PD, PT | ALL);
	for (uint32_t gva = 0; gva < FX_RAM; gva += PAGE_SIZE)
		pte(&f, gva, ALL);
	fx_w32(&f, PT + (FX_DATA >> 12) * 4, EDGE | ALL);
	fx_w32(&f, FX_DATA, 0x11111111);
	fx_w32(&f, EDGE, 0x22222222);
	f.v.regs.gpr[EBX] = FX_DATA;
	cr_assert_eq(to_cr(&f, 3, PD), EMU_OK);
	cr_assert_eq(fx_run(&f, "8b0b"), EMU_OK); /* mov (%ebx),%ecx */
	cr_assert_eq(f.v.regs.gpr[ECX], 0x11111111);
	cr_assert_eq(to_cr(&f, 0, f.v.sh.cr0 | CR0_PG), EMU_OK);
	cr_assert_eq(fx_run(&f, "8b0b"), EMU_OK);
	cr_assert_eq(f.v.regs.gpr[ECX], 0x22222222);
	cr_assert_eq(to_cr(&f, 0, f.v.sh.cr0 & ~CR0_PG), EMU_OK);
	cr_assert_eq(fx_run(&f, "8b0b"), EMU_OK);
	cr_assert_eq(f.v.regs.gpr[ECX], 0x11111111);
	f.v.regs.gpr[EAX] = CR0_PG; /* without PE */
	cr_assert(fx_faults(&f, "0f22c0", VEC_GP, 0));
	fx_fini(&f);
}

/* SDM Vol. 3A, 4.10.4.1 and 4.4.1; Vol. 2B, MOV to control registers. */
static const struct {
	const char *what;
	uint32_t cr0, cr4; /* before; 0 for CR0 means PE | ET */
	unsigned cr;
	uint32_t val;
	bool flush, load;
} moves[] = {
#define ON  (CR0_PE | CR0_ET | CR0_PG)
#define OFF (CR0_PE | CR0_ET)
	{ "PG on", OFF, 0, 0, ON, true, false },
	{ "PG on, PAE", OFF, CR4_PAE, 0, ON, true, true },
	{ "PG off", ON, 0, 0, OFF, true, false },
	{ "PG off, PAE", ON, CR4_PAE, 0, OFF, true, false },
	{ "CR0 unchanged", ON, CR4_PAE, 0, ON, false, false },
	{ "WP", ON, CR4_PAE, 0, ON | CR0_WP, true, false },
	{ "TS", ON, CR4_PAE, 0, ON | CR0_TS, false, false },
	{ "CD", ON, CR4_PAE, 0, ON | CR0_CD, false, true },
	{ "CD without PAE", ON, 0, 0, ON | CR0_CD, false, false },
	{ "CD with paging off", OFF, CR4_PAE, 0, OFF | CR0_CD, false, false },
	{ "NW", ON | CR0_CD, CR4_PAE, 0, ON | CR0_CD | CR0_NW, false, true },
	{ "CR3", ON, 0, 3, PDPT, true, false },
	{ "CR3, PAE", ON, CR4_PAE, 3, PDPT, true, true },
	{ "CR3, paging off", OFF, CR4_PAE, 3, PDPT, true, false },
	{ "CR4 unchanged", ON, CR4_PAE, 4, CR4_PAE, false, false },
	{ "PAE on", ON, 0, 4, CR4_PAE, true, true },
	{ "PAE off", ON, CR4_PAE, 4, 0, true, false },
	{ "PAE on, paging off", OFF, 0, 4, CR4_PAE, true, false },
	{ "PSE", ON, 0, 4, CR4_PSE, true, false },
	{ "PSE, PAE", ON, CR4_PAE, 4, CR4_PAE | CR4_PSE, true, true },
	{ "PGE", ON, CR4_PAE, 4, CR4_PAE | CR4_PGE, true, true },
	{ "PGE off", ON, CR4_PAE | CR4_PGE, 4, CR4_PAE, true, true },
	{ "TSD", ON, CR4_PAE, 4, CR4_PAE | CR4_TSD, false, false },
};

static void before_move(struct fx *f, size_t i)
{
	const uint64_t table[4] = { PD | P, 0, 0x1000 | P, 0x2000 };

	fx_init(f);
	memcpy(f->vm.ram + PDPT, table, sizeof(table));
	f->v.sh.cr0 = moves[i].cr0;
	f->v.sh.cr4 = moves[i].cr4;
	f->v.sh.cr3 = moves[i].cr == 3 ? FX_DATA : PDPT; /* no table there */
	f->v.sh.pdpte[2] = 0x77000 | P;
	/* Only the instruction's bytes are used: nothing is fetched through these tables. */
}

Test(emu_paging, what_flushes_and_what_loads_pdptes)
{
	for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
		struct fx f;
		uint32_t gen;

		before_move(&f, i);
		gen = f.v.tlb_gen;
		cr_expect_eq(to_cr(&f, moves[i].cr, moves[i].val), EMU_OK, "%s", moves[i].what);
		cr_expect_eq(f.v.tlb_gen != gen, moves[i].flush, "%s: flush", moves[i].what);
		cr_expect_eq(f.v.sh.pdpte[2], (moves[i].load ? 0x1000u : 0x77000u) | P, "%s: load",
			     moves[i].what);
		fx_fini(&f);
	}
}

/* Where PDPTEs are loaded, a reserved bit in one that is present is #GP(0) and nothing happens. */
Test(emu_paging, bad_pdpte_is_gp_where_it_is_loaded)
{
	for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
		char hex[16];
		struct fx f;
		uint32_t gen;

		before_move(&f, i);
		fx_w32(&f, PDPT + 24, 0x2000 | P | RW);
		gen = f.v.tlb_gen;
		snprintf(hex, sizeof(hex), "0f22%02x", 0xc0 | moves[i].cr << 3);
		f.v.regs.gpr[EAX] = moves[i].val;
		if (moves[i].load) {
			cr_expect(fx_faults(&f, hex, VEC_GP, 0), "%s", moves[i].what);
			cr_expect_eq(f.v.tlb_gen, gen, "%s", moves[i].what);
			cr_expect_eq(f.v.sh.pdpte[2], 0x77000 | P, "%s", moves[i].what);
		} else {
			cr_expect_eq(fx_run(&f, hex), EMU_OK, "%s", moves[i].what);
		}
		fx_fini(&f);
	}
}

/* CLTS and LMSW cannot reach PG, and flush nothing; INVLPG reads nothing. */
Test(emu_paging, no_fault_and_no_flush)
{
	struct fx f;
	uint32_t gen;

	paged(&f, 0);
	gen = f.v.tlb_gen;
	f.v.regs.gpr[EAX] = 0;
	cr_assert_eq(fx_run(&f, "0f06"), EMU_OK);   /* clts */
	cr_assert_eq(fx_run(&f, "0f01f0"), EMU_OK); /* lmsw %ax */
	cr_assert_eq(f.v.sh.cr0 & (CR0_PG | CR0_PE), CR0_PG | CR0_PE);
	cr_assert_eq(f.v.tlb_gen, gen);
	f.v.regs.gpr[EBX] = 0xd0000000; /* not mapped */
	cr_assert_eq(fx_run(&f, "0f013b"), EMU_OK);
	f.v.regs.seg[SEG_DS].limit = 0xfff; /* outside the segment, which may be null even */
	cr_assert_eq(fx_run(&f, "0f013b"), EMU_OK);
	f.v.regs.seg[SEG_DS].unusable = true;
	cr_assert_eq(fx_run(&f, "0f013b"), EMU_OK);
	fx_cpl(&f, 3);
	cr_assert(fx_faults(&f, "0f013b", VEC_GP, 0));
	fx_fini(&f);
}

/*
 * One access of each kind over the edge of two pages.  @lo: its first byte, before the edge.
 * Error codes as measured on an Intel CPU: whoever will write faults as a write already when it
 * reads, and of two bad pages the lower one is reported.
 */
static const struct {
	const char *hex;
	int lo;
	bool write;
} edges[] = {
	{ "8903", 2, true },       /* mov %eax,(%ebx) */
	{ "668903", 1, true },     /* mov %ax,(%ebx) */
	{ "8b03", 2, false },      /* mov (%ebx),%eax */
	{ "0103", 3, true },       /* add %eax,(%ebx) */
	{ "f00103", 2, true },     /* lock add */
	{ "8703", 1, true },       /* xchg */
	{ "0fb10b", 2, true },     /* cmpxchg %ecx,(%ebx) */
	{ "f00fb10b", 2, true },   /* lock cmpxchg */
	{ "0fc70b", 4, true },     /* cmpxchg8b (%ebx) */
	{ "0fc103", 2, true },     /* xadd */
	{ "f71b", 2, true },       /* negl (%ebx) */
	{ "d123", 2, true },       /* shll (%ebx) */
	{ "0fa40303", 2, true },   /* shld $3,%eax,(%ebx) */
	{ "3903", 2, false },      /* cmp %eax,(%ebx) */
	{ "ab", 2, true },         /* stosl */
	{ "ad", 2, false },        /* lodsl */
	{ "50", 2, true },         /* push %eax */
	{ "58", 2, false },        /* pop %eax */
	{ "0f01 0b", 3, true },    /* sidt (%ebx) */
	{ "9c", 2, true },         /* pushf */
	{ "e800010000", 2, true }, /* call */
	{ "c3", 2, false },        /* ret */
};

static void edge_start(struct fx *f, size_t i, unsigned cpl)
{
	struct vcpu *v = &f->v;
	bool push = edges[i].write && (!strcmp(edges[i].hex, "50") || !strcmp(edges[i].hex, "9c") ||
				       !strncmp(edges[i].hex, "e8", 2));
	uint32_t at = EDGE - (uint32_t)edges[i].lo;

	paged(f, cpl);
	v->regs.gpr[EAX] = 0x1234;
	v->regs.gpr[EBX] = v->regs.gpr[ESI] = v->regs.gpr[EDI] = at;
	v->regs.gpr[ESP] = at + (push ? 4 : 0);
	fx_w32(f, EDGE - 4, 0x10101);
	fx_w32(f, EDGE, 0x10001000);
}

/* @flags of page @bad; what the walk of it says about the access (-1: allowed). */
static int expected(uint32_t flags, unsigned cpl, bool write)
{
	int code = (write ? PF_WRITE : 0) | (cpl == 3 ? PF_USER : 0);

	if (!(flags & P))
		return code;
	if ((write && !(flags & RW)) || (cpl == 3 && !(flags & US)))
		return code | P;
	return -1;
}

/* DESIGN 5, "all or nothing": nothing is written, and D is set nowhere. */
Test(emu_paging, accesses_over_two_pages)
{
	static const uint32_t flags[] = { ALL, 0, P | US, P | RW, ALL & ~P };
	static uint8_t before[2 * PAGE_SIZE];
	unsigned faults = 0;

	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++)
		for (unsigned n = 0; n < 2 * 5 * 5; n++) {
			unsigned cpl = n % 2 ? 3 : 0;
			uint32_t low = flags[n / 2 % 5], high = flags[n / 10];
			int code = expected(low, cpl, edges[i].write), r;
			uint32_t cr2 = EDGE - (uint32_t)edges[i].lo;
			struct fx f;

			if (code < 0) {
				code = expected(high, cpl, edges[i].write);
				cr2 = EDGE;
			}
			edge_start(&f, i, cpl);
			pte(&f, EDGE - PAGE_SIZE, low);
			pte(&f, EDGE, high);
			memcpy(before, f.vm.ram + FX_DATA, sizeof(before));
			r = fx_run(&f, edges[i].hex);
			cr_expect_eq(r, code < 0 ? EMU_OK : EMU_FAULT, "%s %#x %#x: %d",
				     edges[i].hex, low, high, r);
			if (r == EMU_FAULT) {
				faults++;
				cr_expect(f.v.fault.vector == VEC_PF &&
						  (int)f.v.fault.error == code &&
						  f.v.fault.cr2 == cr2,
					  "%s %#x %#x: %#x at %#x", edges[i].hex, low, high,
					  f.v.fault.error, f.v.fault.cr2);
				cr_expect(!memcmp(f.vm.ram + FX_DATA, before, sizeof(before)),
					  "%s wrote", edges[i].hex);
				cr_expect_eq(pte_flags(&f, EDGE - 1) & ~(unsigned)ACC, low);
				cr_expect_eq(pte_flags(&f, EDGE), high);
				cr_expect_eq(f.v.regs.eip, FX_CODE);
			} else {
				uint32_t d = ACC | (edges[i].write ? DRT : 0);

				cr_expect_eq(pte_flags(&f, EDGE - 1), low | d, "%s", edges[i].hex);
				cr_expect_eq(pte_flags(&f, EDGE), high | d, "%s", edges[i].hex);
			}
			fx_fini(&f);
		}
	cr_expect_gt(faults, 500);
}

/* A probe looks, and leaves no trace. */
Test(emu_paging, probes_set_nothing)
{
	struct fx f;

	paged(&f, 3);
	cr_assert_eq(mem_probe_write(&f.v, EDGE - 8, 16, PF_USER), 0);
	cr_assert_eq(mem_probe_read(&f.v, EDGE - 8, 16, PF_USER), 0);
	cr_assert_eq(pte_flags(&f, EDGE), ALL);
	cr_assert_eq(pte_flags(&f, EDGE - 1), ALL);
	pte(&f, EDGE, P | US);
	cr_assert_eq(mem_probe_write(&f.v, EDGE - 8, 16, PF_USER), EMU_FAULT);
	cr_assert(f.v.fault.error == 7 && f.v.fault.cr2 == EDGE);
	cr_assert_eq(mem_probe_write(&f.v, EDGE - 16, 16, PF_USER), 0, "all in the first page");
	fx_fini(&f);
}

/* A rep string instruction keeps what it has done; the rest faults on the next try. */
Test(emu_paging, rep_string_stops_at_the_page_that_is_not_there)
{
	struct fx f;

	paged(&f, 3);
	pte(&f, EDGE, 0);
	f.v.regs.gpr[EDI] = EDGE - 8;
	f.v.regs.gpr[ECX] = 4;
	f.v.regs.gpr[EAX] = 0xaaaaaaaa;
	cr_assert_eq(fx_run(&f, "f3ab"), EMU_OK);
	cr_assert(f.v.regs.gpr[ECX] == 2 && f.v.regs.gpr[EDI] == EDGE);
	cr_assert_eq(f.v.regs.eip, FX_CODE);
	cr_assert(fx_faults(&f, "f3ab", VEC_PF, PF_WRITE | PF_USER));
	cr_assert_eq(f.v.fault.cr2, EDGE);
	cr_assert_eq(fx_r32(&f, EDGE - 4), 0xaaaaaaaa);
	fx_fini(&f);
}

/* vmm/mem.h: what comes after the bytes that could be fetched. */
Test(emu_paging, code_fetch_over_two_pages)
{
	uint8_t buf[15];
	struct fx f;

	paged(&f, 3);
	cr_assert_eq(code_fetch(&f.v, EDGE - 5, buf, 15), 15);
	cr_assert_eq(f.v.fault.vector, VEC_GP, "longer is too long");
	pte(&f, EDGE, P | RW);
	cr_assert_eq(code_fetch(&f.v, EDGE - 5, buf, 15), 5);
	cr_assert(f.v.fault.vector == VEC_PF && f.v.fault.cr2 == EDGE);
	cr_assert_eq(f.v.fault.error, PF_PRESENT | PF_USER, "no I/D without NX");
	cr_assert_eq(code_fetch(&f.v, EDGE, buf, 15), 0);
	cr_assert_eq(f.v.fault.vector, VEC_PF);
	f.v.regs.seg[SEG_CS].limit = EDGE - 3;
	cr_assert_eq(code_fetch(&f.v, EDGE - 5, buf, 15), 3);
	cr_assert_eq(f.v.fault.vector, VEC_GP, "the limit comes first");
	fx_fini(&f);

	/* PAE: one 2 MiB page of code, executable or not. */
	fx_init(&f);
	f.v.sh.pdpte[0] = PD | P;
	f.v.sh.cr0 |= CR0_PG;
	f.v.sh.cr4 |= CR4_PAE;
	f.v.sh.efer = 0x800;
	fx_w32(&f, PD, 0x80 | ALL);
	cr_assert_eq(code_fetch(&f.v, FX_CODE, buf, 15), 15);
	fx_w32(&f, PD + 4, 0x80000000);
	cr_assert_eq(code_fetch(&f.v, FX_CODE, buf, 15), 0);
	cr_assert(f.v.fault.vector == VEC_PF && f.v.fault.cr2 == FX_CODE);
	cr_assert_eq(f.v.fault.error, PF_PRESENT | PF_FETCH);
	fx_fini(&f);
}

/* Each error code reaches the handler's stack and CR2 the register, from both privileges. */
Test(emu_paging, delivery_of_page_faults)
{
	for (unsigned n = 0; n < 64; n++) {
		unsigned cpl = n & 32 ? 3 : 0;
		struct event ev = {
			.vector = VEC_PF, .has_error = true, .error = n & 31, .cr2 = 0xc0000000 + n
		};
		struct fx f;
		uint32_t esp;

		paged(&f, cpl);
		fx_set_idt(&f, VEC_PF, fx_gate(FX_CS0, 0x140000, FX_P | 0xe, 0));
		/* What the CPU itself touches on the way is supervisor's. */
		pte(&f, FX_IDT, P | RW);
		pte(&f, FX_GDT, P | RW);
		pte(&f, FX_TSS, P);
		pte(&f, INNER - 4, P | RW);
		if (!cpl)
			pte(&f, FX_STACK - 4, P | RW);
		cr_assert_eq(inject(&f.v, &ev), EMU_OK);
		esp = cpl ? INNER - 24 : FX_STACK - 16;
		cr_expect_eq(f.v.regs.gpr[ESP], esp);
		cr_expect_eq(fx_r32(&f, esp), n & 31);
		cr_expect_eq(fx_r32(&f, esp + 4), FX_CODE);
		cr_expect_eq(f.v.sh.cr2, 0xc0000000 + n);
		cr_expect(f.v.sh.cpl == 0 && f.v.regs.eip == 0x140000 && !f.v.shutdown);
		/* The frame was written through the page tables. */
		cr_expect_eq(pte_flags(&f, esp), P | RW | ACC | DRT);
		cr_expect_eq(pte_flags(&f, FX_TSS), (cpl ? P | ACC : P));
		fx_fini(&f);
	}
}

/* An emulated access of ring 3 that faults leads to its kernel's handler with all three. */
Test(emu_paging, from_the_access_to_the_handler)
{
	struct event ev;
	struct fx f;

	paged(&f, 3);
	fx_set_idt(&f, VEC_PF, fx_gate(FX_CS0, 0x140000, FX_P | 0xe, 0));
	pte(&f, FX_DATA, P | RW);
	f.v.regs.gpr[EBX] = FX_DATA + 0x123;
	cr_assert_eq(fx_run(&f, "8803"), EMU_FAULT); /* mov %al,(%ebx) */
	cr_assert_eq(f.v.sh.cr2, 0, "CR2 changes on delivery");
	ev = f.v.fault;
	cr_assert_eq(inject(&f.v, &ev), EMU_OK);
	cr_assert_eq(fx_r32(&f, INNER - 24), PF_PRESENT | PF_WRITE | PF_USER);
	cr_assert_eq(fx_r32(&f, INNER - 20), FX_CODE, "EIP of the instruction");
	cr_assert_eq(f.v.sh.cr2, FX_DATA + 0x123);
	fx_fini(&f);
}

static int fake_create(struct vcpu *v, struct engine **out);

static void fake_destroy(struct engine *e)
{
	(void)e;
}

static int fake_map(struct engine *e, gva_t gva, gpa_t gpa, uint64_t len, unsigned prot)
{
	(void)e;
	(void)gva;
	(void)gpa;
	(void)len;
	(void)prot;
	return 0;
}

static int fake_unmap(struct engine *e, gva_t gva, uint64_t len)
{
	(void)e;
	(void)gva;
	(void)len;
	return 0;
}

static int fake_nothing(struct engine *e)
{
	(void)e;
	return 0;
}

static const struct engine_ops fake_ops = { .create = fake_create,
					    .destroy = fake_destroy,
					    .map = fake_map,
					    .unmap = fake_unmap,
					    .invalidate = fake_nothing,
					    .sync = fake_nothing };

static int fake_create(struct vcpu *v, struct engine **out)
{
	static struct engine e = { .ops = &fake_ops };

	(void)v;
	*out = &e;
	return 0;
}

/* DESIGN 6: a page that is code and page table at once is executed from a copy; A and D show there.
 */
Test(emu_paging, accessed_and_dirty_reach_the_copy_of_a_code_page)
{
	const uint32_t table = FX_CODE, at = table + 0x200 * 4;
	const gva_t gva = 0x00600000; /* entry 0x200 of the table that PDE 1 points to */
	struct mmu_leaf leaf;
	uint32_t code, copy;
	struct fx f;

	paged(&f, 0);
	cr_assert_eq(fake_create(&f.v, &f.v.engine), 0);
	f.vm.engine_ops = &fake_ops;
	f.vm.code = code_new(&f.vm);
	cr_assert_not_null(f.vm.code);
	cr_assert_eq(shadow_attach(&f.v), 0);
	fx_w32(&f, PD + 4, table | ALL);
	memset(f.vm.ram + FX_CODE, 0xcc, PAGE_SIZE);
	fx_w32(&f, FX_CODE, 0xfeeb9d9c); /* pushf; popf; jmp . */
	fx_w32(&f, at, FX_DATA | ALL);
	cr_assert_eq(code_fetch_fault(&f.v, FX_CODE, FX_CODE), 0);
	cr_assert(code_shadowed(f.vm.code, FX_CODE));
	cr_assert_eq(mmu_walk(&f.v, gva, PF_WRITE, &leaf, &code), 0);
	cr_assert_eq(fx_r32(&f, at), FX_DATA | ALL | ACC | DRT);
	cr_assert_eq(code_before_run(&f.v), 0); /* what may be instructions is scanned again */
	memcpy(&copy, f.vm.ram + f.vm.ram_len + (at - table), sizeof(copy));
	cr_assert_eq(copy, FX_DATA | ALL | ACC | DRT, "%#x", copy);
	shadow_free(&f.v);
	code_free(f.vm.code);
	f.vm.code = NULL;
	fx_fini(&f);
}
