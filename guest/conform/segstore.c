/* SPDX-License-Identifier: MIT */
/*
 * MOV from and PUSH of segment registers: values and widths.
 * Source: SDM Vol. 2, MOV, PUSH.
 */
#include "conform.h"

/* The guest must see its own selectors, not the real ones. */
#define OWN .ds = SEL_DATA3 | 3, .es = SEL_SMALL, .fs = SEL_DOWN, .gs = SEL_CONF | 3

#define MOVES(seg)                                                               \
	do {                                                                     \
		RUN(CODE("movl %" seg ", %eax"), "mov r32/" seg, OWN);           \
		RUN(CODE("movw %" seg ", %ax"), "mov r16/" seg, OWN);            \
		RUN(CODE("movw %" seg ", (%ebx)"), "mov m16/" seg, OWN);         \
		RUN(CODE("pushl %" seg), "push32/" seg, OWN);                    \
		RUN(CODE("pushw %" seg), "push16/" seg, OWN);                    \
		RUN(CODE("pushl %" seg "; popl %eax"), "push32,pop32/" seg, OWN, \
		    .undefined_eax = 0xffff0000);                                \
	} while (0)

void cases_segstore(void)
{
	MOVES("es");
	MOVES("ss");
	MOVES("ds");
	MOVES("fs");
	MOVES("gs");
	RUN(CODE("movl %cs, %eax"), "mov r32/cs");
	RUN(CODE("movw %cs, %ax"), "mov r16/cs");
	RUN(CODE("movw %cs, (%ebx)"), "mov m16/cs");
	RUN(CODE("pushl %cs"), "push32/cs");
	RUN(CODE("pushw %cs"), "push16/cs");
	/* 32-bit operand and memory: two bytes are written all the same. */
	RUN(CODE(".byte 0x66, 0x8c, 0x1b"), "mov m16/ds/opsize16");
	RUN(CODE("movl %fs, %eax"), "mov r32/fs=null");
	RUN(CODE("movl %fs, %eax"), "mov r32/fs=null3", .fs = 3);
	RUN(CODE("movw %es, %fs:0"), "mov m16/null segment");
	RUN(CODE("movw %es, %fs:(%ebx)"), "mov m16/readonly", .fs = SEL_READ);
	RUN(CODE("addr16 movw %es, %fs:8(%bx)"), "mov m16/addr16", .fs = SEL_SMALL,
	    .ebx = 0xffff0004);
	RUN(CODE(".byte 0x8c, 0xf0"), "mov from segment 6");
	RUN(CODE(".byte 0x8c, 0xf8"), "mov from segment 7");
	/* The same on a 16-bit stack: only SP moves. */
	RUN(CODE2("movl %eax, %ss; movl $0xabcd1000, %esp", "pushl %ds; popl %ecx"),
	    "push32,pop32/ds/stack16", .eax = SEL_STACK16, .hide = RF);
	RUN(CODE2("movl %eax, %ss; movl $0xabcd0002, %esp",
		  "pushw %ds; movl %esp, %ecx; movl $0xabcd1000, %esp"),
	    "push16/stack16 at 2", .eax = SEL_STACK16);
}
