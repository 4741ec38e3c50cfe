/* SPDX-License-Identifier: MIT */
/*
 * IN, OUT, INS, OUTS.  The ports: the scratch register of COM1 (0x3ff), the interrupt mask of the
 * second PIC (0xa1), COM1's data register in loopback mode with its FIFO (0x3f8: what is sent comes
 * back), and a port where nothing is (0x5a0).
 * Source: SDM Vol. 1, "I/O Instructions" (18.5); Vol. 2, INS, OUTS, REP.
 */
#include "conform.h"
#include "../minios/x86.h"

#define SCRATCH 0x3ff
#define EMPTY   0x5a0
#define DATA    0x3f8

static void in_out(void)
{
	outb(SCRATCH, 0x77);
	RUN(CODE("inb %dx, %al"), "in/al,dx", .edx = 0xffff0000 | SCRATCH);
	RUN(CODE("inb $0xa1, %al"), "in/al,imm8");
	RUN(CODE("inw %dx, %ax"), "in/ax,dx/nothing", .edx = EMPTY);
	RUN(CODE("inl %dx, %eax"), "in/eax,dx/nothing", .edx = EMPTY);
	RUN(CODE("inb %dx, %al"), "in/al,dx/nothing", .edx = EMPTY);
	RUN(CODE("inw $0x5a, %ax"), "in/ax,imm8/nothing");
	RUN(CODE("inl $0x5a, %eax"), "in/eax,imm8", .undefined_eax = 0xffffffff);
	RUN(CODE("inw %dx, %ax"), "in/ax,dx/msr,scratch", .edx = SCRATCH - 1);
	RUN(CODE("inl %dx, %eax"), "in/eax,dx/mcr..scratch", .edx = SCRATCH - 3);
	RUN(CODE("outb %al, %dx; movl $0, %eax; inb %dx, %al"), "out/dx,al", .edx = SCRATCH,
	    .eax = 0x1155);
	RUN(CODE("outb %al, $0xa1; movl $0, %eax; inb $0xa1, %al"), "out/imm8,al", .eax = 0x11ef);
	RUN(CODE("outw %ax, %dx; movl $0, %eax; incl %edx; inb %dx, %al"), "out/dx,ax",
	    .edx = SCRATCH - 1, .eax = 0x9900);
	RUN(CODE("outl %eax, %dx; movl $0, %eax; addl $3, %edx; inb %dx, %al"), "out/dx,eax",
	    .edx = SCRATCH - 3, .eax = 0xa600000b);
	RUN(CODE("outw %ax, $0x5a"), "out/imm8,ax/nothing");
	RUN(CODE("outl %eax, $0x5a"), "out/imm8,eax/nothing");
	for (uint32_t iopl = 0; iopl <= 3; iopl++)
		RUN(CODE("inb $0xa1, %al"), name("in/al,imm8/iopl%u", iopl),
		    .eflags = 2 | iopl << 12);
	outb(0xa1, 0xff);
}

/* INS and OUTS, one element. */
static void ins_outs(void)
{
	outb(SCRATCH, 0x77);
	RUN(CODE("insb"), "insb", .edx = SCRATCH);
	RUN(CODE("insb"), "insb/df", .edx = SCRATCH, .eflags = DF | 2);
	RUN(CODE("insw"), "insw", .edx = EMPTY);
	RUN(CODE("insw"), "insw/df", .edx = EMPTY, .eflags = DF | 2);
	RUN(CODE("insl"), "insl", .edx = EMPTY);
	RUN(CODE("insl"), "insl/df", .edx = EMPTY, .eflags = DF | 2);
	/* The destination is ES whatever a prefix says. */
	RUN(CODE(".byte 0x26; insb"), "insb/es", .edx = SCRATCH);
	RUN(CODE("ds insb"), "insb/ds", .edx = SCRATCH, .ds = 0);
	RUN(CODE("cs insb"), "insb/cs", .edx = SCRATCH);
	RUN(CODE("insb"), "insb/es=null", .edx = SCRATCH, .es = 0);
	RUN(CODE("insb"), "insb/es=readonly", .edx = SCRATCH, .es = SEL_READ);
	/* A 16-bit address: DI, and only DI moves. */
	RUN(CODE("addr16 insb"), "insb/addr16", .edx = SCRATCH, .es = SEL_SMALL, .edi = 0xabcd0010);
	RUN(CODE("addr16 insb"), "insb/addr16/df/wrap", .edx = SCRATCH, .es = SEL_SMALL,
	    .edi = 0xabcd0000, .eflags = DF | 2);

	RUN(CODE("outsb; inb %dx, %al"), "outsb", .edx = SCRATCH);
	RUN(CODE("outsb; inb %dx, %al"), "outsb/df", .edx = SCRATCH, .eflags = DF | 2);
	RUN(CODE("outsw"), "outsw", .edx = EMPTY);
	RUN(CODE("outsw"), "outsw/df", .edx = EMPTY, .eflags = DF | 2);
	RUN(CODE("outsl"), "outsl", .edx = EMPTY);
	RUN(CODE("outsl"), "outsl/df", .edx = EMPTY, .eflags = DF | 2);
	RUN(CODE("fs outsb; inb %dx, %al"), "outsb/fs", .edx = SCRATCH, .fs = SEL_SMALL, .esi = 5);
	RUN(CODE("fs outsb"), "outsb/fs=null", .edx = SCRATCH, .fs = 0);
	RUN(CODE("cs outsb; inb %dx, %al"), "outsb/cs", .edx = SCRATCH);
	RUN(CODE("ss outsb; inb %dx, %al"), "outsb/ss", .edx = SCRATCH);
	RUN(CODE("outsb; inb %dx, %al"), "outsb/ds=readonly", .edx = SCRATCH, .ds = SEL_READ);
	RUN(CODE("outsb"), "outsb/ds=execonly", .edx = SCRATCH, .ds = SEL_DATA, .fs = 0);
	RUN(CODE("addr16 fs outsb; inb %dx, %al"), "outsb/addr16", .edx = SCRATCH, .fs = SEL_SMALL,
	    .esi = 0xabcd0011);
}

