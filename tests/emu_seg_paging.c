/* SPDX-License-Identifier: MIT */
/*
 * Page faults inside segmentation and control transfer: with any one page missing, an instruction
 * or a delivery either works as before or faults with nothing changed; and the privilege with
 * which each access is made.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/emu_fixture.h"
#include "vmm/emu/seg.h"

#define PD      0x3f0000u
#define PT      0x3f1000u
#define PTE_ALL 7u /* present, writable, user */

#define INNER   (FX_RING0_STACK - 0x1000 + 0xc) /* ESP0 near the start of a page: frames cross */
#define HANDLER 0x140000u

static void pte(struct fx *f, uint32_t gva, uint32_t flags)
{
	fx_w32(f, PT + (gva >> 12) * 4, (gva & ~0xfffu) | flags);
}

/* The fixture at ring @cpl with all of RAM identity-mapped for everybody. */
static void paging_init(struct fx *f, unsigned cpl)
{
	fx_init(f);
	fx_w32(f, PD, PT | PTE_ALL);
	for (uint32_t gva = 0; gva < FX_RAM; gva += PAGE_SIZE)
		pte(f, gva, PTE_ALL);
	fx_cpl(f, cpl);
	f->v.sh.cr3 = PD;
	f->v.sh.cr0 |= CR0_PG | CR0_WP;
	/* Selectors and gates that the scenarios use. */
	fx_set(f, 0x60, fx_desc(0, 0xfffff, FX_P | FX_S | FX_DPL(3) | FX_DATA_RW, FX_G | FX_DB));
	fx_set(f, 0x68, fx_gate(FX_CS0, HANDLER, FX_P | FX_DPL(3) | DESC_CALL32, 31));
	fx_set(f, 0x70, fx_desc(0x5000, 103, FX_P | DESC_TSS32, 0));
	fx_set(f, 0x0c, fx_desc(0, 0xfffff, FX_P | FX_S | FX_DPL(3) | 0xa, FX_G | FX_DB));
	for (unsigned vec = 0; vec < 256; vec++)
		fx_set_idt(f, vec, fx_gate(FX_CS0, HANDLER, FX_P | FX_DPL(3) | DESC_INT32, 0));
	fx_w32(f, FX_TSS + 4, INNER);
}

/* Memory before, without the descriptor tables (accessed bits) and the page tables (A, D). */
static bool ram_same(const struct fx *f, const uint8_t *before)
{
	return !memcmp(f->vm.ram + FX_IDT, before + FX_IDT, PD - FX_IDT);
}

static const struct {
	const char *hex;
	unsigned cpl;
	uint32_t eax;
	uint32_t esp;      /* operands lie across a page boundary */
	uint32_t stack[6]; /* at ESP; also at EBX for far pointers */
} scenario[] = {
	{ "8ed8", 3, 0x60, FX_STACK, { 0 } },                /* mov %ax,%ds */
	{ "8ed8", 3, 0x0f, FX_STACK, { 0 } },                /* from the LDT */
	{ "1f", 3, 0, FX_STACK - 2, { 0x60 } },              /* pop %ds */
	{ "0fb50b", 3, 0, FX_STACK - 5, { 0x1234, 0x60 } },  /* lgs (%ebx),%ecx */
	{ "8c1b", 3, 0, FX_STACK - 1, { 0 } },               /* mov %ds,(%ebx) */
	{ "0e", 3, 0, FX_STACK + 3, { 0 } },                 /* push %cs */
	{ "0f0113", 0, 0, FX_STACK - 3, { 0x1000, 0 } },     /* lgdt (%ebx) */
	{ "0f010b", 3, 0, FX_STACK - 3, { 0 } },             /* sidt (%ebx) */
	{ "0f0013", 0, 0, FX_STACK - 1, { FX_LDTR } },       /* lldt (%ebx) */
	{ "0f001b", 0, 0, FX_STACK - 1, { 0x70 } },          /* ltr (%ebx) */
	{ "0f020b", 3, 0, FX_STACK - 1, { 0x60 } },          /* lar (%ebx),%ecx */
	{ "0f0023", 3, 0, FX_STACK - 1, { 0x0f } },          /* verr (%ebx) */
	{ "630b", 3, 0, FX_STACK - 1, { 0x60 } },            /* arpl %cx,(%ebx) */
	{ "620b", 3, 0, FX_STACK - 4, { 0, 0x7fffffff } },   /* bound %ecx,(%ebx) */
	{ "cd80", 3, 0, FX_STACK, { 0 } },                   /* int $0x80, stack switch */
	{ "cc", 0, 0, FX_STACK + 8, { 0 } },                 /* int3 on the same stack */
	{ "ff2b", 3, 0, FX_STACK - 3, { HANDLER, FX_CS3 } }, /* ljmp *(%ebx) */
	{ "ff1b", 3, 0, FX_STACK - 3, { HANDLER, 0x0f } },   /* lcall *(%ebx), LDT */
	{ "9a000000006800", 3, 0, FX_STACK - 64, { 0 } },    /* lcall through the gate */
	{ "cb", 0, 0, FX_STACK - 4, { HANDLER, FX_CS3, 0x9000, FX_DS3 } }, /* lret outwards */
	{ "ca0800", 0, 0, FX_STACK - 8, { HANDLER, FX_CS3, 1, 2, 0x9000, 0x63 } },
	{ "cf", 0, 0, FX_STACK - 8, { HANDLER, FX_CS3, 2, 0x9000, FX_DS3 } }, /* iret outwards */
	{ "cf", 0, 0, FX_STACK - 4, { HANDLER, FX_CS0, 2 } },
};
#define SCENARIOS (sizeof(scenario) / sizeof(scenario[0]))

