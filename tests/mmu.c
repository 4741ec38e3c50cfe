/* SPDX-License-Identifier: MIT */
/*
 * The guest's page tables: every combination of rights in every mode against the model of
 * mmu_model.h, accessed and dirty bits, reserved bits, addresses above 4 GiB, and tables in odd
 * places.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "tests/emu_fixture.h"
#include "tests/mmu_model.h"
#include "vmm/mmu.h"

#define PD    0x3f0000u /* page directory, PAE too */
#define PT    0x3f1000u
#define PDPT  0x3f2020u /* 32-byte aligned is enough */
#define LARGE 0x200000u /* a 2 MiB page of the fixture's RAM; for 4 MiB pages it is page 0 */

/* Entry bits. */
#define P   0x001ull
#define RW  0x002ull
#define US  0x004ull
#define ACC 0x020ull
#define DRT 0x040ull
#define PS  0x080ull
#define GLB 0x100ull
#define XD  (1ull << 63)
#define ALL (P | RW | US)

#define NXE 0x800u

enum mode { TWO_LEVEL, TWO_LEVEL_PS_IGNORED, TWO_LEVEL_LARGE, PAE, PAE_LARGE, MODES };

static const struct {
	bool pae, large;
	uint32_t cr4;
	uint64_t pde;
	const char *pde_format, *pte_format;
} modes[MODES] = {
	[TWO_LEVEL] = { false, false, CR4_PSE, PT, "pde32", "pte32" },
	[TWO_LEVEL_PS_IGNORED] = { false, false, 0, PT | PS, "pde32", "pte32" },
	[TWO_LEVEL_LARGE] = { false, true, CR4_PSE, PS, "pse32", NULL },
	[PAE] = { true, false, CR4_PAE | CR4_PSE, PT, "pdepae", "ptepae" },
	[PAE_LARGE] = { true, true, CR4_PAE, LARGE | PS, "psepae", NULL },
};

static void put(struct fx *f, uint32_t gpa, uint64_t val, bool pae)
{
	memcpy(f->vm.ram + gpa, &val, pae ? 8 : 4);
}

static uint64_t get(const struct fx *f, uint64_t gpa, unsigned len)
{
	uint64_t val = 0;

	if (gpa + len <= f->vm.ram_len)
		memcpy(&val, f->vm.ram + gpa, len);
	return val;
}

static void mode_set(struct fx *f, enum mode mode, bool wp, bool nxe)
{
	struct shadow *sh = &f->v.sh;

	sh->cr0 = CR0_PE | CR0_PG | CR0_ET | (wp ? CR0_WP : 0);
	sh->cr4 = modes[mode].cr4 | CR4_PGE;
	sh->efer = nxe ? NXE : 0;
	sh->cr3 = modes[mode].pae ? PDPT : PD;
	for (unsigned i = 0; i < 4; i++)
		sh->pdpte[i] = i == 1 ? PD | P : 0;
}

/* Where @gva's entries are in the tables of this file. */
static uint32_t pde_at(enum mode mode, gva_t gva)
{
	return modes[mode].pae ? PD + (gva >> 21 & 511) * 8 : PD + (gva >> 22) * 4;
}

static uint32_t pte_at(enum mode mode, gva_t gva)
{
	return modes[mode].pae ? PT + (gva >> 12 & 511) * 8 : PT + (gva >> 12 & 1023) * 4;
}

static struct model_cpu model_of(const struct fx *f)
{
	const struct shadow *sh = &f->v.sh;
	struct model_cpu c = { .pae = sh->cr4 & CR4_PAE,
			       .pse = sh->cr4 & CR4_PSE,
			       .pge = sh->cr4 & CR4_PGE,
			       .wp = sh->cr0 & CR0_WP,
			       .nxe = sh->efer & NXE,
			       .cr3 = sh->cr3,
			       .ram = f->vm.ram,
			       .ram_len = f->vm.ram_len };

	memcpy(c.pdpte, sh->pdpte, sizeof(c.pdpte));
	return c;
}

static unsigned access_of(bool user, enum model_kind kind)
{
	return (user ? PF_USER : 0) | (kind == MODEL_WRITE ? PF_WRITE : 0) |
	       (kind == MODEL_FETCH ? PF_FETCH : 0);
}

