/* SPDX-License-Identifier: MIT */
/*
 * CLI, STI, PUSHF, POPF, CLAC, STAC.
 * Source: SDM Vol. 2, POPF table 4-16, PUSHF, "EFLAGS Register" Vol. 1 (3.4.3).
 */
#include "conform.h"

/* All flags that can be set at all without consequences for the case itself. */
static const uint32_t images[] = {
	0,      2,          CF,  ARITH,           DF, IF,
	IOPL1,  IOPL3,      NT,  NT | IOPL3 | IF, RF, AC,
	ID,     VIF,        VIP, VIF | VIP,       VM, 0xffffffff & ~TF,
	0x8028, 0xffc00000,
};
#define IMAGES (sizeof(images) / sizeof(images[0]))

static void cli_sti(void)
{
	for (uint32_t iopl = 0; iopl <= 3; iopl++) {
		for (uint32_t set = 0; set <= 1; set++) {
			uint32_t fl = 2 | iopl << 12 | (set ? IF : 0);

			RUN(CODE("cli"), name("cli/iopl%u/if%u", iopl, set), .eflags = fl);
			RUN(CODE("sti"), name("sti/iopl%u/if%u", iopl, set), .eflags = fl);
		}
	}
	RUN(CODE("cli"), "cli/allflags", .eflags = 0x3ed7 | AC | ID);
	RUN(CODE("sti"), "sti/allflags", .eflags = 0x3cd7 | AC | ID);
	RUN(CODE(".byte 0x66, 0xfa"), "cli/opsize16", .eflags = 0x202);
	RUN(CODE(".byte 0xf3, 0xfb"), "sti/rep", .eflags = 2);
}

static void popf(void)
{
	for (size_t i = 0; i < IMAGES; i++) {
		*stack(0) = images[i];
		RUN(CODE("popfl"), name("popf32/clear/%08x", images[i]));
		*stack(0) = images[i];
		RUN(CODE("popfl"), name("popf32/set/%08x", images[i]),
		    .eflags = 0x3ed7 | AC | ID | NT);
		*stack(0) = images[i];
		RUN(CODE("popfw"), name("popf16/clear/%08x", images[i]));
		*stack(0) = images[i];
		RUN(CODE("popfw"), name("popf16/set/%08x", images[i]),
		    .eflags = 0x3ed7 | AC | ID | NT);
	}
	for (uint32_t from = 0; from <= 3; from++) {
		for (uint32_t to = 0; to <= 3; to++) {
			*stack(0) = to << 12 | IF;
			RUN(CODE("popfl"), name("popf32/iopl%u to %u", from, to),
			    .eflags = 2 | from << 12);
		}
	}
	/* RF is cleared by POPF, whatever the image: SDM Vol. 2B, POPF. */
	*stack(0) = RF;
	RUN(CODE("popfl"), "popf32/rf", .hide = 0);
}

static void pushf(void)
{
	static const uint32_t flags[] = { 2,      0x8d7,  0xed7,  0x3002,
					  0x7202, AC | 2, ID | 2, AC | ID | 0x7ed7 };

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		RUN(CODE("pushfl"), name("pushf32/%08x", flags[i]), .eflags = flags[i]);
		RUN(CODE("pushfw"), name("pushf16/%08x", flags[i]), .eflags = flags[i]);
	}
	/* VM and RF are clear in the image. */
	RUN(CODE("pushfl"), "pushf32/rf", .eflags = RF | 2);
	/* VIF and VIP can only come from IRET. */
	RUN(CODE("pushfl"), "pushf32/vif", .eflags = VIF | 2);
	RUN(CODE("pushfl"), "pushf32/vip", .eflags = VIP | 2);
	RUN(CODE("pushfl; popl %eax; pushfl; popl %ecx; xorl %eax, %ecx"), "pushf32/twice");
}

static void lahf_sahf(void)
{
	RUN(CODE("lahf"), "lahf/clear");
	RUN(CODE("lahf"), "lahf/set", .eflags = 0xad7);
	RUN(CODE("sahf"), "sahf/ff", .eax = 0xff00);
	RUN(CODE("sahf"), "sahf/00", .eax = 0x00ff, .eflags = 0xad7);
}

void cases_flags(void)
{
	cli_sti();
	popf();
	pushf();
	lahf_sahf();
	/* CPUID offers no SMAP. */
	RUN(CODE(".byte 0x0f, 0x01, 0xca"), "clac", .eflags = AC | 2);
	RUN(CODE(".byte 0x0f, 0x01, 0xcb"), "stac");
}
