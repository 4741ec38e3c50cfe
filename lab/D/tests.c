/* SPDX-License-Identifier: MIT */
/*
 * Part D: the walk against the model of tests/mmu_model.h, which is the manual's tables and knows
 * nothing of the product; the rules of a view.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lab/D/tests.h"
#include "lab/grade/item.h"
#include "tests/emu_fixture.h"
#include "tests/mmu_model.h"
#include "vmm/engine.h"
#include "vmm/mmu_priv.h"
#include "vmm/shadow_view.h"

#define PD    0x3f0000u /* page directory */
#define PT    0x3f1000u
#define PDPT  0x3f2020u
#define GVA   0x40403123u /* PDPTE 1, PDE 257 (of 1024) or 2, PTE 3 */
#define FRAME 0x200000u

enum { READ = MODEL_READ, WRITE = MODEL_WRITE, FETCH = MODEL_FETCH };

/* ---- a vCPU with tables, and what the model says of it ---- */

static struct fx f;

static void set_mode(uint32_t cr4, bool wp, bool nxe)
{
	struct shadow *sh = &f.v.sh;

	sh->cr0 = CR0_PE | CR0_PG | CR0_ET | (wp ? CR0_WP : 0);
	sh->cr4 = cr4;
	sh->efer = nxe ? EFER_NXE : 0;
	sh->cr3 = cr4 & CR4_PAE ? PDPT : PD;
	memset(sh->pdpte, 0, sizeof(sh->pdpte));
	sh->pdpte[1] = PD | 1;
}

static void put(uint64_t gpa, uint64_t entry)
{
	memcpy(f.vm.ram + gpa, &entry, f.v.sh.cr4 & CR4_PAE ? 8 : 4);
}

static uint64_t get(uint64_t gpa, unsigned len)
{
	uint64_t entry = 0;

	if (gpa + len <= f.vm.ram_len)
		memcpy(&entry, f.vm.ram + gpa, len);
	return entry;
}

static struct model_cpu model(void)
{
	const struct shadow *sh = &f.v.sh;
	struct model_cpu c = { .pae = sh->cr4 & CR4_PAE,
			       .pse = sh->cr4 & CR4_PSE,
			       .pge = sh->cr4 & CR4_PGE,
			       .wp = sh->cr0 & CR0_WP,
			       .nxe = sh->efer & EFER_NXE,
			       .cr3 = sh->cr3,
			       .ram = f.vm.ram,
			       .ram_len = f.vm.ram_len };

	memcpy(c.pdpte, sh->pdpte, sizeof(c.pdpte));
	return c;
}

/* "0x200067 (P RW US A D)" */
static const char *entry_text(uint64_t e)
{
	static const struct {
		uint64_t bit;
		const char *name;
	} bits[] = { { ENTRY_P, "P " }, { ENTRY_RW, "RW " }, { ENTRY_US, "US " },
		     { ENTRY_A, "A " }, { ENTRY_D, "D " },   { ENTRY_PS, "PS " },
		     { ENTRY_G, "G " }, { ENTRY_NX, "NX " } };
	static char text[4][80];
	static unsigned turn;
	char *t = text[turn++ % 4];
	size_t n;

	n = (size_t)snprintf(t, sizeof(text[0]), "%#llx (", (unsigned long long)e);
	for (unsigned i = 0; i < 8; i++)
		if (e & bits[i].bit)
			n += (size_t)snprintf(t + n, sizeof(text[0]) - n, "%s", bits[i].name);
	snprintf(t[n - 1] == ' ' ? t + n - 1 : t + n, 2, ")");
	return t;
}

/* What an item says before "expected": the access and the entries before it. */
static char scene[600];

static void set_scene(gva_t gva, bool user, int kind, const struct model_result *m)
{
	static const char *const what[] = { "read", "write", "fetch" };
	size_t n;

	n = (size_t)snprintf(scene, sizeof(scene), "%s of %#x at CPL %u, CR0.WP=%u%s%s", what[kind],
			     gva, user ? 3 : 0, f.v.sh.cr0 & CR0_WP ? 1 : 0,
			     f.v.sh.cr4 & CR4_PAE ? ", CR4.PAE=1" : "",
			     f.v.sh.cr4 & CR4_PSE ? ", CR4.PSE=1" : "");
	if (m->levels > 0)
		n += (size_t)snprintf(scene + n, sizeof(scene) - n, ", PDE %s",
				      entry_text(get(m->entry_gpa[0], m->entry_len)));
	if (m->levels > 1)
		snprintf(scene + n, sizeof(scene) - n, ", PTE %s",
			 entry_text(get(m->entry_gpa[1], m->entry_len)));
}

