/* SPDX-License-Identifier: MIT */
/*
 * Every sensitive instruction at CPL 3: one case for each row of decoder/sensitive.c, by its bytes,
 * with IOPL 0 and 3 where that matters.  Not here, because the answer depends on the host or on
 * when it was interrupted: SYSENTER, VMCALL, VMMCALL, XGETBV, CPUID's values, and a null selector
 * with an RPL (any return of the host kernel makes it 0).  Ports are in user_io.c, far transfers in
 * rings.c. Source: SDM Vol. 2, each instruction; Vol. 3A, "Privileged Instructions" (5.9).
 */
#include "ring.h"

/* @bytes with and without IOPL 3. */
#define BOTH(name_, bytes)                                                                \
	do {                                                                              \
		URUN(UCODE(".byte " bytes), "user/" name_);                               \
		URUN(UCODE(".byte " bytes), "user/" name_ "/iopl3", .eflags = 2 | IOPL3); \
	} while (0)
#define ONCE(name_, bytes, ...) URUN(UCODE(".byte " bytes), "user/" name_, .hide = RF, __VA_ARGS__)
/* The same with a name that says which selector it is about. */
#define ONCEF(fmt, what, bytes, ...) \
	URUN(UCODE(".byte " bytes), name("user/" fmt, what), .hide = RF, __VA_ARGS__)

static void privileged(void)
{
	BOTH("cli", "0xfa");
	BOTH("sti", "0xfb");
	BOTH("hlt", "0xf4");
	ONCE("lgdt", "0x0f, 0x01, 0x13");
	ONCE("lidt", "0x0f, 0x01, 0x1b");
	ONCE("lldt", "0x0f, 0x00, 0xd0");
	ONCE("lldt null", "0x0f, 0x00, 0xd0", .eax = 0);
	ONCE("ltr", "0x0f, 0x00, 0xd8");
	ONCE("ltr null", "0x0f, 0x00, 0xd8", .eax = 0);
	ONCE("lmsw", "0x0f, 0x01, 0xf0");
	ONCE("clts", "0x0f, 0x06");
	ONCE("mov from cr0", "0x0f, 0x20, 0xc0");
	ONCE("mov from cr2", "0x0f, 0x20, 0xd0");
	ONCE("mov from cr3", "0x0f, 0x20, 0xd8");
	ONCE("mov from cr4", "0x0f, 0x20, 0xe0");
	ONCE("mov to cr0", "0x0f, 0x22, 0xc0");
	ONCE("mov to cr2", "0x0f, 0x22, 0xd0");
	ONCE("mov to cr3", "0x0f, 0x22, 0xd8");
	ONCE("mov to cr4", "0x0f, 0x22, 0xe0");
	ONCE("mov from cr1", "0x0f, 0x20, 0xc8");
	ONCE("mov to cr7", "0x0f, 0x22, 0xf8");
	ONCE("mov from dr0", "0x0f, 0x21, 0xc0");
	ONCE("mov from dr4", "0x0f, 0x21, 0xe0");
	ONCE("mov from dr7", "0x0f, 0x21, 0xf8");
	ONCE("mov to dr0", "0x0f, 0x23, 0xc0");
	ONCE("mov to dr7", "0x0f, 0x23, 0xf8");
	ONCE("invd", "0x0f, 0x08");
	ONCE("wbinvd", "0x0f, 0x09");
	ONCE("wbnoinvd", "0xf3, 0x0f, 0x09");
	ONCE("invlpg", "0x0f, 0x01, 0x3b");
	ONCE("rdmsr", "0x0f, 0x32", .ecx = 0x10);
	ONCE("rdmsr/unknown", "0x0f, 0x32");
	ONCE("wrmsr", "0x0f, 0x30", .ecx = 0x10);
	ONCE("xsetbv", "0x0f, 0x01, 0xd1", .ecx = 0);
	ONCE("sysret", "0x0f, 0x07");
	ONCE("sysexit", "0x0f, 0x35");
	ONCE("monitor", "0x0f, 0x01, 0xc8");
	ONCE("mwait", "0x0f, 0x01, 0xc9");
	ONCE("clac", "0x0f, 0x01, 0xca");
	ONCE("stac", "0x0f, 0x01, 0xcb");
	ONCE("swapgs", "0x0f, 0x01, 0xf8");
	ONCE("rsm", "0x0f, 0xaa");
	ONCE("getsec", "0x0f, 0x37");
	ONCE("pause", "0xf3, 0x90");
	ONCE("ud2", "0x0f, 0x0b");
	ONCE("ud1", "0x0f, 0xb9, 0xc0");
	ONCE("salc and hlt", "0xd6, 0xf4");
}

