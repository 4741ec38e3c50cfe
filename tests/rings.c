/* SPDX-License-Identifier: MIT */
/*
 * Ring compression under the real run loop: rings 0 to 3 of a guest with paging, all of them at the
 * host's ring 3, and every way from one to the other.
 */
#include "tests/paging_guest.h"

TestSuite(rings, .timeout = 30);

/* From ring 3, with an empty user stack and IF: the frame of a stack switch. */
#define EXPECT_USER_FRAME(g, n)                                                       \
	do {                                                                          \
		const struct pk_record *u_ = pk_record(g, n);                         \
		cr_expect_eq(u_->cs, PK_CS3, "record %u: cs %#x", n, u_->cs);         \
		cr_expect_eq(u_->ss, PK_DS3, "record %u: ss %#x", n, u_->ss);         \
		cr_expect_eq(u_->esp, PK_STACK3, "record %u: esp %#x", n, u_->esp);   \
		cr_expect(u_->eflags &FL_IF, "record %u: eflags %#x", n, u_->eflags); \
	} while (0)

/* ---- exceptions and interrupts from ring 3 ---- */

/* clang-format off */
GUEST(ri_exceptions, PK_KERNEL PK_PAGING PK_TO_USER("1f") ".balign 4096\n 1:"
      PK_TRY("hlt") PK_TRY("ud2") PK_TRY("xor %ecx,%ecx\n div %ecx")
      PK_TRY("mov $8,%eax\n mov %eax,%ds") PK_TRY("mov %cr0,%eax") PK_TRY("mov 0x300000,%eax")
      PK_TRY("mov $5,%eax\n bound %eax," A("2f")) PK_TRY("lgdt 0x180000") PK_TRY("ltr %ax") PK_END
      "2: .long 0,4\n");
/* clang-format on */

/* SDM Vol. 3A, "Exception- or Interrupt-Handler Procedures" (6.12.1). */
Test(rings, user_exceptions_come_with_the_users_frame)
{
	static const struct {
		unsigned vector, error, byte;
	} want[] = {
		{ VEC_GP, 0, 0xf4 }, { VEC_UD, 0, 0x0f }, { VEC_DE, 0, 0xf7 },
		{ VEC_GP, 8, 0x8e }, { VEC_GP, 0, 0x0f }, { VEC_PF, PF_USER | PF_PRESENT, 0xa1 },
		{ VEC_BR, 0, 0x62 }, { VEC_GP, 0, 0x0f }, { VEC_GP, 0, 0x0f },
	};
	struct cg g;

	PK_LOAD(&g, ri_exceptions);
	cg_go(&g);
	cr_assert_eq(pk_records(&g), 10);
	for (unsigned i = 0; i < 9; i++) {
		PK_EXPECT(&g, i, want[i].vector, want[i].error);
		EXPECT_USER_FRAME(&g, i);
		cr_expect_eq(pk_code_at(&g, i, 0), want[i].byte, "record %u: eip at %#x", i,
			     pk_code_at(&g, i, 0));
		cr_expect(pk_record(&g, i)->eflags & FL_RF, "record %u: a fault sets RF", i);
	}
	cr_expect_eq(pk_record(&g, 9)->vector, 0x20);
	cr_expect_not(pk_record(&g, 9)->eflags & FL_RF);
	cg_free(&g);
}

/* clang-format off */
GUEST(ri_soft, PK_KERNEL PK_PAGING PK_TO_USER("1f") ".balign 4096\n 1:"
      PK_TRY("int3") PK_TRY("mov $0x7fffffff,%eax\n inc %eax\n into") PK_TRY("int $0x21")
      PK_TRY("int $0x80") PK_TRY("int $0x81") PK_TRY("int $14") PK_TRY("int1") PK_END);
/* clang-format on */