static unsigned access_of(bool user, int kind)
{
	return (user ? PF_USER : 0) | (kind == WRITE ? PF_WRITE : 0) |
	       (kind == FETCH ? PF_FETCH : 0);
}

static struct model_result expected(gva_t gva, bool user, int kind)
{
	struct model_cpu c = model();
	struct model_result m;

	model_walk(&c, gva, user, (enum model_kind)kind, &m);
	set_scene(gva, user, kind, &m);
	return m;
}

/* ---- 1. finding ---- */

static const char *found_text(enum mmu_found found)
{
	return found == MMU_FOUND    ? "MMU_FOUND"
	       : found == MMU_ABSENT ? "MMU_ABSENT"
				     : "MMU_RESERVED";
}

/* mmu_find_32() of @gva: all that the model finds. */
static void find(gva_t gva)
{
	struct model_result m = expected(gva, false, READ);
	enum mmu_found want, got;
	struct mmu_leaf l;

	want = !m.fault ? MMU_FOUND : m.code & PF_RSVD ? MMU_RESERVED : MMU_ABSENT;
	memset(&l, 0x5a, sizeof(l));
	got = mmu_find_32(&f.v, gva, &l);
	if (got != want)
		LOSE("%s, CR3 %#x: expected %s, got %s", scene, f.v.sh.cr3, found_text(want),
		     found_text(got));
	WANT(l.pde_gpa, m.entry_gpa[0], "%s, CR3 %#x: pde_gpa", scene, f.v.sh.cr3);
	WANT(l.pde, m.entry[0] & ~(want == MMU_FOUND ? 0x60ull : 0) /* A: the model sets it */,
	     "%s: pde", scene);
	WANT(l.entry_len, 4, "%s: entry_len", scene);
	if (m.levels == 2) {
		WANT(l.pte_gpa, m.entry_gpa[1], "%s: pte_gpa", scene);
		WANT(l.pte, get(m.entry_gpa[1], 4), "%s: pte", scene);
	}
	if (want != MMU_FOUND)
		return;
	WANT(l.page_len, m.page_len, "%s: page_len", scene);
	WANT(l.gpa, m.gpa, "%s: gpa", scene);
	if (m.levels == 1) {
		WANT(l.pte_gpa, 0, "%s: pte_gpa", scene);
		WANT(l.pte, 0, "%s: pte", scene);
	}
}

ITEM(small_pages)
{
	static const struct {
		uint32_t cr3;
		gva_t gva;
		uint32_t pde, pte;
	} row[] = {
		{ PD, 0, PT | 7, FRAME | 7 },
		{ PD, 0xfff, PT | 7, FRAME | 7 },
		{ PD, 0x1000, PT | 7, FRAME | 7 },
		{ PD, 0x3ff000, PT | 7, FRAME | 7 },
		{ PD, 0x400abc, PT | 7, FRAME | 7 },
		{ PD, 0xffffffff, PT | 7, FRAME | 7 },
		{ PD, GVA, PT | 1, FRAME | 1 },
		{ PD | 0xfff, GVA, PT | 7, FRAME | 7 },         /* flags in CR3 */
		{ PD, GVA, PT | 0xe19 | 7, FRAME | 0xe19 | 7 }, /* software's and cache bits */
		{ PD, GVA, PT | 0x80 | 7, FRAME | 0x80 | 7 },   /* PS, but CR4.PSE=0; PAT */
		{ PD, GVA, PT | 6, FRAME | 7 },
		{ PD, GVA, PT | 7, FRAME | 6 },
		{ PD, GVA, PT | 7, 0 },
		{ PD, GVA, 0x80000007, 0 },          /* a table where there is no RAM */
		{ PD, GVA, 0x00400007, 0 },          /* just behind it */
		{ 0x80000000, GVA, 0, 0 },           /* a directory where there is none */
		{ PD, GVA, PT | 7, 0xfee00007 },     /* a page where there is none: a device's */
		{ PD, GVA, 0x003ff007, 0xfffff007 }, /* a table in RAM's last page */
		{ 0x003ff000, 0xfffff123, 7, FRAME | 7 }, /* tables at the ends of RAM */
	};

	fx_init(&f);
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		uint32_t dir = row[i].cr3 & ~0xfffu, table = row[i].pde & ~0xfffu;

		set_mode(CR4_PGE, true, false);
		f.v.sh.cr3 = row[i].cr3;
		if (table < FX_RAM)
			put(table + 4 * (row[i].gva >> 12 & 1023), row[i].pte);
		if (dir < FX_RAM)
			put(dir + 4 * (row[i].gva >> 22), row[i].pde);
		find(row[i].gva);
	}
	fx_fini(&f);
}

