/* SPDX-License-Identifier: MIT */
/*
 * SMSW, LMSW, CLTS, MOV to and from control and debug registers, INVLPG, INVD, WBINVD.
 * Paging stays off, protection on.  No breakpoint is armed.
 * Source: SDM Vol. 2, MOV to/from control and debug registers; Vol. 3A, "Control Registers" (2.5);
 * Vol. 3B, "Debug Registers" (17.2).
 */
#include "conform.h"
#include "../minios/x86.h"

#define CR0_NOW 0x11 /* PE, ET */
/* Behind a case: CR0 as it was.  EDX is lost. */
#define RESTORE "movl $0x11, %edx; movl %edx, %cr0"

static void msw(void)
{
	static const uint32_t words[] = { 0x0000, 0x0001, 0x0003, 0x0005, 0x0009, 0x000f,
					  0xfff0, 0xffff, 0x0010, 0x0020, 0x8000 };

	RUN(CODE("smswl %eax"), "smsw32");
	RUN(CODE("smsww %ax"), "smsw16");
	RUN(CODE("smsw (%ebx)"), "smsw/memory");
	RUN(CODE(".byte 0x66; smsw (%ebx)"), "smsw/memory/opsize16");
	RUN(CODE("smsw %fs:0"), "smsw/null segment");
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		RUN(CODE3("", "lmsw %ax; movl %cr0, %ecx", RESTORE), name("lmsw/%04x", words[i]),
		    .eax = words[i]);
		RUN(CODE3("movl $0x1f, %ecx; movl %ecx, %cr0", "lmsw %ax; movl %cr0, %ecx",
			  RESTORE),
		    name("lmsw/set/%04x", words[i]), .eax = words[i]);
	}
	*arena(0) = 0x000e;
	RUN(CODE3("", "lmsw (%ebx); smswl %ecx", RESTORE), "lmsw/memory");
	RUN(CODE3("movl $0x1b, %ecx; movl %ecx, %cr0", "clts; movl %cr0, %ecx", RESTORE),
	    "clts/set");
	RUN(CODE3("", "clts; movl %cr0, %ecx", RESTORE), "clts/clear");
}

static void cr0(void)
{
	static const uint32_t values[] = {
		0x00000001, 0x00000011, 0x0000001f, 0x00000031, 0x00010011, 0x00040011, 0x00050033,
		0x40000011, 0x60000011, 0x20000011, 0x1ffaffd1, 0x00000051, 0x00000411, 0x00020011,
	};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		RUN(CODE3("", "movl %eax, %cr0; movl %cr0, %ecx", RESTORE),
		    name("mov cr0/%08x", values[i]), .eax = values[i]);
	RUN(CODE("movl %cr0, %esp; xchg %eax, %esp; movl $0x207000, %esp"), "mov from cr0/esp");
	/* The mod field means nothing, nor does an operand-size prefix. */
	RUN(CODE(".byte 0x0f, 0x20, 0x00"), "mov from cr0/mod 0");
	RUN(CODE(".byte 0x0f, 0x20, 0x47"), "mov from cr0/mod 1");
	RUN(CODE(".byte 0x66, 0x0f, 0x20, 0xc0"), "mov from cr0/opsize16");
	RUN(CODE3(".byte 0xeb, 0x00", ".byte 0x0f, 0x22, 0x00; movl %cr0, %ecx", RESTORE),
	    "mov cr0/mod 0", .eax = 0x31);
}

static void cr4(uint32_t val)
{
	RUN(CODE3("", "movl %eax, %cr4; movl %cr4, %ecx", "movl $0, %edx; movl %edx, %cr4"),
	    name("mov cr4/%08x", val), .eax = val);
	WRITE_CR(4, 0);
}