/* VMX, SVM and what else no guest is offered. */
static void not_offered(void)
{
	ONCE("vmlaunch", "0x0f, 0x01, 0xc2");
	ONCE("vmresume", "0x0f, 0x01, 0xc3");
	ONCE("vmxoff", "0x0f, 0x01, 0xc4");
	ONCE("vmptrld", "0x0f, 0xc7, 0x33");
	ONCE("vmclear", "0x66, 0x0f, 0xc7, 0x33");
	ONCE("vmxon", "0xf3, 0x0f, 0xc7, 0x33");
	ONCE("vmptrst", "0x0f, 0xc7, 0x3b");
	ONCE("vmread", "0x0f, 0x78, 0x03");
	ONCE("vmwrite", "0x0f, 0x79, 0x03");
	ONCE("invept", "0x66, 0x0f, 0x38, 0x80, 0x03");
	ONCE("invvpid", "0x66, 0x0f, 0x38, 0x81, 0x03");
	ONCE("vmrun", "0x0f, 0x01, 0xd8");
	ONCE("vmload", "0x0f, 0x01, 0xda");
	ONCE("vmsave", "0x0f, 0x01, 0xdb");
	ONCE("stgi", "0x0f, 0x01, 0xdc");
	ONCE("clgi", "0x0f, 0x01, 0xdd");
	ONCE("skinit", "0x0f, 0x01, 0xde");
	ONCE("invlpga", "0x0f, 0x01, 0xdf");
	ONCE("encls", "0x0f, 0x01, 0xcf");
	ONCE("enclv", "0x0f, 0x01, 0xc0");
	ONCE("pconfig", "0x0f, 0x01, 0xc5");
	ONCE("wrmsrns", "0x0f, 0x01, 0xc6");
	ONCE("xsaves", "0x0f, 0xc7, 0x2b");
	ONCE("xrstors", "0x0f, 0xc7, 0x1b");
}

/* What tells at CPL 3 without trapping: in the user view it is the host that answers. */
static void unprivileged(void)
{
	ONCE("sgdt", "0x0f, 0x01, 0x03");
	ONCE("sidt", "0x0f, 0x01, 0x0b");
	ONCE("sldt", "0x0f, 0x00, 0xc0");
	ONCE("str", "0x0f, 0x00, 0xc8");
	ONCE("smsw", "0x0f, 0x01, 0xe0");
	ONCE("lar", "0x0f, 0x02, 0xc3", .ebx = SEL_DATA3 | 3, .undefined_eax = 0xf0000);
	ONCE("lar host", "0x0f, 0x02, 0xc3", .ebx = 0x2b, .undefined_eax = 0xf0000);
	ONCE("lsl", "0x0f, 0x03, 0xc3", .ebx = SEL_DATA3 | 3);
	ONCE("lsl host", "0x0f, 0x03, 0xc3", .ebx = 0x2b);
	ONCE("verr", "0x0f, 0x00, 0xe0", .eax = SEL_DATA3 | 3);
	ONCE("verw", "0x0f, 0x00, 0xe8", .eax = SEL_DATA3 | 3);
	ONCE("arpl", "0x63, 0xc3", .eax = 3, .ebx = 0);
	ONCE("rdtsc", "0x0f, 0x31; movl $1, %eax; movl %eax, %edx");
	ONCE("rdpmc", "0x0f, 0x33", .ecx = 0);
	ONCE("cpuid",
	     "0x0f, 0xa2; movl $1, %eax; movl %eax, %ebx; movl %eax, %ecx; "
	     "movl %eax, %edx",
	     .eax = 0);
	ONCE("syscall", "0x0f, 0x05");
}

