/* SPDX-License-Identifier: MIT */
/* The shadow MMU at the edges: odd places for tables, flushes, mode changes, limits. */
#include "tests/paging_guest.h"

TestSuite(shadow_edge, .timeout = 60);

#define LAST (CG_RAM - PAGE_SIZE)

/* clang-format off */
/* ---- where tables can be ---- */

/* Page tables at 0x3ff000 for 0x400000 and at 0 for 0x800000; others for 0xc00000 and up. */
GUEST(se_places, PK_KERNEL PK_PAGING
      "mov 0x400000,%ebx\n movl $0x301003,0x3ff000\n" PK_RELOAD "mov 0x400000,%ecx\n"
      "mov 0x800000,%edx\n mov 0xa00000,%esi\n movl $0x301003,0\n movl $0x302003,0x800\n" PK_RELOAD
      "mov 0x800000,%ebp\n mov 0xa00000,%edi\n"
      "movl $0x300003,0\n invlpg 0x800000\n push 0x800000\n"
      PK_TRY("mov 0xc00000,%eax") PK_TRY("mov 0x1000000,%eax") PK_TRY("movl $1,0x1400000")
      "pop 0x180100\n" PK_END);
/* clang-format on */

Test(shadow_edge, tables_at_the_ends_of_ram_and_outside)
{
	struct cg g;

	PK_LOAD(&g, se_places);
	pk_number_frames(&g);
	*pk_word(&g, PK_PD + 4) = LAST | 3;
	*pk_word(&g, PK_PD + 8) = 0 | 3;
	*pk_word(&g, PK_PD + 12) = CG_RAM | 3; /* behind RAM, in a hole, where a device could be */
	*pk_word(&g, PK_PD + 16) = 0x80000003;
	*pk_word(&g, PK_PD + 20) = 0xfee00003;
	*pk_word(&g, LAST) = 0x300003;
	*pk_word(&g, 0) = 0x300003;
	*pk_word(&g, 0x800) = 0x301003;
	cg_go(&g);
	cr_expect_eq(REG(&g, EBX), 100);
	cr_expect_eq(REG(&g, ECX), 101);
	cr_expect_eq(REG(&g, EDX), 100);
	cr_expect_eq(REG(&g, ESI), 101);
	cr_expect_eq(REG(&g, EBP), 101, "the table at 0 was edited and flushed");
	cr_expect_eq(REG(&g, EDI), 102);
	cr_expect_eq(*pk_word(&g, 0x180100), 100, "and one page of it");
	cr_assert_eq(pk_records(&g), 4);
	PK_EXPECT_PF(&g, 0, 0, 0xc00000);
	PK_EXPECT_PF(&g, 1, 0, 0x1000000);
	PK_EXPECT_PF(&g, 2, PF_WRITE, 0x1400000);
	cg_free(&g);
}

/* clang-format off */
GUEST(se_self, PK_KERNEL "movl $0x11003,0x11000+4*0x310\n" PK_PAGING
      /* 0x310000 is the page table: an entry that maps its own table, moved through itself */
      "movl $0x301003,0x310000+4*0x300\n invlpg 0x300000\n mov 0x300000,%ebx\n"
      "movl $0x302003,0x310000+4*0x310\n mov 0x310000+4*0x310,%ecx\n invlpg 0x310000\n"
      "mov 0x310000,%edx\n" PK_END);
/* clang-format on */

Test(shadow_edge, page_table_that_maps_itself)
{
	struct cg g;

	PK_LOAD(&g, se_self);
	pk_number_frames(&g);
	cg_go(&g);
	cr_expect_eq(REG(&g, EBX), 101);
	/* Without a flush the old translation stands: A and D were set on the way. */
	cr_expect_eq(REG(&g, ECX) & ~0x60u, 0x302003, "%#x", REG(&g, ECX));
	cr_expect_eq(REG(&g, EDX), 102);
	cg_free(&g);
}

