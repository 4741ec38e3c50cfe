/* SPDX-License-Identifier: MIT */
/*
 * A guest's user program against its own kernel: it tries to read, write and execute supervisor
 * pages with every segment it can get hold of, its own and the host's.
 */
#include "tests/paging_guest.h"

TestSuite(isolation, .timeout = 60);

#define SECRET 0x5ec4e700u
#define TARGET 0x300000u /* a supervisor page full of SECRET */

static void is_load(struct cg *g, const uint8_t *code, const uint8_t *end)
{
	pk_load(g, code, end);
	for (unsigned i = 0; i < PAGE_SIZE; i += 4)
		*pk_word(g, TARGET + i) = SECRET | (i & 0xff);
}

/* No register holds the secret, and the page has it still. */
static void is_unharmed(struct cg *g)
{
	for (unsigned i = 0; i < GPR_COUNT; i++)
		cr_expect_neq(REG(g, i) & 0xffffff00, SECRET, "register %u: %#x", i, REG(g, i));
	for (unsigned i = 0; i < PAGE_SIZE; i += 4)
		cr_assert_eq(*pk_word(g, TARGET + i), SECRET | (i & 0xff), "written at %#x", i);
	for (unsigned i = 0; i < 0x400; i += 4)
		cr_assert_neq(*pk_word(g, PK_COUNT + 0x100 + i) & 0xffffff00, SECRET);
}

/* ---- the host's selectors ---- */

