/* SPDX-License-Identifier: MIT */
/*
 * Shadow code pages under the real run loop: small guests, assembled here, that would see the
 * host's state if one of their sensitive instructions executed natively.
 */
#include "decoder/scan.h"
#include "tests/raw_guest.h"

TestSuite(code, .timeout = 30);

/* ---- the instructions themselves ---- */

GUEST(cg_flags, "sti\n pushf\n cli\n pushf\n pop %ebx\n popf\n pushf\n pop %eax\n" DONE);

/* SDM Vol. 2, PUSHF/POPF: at CPL 0 they read and write IF; at the host's ring 3 they would not. */
Test(code, pushf_and_popf_see_the_guests_interrupt_flag)
{
	struct cg g;

	RUN(&g, cg_flags);
	cr_expect(REG(&g, EAX) & FL_IF);
	cr_expect_not(REG(&g, EBX) & FL_IF);
	cr_expect_eq(account_count(g.v.account, CAUSE_INSN(OP_PUSHF)), 3);
	cr_expect_eq(account_count(g.v.account, CAUSE_INSN(OP_POPF)), 1);
	cg_free(&g);
}

GUEST(cg_tables,
      "lgdt " A("1f") "\n sgdt 0x180000\n sidt 0x180008\n smsw %eax\n str %ebx\n sldt %ecx\n"
		      "mov %cs,%edx\n mov %ds,%esi\n push %ss\n pop %edi\n" DONE
		      "1: .word 0x1234\n .long 0x89abcd\n");

Test(code, table_and_segment_reads_give_the_guests)
{
	static const uint8_t gdtr[6] = { 0x34, 0x12, 0xcd, 0xab, 0x89, 0x00 };
	struct cg g;

	RUN(&g, cg_tables);
	cr_expect_arr_eq(g.vm.ram + 0x180000, gdtr, 6);
	cr_expect_eq(REG(&g, EAX), CR0_PE | CR0_ET);
	cr_expect_eq(REG(&g, EBX), 0);
	cr_expect_eq(REG(&g, ECX), 0);
	cr_expect_eq(REG(&g, EDX), 0x08);
	cr_expect_eq(REG(&g, ESI), 0x10);
	cr_expect_eq(REG(&g, EDI) & 0xffff, 0x10);
	cg_free(&g);
}

GUEST(cg_cpuid, "mov $0x40000000,%eax\n cpuid\n" DONE);

Test(code, cpuid_follows_the_policy)
{
	struct cg g;

	RUN(&g, cg_cpuid);
	cr_expect_eq(REG(&g, EBX), 0x676e6952); /* "Ring" */
	cg_free(&g);
}

GUEST(cg_bunch, "sti\n pushf\n cli\n pushf\n smsw %ecx\n pop %ebx\n pop %eax\n" DONE);

Test(code, lookahead_changes_the_cost_and_nothing_else)
{
	struct cg g;

	cg_load(&g, cg_bunch, cg_bunch_end);
	g.vm.lookahead = true;
	cg_go(&g);
	cr_expect(REG(&g, EAX) & FL_IF);
	cr_expect_not(REG(&g, EBX) & FL_IF);
	cr_expect_eq(REG(&g, ECX), CR0_PE | CR0_ET);
	cr_expect_eq(account_count(g.v.account, CAUSE_INSN(OP_PUSHF)), 2);
	/*
	 * sti follows on the fault that had the page scanned.  The pushf behind it is in its shadow
	 * and traps; cli, pushf and smsw follow on that.
	 */
	cr_expect_eq(account_lookaheads(g.v.account), 4);
	cg_free(&g);
}

/* ---- guest memory stays as it is ---- */

Test(code, guest_memory_is_not_modified)
{
	struct cg g;

	RUN(&g, cg_flags);
	cr_expect_arr_eq(g.vm.ram + CG_CODE, cg_flags, (size_t)(cg_flags_end - cg_flags));
	cr_expect_geq(g.st.patches, 4);
	cg_free(&g);
}

/* ---- page boundaries ---- */

GUEST(cg_straddle,
      "jmp 1f\n .fill 4094 - (. - base), 1, 0x90\n 2: nop\n smsw %eax\n pushf\n pop %ebx\n" DONE
      "1: jmp 2b\n");
