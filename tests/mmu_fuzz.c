/* SPDX-License-Identifier: MIT */
/* Random page tables against the model, and page tables that another thread changes meanwhile. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tests/emu_fixture.h"
#include "tests/mmu_model.h"
#include "vmm/mmu.h"

#ifdef __SANITIZE_ADDRESS__
#define WALKS 100000u
#else
#define WALKS 1000000u
#endif

#define PAGES (FX_RAM / PAGE_SIZE)

static uint64_t seed;

static uint32_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16);
}

static bool one_in(unsigned n)
{
	return rnd() % n == 0;
}

/* Where an entry may point: mostly a table of the same kind, sometimes anywhere at all. */
static uint32_t random_page(bool pae)
{
	if (one_in(16))
		return rnd() & ~0xfffu;
	if (one_in(8))
		return rnd() % (PAGES + 16) * PAGE_SIZE;
	return (rnd() % (PAGES / 2) + (pae ? PAGES / 2 : 0)) * PAGE_SIZE;
}

static uint64_t random_entry(bool pae)
{
	uint64_t e = random_page(pae) | (rnd() & 0x9fe) | (one_in(32) ? 0 : 1);

	if (!one_in(4))
		e |= 6; /* rights that let the walk go on */
	if (pae && one_in(4))
		e |= 1ull << 63;
	if (pae && one_in(16))
		e |= (uint64_t)rnd() << 32;
	if (!one_in(3)) /* large pages with clean low bits are rare otherwise */
		e &= ~0x80ull;
	else if (!one_in(4))
		e &= ~0x1ff000ull & (pae ? ~0ull : ~0x3e0000ull);
	return e;
}

/* 32-bit tables in the lower half of RAM, PAE tables in the upper. */
static void fill(uint8_t *ram)
{
	for (uint32_t at = 0; at < FX_RAM / 2; at += 4) {
		uint32_t e = (uint32_t)random_entry(false);

		memcpy(ram + at, &e, 4);
	}
	for (uint32_t at = FX_RAM / 2; at < FX_RAM; at += 8) {
		uint64_t e = random_entry(true);

		memcpy(ram + at, &e, 8);
	}
}

static void random_mode(struct shadow *sh)
{
	bool pae = one_in(2);

	sh->cr0 = CR0_PE | CR0_PG | (one_in(2) ? CR0_WP : 0);
	sh->cr4 = (pae ? CR4_PAE : 0) | (one_in(4) ? 0 : CR4_PSE) | (one_in(2) ? CR4_PGE : 0);
	sh->efer = one_in(2) ? 0x800 : 0;
	sh->cr3 = random_page(pae) | (rnd() & 0xfff);
	for (unsigned i = 0; i < 4; i++)
		sh->pdpte[i] = random_page(pae) | (one_in(8) ? 0 : 1) |
			       (one_in(16) ? (uint64_t)(rnd() & 0xf) << 32 : 0);
}

static struct model_cpu fuzz_model(const struct fx *f)
{
	const struct shadow *sh = &f->v.sh;
	struct model_cpu c = { .pae = sh->cr4 & CR4_PAE,
			       .pse = sh->cr4 & CR4_PSE,
			       .pge = sh->cr4 & CR4_PGE,
			       .wp = sh->cr0 & CR0_WP,
			       .nxe = sh->efer & 0x800,
			       .cr3 = sh->cr3,
			       .ram = f->vm.ram,
			       .ram_len = f->vm.ram_len };

	memcpy(c.pdpte, sh->pdpte, sizeof(c.pdpte));
	return c;
}

/* Put fresh entries on the way of the next walk: the A and D of earlier ones would pile up. */
static void refresh(struct fx *f, uint8_t *mirror, gva_t gva)
{
	struct model_cpu c = fuzz_model(f);
	struct model_result r;

	model_walk(&c, gva, false, MODEL_READ, &r);
	for (unsigned i = 0; i < r.levels; i++) {
		uint64_t e = random_entry(c.pae);

		if (r.entry_gpa[i] + r.entry_len > FX_RAM || one_in(4))
			continue;
		memcpy(f->vm.ram + r.entry_gpa[i], &e, r.entry_len);
		memcpy(mirror + r.entry_gpa[i], &e, r.entry_len);
	}
}

