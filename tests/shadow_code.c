/* SPDX-License-Identifier: MIT */
/* Code pages under paging: one page in several places, places that change their page. */
#include "tests/paging_guest.h"

TestSuite(shadow_code, .timeout = 30);

/* clang-format off */
/* A function that returns the guest's IF (and 41): PUSHF must trap wherever it runs in ring 0. */
#define SC_IF_FUNC 0xc183589cu, 0x0000c329u /* pushf; pop %eax; add $41,%ecx; ret */

/* A second address space at 0x12000, equal but for 0x300000, which is 0x301000. */
static void sc_second(struct cg *g)
{
	memcpy(g->vm.ram + 0x12000, g->vm.ram + PK_PD, PAGE_SIZE);
	memcpy(g->vm.ram + 0x13000, g->vm.ram + PK_PT, PAGE_SIZE);
	*pk_word(g, 0x12000) = 0x13007;
	*pk_word(g, 0x13000 + 4 * 0x300) = 0x301003;
}

static void sc_put(struct cg *g, uint32_t gpa, uint32_t a, uint32_t b)
{
	*pk_word(g, gpa) = a;
	*pk_word(g, gpa + 4) = b;
}

/* ---- shared between address spaces ---- */

GUEST(sc_shared, PK_KERNEL PK_PAGING "mov $3,%edx\n xor %ecx,%ecx\n xor %ebx,%ebx\n"
      "1: mov $0x10000,%eax\n mov %eax,%cr3\n mov $0x302000,%eax\n call *%eax\n or %eax,%ebx\n"
      "mov $0x12000,%eax\n mov %eax,%cr3\n mov $0x302000,%eax\n call *%eax\n or %eax,%ebx\n"
      "mov $0x300000,%eax\n call *%eax\n or %eax,%ebx\n dec %edx\n jnz 1b\n"
      /* rewritten in one space, run in the other */
      "mov %ecx,%esi\n movb $1,0x302004\n mov $0x10000,%eax\n mov %eax,%cr3\n mov $0x302000,%eax\n"
      "call *%eax\n movb $2,0x302004\n mov $0x12000,%eax\n mov %eax,%cr3\n mov $0x300000,%eax\n"
      "call *%eax\n" PK_END);
/* clang-format on */

Test(shadow_code, code_page_shared_between_address_spaces)
{
	struct cg g;

	PK_LOAD(&g, sc_shared);
	sc_second(&g);
	sc_put(&g, 0x302000, SC_IF_FUNC);
	*pk_word(&g, 0x13000 + 4 * 0x300) = 0x302003; /* there it is also at 0x300000 */
	cg_go(&g);
	cr_expect_eq(REG(&g, ESI), 9 * 41);
	cr_expect_eq(REG(&g, ECX), 9 * 41 + 1 + 2);
	cr_expect_not(REG(&g, EBX) & FL_IF);
	cg_free(&g);
}

/* clang-format off */
/* The copy is made from an alias: read where it is executed, the page shows its patches. */
GUEST(sc_cow, PK_KERNEL "movl $0x300003,0x11000+4*0x310\n" PK_PAGING "xor %ecx,%ecx\n"
      "mov $0x300000,%ebx\n call *%ebx\n"
      /* copy, remap, change the copy's constant */
      "mov $0x310000,%esi\n mov $0x304000,%edi\n push %ecx\n mov $1024,%ecx\n rep movsl\n"
      "pop %ecx\n"
      "movl $0x304003,0x11000+4*0x300\n invlpg 0x300000\n movb $1,0x300004\n call *%ebx\n"
      "mov %ecx,%edx\n"                                              /* 41 + 1 */
      "mov $0x12000,%eax\n mov %eax,%cr3\n call *%ebx\n mov %ecx,%esi\n" /* + 41: the old one */
      "mov $0x10000,%eax\n mov %eax,%cr3\n call *%ebx\n mov %ecx,%edi\n" /* + 1 */
      PK_END);
/* clang-format on */

Test(shadow_code, copy_on_write_of_a_code_page)
{
	struct cg g;

	PK_LOAD(&g, sc_cow);
	sc_second(&g);
	*pk_word(&g, 0x13000 + 4 * 0x300) = 0x300003;
	sc_put(&g, 0x300000, SC_IF_FUNC);
	cg_go(&g);
	cr_expect_eq(REG(&g, EDX), 42);
	cr_expect_eq(REG(&g, ESI), 83);
	cr_expect_eq(REG(&g, EDI), 84);
	cg_free(&g);
}

/* ---- both views ---- */

/* clang-format off */
/* One page, code for ring 0 (IF clear) and ring 3, writable for both. */
GUEST(sc_views, PK_KERNEL PK_PAGING "mov $0x300000,%ebx\n xor %ecx,%ecx\n call *%ebx\n"
      "mov %eax,%esi\n"
      PK_TO_USER("1f") "2: call *%ebx\n mov %eax,%edi\n" PK_END
      ".balign 4096\n 1: call *%ebx\n mov %eax,%ebp\n movb $1,0x300004\n call *%ebx\n"
      "int $0x21\n");
