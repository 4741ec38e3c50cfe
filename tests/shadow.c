/* SPDX-License-Identifier: MIT */
/*
 * The shadow MMU under the real run loop: guests that turn paging on, break their tables in all
 * ways, switch address spaces and drop to ring 3.
 */
#include "tests/raw_guest.h"

TestSuite(shadow, .timeout = 30);

/*
 * Made by the test before the guest runs:
 *   0x2e00 GDTR, 0x2f00 IDTR, 0x3000 IDT, 0x4000 GDT: 08 code, 10 data, 1b and 23 the same for
 *   ring 3, 28 TSS at 0x5000 with ring-0 stack 0x190000
 *   page directory 0x10000, page table 0x11000: the low 4 MiB as they are, supervisor, writable
 *   a second pair at 0x12000, 0x13000, equal but that 0x300000 is mapped to 0x301000
 */
#define PD1 0x10000u
#define PT1 0x11000u
#define PD2 0x12000u
#define PT2 0x13000u

/* Make @vector's gate an interrupt gate of privilege @dpl to @label. */
#define GATE(vector, dpl, label)                                                            \
	"mov $" A(label) ",%eax\n mov %ax,0x3000+8*" #vector "\n movw $8,0x3002+8*" #vector \
			 "\n movw $0x8e00+" #dpl "*0x2000,0x3004+8*" #vector                \
			 "\n shr $16,%eax\n mov %ax,0x3006+8*" #vector "\n"
#define TABLES                                                                                  \
	"lgdt 0x2e00\n lidt 0x2f00\n mov $0x10,%ax\n mov %ax,%ds\n mov %ax,%es\n mov %ax,%ss\n" \
	"ljmp $8,$" A("77f") "\n 77: mov $0x28,%ax\n ltr %ax\n" GATE(14, 0, "88f")
#define PAGING_ON(cr0) \
	"mov $0x10000,%eax\n mov %eax,%cr3\n mov %cr0,%eax\n or $" #cr0 ",%eax\n mov %eax,%cr0\n"
/*
 * Page-fault handler: 0x180000 counts, error code and CR2 of fault n at 0x180008 + 8n; goes on at
 * the address in 0x180004.
 */
#define PF_HANDLER                                                                      \
	"88: push %eax\n push %ecx\n mov 0x180000,%ecx\n mov 8(%esp),%eax\n"            \
	"mov %eax,0x180008(,%ecx,8)\n mov %cr2,%eax\n mov %eax,0x18000c(,%ecx,8)\n"     \
	"incl 0x180000\n mov 0x180004,%eax\n mov %eax,12(%esp)\n pop %ecx\n pop %eax\n" \
	"add $4,%esp\n iret\n"
/* Do @insn, which may fault, and go on after it. */
#define TRY(insn) "movl $" A("66f") ",0x180004\n" insn "\n 66:\n"

struct fault {
	uint32_t error, cr2;
};

static uint32_t *word(struct cg *g, uint32_t gpa)
{
	return (uint32_t *)(g->vm.ram + gpa);
}

static void pg_load(struct cg *g, const uint8_t *code, const uint8_t *end)
{
	static const uint64_t gdt[] = { 0,
					0x00cf9b000000ffff,
					0x00cf93000000ffff,
					0x00cffb000000ffff,
					0x00cff3000000ffff,
					0x0000890050000067 };

	cg_load(g, code, end);
	memcpy(g->vm.ram + 0x4000, gdt, sizeof(gdt));
	memcpy(g->vm.ram + 0x2e00, &(uint16_t){ sizeof(gdt) - 1 }, 2);
	memcpy(g->vm.ram + 0x2e02, &(uint32_t){ 0x4000 }, 4);
	memcpy(g->vm.ram + 0x2f00, &(uint16_t){ 0x7ff }, 2);
	memcpy(g->vm.ram + 0x2f02, &(uint32_t){ 0x3000 }, 4);
	*word(g, 0x5004) = 0x190000;
	*word(g, 0x5008) = 0x10;
	*word(g, PD1) = PT1 | 7;
	*word(g, PD2) = PT2 | 7;
	for (uint32_t i = 0; i < 1024; i++)
		*word(g, PT1 + 4 * i) = *word(g, PT2 + 4 * i) = i << PAGE_SHIFT | 3;
	*word(g, PT2 + 4 * 0x300) = 0x301003;
}