/* EAX is 1 if the selector is the guest's. */
static void segments(void)
{
#define OWN_SELECTOR(reg, sel)                                                                   \
	URUN(UCODE("movl %" reg ", %eax; cmpw $" sel ", %ax; sete %al; movzbl %al, %eax"),       \
	     "user/mov from " reg, .hide = RF | ARITH);                                          \
	URUN(UCODE("pushl %" reg "; popl %eax; cmpw $" sel ", %ax; sete %al; movzbl %al, %eax"), \
	     "user/push " reg, .hide = RF | ARITH)
	OWN_SELECTOR("es", "0x4b");
	OWN_SELECTOR("cs", "0x53");
	OWN_SELECTOR("ss", "0x4b");
	OWN_SELECTOR("ds", "0x4b");
	OWN_SELECTOR("fs", "0");
	OWN_SELECTOR("gs", "0");
}

/* Loads: with selectors a user may use, may not, and with those the host has. */
static const struct {
	const char *what;
	uint32_t sel;
} selectors[] = {
	{ "null", 0 },
	{ "data3", SEL_DATA3 | 3 },
	{ "data3 rpl0", SEL_DATA3 },
	{ "code3", SEL_CODE3 | 3 },
	{ "conforming", SEL_CONF },
	{ "host data", 0x2b },
	{ "host code", 0x23 },
	{ "host 64", 0x33 },
	{ "host cpu", 0x7b },
	{ "kernel data", SEL_DATA },
	{ "kernel data rpl3", SEL_DATA | 3 },
	{ "data np", SEL_DATA_NP | 3 },
	{ "ring 1", SEL_DATA1 | 1 },
	{ "tss", SEL_TSS32 | 3 },
	{ "gate", SEL_CALL_3 | 3 },
	{ "ti", LDT_DATA3 | 3 },
	{ "beyond", SEL_BEYOND | 3 },
};

static void loads(void)
{
	for (size_t i = 0; i < sizeof(selectors) / sizeof(selectors[0]); i++) {
		const char *w = selectors[i].what;
		uint32_t sel = selectors[i].sel;

		ONCEF("mov to es/%s", w, "0x8e, 0xc0", .eax = sel);
		ONCEF("mov to ss/%s", w, "0x8e, 0xd0", .eax = sel);
		ONCEF("mov to ds/%s", w, "0x8e, 0xd8", .eax = sel);
		ONCEF("mov to fs/%s", w, "0x8e, 0xe0", .eax = sel);
		ONCEF("mov to gs/%s", w, "0x8e, 0xe8", .eax = sel);
		*stack(0) = sel;
		ONCEF("pop es/%s", w, "0x07");
		*stack(0) = sel;
		ONCEF("pop ss/%s", w, "0x17");
		*stack(0) = sel;
		ONCEF("pop gs/%s", w, "0x0f, 0xa9");
		*arena(0) = 0x12345678;
		*arena(4) = sel;
		ONCEF("les/%s", w, "0xc4, 0x0b");
		*arena(0) = 0x12345678;
		*arena(4) = sel;
		ONCEF("lfs/%s", w, "0x0f, 0xb4, 0x0b");
		*stack(0) = sel;
		ONCEF("pop ds/%s", w, "0x1f");
		*stack(0) = sel;
		ONCEF("pop fs/%s", w, "0x0f, 0xa1");
		*arena(0) = STACK_TOP;
		*arena(4) = sel;
		ONCEF("lss/%s", w, "0x0f, 0xb2, 0x23");
	}
}

void cases_user_insn(void)
{
	rings_on();
	privileged();
	not_offered();
	unprivileged();
	segments();
	loads();
	rings_off();
}
