/* SPDX-License-Identifier: MIT */
/*
 * The instruction before which a waiting interrupt is taken.  Cases of conform's kind: an interrupt
 * ends the case, and the line says where it came.
 * Source: SDM Vol. 2, STI, HLT, POPF, IRET; Vol. 3A, "Masking Maskable Hardware Interrupts"
 * (6.8.1), "Masking Exceptions and Interrupts When Switching Stacks" (6.8.3), "Priority Among
 * Simultaneous Exceptions and Interrupts" (6.9).
 */
#include "apic.h"

/* With an interrupt of vector 0x40 waiting in the IRR; what is left of it afterwards is forgotten.
 */
#define WAITING(code, what, ...)                        \
	do {                                            \
		tables_reset();                         \
		self(0x40);                             \
		RUN(code, "window/" what, __VA_ARGS__); \
		irq_gates();                            \
		lapic_quiet();                          \
	} while (0)

static void shadows(void)
{
	WAITING(CODE("nop; nop"), "if=0", .eflags = 2);
	WAITING(CODE("nop; nop"), "if=1", .eflags = IF | 2);
	WAITING(CODE("sti; nop; nop; nop"), "sti", .eflags = 2);
	WAITING(CODE("sti; cli; nop; nop"), "sti,cli", .eflags = 2);
	WAITING(CODE("sti; sti; nop; nop"), "sti,sti", .eflags = 2);
	WAITING(CODE("sti; sti; sti; nop; nop"), "sti,sti,sti", .eflags = 2);
	WAITING(CODE("sti; nop; cli; nop"), "sti,nop,cli", .eflags = 2);
	WAITING(CODE("sti; cli; sti; cli; sti; nop; nop"), "sti,cli,sti,cli,sti", .eflags = 2);
	WAITING(CODE("sti; pushfl; popl %eax; nop"), "sti,pushf", .eflags = 2);
	WAITING(CODE("sti; hlt; nop"), "sti,hlt", .eflags = 2);
	WAITING(CODE("sti; jmp 1f; nop; 1: nop; nop"), "sti,jmp", .eflags = 2);
	WAITING(CODE("sti; ret; nop"), "sti,ret", .eflags = 2, .esp = STACK_TOP - 4);
	WAITING(CODE("sti; int $0x30; nop"), "sti,int", .eflags = 2);
	WAITING(CODE("sti; ud2"), "sti,ud2", .eflags = 2);
	WAITING(CODE("sti; int3"), "sti,int3", .eflags = 2);
	WAITING(CODE("sti; movl %eax, %ss; nop; nop"), "sti,mov ss", .eflags = 2, .eax = SEL_DATA);
	*stack(0) = SEL_DATA;
	WAITING(CODE("sti; popl %ss; nop; nop"), "sti,pop ss", .eflags = 2);
	WAITING(CODE("sti; inb $0x21, %al; nop"), "sti,in", .eflags = 2, .undefined_eax = 0xff);
	WAITING(CODE("sti; cpuid; nop"), "sti,cpuid", .eflags = 2, .no_regs = true);
	WAITING(CODE("sti; rdmsr; nop"), "sti,rdmsr", .eflags = 2, .ecx = 0x1b, .no_regs = true);
	WAITING(CODE("sti; movl %cr0, %eax; nop"), "sti,mov from cr0", .eflags = 2);
	WAITING(CODE("nop; sti"), "sti at the end", .eflags = 2);
	/* STI with IF already set makes no shadow of its own: it is taken before. */
	WAITING(CODE("sti; nop"), "sti with if=1", .eflags = IF | 2);
}