static void cr234(void)
{
	RUN(CODE("movl %eax, %cr2; movl %cr2, %ecx"), "mov cr2", .eax = 0xfedcba98);
	RUN(CODE("movl %eax, %cr2; movl %cr2, %ecx"), "mov cr2/0", .eax = 0);
	RUN(CODE("movl %eax, %cr3; movl %cr3, %ecx"), "mov cr3", .eax = 0x00123000);
	RUN(CODE("movl %eax, %cr3; movl %cr3, %ecx"), "mov cr3/pwt,pcd", .eax = 0x00123018);
	RUN(CODE("movl %eax, %cr3; movl %cr3, %ecx"), "mov cr3/low bits", .eax = 0x00123fff);
	RUN(CODE("movl %eax, %cr3; movl %cr3, %ecx"), "mov cr3/high", .eax = 0xfffff000);
	RUN(CODE("movl %eax, %cr3; movl %cr3, %ecx"), "mov cr3/0", .eax = 0);
	for (unsigned i = 0; i < 11; i++)
		cr4(1u << i);
	cr4(0x9c);
	/* Registers that do not exist. */
	RUN(CODE(".byte 0x0f, 0x20, 0xc8"), "mov from cr1");
	RUN(CODE(".byte 0x0f, 0x22, 0xc8"), "mov to cr1");
	RUN(CODE(".byte 0x0f, 0x20, 0xe8"), "mov from cr5");
	RUN(CODE(".byte 0x0f, 0x22, 0xe8"), "mov to cr5");
	RUN(CODE(".byte 0x0f, 0x20, 0xf0"), "mov from cr6");
	RUN(CODE(".byte 0x0f, 0x22, 0xf0"), "mov to cr6");
	RUN(CODE(".byte 0x0f, 0x20, 0xf8"), "mov from cr7");
	RUN(CODE(".byte 0x0f, 0x22, 0xf8"), "mov to cr7");
	RUN(CODE(".byte 0xf0, 0x0f, 0x20, 0xc0"), "lock mov from cr0");
	RUN(CODE(".byte 0xf0, 0x0f, 0x22, 0xd8"), "lock mov to cr3");
}