/* SDM Vol. 2, "INT n": the DPL of the gate is checked for these, and the CPU's own #DB is not. */
Test(rings, software_interrupts_need_a_gate_for_the_ring)
{
	unsigned n = 0;
	struct cg g;

	for (unsigned dpl = 0; dpl < 4; dpl += 3) {
		bool may = dpl == 3;

		PK_LOAD(&g, ri_soft);
		pk_gate(&g, VEC_BP, dpl, 0);
		pk_gate(&g, VEC_OF, dpl, 0);
		pk_gate(&g, 0x21, dpl, 0);
		pk_gate(&g, 0x80, dpl, PK_STUB(0x2e));
		pk_gate(&g, 0x81, 0, PK_STUB(0x2f));
		cg_go(&g);
		cr_assert_eq(pk_records(&g), 8);
		PK_EXPECT(&g, 0, may ? VEC_BP : VEC_GP, may ? 0 : VEC_BP << 3 | 2);
		PK_EXPECT(&g, 1, may ? VEC_OF : VEC_GP, may ? 0 : VEC_OF << 3 | 2);
		PK_EXPECT(&g, 2, may ? 0x21 : VEC_GP, may ? 0 : 0x21 << 3 | 2);
		PK_EXPECT(&g, 3, may ? 0x2e : VEC_GP, may ? 0 : 0x80 << 3 | 2);
		PK_EXPECT(&g, 4, VEC_GP, 0x81 << 3 | 2);
		PK_EXPECT(&g, 5, VEC_GP, VEC_PF << 3 | 2);
		PK_EXPECT(&g, 6, VEC_DB, 0);
		for (n = 0; n < 7; n++)
			EXPECT_USER_FRAME(&g, n);
		/* Traps are reported behind the instruction, faults on it. */
		cr_expect_eq(pk_code_at(&g, 0, may ? -1 : 0), 0xcc);
		cr_expect_eq(pk_code_at(&g, 1, may ? -1 : 0), 0xce);
		cr_expect_eq(pk_code_at(&g, 2, may ? -2 : 0), 0xcd);
		cr_expect_eq(pk_code_at(&g, 3, may ? -2 : 0), 0xcd);
		cr_expect_eq(pk_code_at(&g, 6, -1), 0xf1);
		cg_free(&g);
	}
}

/* clang-format off */
GUEST(ri_step, PK_KERNEL PK_PAGING PK_TO_USER("1f") ".balign 4096\n 1:"
      "pushf\n orl $0x100,(%esp)\n popf\n nop\n mov $7,%ebx\n pushf\n andl $~0x100,(%esp)\n popf\n"
      "nop\n" PK_END);
/* clang-format on */

/* SDM Vol. 3B, "Single-Step Exception Condition" (17.3.1.4): first after the one behind POPF. */
Test(rings, user_single_steps_itself)
{
	static const unsigned behind[] = { 0x90, 0xbb, 0x9c, 0x81, 0x9d };
	static const int len[] = { 1, 5, 1, 7, 1 };
	struct cg g;

	PK_RUN(&g, ri_step);
	cr_assert_eq(pk_records(&g), 6);
	for (unsigned i = 0; i < 5; i++) {
		PK_EXPECT(&g, i, VEC_DB, 0);
		cr_expect_eq(pk_record(&g, i)->cs, PK_CS3);
		cr_expect_eq(pk_code_at(&g, i, -len[i]), behind[i], "step %u at %#x", i,
			     pk_record(&g, i)->eip);
		cr_expect_eq(!!(pk_record(&g, i)->eflags & FL_TF), i < 4, "step %u", i);
	}
	cr_expect(g.v.sh.dr[6] & 1u << 14, "DR6.BS");
	cg_free(&g);
}

/* ---- ports ---- */

static struct {
	unsigned reads, writes;
	struct cg *nmi; /* port e3 */
} ri_io;

static uint32_t ri_in(void *dev, uint64_t off, unsigned width)
{
	(void)dev;
	(void)width;
	ri_io.reads |= 1u << off;
	return 0x5a;
}

