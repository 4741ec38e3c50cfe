/* SPDX-License-Identifier: MIT */
/*
 * Segment limits at their edges, read-only and execute-only segments, null selectors.
 * Source: SDM Vol. 3A, "Limit Checking" (5.3), "Type Checking" (5.4).
 */
#include "conform.h"

static const struct {
	const char *what;
	uint16_t sel;
	uint32_t first, last; /* valid offsets */
} segments[] = {
	{ "small", SEL_SMALL, 0, 0x3f },          { "pages", SEL_PAGES, 0, 0xfff },
	{ "down", SEL_DOWN, 0x1000, 0xffffffff }, { "down16", SEL_DOWN16, 0x1000, 0xffff },
	{ "stack16", SEL_STACK16, 0, 0xffff },
};

/* Offsets around both ends, in widths 1, 2, 4.  Not where the linear address leaves RAM. */
static void edges(void)
{
	for (size_t i = 0; i < sizeof(segments) / sizeof(segments[0]); i++) {
		uint32_t sel = segments[i].sel;
		uint32_t edge = segments[i].first ? segments[i].first : segments[i].last;

		for (int d = -4; d <= 1; d++) {
			uint32_t off = edge + (uint32_t)d;
			const char *what = segments[i].what;

			RUN(CODE2("movb $0, %al", "testb %al, %fs:(%esi)"),
			    name("limit/%s/read8/%x", what, off), .fs = sel, .esi = off, .eax = 0,
			    .hide = RF | ARITH);
			RUN(CODE("movw $0x1122, %fs:(%esi)"),
			    name("limit/%s/write16/%x", what, off), .fs = sel, .esi = off);
			RUN(CODE("movl $0x11223344, %fs:(%esi)"),
			    name("limit/%s/write32/%x", what, off), .fs = sel, .esi = off);
		}
	}
	RUN(CODE("movl $0, %fs:(%esi)"), "limit/small/wrap", .fs = SEL_SMALL, .esi = 0xfffffffe);
	RUN(CODE("movb $0, %fs:(%esi)"), "limit/down16/10000", .fs = SEL_DOWN16, .esi = 0x10000);
	RUN(CODE("addr16 movb $0, %fs:(%si)"), "limit/small/addr16", .fs = SEL_SMALL,
	    .esi = 0xabcd003f);
	RUN(CODE("addr16 movw $0, %fs:(%si)"), "limit/small/addr16 over", .fs = SEL_SMALL,
	    .esi = 0xabcd003f);
}

static void types(void)
{
	RUN(CODE("movl %fs:(%ebx), %eax"), "type/read null");
	RUN(CODE("movl %eax, %fs:(%ebx)"), "type/write null");
	RUN(CODE("movl %fs:(%ebx), %eax"), "type/read null3", .fs = 3);
	RUN(CODE("movl %fs:(%ebx), %eax"), "type/read readonly", .fs = SEL_READ);
	RUN(CODE("movl %eax, %fs:(%ebx)"), "type/write readonly", .fs = SEL_READ);
	RUN(CODE("xchgl %eax, %fs:(%ebx)"), "type/xchg readonly", .fs = SEL_READ);
	RUN(CODE("movl %fs:(%ebx), %eax"), "type/read code", .fs = SEL_CODE);
	RUN(CODE("movl %eax, %fs:(%ebx)"), "type/write code", .fs = SEL_CODE);
	RUN(CODE("movl %cs:(%ebx), %eax"), "type/read cs");
	RUN(CODE("movl %eax, %cs:(%ebx)"), "type/write cs");
	RUN(CODE("movl %cs:(%ebx), %eax"), "type/read cs execonly", .cs = SEL_EXEC);
	RUN(CODE("pushl %fs:(%ebx)"), "type/push from null");
	RUN(CODE("popl %fs:(%ebx)"), "type/pop to null");
	RUN(CODE("movsb"), "type/movs to null", .es = 0);
	RUN(CODE(".byte 0x64, 0x8d, 0x43, 0x04"), "type/lea null");
	RUN(CODE("movl %eax, %ds; movl %fs:(%ebx), %ecx"), "type/mov null,read", .eax = 0);
}

/* The stack segment's faults are #SS. */
static void stacks(void)
{
	memset((void *)(STACK + 0x1f00), 0, 0x200);
	RUN(CODE("movl %ss:0x2000, %eax"), "stack/read over", .ss = SEL_STACK32, .esp = 0x1000);
	RUN(CODE("movl 0x1000(%ebp), %eax"), "stack/ebp over", .ss = SEL_STACK32, .esp = 0x1000,
	    .ebp = 0x1000);
	RUN(CODE("movl %eax, 0xffd(%ebp)"), "stack/ebp write over by one", .ss = SEL_STACK32,
	    .esp = 0x1000, .ebp = 0x1000);
	RUN(CODE("movl 0xffc(%ebp), %eax; movl $0, %eax"), "stack/ebp at limit", .ss = SEL_STACK32,
	    .esp = 0x1000, .ebp = 0x1000);
	RUN(CODE("popl %eax"), "stack/pop over", .ss = SEL_STACK32, .esp = 0x1ffd);
	RUN(CODE("popw %ax"), "stack/pop16 over", .ss = SEL_STACK32, .esp = 0x1fff);
	*(volatile uint32_t *)(STACK + 0x1ffe) = (uint32_t)target32;
	RUN(CODE("ret"), "stack/ret over", .ss = SEL_STACK32, .esp = 0x1ffe);
	*(volatile uint32_t *)(STACK + 0x1ffe) = 0;
	RUN(CODE("leave"), "stack/leave over", .ss = SEL_STACK32, .esp = 0x1000, .ebp = 0x1ffd);
	RUN(CODE("popfl"), "stack/popf over", .ss = SEL_STACK32, .esp = 0x1ffd);
	RUN(CODE("popl %es"), "stack/pop es over", .ss = SEL_STACK32, .esp = 0x1fff);
	RUN(CODE("movl %ds:0x2000, %eax"), "stack/ds is not", .ss = SEL_STACK32, .esp = 0x1000,
	    .hide = RF, .undefined_eax = 0xffffffff);
	RUN(CODE("sgdtl %ss:0x1ffc"), "stack/sgdt over", .ss = SEL_STACK32, .esp = 0x1000);
	RUN(CODE("movw %ds, %ss:0x1fff"), "stack/mov from ds over", .ss = SEL_STACK32,
	    .esp = 0x1000);
}

/* Code: the limit of CS.  SEL_CODE_SMALL is made to end inside the case. */
static void code(void)
{
	struct code c = CODE2("", "nop; movl $0x11223344, %eax; nop; ud2");

	/* The MOV's last byte is at insn + 5. */
	for (uint32_t end = 0; end <= 8; end++) {
		set_descriptor(GDT, SEL_CODE_SMALL, c.insn & ~0xfffu, (c.insn & 0xfff) + end, 0x9a,
			       FLAG_D);
		{
			struct code rel = c;

			rel.start &= 0xfff;
			rel.insn &= 0xfff;
			rel.end &= 0xfff;
			RUN(rel, name("code/limit+%u", end), .cs = SEL_CODE_SMALL);
		}
	}
}

void cases_limits(void)
{
	edges();
	types();
	stacks();
	code();
}
