/* SPDX-License-Identifier: MIT */
/*
 * INT n, INT3, INTO, INT1, BOUND through good and bad gates.
 * Source: SDM Vol. 2, INT n/INTO/INT3/INT1, BOUND; Vol. 3A, "Exception- or Interrupt-Handler
 * Procedures" (6.12.1), "Error Code" (6.13).
 */
#include "conform.h"

#define TO ((uint32_t)stub_no_error)

/* INT 0x40 (and 0x80, which some hosts take for a system call) through a gate made for the case. */
static void through(const char *what, uint32_t sel, uint32_t off, unsigned access)
{
	set_vector(0x40, sel, off, access);
	RUN(CODE("int $0x40"), name("int 40/%s", what));
	set_vector(0x80, sel, off, access);
	RUN(CODE("int $0x80"), name("int 80/%s", what));
	set_vector(3, sel, off, access);
	RUN(CODE("int3"), name("int3/%s", what));
	set_vector(4, sel, off, access);
	RUN(CODE("into"), name("into/%s", what), .eflags = OF | 2);
}

static void gates(void)
{
	through("zero", 0, 0, 0);
	through("interrupt gate np", SEL_CODE, TO, 0x0e);
	through("trap gate np", SEL_CODE, TO, 0x0f);
	through("trap gate dpl3", SEL_CODE, TO, 0xef);
	through("call gate", SEL_CODE, TO, 0x8c);
	through("data", SEL_CODE, TO, 0x93);
	through("tss", SEL_CODE, TO, 0x89);
	through("type 8", SEL_CODE, TO, 0x88);
	through("null selector", 0, TO, 0x8e);
	through("null3 selector", 3, TO, 0x8e);
	through("data selector", SEL_DATA, TO, 0x8e);
	through("np code", SEL_CODE_NP, TO, 0x8e);
	through("code dpl3", SEL_CODE3, TO, 0x8e);
	through("beyond", SEL_BEYOND, TO, 0x8e);
	through("ldt selector", LDT_CODE, TO, 0x8e);
	through("gate selector", SEL_CALL32, TO, 0x8e);
	through("over limit", SEL_CODE_SMALL, 0x100, 0x8e);
	through("unaccessed code", SEL_CODE_OLD, TO, 0x8e);
	through("execonly", SEL_EXEC, TO, 0x8e);
	through("conforming rpl3", SEL_CONF | 3, TO, 0x8e);
}

/* What the handler finds in EFLAGS: the gate's kind decides over IF. */
static void handler_flags(void)
{
	static const uint32_t flags[] = { 2, IF | 2, IF | NT | IOPL3 | 0xcd7, AC | ID | IF | 2 };
	static const struct {
		const char *kind;
		unsigned access;
	} kinds[] = { { "interrupt", 0x8e }, { "trap", 0x8f } };

	/* A handler that lets the case end with the flags it got. */
	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
			set_vector(0x41, SEL_CODE, (uint32_t)target32, kinds[k].access);
			RUN(CODE("int $0x41"), name("int/handler/%s/%08x", kinds[k].kind, flags[i]),
			    .eflags = flags[i]);
		}
	set_vector(0x41, SEL_CODE, (uint32_t)target32, 0x8f);
	RUN(CODE("int $0x41"), "int/handler/trap/rf", .eflags = RF | 2, .hide = 0);
}