/* clang-format off */
GUEST(se_cr3, PK_KERNEL PK_PAGING "mov $0x80000000,%eax\n mov %eax,%cr3\n nop\n" PK_END);
/* clang-format on */

Test(shadow_edge, page_directory_outside_ram_ends_the_guest)
{
	struct cg g;

	PK_LOAD(&g, se_cr3);
	pk_die(&g, "triple fault");
	cg_free(&g);
}

/* ---- flushes ---- */

/* clang-format off */
GUEST(se_global, PK_KERNEL "mov %cr4,%eax\n or $0x80,%eax\n mov %eax,%cr4\n"
      "orl $0x100,0x11000+4*0x300\n"
      PK_PAGING "mov 0x300000,%ebx\n movl $0x301103,0x11000+4*0x300\n" PK_RELOAD "mov 0x300000,%ecx\n"
      "movl $0x302103,0x11000+4*0x300\n mov %cr4,%eax\n xor $0x80,%eax\n mov %eax,%cr4\n"
      "mov 0x300000,%edx\n movl $0x300103,0x11000+4*0x300\n mov %cr4,%eax\n xor $0x80,%eax\n"
      "mov %eax,%cr4\n mov 0x300000,%esi\n movl $0x301103,0x11000+4*0x300\n invlpg 0x300000\n"
      "mov 0x300000,%edi\n" PK_END);
/* clang-format on */

/* SDM Vol. 3A, "Operations that Invalidate TLBs" (4.10.4.1). */
Test(shadow_edge, global_pages_go_with_cr4_pge_and_invlpg)
{
	struct cg g;

	PK_LOAD(&g, se_global);
	pk_number_frames(&g);
	cg_go(&g);
	cr_expect_eq(REG(&g, EBX), 100);
	cr_expect(REG(&g, ECX) == 100 || REG(&g, ECX) == 101, "a CR3 load may keep it");
	cr_expect_eq(REG(&g, EDX), 102, "PGE cleared");
	cr_expect_eq(REG(&g, ESI), 100, "PGE set");
	cr_expect_eq(REG(&g, EDI), 101, "INVLPG");
	cg_free(&g);
}

/* clang-format off */
/* The entry for 0xc00000 is a 4 MiB page at 0 with PSE; the page table at 0x12000 without. */
GUEST(se_pse, PK_KERNEL "movl $0x12083,0x1000c\n movl $0x301003,0x12000+4*0x300\n" PK_PAGING
      "mov 0xf00000,%ebx\n andl $~0x12000,0x1000c\n mov %cr4,%eax\n or $0x10,%eax\n"
      "mov %eax,%cr4\n"
      "mov 0xf00000,%ecx\n orl $0x12000,0x1000c\n mov %cr4,%eax\n xor $0x10,%eax\n mov %eax,%cr4\n"
      "mov 0xf00000,%edx\n" PK_END);
/* clang-format on */

Test(shadow_edge, cr4_pse_changes_what_an_entry_means)
{
	struct cg g;

	PK_LOAD(&g, se_pse);
	pk_number_frames(&g);
	cg_go(&g);
	cr_expect_eq(REG(&g, EBX), 101);
	cr_expect_eq(REG(&g, ECX), 100);
	cr_expect_eq(REG(&g, EDX), 101);
	cg_free(&g);
}

/* clang-format off */
/*
 * CR3 is 0x10040: a directory at 0x10000 for the one kind of tables, a PDPT at 0x10040 for the
 * other.  0x200000 is 0x300000 for the one, itself for the other.
 */
GUEST(se_pae, PK_KERNEL "movl $0x300003,0x11000+4*0x200\n mov $0x10040,%eax\n mov %eax,%cr3\n"
      "mov %cr0,%eax\n or $0x80000000,%eax\n mov %eax,%cr0\n"
      "mov 0x200004,%ebx\n mov %cr4,%eax\n or $0x20,%eax\n mov %eax,%cr4\n mov 0x200004,%ecx\n"
      "mov %cr4,%eax\n and $~0x20,%eax\n mov %eax,%cr4\n mov 0x200004,%edx\n" PK_END);