/* Walk, and compare everything with the model.  True if they agree. */
static bool agrees(struct fx *f, gva_t gva, bool user, enum model_kind kind)
{
	struct model_cpu c = model_of(f);
	struct model_result want;
	struct mmu_leaf leaf, peek;
	unsigned access = access_of(user, kind);
	uint32_t code = 0xdead, check = 0xdead;
	bool ok;
	int r;

	model_walk(&c, gva, user, kind, &want);
	ok = mmu_check(&f->v, gva, access, &check) == (want.fault ? -EFAULT : 0);
	r = mmu_walk(&f->v, gva, access, &leaf, &code);
	ok = ok && r == (want.fault ? -EFAULT : 0) && code == check;
	for (unsigned i = 0; i < want.levels; i++)
		ok = ok && get(f, want.entry_gpa[i], want.entry_len) == want.entry[i];
	if (want.fault)
		return ok && code == want.code;
	ok = ok && leaf.gpa == want.gpa && leaf.page_len == want.page_len &&
	     leaf.writable == want.writable && leaf.user == want.user && leaf.nx == want.nx &&
	     leaf.dirty == want.dirty && leaf.global == want.global &&
	     leaf.entry_len == want.entry_len && leaf.pde_gpa == want.entry_gpa[0] &&
	     leaf.pde == want.entry[0] && leaf.pte_gpa == want.entry_gpa[1] &&
	     leaf.pte == want.entry[1];
	/* Looking again without checks finds the same page. */
	return ok && !mmu_peek(&f->v, gva, &peek) && peek.gpa == leaf.gpa && peek.pde == leaf.pde &&
	       peek.pte == leaf.pte && peek.dirty == leaf.dirty;
}

/* SDM Vol. 3A, 4.6 to 4.8: the whole matrix of rights, with each state of A and D before. */
Test(mmu, every_combination_of_rights_in_every_mode)
{
	static const uint64_t bit[] = { P, RW, US, XD, ACC, DRT };
	const gva_t gva = 0x40403123; /* PDPTE 1 */
	unsigned long cases = 0, faults = 0, passes = 0;
	struct fx f;

	fx_init(&f);
	for (unsigned m = 0; m < MODES; m++)
		for (unsigned n = 0; n < 1u << 12; n++) {
			uint64_t pde = modes[m].pde, pte = FX_DATA;

			if (modes[m].large && n >= 1u << 6)
				break;
			for (unsigned b = 0; b < 6; b++) {
				pde |= n >> b & 1 ? bit[b] : 0;
				pte |= n >> (6 + b) & 1 ? bit[b] : 0;
			}
			if (!modes[m].pae && ((pde | pte) & XD))
				continue; /* no such bit */
			for (unsigned k = 0; k < 24; k++) {
				bool user = k & 1;
				uint32_t was = 0;

				mode_set(&f, (enum mode)m, k & 2, k & 4);
				put(&f, pde_at((enum mode)m, gva), pde, modes[m].pae);
				put(&f, pte_at((enum mode)m, gva), pte, modes[m].pae);
				cr_assert(agrees(&f, gva, user, (enum model_kind)(k >> 3)),
					  "mode %u pde %#llx pte %#llx access %#x", m,
					  (unsigned long long)pde, (unsigned long long)pte, k);
				cases++;
				if (mmu_check(&f.v, gva, access_of(user, (enum model_kind)(k >> 3)),
					      &was))
					faults++;
				else
					passes++;
			}
		}
	cr_assert(cases > 100000 && faults > 10000 && passes > 10000, "%lu %lu %lu", cases, faults,
		  passes);
	fx_fini(&f);
}