static void rep(void)
{
	outb(SCRATCH, 0x77);
	RUN(CODE("rep insb"), "rep insb/0", .edx = SCRATCH, .ecx = 0);
	RUN(CODE("rep insb"), "rep insb/1", .edx = SCRATCH, .ecx = 1);
	RUN(CODE("rep insb"), "rep insb/5", .edx = SCRATCH, .ecx = 5);
	RUN(CODE("rep insb"), "rep insb/5/df", .edx = SCRATCH, .ecx = 5, .eflags = DF | 2);
	RUN(CODE("rep insw"), "rep insw/3", .edx = EMPTY, .ecx = 3);
	RUN(CODE("rep insl"), "rep insl/3", .edx = EMPTY, .ecx = 3);
	RUN(CODE("repne insb"), "repne insb/2", .edx = SCRATCH, .ecx = 2);
	RUN(CODE("addr16 rep insb"), "rep insb/addr16/2", .edx = SCRATCH, .es = SEL_SMALL,
	    .ecx = 0x10002, .edi = 0x10008);
	RUN(CODE("addr16 rep insb"), "rep insb/addr16/cx=0", .edx = SCRATCH, .es = SEL_SMALL,
	    .ecx = 0x10000, .edi = 0x10008);
	/* The fault comes in the middle; what was done stays done. */
	RUN(CODE("rep insb"), "rep insb/limit", .edx = SCRATCH, .es = SEL_SMALL, .ecx = 5,
	    .edi = 0x3e);
	RUN(CODE("rep insl"), "rep insl/limit", .edx = EMPTY, .es = SEL_SMALL, .ecx = 5,
	    .edi = 0x3a);
	RUN(CODE("rep outsb; inb %dx, %al"), "rep outsb/0", .edx = SCRATCH, .ecx = 0);
	RUN(CODE("rep outsb; inb %dx, %al"), "rep outsb/5", .edx = SCRATCH, .ecx = 5);
	RUN(CODE("rep outsb; inb %dx, %al"), "rep outsb/5/df", .edx = SCRATCH, .ecx = 5,
	    .eflags = DF | 2);
	RUN(CODE("rep outsw"), "rep outsw/3", .edx = EMPTY, .ecx = 3);
	RUN(CODE("rep outsl"), "rep outsl/3", .edx = EMPTY, .ecx = 3);
	RUN(CODE("rep outsb"), "rep outsb/limit", .edx = SCRATCH, .ds = SEL_SMALL, .ecx = 5,
	    .esi = 0x3e);
	RUN(CODE("addr16 rep outsb"), "rep outsb/addr16/2", .edx = SCRATCH, .ds = SEL_SMALL,
	    .ecx = 0x10002, .esi = 0x10008);
}

/* Each byte gets to the device, in order: COM1 in loopback. */
static void fifo(void)
{
	outb(0x3fc, 0x1b); /* loopback */
	outb(0x3fa, 0x07); /* FIFO on and empty */
	run_silent((struct test){ TEST_DEFAULT, .code = CODE("rep outsb; movl $6, %ecx; rep insb"),
				  .edx = DATA, .ecx = 6 });
	outb(0x3fa, 0x00);
	outb(0x3fc, 0x0b);
	line("rep outsb+insb/fifo", "%08x %08x esi+%d edi+%d", *arena(0x80), *arena(0x84),
	     seen.esi - ARENA - 0x40, seen.edi - ARENA - 0x80);
	fill();
}

void cases_io(void)
{
	in_out();
	ins_outs();
	rep();
	fifo();
}
