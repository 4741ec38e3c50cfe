/* SPDX-License-Identifier: MIT */
/*
 * What is mapped in the process of a user view, as the host kernel tells: /proc/PID/maps.  Even if
 * guest code there got to 64-bit mode it could reach nothing else.
 */
#include "tests/paging_guest.h"

TestSuite(isolation_maps, .timeout = 120);

#define USER_PDES 6u
#define USER_BASE (4u << 20) /* the random part of the address space: USER_PDES x 4 MiB */
#define LOOKED_AT 96u        /* pages of each of them that the user touches */

/* A translation by the guest's tables, written down again on purpose: not the code under test. */
struct im_page {
	bool present, user, write, dirty;
	uint32_t frame;
	uint32_t *entry;
};

static struct im_page im_walk(struct cg *g, uint32_t gva)
{
	uint32_t pde = *pk_word(g, PK_PD + 4 * (gva >> 22)), pte;
	struct im_page p = { 0 };

	if (!(pde & 1))
		return p;
	if (pde & 0x80) {
		p = (struct im_page){ .present = !(pde & 0x3fe000),
				      .user = pde & 4,
				      .write = pde & 2,
				      .frame = (pde & 0xffc00000) | (gva & 0x3ff000),
				      .dirty = pde & 0x40,
				      .entry = pk_word(g, PK_PD + 4 * (gva >> 22)) };
		return p;
	}
	if ((pde & ~0xfffu) + PAGE_SIZE > g->vm.ram_len)
		return p;
	p.entry = pk_word(g, (pde & ~0xfffu) + (gva >> 10 & 0xffc));
	pte = *p.entry;
	p.present = pte & 1;
	p.user = pde & pte & 4;
	p.write = pde & pte & 2;
	p.dirty = pte & 0x40;
	p.frame = pte & ~0xfffu;
	return p;
}

/* Called while the user view has the turn. */
static struct {
	struct cg *g;
	unsigned pages, writable, bad;
	bool user; /* it was the user view's process */
} im_seen;

static void im_line(unsigned long from, unsigned long to, const char *prot, unsigned long off)
{
	for (; from < to; from += PAGE_SIZE, off += PAGE_SIZE) {
		struct im_page p = im_walk(im_seen.g, (uint32_t)from);

		im_seen.pages++;
		im_seen.writable += prot[1] == 'w';
		if (p.present && p.user && p.frame == off &&
		    (prot[1] != 'w' || (p.write && p.dirty)))
			continue;
		if (im_seen.bad++ < 5)
			cr_expect_fail(
				"%#lx maps offset %#lx %.4s, the tables say %s%s%s frame %#x", from,
				off, prot, p.present ? "present " : "not present ",
				p.user ? "user " : "supervisor ", p.write ? "writable" : "",
				p.frame);
	}
}

static void im_look(void *dev, uint64_t at, unsigned width, uint32_t val)
{
	struct world *w = (struct world *)im_seen.g->v.engine;
	unsigned long from, to, off;
	char path[64], line[256], prot[8];
	FILE *f;

	(void)dev;
	(void)at;
	(void)width;
	(void)val;
	im_seen.user = im_seen.g->v.sh.cpl == 3;
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)w->pid);
	f = fopen(path, "re");
	cr_assert_not_null(f, "%s", path);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx %7s %lx", &from, &to, prot, &off) == 4 && from >> 32 == 0)
			im_line(from, to, prot, off);
	fclose(f);
}

static void im_load(struct cg *g, const uint8_t *code, const uint8_t *end)
{
	struct bus_range r = {
		.name = "look", .base = 0xe4, .len = 1, .read = cg_read, .write = im_look
	};

	pk_load(g, code, end);
	memset(&im_seen, 0, sizeof(im_seen));
	im_seen.g = g;
	cr_assert_eq(bus_add(&g->vm.pio, &r), 0);
	g->vm.ram[PK_TSS + 0x68 + 0xe4 / 8] &= (uint8_t) ~(1u << 0xe4 % 8);
}