/* The model could be wrong as mmu.c is; these are worked out by hand from figure 4-12. */
Test(mmu, error_codes_by_hand)
{
	static const struct {
		enum mode mode;
		uint64_t pde, pte;
		bool wp, nxe, user;
		enum model_kind kind;
		int code; /* -1: allowed */
	} rows[] = {
		{ TWO_LEVEL, 0, ALL, true, false, false, MODEL_READ, 0x00 },
		{ TWO_LEVEL, ALL, 0, true, false, true, MODEL_WRITE, 0x06 },
		{ TWO_LEVEL, ALL, P | RW, true, false, true, MODEL_READ, 0x05 },
		{ TWO_LEVEL, P | RW, ALL, true, false, true, MODEL_READ, 0x05 },
		{ TWO_LEVEL, ALL, P | US, false, false, true, MODEL_WRITE, 0x07 },
		{ TWO_LEVEL, ALL, P | US, true, false, false, MODEL_WRITE, 0x03 },
		{ TWO_LEVEL, ALL, P | US, false, false, false, MODEL_WRITE, -1 },
		{ TWO_LEVEL, P | US, ALL, true, false, false, MODEL_WRITE, 0x03 },
		{ TWO_LEVEL, ALL, 0, true, true, true, MODEL_FETCH, 0x04 }, /* NXE without PAE */
		{ PAE, ALL, 0, true, true, true, MODEL_FETCH, 0x14 },
		{ PAE, ALL, 0, true, false, true, MODEL_FETCH, 0x04 },
		{ PAE, ALL, ALL | XD, true, true, false, MODEL_FETCH, 0x11 },
		{ PAE, ALL | XD, ALL, true, true, true, MODEL_FETCH, 0x15 },
		{ PAE, ALL, ALL | XD, true, true, true, MODEL_READ, -1 },
		{ PAE, ALL, ALL | XD, true, false, true, MODEL_READ, 0x0d },
		{ PAE, ALL | XD, 0, true, false, true, MODEL_WRITE, 0x0f },
		{ PAE_LARGE, ALL | 0x2000, 0, true, true, false, MODEL_FETCH, 0x19 },
		{ TWO_LEVEL_LARGE, ALL | 0x200000, 0, true, false, false, MODEL_WRITE, 0x0b },
		{ TWO_LEVEL_LARGE, P | RW, 0, true, false, true, MODEL_FETCH, 0x05 },
	};
	struct fx f;

	fx_init(&f);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum mode m = rows[i].mode;
		struct mmu_leaf leaf;
		uint32_t code = 0;
		int r;

		mode_set(&f, m, rows[i].wp, rows[i].nxe);
		put(&f, pde_at(m, 0x40000000), rows[i].pde ? rows[i].pde | modes[m].pde : 0,
		    modes[m].pae);
		put(&f, pte_at(m, 0x40000000), rows[i].pte, modes[m].pae);
		r = mmu_walk(&f.v, 0x40000000, access_of(rows[i].user, rows[i].kind), &leaf, &code);
		cr_expect_eq(r, rows[i].code < 0 ? 0 : -EFAULT, "row %zu", i);
		if (r)
			cr_expect_eq((int)code, rows[i].code, "row %zu: %#x", i, code);
	}
	fx_fini(&f);
}

/*
 * Each bit of each entry: a reserved one is a fault with RSVD if the entry is present, and nothing
 * if it is not (SDM Vol. 3A, 4.7).
 */
Test(mmu, each_reserved_bit)
{
	const gva_t gva = 0x40000000;
	unsigned found = 0;
	struct fx f;

	fx_init(&f);
	for (unsigned m = 0; m < MODES; m++)
		for (unsigned n = 0; n < 256; n++) {
			unsigned bit = n & 63, level = n >> 6 & 1;
			bool nxe = n & 128, rsvd;
			uint64_t e[2] = { modes[m].pde | ALL, FX_DATA | ALL };
			uint32_t code = 0;
			struct mmu_leaf leaf;
			int r;

			if ((level && modes[m].large) || (!modes[m].pae && bit > 31) || bit == 0 ||
			    bit == 7) /* present; another format */
				continue;
			rsvd = model_reserved(level ? modes[m].pte_format : modes[m].pde_format,
					      nxe, bit);
			mode_set(&f, (enum mode)m, true, nxe);
			e[level] |= 1ull << bit;
			for (int present = 1; present >= 0; present--) {
				if (!present)
					e[level] &= ~P;
				put(&f, pde_at((enum mode)m, gva), e[0], modes[m].pae);
				put(&f, pte_at((enum mode)m, gva), e[1], modes[m].pae);
				cr_assert(agrees(&f, gva, true, MODEL_READ), "mode %u bit %u", m,
					  bit);
				r = mmu_walk(&f.v, gva, PF_USER, &leaf, &code);
				if (rsvd || !present)
					cr_assert(r == -EFAULT && code == (present ? 0xdu : 0x4u));
				cr_assert_eq(mmu_peek(&f.v, gva, &leaf) == -ENOENT,
					     r == -EFAULT && (code == 4 || code == 0xd));
			}
			found += rsvd;
		}
	/* 2 x 5 for PSE; per PAE entry 27 + bit 63 once, and the large one 8 more. */
	cr_assert_eq(found, 2 * 5 + 3 * (2 * 27 + 1) + 2 * 8, "%u", found);
	fx_fini(&f);
}