/* Handler code inside the case: looks at the frame and returns. */
static void frames(void)
{
	struct code c = CODE3("jmp 1f; 2: movl 8(%esp), %eax; movl (%esp), %ecx; subl $3f, %ecx;"
			      "movzwl 4(%esp), %edx; iretl; 1:",
			      "int $0x42; 3:", "");

	set_vector(0x42, SEL_CODE, c.start + 2, 0x8e);
	RUN(c, "int/frame", .eflags = 0x8d7 | IF, .hide = RF);
	set_vector(0x42, SEL_CODE, c.start + 2, 0x8e);
	RUN(c, "int/frame/rf", .eflags = RF | 2, .hide = 0);
	set_vector(0x42, SEL_CODE, c.start + 2, 0x8f);
	RUN(c, "int/frame/nt,ac,id", .eflags = NT | AC | ID | IF | 2);
	set_vector(0x40, SEL_CODE16, (uint32_t)target16 - CODE16_BASE, 0x86);
	RUN(CODE("int $0x40"), "int 40/16-bit interrupt gate", .eflags = IF | 2);
	set_vector(0x40, SEL_CODE16, (uint32_t)target16 - CODE16_BASE, 0x87);
	RUN(CODE("int $0x40"), "int 40/16-bit trap gate", .eflags = IF | 2);
	set_vector(0x40, SEL_CODE, 0, 0x06);
	RUN(CODE("int $0x40"), "int 40/16-bit gate np");
}

static void vectors(void)
{
	RUN(CODE("int $0x00"), "int 00");
	RUN(CODE("int $0x01"), "int 01");
	RUN(CODE("int $0x02"), "int 02");
	RUN(CODE("int $0x03"), "int 03");
	RUN(CODE("int $0x04"), "int 04");
	RUN(CODE("int $0x05"), "int 05");
	RUN(CODE("int $0x06"), "int 06");
	RUN(CODE("int $0x10"), "int 10");
	RUN(CODE("int $0x12"), "int 12");
	RUN(CODE("int $0x1f"), "int 1f");
	RUN(CODE("int $0x30"), "int 30");
	RUN(CODE("int $0x80"), "int 80");
	RUN(CODE("int $0xff"), "int ff");
	/* No error code, although the exception of that number has one. */
	set_vector(8, SEL_CODE, TO, GATE32);
	RUN(CODE("int $0x08"), "int 08");
	set_vector(13, SEL_CODE, TO, GATE32);
	RUN(CODE("int $0x0d"), "int 0d");
	set_vector(14, SEL_CODE, TO, GATE32);
	RUN(CODE("int $0x0e"), "int 0e");
	RUN(CODE("int3"), "int3");
	RUN(CODE("into"), "into/of=0");
	RUN(CODE("into"), "into/of=1", .eflags = OF | 2);
	RUN(CODE(".byte 0xf1"), "int1");
	RUN(CODE(".byte 0x66, 0xcd, 0x30"), "int 30/opsize16");
	/* Beyond the limit of the IDT. */
	RUN(CODE3("movw $0x1ff, (%ebx); movl $" TEXT(0x203000) ", 2(%ebx); lidtl (%ebx)",
		  "int $0x40", "lidtl good_idtr"),
	    "int 40/idt limit 1ff");
	RUN(CODE3("movw $0x206, (%ebx); movl $" TEXT(0x203000) ", 2(%ebx); lidtl (%ebx)",
		  "int $0x40", "lidtl good_idtr"),
	    "int 40/idt limit 206");
	RUN(CODE3("movw $0x207, (%ebx); movl $" TEXT(0x203000) ", 2(%ebx); lidtl (%ebx)",
		  "int $0x40", "lidtl good_idtr"),
	    "int 40/idt limit 207");
}

static void bounds(void)
{
	static const int32_t index[] = { -5, -4, 0, 7, 8 };

	for (size_t i = 0; i < sizeof(index) / sizeof(index[0]); i++) {
		*arena(0) = (uint32_t)-4;
		*arena(4) = 7;
		RUN(CODE("boundl %eax, (%ebx)"), name("bound/%d", index[i]),
		    .eax = (uint32_t)index[i]);
		*arena(0) = 0x0007fffc;
		RUN(CODE("boundw %ax, (%ebx)"), name("bound16/%d", index[i]),
		    .eax = 0x12340000 | ((uint32_t)index[i] & 0xffff));
	}
	RUN(CODE("boundl %eax, %fs:0"), "bound/null segment");
}

void cases_softint(void)
{
	gates();
	handler_flags();
	frames();
	vectors();
	bounds();
}