ITEM(large_pages)
{
	static const gva_t gva[] = { GVA, 0x40000000, 0x403fffff, 0x40555678, 0x407fffff };

	fx_init(&f);
	set_mode(CR4_PSE, true, false);
	for (unsigned i = 0; i < sizeof(gva) / sizeof(*gva); i++) {
		put(PD + 4 * (gva[i] >> 22), ENTRY_PS | 7);
		find(gva[i]);
		put(PD + 4 * (gva[i] >> 22), 0xffc00000 | ENTRY_PS | 7);
		find(gva[i]);
	}
	/* Each bit on its own: PAT (12), address bits 35:32 (16:13), reserved ones (21:17). */
	for (unsigned bit = 8; bit < 32; bit++) {
		put(PD + 4 * (GVA >> 22), 1u << bit | ENTRY_PS | 7);
		find(GVA);
	}
	put(PD + 4 * (GVA >> 22), 0x0041e000 | ENTRY_PS | 7);
	find(GVA);
	/* A small page in the same directory, and the same entry without CR4.PSE. */
	put(PD + 4 * (GVA >> 22), PT | 7);
	put(PT + 4 * (GVA >> 12 & 1023), FRAME | 7);
	find(GVA);
	put(PD + 4 * (GVA >> 22), PT | ENTRY_PS | 7);
	f.v.sh.cr4 = 0;
	find(GVA);
	fx_fini(&f);
}

/* ---- 2. rights ---- */

ITEM(rights)
{
	static const uint64_t bit[] = { ENTRY_RW, ENTRY_US, ENTRY_A, ENTRY_D, ENTRY_G };

	fx_init(&f);
	for (unsigned n = 0; n < 1u << 12; n++) {
		bool large = n >> 10 & 1;
		uint64_t pde = ENTRY_P | (large ? ENTRY_PS : PT), pte = FRAME | ENTRY_P;
		struct mmu_leaf l = { .entry_len = 4 };
		struct model_result m;

		for (unsigned b = 0; b < 5; b++) {
			pde |= n >> b & 1 ? bit[b] : 0;
			pte |= n >> (5 + b) & 1 ? bit[b] : 0;
		}
		set_mode(CR4_PSE | (n >> 11 ? CR4_PGE : 0), true, false);
		put(PD + 4 * (GVA >> 22), pde);
		put(PT + 4 * (GVA >> 12 & 1023), pte);
		m = expected(GVA, false, READ);
		l.page_len = large ? LARGE_32 : PAGE_SIZE;
		l.pde = pde;
		l.pte = large ? 0 : pte;
		l.nx = true;
		mmu_rights(&f.v, &l);
		WANT(l.writable, m.writable, "%s: writable", scene);
		WANT(l.user, m.user, "%s: user", scene);
		WANT(l.dirty, m.dirty, "%s: dirty", scene);
		WANT(l.global, m.global, "%s, CR4.PGE=%u: global", scene, n >> 11);
		WANT(l.nx, false, "%s, no PAE: nx", scene);
	}
	fx_fini(&f);
}

/*
 * Every combination of P, RW, US, A and D at both levels, 4 KiB and 4 MiB pages, reserved bits, WP,
 * CPL, kind of access.
 */