static void ri_out(void *dev, uint64_t off, unsigned width, uint32_t val)
{
	(void)dev;
	(void)width;
	(void)val;
	ri_io.writes |= 1u << off;
	if (off == 3 && ri_io.nmi)
		atomic_store(&ri_io.nmi->v.nmi_pending, true);
}

static void ri_ports(struct cg *g)
{
	struct bus_range r = {
		.name = "ports", .base = 0xe0, .len = 8, .read = ri_in, .write = ri_out
	};

	memset(&ri_io, 0, sizeof(ri_io));
	cr_assert_eq(bus_add(&g->vm.pio, &r), 0);
}

static void ri_allow(struct cg *g, unsigned port)
{
	g->vm.ram[PK_TSS + 0x68 + port / 8] &= (uint8_t) ~(1u << port % 8);
}

/* clang-format off */
GUEST(ri_bitmap, PK_KERNEL PK_PAGING PK_TO_USER("1f") ".balign 4096\n 1: xor %ebx,%ebx\n"
      PK_TRY("in $0xe1,%al\n mov %al,%bl") PK_TRY("in $0xe2,%al") PK_TRY("in $0xe1,%ax")
      PK_TRY("mov $0xe4,%edx\n out %al,%dx") PK_TRY("out %al,$0xe5") PK_TRY("mov $0x180100,%edi\n"
      "mov $0xe1,%edx\n insb") PK_TRY("mov $0x3ff,%edx\n in %dx,%al") PK_TRY("cli") PK_END);
/* clang-format on */

/* SDM Vol. 1, "I/O Permission Bit Map" (19.5.2). */
Test(rings, io_permission_bitmap_opens_single_ports)
{
	struct cg g;

	PK_LOAD(&g, ri_bitmap);
	ri_ports(&g);
	ri_allow(&g, 0xe1);
	ri_allow(&g, 0xe4);
	cg_go(&g);
	cr_assert_eq(pk_records(&g), 6);
	for (unsigned i = 0; i < 5; i++)
		PK_EXPECT(&g, i, VEC_GP, 0);
	cr_expect_eq(REG(&g, EBX), 0x5a);
	cr_expect_eq(*pk_word(&g, 0x180100), 0x5a, "insb");
	cr_expect_eq(pk_code_at(&g, 0, 1), 0xe2);
	cr_expect_eq(pk_code_at(&g, 1, 0), 0x66, "two ports, one closed");
	cr_expect_eq(pk_code_at(&g, 2, 1), 0xe5);
	cr_expect_eq(pk_code_at(&g, 3, 0), 0xec, "beyond the bitmap");
	cr_expect_eq(pk_code_at(&g, 4, 0), 0xfa, "the bitmap does not open CLI");
	cr_expect_eq(ri_io.reads, 1u << 1);
	cr_expect_eq(ri_io.writes, 1u << 4);
	cg_free(&g);
}

/* clang-format off */
GUEST(ri_iopl, PK_KERNEL PK_PAGING PK_TO_RING(0x1b, 0x23, 0x3f0000, 0x3202, "1f") ".balign 4096\n"
      "1: cli\n int $0x21\n sti\n int $0x21\n in $0xe2,%al\n mov %al,%bl\n out %al,$0xe5\n"
      PK_TRY("hlt") PK_END);
/* clang-format on */

/* SDM Vol. 1, "I/O Privilege Level" (19.5.1). */
Test(rings, user_with_iopl_3_has_interrupt_flag_and_ports)
{
	struct cg g;

	PK_LOAD(&g, ri_iopl);
	ri_ports(&g);
	pk_gate(&g, 0x21, 3, 0);
	cg_go(&g);
	cr_assert_eq(pk_records(&g), 4);
	cr_expect_eq(pk_record(&g, 0)->eflags & (FL_IF | FL_IOPL), FL_IOPL, "after cli");
	cr_expect_eq(pk_record(&g, 1)->eflags & (FL_IF | FL_IOPL), FL_IF | FL_IOPL, "after sti");
	PK_EXPECT(&g, 2, VEC_GP, 0);
	cr_expect_eq(REG(&g, EBX), 0x5a);
	cr_expect_eq(ri_io.reads, 1u << 2);
	cr_expect_eq(ri_io.writes, 1u << 5);
	cg_free(&g);
}