/* SDM Vol. 3A, 4.8: no A below or at a fault, D only by writes, and nobody ever clears them. */
Test(mmu, accessed_and_dirty)
{
	const gva_t gva = 0x00200000;
	struct mmu_leaf leaf;
	uint32_t code;
	struct fx f;

	fx_init(&f);
	mode_set(&f, TWO_LEVEL, true, false);
	put(&f, pde_at(TWO_LEVEL, gva), PT | ALL, false);
	put(&f, pte_at(TWO_LEVEL, gva), FX_DATA | P | US, false);
	cr_expect_eq(mmu_walk(&f.v, gva, PF_WRITE | PF_USER, &leaf, &code), -EFAULT);
	cr_expect_eq(fx_r32(&f, pde_at(TWO_LEVEL, gva)), PT | ALL);
	cr_expect_eq(fx_r32(&f, pte_at(TWO_LEVEL, gva)), FX_DATA | P | US);
	cr_expect_eq(mmu_walk(&f.v, gva, PF_USER, &leaf, &code), 0);
	cr_expect_eq(fx_r32(&f, pde_at(TWO_LEVEL, gva)), PT | ALL | ACC);
	cr_expect_eq(fx_r32(&f, pte_at(TWO_LEVEL, gva)), FX_DATA | P | US | ACC);
	cr_expect(!leaf.dirty);
	f.v.sh.cr0 &= ~CR0_WP;
	cr_expect_eq(mmu_walk(&f.v, gva, PF_WRITE, &leaf, &code), 0);
	cr_expect_eq(fx_r32(&f, pde_at(TWO_LEVEL, gva)), PT | ALL | ACC, "no D in a PDE");
	cr_expect_eq(fx_r32(&f, pte_at(TWO_LEVEL, gva)), FX_DATA | P | US | ACC | DRT);
	cr_expect(leaf.dirty && !leaf.writable);
	cr_expect_eq(mmu_walk(&f.v, gva, 0, &leaf, &code), 0);
	cr_expect_eq(fx_r32(&f, pte_at(TWO_LEVEL, gva)), FX_DATA | P | US | ACC | DRT);
	fx_fini(&f);
}

/* PSE-36: SDM Vol. 3A, 4.3, "physical-address bits 39:32" in bits 20:13, of which we have four. */
Test(mmu, large_pages_above_4_gib_are_not_ram)
{
	struct mmu_leaf leaf;
	uint32_t code, val = 0;
	struct fx f;

	fx_init(&f);
	mode_set(&f, TWO_LEVEL_LARGE, true, false);
	fx_w32(&f, FX_DATA, 0x11223344);
	for (unsigned high = 0; high < 16; high++) {
		put(&f, pde_at(TWO_LEVEL_LARGE, 0), high << 13 | PS | ALL, false);
		cr_assert_eq(mmu_walk(&f.v, FX_DATA, PF_WRITE, &leaf, &code), 0);
		cr_assert_eq(leaf.gpa, (uint64_t)high << 32 | FX_DATA);
		cr_assert_eq(leaf.page_len, 4u << 20);
		cr_assert_eq(vm_ptr(&f.vm, leaf.gpa, 1) != NULL, high == 0);
		cr_assert_eq(mem_read(&f.v, FX_DATA, &val, 4, 0), 0);
		cr_assert_eq(val, high ? 0xffffffffu : 0x11223344u);
	}
	val = 0x55;
	cr_assert_eq(mem_write(&f.v, FX_DATA, &val, 4, 0), 0);
	cr_assert_eq(fx_r32(&f, FX_DATA), 0x11223344, "a write above 4 GiB reached RAM");
	fx_fini(&f);
}