/* clang-format on */

Test(shadow_code, page_executed_in_both_views)
{
	uint32_t at;
	struct cg g;

	PK_LOAD(&g, sc_views);
	sc_put(&g, 0x300000, SC_IF_FUNC);
	*pk_pte(&g, 0x300000) |= 4;
	/* int $0x21 arrives at label 2: behind the iret that went to ring 3. */
	for (at = CG_CODE; at < CG_CODE + PAGE_SIZE; at++)
		if (!memcmp(g.vm.ram + at, "\x68\x00\x10\x10\x00\xcf", 6))
			break;
	cr_assert_lt(at, CG_CODE + PAGE_SIZE);
	pk_gate(&g, 0x21, 3, at + 6);
	cg_go(&g);
	cr_expect_eq(REG(&g, ECX), 41 + 41 + 1 + 1);
	cr_expect_not(REG(&g, ESI) & FL_IF, "ring 0: trapped");
	cr_expect(REG(&g, EBP) & FL_IF, "ring 3: it runs as it is");
	cr_expect_not(REG(&g, EDI) & FL_IF, "ring 0 again");
	cg_free(&g);
}

/* clang-format off */
GUEST(sc_smc, PK_KERNEL PK_PAGING PK_TO_USER("1f") ".balign 4096\n"
      "1: xor %ebx,%ebx\n mov $100,%ecx\n mov $0x300000,%edi\n movb $0xb8,(%edi)\n"
      "movb $0xc3,5(%edi)\n"
      "2: mov %ecx,1(%edi)\n call *%edi\n add %eax,%ebx\n loop 2b\n" PK_END);
/* clang-format on */

Test(shadow_code, user_code_that_modifies_itself_runs_at_full_speed)
{
	struct cg g;

	PK_LOAD(&g, sc_smc);
	*pk_pte(&g, 0x300000) |= 4;
	cg_go(&g);
	cr_expect_eq(REG(&g, EBX), 5050);
	cr_expect_leq(g.sh.fills, 12);
	cr_expect_eq(g.st.writes, 0);
	cg_free(&g);
}

/* ---- tables that are code, code that becomes a table ---- */

/* clang-format off */
/* Not-present entries 0x3f0 and 0x3f1 of the page table in use are a function, run at 0x11fc0. */
GUEST(sc_table, PK_KERNEL PK_PAGING "xor %ecx,%ecx\n mov $0x11fc0,%ebx\n call *%ebx\n"
      "mov 0x300000,%edx\n movl $0x301003,0x11000+4*0x300\n invlpg 0x300000\n mov 0x300000,%esi\n"
      "call *%ebx\n mov 0x302000,%edi\n movl $1,0x302000\n call *%ebx\n mov 0x11000+4*0x302,%ebp\n"
      PK_END);
/* clang-format on */

Test(shadow_code, page_that_is_page_table_and_code)
{
	struct cg g;

	PK_LOAD(&g, sc_table);
	*pk_word(&g, 0x11fc0) = 0x58909090 & ~1u;    /* nop; nop; nop; pop %eax */
	sc_put(&g, 0x11fc4, 0x29c18350, 0x0000c390); /* push %eax; add $41,%ecx; nop; ret */
	pk_number_frames(&g);
	cg_go(&g);
	cr_expect_eq(REG(&g, ECX), 3 * 41);
	cr_expect_eq(REG(&g, EDX), 100);
	cr_expect_eq(REG(&g, ESI), 101);
	cr_expect_eq(REG(&g, EBP) & 0x60, 0x60, "A and D of an entry beside code");
	cg_free(&g);
}

/* clang-format off */
GUEST(sc_turns, PK_KERNEL PK_PAGING "xor %ecx,%ecx\n mov $0x304000,%ebx\n call *%ebx\n"
      /* code becomes the table for 0x400000 */
      "mov $0x304000,%edi\n mov $0x301003,%eax\n push %ecx\n mov $1024,%ecx\n rep stosl\n"
      "pop %ecx\n"
      "movl $0x304003,0x10004\n mov 0x4ff000,%edx\n movl $0x302003,0x304000\n invlpg 0x400000\n"
      "mov 0x400000,%esi\n"
      /* the table becomes data, its translations are flushed; then code again */
      "movl $0,0x10004\n" PK_RELOAD "movl $0x1234,0x304000\n mov 0x304000,%edi\n"
      PK_TRY("mov 0x400000,%eax") "movl $0xc329c183,0x304000\n call *%ebx\n" PK_END);
/* clang-format on */