/* clang-format off */
GUEST(ri_nmi, PK_KERNEL PK_PAGING PK_TO_USER("1f") ".balign 4096\n"
      "1: out %al,$0xe3\n 2: inc %ebx\n cmpl $0,0x180000\n je 2b\n" PK_END);
/* clang-format on */

Test(rings, interrupt_from_the_user_switches_to_the_kernels_stack)
{
	struct cg g;

	PK_LOAD(&g, ri_nmi);
	ri_ports(&g);
	ri_allow(&g, 0xe3);
	ri_io.nmi = &g;
	cg_go(&g);
	cr_assert_eq(pk_records(&g), 2);
	PK_EXPECT(&g, 0, VEC_NMI, 0);
	EXPECT_USER_FRAME(&g, 0);
	cr_expect_eq(pk_code_at(&g, 0, -2), 0xe6, "right after the out");
	/* Below the seven words of the stub, SS:ESP, EFLAGS, CS:EIP: the top of the ring-0 stack.
	 */
	cr_expect_eq(*pk_word(&g, PK_STACK0 - 4), PK_DS3);
	cr_expect_eq(*pk_word(&g, PK_STACK0 - 16), PK_CS3);
	cg_free(&g);
}

/* ---- gates and returns ---- */

/* clang-format off */
GUEST(ri_gate, PK_KERNEL PK_CALL_GATE(0x38, "2f") PK_PAGING PK_TO_USER("1f") ".balign 4096\n"
      "1: push $0x1000\n push $0x234\n lcall $0x3b,$0\n mov %esp,%edi\n"
      PK_TRY("lcall $0x6b,$0") PK_TRY("ljmp $0x3b,$0") PK_END ".balign 4096\n"
      "2: mov %cs,%ecx\n mov %ss,%edx\n mov 8(%esp),%ebx\n add 12(%esp),%ebx\n"
      "mov 16(%esp),%ebp\n mov %esp,%esi\n mov 0x300000,%eax\n lret $8\n");
/* clang-format on */

/* SDM Vol. 3A, "Stack Switching" (5.8.5), "Returning from a Called Procedure" (5.8.6). */
Test(rings, call_gate_copies_parameters_and_lret_takes_them_back)
{
	struct cg g;

	PK_LOAD(&g, ri_gate);
	*pk_word(&g, 0x300000) = 0xfeed;
	cg_go(&g);
	cr_assert_eq(pk_records(&g), 3);
	cr_expect_eq(REG(&g, EBX), 0x1234);
	cr_expect_eq(REG(&g, ECX), PK_CS0);
	cr_expect_eq(REG(&g, EDX), PK_DS0);
	cr_expect_eq(REG(&g, ESI), PK_STACK0 - 24);
	cr_expect_eq(REG(&g, EAX), 0xfeed, "ring 0 reads supervisor pages");
	cr_expect_eq(REG(&g, EDI), PK_STACK3, "both stacks lose the parameters");
	cr_expect_eq(REG(&g, EBP), PK_STACK3 - 8, "the user's ESP before the parameters are gone");
	PK_EXPECT(&g, 0, VEC_GP, PK_GATE1);
	PK_EXPECT(&g, 1, VEC_GP, PK_CS0);
	cg_free(&g);
}