/* clang-format off */
/* Load @sel natively, then touch the page through the register; put it right for the next one. */
#define IS_DATA(sel)                                                                        \
	PK_TRY("mov $" #sel ",%eax\n mov %eax,%ds\n mov %ds:0x300000,%ebx") IS_FLAT         \
	PK_TRY("mov $" #sel ",%eax\n mov %eax,%es\n mov %es:0x300004,%ebx") IS_FLAT         \
	PK_TRY("mov $" #sel ",%eax\n mov %eax,%fs\n movl $1,%fs:0x300008") IS_FLAT          \
	PK_TRY("mov $" #sel ",%eax\n mov %eax,%gs\n xchg %ecx,%gs:0x30000c") IS_FLAT        \
	PK_TRY("mov $" #sel ",%eax\n mov %eax,%ss\n mov $0x300010,%esp\n pop %edx") IS_FLAT \
	"mov $0x3f0000,%esp\n"
#define IS_FLAT "mov $0x23,%eax\n mov %eax,%ds\n mov %eax,%es\n mov %eax,%ss\n"
GUEST(is_selectors, PK_KERNEL PK_PAGING PK_TO_USER("1f") ".balign 4096\n 1:"
      IS_DATA(0x20) IS_DATA(0x23) IS_DATA(0x28) IS_DATA(0x2b) IS_DATA(0x30) IS_DATA(0x33)
      IS_DATA(0x78) IS_DATA(0x7b) IS_DATA(0x10) IS_DATA(0x13) IS_DATA(0xfff7) IS_DATA(0xffff)
      PK_END);
/* clang-format on */

Test(isolation, host_selectors_open_nothing)
{
	struct cg g;

	is_load(&g, is_selectors, is_selectors_end);
	cg_go(&g);
	/* Each of the five accesses faults, and some loads before it do. */
	cr_expect_geq(pk_records(&g), 12 * 5);
	for (unsigned i = 0; i + 1 < pk_records(&g); i++) {
		const struct pk_record *r = pk_record(&g, i);

		cr_expect(r->vector == VEC_PF || r->vector == VEC_GP || r->vector == VEC_SS,
			  "record %u: vector %u at %#x", i, r->vector, r->eip);
		if (r->vector == VEC_PF)
			cr_expect_eq(r->error & (PF_USER | PF_PRESENT), PF_USER | PF_PRESENT);
		cr_expect_eq(r->cs, PK_CS3);
	}
	is_unharmed(&g);
	cg_free(&g);
}

/* clang-format off */
/* Far transfers to the host's code segments work natively: what comes then is the guest's #GP. */
#define IS_CODE(sel)                                                                   \
	PK_TRY("ljmp $" #sel ",$" A("5f") "\n5:\n mov 0x300000,%ebx")              \
	PK_TRY("push $" #sel "\n push $" A("5f") "\n lret\n5:\n mov 0x300000,%ebx") \
	PK_TRY("pushf\n push $" #sel "\n push $" A("5f") "\n iret\n5:\n mov 0x300000,%ebx") \
	PK_TRY("lcall $" #sel ",$" A("5f") "\n5:\n movl $1,0x300000")              \
	"mov $0x3f0000,%esp\n"
GUEST(is_code, PK_KERNEL PK_PAGING PK_TO_USER("1f") ".balign 4096\n 1:"
      IS_CODE(0x20) IS_CODE(0x23) PK_END);
/* clang-format on */

Test(isolation, host_code_selectors_open_nothing)
{
	struct cg g;

	is_load(&g, is_code, is_code_end);
	cg_go(&g);
	cr_assert_eq(pk_records(&g), 9);
	for (unsigned i = 0; i < 8; i++) {
		PK_EXPECT(&g, i, VEC_GP, 0x20);
		cr_expect_eq(pk_record(&g, i)->cs, PK_CS3);
	}
	is_unharmed(&g);
	cg_free(&g);
}

/* ---- its own LDT ---- */

static uint64_t is_desc(uint32_t base, uint32_t limit, unsigned access, unsigned flags)
{
	return (uint64_t)(limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
	       (uint64_t)access << 40 | (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)flags << 52 |
	       (uint64_t)(base >> 24) << 56;
}

/* clang-format off */
GUEST(is_ldt, PK_KERNEL PK_PAGING PK_TO_USER("1f") ".balign 4096\n 1:"
      "mov $0x07,%eax\n mov %eax,%fs\n mov $0x0f,%eax\n mov %eax,%gs\n mov $0x17,%eax\n"
      "mov %eax,%es\n"
      PK_TRY("mov %fs:0x300000,%ebx")                 /* 0: flat */
      PK_TRY("mov %gs:0x400004,%ebx")                 /* 1: base fff00000, the offset wraps */
      PK_TRY("movl $1,%gs:0x400008")                  /* 2 */
      PK_TRY("mov %es:0x300000,%ebx")                 /* 3: expand-down, base 0, limit fffff */
      PK_TRY("mov %es:0x1000,%ebx")                   /* 4: below its limit: #GP */
      PK_TRY("ljmp $0x1f,$0")                         /* 5: code at the page */
      PK_TRY("ljmp $0x27,$0x1f0000")                  /* 6: code, base 00110000 */
      "mov $0x2f,%eax\n mov %eax,%ss\n mov $0x1010,%esp\n"
      PK_TRY("pop %ecx") PK_TRY("push %eax") PK_TRY("call 2f\n2:") PK_TRY("popal")     /* 7-10 */
      "mov $0x400000,%esi\n mov $0x180200,%edi\n"
      PK_TRY("movsl %gs:(%esi),%es:(%edi)") "mov $0x3f,%eax\n mov %eax,%fs\n"         /* 11 */
      PK_TRY("mov %fs:0x300000,%ebx")                 /* 12: code, read through it */
      PK_END);
/* clang-format on */

/* The linear address is what the tables judge, however it came about. */
Test(isolation, own_ldt_segments_lead_to_the_same_pages)
{
	struct cg g;
	uint64_t *ldt;

	is_load(&g, is_ldt, is_ldt_end);
	ldt = (uint64_t *)(g.vm.ram + PK_LDT);
	ldt[0] = is_desc(0, 0xfffff, 0xf3, 0xc);
	ldt[1] = is_desc(0xfff00000, 0xfffff, 0xf3, 0xc);
	ldt[2] = is_desc(0, 0xff, 0xf7, 0xc);
	ldt[3] = is_desc(TARGET, 0xfffff, 0xfb, 0xc);
	ldt[4] = is_desc(0x110000, 0xfffff, 0xfb, 0xc);
	ldt[5] = is_desc(TARGET - 0x1000, 0xfffff, 0xf3, 0xc);
	ldt[7] = is_desc(0, 0xfffff, 0xfb, 0xc);
	cg_go(&g);
	cr_assert_eq(pk_records(&g), 14);
	PK_EXPECT_PF(&g, 0, PF_USER | PF_PRESENT, TARGET);
	PK_EXPECT_PF(&g, 1, PF_USER | PF_PRESENT, TARGET + 4);
	PK_EXPECT_PF(&g, 2, PF_USER | PF_PRESENT | PF_WRITE, TARGET + 8);
	PK_EXPECT_PF(&g, 3, PF_USER | PF_PRESENT, TARGET);
	PK_EXPECT(&g, 4, VEC_GP, 0);
	PK_EXPECT_PF(&g, 5, PF_USER | PF_PRESENT, TARGET);
	cr_expect_eq(pk_record(&g, 5)->cs, 0x1f);
	PK_EXPECT_PF(&g, 6, PF_USER | PF_PRESENT, TARGET);
	PK_EXPECT_PF(&g, 7, PF_USER | PF_PRESENT, TARGET + 0x10);
	PK_EXPECT_PF(&g, 8, PF_USER | PF_PRESENT | PF_WRITE, TARGET + 0xc);
	PK_EXPECT_PF(&g, 9, PF_USER | PF_PRESENT | PF_WRITE, TARGET + 0xc);
	PK_EXPECT(&g, 10, VEC_PF, PF_USER | PF_PRESENT);
	PK_EXPECT_PF(&g, 11, PF_USER | PF_PRESENT, TARGET);
	PK_EXPECT_PF(&g, 12, PF_USER | PF_PRESENT, TARGET);
	is_unharmed(&g);
	cg_free(&g);
}

/* ---- plain attempts ---- */

/* clang-format off */
GUEST(is_plain, PK_KERNEL PK_PAGING "mov 0x300000,%eax\n mov %eax,0x300000\n" PK_TO_USER("1f")
      ".balign 4096\n 1:"
      PK_TRY("mov 0x300000,%ebx") PK_TRY("movl $1,0x300000") PK_TRY("mov $0x300000,%eax\n"
      "jmp *%eax")
      PK_TRY("mov $0x100010,%eax\n call *%eax") PK_TRY("lock incl 0x300000")
      PK_TRY("mov $0x300000,%esi\n mov $0x180100,%edi\n mov $64,%ecx\n rep movsl")
      PK_TRY("mov 0x10000,%ebx") PK_TRY("orl $4,0x11c00") PK_TRY("movl $0,0x3000")
      PK_TRY("mov 0x2ffffe,%ebx")
      PK_TRY("mov 0xfffffffe,%ebx") PK_TRY("mov 0x180fff,%ebx") PK_END);
/* clang-format on */

Test(isolation, supervisor_pages_fault_for_reads_writes_jumps_and_strings)
{
	static const struct {
		uint32_t error, cr2;
	} want[] = {
		{ PF_USER | PF_PRESENT, TARGET },
		{ PF_USER | PF_PRESENT | PF_WRITE, TARGET },
		{ PF_USER | PF_PRESENT, TARGET },
		{ PF_USER | PF_PRESENT, CG_CODE + 16 },
		{ PF_USER | PF_PRESENT | PF_WRITE, TARGET },
		{ PF_USER | PF_PRESENT, TARGET },
		{ PF_USER | PF_PRESENT, PK_PD },
		{ PF_USER | PF_PRESENT | PF_WRITE, PK_PT + 0xc00 },
		{ PF_USER | PF_PRESENT | PF_WRITE, 0x3000 },
		{ PF_USER | PF_PRESENT, 0x2ffffe },
		{ PF_USER, 0xfffffffe },
		{ PF_USER | PF_PRESENT, 0x181000 },
	};
	struct cg g;

	is_load(&g, is_plain, is_plain_end);
	cg_go(&g);
	cr_assert_eq(pk_records(&g), 13);
	for (unsigned i = 0; i < 12; i++)
		PK_EXPECT_PF(&g, i, want[i].error, want[i].cr2);
	is_unharmed(&g);
	cg_free(&g);
}

/* clang-format off */
GUEST(is_top, PK_KERNEL "movl $0x12007,0x10000+4*1023\n movl $0x300003,0x12000+4*1023\n" PK_PAGING
      "mov $0x300000,%eax\n mov %eax,0xfffffffc\n mov 0xfffffffe,%ebx\n"
      "movl $0x55667788,0xffffffff\n"
      "orl $4,0x12000+4*1023\n orl $4,0x11000\n mov %cr3,%eax\n mov %eax,%cr3\n" PK_TO_USER("1f")
      ".balign 4096\n 1: mov 0xfffffffe,%ecx\n" PK_END);
/* clang-format on */

/*
 * An access over the top of the linear address space goes on at 0: in 64-bit processes, of which
 * compatibility mode is one, the CPU may first look above 4 GiB.
 */
Test(isolation, access_that_wraps_at_4_gib)
{
	struct cg g;

	PK_LOAD(&g, is_top);
	*pk_word(&g, 0) = 0x11223344;
	cg_go(&g);
	cr_expect_eq(REG(&g, EBX), 0x33440030, "%#x", REG(&g, EBX));
	cr_expect_eq(*pk_word(&g, 0), 0x11556677, "%#x", *pk_word(&g, 0));
	cr_expect_eq(REG(&g, ECX), 0x66778830, "%#x", REG(&g, ECX));
	cg_free(&g);
}

/* ---- 64-bit code ---- */

/* clang-format off */
#define IS_64(text) PK_KERNEL PK_PAGING "mov 0x300000,%eax\n" PK_TO_USER("1f") ".balign 4096\n" \
	"1:" PK_TRY("ljmp $0x33,$" A("2f")) PK_END "2: .code64\n" text "\n.code32\n"
GUEST(is_64_read, IS_64("mov 0x300000,%ebx\n mov %ebx,0x180100\n 3: jmp 3b"));
GUEST(is_64_call, IS_64("mov $0x300000,%eax\n jmp *%rax"));
GUEST(is_64_syscall, IS_64("mov $39,%eax\n syscall\n 3: jmp 3b"));
/* clang-format on */

/* It got there: no guest can be in 64-bit mode, so the VM dies, and has not read the page. */
Test(isolation, far_jump_to_64_bit_code_reads_no_supervisor_page)
{
	static const struct {
		const uint8_t *code, *end;
		const char *says;
	} guests[] = {
		{ is_64_read, is_64_read_end, "compatibility mode" },
		{ is_64_call, is_64_call_end, "compatibility mode" },
		{ is_64_syscall, is_64_syscall_end, "system call" },
	};
	struct cg g;

	for (unsigned i = 0; i < 3; i++) {
		is_load(&g, guests[i].code, guests[i].end);
		pk_die(&g, guests[i].says);
		is_unharmed(&g);
		cg_free(&g);
	}
}