/* 0f at the end of one page, 01 e0 on the next. */
Test(code, sensitive_instruction_across_a_page_boundary)
{
	struct cg g;

	cr_assert_eq(cg_straddle[4095], 0x0f);
	RUN(&g, cg_straddle);
	cr_expect_eq(REG(&g, EAX), CR0_PE | CR0_ET);
	cr_expect_not(REG(&g, EBX) & FL_IF);
	cg_free(&g);
}

GUEST(cg_straddle_jcc,
      "mov $3,%ecx\n xor %ebx,%ebx\n jmp 1f\n .fill 4092 - (. - base), 1, 0x90\n"
      "2: inc %ebx\n dec %ecx\n 1: test %ecx,%ecx\n .byte 0x0f,0x85\n .long 2b - . - 4\n" DONE);
/* The same first byte, but an ordinary jne rel32: it has to trap, and do what it always does. */
Test(code, ordinary_instruction_whose_opcode_is_split_by_a_page)
{
	struct cg g;
	const uint8_t *p = cg_straddle_jcc + 4094;

	cr_assert(p[2] == 0x0f || p[1] == 0x0f || p[0] == 0x0f);
	RUN(&g, cg_straddle_jcc);
	cr_expect_eq(REG(&g, EBX), 3);
	cr_expect_eq(REG(&g, ECX), 0);
	cg_free(&g);
}

/* GDT at 0x4000 and IDT at 0x3000 with one gate, to @handler. */
#define CG_GATE(vector, handler)                                                             \
	"movl $0x0000ffff,0x4008\n movl $0x00cf9b00,0x400c\n movl $0x0000ffff,0x4010\n"      \
	"movl $0x00cf9300,0x4014\n movw $0x17,0x2e00\n movl $0x4000,0x2e02\n"                \
	"movw $0x7ff,0x2f00\n movl $0x3000,0x2f02\n mov $" A(                                \
		handler) ",%eax\n"                                                           \
			 "mov %ax,0x3000+8*" #vector "\n movw $8,0x3002+8*" #vector "\n"     \
			 "movw $0x8e00,0x3004+8*" #vector                                    \
			 "\n shr $16,%eax\n mov %ax,0x3006+8*" #vector "\n"                  \
			 "lgdt 0x2e00\n lidt 0x2f00\n mov %cr4,%eax\n or $0x600,%eax\n mov " \
			 "%eax,%cr4\n"

/* The opcode of movaps is split by a page, so it traps; it is not emulated but stepped. */
#define CG_SPLIT_MOVAPS                                                           \
	"mov $" A("1f") ",%edx\n jmp *%edx\n .fill 0xffd - (. - base), 1, 0x90\n" \
			"1: push $2\n .byte 0x0f, 0x28, 0x06\n 2: " DONE

GUEST(cg_split_gp,
      CG_GATE(13, "3f") "mov $0x180001,%esi\n" CG_SPLIT_MOVAPS "3: pop %ecx\n pop %ebx\n" DONE);

/* Its own fault is the guest's, not the patch's. */
Test(code, fault_of_an_instruction_that_is_stepped)
{
	static struct cg g;

	RUN(&g, cg_split_gp);
	cr_expect_eq(REG(&g, EBX), CG_CODE + 0xfff, "%#x", REG(&g, EBX));
	cr_expect_eq(REG(&g, ECX), 0);
	cg_free(&g);
}

GUEST(cg_split_tf,
      CG_GATE(1, "3f") "mov $0x180000,%esi\n pushl $0x102\n"
		       "jmp 1f\n .fill 0xffe - (. - base), 1, 0x90\n"
		       "1: popf\n .byte 0x0f, 0x28, 0x06\n 2: nop\n " DONE "3: pop %ebx\n" DONE);

/* Nor does the step swallow the trap of a guest that single-steps. */
Test(code, guest_single_steps_an_instruction_that_is_stepped)
{
	static struct cg g;

	RUN(&g, cg_split_tf);
	cr_expect_eq(REG(&g, EBX), CG_CODE + 0x1002, "%#x", REG(&g, EBX));
	cg_free(&g);
}

GUEST(cg_straddle_imm,
      "jmp 1f\n .fill 4094 - (. - base), 1, 0x90\n 2: mov $0x9c11,%eax\n" DONE "1: jmp 2b\n");