/* clang-format off */
GUEST(ri_lret, PK_KERNEL PK_PAGING "mov $0x10,%eax\n mov %eax,%fs\n mov $0x23,%eax\n"
      "mov %eax,%gs\n"
      "push $0x23\n push $0x3f0000\n push $0x1b\n push $" A("1f") "\n lret\n" ".balign 4096\n"
      "1: mov %fs,%ebx\n mov %gs,%ecx\n mov $0x23,%eax\n mov %eax,%ds\n" PK_TRY("ud2")
      PK_TRY("push $0x23\n push $0x3f0000\n push $0x08\n push $0x101000\n lret") PK_END);
/* clang-format on */

/* SDM Vol. 2, RET: data segments of inner rings become null; no return inwards. */
Test(rings, far_return_to_the_outer_ring)
{
	struct cg g;

	PK_RUN(&g, ri_lret);
	cr_assert_eq(pk_records(&g), 3);
	PK_EXPECT(&g, 0, VEC_UD, 0);
	cr_expect_eq(pk_record(&g, 0)->cs, PK_CS3);
	cr_expect_eq(pk_record(&g, 0)->esp, PK_STACK3);
	cr_expect_eq(g.v.regs.seg[SEG_FS].sel, 0, "fs %#x", g.v.regs.seg[SEG_FS].sel);
	cr_expect_eq(g.v.regs.seg[SEG_GS].sel, PK_DS3);
	PK_EXPECT(&g, 1, VEC_GP, PK_CS0);
	cg_free(&g);
}

/* ---- rings 1 and 2 ---- */

/* clang-format off */
#define RI_INNER                                                                            \
	"mov %cs,%ebx\n mov 0x300000,%ecx\n movl $0x77,0x300004\n" PK_TRY("cli")           \
	PK_TRY("mov %cr3,%eax") PK_TRY("hlt") PK_TRY("lidt 0x2f00") PK_TRY("invlpg 0x300000") \
	PK_TRY("in $0xe2,%al") "pushf\n pop %ebp\n"
GUEST(ri_ring1, PK_KERNEL PK_CALL_GATE(0x68, "2f") PK_PAGING
      PK_TO_RING(0x41, 0x49, 0x18f000, 0x002, "1f")
      "1:" RI_INNER "lcall $0x69,$0\n mov %cs,%esi\n" PK_END "2: mov %cs,%edi\n mov %cr3,%edx\n"
      "lret\n");
GUEST(ri_ring2, PK_KERNEL PK_CALL_GATE(0x38, "2f") PK_PAGING
      PK_TO_RING(0x52, 0x5a, 0x18e000, 0x002, "1f")
      "1:" RI_INNER "push $1\n push $2\n lcall $0x3a,$0\n mov %cs,%esi\n" PK_END
      "2: mov %cs,%edi\n mov %cr3,%edx\n lret $8\n");
/* clang-format on */

/*
 * Supervisor mode is rings 0 to 2 (SDM Vol. 3A, 4.6), privileged instructions are ring 0's.  Their
 * code runs in the kernel view, where reads of CS and PUSHF trap.
 */
static void ri_inner(const uint8_t *code, const uint8_t *end, unsigned cs, unsigned ss,
		     uint32_t stack)
{
	struct cg g;

	pk_load(&g, code, end);
	ri_ports(&g);
	*pk_word(&g, 0x300000) = 0xbeef;
	cg_go(&g);
	cr_assert_eq(pk_records(&g), 7);
	for (unsigned i = 0; i < 6; i++) {
		PK_EXPECT(&g, i, VEC_GP, 0);
		cr_expect_eq(pk_record(&g, i)->cs, cs);
		cr_expect_eq(pk_record(&g, i)->ss, ss);
		cr_expect_eq(pk_record(&g, i)->esp, stack);
	}
	cr_expect_eq(REG(&g, EBX), cs);
	cr_expect_eq(REG(&g, ECX), 0xbeef);
	cr_expect_eq(*pk_word(&g, 0x300004), 0x77);
	cr_expect_eq(REG(&g, EDI), PK_CS0);
	cr_expect_eq(REG(&g, EDX), PK_PD);
	cr_expect_eq(REG(&g, ESI), cs);
	cr_expect_not(REG(&g, EBP) & FL_IF, "pushf shows the guest's flags");
	cr_expect_eq(ri_io.reads, 0);
	cg_free(&g);
}