/* The same through PAE: 36 address bits, in both page sizes. */
Test(mmu, pae_addresses_have_36_bits)
{
	const uint64_t high = 0xabcull << 24; /* bits 35:24 */
	struct mmu_leaf leaf;
	uint32_t code;
	struct fx f;

	fx_init(&f);
	mode_set(&f, PAE, true, false);
	put(&f, PD, PT | ALL, true);
	put(&f, PT, high | 0x3000 | ALL, true);
	put(&f, PD + 8, high | 0x200000 | PS | ALL, true);
	cr_assert_eq(mmu_walk(&f.v, 0x40000456, PF_USER, &leaf, &code), 0);
	cr_assert_eq(leaf.gpa, high | 0x3456);
	cr_assert_eq(mmu_walk(&f.v, 0x40323456, PF_USER, &leaf, &code), 0);
	cr_assert_eq(leaf.gpa, high | 0x323456);
	cr_assert_eq(leaf.page_len, 2u << 20);
	fx_fini(&f);
}

/* Recursive tables: the entry that maps the directory is both levels of its own walk. */
Test(mmu, a_directory_that_maps_itself)
{
	const uint32_t last = PD + 1023 * 4;
	struct mmu_leaf leaf;
	uint32_t code, val;
	struct fx f;

	fx_init(&f);
	for (int write = 0; write < 2; write++) {
		mode_set(&f, TWO_LEVEL, true, false);
		put(&f, last, PD | P | RW, false);
		cr_assert_eq(mmu_walk(&f.v, 0xfffff000, write ? PF_WRITE : 0, &leaf, &code), 0);
		val = (uint32_t)(PD | P | RW | ACC | (write ? DRT : 0));
		cr_assert_eq(fx_r32(&f, last), val);
		cr_assert_eq(leaf.gpa, PD);
		cr_assert(leaf.pde == val && leaf.pte == val && leaf.pde_gpa == leaf.pte_gpa);
	}
	/* Seen through itself it is what it is in memory, with the A and D of this very access. */
	put(&f, last, PD | P | RW, false);
	cr_assert_eq(mem_read(&f.v, 0xfffffffc, &val, 4, 0), 0);
	cr_assert_eq(val, PD | P | RW | ACC);
	val = (uint32_t)(PD | P | RW | US);
	cr_assert_eq(mem_write(&f.v, 0xfffffffc, &val, 4, 0), 0);
	cr_assert_eq(fx_r32(&f, last), val, "the write comes after A and D");
	cr_assert_eq(mem_read(&f.v, 0xfffffffc, &val, 4, PF_USER), 0);

	mode_set(&f, PAE, true, false);
	put(&f, PD + 511 * 8, PD | ALL, true);
	cr_assert_eq(mmu_walk(&f.v, 0x7fffffff, PF_WRITE | PF_USER, &leaf, &code), 0);
	cr_assert_eq(get(&f, PD + 511 * 8, 8), PD | ALL | ACC | DRT);
	cr_assert_eq(leaf.gpa, PD + 0xfff);
	fx_fini(&f);
}

static unsigned touched;

static uint32_t touch_read(void *dev, uint64_t off, unsigned width)
{
	(void)dev;
	(void)off;
	(void)width;
	touched++;
	return 0xffffffff;
}

static void touch_write(void *dev, uint64_t off, unsigned width, uint32_t val)
{
	(void)val;
	touch_read(dev, off, width);
}