static void openers(void)
{
	WAITING(CODE("pushl $0x202; popfl; nop; nop"), "popf", .eflags = 2);
	WAITING(CODE("pushl $0x202; popfl; cli; nop"), "popf,cli", .eflags = 2);
	WAITING(CODE("pushw $0x202; popfw; nop; nop"), "popf16", .eflags = 2);
	WAITING(CODE("pushl $0x2; popfl; nop; nop"), "popf if=0", .eflags = 2);
	WAITING(CODE("pushl $0x202; popfl; popfl; nop"), "popf,popf", .eflags = 2);
	WAITING(CODE("pushl $0x202; pushl %cs; pushl $1f; iretl; nop; 1: nop; nop"), "iret",
		.eflags = 2);
	WAITING(CODE("pushl $0x202; pushl %cs; pushl $1f; iretl; nop; 1: cli; nop"), "iret,cli",
		.eflags = 2);
	WAITING(CODE("pushl $0x2; pushl %cs; pushl $1f; iretl; nop; 1: nop; nop"), "iret if=0",
		.eflags = 2);
	WAITING(CODE("pushl $0x202; pushl %cs; pushl $1f; sti; iretl; nop; 1: nop; nop"),
		"sti,iret", .eflags = 2);
	WAITING(CODE("pushl $0x2; pushl %cs; pushl $1f; sti; iretl; nop; 1: nop; nop"),
		"sti,iret if=0", .eflags = 2);
	WAITING(CODE("movl %eax, %ss; sti; nop; nop"), "mov ss,sti", .eflags = 2, .eax = SEL_DATA);
	WAITING(CODE("movl %eax, %ss; movl %eax, %ss; nop; nop"), "mov ss,mov ss with if=1",
		.eflags = IF | 2, .eax = SEL_DATA);
	WAITING(CODE("sti; nop; movl %eax, %ss; nop; nop"), "sti,nop,mov ss", .eflags = 2,
		.eax = SEL_DATA);
}

/* The store of an IPI to oneself, through EBX at the ICR, and then the window. */
static void sends(void)
{
#define SEND(code, what, ...)                                                 \
	do {                                                                  \
		tables_reset();                                               \
		RUN(CODE(code), "window/send/" what, .ebx = LAPIC_BASE + ICR, \
		    .eax = TO_SELF | 0x40, __VA_ARGS__);                      \
		irq_gates();                                                  \
		lapic_quiet();                                                \
	} while (0)
	SEND("movl %eax, (%ebx); nop; nop", "if=0", .eflags = 2);
	SEND("sti; movl %eax, (%ebx); cli; nop", "sti,send,cli", .eflags = 2, .no_eip = true);
	SEND("movl %eax, (%ebx); sti; nop; nop", "send,sti", .eflags = 2);
	SEND("movl %eax, (%ebx); sti; hlt; nop", "send,sti,hlt", .eflags = 2);
	SEND("movl %eax, (%ebx); sti; cli; nop", "send,sti,cli", .eflags = 2);
#undef SEND
}

/* Several waiting: only the first is seen by these cases, the others stay. */
static void several(void)
{
	const char *irr;

	self(0x40);
	self(0x50);
	tables_reset();
	RUN(CODE("sti; nop; nop"), "window/two waiting", .eflags = 2);
	irr = vectors(IRR);
	line("window/two waiting, left", "irr %s isr %s", irr, vectors(ISR));
	irq_gates();
	lapic_quiet();
	wr(TPR, 0x45);
	self(0x40);
	tables_reset();
	RUN(CODE("sti; nop; nop; nop"), "window/held by tpr", .eflags = 2);
	irq_gates();
	lapic_quiet();
	/* Lowering TPR with IF set opens it: the store is the last instruction before. */
	wr(TPR, 0xf0);
	self(0x40);
	tables_reset();
	RUN(CODE("movl %eax, (%ebx); cli; nop"), "window/tpr lowered, cli", .eflags = 2, .eax = 0,
	    .ebx = LAPIC_BASE + TPR);
	irq_gates();
	lapic_quiet();
	wr(TPR, 0xf0);
	self(0x40);
	tables_reset();
	RUN(CODE("movl %eax, (%ebx); sti; nop; nop"), "window/tpr lowered, sti", .eflags = 2,
	    .eax = 0, .ebx = LAPIC_BASE + TPR);
	irq_gates();
	lapic_quiet();
}