static void start(struct fx *f, size_t n)
{
	struct vcpu *v = &f->v;

	v->regs.eip = FX_CODE;
	v->regs.gpr[EAX] = scenario[n].eax;
	v->regs.gpr[ECX] = 3;
	v->regs.gpr[EBX] = v->regs.gpr[ESP] = scenario[n].esp;
	memcpy(f->vm.ram + scenario[n].esp, scenario[n].stack, sizeof(scenario[n].stack));
}

/* DESIGN 5: "a fault in the middle leaves the vCPU as it was", and memory. */
Test(emu_seg_paging, any_missing_page_is_all_or_nothing)
{
	static const uint32_t pages[] = { FX_GDT,   FX_LDT,
					  FX_IDT,   FX_TSS,
					  INNER,    INNER - PAGE_SIZE,
					  FX_STACK, FX_STACK - PAGE_SIZE };
	uint8_t *before = malloc(FX_RAM);
	unsigned faults = 0;

	for (size_t n = 0; n < SCENARIOS; n++) {
		unsigned here = 0;
		struct fx f;

		paging_init(&f, scenario[n].cpl);
		start(&f, n);
		cr_expect_eq(fx_run(&f, scenario[n].hex), EMU_OK, "%s", scenario[n].hex);
		fx_fini(&f);
		for (size_t p = 0; p < sizeof(pages) / sizeof(pages[0]); p++) {
			struct cpu_regs regs;
			struct shadow sh;
			int ret;

			paging_init(&f, scenario[n].cpl);
			start(&f, n);
			pte(&f, pages[p], 0);
			regs = f.v.regs;
			sh = f.v.sh;
			memcpy(before, f.vm.ram, FX_RAM);
			ret = fx_run(&f, scenario[n].hex);
			if (ret == EMU_FAULT) {
				here++;
				cr_expect_eq(f.v.fault.vector, VEC_PF, "%s", scenario[n].hex);
				cr_expect_eq(f.v.fault.cr2 & ~0xfffu, pages[p] & ~0xfffu);
				cr_expect_eq(f.v.fault.error & PF_PRESENT, 0);
				memcpy(before + FX_CODE, f.vm.ram + FX_CODE, INSN_MAX);
				cr_expect(ram_same(&f, before), "%s page %#x", scenario[n].hex,
					  pages[p]);
				cr_expect(!memcmp(&regs, &f.v.regs, sizeof(regs)));
				cr_expect(!memcmp(&sh, &f.v.sh, sizeof(sh)));
			} else {
				cr_expect_eq(ret, EMU_OK);
			}
			fx_fini(&f);
		}
		cr_expect_gt(here, 0, "%s needs none of the pages?", scenario[n].hex);
		faults += here;
	}
	cr_log_info("%u faults", faults);
	free(before);
}

/*
 * SDM Vol. 3A, "Access Rights" (4.6): descriptor tables, the TSS and the stack of the inner level
 * are accessed as supervisor even when ring 3 caused it; the operands are not.
 */
Test(emu_seg_paging, implicit_accesses_are_supervisor)
{
	static const uint32_t tables[] = {
		FX_GDT, FX_LDT, FX_IDT, FX_TSS, INNER, INNER - PAGE_SIZE
	};

	for (size_t n = 0; n < SCENARIOS; n++) {
		struct fx f;

		paging_init(&f, scenario[n].cpl);
		for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
			pte(&f, tables[i], PTE_ALL & ~4u);
		start(&f, n);
		cr_expect_eq(fx_run(&f, scenario[n].hex), EMU_OK, "%s", scenario[n].hex);
		fx_fini(&f);
		if (scenario[n].cpl != 3 || scenario[n].esp == FX_STACK)
			continue;
		paging_init(&f, 3);
		pte(&f, FX_STACK, PTE_ALL & ~4u);
		pte(&f, FX_STACK - PAGE_SIZE, PTE_ALL & ~4u);
		start(&f, n);
		cr_expect_eq(fx_run(&f, scenario[n].hex), EMU_FAULT, "%s", scenario[n].hex);
		cr_expect_eq(f.v.fault.error & (PF_USER | PF_PRESENT), PF_USER | PF_PRESENT);
		fx_fini(&f);
	}
}

