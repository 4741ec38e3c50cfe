/* SPDX-License-Identifier: MIT */
/*
 * At CPL 3: instructions that fault in the middle.  What they leave behind must let them be begun
 * again: nothing at all, or the iterations that were complete.  The pages below and above the user
 * stack are the kernel's.  Not here, because processors differ: how much POP to a segment register
 * reads, and whether ENTER looks at the page of its final ESP.
 * Source: SDM Vol. 3A, "Program or Task Restart" (6.6); Vol. 2B, REP.
 */
#include "ring.h"

#define LOW  STACK             /* the first byte that a user may use */
#define HIGH (STACK + 0x2000u) /* the first that not */

static void strings(void)
{
	static const struct {
		const char *name;
		uint32_t esi, edi, eflags;
	} places[] = { { "up, to", ARENA, HIGH - 12, 2 },
		       { "up, from", HIGH - 12, ARENA, 2 },
		       { "down, to", ARENA + 0x40, LOW + 8, DF | 2 },
		       { "down, from", LOW + 8, ARENA + 0x40, DF | 2 } };

	for (unsigned i = 0; i < 4; i++) {
		uint32_t esi = places[i].esi, edi = places[i].edi, fl = places[i].eflags;
		const char *w = places[i].name;

#define STRING(insn)                                                                        \
	URUN(UCODE(insn), name("restart/%s/%s", insn, w), .esi = esi, .edi = edi, .ecx = 8, \
	     .eflags = fl, .hide = RF | ARITH)
		STRING("rep movsl");
		STRING("rep movsb");
		STRING("rep movsw");
		STRING("rep stosl");
		STRING("rep lodsl");
		STRING("repne scasl");
		STRING("repne cmpsl");
		STRING("movsl");
#undef STRING
	}
	/* A word of the string lies across the border. */
	URUN(UCODE("rep movsl"), "restart/rep movsl/across, to", .edi = HIGH - 10, .ecx = 8,
	     .hide = RF);
	URUN(UCODE("rep movsl"), "restart/rep movsl/across, from", .esi = HIGH - 10, .ecx = 8,
	     .hide = RF);
	URUN(UCODE("rep stosl"), "restart/rep stosl/nothing to do", .edi = HIGH, .ecx = 0,
	     .hide = RF);
}

/* With ESP so that @room bytes are left, below or above. */
static void stacks(void)
{
	static const unsigned room[] = { 0, 2, 4, 6, 16 };

	for (size_t i = 0; i < sizeof(room) / sizeof(room[0]); i++) {
		unsigned r = room[i];

#define BELOW(insn)                                                                           \
	URUN(UCODE(insn), name("restart/%s/%u", insn, r), .esp = LOW + r, .hide = RF | ARITH, \
	     .ebp = LOW + 0x80)
#define ABOVE(insn) \
	URUN(UCODE(insn), name("restart/%s/%u", insn, r), .esp = HIGH - r, .hide = RF | ARITH)
		BELOW("pushl %eax");
		BELOW("pushw %ax");
		BELOW("pushal");
		BELOW("pushaw");
		BELOW("pushfl");
		BELOW("pushl (%ebx)");
		BELOW("enter $0, $0");
		BELOW("enter $0, $2");
		BELOW("lcall *(%ebx)");
		ABOVE("popl (%ebx)");
		ABOVE("popal");
		ABOVE("popaw");
		ABOVE("lretl");
		ABOVE("iretl");
#undef BELOW
#undef ABOVE
		URUN(UCODE("call 1f; 1: nop"), name("restart/call/%u", r), .esp = LOW + r,
		     .hide = RF);
		URUN(UCODE("leave"), name("restart/leave/%u", r), .ebp = HIGH - r, .hide = RF);
	}
	URUN(UCODE("pushl (%edi)"), "restart/push/absent", .edi = 0x0f000000, .hide = RF);
	URUN(UCODE("popl (%edi)"), "restart/pop/absent", .edi = 0x0f000000, .hide = RF);
	URUN(UCODE("popl (%esp)"), "restart/pop (esp)", .hide = RF);
	URUN(UCODE("call *(%edi)"), "restart/call/absent", .edi = 0x0f000000, .hide = RF);
	URUN(UCODE("jmp *%edi"), "restart/jmp/absent", .edi = 0x0f000000, .hide = RF);
	URUN(UCODE("jmp *%edi"), "restart/jmp/kernel", .edi = HIGH, .hide = RF);
}

/* Across the border with more than one word, or with a result in registers, too. */
static void operands(void)
{
#define ACROSS(insn)                                                                      \
	URUN(UCODE(insn), "restart/" insn, .edi = HIGH - 2, .eax = 1, .edx = 2, .ecx = 3, \
	     .hide = RF | ARITH)
	ACROSS("xchgl %eax, (%edi)");
	ACROSS("xaddl %eax, (%edi)");
	ACROSS("cmpxchgl %ecx, (%edi)");
	ACROSS("cmpxchg8b (%edi)");
	ACROSS("incl (%edi)");
	ACROSS("btsl %eax, (%edi)");
	ACROSS("shldl %cl, %eax, (%edi)");
	ACROSS("setne 2(%edi)");
	ACROSS("boundl %eax, (%edi)");
	ACROSS("lesl (%edi), %eax");
	ACROSS("sidt (%edi)");
	ACROSS("divl (%edi)");
	ACROSS("imull (%edi), %eax");
	ACROSS("cmovel (%edi), %eax");
	ACROSS("movzbl 2(%edi), %eax");
	ACROSS("btl %eax, 1(%edi)");
#undef ACROSS
	/* Absent, and nothing but the address is wrong. */
	URUN(UCODE("cmpxchg8b (%edi)"), "restart/cmpxchg8b/absent", .edi = 0x0f000000,
	     .hide = RF | ARITH);
	URUN(UCODE("xlatb"), "restart/xlat/kernel", .ebx = HIGH - 0xa3, .hide = RF);
}

/* #GP(8n + 2) for every vector whose gate is of DPL 0; the exceptions are listed by number. */
static void all_vectors(void)
{
	unsigned good = 0;

	for (unsigned v = 0; v < 256; v++) {
		volatile uint8_t *code = (volatile uint8_t *)(ARENA + 0x40);
		struct test t = { TEST_DEFAULT, .cs = CS3, .ss = DS3, .ds = DS3, .es = DS3 };

		code[0] = 0xcd;
		code[1] = (uint8_t)v;
		t.code = (struct code){ ARENA + 0x40, ARENA + 0x40, ARENA + 0x42, ARENA + 0x42 };
		set_vector(0x31, SEL_CODE, STUB(0x31), GATE32);
		run_silent(t);
		if (seen.vector == 13 && seen.error == 8 * v + 2 && seen.eip == ARENA + 0x40)
			good++;
		else
			line(name("user int/%u", v), "vector %x(%x)", seen.vector, seen.error);
	}
	line("user int/refused", "%u", good);
	fill();
	ring_reset();
}

void cases_restart(void)
{
	rings_on();
	memset((void *)HIGH, 0,
	       0x100); /* QEMU reads it where it may not: other lists wrote to it */
	strings();
	stacks();
	operands();
	all_vectors();
	rings_off();
}
