/* SPDX-License-Identifier: MIT */
/*
 * RDMSR, WRMSR, RDPMC, RDTSC, CPUID, XGETBV, SYSENTER: only what does not depend on the model.
 * Source: SDM Vol. 4; Vol. 2, those instructions.
 */
#include "conform.h"
#include "../minios/x86.h"

static void wrmsr(uint32_t index, uint64_t val)
{
	__asm__ volatile("wrmsr" : : "c"(index), "a"((uint32_t)val), "d"((uint32_t)(val >> 32)));
}

#define READ(index, what) RUN(CODE("rdmsr"), "rdmsr/" what, .ecx = (index))
/* Write, read back, restore. */
#define WRITE(index, hi, lo, what)                                                      \
	RUN(CODE3("", "wrmsr; movl $0, %eax; movl $0, %edx; rdmsr", ""), "wrmsr/" what, \
	    .ecx = (index), .edx = (hi), .eax = (lo))

static void msrs(void)
{
	READ(0x1b, "apic base");
	READ(0x174, "sysenter cs");
	READ(0x175, "sysenter esp");
	READ(0x176, "sysenter eip");
	READ(0x277, "pat");
	READ(0x1d9, "debugctl");
	READ(0x12345678, "unknown");
	READ(0xc0001234, "unknown c000");
	READ(0xffffffff, "unknown ff");
	READ(0x80000000, "unknown 8000");
	READ(0x40000000, "hypervisor range");
	RUN(CODE("wrmsr"), "wrmsr/unknown", .ecx = 0x12345678);
	RUN(CODE("wrmsr"), "wrmsr/unknown ff", .ecx = 0xffffffff);
	RUN(CODE("wrmsr"), "wrmsr/mtrr cap (read-only)", .ecx = 0xfe);
	RUN(CODE("wrmsr"), "wrmsr/mcg cap (read-only)", .ecx = 0x179);
	WRITE(0x174, 0, 0x1234, "sysenter cs");
	WRITE(0x175, 0, 0x89abcdef, "sysenter esp");
	WRITE(0x176, 0, 0x76543210, "sysenter eip");
	WRITE(0x174, 0, 0, "sysenter cs 0");
	WRITE(0x277, 0x00070406, 0x00070406, "pat");
	WRITE(0x277, 0x00070406, 0x00070402, "pat/type 2");
	WRITE(0x277, 0x03070406, 0x00070406, "pat/type 3");
	WRITE(0x277, 0x00070406, 0x08070406, "pat/type 8");
	WRITE(0x277, 0x00070406, 0x00070406, "pat/again");
	WRITE(0x200, 0, 0x00000006, "mtrr base");
	WRITE(0x200, 0, 0x00000002, "mtrr base/type 2");
	WRITE(0x200, 0, 0x00000106, "mtrr base/reserved");
	WRITE(0x200, 0, 0, "mtrr base 0");
	WRITE(0x201, 0, 0xff000800, "mtrr mask");
	WRITE(0x201, 0, 0xff000001, "mtrr mask/reserved");
	WRITE(0x201, 0, 0, "mtrr mask 0");
	WRITE(0x250, 0x06060606, 0x06060606, "mtrr fixed");
	WRITE(0x250, 0x06060606, 0x06060602, "mtrr fixed/type 2");
	WRITE(0x250, 0, 0, "mtrr fixed 0");
	WRITE(0x2ff, 0, 0x00000c06, "mtrr default");
	WRITE(0x2ff, 0, 0x00000c02, "mtrr default/type 2");
	WRITE(0x2ff, 0, 0x00001006, "mtrr default/reserved");
	WRITE(0x1b, 0, 0xfee00d00, "apic base/x2apic");
	WRITE(0x1b, 0, 0xfee00901, "apic base/reserved");
	WRITE(0x1b, 0, 0xfee00900, "apic base/same");
	WRITE(0xc0000080, 0, 0x00000100, "efer/lme");
	WRITE(0xc0000080, 0, 0x00000001, "efer/sce");
	WRITE(0xc0000080, 0, 0x80000000, "efer/reserved");
	RUN(CODE(".byte 0x66, 0x0f, 0x32"), "rdmsr/opsize16", .ecx = 0x174);
}

/* Whether there is RDTSCP depends on the host; then ECX must be the guest's IA32_TSC_AUX. */
static void tscp(void)
{
	bool offered, ok;
	uint32_t r[4];

	cpuid(0x80000001, r);
	offered = r[3] >> 27 & 1;
	if (offered)
		wrmsr(0xc0000103, 0x1234);
	run_silent((struct test){ TEST_DEFAULT, .code = CODE("rdtscp") });
	ok = offered ? seen.vector == NO_FAULT && seen.ecx == 0x1234 : seen.vector == 6;
	line("rdtscp", "%s", ok ? "as cpuid says" : "not as cpuid says");
	if (offered)
		wrmsr(0xc0000103, 0);
}

static void counters(void)
{
	uint64_t a = rdtsc(), b = rdtsc(), c;

	wrmsr(0x10, 1ull << 40);
	c = rdtsc();
	line("rdtsc/monotonic", "%s", b > a ? "yes" : "no");
	line("wrmsr/tsc", "%s",
	     c >= 1ull << 40 && c < (1ull << 40) + (1ull << 36) ? "set" : "not set");
	a = rdtsc();
	b = rdmsr(0x10);
	c = rdtsc();
	line("rdmsr/tsc", "%s", a <= b && b <= c ? "between" : "not between");
	WRITE_CR(4, 4);
	RUN(CODE2("", "rdtsc; xorl %eax, %eax; xorl %edx, %edx"), "rdtsc/tsd", .hide = RF | ARITH);
	WRITE_CR(4, 0);
	RUN(CODE("rdpmc"), "rdpmc/0", .ecx = 0);
	RUN(CODE("rdpmc"), "rdpmc/100", .ecx = 100);
	RUN(CODE("rdpmc"), "rdpmc/fixed", .ecx = 0x40000000);
	RUN(CODE("rdpmc"), "rdpmc/ffffffff", .ecx = 0xffffffff);
}