static void each_access(void (*one)(gva_t gva, bool user, int kind, const struct model_result *m))
{
	static const uint64_t bit[] = { ENTRY_RW, ENTRY_US, ENTRY_P, ENTRY_A, ENTRY_D };

	fx_init(&f);
	for (unsigned n = 0; n < 3u << 10; n++) {
		uint64_t pde = n >> 10 == 0 ? PT : ENTRY_PS, pte = FRAME;

		if (n >> 10 == 2) /* a reserved bit */
			pde |= 1u << 21;
		if (n >> 10 && n >> 5 & 31)
			continue;
		for (unsigned b = 0; b < 5; b++) {
			pde |= n >> b & 1 ? bit[b] : 0;
			pte |= n >> (5 + b) & 1 ? bit[b] : 0;
		}
		for (unsigned k = 0; k < 12; k++) {
			struct model_result m;

			set_mode(CR4_PSE, k & 1, false);
			put(PD + 4 * (GVA >> 22), pde);
			put(PT + 4 * (GVA >> 12 & 1023), pte);
			m = expected(GVA, k & 2, (int)(k >> 2));
			one(GVA, k & 2, (int)(k >> 2), &m);
		}
	}
	fx_fini(&f);
}

static unsigned judged; /* that an item has really compared */

static void one_verdict(gva_t gva, bool user, int kind, const struct model_result *m)
{
	struct mmu_leaf l;
	uint32_t code = 0;
	bool got;

	got = mmu_check(&f.v, gva, access_of(user, kind), &code);
	if (got != m->fault)
		LOSE("%s: expected that mmu_check() %s it", scene, m->fault ? "refuses" : "allows");
	got = mmu_walk(&f.v, gva, access_of(user, kind), &l, &code);
	if (got != m->fault)
		LOSE("%s: expected that mmu_walk() %s it", scene, m->fault ? "refuses" : "allows");
}

ITEM(access_rights)
{
	each_access(one_verdict);
}

const char *code_text(uint32_t code)
{
	static const char *const name[] = { "PRESENT", "WRITE", "USER", "RSVD", "FETCH" };
	static char text[4][64];
	static unsigned turn;
	char *t = text[turn++ % 4];
	size_t n = (size_t)snprintf(t, sizeof(text[0]), "%#x", code);

	for (unsigned i = 0; i < 5; i++)
		if (code >> i & 1)
			n += (size_t)snprintf(t + n, sizeof(text[0]) - n, " %s", name[i]);
	return t;
}

static void one_code(gva_t gva, bool user, int kind, const struct model_result *m)
{
	uint32_t check = 0xdead, walk = 0xdead;
	struct mmu_leaf l;

	/* If it allows the access, that is another item's. */
	if (!m->fault || !mmu_check(&f.v, gva, access_of(user, kind), &check) ||
	    !mmu_walk(&f.v, gva, access_of(user, kind), &l, &walk))
		return;
	judged++;
	if (check != m->code || walk != m->code)
		LOSE("%s: expected error code %s, got %s", scene, code_text(m->code),
		     code_text(check != m->code ? check : walk));
}

ITEM(error_code)
{
	each_access(one_code);
	if (judged < 1000)
		LOSE("expected that accesses are refused, none is");
}

/* ---- 3. accessed and dirty ---- */

static void one_mark(gva_t gva, bool user, int kind, const struct model_result *m)
{
	uint32_t code;
	struct mmu_leaf l;

	if (m->fault || mmu_walk(&f.v, gva, access_of(user, kind), &l, &code))
		return;
	judged++;
	for (unsigned i = 0; i < m->levels; i++) {
		const char *level = i ? "PTE" : "PDE";
		uint64_t now = get(m->entry_gpa[i], 4), leaf = i ? l.pte : l.pde;

		if (now != m->entry[i])
			LOSE("%s: after the walk expected %s %s, got %s", scene, level,
			     entry_text(m->entry[i]), entry_text(now));
		if (leaf != m->entry[i])
			LOSE("%s: after the walk expected leaf->%s %s, got %s", scene,
			     i ? "pte" : "pde", entry_text(m->entry[i]), entry_text(leaf));
	}
	WANT(l.dirty, m->dirty, "%s: after the walk leaf->dirty", scene);
}

ITEM(accessed_dirty)
{
	each_access(one_mark);
	if (judged < 1000)
		LOSE("expected that mmu_walk() allows a read of a page that is present");
}