/* clang-format on */

Test(shadow_edge, cr4_pae_changes_under_paging)
{
	struct cg g;

	PK_LOAD(&g, se_pae);
	*pk_word(&g, 0x10040) = 0x12001;
	*pk_word(&g, 0x12000) = 0x83;
	*pk_word(&g, 0x12008) = 0x200083;
	*pk_word(&g, 0x300004) = 32;
	*pk_word(&g, 0x200004) = 36;
	cg_go(&g);
	cr_expect_eq(REG(&g, EBX), 32);
	cr_expect_eq(REG(&g, ECX), 36);
	cr_expect_eq(REG(&g, EDX), 32);
	cg_free(&g);
}

/* clang-format off */
/* 4 MiB page at 0xc00000: touched in its second half only, flushed in the first, and vice versa. */
GUEST(se_large, PK_KERNEL "mov %cr4,%eax\n or $0x10,%eax\n mov %eax,%cr4\n movl $0x83,0x1000c\n"
      PK_PAGING "mov 0xf00000,%ebx\n movl $0x12003,0x1000c\n invlpg 0xc00000\n mov 0xf00000,%ecx\n"
      "movl $0x83,0x1000c\n" PK_RELOAD "mov 0xd80000,%esi\n movl $0x12003,0x1000c\n"
      "invlpg 0xfff000\n mov 0xd80000,%edi\n" PK_END);
/* clang-format on */

Test(shadow_edge, invlpg_takes_all_of_a_4_mib_page)
{
	struct cg g;

	PK_LOAD(&g, se_large);
	pk_number_frames(&g);
	*pk_word(&g, 0x12000 + 4 * 0x300) = 0x301003;
	*pk_word(&g, 0x12000 + 4 * 0x180) = 0x301003;
	cg_go(&g);
	cr_expect_eq(REG(&g, EBX), 100);
	cr_expect_eq(REG(&g, ECX), 101, "flushed by its other half");
	cr_expect_eq(REG(&g, ESI), 0);
	cr_expect_eq(REG(&g, EDI), 101);
	cg_free(&g);
}

/* ---- accessed and dirty ---- */

/* clang-format off */
GUEST(se_ad, PK_KERNEL "orl $0x60,0x11000+4*0x302\n orl $0x20,0x11000+4*0x303\n" PK_PAGING
      "mov 0x300000,%eax\n mov 0x11000+4*0x300,%ebx\n"           /* A */
      "andl $~0x20,0x11000+4*0x300\n invlpg 0x300000\n mov 0x11000+4*0x300,%ecx\n"
      "mov 0x300000,%eax\n mov 0x11000+4*0x300,%edx\n"           /* A again */
      "movl $1,0x300000\n mov 0x11000+4*0x300,%esi\n"            /* A and D */
      "andl $~0x40,0x11000+4*0x300\n" PK_RELOAD "mov 0x300000,%eax\n push 0x11000+4*0x300\n"
      "movl $2,0x300000\n mov 0x11000+4*0x300,%edi\n pop %ebp\n"
      /* The neighbours came with the page: their entries are as they were. */
      "mov 0x302000,%eax\n mov 0x303000,%eax\n push 0x11000+4*0x303\n movl $1,0x303000\n"
      "push 0x11000+4*0x303\n pop 0x180104\n pop 0x180100\n" PK_END);
/* clang-format on */

