/* SPDX-License-Identifier: MIT */
/*
 * Prefixes: LOCK where it is not allowed, instructions of 15 bytes and more, redundant ones.
 * Source: SDM Vol. 2A, LOCK; "Instruction Prefixes" (2.1.1); Vol. 3A, "Interrupt 13" (6.15).
 */
#include "conform.h"

#define LOCK(bytes, what) RUN(CODE(".byte 0xf0, " bytes), "lock " what)
#define P14               "0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66"

/* QEMU 7.2 ignores LOCK and would halt, lose the GDT, or return to nowhere. */
void cases_prefix_alone(void)
{
	LOCK("0xf4", "hlt");
	LOCK("0x0f, 0x01, 0x13", "lgdt");
	LOCK("0xcf", "iret");
	LOCK("0xcb", "lret");
}

void cases_prefix(void)
{
	LOCK("0xfa", "cli");
	LOCK("0xfb", "sti");
	LOCK("0x9c", "pushf");
	LOCK("0x9d", "popf");
	LOCK("0xec", "in");
	LOCK("0xee", "out");
	LOCK("0x6c", "insb");
	LOCK("0x0f, 0x01, 0x03", "sgdt");
	LOCK("0x0f, 0x01, 0xe0", "smsw");
	LOCK("0x0f, 0x00, 0xc0", "sldt");
	LOCK("0x0f, 0x00, 0xd0", "lldt");
	LOCK("0x0f, 0x02, 0xc3", "lar");
	RUN(CODE(".byte 0xf0, 0x0f, 0xa2"), "lock cpuid", .no_regs = true);
	RUN(CODE(".byte 0xf0, 0x0f, 0x31"), "lock rdtsc", .no_regs = true);
	LOCK("0x0f, 0x32", "rdmsr");
	LOCK("0x0f, 0x06", "clts");
	LOCK("0x8e, 0xd8", "mov to ds");
	LOCK("0x8c, 0xd8", "mov from ds");
	LOCK("0x1e", "push ds");
	LOCK("0x0f, 0x01, 0x3b", "invlpg");
	LOCK("0xcd, 0x30", "int");
	LOCK("0xcc", "int3");
	LOCK("0x90", "nop");
	LOCK("0x89, 0xc0", "mov");
	LOCK("0x8b, 0x03", "mov load");
	LOCK("0x01, 0xc0", "add register");
	LOCK("0x39, 0x03", "cmp memory");
	RUN(CODE("lock addl $1, (%ebx)"), "lock add memory", .hide = RF | ARITH);
	RUN(CODE("lock addl $1, %fs:(%ebx)"), "lock add null segment", .hide = RF | ARITH);

	/* 15 bytes are allowed, 16 are not. */
	RUN(CODE(".byte " P14 ", 0xfa"), "length 15/cli", .eflags = IF | 2);
	RUN(CODE(".byte " P14 ", 0x66, 0xfa"), "length 16/cli", .eflags = IF | 2);
	RUN(CODE(".byte " P14 ", 0x90"), "length 15/nop");
	RUN(CODE(".byte " P14 ", 0x66, 0x90"), "length 16/nop");
	RUN(CODE(".byte " P14 ", 0x9c"), "length 15/pushf");
	RUN(CODE(".byte " P14 ", 0x66, 0x9c"), "length 16/pushf");
	RUN(CODE(".byte 0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e, 0x0f, 0x01, "
		 "0xe0"),
	    "length 15/smsw");
	RUN(CODE(".byte 0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e, 0x0f, "
		 "0x01,"
		 "0xe0"),
	    "length 16/smsw");

	/* The last segment prefix counts; others are ignored. */
	RUN(CODE(".byte 0x64, 0x3e, 0x8b, 0x03"), "prefix/fs,ds");
	RUN(CODE(".byte 0x3e, 0x64, 0x8b, 0x03"), "prefix/ds,fs=null");
	RUN(CODE(".byte 0xf2, 0x9c"), "prefix/repne pushf");
	RUN(CODE(".byte 0xf3, 0x9d"), "prefix/rep popf", .hide = 0xffffffff);
	RUN(CODE(".byte 0x64, 0xfa"), "prefix/fs cli", .eflags = IF | 2);
	RUN(CODE(".byte 0x67, 0xfa"), "prefix/addr16 cli", .eflags = IF | 2);
	RUN(CODE(".byte 0xf3, 0x0f, 0x01, 0xe0"), "prefix/rep smsw");
	RUN(CODE(".byte 0x67, 0x0f, 0x01, 0xe0"), "prefix/addr16 smsw");
	RUN(CODE(".byte 0x66, 0x67, 0x8c, 0xd8"), "prefix/opsize16 addr16 mov from ds");

	/* 16-bit code. */
	RUN(CODE16("", "cli; pushfw; popw %ax"), "code16/cli,pushf", .cs = SEL_CODE16,
	    .eflags = IF | 2);
	RUN(CODE16("", "pushfl; popl %eax"), "code16/pushf32", .cs = SEL_CODE16, .eflags = IF | 2);
	RUN(CODE16("", "smsw %ax"), "code16/smsw", .cs = SEL_CODE16);
	RUN(CODE16("", "movw %cs, %ax"), "code16/mov from cs", .cs = SEL_CODE16);
	RUN(CODE16("", "pushw %ds; popw %cx"), "code16/push ds", .cs = SEL_CODE16);
	RUN(CODE16("", "addr32 sgdtw (%ebx)"), "code16/sgdt", .cs = SEL_CODE16);
	RUN(CODE16("", "int $0x30"), "code16/int", .cs = SEL_CODE16);
	RUN(CODE16("", "int $0x80"), "code16/int 80", .cs = SEL_CODE16);
	RUN(CODE16("", "int3"), "code16/int3", .cs = SEL_CODE16);
	RUN(CODE16("", "movw $0x210, %ax; movw %ax, %es"), "code16/mov es beyond",
	    .cs = SEL_CODE16);
	RUN(CODE16("", "larw %cx, %ax"), "code16/lar", .cs = SEL_CODE16, .ecx = SEL_DATA);
	RUN(CODE16("", "ud2"), "code16/ud2", .cs = SEL_CODE16);
	RUN(CODE16("", "inb $0xa1, %al"), "code16/in", .cs = SEL_CODE16);
	RUN(CODE16("", "movl %cr0, %eax"), "code16/mov from cr0", .cs = SEL_CODE16);
}