/* The CPU may set A in a directory entry even if the walk fails below it (SDM Vol. 3A, 4.8). */
static void one_failure(gva_t gva, bool user, int kind, const struct model_result *m)
{
	uint64_t before[2], may;
	struct mmu_leaf l;
	uint32_t code;

	for (unsigned i = 0; i < m->levels; i++)
		before[i] = get(m->entry_gpa[i], 4);
	judged += m->fault && mmu_check(&f.v, gva, access_of(user, kind), &code);
	for (unsigned i = 0; i < m->levels; i++)
		if (get(m->entry_gpa[i], 4) != before[i])
			LOSE("%s: expected that mmu_check() changes nothing, got %s %s", scene,
			     i ? "PTE" : "PDE", entry_text(get(m->entry_gpa[i], 4)));
	if (!m->fault || !mmu_walk(&f.v, gva, access_of(user, kind), &l, &code))
		return;
	may = m->levels == 2 ? ENTRY_A : 0;
	if ((get(m->entry_gpa[0], 4) ^ before[0]) & ~may)
		LOSE("%s: the walk failed, so expected that the PDE stays as it was, got %s", scene,
		     entry_text(get(m->entry_gpa[0], 4)));
	if (m->levels == 2 && get(m->entry_gpa[1], 4) != before[1])
		LOSE("%s: the walk failed, so expected that the PTE stays as it was, got %s", scene,
		     entry_text(get(m->entry_gpa[1], 4)));
}

void need_walk(void)
{
	uint32_t code = 0;
	struct mmu_leaf l;

	fx_init(&f);
	set_mode(0, true, false);
	put(PD + 4 * (GVA >> 22), PT | 7);
	put(PT + 4 * (GVA >> 12 & 1023), FRAME | 7);
	if (mmu_walk(&f.v, GVA, 0, &l, &code))
		LOSE("expected that mmu_walk() allows a read of a page that is present, got error "
		     "code %#x",
		     code);
	if (l.gpa != (FRAME | (GVA & 0xfff)))
		LOSE("expected that mmu_walk() finds the byte at %#x, got %#llx",
		     FRAME | (GVA & 0xfff), (unsigned long long)l.gpa);
	fx_fini(&f);
}

ITEM(failed_walk)
{
	need_walk();
	each_access(one_failure);
	if (judged < 1000)
		LOSE("expected that accesses are refused, none is");
}

/* The directory's last entry leads to the directory: 0xfffff000 is the directory itself. */
ITEM(directory_of_itself)
{
	static const int kinds[] = { READ, WRITE, FETCH };

	need_walk();
	fx_init(&f);
	for (unsigned i = 0; i < 3; i++) {
		struct model_result m;
		struct mmu_leaf l = { 0 };
		uint32_t code = 0;

		set_mode(0, true, false);
		put(PD + 4092, PD | 3);
		m = expected(0xfffff123, false, kinds[i]);
		if (mmu_walk(&f.v, 0xfffff123, access_of(false, kinds[i]), &l, &code))
			LOSE("%s, both are the same entry: expected that it is allowed, got error "
			     "code %#x",
			     scene, code);
		if (get(PD + 4092, 4) != m.entry[1] || l.pte != m.entry[1] || l.pde != m.entry[1])
			LOSE("%s, both are the same entry: after the walk expected it to be %s, "
			     "got %s; leaf->pde is %#llx, leaf->pte %#llx",
			     scene, entry_text(m.entry[1]), entry_text(get(PD + 4092, 4)),
			     (unsigned long long)l.pde, (unsigned long long)l.pte);
	}
	fx_fini(&f);
}

