/* SPDX-License-Identifier: MIT */
/*
 * Code at CPL 1 and 2: supervisor for paging, unprivileged for everything else.  Ringside runs it
 * in the kernel view, so what tells of the CPU must tell of the guest's. Source: SDM Vol. 3A,
 * "Privileged Instructions" (5.9), "Paging" (4.6): "CPL < 3"; Vol. 2.
 */
#include "ring.h"

static const struct {
	unsigned cpl;
	uint16_t cs, ss;
} rings[] = { { 1, SEL_CODE1 | 1, SEL_DATA1 | 1 }, { 2, SEL_CODE2 | 2, SEL_DATA2 | 2 } };

/* @insn at CPL 1 and 2; the selectors are those of the ring. */
#define INNERF(insn, fmt, what, ...)                                                        \
	do {                                                                                \
		for (unsigned r_ = 0; r_ < 2; r_++) {                                       \
			prepare(rings[r_].cpl);                                             \
			run((const struct test){ TEST_DEFAULT, .code = UCODE(insn),         \
						 .cs = rings[r_].cs, .ss = rings[r_].ss,    \
						 .ds = rings[r_].ss, .es = DS3, .hide = RF, \
						 __VA_ARGS__ },                             \
			    name("cpl%u/" fmt "%s", rings[r_].cpl, what));                  \
			ring_reset();                                                       \
		}                                                                           \
	} while (0)

#define INNER(insn, what, ...) INNERF(insn, "", what, __VA_ARGS__)

/* What the case finds on its stack; CS ~0 is that of the ring, and SS goes behind the last word. */
static uint32_t on_stack[5];

static void prepare(unsigned cpl)
{
	for (int i = 0; i < 5; i++)
		*stack(4 * i) = on_stack[i];
	if (on_stack[1] == ~0u)
		*stack(4) = rings[cpl - 1].cs;
}

static void push_first(uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e)
{
	const uint32_t words[] = { a, b, c, d, e };

	memcpy(on_stack, words, sizeof(on_stack));
}

static void by_iopl(void)
{
	for (unsigned i = 0; i < 4; i++) {
		uint32_t flags = 2 | i << 12;

		for (unsigned r = 0; r < 2; r++) {
			unsigned cpl = rings[r].cpl;
			const struct {
				const char *what;
				struct code code;
			} insns[] = {
				{ "cli", UCODE("cli") },
				{ "sti", UCODE("sti; cli") },
				{ "pushf", UCODE("pushfl; popl %eax") },
				{ "popf", UCODE("popfl") },
				{ "popf16", UCODE("popfw") },
				{ "in", UCODE("inb $0x80, %al; movb $0, %al") },
				{ "out", UCODE("outb %al, $0x80") },
			};

			for (size_t k = 0; k < sizeof(insns) / sizeof(insns[0]); k++) {
				*stack(0) = 0x3ed7;
				run((const struct test){ TEST_DEFAULT, .code = insns[k].code,
							 .cs = rings[r].cs, .ss = rings[r].ss,
							 .ds = rings[r].ss, .es = DS3, .hide = RF,
							 .eflags = flags },
				    name("cpl%u/iopl%u/%s", cpl, i, insns[k].what));
				ring_reset();
			}
		}
	}
}

static void privileged(void)
{
	INNER("hlt", "hlt");
	INNER("lgdt (%ebx)", "lgdt");
	INNER("lldt %ax", "lldt", .eax = 0);
	INNER("ltr %ax", "ltr", .eax = SEL_TSS32);
	INNER("clts", "clts");
	INNER("lmsw %ax", "lmsw");
	INNER("movl %cr0, %eax", "mov from cr0");
	INNER("movl %eax, %cr3", "mov to cr3");
	INNER("movl %dr7, %eax", "mov from dr7");
	INNER("invlpg (%ebx)", "invlpg");
	INNER("wbinvd", "wbinvd");
	INNER("rdmsr", "rdmsr", .ecx = 0x10);
	INNER("wrmsr", "wrmsr", .ecx = 0x10);
	INNER("sysexit", "sysexit");
	INNER("ud2", "ud2");
}

static void tells(void)
{
	INNER("sgdt (%ebx)", "sgdt");
	INNER("sidt (%ebx)", "sidt");
	INNER("sldt %eax", "sldt");
	INNER("str %eax", "str");
	INNER("smsw %ax", "smsw");
	INNER("movl %cs, %eax", "mov from cs");
	INNER("movl %ss, %eax", "mov from ss");
	INNER("movl %ds, %eax", "mov from ds");
	INNER("pushw %cs; popw %ax", "push cs");
	INNER("larl %ecx, %eax", "lar/own", .ecx = SEL_DATA1 | 1, .undefined_eax = 0xf0000);
	INNER("larl %ecx, %eax", "lar/kernel", .ecx = SEL_DATA, .undefined_eax = 0xf0000);
	INNER("lsll %ecx, %eax", "lsl/ring 2", .ecx = SEL_DATA2 | 2);
	INNER("verr %cx", "verr/kernel", .ecx = SEL_DATA);
	INNER("verr %cx", "verr/ring 2", .ecx = SEL_DATA2 | 2);
	INNER("verw %cx", "verw/user", .ecx = SEL_DATA3 | 3);
	INNER("arpl %cx, %ax", "arpl", .eax = 0, .ecx = 2);
}

static void segments(void)
{
	static const struct {
		const char *what;
		uint32_t sel;
	} sels[] = { { "kernel", SEL_DATA },        { "ring 1", SEL_DATA1 | 1 },
		     { "ring 2", SEL_DATA2 | 2 },   { "ring 3", SEL_DATA3 | 3 },
		     { "ring 3, rpl0", SEL_DATA3 }, { "code 1", SEL_CODE1 | 1 },
		     { "np", SEL_DATA_NP | 3 },     { "null", 0 } };

	for (size_t i = 0; i < sizeof(sels) / sizeof(sels[0]); i++) {
		INNERF("movl %eax, %es", "mov to es/", sels[i].what, .eax = sels[i].sel);
		INNERF("movl %eax, %ss", "mov to ss/", sels[i].what, .eax = sels[i].sel);
	}
}

/* The kernel's pages are theirs, too; and WP is for them. */
static void pages(void)
{
	INNER("movl 0x202000, %eax", "read kernel page");
	INNER("movl %eax, 0x208000", "write kernel page");
	INNER("movl 0x0f000000, %eax", "read absent page");
	INNER("movl %eax, 0x0f000000", "write absent page");
}

static void transfers(void)
{
	static const struct {
		const char *what;
		uint32_t cs;
	} to[] = { { "ring 0", SEL_CODE },
		   { "own", ~0u },
		   { "ring 2", SEL_CODE2 | 2 },
		   { "ring 3", SEL_CODE3 | 3 },
		   { "conforming", SEL_CONF | 2 } };

	for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
		push_first((uint32_t)user_target, to[i].cs, STACK_TOP + 0x20,
			   to[i].cs == (SEL_CODE2 | 2) ? SEL_DATA2 | 2 : DS3, 0);
		INNERF("lretl", "lret/", to[i].what);
		push_first((uint32_t)user_target, to[i].cs, 2, STACK_TOP + 0x20,
			   to[i].cs == (SEL_CODE2 | 2) ? SEL_DATA2 | 2 : DS3);
		INNERF("iretl", "iret/", to[i].what);
	}
	push_first(0, 0, 0, 0, 0);
}

void cases_inner(void)
{
	rings_on();
	by_iopl();
	privileged();
	tells();
	segments();
	pages();
	transfers();
	rings_off();
}