/*
 * A million walks: the same answer as the model, the same entries afterwards, nothing else in RAM
 * changed, and what is called RAM is RAM.
 */
Test(mmu_fuzz, random_tables_agree_with_the_model)
{
	unsigned passes = 0, outside = 0, large = 0, rsvd = 0, same = 0;
	uint8_t *mirror = malloc(FX_RAM);
	struct fx f;

	seed = 0x1dea2026;
	fx_init(&f);
	fill(f.vm.ram);
	memcpy(mirror, f.vm.ram, FX_RAM);
	for (unsigned n = 0; n < WALKS; n++) {
		bool user = one_in(2);
		enum model_kind kind = (enum model_kind)(rnd() % 3);
		unsigned access = (user ? PF_USER : 0) | (kind == MODEL_WRITE ? PF_WRITE : 0) |
				  (kind == MODEL_FETCH ? PF_FETCH : 0);
		struct model_result want;
		struct model_cpu c;
		struct mmu_leaf leaf;
		gva_t gva = rnd();
		uint32_t code = 0;
		int r;

		random_mode(&f.v.sh);
		refresh(&f, mirror, gva);
		if (one_in(16)) { /* a directory that maps itself */
			uint32_t pd = f.v.sh.cr3 & ~0xfffu, e = pd | 7;

			gva = 0xfffff000 | (gva & 0xfff);
			f.v.sh.cr4 &= ~CR4_PAE;
			if (pd < FX_RAM) {
				memcpy(f.vm.ram + pd + 4092, &e, 4);
				memcpy(mirror + pd + 4092, &e, 4);
			}
		}
		c = fuzz_model(&f);
		model_walk(&c, gva, user, kind, &want);
		r = mmu_walk(&f.v, gva, access, &leaf, &code);
		cr_assert_eq(r, want.fault ? -EFAULT : 0, "walk %u", n);
		for (unsigned i = 0; i < want.levels; i++)
			if (want.entry_gpa[i] + want.entry_len <= FX_RAM)
				memcpy(mirror + want.entry_gpa[i], &want.entry[i], want.entry_len);
		if (want.fault) {
			cr_assert_eq(code, want.code, "walk %u: %#x not %#x", n, code, want.code);
			rsvd += code >> 3 & 1;
		} else {
			cr_assert(leaf.gpa == want.gpa && leaf.page_len == want.page_len &&
					  leaf.writable == want.writable &&
					  leaf.user == want.user && leaf.nx == want.nx &&
					  leaf.dirty == want.dirty && leaf.global == want.global,
				  "walk %u", n);
			passes++;
			large += leaf.page_len != PAGE_SIZE;
			same += leaf.pde_gpa == leaf.pte_gpa;
			outside += leaf.gpa >= FX_RAM;
			cr_assert_eq(vm_ptr(&f.vm, leaf.gpa, 1),
				     leaf.gpa < FX_RAM ? f.vm.ram + leaf.gpa : NULL);
		}
		if (n % (WALKS / 100) == 0)
			cr_assert_eq(memcmp(f.vm.ram, mirror, FX_RAM), 0, "before walk %u", n);
	}
	cr_assert_eq(memcmp(f.vm.ram, mirror, FX_RAM), 0);
	/* It met everything often. */
	cr_assert(passes > WALKS / 8 && outside > WALKS / 200 && large > WALKS / 200 &&
			  rsvd > WALKS / 200 && same > WALKS / 200,
		  "%u %u %u %u %u", passes, outside, large, rsvd, same);
	fx_fini(&f);
	free(mirror);
}