/* vmm/mmu.h: tables outside RAM read as not present.  The walk never touches a device. */
Test(mmu, tables_outside_ram)
{
	const struct bus_range dev = { .name = "touch",
				       .base = 0xd0000000,
				       .len = 0x10000,
				       .read = touch_read,
				       .write = touch_write };
	static const uint32_t where[] = { FX_RAM, 0xd0000000, 0xfffff000, FX_RAM + 0x1000 };
	struct mmu_leaf leaf;
	uint32_t code, val;
	struct fx f;

	fx_init(&f);
	touched = 0;
	cr_assert_eq(bus_add(&f.vm.mmio, &dev), 0);
	for (size_t i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
		mode_set(&f, TWO_LEVEL, true, false);
		f.v.sh.cr3 = where[i];
		cr_assert_eq(mmu_walk(&f.v, 0xffffffff, PF_WRITE, &leaf, &code), -EFAULT);
		cr_assert_eq(code, PF_WRITE);
		f.v.sh.cr3 = PD;
		put(&f, PD, where[i] | ALL, false);
		cr_assert_eq(mmu_walk(&f.v, 0, PF_USER, &leaf, &code), -EFAULT);
		cr_assert_eq(code, PF_USER);
		cr_assert_eq(fx_r32(&f, PD), where[i] | ALL, "A set on the way to nothing");
		mode_set(&f, PAE, true, false);
		f.v.sh.pdpte[0] = where[i] | 0x300000000ull | P;
		cr_assert_eq(mmu_walk(&f.v, 0, 0, &leaf, &code), -EFAULT);
		cr_assert_eq(mmu_load_pdptes(&f.v, where[i]), EMU_OK);
		cr_assert_eq(f.v.sh.pdpte[0], 0);
	}
	cr_assert_eq(touched, 0);
	/* A page there is a device, and the access goes to it, not to RAM. */
	mode_set(&f, TWO_LEVEL, true, false);
	put(&f, PD, PT | ALL, false);
	put(&f, PT, 0xd0000000 | ALL, false);
	cr_assert_eq(mem_read(&f.v, 8, &val, 4, PF_USER), 0);
	cr_assert_eq(touched, 1);
	fx_fini(&f);
}

/* Tables at the very end of RAM work; one entry further is outside. */
Test(mmu, tables_at_the_end_of_ram)
{
	struct mmu_leaf leaf;
	uint32_t code;
	struct fx f;

	fx_init(&f);
	mode_set(&f, TWO_LEVEL, true, false);
	f.v.sh.cr3 = FX_RAM - PAGE_SIZE;
	put(&f, FX_RAM - 4, FX_DATA | PS | ALL, false);
	f.v.sh.cr4 = 0; /* PS means nothing: the table is at FX_DATA */
	fx_w32(&f, FX_DATA + 1023 * 4, FX_CODE | ALL);
	cr_assert_eq(mmu_walk(&f.v, 0xfffff123, PF_USER, &leaf, &code), 0);
	cr_assert_eq(leaf.gpa, FX_CODE + 0x123);
	fx_fini(&f);
}

/* SDM Vol. 3A, table 4-8 and 4.4.1. */
Test(mmu, each_bit_of_a_pdpte)
{
	const uint64_t was[4] = { 1, 2, 3, 4 };
	struct fx f;

	fx_init(&f);
	for (unsigned i = 0; i < 4; i++)
		for (unsigned bit = 1; bit < 64; bit++) {
			uint64_t e[4] = { PD, PD | P, 0, PT | P };
			bool rsvd = model_reserved("pdpte", true, bit);

			e[i] |= 1ull << bit | P;
			memcpy(f.vm.ram + PDPT, e, sizeof(e));
			memcpy(f.v.sh.pdpte, was, sizeof(was));
			f.v.sh.efer = NXE;
			/* Bits 4:0 of CR3 are no part of the address. */
			cr_assert_eq(mmu_load_pdptes(&f.v, PDPT | 0x1f), rsvd ? EMU_FAULT : EMU_OK,
				     "%u: bit %u", i, bit);
			cr_assert(!memcmp(f.v.sh.pdpte, rsvd ? was : e, sizeof(e)));
			if (rsvd)
				cr_assert(f.v.fault.vector == VEC_GP && f.v.fault.error == 0);
			e[i] &= ~P; /* not present: not checked */
			memcpy(f.vm.ram + PDPT, e, sizeof(e));
			cr_assert_eq(mmu_load_pdptes(&f.v, PDPT), EMU_OK);
			cr_assert(!memcmp(f.v.sh.pdpte, e, sizeof(e)));
		}
	fx_fini(&f);
}