/* SDM Vol. 3A, "Accessed and Dirty Flags" (4.8). */
Test(shadow_edge, accessed_and_dirty_come_back_when_cleared_and_flushed)
{
	struct cg g;

	PK_RUN(&g, se_ad);
	cr_expect_eq(REG(&g, EBX) & 0x60, 0x20);
	cr_expect_eq(REG(&g, ECX) & 0x60, 0);
	cr_expect_eq(REG(&g, EDX) & 0x60, 0x20);
	cr_expect_eq(REG(&g, ESI) & 0x60, 0x60);
	cr_expect_eq(REG(&g, EBP) & 0x60, 0x20, "D cleared, then read");
	cr_expect_eq(REG(&g, EDI) & 0x60, 0x60, "then written");
	cr_expect_eq(*pk_pte(&g, 0x301000) & 0x60, 0, "never accessed");
	cr_expect_eq(*pk_pte(&g, 0x302000) & 0x60, 0x60);
	cr_expect_eq(*pk_word(&g, 0x180100) & 0x60, 0x20);
	cr_expect_eq(*pk_word(&g, 0x180104) & 0x60, 0x60);
	cr_expect_eq(*pk_pte(&g, 0x304000) & 0x60, 0);
	cg_free(&g);
}

/* clang-format off */
GUEST(se_fetch_a, PK_KERNEL PK_PAGING "mov $0x300ffe,%eax\n movw $0xc3fa,(%eax)\n"
      "call *%eax\n" PK_END);
/* clang-format on */

/* CLI and RET in the last two bytes of a page: the next page is not accessed. */
Test(shadow_edge, emulating_at_the_end_of_a_page_does_not_access_the_next)
{
	struct cg g;

	PK_RUN(&g, se_fetch_a);
	cr_expect_eq(*pk_pte(&g, 0x300000) & 0x60, 0x60);
	cr_expect_eq(*pk_pte(&g, 0x301000) & 0x60, 0);
	cg_free(&g);
}

/* clang-format off */
GUEST(se_upgrade, PK_KERNEL "movl $0x300001,0x11000+4*0x300\n movl $0,0x11000+4*0x301\n" PK_PAGING
      PK_TRY("movl $1,0x300000") "mov 0x300000,%eax\n movl $0x300003,0x11000+4*0x300\n"
      PK_TRY("movl $2,0x300000") PK_TRY("mov 0x301000,%eax") "movl $0x301003,0x11000+4*0x301\n"
      PK_TRY("mov 0x301000,%ebx") PK_END);
/* clang-format on */

/* SDM Vol. 3A, "Optional Invalidation" (4.10.4.3): a CPU may fault once more; we do not. */
Test(shadow_edge, more_rights_need_no_flush)
{
	struct cg g;

	PK_LOAD(&g, se_upgrade);
	*pk_word(&g, 0x301000) = 101;
	cg_go(&g);
	cr_assert_eq(pk_records(&g), 3);
	PK_EXPECT_PF(&g, 0, PF_PRESENT | PF_WRITE, 0x300000);
	PK_EXPECT_PF(&g, 1, 0, 0x301000);
	cr_expect_eq(*pk_word(&g, 0x300000), 2);
	cr_expect_eq(REG(&g, EBX), 101);
	cg_free(&g);
}

/* clang-format off */
GUEST(se_runs, PK_KERNEL "mov $0x20,%ecx\n 1: orl $0x60,0x11000+4*0x300-4(,%ecx,4)\n loop 1b\n"
      PK_PAGING "mov $10,%edx\n 2: mov $0x300000,%esi\n mov $16,%ecx\n"
      "3: addl $1,(%esi)\n add $0x1000,%esi\n loop 3b\n" PK_RELOAD "dec %edx\n jnz 2b\n" PK_END);
/* clang-format on */

/* A flush with nothing edited unmaps nothing, also of a run that was mapped as one. */
Test(shadow_edge, unchanged_tables_lose_no_mapping_at_a_flush)
{
	struct cg g;

	PK_RUN(&g, se_runs);
	cr_expect_eq(*pk_word(&g, 0x30f000), 10);
	cr_expect_eq(g.sh.stale, 0, "%lu pages stale", (unsigned long)g.sh.stale);
	cr_expect_geq(g.sh.validated, 9);
	cg_free(&g);
}

/* ---- limits ---- */