/* Reads and writes of any length through random tables, which the writes change: no crash. */
Test(mmu_fuzz, memory_through_random_tables)
{
	static uint8_t buf[PAGE_SIZE];
	unsigned ok = 0, faults = 0;
	struct fx f;

	seed = 0x5eed;
	fx_init(&f);
	fill(f.vm.ram);
	for (unsigned n = 0; n < WALKS / 10; n++) {
		size_t len = one_in(4) ? rnd() % PAGE_SIZE + 1 : rnd() % 16 + 1;
		unsigned user = one_in(2) ? PF_USER : 0;
		gva_t gva = rnd();
		int r;

		random_mode(&f.v.sh);
		if (n % 4096 == 0)
			fill(f.vm.ram);
		switch (rnd() % 5) {
		case 0: r = mem_read(&f.v, gva, buf, len, user); break;
		case 1: r = mem_write(&f.v, gva, buf, len, user); break;
		case 2: r = mem_probe_write(&f.v, gva, len, user); break;
		case 3: r = mem_cas(&f.v, gva, rnd(), rnd(), 1u << rnd() % 4, user); break;
		default:
			f.v.sh.cpl = user ? 3 : 0;
			r = code_fetch(&f.v, gva, buf, 15) ? 0 : EMU_FAULT;
			break;
		}
		cr_assert(r == 0 || r == -EAGAIN || r == EMU_FAULT, "%d", r);
		if (r == EMU_FAULT) {
			cr_assert_eq(f.v.fault.vector, VEC_PF);
			cr_assert((f.v.fault.cr2 - gva) < PAGE_SIZE);
			faults++;
		}
		ok += r == 0;
	}
	cr_assert(ok > WALKS / 100 && faults > WALKS / 100, "%u %u", ok, faults);
	fx_fini(&f);
}

/* ---- a table that changes under the walk ---- */

#define RACE_PD 0x3f0000u
#define RACE_PT 0x3f1000u

struct racer {
	uint32_t *pte;
	_Atomic bool stop;
	bool bad; /* found a value that nobody may have written */
	_Atomic unsigned long marked;
};

static void *racer_main(void *arg)
{
	const uint32_t mapped = FX_DATA | 7, gone = 0x00abc000; /* not present, software bits */
	struct racer *x = arg;

	while (!atomic_load(&x->stop)) {
		uint32_t was = __atomic_exchange_n(x->pte, gone, __ATOMIC_SEQ_CST);

		if ((was & ~0x60u) != mapped)
			x->bad = true;
		if (was != mapped)
			atomic_fetch_add(&x->marked, 1);
		was = __atomic_exchange_n(x->pte, mapped, __ATOMIC_SEQ_CST);
		if (was != gone)
			x->bad = true;
	}
	return NULL;
}

/*
 * SDM Vol. 3A, 4.8: A and D are set by locked operations.  Another vCPU takes a page away and gives
 * it back; a bit set in an entry that is gone by then would destroy what the kernel keeps there.
 */
Test(mmu_fuzz, no_bit_is_set_in_an_entry_that_has_changed, .timeout = 120)
{
	unsigned long passes = 0, faults = 0;
	struct racer x = { 0 };
	pthread_t thread;
	struct fx f;

	fx_init(&f);
	fx_w32(&f, RACE_PD, RACE_PT | 7);
	fx_w32(&f, RACE_PT, FX_DATA | 7);
	f.v.sh.cr3 = RACE_PD;
	f.v.sh.cr0 |= CR0_PG;
	x.pte = (uint32_t *)(void *)(f.vm.ram + RACE_PT);
	cr_assert_eq(pthread_create(&thread, NULL, racer_main, &x), 0);
	for (unsigned n = 0; n < WALKS / 2 || !faults || atomic_load(&x.marked) < 10; n++) {
		struct mmu_leaf leaf;
		uint32_t code;

		if (mmu_walk(&f.v, 0, PF_WRITE | PF_USER, &leaf, &code) == 0) {
			passes++;
			cr_assert_eq(leaf.gpa, FX_DATA);
			cr_assert_eq(leaf.pte, FX_DATA | 0x67);
		} else {
			faults++;
			cr_assert_eq(code, PF_WRITE | PF_USER);
		}
	}
	atomic_store(&x.stop, true);
	pthread_join(thread, NULL);
	cr_assert(!x.bad);
	cr_assert(passes && faults);
	fx_fini(&f);
}