static void dr(void)
{
	static const uint32_t dr6[] = { 0, 0xffffffff, 0xffff0ff0, 0x0000e00f, 0x00001000 };
	static const uint32_t dr7[] = { 0, 0x400, 0x300, 0xffff0000, 0x0000d800 };

	RUN(CODE("movl %db0, %eax; movl %db1, %ecx; movl %db2, %edx; movl %db3, %ebp"),
	    "mov from dr0-3/reset");
	RUN(CODE("movl %eax, %db0; movl %ecx, %db1; movl %edx, %db2; movl %ebp, %db3;"
		 "movl %db0, %ebp; movl %db1, %edx; movl %db2, %ecx; movl %db3, %eax"),
	    "mov dr0-3");
	RUN(CODE("xorl %ecx, %ecx; movl %ecx, %db0; movl %ecx, %db1; movl %ecx, %db2;"
		 "movl %ecx, %db3"),
	    "mov dr0-3/0", .hide = RF | ARITH);
	for (size_t i = 0; i < sizeof(dr6) / sizeof(dr6[0]); i++)
		RUN(CODE("movl %eax, %db6; movl %db6, %ecx"), name("mov dr6/%08x", dr6[i]),
		    .eax = dr6[i]);
	RUN(CODE("movl %db7, %eax"), "mov from dr7/reset");
	for (size_t i = 0; i < sizeof(dr7) / sizeof(dr7[0]); i++)
		RUN(CODE3("", "movl %eax, %db7; movl %db7, %ecx",
			  "movl $0x400, %edx; movl %edx, %db7"),
		    name("mov dr7/%08x", dr7[i]), .eax = dr7[i]);
	RUN(CODE3("movl $0xffff0ff0, %eax; movl %eax, %db6", ".byte 0x0f, 0x21, 0xe0", ""),
	    "mov from dr4/alias of dr6");
	RUN(CODE(".byte 0x0f, 0x21, 0xe8"), "mov from dr5/alias of dr7");
	RUN(CODE3("movl $0x4001, %eax", ".byte 0x0f, 0x23, 0xe0; movl %db6, %ecx", ""),
	    "mov to dr4/alias of dr6");
	RUN(CODE3("movl $0x500, %eax", ".byte 0x0f, 0x23, 0xe8; movl %db7, %ecx",
		  "movl $0x400, %edx; movl %edx, %db7"),
	    "mov to dr5/alias of dr7");
	WRITE_CR(4, 8); /* DE */
	RUN(CODE(".byte 0x0f, 0x21, 0xe0"), "mov from dr4/de");
	RUN(CODE(".byte 0x0f, 0x21, 0xe8"), "mov from dr5/de");
	RUN(CODE(".byte 0x0f, 0x23, 0xe0"), "mov to dr4/de");
	RUN(CODE(".byte 0x0f, 0x23, 0xe8"), "mov to dr5/de");
	RUN(CODE("movl %db6, %eax"), "mov from dr6/de", .undefined_eax = 0x4001);
	WRITE_CR(4, 0);
	/* General detect: the access is #DB before it happens, and GD is off in the handler. */
	__asm__ volatile("movl %0, %%db6" : : "r"(0xffff0ff0));
	RUN(CODE2("movl $0x2400, %eax; movl %eax, %db7", "movl %db0, %ecx"), "gd/mov from dr0",
	    .eax = 0x2400);
	RUN(CODE("movl %db6, %eax; movl %db7, %ecx"), "gd/dr6,dr7 after");
	__asm__ volatile("movl %0, %%db6" : : "r"(0xffff0ff0));
	RUN(CODE2("movl $0x2400, %eax; movl %eax, %db7", "movl %eax, %db7"), "gd/mov to dr7",
	    .eax = 0x2400);
	__asm__ volatile("movl %0, %%db7\n movl %1, %%db6" : : "r"(0x400), "r"(0xffff0ff0));
}

static void cache(void)
{
	RUN(CODE("invd"), "invd");
	RUN(CODE("wbinvd"), "wbinvd");
	RUN(CODE(".byte 0x66, 0x0f, 0x09"), "wbinvd/opsize16");
	RUN(CODE(".byte 0xf3, 0x0f, 0x09"), "wbnoinvd"); /* runs as WBINVD where it is unknown */
	RUN(CODE("invlpg (%ebx)"), "invlpg");
	RUN(CODE("invlpg %fs:0"), "invlpg/null segment");
	RUN(CODE("invlpg 0xfffffff0"), "invlpg/top");
	RUN(CODE(".byte 0x0f, 0x01, 0xfe"), "invlpg/register"); /* later INVLPGB */
	RUN(CODE(".byte 0x66, 0x0f, 0x38, 0x82, 0x03"), "invpcid");
}

/*
 * What QEMU 7.2 cannot do: it hangs on a reserved bit of CR4 (it takes it for an SVM exit) and
 * turns paging on without protection.  Only run when asked for by name.
 */
void cases_control_alone(void)
{
	WRITE_CR(0, CR0_NOW);
	WRITE_CR(4, 0);
	for (unsigned i = 11; i < 32; i++)
		if (i != 18) /* OSXSAVE depends on the host */
			cr4(1u << i);
	RUN(CODE("movl %eax, %cr4"), "mov cr4/ffffffff", .eax = 0xffffffff);
	RUN(CODE("movl %eax, %cr0"), "mov cr0/80000010", .eax = 0x80000010);
	RUN(CODE("movl %eax, %cr0"), "mov cr0/a0000011", .eax = 0xa0000011);
}

void cases_control(void)
{
	WRITE_CR(0, CR0_NOW);
	WRITE_CR(4, 0);
	msw();
	cr0();
	cr234();
	dr();
	cache();
}