/* clang-format off */
GUEST(im_secret, PK_KERNEL PK_PAGING "movl $0x5ec4e7,0x300000\n mov 0x300000,%eax\n"
      "movl $1,0x180100\n"
      PK_TO_USER("1f") ".balign 4096\n 1: mov $1,%edi\n push %edi\n" PK_TRY("mov 0x300000,%eax")
      PK_TRY("mov 0x17f000,%eax") PK_TRY("mov 0x182000,%eax") "out %al,$0xe4\n" PK_END);
/* clang-format on */

Test(isolation_maps, supervisor_page_is_not_in_the_user_views_process)
{
	struct cg g;

	im_load(&g, im_secret, im_secret_end);
	cg_go(&g);
	cr_assert_eq(pk_records(&g), 4);
	cr_expect(im_seen.user);
	/* Code, stack, the page of the records' count: and nothing else. */
	cr_expect_eq(im_seen.pages, 3);
	cr_expect_eq(im_seen.writable, 2);
	cg_free(&g);
}

/* clang-format off */
/* The same where the user's world was a kernel's before. */
GUEST(im_recycle, PK_KERNEL PK_PAGING "mov 0x300000,%eax\n mov $0x12000,%eax\n mov %eax,%cr3\n"
      "mov 0x400000,%eax\n mov $0x10000,%eax\n mov %eax,%cr3\n" PK_TO_USER("1f")
      ".balign 4096\n 1: push %edi\n out %al,$0xe4\n" PK_END);
/* clang-format on */

Test(isolation_maps, recycled_world_keeps_nothing_of_the_kernel)
{
	struct cg g;

	im_load(&g, im_recycle, im_recycle_end);
	memcpy(g.vm.ram + 0x12000, g.vm.ram + PK_PD, PAGE_SIZE);
	*pk_word(&g, 0x12004) = 0x13003; /* where the user maps nothing */
	*pk_word(&g, 0x13000) = 0x302003;
	g.vm.worlds = 2;
	cg_go(&g);
	cr_expect(im_seen.user);
	cr_expect_eq(im_seen.pages, 2);
	cr_expect_leq(g.sh.spaces, 2);
	cr_expect_geq(g.sh.evicted, 1);
	cg_free(&g);
}

/* ---- random tables ---- */

static uint64_t im_state;

static uint32_t im_random(void)
{
	im_state ^= im_state << 13;
	im_state ^= im_state >> 7;
	im_state ^= im_state << 17;
	return (uint32_t)(im_state >> 16);
}

/*
 * A list of words at 0x2c0000 (for the user, read-only): addresses; bit 0 set: write.  0 ends it.
 */
/* clang-format off */
GUEST(im_walker, PK_KERNEL "mov %cr4,%eax\n or $0x10,%eax\n"
      "mov %eax,%cr4\n" PK_PAGING PK_TO_USER("1f")
      ".balign 4096\n 1: movl $" A("4f") ",0x180004\n mov $0x2c0000,%esi\n"
      "2: mov (%esi),%edi\n add $4,%esi\n test %edi,%edi\n jz 5f\n movl $0,0x180000\n"
      "btr $0,%edi\n jc 3f\n mov (%edi),%ebp\n jmp 2b\n 3: movb $1,(%edi)\n jmp 2b\n"
      "4: incl 0x180008\n jmp 2b\n 5: out %al,$0xe4\n" PK_END);
/* clang-format on */

#define IM_LIST  0x2c0000u
#define IM_LIMIT (8u << 12) /* bytes of the list at most */

/* Frames the random tables may map: not those that the test itself needs to go on working. */
static uint32_t im_frame(struct cg *g)
{
	static const uint32_t first[] = { 0x310000, 0x340000 };

	switch (im_random() % 8) {
	case 0: return 0x7ff00000;                          /* nothing there */
	case 1: return (uint32_t)g->vm.ram_len - PAGE_SIZE; /* the last */
	default:
		/* Few frames, in runs, so that neighbours coalesce and aliases abound. */
		return first[im_random() % 2] + (im_random() % 24) * PAGE_SIZE;
	}
}