/* clang-format off */
/* 18 tables from 0x200000 on for 16 MiB to 88 MiB; every second page in another frame. */
GUEST(se_scattered, PK_KERNEL
      "mov $0x200000,%edi\n mov $18432,%ecx\n 1: mov %ecx,%eax\n and $1,%eax\n shl $13,%eax\n"
      "add $0x300023,%eax\n stosl\n loop 1b\n mov $80,%ecx\n mov $0x10010,%edi\n"
      "2: mov %ecx,%eax\n 4: sub $18,%eax\n jns 4b\n add $18,%eax\n shl $12,%eax\n"
      "add $0x200003,%eax\n"
      "stosl\n loop 2b\n" PK_PAGING
      "xor %ebx,%ebx\n mov $2,%edx\n 5: mov $0x1000000,%esi\n mov $75000,%ecx\n"
      "3: add (%esi),%ebx\n add $0x1000,%esi\n loop 3b\n dec %edx\n jnz 5b\n" PK_END);
/* clang-format on */

/* vm.max_map_count is 65,530: the space is emptied and goes on. */
Test(shadow_edge, more_mappings_than_the_host_allows)
{
	struct cg g;

	PK_LOAD(&g, se_scattered);
	*pk_word(&g, 0x300000) = 1;
	*pk_word(&g, 0x302000) = 3;
	cg_go(&g);
	cr_expect_eq(REG(&g, EBX), 2 * 75000 / 2 * 4);
	cr_expect_geq(g.sh.flushed, 2);
	cr_expect_geq(g.sh.pages, 150000);
	cg_free(&g);
}

/* clang-format off */
/* Six address spaces, each with a user program that counts in a page of its own; three rounds. */
GUEST(se_spaces, PK_KERNEL "mov $" A("5f") ",%eax\n mov %ax,0x3108\n shr $16,%eax\n"
      "mov %ax,0x310e\n"
      PK_PAGING "xor %edx,%edx\n"
      "1: mov $0x20000,%esi\n 2: mov %esi,%cr3\n" PK_TO_USER("3f")
      "5: add $0x2000,%esi\n cmp $0x2c000,%esi\n jne 2b\n inc %edx\n"
      "cmp $3,%edx\n jne 1b\n" PK_END
      ".balign 4096\n 3: incl 0x300000\n add 0x300000,%ebx\n int $0x21\n");
/* clang-format on */

static void se_many_spaces(unsigned worlds)
{
	struct cg g;

	PK_LOAD(&g, se_spaces);
	g.vm.worlds = worlds;
	/* int $0x21 goes on in ring 0, on a stack that is begun anew each time. */
	pk_gate(&g, 0x21, 3, 0);
	for (uint32_t n = 0; n < 6; n++) {
		uint32_t pd = 0x20000 + 0x2000 * n, pt = pd + PAGE_SIZE;

		memcpy(g.vm.ram + pt, g.vm.ram + PK_PT, PAGE_SIZE);
		*pk_word(&g, pt + 4 * 0x300) = (0x310000 + n * PAGE_SIZE) | 7;
		*pk_word(&g, pd) = pt | 7;
		*pk_word(&g, 0x310000 + n * PAGE_SIZE) = 100 * n;
	}
	cg_go(&g);
	cr_expect_eq(REG(&g, EBX), 3 * 1500 + 6 * (1 + 2 + 3), "worlds %u: %u", worlds,
		     REG(&g, EBX));
	cr_expect_leq(g.sh.spaces, worlds < 2 ? 2 : worlds);
	cr_expect_geq(g.sh.switches, 2 * 18);
	cg_free(&g);
}

Test(shadow_edge, many_address_spaces_with_few_worlds)
{
	static const unsigned worlds[] = { 1, 2, 3, 5, 16 };

	for (unsigned i = 0; i < sizeof(worlds) / sizeof(worlds[0]); i++)
		se_many_spaces(worlds[i]);
}