Test(rings, ring_1_is_supervisor_but_not_privileged)
{
	ri_inner(ri_ring1, ri_ring1_end, PK_CS1, PK_DS1, PK_STACK1);
}

Test(rings, ring_2_is_supervisor_but_not_privileged)
{
	ri_inner(ri_ring2, ri_ring2_end, PK_CS2, PK_DS2, PK_STACK2);
}

/* ---- faults in fault handling ---- */

/* clang-format off */
GUEST(ri_nested, PK_KERNEL PK_PAGING PK_TO_USER("1f") ".balign 4096\n"
      "1: movl $" A("66f") ",0x180008\n mov 0x300000,%eax\n 66:" PK_END ".balign 4096\n"
      /* The page-fault handler reads a page that is not present before it records. */
      "2: cmpl $0,0x180004\n jne 3f\n movl $" A("4f") ",0x180004\n mov 0x304000,%eax\n"
      "4: mov 0x180008,%ecx\n mov %ecx,0x180004\n 3: push $14\n jmp 900b\n");
/* clang-format on */

Test(rings, page_fault_in_the_page_fault_handler)
{
	struct cg g;

	PK_LOAD(&g, ri_nested);
	pk_gate(&g, VEC_PF, 0, CG_CODE + 2 * PAGE_SIZE);
	*pk_pte(&g, 0x304000) = 0;
	cg_go(&g);
	cr_assert_eq(pk_records(&g), 3);
	PK_EXPECT_PF(&g, 0, 0, 0x304000);
	cr_expect_eq(pk_record(&g, 0)->cs, PK_CS0);
	PK_EXPECT(&g, 1, VEC_PF, PF_USER | PF_PRESENT);
	EXPECT_USER_FRAME(&g, 1);
	cg_free(&g);
}

/* clang-format off */
GUEST(ri_double, PK_KERNEL PK_PAGING PK_TO_USER("1f") ".balign 4096\n"
      "1:" PK_TRY("mov 0x300000,%eax") PK_END);
/* clang-format on */

/* SDM Vol. 3A, "Interrupt 8" (6.15): #PF, and its gate is not present. */
Test(rings, double_fault)
{
	struct cg g;

	PK_LOAD(&g, ri_double);
	*pk_word(&g, 0x3004 + 8 * VEC_PF) &= ~0x8000u;
	cg_go(&g);
	cr_assert_eq(pk_records(&g), 2);
	PK_EXPECT(&g, 0, VEC_DF, 0);
	cr_expect_eq(pk_record(&g, 0)->cs, PK_CS3);
	cr_expect_eq(pk_record(&g, 0)->cr2, 0x300000);
	cg_free(&g);
}

/* A ring-0 stack that is not mapped: neither the fault nor the double fault can be delivered. */
Test(rings, triple_fault_on_a_bad_kernel_stack)
{
	struct cg g;

	PK_LOAD(&g, ri_double);
	*pk_word(&g, PK_TSS + 4) = 0x500000;
	pk_die(&g, "triple fault");
	cg_free(&g);
	PK_LOAD(&g, ri_double);
	*pk_word(&g, PK_TSS + 8) = PK_DS3; /* the wrong ring: #TS, then #DF with the same */
	pk_die(&g, "triple fault");
	cg_free(&g);
}

/* The bad stack is below the good one: #PF from ring 0 has no other stack either. */
Test(rings, kernel_stack_overflow_is_a_triple_fault)
{
	struct cg g;

	PK_LOAD(&g, ri_double);
	*pk_word(&g, PK_TSS + 4) = 0x18d010; /* room for the frame's first words only */
	*pk_pte(&g, 0x18c000) = 0;
	pk_die(&g, "triple fault");
	cg_free(&g);
}