/* PAE tables, which the product walks, with NX at each level. */
ITEM(no_execute)
{
	need_walk();
	fx_init(&f);
	for (unsigned n = 0; n < 64; n++) {
		bool nxe = n & 1, nx_pde = n & 2, nx_pte = n & 4, user = n & 8;
		int kind = (int)(n >> 4) % 3;
		struct model_result m;
		struct mmu_leaf l;
		uint32_t code = 0;
		bool got;

		set_mode(CR4_PAE, true, nxe);
		put(PD + 8 * (GVA >> 21 & 511), PT | 7 | (nx_pde ? ENTRY_NX : 0));
		put(PT + 8 * (GVA >> 12 & 511), FRAME | 7 | (nx_pte ? ENTRY_NX : 0));
		m = expected(GVA, user, kind);
		got = mmu_check(&f.v, GVA, access_of(user, kind), &code);
		if (got != m.fault)
			LOSE("%s, EFER.NXE=%u: expected that mmu_check() %s it", scene, nxe,
			     m.fault ? "refuses" : "allows");
		if (got && code != m.code)
			LOSE("%s, EFER.NXE=%u: expected error code %s, got %s", scene, nxe,
			     code_text(m.code), code_text(code));
		if (!mmu_walk(&f.v, GVA, access_of(user, kind), &l, &code))
			WANT(l.nx, m.nx, "%s, EFER.NXE=%u: leaf->nx", scene, nxe);
	}
	fx_fini(&f);
}

/* ---- 4. views ---- */

static const char *prot_text(unsigned prot)
{
	static const char *const text[] = { "nothing", "R", "W", "RW", "X", "RX", "WX", "RWX" };

	return prot < 8 ? text[prot] : "other bits";
}

static const char *view_text(const struct view *w)
{
	static char text[40];

	snprintf(text, sizeof(text), "the %s view, CR0.WP=%u", w->user ? "user" : "kernel", w->wp);
	return text;
}

/*
 * view_prot() of every kind of page: R, W and X are what the model allows to code of the view, X in
 * the user view only; W only with D.
 */
static void each_prot(bool dirty)
{
	fx_init(&f);
	for (unsigned n = 0; n < 32; n++) {
		struct view w = { .root = PD, .user = n & 1, .wp = n & 2 };
		struct mmu_leaf l = { .page_len = PAGE_SIZE,
				      .entry_len = 8,
				      .writable = n & 4,
				      .user = n & 8,
				      .nx = n & 16,
				      .dirty = dirty,
				      .gpa = FRAME,
				      .pde_gpa = PD + 8 * (GVA >> 21 & 511),
				      .pte_gpa = PT + 8 * (GVA >> 12 & 511) };
		unsigned want = 0, got;

		set_mode(CR4_PAE, w.wp, true);
		l.pde = PT | 7 | ENTRY_A;
		l.pte = FRAME | ENTRY_P | ENTRY_A | (dirty ? ENTRY_D : 0) |
			(l.writable ? ENTRY_RW : 0) | (l.user ? ENTRY_US : 0) |
			(l.nx ? ENTRY_NX : 0);
		put(l.pde_gpa, l.pde);
		put(l.pte_gpa, l.pte);
		want |= expected(GVA, w.user, READ).fault ? 0 : MAP_R;
		want |= dirty && !expected(GVA, w.user, WRITE).fault ? MAP_W : 0;
		want |= w.user && !expected(GVA, w.user, FETCH).fault ? MAP_X : 0;
		got = view_prot(&w, &l);
		if (got != want)
			LOSE("view_prot() of %s and a page with writable=%u user=%u nx=%u "
			     "dirty=%u: "
			     "expected %s, got %s",
			     view_text(&w), l.writable, l.user, l.nx, l.dirty, prot_text(want),
			     prot_text(got));
	}
	fx_fini(&f);
}

ITEM(view_rights)
{
	fx_init(&f);
	for (unsigned cpl = 0; cpl < 4; cpl++) {
		f.v.sh.cpl = (uint8_t)cpl;
		f.v.sh.cr0 = CR0_PE | CR0_PG;
		WANT(view_is_user(&f.v), cpl == 3, "view_is_user() at CPL %u with paging", cpl);
		f.v.sh.cr0 = CR0_PE;
		WANT(view_is_user(&f.v), false, "view_is_user() at CPL %u without paging", cpl);
	}
	fx_fini(&f);
	each_prot(true);
}

ITEM(clean_pages)
{
	each_prot(false);
}