/* What faults for lack of execute permission is the second page: no instruction starts there. */
Test(code, end_of_an_instruction_on_the_next_page_is_not_an_entry)
{
	struct cg g;

	cr_assert_eq(cg_straddle_imm[4096], 0x9c); /* pushf, if it were one */
	RUN(&g, cg_straddle_imm);
	cr_expect_eq(REG(&g, EAX), 0x9c11, "%#x", REG(&g, EAX));
	cg_free(&g);
}

GUEST(cg_straddle_overlap,
      "sti\n xor %ecx,%ecx\n jmp 1f\n .fill 4094 - (. - base), 1, 0x90\n"
      "2: .byte 0xb8,0x11\n 3: pushf\n pop %ebx\n nop\n" /* mov $0x905b9c11,%eax */
      "inc %ecx\n cmp $1,%ecx\n je 3b\n cmp $2,%ecx\n je 2b\n cli\n" DONE "1: jmp 2b\n");
/* The patch of the pushf, which the first page learns of late, must not get into the mov. */
Test(code, overlap_across_a_page_boundary)
{
	struct cg g;

	cr_assert_eq(cg_straddle_overlap[4096], 0x9c);
	RUN(&g, cg_straddle_overlap);
	cr_expect_eq(REG(&g, EAX), 0x905b9c11, "%#x", REG(&g, EAX));
	cr_expect(REG(&g, EBX) & FL_IF);
	cr_expect_eq(REG(&g, ECX), 3);
	cg_free(&g);
}

/* ---- overlapping instructions, second entries ---- */

GUEST(cg_overlap, "sti\n mov $0x11111111,%eax\n xor %ecx,%ecx\n"
		  "1: .byte 0xb8\n 2: pushf\n pop %ebx\n nop\n nop\n" /* mov $0x90905b9c,%eax */
		  "inc %ecx\n cmp $1,%ecx\n je 2b\n cli\n" DONE);
/* Reached as mov and, by a direct branch into its immediate, as pushf; pop. */
Test(code, overlapping_instructions_each_do_what_they_are)
{
	struct cg g;

	RUN(&g, cg_overlap);
	cr_expect_eq(REG(&g, EAX), 0x90905b9c, "the mov kept its immediate");
	cr_expect(REG(&g, EBX) & FL_IF, "the hidden pushf trapped");
	cr_expect_eq(REG(&g, ECX), 2);
	cg_free(&g);
}

GUEST(cg_second,
      "sti\n mov $" A("1f") ",%edx\n mov $0,%ecx\n call *%edx\n jmp 3f\n"
			    ".fill 64, 1, 0x06\n .byte 0x0f\n" /* junk that swallows what follows if
								  swept from its start */
			    "1: pushf\n pop %eax\n ret\n 3:" DONE);
/* Only an indirect call reaches it: the sweep must have found it, or the first trap there. */
Test(code, code_behind_an_indirect_call)
{
	struct cg g;

	RUN(&g, cg_second);
	cr_expect_gt(g.st.unverified + g.st.assumed, 0, "the scanner cannot have proven it");
	cg_free(&g);
}

GUEST(cg_iret,
      "lgdt " A("9f") "\n pushf\n push $0x08\n push $" A(
	      "1f") "\n sti\n iret\n"
		    ".fill 5000 - (. - base), 1, 0x0e\n"
		    "1: pushf\n pop %eax\n" DONE ".balign 8\n 9: .word 8f - 7f - 1\n .long " A(
			    "7f") "\n .balign 8\n"
				  "7: .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff\n 8:");
/* The emulator knows where iret goes, so a page entered that way is scanned from there. */
Test(code, target_of_an_emulated_transfer_is_an_entry)
{
	struct cg g;

	RUN(&g, cg_iret);
	cr_expect_not(REG(&g, EAX) & FL_IF);
	cr_expect_eq(account_count(g.v.account, CAUSE_INSN(OP_IRET)), 1);
	cg_free(&g);
}

/* ---- code that is written ---- */

