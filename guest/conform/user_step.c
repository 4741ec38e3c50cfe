/* SPDX-License-Identifier: MIT */
/*
 * At CPL 3: single steps over INT n and the IRET that comes back, RF in frames, limits and types of
 * data segments, faults in the middle of things.
 * Source: SDM Vol. 3B, "Single-Step Exception Condition" (17.3.1.4), "Instruction-Breakpoint
 * Exception Condition" (17.3.1.1); Vol. 3A, "Limit Checking" (5.3), "Type Checking" (5.4).
 */
#include "ring.h"

#define STEP(code, what, ...)                                                                    \
	do {                                                                                     \
		set_vector(0x43, SEL_CODE, (uint32_t)step_handler, GATE32 | 0x60);               \
		set_vector(0x44, SEL_CODE3, (uint32_t)step_user_handler, GATE32 | 0x60);         \
		set_vector(0x45, SEL_CODE, (uint32_t)step_handler, 0xef);                        \
		URUN(code, what, .eflags = TF | 2, .trace = true, .hide = TF | RF, __VA_ARGS__); \
	} while (0)

/* Handlers that come back. */
extern char step_handler[], step_user_handler[];
__asm__(".pushsection user_code, \"ax\"\n"
	"step_handler:\n"
	"	nop\n"
	"	iret\n"
	"step_user_handler:\n"
	"	nop\n"
	"	iret\n"
	".popsection\n");

static void steps(void)
{
	STEP(UCODE("nop; nop; nop"), "user step/nops");
	STEP(UCODE("nop; int $0x43; nop"), "user step/int, iret");
	STEP(UCODE("nop; int $0x45; nop"), "user step/int, trap gate, iret");
	STEP(UCODE("nop; int $0x44; nop"), "user step/int at ring 3, iret");
	STEP(UCODE("movl $2, %ecx; 1: nop; loop 1b; nop"), "user step/loop", .ecx = 2);
	STEP(UCODE("movl $3, %ecx; rep lodsb"), "user step/rep lodsb");
	STEP(UCODE("pushl %eax; popl %eax; call 1f; 1: popl %ecx; movl $0xc0c1c2c3, %ecx"),
	     "user step/call");
	STEP(UCODE("pushfl; popfl; nop"), "user step/popf");
	STEP(UCODE("pushfl; andl $~0x100, (%esp); popfl; nop; nop"), "user step/popf ends it",
	     .hide = TF | RF | ARITH);
	STEP(UCODE("nop; hlt; nop"), "user step/#GP");
	STEP(UCODE("nop; ud2; nop"), "user step/#UD");
	STEP(UCODE("nop; movl 0x0f000000, %ecx; nop"), "user step/#PF");
	STEP(UCODE("movl %eax, %ds; nop"), "user step/mov ds", .eax = DS3);
	STEP(UCODE("xorl %ecx, %ecx; divl %ecx"), "user step/#DE", .hide = TF | RF | ARITH);
	/* TF comes by POPF: the first trap is behind the instruction after it. */
	set_vector(1, SEL_CODE, (uint32_t)stub_trace, GATE32);
	URUN(UCODE("pushfl; orl $0x100, (%esp); popfl; nop; nop; nop"), "user step/popf starts it",
	     .trace = true, .hide = TF | RF | ARITH);
	set_vector(1, SEL_CODE, (uint32_t)stub_trace, GATE32);
	URUN(UCODE("nop; int $0x31"), "user step/none without tf", .trace = true, .hide = TF | RF);
}

/* RF in the image of a fault is 1; IRET with RF to CPL 3 runs one instruction. */
static void rf(void)
{
	URUN(UCODE("ud2"), "user rf/#UD", .hide = 0);
	URUN(UCODE("hlt"), "user rf/#GP", .hide = 0);
	URUN(UCODE("movl 0x0f000000, %eax"), "user rf/#PF", .hide = 0);
	URUN(UCODE("nop"), "user rf/rf, nop, int", .eflags = RF | 2, .hide = 0);
	URUN(UCODE("ud2"), "user rf/rf, #UD", .eflags = RF | 2, .hide = 0);
	set_vector(3, SEL_CODE, STUB(3), GATE32 | 0x60);
	URUN(UCODE("int3"), "user rf/int3", .hide = 0);
}

/* Data segments of DPL 3 with limits, read-only, execute-only, expand-down. */
static void limits(void)
{
	static const struct {
		const char *what;
		uint32_t base, limit;
		uint8_t access, flags;
	} segs[] = { { "64 bytes", ARENA, 0x3f, 0xf3, FLAG_D },
		     { "one page", ARENA, 0, 0xf3, FLAG_D | FLAG_G },
		     { "read-only", ARENA, 0xfffff, 0xf1, FLAG_D | FLAG_G },
		     { "code", ARENA, 0xfffff, 0xfb, FLAG_D | FLAG_G },
		     { "expand-down", ARENA - 0x1000, 0xfff, 0xf7, FLAG_D },
		     { "expand-down 16", ARENA - 0x1000, 0xfff, 0xf7, 0 },
		     { "base", ARENA + 2, 0xfffff, 0xf3, FLAG_D | FLAG_G } };
	static const uint32_t at[] = { 0, 0x3c, 0x3d, 0x1000 };

	for (size_t i = 0; i < sizeof(segs) / sizeof(segs[0]); i++) {
		for (size_t j = 0; j < sizeof(at) / sizeof(at[0]); j++) {
			const char *w = segs[i].what;

#define LIMIT(insn, how)                                                                   \
	set_descriptor(GDT, SEL_SMALL, segs[i].base, segs[i].limit, segs[i].access,        \
		       segs[i].flags);                                                     \
	URUN(UCODE(insn), name("user limit/%s/%s %x", w, how, at[j]), .fs = SEL_SMALL | 3, \
	     .ecx = at[j], .hide = RF)
			LIMIT("movl %fs:(%ecx), %eax", "read");
			LIMIT("movl %edx, %fs:(%ecx)", "write");
#undef LIMIT
		}
	}
	URUN(UCODE("movl %fs:0, %eax"), "user limit/null", .hide = RF);
	/* A small stack of DPL 3. */
	for (unsigned esp = 0; esp <= 8; esp += 2) {
		set_descriptor(GDT, SEL_SMALL, ARENA, 0x3f, 0xf3, FLAG_D);
		URUN(UCODE("pushl %eax"), name("user limit/push at %u", esp), .ss = SEL_SMALL | 3,
		     .esp = esp, .hide = RF);
		set_descriptor(GDT, SEL_SMALL, ARENA, 0x3f, 0xf3, FLAG_D);
		URUN(UCODE("popl %eax"), name("user limit/pop at %u", 0x38 + esp),
		     .ss = SEL_SMALL | 3, .esp = 0x38 + esp, .hide = RF);
	}
}

void cases_user_step(void)
{
	rings_on();
	steps();
	rf();
	limits();
	rings_off();
}
