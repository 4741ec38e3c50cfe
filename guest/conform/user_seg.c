/* SPDX-License-Identifier: MIT */
/*
 * At CPL 3: code segments with a limit, 16-bit code, and segments of an LDT.
 * Source: SDM Vol. 3A, "Limit Checking" (5.3), "Code Segment Descriptors" (3.4.5.1), "Segment
 * Descriptor Tables" (3.5.1).
 */
#include "ring.h"

#define LDT_CODE3 0x2fu /* entry 5 */
#define LDT_SMALL 0x37u /* entry 6: data, 64 bytes */

/* Code that begins at offset 0 of a segment of its own. */
static struct code at_zero(struct code c, uint32_t *base)
{
	*base = c.start;
	return (struct code){ 0, 0, c.end - *base, c.done - *base };
}

/* Seven bytes, then INT 0x31; the limit is the last byte that may be fetched. */
static void code_limits(void)
{
	uint32_t base;
	struct code c = at_zero(UCODE("nop; movl $0x11223344, %eax; nop"), &base);

	for (uint32_t limit = 0; limit <= 9; limit++) {
		set_descriptor(GDT, SEL_CODE_SMALL, base, limit, 0xfb, FLAG_D);
		URUN(c, name("user code/limit %u", limit), .cs = SEL_CODE_SMALL | 3, .hide = RF);
	}
}

static void code16(void)
{
	uint32_t base;
	const struct {
		const char *what;
		struct code code;
	} cases[] = {
		{ "mov", UCODE(".code16; movw $0x1234, %ax; movl $0x12345678, %ecx; .code32") },
		{ "push, pop",
		  UCODE(".code16; pushw %ax; popw %cx; pushl %edx; popl %ebp; .code32") },
		{ "call", UCODE(".code16; call 1f; jmp 2f; 1: ret; 2: nop; .code32") },
		{ "loop", UCODE(".code16; movl $0x30002, %ecx; 1: loop 1b; .code32") },
		{ "hlt", UCODE(".code16; nop; hlt; .code32") },
		{ "ud2", UCODE(".code16; nop; ud2; .code32") },
		{ "rep movs", UCODE(".code16; movl $4, %ecx; addr32 rep movsb; .code32") },
		{ "jmp to 32", UCODE(".code16; ljmpl $0x53, $user_target; .code32") },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct code c = at_zero(cases[i].code, &base);

		set_descriptor(GDT, SEL_CODE_SMALL, base, 0xffff, 0xfb, 0);
		URUN(c, name("user code16/%s", cases[i].what), .cs = SEL_CODE_SMALL | 3,
		     .hide = RF);
	}
}

static void ldt_reset(void)
{
	set_descriptor(GDT, SEL_LDT, LDT, 7 * 8 - 1, 0x82, 0);
	set_descriptor(LDT, LDT_DATA3, ARENA, 0xfffff, 0xf3, FLAG_G | FLAG_D);
	set_descriptor(LDT, LDT_CODE3, 0, 0xfffff, 0xfb, FLAG_G | FLAG_D);
	set_descriptor(LDT, LDT_SMALL, ARENA + 0x10, 0x3f, 0xf3, FLAG_D);
	__asm__ volatile("lldt %%ax" : : "a"(SEL_LDT));
}

static void ldt(void)
{
#define IN_LDT(insn, what, ...)                                               \
	do {                                                                  \
		ldt_reset();                                                  \
		URUN(UCODE(insn), "user ldt/" what, .hide = RF, __VA_ARGS__); \
	} while (0)
	IN_LDT("movl %fs:4, %eax", "read", .fs = LDT_DATA3 | 3);
	IN_LDT("movl %eax, %gs:4", "write", .gs = LDT_DATA3 | 3);
	IN_LDT("movl %gs:0x3c, %eax", "read at limit", .gs = LDT_SMALL);
	IN_LDT("movl (%ecx), %eax", "ds", .ds = LDT_DATA3 | 3, .ecx = 8);
	IN_LDT("movl %es:(%ecx), %eax", "es", .es = LDT_SMALL, .ecx = 8);
	IN_LDT("movl %ecx, %fs; movl %fs:4, %eax", "load", .ecx = LDT_DATA3 | 3);
	IN_LDT("movl %ecx, %fs; movl %fs:4, %eax", "load small", .ecx = LDT_SMALL);
	IN_LDT("movl %ecx, %fs", "load dpl 0", .ecx = LDT_DATA | 3);
	IN_LDT("movl %ecx, %fs", "load np", .ecx = LDT_NP | 3);
	IN_LDT("movl %ecx, %fs", "load beyond", .ecx = 0x3f);
	IN_LDT("nop; movl $1, %eax", "code", .cs = LDT_CODE3);
	IN_LDT("ljmp $0x2f, $user_target", "ljmp");
	IN_LDT("ljmp $0x0f, $user_target", "ljmp dpl 0");
	IN_LDT("lcall $0x2f, $user_target", "lcall");
	*stack(0) = (uint32_t)user_target;
	*stack(4) = LDT_CODE3;
	IN_LDT("lretl", "lret");
	IN_LDT("pushl %eax; popl %ecx", "stack", .ss = LDT_SMALL, .esp = 0x20);
	IN_LDT("ud2", "#UD on the stack", .ss = LDT_SMALL, .esp = 0x20);
	IN_LDT("int3", "int3 in ldt code", .cs = LDT_CODE3);
#undef IN_LDT
	__asm__ volatile("lldt %%ax" : : "a"(0));
}

void cases_user_seg(void)
{
	rings_on();
	code_limits();
	code16();
	ldt();
	rings_off();
}