GUEST(cg_selfmod, "sti\n movb $0x9c," A("1f") "\n movb $0x58,1+" A(
			  "1f") "\n jmp 1f\n 1: nop\n nop\n"
				"mov %eax,%ebx\n movw $0x9090," A(
					"2f") "\n xor %eax,%eax\n 2: pushf\n pop %eax\n" DONE);
/* pushf; pop written over nops just ahead on the same page, and nops over pushf; pop. */
Test(code, code_that_writes_its_own_page)
{
	struct cg g;

	RUN(&g, cg_selfmod);
	cr_expect(REG(&g, EBX) & FL_IF);
	cr_expect_eq(REG(&g, EAX), 0);
	cr_expect_geq(g.st.writes, 3);
	cg_free(&g);
}

GUEST(cg_rewrite, "sti\n mov $20,%ecx\n xor %esi,%esi\n"
		  "1: movl $0xc358"
		  "9c,0x110000\n call 9f\n and $0x200,%eax\n add %eax,%esi\n" /* pushf pop ret */
		  "movl $0xc3c031,0x110000\n call 9f\n add %eax,%esi\n" /* xor %eax,%eax; ret */
		  "loop 1b\n" DONE "9: mov $0x110000,%edx\n jmp *%edx\n");
/* Another page, rewritten and executed again and again: dropped at first, then emulated. */
Test(code, code_page_rewritten_by_another_page)
{
	struct cg g;

	RUN(&g, cg_rewrite);
	cr_expect_eq(REG(&g, ESI), 20 * 0x200);
	cr_expect_geq(g.st.drops, 2);
	cr_expect_geq(g.st.writes, 2, "after a few drops writes are emulated");
	cg_free(&g);
}

GUEST(cg_data, "mov $1000,%ecx\n 1: incl " A("2f") "\n addl $2,4+" A(
		       "2f") "\n loop 1b\n"
			     "mov " A("2f") ",%eax\n mov 4+" A("2f") ",%ebx\n" DONE
								     ".balign 4\n 2: .long 5, 7\n");

Test(code, page_that_is_code_and_data)
{
	struct cg g;

	RUN(&g, cg_data);
	cr_expect_eq(REG(&g, EAX), 1005);
	cr_expect_eq(REG(&g, EBX), 2007);
	cr_expect_eq(g.st.writes, 2000);
	cr_expect_leq(g.st.rescans, 1, "data beside code does not need a new scan each time");
	cg_free(&g);
}

GUEST(cg_bulk, "sti\n mov $" A("1f") ",%esi\n mov $" A(
		       "2f") ",%edi\n mov $(3f - 1f),%ecx\n rep movsb\n"
			     "2: nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n" DONE
			     "1: pushf\n pop %eax\n smsw %ebx\n nop\n 3:");

Test(code, code_copied_over_the_running_page)
{
	struct cg g;

	RUN(&g, cg_bulk);
	cr_expect(REG(&g, EAX) & FL_IF);
	cr_expect_eq(REG(&g, EBX), CR0_PE | CR0_ET);
	cg_free(&g);
}

GUEST(cg_sse,
      "sti\n movl $0x9090589c,0x180000\n movl $0x90909090,%eax\n mov %eax,0x180004\n"
      "mov %eax,0x180008\n mov %eax,0x18000c\n movups 0x180000,%xmm0\n movups %xmm0," A(
	      "2f") "\n"
		    "2: nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n "
		    "nop\n nop\n nop\n nop\n" DONE);
/* A store the emulator does not know is stepped on the original page. */
Test(code, sse_store_into_the_running_page)
{
	struct cg g;

	RUN(&g, cg_sse);
	cr_expect(REG(&g, EAX) & FL_IF);
	cr_expect_geq(g.st.steps, 1);
	cg_free(&g);
}

/* ---- 16-bit code ---- */

GUEST(cg_16,
      "lgdt " A("9f") "\n sti\n ljmp $0x18,$(1f - base)\n"
		      "1: .code16\n pushf\n pop %ax\n mov $0x1234,%bx\n jmp 2f\n .byte 0x0f\n 2: "
		      "smsw %cx\n"
		      "ljmpl $0x08,$" A(
			      "3f") "\n .code32\n 3: pushf\n pop %edx\n" DONE
				    ".balign 8\n 9: .word 8f - 7f - 1\n .long " A(
					    "7f") "\n .balign 8\n"
						  "7: .quad 0, 0x00cf9b000000ffff, "
						  "0x00cf93000000ffff, 0x00009b100000ffff\n 8:");