/* SDM Vol. 3A, 3.4.5.1: a descriptor already accessed is not written, so its table may be
 * read-only. */
Test(emu_seg_paging, accessed_bit_needs_a_writable_table)
{
	struct fx f;

	paging_init(&f, 0);
	pte(&f, FX_GDT, PTE_ALL & ~2u);
	f.v.regs.gpr[EAX] = FX_DS0;
	cr_expect_eq(fx_run(&f, "8ed8"), EMU_OK);
	f.v.regs.gpr[EAX] = 0x60;
	cr_expect(fx_faults(&f, "8ed8", VEC_PF, PF_PRESENT | PF_WRITE));
	cr_expect_eq(f.v.fault.cr2, FX_GDT + 0x60 + 5);
	f.v.sh.cr0 &= ~CR0_WP;
	cr_expect_eq(fx_run(&f, "8ed8"), EMU_OK);
	fx_fini(&f);
}

/* Delivery escalates over page faults: SDM Vol. 3A, "Interrupt 8" (6.15), table 6-5. */
Test(emu_seg_paging, page_fault_then)
{
	const struct event pf = { .vector = VEC_PF, .has_error = true, .error = 6, .cr2 = 0x1111 };
	const struct event gp = { .vector = VEC_GP, .has_error = true };
	const struct event irq = { .vector = 0x40, .external = true };
	struct fx f;

	/* The ring-0 stack is missing: #PF, #PF, #DF, shutdown. */
	paging_init(&f, 3);
	pte(&f, INNER, 0);
	cr_expect_eq(inject(&f.v, &irq), EMU_OK);
	cr_expect(f.v.shutdown && f.v.sh.cr2 == INNER - 4);
	fx_fini(&f);

	/* Only its lower page: CR2 is the first push that meets it (CS, the fourth item). */
	paging_init(&f, 3);
	pte(&f, INNER - PAGE_SIZE, 0);
	cr_expect_eq(inject_once(&f.v, &irq), EMU_FAULT);
	cr_expect_eq(f.v.fault.cr2, INNER - 16);
	fx_fini(&f);

	/* Only vector 0x40's own page of the IDT would be missing; #PF itself can be handled. */
	paging_init(&f, 3);
	f.v.sh.idtr.base = FX_DATA + PAGE_SIZE - 0x20 * 8;
	memcpy(f.vm.ram + f.v.sh.idtr.base, f.vm.ram + FX_IDT, 0x20 * 8);
	pte(&f, FX_DATA + PAGE_SIZE, 0);
	cr_expect_eq(inject(&f.v, &irq), EMU_OK);
	cr_expect(!f.v.shutdown && f.v.regs.eip == HANDLER);
	cr_expect_eq(f.v.sh.cr2, FX_DATA + PAGE_SIZE + 0x20 * 8);
	cr_expect_eq(fx_r32(&f, INNER - 24), 0, "error code: not present, read, supervisor");
	fx_fini(&f);

	/* #PF whose own gate is missing, or faults with #NP: #DF, from either. */
	for (int np = 0; np < 2; np++) {
		paging_init(&f, 3);
		fx_set_idt(&f, VEC_DF, fx_gate(FX_CS0, HANDLER + 8, FX_P | DESC_INT32, 0));
		fx_set_idt(&f, np ? VEC_PF : VEC_GP, fx_gate(FX_CS0, 0, DESC_INT32, 0));
		cr_expect_eq(inject(&f.v, np ? &pf : &gp), EMU_OK);
		cr_expect_eq(f.v.regs.eip, HANDLER + 8);
		fx_fini(&f);
	}

	/* #GP, then #PF on its IDT page: serial, #PF is delivered. */
	paging_init(&f, 3);
	f.v.sh.idtr.base = FX_DATA + PAGE_SIZE - 0xe * 8;
	pte(&f, FX_DATA, 0);
	memcpy(f.vm.ram + FX_DATA + PAGE_SIZE, f.vm.ram + FX_IDT + 0xe * 8, 8);
	cr_expect_eq(inject(&f.v, &gp), EMU_OK);
	cr_expect(!f.v.shutdown && f.v.regs.eip == HANDLER);
	cr_expect_eq(f.v.sh.cr2, FX_DATA + PAGE_SIZE - 8);
	fx_fini(&f);
}