ITEM(prefill)
{
	for (unsigned n = 0; n < 16; n++) {
		struct mmu_leaf l = { .page_len = n & 1 ? LARGE_32 : PAGE_SIZE,
				      .entry_len = 4,
				      .user = true,
				      .dirty = n & 8,
				      .pde_gpa = PD,
				      .pde = (n & 1 ? ENTRY_PS : PT) | 7 | (n & 2 ? ENTRY_A : 0) };
		bool want = n & 2;

		if (n & 1) {
			l.pde |= n & 8 ? ENTRY_D : 0;
		} else {
			l.pte_gpa = PT;
			l.pte = FRAME | 7 | (n & 4 ? ENTRY_A : 0) | (n & 8 ? ENTRY_D : 0);
			want = want && (n & 4);
		}
		if (view_may_prefill(&l) != want)
			LOSE("view_may_prefill() of a %s page, PDE %s, PTE %s: expected %u, got %u",
			     n & 1 ? "4 MiB" : "4 KiB", entry_text(l.pde), entry_text(l.pte), want,
			     !want);
	}
}

/* ---- 5. flushes ---- */

ITEM(flush_all)
{
	static const struct {
		uint64_t then, now;
		const char *what;
	} gone[] = {
		{ FRAME | 0x67, FRAME | 0x66, "not present any more" },
		{ FRAME | 0x67, 0, "not there any more" },
		{ FRAME | 0x67, (FRAME + PAGE_SIZE) | 0x67, "of another page" },
		{ FRAME | 0x67, FRAME | 0x67 | 0x80000000, "of another page" },
		{ FRAME | 0x67, FRAME | 0x65, "read-only now" },
		{ FRAME | 0x67, FRAME | 0x63, "the supervisor's now" },
		{ FRAME | 0x67, FRAME | 0x27, "no longer dirty: the next write must set D" },
		{ FRAME | 0x67, FRAME | 0x47, "no longer accessed: the next access must set A" },
		{ PT | 0x27, PT | 0xa7, "a 4 MiB page now" },
		{ 0x1e3, 0x4001e3, "of another 4 MiB page" },
		{ 0x1e3, 0x21e3, "of a 4 MiB page above 4 GiB" },
		{ FRAME | 0x67, FRAME | 0x67 | ENTRY_NX, "no-execute now" },
		{ FRAME | 0x67, FRAME | 0x67 | 1ull << 35, "of a page above 4 GiB" },
	};
	static const uint64_t same[] = { FRAME | 0x67, FRAME | 0x25, PT | 0x27, 0x1e7,
					 FRAME | 0x67 | ENTRY_NX };

	for (unsigned i = 0; i < sizeof(same) / sizeof(*same); i++)
		if (!view_keeps(same[i], same[i]))
			LOSE("view_keeps() of an entry that still is %s: expected true, got false",
			     entry_text(same[i]));
	for (unsigned i = 0; i < sizeof(gone) / sizeof(*gone); i++)
		if (view_keeps(gone[i].then, gone[i].now))
			LOSE("view_keeps() of an entry that was %s and is %s (%s): expected false, "
			     "got true",
			     entry_text(gone[i].then), entry_text(gone[i].now), gone[i].what);
}

ITEM(flush_page)
{
	static const struct {
		uint32_t len;
		gva_t gva, base;
	} row[] = {
		{ PAGE_SIZE, 0x00300000, 0x00300000 }, { PAGE_SIZE, 0x00300fff, 0x00300000 },
		{ PAGE_SIZE, 0xfffff123, 0xfffff000 }, { LARGE_32, 0x00c00000, 0x00c00000 },
		{ LARGE_32, 0x00d23456, 0x00c00000 },  { LARGE_32, 0xffffffff, 0xffc00000 },
		{ LARGE_PAE, 0x00c00000, 0x00c00000 }, { LARGE_PAE, 0x00fff000, 0x00e00000 },
	};

	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		for (unsigned user = 0; user < 2; user++) {
			struct view cur = { .root = PD, .user = false, .wp = true };
			struct view w = { .root = PD, .user = user, .wp = true };
			struct view_range r = view_invlpg(&w, &cur, row[i].gva, row[i].len);

			if (r.from > row[i].base ||
			    (uint64_t)r.from + r.len < (uint64_t)row[i].base + row[i].len)
				LOSE("view_invlpg() of %#x, in a page of %u KiB that the %s view "
				     "of "
				     "the address space has mapped: expected that %#x to %#x is "
				     "unmapped, got %#x bytes from %#x",
				     row[i].gva, row[i].len >> 10, user ? "user" : "kernel",
				     row[i].base, row[i].base + row[i].len - 1, r.len, r.from);
		}
	}
}