static void ident(void)
{
	/* What any host's Ringside offers, and what none does. */
	static const struct {
		const char *what;
		unsigned reg, bit;
	} bits[] = {
		{ "fpu", 3, 0 },   { "vme", 3, 1 },   { "de", 3, 2 },      { "pse", 3, 3 },
		{ "tsc", 3, 4 },   { "msr", 3, 5 },   { "mce", 3, 7 },     { "cx8", 3, 8 },
		{ "apic", 3, 9 },  { "sep", 3, 11 },  { "mtrr", 3, 12 },   { "pge", 3, 13 },
		{ "mca", 3, 14 },  { "cmov", 3, 15 }, { "pat", 3, 16 },    { "mmx", 3, 23 },
		{ "fxsr", 3, 24 }, { "sse", 3, 25 },  { "monitor", 2, 3 }, { "vmx", 2, 5 },
		{ "smx", 2, 6 },   { "pcid", 2, 17 }, { "x2apic", 2, 21 }, { "osxsave", 2, 27 },
	};
	uint32_t r[4];

	cpuid(1, r);
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		line(name("cpuid/%s", bits[i].what), "%u", r[bits[i].reg] >> bits[i].bit & 1);
	cpuid(0, r);
	line("cpuid/at least leaf 1", "%s", r[0] >= 1 ? "yes" : "no");
	cpuid(0x80000000, r);
	line("cpuid/extended leaves", "%s", r[0] > 0x80000000 ? "yes" : "no");
	cpuid(0x80000001, r);
	line("cpuid/syscall,lm", "%u%u", r[3] >> 11 & 1, r[3] >> 29 & 1);
	RUN(CODE("cpuid; xorl %eax, %eax; xorl %ebx, %ebx; xorl %ecx, %ecx; xorl %edx, %edx"),
	    "cpuid/flags", .eflags = 0x8d7, .hide = RF | ARITH);
	RUN(CODE(".byte 0x66, 0x0f, 0xa2"), "cpuid/opsize16", .no_regs = true);
}

static void xcr(void)
{
	uint32_t r[4];

	RUN(CODE("xgetbv"), "xgetbv/osxsave=0", .ecx = 0);
	RUN(CODE("xsetbv"), "xsetbv/osxsave=0", .ecx = 0, .eax = 1, .edx = 0);
	cpuid(1, r);
	if (!(r[2] & 1u << 26)) {
		line("xsave", "not offered");
		return;
	}
	WRITE_CR(4, 1u << 18);
	cpuid(1, r);
	line("xsave/osxsave after cr4", "%u", r[2] >> 27 & 1);
	RUN(CODE("xgetbv"), "xgetbv/reset", .ecx = 0);
	RUN(CODE("xgetbv"), "xgetbv/xcr1e240", .ecx = 123456);
	RUN(CODE("xsetbv; xgetbv"), "xsetbv/x87", .ecx = 0, .edx = 0, .eax = 1);
	RUN(CODE("xsetbv; xgetbv"), "xsetbv/x87,sse", .ecx = 0, .edx = 0, .eax = 3);
	RUN(CODE("xsetbv"), "xsetbv/0", .ecx = 0, .edx = 0, .eax = 0);
	RUN(CODE("xsetbv"), "xsetbv/sse only", .ecx = 0, .edx = 0, .eax = 2);
	RUN(CODE("xsetbv"), "xsetbv/avx without sse", .ecx = 0, .edx = 0, .eax = 5);
	RUN(CODE("xsetbv"), "xsetbv/bit 63", .ecx = 0, .edx = 0x80000000, .eax = 1);
	RUN(CODE("xsetbv"), "xsetbv/xcr1", .ecx = 1, .edx = 0, .eax = 1);
	RUN(CODE("xsetbv; xgetbv"), "xsetbv/back", .ecx = 0, .edx = 0, .eax = 1);
	WRITE_CR(4, 0);
}

static void fast_calls(void)
{
	RUN(CODE("sysenter"), "sysenter/cs=0");
	RUN(CODE("sysexit"), "sysexit/cs=0");
	wrmsr(0x174, SEL_CODE);
	wrmsr(0x175, STACK_TOP + 0x10);
	wrmsr(0x176, (uint32_t)target32);
	RUN(CODE("sysenter"), "sysenter");
	RUN(CODE("sysenter"), "sysenter/flags", .eflags = 0x2ed7 | AC | ID);
	RUN(CODE(".byte 0x66, 0x0f, 0x34"), "sysenter/opsize16");
	wrmsr(0x174, SEL_CODE | 3);
	RUN(CODE("sysenter"), "sysenter/rpl3");
	wrmsr(0x174, 3);
	RUN(CODE("sysenter"), "sysenter/null rpl3");
	wrmsr(0x174, 0);
	wrmsr(0x175, 0);
	wrmsr(0x176, 0);
}

void cases_msr(void)
{
	WRITE_CR(4, 0);
	msrs();
	tscp();
	counters();
	ident();
	xcr();
	fast_calls();
}