/* Debug traps and interrupts: a trap of the last instruction comes first. */
static void steps(void)
{
	WAITING(CODE("nop; nop"), "tf, if=1", .eflags = TF | IF | 2);
	WAITING(CODE("nop; nop"), "tf, if=0", .eflags = TF | 2);
	WAITING(CODE("sti; nop; nop"), "tf, sti", .eflags = TF | 2);
	WAITING(CODE("pushl $0x302; popfl; nop; nop"), "popf sets tf and if", .eflags = 2);
	WAITING(CODE("pushl $0x302; pushl %cs; pushl $1f; iretl; 1: nop; nop"),
		"iret sets tf and if", .eflags = 2);
	WAITING(CODE("movl %eax, %ss; nop; nop"), "tf, mov ss", .eflags = TF | 2, .eax = SEL_DATA);
	WAITING(CODE("sti; movl %eax, %ss; nop; nop"), "tf, sti, mov ss", .eflags = TF | 2,
		.eax = SEL_DATA);
	WAITING(CODE("nop; nop; nop"), "tf traced, if=0", .eflags = TF | 2, .trace = true);
	WAITING(CODE("sti; nop; nop"), "tf traced, sti", .eflags = TF | 2, .trace = true);
}

/* Faults and interrupts: IF is open, so the interrupt comes before the instruction is tried. */
static void faults(void)
{
	WAITING(CODE("ud2"), "if=1,ud2", .eflags = IF | 2);
	WAITING(CODE("int $0x30"), "if=1,int", .eflags = IF | 2);
	WAITING(CODE("int3"), "if=1,int3", .eflags = IF | 2);
	WAITING(CODE("hlt; nop"), "if=1,hlt", .eflags = IF | 2);
	WAITING(CODE("cli; nop"), "if=1,cli", .eflags = IF | 2);
	WAITING(CODE("rep movsb; nop"), "if=1,rep movs", .eflags = IF | 2, .ecx = 16);
	WAITING(CODE("sti; rep movsb; nop"), "sti,rep movs", .eflags = 2, .ecx = 16,
		.no_regs = true);
	WAITING(CODE("sti; nop; rep movsb; nop"), "sti,nop,rep movs", .eflags = 2, .ecx = 16);
	WAITING(CODE("rep movsb; nop"), "if=0,rep movs", .eflags = 2, .ecx = 16);
}

/* A string instruction that is interrupted goes on where it was: SDM Vol. 2B, REP. */
static unsigned strings_irqs;

static void string_irq(void)
{
	strings_irqs++;
}

static void strings(void)
{
	volatile uint8_t *from = (volatile uint8_t *)0x280000, *to = (volatile uint8_t *)0x2c0000;
	uint32_t n = 0x20000, bad = 0, si, di, cx;

	for (uint32_t i = 0; i < n; i++) {
		from[i] = (uint8_t)(i * 7 + (i >> 8));
		to[i] = 0;
	}
	on_vector[0x48] = string_irq;
	wr(LVT_TIMER, PERIODIC | 0x48);
	wr(INITIAL, 50000);
	do {
		__asm__ volatile("sti; rep movsb; cli"
				 : "=S"(si), "=D"(di), "=c"(cx)
				 : "0"(from), "1"(to), "2"(n)
				 : "memory");
	} while (strings_irqs < 3);
	wr(LVT_TIMER, MASKED);
	for (uint32_t i = 0; i < n; i++)
		bad += from[i] != to[i];
	line("window/rep movs under a timer", "%u wrong, esi+%x edi+%x ecx %x", bad,
	     si - (uint32_t)from, di - (uint32_t)to, cx);
	quiet();
}

/* HLT with nothing but a masked interrupt would sleep for good; with one that is let in it wakes.
 */
static void halts(void)
{
	wr(TPR, 0x50);
	self(0x41);
	wr(LVT_TIMER, 0x68);
	wr(INITIAL, 300000);
	sti_hlt_cli();
	line("window/hlt not woken below tpr", "%s", taken());
	quiet();
	self(0x41);
	self(0x51);
	sti_hlt_cli();
	line("window/hlt with two waiting", "%s", taken());
	quiet();
}

void cases_windows(void)
{
	shadows();
	openers();
	sends();
	several();
	steps();
	faults();
	strings();
	halts();
}
