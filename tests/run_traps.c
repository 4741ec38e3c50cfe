/* SPDX-License-Identifier: MIT */
/*
 * Exceptions in the real run loop that guest/conform found wrong once: small guests whose
 * exceptions of one vector lead to the code at RT_HANDLER.
 */
#include "tests/raw_guest.h"

#define RT_GDT     0x181000u
#define RT_IDT     0x180000u
#define RT_VECTORS 32

TestSuite(run_traps, .timeout = 30);

/* Load the guest, with a GDT and an IDT in which only @vector has a gate: to @handler. */
static void rt_load(struct cg *g, const uint8_t *code, const uint8_t *end, unsigned vector,
		    const uint8_t *handler)
{
	static const uint64_t gdt[] = { 0, 0x00cf9b000000ffff, 0x00cf93000000ffff };
	uint32_t off = CG_CODE + (uint32_t)(handler - code);
	uint64_t gate = (uint64_t)(off >> 16) << 48 | 0x8e0000080000ull | (off & 0xffff);

	cg_load(g, code, end);
	memcpy(g->vm.ram + RT_GDT, gdt, sizeof(gdt));
	memcpy(g->vm.ram + RT_IDT + 8 * vector, &gate, sizeof(gate));
	g->v.sh.gdtr = (struct desc_table){ .base = RT_GDT, .limit = sizeof(gdt) - 1 };
	g->v.sh.idtr = (struct desc_table){ .base = RT_IDT, .limit = 8 * RT_VECTORS - 1 };
}

#define RT_RUN(g, name, vector)                                       \
	do {                                                          \
		extern const uint8_t name##_handler[];                \
		rt_load(g, name, name##_end, vector, name##_handler); \
		cg_go(g);                                             \
	} while (0)

GUEST(rt_long, ".fill 15, 1, 0x2e\n pushf\n" DONE "rt_long_handler: pop %eax\n pop %ebx\n" DONE);

/* SDM Vol. 3A, "Interrupt 13" (6.15): longer than 15 bytes is #GP(0), although nothing decodes. */
Test(run_traps, instruction_of_16_bytes_is_gp)
{
	struct cg g;

	RT_RUN(&g, rt_long, VEC_GP);
	cr_expect_eq(REG(&g, EAX), 0);
	cr_expect_eq(REG(&g, EBX), CG_CODE);
	cg_free(&g);
}

GUEST(rt_rep,
      "mov $3,%ecx\n mov $0x190000,%edi\n xor %ebx,%ebx\n push $0x102\n popf\n"
      "rep insb\n nop\n" DONE
      "rt_rep_handler: inc %ebx\n cmp $4,%ebx\n jne 1f\n andl $~0x100,8(%esp)\n"
      "1: mov 8(%esp),%esi\n shl $1,%ebp\n test $0x10000,%esi\n jz 2f\n inc %ebp\n 2: iret\n");

/*
 * SDM Vol. 3B, 17.3.1.1, 17.3.1.4: a single-step trap after each iteration, with RF in the image
 * but after the last; then one behind the nop.
 */
Test(run_traps, single_step_stops_after_each_iteration)
{
	struct cg g;

	RT_RUN(&g, rt_rep, VEC_DB);
	cr_expect_eq(REG(&g, EBX), 4, "%u traps", REG(&g, EBX));
	cr_expect_eq(REG(&g, EBP), 0xc, "%#x", REG(&g, EBP)); /* 1, 1, 0, 0 */
	cr_expect_eq(REG(&g, ECX), 0);
	cr_expect_eq(REG(&g, EDI), 0x190003);
	cg_free(&g);
}

GUEST(rt_int1, "nop\n .byte 0xf1\n" DONE "rt_int1_handler: pop %eax\n pop %ebx\n" DONE);

/* SDM Vol. 2A, INT1: without a gate it is #GP with EXT, and EIP on the instruction. */
Test(run_traps, int1_without_gate_faults_on_itself)
{
	struct cg g;

	RT_RUN(&g, rt_int1, VEC_GP);
	cr_expect_eq(REG(&g, EAX), VEC_DB << 3 | 3);
	cr_expect_eq(REG(&g, EBX), CG_CODE + 1);
	cg_free(&g);
}

GUEST(rt_xtest, ".byte 0x0f,0x01,0xd6\n" DONE "rt_xtest_handler: pop %ebx\n" DONE);

/* SDM Vol. 2D, XTEST: #UD without RTM and HLE, which CPUID never offers, whatever the host has. */
Test(run_traps, xtest_is_undefined)
{
	struct cg g;

	RT_RUN(&g, rt_xtest, VEC_UD);
	cr_expect_eq(REG(&g, EBX), CG_CODE);
	cg_free(&g);
}

GUEST(rt_tscp, "mov $0xc0000103,%ecx\n xor %edx,%edx\n mov $0x1234,%eax\n wrmsr\n rdtscp\n"
	       "mov %ecx,%ebx\n" DONE "rt_tscp_handler: mov $0x1234,%ebx\n" DONE);

/* SDM Vol. 2B, RDTSCP: ECX is the guest's IA32_TSC_AUX.  (Where the host has none, #UD.) */
Test(run_traps, rdtscp_gives_the_guests_tsc_aux)
{
	struct cg g;

	RT_RUN(&g, rt_tscp, VEC_UD);
	cr_expect_eq(REG(&g, EBX), 0x1234, "%#x", REG(&g, EBX));
	cg_free(&g);
}