Test(shadow_code, page_that_is_code_then_table_then_data_then_code)
{
	struct cg g;

	PK_LOAD(&g, sc_turns);
	sc_put(&g, 0x304000, SC_IF_FUNC);
	pk_number_frames(&g);
	cg_go(&g);
	cr_expect_eq(REG(&g, EDX), 101);
	cr_expect_eq(REG(&g, ESI), 102);
	cr_expect_eq(REG(&g, EDI), 0x1234);
	cr_assert_eq(pk_records(&g), 2);
	PK_EXPECT_PF(&g, 0, 0, 0x400000);
	cr_expect_eq(REG(&g, ECX), 82);
	cg_free(&g);
}

/* ---- paging off and on ---- */

/* clang-format off */
GUEST(sc_off, PK_KERNEL PK_PAGING "xor %ecx,%ecx\n mov $0x300000,%ebx\n call *%ebx\n"
      "mov %cr0,%eax\n and $0x7fffffff,%eax\n mov %eax,%cr0\n movb $1,0x300004\n"
      "mov %cr0,%eax\n or $0x80000000,%eax\n mov %eax,%cr0\n call *%ebx\n mov %ecx,%edx\n"
      "mov %cr0,%eax\n and $0x7fffffff,%eax\n mov %eax,%cr0\n call *%ebx\n movb $2,0x300004\n"
      "call *%ebx\n" PK_END);
/* clang-format on */

Test(shadow_code, code_written_while_paging_was_off)
{
	struct cg g;

	PK_LOAD(&g, sc_off);
	sc_put(&g, 0x300000, SC_IF_FUNC);
	cg_go(&g);
	cr_expect_eq(REG(&g, EDX), 42, "%u", REG(&g, EDX));
	cr_expect_eq(REG(&g, ECX), 41 + 1 + 1 + 2, "%u", REG(&g, ECX));
	cg_free(&g);
}

/* ---- single steps on the original ---- */

/* clang-format off */
/* MOVUPS into the page it is on, by another address of the page: not an instruction we emulate. */
GUEST(sc_sse, PK_KERNEL "mov %cr4,%eax\n or $0x600,%eax\n mov %eax,%cr4\n"
      "movl $0x300003,0x11000+4*0x310\n" PK_PAGING
      "movl $0x31050f0f,0x300000\n movw $0x110f,0x300000\n movl $0x31020005,0x300002\n"
      "movw $0xc300,0x300006\n"
      "mov $0x300000,%ebx\n movups 0x181f00,%xmm0\n call *%ebx\n mov 0x300200,%ecx\n"
      "mov 0x310204,%edx\n"
      PK_END);
/* clang-format on */

Test(shadow_code, sse_store_into_its_own_page_by_an_alias)
{
	struct cg g;

	PK_LOAD(&g, sc_sse);
	*pk_word(&g, 0x181f00) = 0x11111111;
	*pk_word(&g, 0x181f04) = 0x22222222;
	cg_go(&g);
	cr_expect_eq(REG(&g, ECX), 0x11111111, "%#x", REG(&g, ECX));
	cr_expect_eq(REG(&g, EDX), 0x22222222, "%#x", REG(&g, EDX));
	cr_expect_leq(g.st.steps, 4);
	cg_free(&g);
}

/* clang-format off */
/*
 * At 0x300ff4 an SSE load whose displacement hides a PUSHF that a jump before it could reach: both
 * are patched, and the load is stepped on the original.  The page behind it is data there, but code
 * elsewhere; when it is mapped to something else afterwards, that is what must be seen.
 */
GUEST(sc_behind, PK_KERNEL "mov %cr4,%eax\n or $0x600,%eax\n mov %eax,%cr4\n"
      "movl $0x302003,0x11000+4*0x301\n" PK_PAGING
      "mov $0x302000,%ebx\n xor %ecx,%ecx\n call *%ebx\n mov $0x300ff2,%edi\n clc\n call *%edi\n"
      "mov 0x301000,%edx\n movl $0x303003,0x11000+4*0x301\n invlpg 0x301000\n mov 0x301000,%esi\n"
      "call *%edi\n mov 0x301000,%ebp\n" PK_END);
/* clang-format on */

Test(shadow_code, single_step_leaves_no_mapping_behind)
{
	/* jc .+3 (into the movups, at its displacement); movups 0x30009c,%xmm0; ret */
	static const uint8_t code[] = {
		0x72, 0x03, 0x0f, 0x10, 0x05, 0x9c, 0x00, 0x30, 0x00, 0xc3
	};
	struct cg g;

	PK_LOAD(&g, sc_behind);
	memcpy(g.vm.ram + 0x300ff2, code, sizeof(code));
	sc_put(&g, 0x302000, SC_IF_FUNC);
	*pk_word(&g, 0x303000) = 103;
	cg_go(&g);
	cr_expect_geq(g.st.steps, 2, "not stepped: the test tests nothing");
	cr_expect_eq(REG(&g, EDX), 0xc183589c);
	cr_expect_eq(REG(&g, ESI), 103, "%#x", REG(&g, ESI));
	cr_expect_eq(REG(&g, EBP), 103, "%#x", REG(&g, EBP));
	cg_free(&g);
}