/* The same page as 32-bit, 16-bit and again 32-bit code. */
Test(code, sixteen_bit_code_segment_on_the_same_page)
{
	struct cg g;

	RUN(&g, cg_16);
	cr_expect(REG(&g, EAX) & FL_IF);
	cr_expect_eq(REG(&g, EBX) & 0xffff, 0x1234);
	cr_expect_eq(REG(&g, ECX) & 0xffff, CR0_PE | CR0_ET);
	cr_expect(REG(&g, EDX) & FL_IF);
	cg_free(&g);
}

/* ---- cost ---- */

GUEST(cg_plain, "mov $100000,%ecx\n 1: add %ecx,%eax\n call 2f\n loop 1b\n" DONE
		".fill 4096 - (. - base), 1, 0x90\n 2: xor %eax,%ebx\n ret\n");

Test(code, ordinary_code_takes_no_trap_after_its_first_execution)
{
	struct cg g;

	RUN(&g, cg_plain);
	/* One fill of RAM, two code pages (each after a fetch fault), and the out that ends it. */
	cr_expect_leq(account_total(g.v.account), 6, "%lu exits",
		      (unsigned long)account_total(g.v.account));
	cr_expect_eq(g.st.scans, 2);
	cg_free(&g);
}

GUEST(cg_tsc, "mov $0x10,%ecx\n xor %edx,%edx\n mov $1000,%eax\n rdtsc\n mov %edx,%esi\n"
	      "mov $0x10,%ecx\n xor %edx,%edx\n xor %eax,%eax\n wrmsr\n rdtsc\n" DONE);
/* SDM Vol. 3B, "Time-Stamp Counter" (17.17): a write of IA32_TIME_STAMP_COUNTER moves the counter.
 */
Test(code, rdtsc_is_native_until_the_guest_writes_its_tsc)
{
	struct cg g;

	RUN(&g, cg_tsc);
	cr_expect_eq(account_count(g.v.account, CAUSE_INSN(OP_RDTSC)), 1, "only the second traps");
	cr_expect_leq(REG(&g, EDX), 10, "soon after zero: less than 10 * 2^32 ticks");
	cg_free(&g);
}

/* ---- many pages ---- */

Test(code, more_code_pages_than_copies)
{
	static const uint8_t snippet[] = { 0x9c, 0x58 }; /* pushf; pop %eax */
	const unsigned pages = CODE_PAGES + 700;
	struct cg g;

	memset(&g, 0, sizeof(g));
	cr_assert_eq(vm_init(&g.vm, CG_CODE + (uint64_t)(pages + 1) * PAGE_SIZE), 0);
	struct bus_range r = { .name = "done",
			       .base = 0xf4,
			       .len = 1,
			       .dev = &g.vm,
			       .read = cg_read,
			       .write = cg_done };

	bus_add(&g.vm.pio, &r);
	g.v.vm = &g.vm;
	g.v.account = account_new();
	g.vm.vcpu[0] = &g.v;
	g.vm.vcpus = 1;
	vcpu_boot_multiboot(&g.v, CG_CODE, 0, 0);
	g.v.regs.gpr[ESP] = 0x80000;
	/* Each page: pushf; pop %eax; jmp to the next page's start. */
	for (unsigned i = 0; i < pages; i++) {
		uint8_t *p = g.vm.ram + CG_CODE + i * PAGE_SIZE;

		memcpy(p, snippet, sizeof(snippet));
		p[2] = 0xe9;
		memcpy(p + 3, &(uint32_t){ PAGE_SIZE - 7 }, 4);
	}
	g.vm.ram[CG_CODE + pages * PAGE_SIZE] = 0xe6; /* out %al,$0xf4 */
	g.vm.ram[CG_CODE + pages * PAGE_SIZE + 1] = 0xf4;
	cr_assert_eq(world_engine.create(&g.v, &g.v.engine), 0);
	cg_go(&g);
	cr_expect_eq(account_count(g.v.account, CAUSE_INSN(OP_PUSHF)), pages);
	cr_expect_geq(g.st.flushes, 1);
	cg_free(&g);
}