static void im_tables(struct cg *g)
{
	static const uint32_t bits[] = { 1, 3, 5, 7, 7, 7, 5, 0, 2, 6 };

	for (unsigned d = 0; d < USER_PDES; d++) {
		uint32_t pt = 0x20000 + d * PAGE_SIZE, pde = bits[im_random() % 7];

		if (im_random() % 8 == 0)
			pt = 0x20000; /* shared with the first */
		if (im_random() % 6 == 0) {
			/* A large page over all of RAM, kernel and tables too: only to look at. */
			*pk_word(g, PK_PD + 4 + 4 * d) = (pde & ~2u) | 0x80;
			continue;
		}
		*pk_word(g, PK_PD + 4 + 4 * d) = pt | pde;
		for (unsigned i = 0; i < 1024; i++) {
			uint32_t e = im_frame(g) | bits[im_random() % 10];

			/* A run goes on. */
			if (i && im_random() % 2)
				e = *pk_word(g, 0x20000 + d * PAGE_SIZE + 4 * i - 4) + PAGE_SIZE;
			/* A and D as if used before: what may be filled with a neighbour. */
			e &= ~0x60u;
			if (im_random() % 2)
				e |= 0x20u | (im_random() & 0x40);
			*pk_word(g, 0x20000 + d * PAGE_SIZE + 4 * i) = e;
		}
	}
}

/* Make the list, and what A and D must be afterwards in the entries of the random page tables. */
static void im_expect(struct cg *g, uint32_t *want)
{
	unsigned n = 0;

	memcpy(want, g->vm.ram + 0x20000, USER_PDES * PAGE_SIZE);
	for (unsigned d = 0; d < USER_PDES; d++)
		for (unsigned i = 0; i < LOOKED_AT; i++) {
			uint32_t gva = USER_BASE + (d << 22) + (im_random() % 1024 << 12) + 0x7fc;
			bool write = im_random() % 3 == 0;
			struct im_page p = im_walk(g, gva);

			/* Not into RAM that is not there: that is the emulator's business, for
			 * reads. */
			if (p.present && p.user && p.frame >= g->vm.ram_len && write)
				continue;
			*pk_word(g, IM_LIST + 4 * n++) = gva | write;
			if (p.present && p.user && (!write || p.write) &&
			    p.entry >= pk_word(g, 0x20000) &&
			    p.entry < pk_word(g, 0x20000 + USER_PDES * PAGE_SIZE))
				want[p.entry - pk_word(g, 0x20000)] |= write ? 0x60 : 0x20;
		}
	*pk_word(g, IM_LIST + 4 * n) = 0;
	cr_assert_lt(4 * n, IM_LIMIT);
}

/* Also: A and D are set in the entries that were used and in no others (SDM Vol. 3A, 4.8). */
Test(isolation_maps, random_tables_give_the_user_its_pages_only)
{
	static uint32_t want[USER_PDES * 1024];
	struct cg g;

	for (unsigned seed = 1; seed <= 12; seed++) {
		unsigned wrong = 0;

		im_state = seed * 0x9e3779b97f4a7c15u;
		im_load(&g, im_walker, im_walker_end);
		for (uint32_t p = IM_LIST; p < IM_LIST + IM_LIMIT; p += PAGE_SIZE)
			*pk_pte(&g, p) = p | 5;
		im_tables(&g);
		im_expect(&g, want);
		cg_go(&g);
		cr_expect(im_seen.user);
		cr_expect_gt(im_seen.pages, 10, "seed %u", seed);
		cr_expect_eq(im_seen.bad, 0, "seed %u", seed);
		for (unsigned i = 0; i < USER_PDES * 1024; i++)
			if (*pk_word(&g, 0x20000 + 4 * i) != want[i] && wrong++ < 3)
				cr_expect_fail("seed %u: entry %#x is %#x, not %#x", seed, i,
					       *pk_word(&g, 0x20000 + 4 * i), want[i]);
		cg_free(&g);
	}
}