static struct fault fault(struct cg *g, unsigned n)
{
	return (struct fault){ *word(g, 0x180008 + 8 * n), *word(g, 0x18000c + 8 * n) };
}

static unsigned faults(struct cg *g)
{
	return *word(g, 0x180000);
}

#define EXPECT_FAULT(g, n, err, addr)                                                 \
	do {                                                                          \
		cr_expect_eq(fault(g, n).error, err, "error %#x", fault(g, n).error); \
		cr_expect_eq(fault(g, n).cr2, addr, "cr2 %#x", fault(g, n).cr2);      \
	} while (0)
#define RUN_PG(g, name)                       \
	do {                                  \
		pg_load(g, name, name##_end); \
		cg_go(g);                     \
	} while (0)

/* ---- supervisor ---- */

GUEST(sh_on,
      TABLES PAGING_ON(0x80010000) "movl $0x1234,0x300000\n mov 0x300000,%ebx\n" DONE PF_HANDLER);

/* SDM Vol. 3A, "Accessed and Dirty Flags" (4.8). */
Test(shadow, identity_map_works_and_sets_accessed_and_dirty)
{
	struct cg g;

	RUN_PG(&g, sh_on);
	cr_expect_eq(REG(&g, EBX), 0x1234);
	cr_expect_eq(faults(&g), 0);
	cr_expect_eq(*word(&g, PT1 + 4 * 0x300) & 0x60, 0x60, "written: A and D");
	cr_expect_eq(*word(&g, PT1 + 4 * 0x2f0) & 0x60, 0, "never touched");
	cr_expect_eq(*word(&g, PT1 + 4 * 0x100) & 0x60, 0x20, "executed: A only");
	cg_free(&g);
}

GUEST(sh_pf,
      TABLES PAGING_ON(0x80010000) "movl $0,0x11000+4*0x300\n invlpg 0x300000\n" TRY(
	      "mov 0x300004,%eax")
	      TRY("movl $1,0x300008") "movl $0x300001,0x11000+4*0x300\n invlpg 0x300000\n" TRY(
		      "movl $1,0x30000c") "mov %cr0,%eax\n and $~0x10000,%eax\n mov "
					  "%eax,%cr0\n" TRY(
						  "movl $7,0x300010") "mov "
								      "0x300010,%"
								      "ebx\n" TRY(
									      "mov "
									      "0x8000"
									      "00,%"
									      "eax") TRY("mov "
											 "$0x900"
											 "000,%"
											 "eax\n "
											 "jmp "
											 "*%eax")
									      DONE PF_HANDLER);

Test(shadow, page_faults_have_the_right_error_code)
{
	struct cg g;

	RUN_PG(&g, sh_pf);
	cr_assert_eq(faults(&g), 5);
	EXPECT_FAULT(&g, 0, 0, 0x300004);
	EXPECT_FAULT(&g, 1, PF_WRITE, 0x300008);
	EXPECT_FAULT(&g, 2, PF_WRITE | PF_PRESENT, 0x30000c);
	cr_expect_eq(REG(&g, EBX), 7, "CR0.WP clear: the supervisor may write");
	EXPECT_FAULT(&g, 3, 0, 0x800000);
	EXPECT_FAULT(&g, 4, 0, 0x900000);
	cg_free(&g);
}

GUEST(sh_edit,
      TABLES PAGING_ON(
	      0x80010000) "movl $0xaaaa,0x300000\n movl $0xbbbb,0x301000\n mov 0x300000,%ebx\n"
			  /* remap and flush the page */
			  "movl $0x301003,0x11000+4*0x300\n invlpg 0x300000\n mov 0x300000,%ecx\n"
			  /* remap back and reload CR3 */
			  "movl $0x300003,0x11000+4*0x300\n mov %cr3,%eax\n mov %eax,%cr3\n mov "
			  "0x300000,%edx\n"
			  /* not present to present needs no flush */
			  "mov 0x500000,%eax\n 66: movl $0x301003,0x11000+4*0x3ff\n mov "
			  "0x3ff000,%esi\n" DONE
			  "88: add $4,%esp\n movl $" A("66b") ",(%esp)\n iret\n");

Test(shadow, edits_of_live_tables_take_effect_at_the_flush)
{
	struct cg g;

	RUN_PG(&g, sh_edit);
	cr_expect_eq(REG(&g, EBX), 0xaaaa);
	cr_expect_eq(REG(&g, ECX), 0xbbbb);
	cr_expect_eq(REG(&g, EDX), 0xaaaa);
	cr_expect_eq(REG(&g, ESI), 0xbbbb);
	cg_free(&g);
}

GUEST(sh_recursive,
      TABLES "movl $0x10003,0x10000+4*1023\n" PAGING_ON(
	      0x80010000) "movl $0xbbbb,0x301000\n mov 0x300000,%eax\n"
			  /* the page table appears at 0xffc00000: edit it there, and make a new one
			   */
			  "movl $0x301003,0xffc00000+4*0x300\n invlpg 0x300000\n mov "
			  "0x300000,%ebx\n"
			  "movl $0x14003,0xfffff000+4*2\n movl $0x301003,0xffc02000\n mov "
			  "0x800000,%ecx\n" DONE PF_HANDLER);

Test(shadow, self_mapped_tables)
{
	struct cg g;

	RUN_PG(&g, sh_recursive);
	cr_expect_eq(REG(&g, EBX), 0xbbbb);
	cr_expect_eq(REG(&g, ECX), 0xbbbb);
	cr_expect_eq(faults(&g), 0);
	cg_free(&g);
}

GUEST(sh_switch,
      TABLES PAGING_ON(
	      0x80010000) "movl $0xaaaa,0x300000\n movl $0xbbbb,0x301000\n xor %esi,%esi\n xor "
			  "%edi,%edi\n mov $200,%ecx\n"
			  "1: mov $0x12000,%eax\n mov %eax,%cr3\n add 0x300000,%esi\n"
			  "mov $0x10000,%eax\n mov %eax,%cr3\n add 0x300000,%edi\n loop 1b\n"
			  /* edit the other space while it is switched away from */
			  "movl $0x300003,0x13000+4*0x300\n mov $0x12000,%eax\n mov %eax,%cr3\n "
			  "mov 0x300000,%ebx\n" DONE PF_HANDLER);

Test(shadow, address_spaces_keep_their_worlds_and_stay_coherent)
{
	struct cg g;

	RUN_PG(&g, sh_switch);
	cr_expect_eq(REG(&g, ESI), 200 * 0xbbbb);
	cr_expect_eq(REG(&g, EDI), 200 * 0xaaaa);
	cr_expect_eq(REG(&g, EBX), 0xaaaa);
	cr_expect_leq(g.sh.created, 3);
	cr_expect_leq(g.sh.fills, 60, "%lu fills: mappings survive the switch",
		      (unsigned long)g.sh.fills);
	cg_free(&g);
}

GUEST(sh_many,
      TABLES PAGING_ON(0x80010000) "xor %ebx,%ebx\n mov $3,%edx\n"
				   "2: mov $10,%ecx\n mov $0x20000,%esi\n"
				   "1: mov %esi,%cr3\n incl 0x300000\n add 0x300000,%ebx\n add "
				   "$0x2000,%esi\n loop 1b\n dec %edx\n jnz 2b\n" DONE PF_HANDLER);

Test(shadow, more_address_spaces_than_worlds)
{
	struct cg g;

	pg_load(&g, sh_many, sh_many_end);
	g.vm.worlds = 3;
	/* Ten address spaces, each with a page of its own at 0x300000. */
	for (uint32_t n = 0; n < 10; n++) {
		uint32_t pd = 0x20000 + 0x2000 * n, pt = pd + 0x1000;

		memcpy(g.vm.ram + pt, g.vm.ram + PT1, PAGE_SIZE);
		*word(&g, pt + 4 * 0x300) = (0x310000 + n * PAGE_SIZE) | 3;
		*word(&g, pd) = pt | 3;
		*word(&g, 0x310000 + n * PAGE_SIZE) = 100 * n;
	}
	cg_go(&g);
	cr_expect_eq(REG(&g, EBX), 3 * 4500 + 10 * (1 + 2 + 3));
	cr_expect_leq(g.sh.spaces, 3);
	cr_expect_geq(g.sh.evicted, 20);
	cg_free(&g);
}

GUEST(sh_pse,
      TABLES "mov %cr4,%eax\n or $0x10,%eax\n mov %eax,%cr4\n movl $0x83,0x10000+4*3\n" PAGING_ON(
	      0x80010000) "mov 0xd00000,%ebx\n movl $0x77,0xf00004\n mov 0x300004,%ecx\n" DONE
	      PF_HANDLER);
/* SDM Vol. 3A, "32-Bit Paging" (4.3): a 4 MiB page, here an alias of the low 4 MiB at 12 MiB. */
Test(shadow, four_mib_pages)
{
	struct cg g;

	pg_load(&g, sh_pse, sh_pse_end);
	*word(&g, 0x100000) = *word(&g, 0x100000);
	cg_go(&g);
	cr_expect_eq(REG(&g, EBX), *word(&g, 0x100000));
	cr_expect_eq(REG(&g, ECX), 0x77);
	cr_expect_eq(*word(&g, PD1 + 12) & 0x60, 0x60);
	cg_free(&g);
}

GUEST(sh_pae, TABLES
      "mov %cr4,%eax\n or $0x20,%eax\n mov %eax,%cr4\n"
      "mov $0xc0000080,%ecx\n rdmsr\n or $0x800,%eax\n wrmsr\n"
      "mov $0x16000,%eax\n mov %eax,%cr3\n mov %cr0,%eax\n or $0x80010000,%eax\n mov %eax,%cr0\n"
      "movb $0xc3,0x3ff000\n mov $0x3ff000,%eax\n" TRY(
	      "call *%eax") "mov 0x3ff000,%bl\n" DONE PF_HANDLER);
/* Three levels, 2 MiB pages but for the last page table, whose last page is NX. */
Test(shadow, pae_and_no_execute)
{
	struct cg g;

	pg_load(&g, sh_pae, sh_pae_end);
	*(uint64_t *)(g.vm.ram + 0x16000) = 0x17001;
	*(uint64_t *)(g.vm.ram + 0x17000) = 0x000083;
	*(uint64_t *)(g.vm.ram + 0x17008) = 0x18003;
	for (uint64_t i = 0; i < 512; i++)
		*(uint64_t *)(g.vm.ram + 0x18000 + 8 * i) = (0x200000 + i * PAGE_SIZE) | 3;
	*(uint64_t *)(g.vm.ram + 0x18000 + 8 * 511) |= 1ull << 63;
	cg_go(&g);
	cr_assert_eq(faults(&g), 1);
	EXPECT_FAULT(&g, 0, PF_PRESENT | PF_FETCH, 0x3ff000);
	cr_expect_eq(REG(&g, EBX) & 0xff, 0xc3);
	cg_free(&g);
}

/* ---- code ---- */

GUEST(sh_alias,
      TABLES "movl $0x100003,0x11000+4*0x310\n movl $0x180003,0x11000+4*0x311\n" PAGING_ON(
	      0x80010000) "sti\n movl $0xc3589c,0x180100\n mov $0x180100,%edx\n call *%edx\n mov "
			  "%eax,%ebx\n" /* pushf pop ret */
			  "mov $0x311100,%edx\n cli\n call *%edx\n mov %eax,%ecx\n" /* the same page
										       at another
										       address */
			  "movl $0xc3c031,0x311100\n call *%edx\n mov %eax,%esi\n"  /* rewritten
										       through the
										       alias: xor;
										       ret */
			  "mov $0x180100,%edx\n inc %eax\n call *%edx\n mov %eax,%edi\n" DONE
				  PF_HANDLER);

Test(shadow, code_page_at_two_addresses_written_through_one)
{
	struct cg g;

	RUN_PG(&g, sh_alias);
	cr_expect(REG(&g, EBX) & FL_IF);
	cr_expect_eq(REG(&g, ECX) & (FL_IF | FL_FIXED), FL_FIXED);
	cr_expect_eq(REG(&g, ESI), 0);
	cr_expect_eq(REG(&g, EDI), 0);
	cg_free(&g);
}

GUEST(sh_straddle, TABLES "movl $0,0x11000+4*0x301\n" PAGING_ON(
			   0x80010000) "movb $0x0f,0x300fff\n mov $0x300fff,%eax\n" TRY("jmp *%eax")
			   DONE PF_HANDLER);
/* 0f at the end of a page is patched, since it might be sensitive; the rest is not present. */
Test(shadow, instruction_that_runs_on_into_a_page_not_present_faults_there)
{
	struct cg g;

	RUN_PG(&g, sh_straddle);
	cr_assert_eq(faults(&g), 1);
	EXPECT_FAULT(&g, 0, 0, 0x301000);
	cg_free(&g);
}

/* ---- user mode ---- */

#define TO_USER(label)                                                                     \
	"push $0x23\n push $0x3f0000\n pushf\n orl $0x200,(%esp)\n push $0x1b\n push $" A( \
		label) "\n iret\n"

GUEST(sh_user,
      TABLES GATE(128, 3, "1f") GATE(13, 0, "5f") "xor %ebx,%ebx\n" PAGING_ON(0x80010000) TO_USER(
	      "2f") ".balign 4096\n"
		    "2: mov $0x23,%ax\n mov %ax,%ds\n mov %ax,%es\n"
		    "mov $111,%ecx\n push %ecx\n pop %edx\n int $0x80\n"
		    "mov 0x300000,%eax\n 66: movl $1,0x100000\n 67: mov $0x100000,%eax\n jmp "
		    "*%eax\n 68: hlt\n 69: mov $2,%ecx\n int $0x80\n"
		    ".balign 4096\n"
		    /* int 0x80: counts in %ebx; ecx == 2 ends */
		    "1: inc %ebx\n cmp $2,%ecx\n je 4f\n iret\n 4: mov %cs,%esi\n" DONE
		    /* #GP from hlt */
		    "5: push %eax\n mov 4(%esp),%eax\n mov %eax,0x17f000\n mov 12(%esp),%eax\n mov "
		    "%eax,0x17f004\n pop %eax\n add $4,%esp\n"
		    "movl $" A("69b") ",(%esp)\n iret\n"
				      "88: push %eax\n push %ecx\n mov 0x180000,%ecx\n mov "
				      "8(%esp),%eax\n mov %eax,0x180008(,%ecx,8)\n"
				      "mov %cr2,%eax\n mov %eax,0x18000c(,%ecx,8)\n incl 0x180000\n"
				      "mov " A("99f") "(,%ecx,4),%eax\n mov %eax,12(%esp)\n pop "
						      "%ecx\n pop %eax\n add $4,%esp\n iret\n"
						      ".balign 4\n 99: .long " A("66b") "," A(
							      "67b") "," A("68b") "\n");

Test(shadow, user_code_is_kept_out_of_the_kernel)
{
	struct cg g;

	pg_load(&g, sh_user, sh_user_end);
	/* The user's code page and stack. */
	*word(&g, PT1 + 4 * 0x101) = 0x101005;
	*word(&g, PT1 + 4 * 0x3ef) = 0x3ef007;
	cg_go(&g);
	cr_expect_eq(REG(&g, EBX), 2);
	cr_expect_eq(REG(&g, EDX), 111);
	cr_expect_eq(REG(&g, ESI), 0x08);
	cr_assert_eq(faults(&g), 3);
	EXPECT_FAULT(&g, 0, PF_USER | PF_PRESENT, 0x300000);
	EXPECT_FAULT(&g, 1, PF_USER | PF_PRESENT | PF_WRITE, 0x100000);
	cr_expect_eq(fault(&g, 2).cr2, 0x100000);
	cr_expect_eq(fault(&g, 2).error & ~PF_FETCH, PF_USER | PF_PRESENT);
	cr_expect_eq(*word(&g, 0x17f000), 0, "hlt at ring 3 is #GP(0)");
	cr_expect_eq(*word(&g, 0x17f004), 0x1b, "from the user's code segment");
	cg_free(&g);
}

GUEST(sh_fpu,
      TABLES GATE(128, 3, "1f") PAGING_ON(
	      0x80010000) "mov %cr4,%eax\n or $0x600,%eax\n mov %eax,%cr4\n"
			  "movl $0x11111111,0x300000\n movl $0x22222222,0x300004\n movups "
			  "0x300000,%xmm3\n fldpi\n" TO_USER(
				  "2f") ".balign 4096\n 2: mov $0x23,%ax\n mov %ax,%ds\n paddd "
					"%xmm3,%xmm3\n fld1\n faddp\n int $0x80\n"
					".balign 4096\n 1: mov $0x10,%ax\n mov %ax,%ds\n movups "
					"%xmm3,0x300010\n fistpl 0x300020\n" DONE PF_HANDLER);

Test(shadow, fpu_state_follows_the_vcpu_from_world_to_world)
{
	struct cg g;

	pg_load(&g, sh_fpu, sh_fpu_end);
	*word(&g, PT1 + 4 * 0x101) = 0x101005;
	*word(&g, PT1 + 4 * 0x3ef) = 0x3ef007;
	cg_go(&g);
	cr_expect_eq(*word(&g, 0x300010), 0x22222222);
	cr_expect_eq(*word(&g, 0x300014), 0x44444444);
	cr_expect_eq(*word(&g, 0x300020), 4, "pi + 1, rounded");
	cg_free(&g);
}

/* ---- MMIO ---- */

static uint32_t sh_mmio_read(void *dev, uint64_t off, unsigned width)
{
	(void)width;
	return *(uint32_t *)dev + (uint32_t)off;
}

static void sh_mmio_write(void *dev, uint64_t off, unsigned width, uint32_t val)
{
	(void)off;
	(void)width;
	*(uint32_t *)dev = val;
}

GUEST(sh_mmio, TABLES "movl $0xfed00003,0x11000+4*0x300\n" PAGING_ON(
		       0x80010000) "movl $0x500,0x300000\n mov 0x300008,%ebx\n" DONE PF_HANDLER);

Test(shadow, device_memory_is_found_through_the_tables)
{
	uint32_t reg = 0;
	struct cg g;
	struct bus_range r = { .name = "reg",
			       .base = 0xfed00000,
			       .len = 16,
			       .dev = &reg,
			       .read = sh_mmio_read,
			       .write = sh_mmio_write };

	pg_load(&g, sh_mmio, sh_mmio_end);
	cr_assert_eq(bus_add(&g.vm.mmio, &r), 0);
	cg_go(&g);
	cr_expect_eq(reg, 0x500);
	cr_expect_eq(REG(&g, EBX), 0x508);
	cg_free(&g);
}

GUEST(pg_aliases,
      TABLES PAGING_ON(
	      0x80000000) "mov $0x40000000,%ebx\n mov $70000,%esi\n"
			  "1: call *%ebx\n add $0x1000,%ebx\n dec %esi\n jnz 1b\n" DONE PF_HANDLER);

/* One page of code at more addresses than the host allows mappings. */
Test(shadow, code_at_more_addresses_than_the_host_maps, .timeout = 120)
{
	static struct cg g;

	pg_load(&g, pg_aliases, pg_aliases_end);
	g.vm.ram[0x300000] = 0xc3; /* ret */
	for (uint32_t i = 0; i < 1024; i++)
		*word(&g, 0x14000 + 4 * i) = 0x300003;
	for (uint32_t i = 0x100; i < 0x180; i++)
		*word(&g, PD1 + 4 * i) = 0x14003;
	cg_go(&g);
	cr_expect_geq(g.sh.flushed, 1);
	cg_free(&g);
}
