/* SPDX-License-Identifier: MIT */
/* Checks of ports, of memory-mapped registers in every instruction form, and of the clock. */
#include "minios.h"
#include "trap.h"
#include "x86.h"

enum {
	UART_SCRATCH = 0x3ff, /* a register of the serial port that only remembers */
	DEBUG_PORT = 0xe9,
	NOBODY = 0x5678, /* a port that no device claims */
	CMOS_INDEX = 0x70,
	CMOS_DATA = 0x71,
};

static const char *check_ports(void)
{
	outb(UART_SCRATCH, 0x5a);
	if (inb(UART_SCRATCH) != 0x5a)
		return why("the scratch register reads %x, not 5a", inb(UART_SCRATCH));
	if (inb(NOBODY) != 0xff || inw(NOBODY) != 0xffff || inl(NOBODY) != 0xffffffff)
		return why("a port of nobody reads %x", inl(NOBODY));
	outl(NOBODY, 0); /* goes nowhere, harms nobody */
	return NULL;
}

/* rep outsb and insb, and where they leave their registers. */
static const char *check_string_ports(void)
{
	static const char hello[] = "minios: hello, debug port\n";
	static const uint8_t out[3] = { 1, 2, 0xa5 };
	uint8_t in[4] = { 0 };
	const void *src = hello;
	void *dst = in;
	uint32_t n = sizeof(hello) - 1;

	__asm__ volatile("rep outsb" : "+S"(src), "+c"(n) : "d"(DEBUG_PORT) : "memory");
	if (n || src != hello + sizeof(hello) - 1)
		return why("rep outsb left ecx %u", n);
	src = out;
	n = sizeof(out);
	__asm__ volatile("rep outsb" : "+S"(src), "+c"(n) : "d"(UART_SCRATCH) : "memory");
	n = 3;
	__asm__ volatile("rep insb" : "+D"(dst), "+c"(n) : "d"(UART_SCRATCH) : "memory");
	if (n || dst != in + 3)
		return why("rep insb left ecx %u", n);
	if (in[0] != 0xa5 || in[1] != 0xa5 || in[2] != 0xa5 || in[3] != 0)
		return why("rep insb read %x %x %x, then %x", in[0], in[1], in[2], in[3]);
	return NULL;
}

/* ---- the local APIC's registers; TPR, the vector of LVT error, LDR (the top 8) keep 8 bits ----
 */

#define TPR       "0xfee00080"
#define LVT_ERROR "0xfee00370"
#define LDR       "0xfee000d0"

static const char *check_lapic(void)
{
	uint32_t id = LAPIC_REG(LAPIC_ID) >> 24, version = LAPIC_REG(LAPIC_VERSION) & 0xff;
	if (id != 0)
		return why("the first processor's id is %u", id);
	if (version < 0x10 || version > 0x1f) /* SDM Vol. 3A, "Local APIC Version Register" */
		return why("version %x is not an integrated APIC", version);
	return NULL;
}

static const char *check_mmio_moves(void)
{
	uint32_t a = 0, b = 0;
	LAPIC_REG(LAPIC_TPR) = 0x20;
	if (LAPIC_REG(LAPIC_TPR) != 0x20)
		return why("TPR reads %x, not 20", LAPIC_REG(LAPIC_TPR));
	__asm__ volatile("movl $0x30, " TPR "\n\t" /* immediate */
			 "movl " TPR ", %%eax\n\t" /* the short form through EAX */
			 "movl %%eax, %0\n\t"
			 "pushl " TPR "\n\t"
			 "popl %1"
			 : "=&r"(a), "=&r"(b)
			 :
			 : "eax", "memory");
	if (a != 0x30 || b != 0x30)
		return why("mov and push read %x and %x, not 30", a, b);
	__asm__ volatile("pushl $0x40\n\tpopl " TPR : : : "memory");
	a = LAPIC_REG(LAPIC_TPR);
	LAPIC_REG(LAPIC_TPR) = 0;
	return a == 0x40 ? NULL : why("pop wrote %x, not 40", a);
}

/* On AMD's CPUs KVM's own local APIC keeps only the upper half of TPR (its copy is CR8). */
static const char *check_mmio_alu(void)
{
	uint32_t a = 0x01, b = 0x77, c, flags_ok;
	LAPIC_REG(LAPIC_LVT_ERROR) = 0xf0;
	__asm__ volatile("andl $0x3f, " LVT_ERROR "\n\t" /* 30 */
			 "orl $0x04, " LVT_ERROR "\n\t"  /* 34 */
			 "xorl $0x10, " LVT_ERROR "\n\t" /* 24 */
			 "addl $0x02, " LVT_ERROR "\n\t" /* 26 */
			 "subl $0x01, " LVT_ERROR "\n\t" /* 25 */
			 "incl " LVT_ERROR "\n\t"        /* 26 */
			 "addl " LVT_ERROR ", %0\n\t"    /* a = 27 */
			 "xchgl %1, " LVT_ERROR "\n\t"   /* b = 26, it is 77 */
			 "movl " LVT_ERROR ", %2\n\t"
			 "xorl %3, %3\n\t"
			 "cmpl $0x77, " LVT_ERROR "\n\t"
			 "jne 1f\n\t"
			 "incl %3\n"
			 "1:	testl $0x08, " LVT_ERROR "\n\t"
			 "jnz 2f\n\t"
			 "incl %3\n"
			 "2:	btl $4, " LVT_ERROR "\n\t"
			 "jnc 3f\n\t"
			 "incl %3\n"
			 "3:"
			 : "+&r"(a), "+&r"(b), "=&r"(c), "=&r"(flags_ok)
			 :
			 : "cc", "memory");
	LAPIC_REG(LAPIC_LVT_ERROR) = 0x10000; /* masked */
	if (a != 0x27 || b != 0x26 || c != 0x77)
		return why("got %x %x %x, not 27 26 77", a, b, c);
	return flags_ok == 3 ? NULL : why("flags right in %u of 3 cases", flags_ok);
}

static const char *check_mmio_strings(void)
{
	uint32_t from = 0x5a000000, to = 0, lod;
	const uint32_t *src = &from;
	uint32_t *dst = (uint32_t *)(LAPIC_BASE + LAPIC_LDR);
	__asm__ volatile("movsl" : "+S"(src), "+D"(dst) : : "memory");
	src = (const uint32_t *)(LAPIC_BASE + LAPIC_LDR);
	dst = &to;
	__asm__ volatile("movsl" : "+S"(src), "+D"(dst) : : "memory");
	if (to != from)
		return why("movs carried %x, not %x", to, from);
	src = (const uint32_t *)(LAPIC_BASE + LAPIC_LDR);
	__asm__ volatile("lodsl" : "+S"(src), "=a"(lod) : : "memory");
	if (lod != from)
		return why("lods read %x, not %x", lod, from);
	dst = (uint32_t *)(LAPIC_BASE + LAPIC_LDR);
	__asm__ volatile("stosl" : "+D"(dst) : "a"(0x12000000) : "memory");
	lod = LAPIC_REG(LAPIC_LDR);
	LAPIC_REG(LAPIC_LDR) = 0;
	return lod == 0x12000000 ? NULL : why("stos wrote %x", lod);
}

/* A segment base that is added before the address is looked at. */
static const char *check_mmio_segment(void)
{
	uint32_t val;
	gdt_set_window(LAPIC_BASE, 0xfff);
	LAPIC_REG(LAPIC_TPR) = 0x50;
	__asm__ volatile("movl %1, %%fs\n\t"
			 "movl %%fs:0x80, %0\n\t"
			 "movl $0, %%fs:0x80\n\t"
			 "movl %2, %%fs"
			 : "=&r"(val)
			 : "r"(SEL_WINDOW), "r"(0)
			 : "memory");
	if (val != 0x50)
		return why("fs:80 reads %x, not 50", val);
	return LAPIC_REG(LAPIC_TPR) == 0 ? NULL : why("a store through fs went elsewhere");
}

/* ---- the battery-backed clock: MC146818 data sheet ---- */

static uint8_t cmos(uint8_t reg)
{
	outb(CMOS_INDEX, reg);
	return inb(CMOS_DATA);
}

static unsigned from_bcd(unsigned v)
{
	return (v >> 4) * 10 + (v & 15);
}

static const char *check_clock(void)
{
	unsigned tries = 0, year, century, month;
	while (cmos(0x0a) & 0x80) /* being updated: wait, at most a few milliseconds */
		if (++tries > 100000)
			return why("always busy");
	year = cmos(0x09);
	month = cmos(0x08);
	century = cmos(0x32);
	if (!(cmos(0x0b) & 0x04)) {
		year = from_bcd(year);
		month = from_bcd(month);
		century = from_bcd(century);
	}
	year += century * 100;
	if (year < 2024 || year > 2199)
		return why("the year is %u", year);
	return month >= 1 && month <= 12 ? NULL : why("the month is %u", month);
}

const struct check device_checks[] = {
	{ "boot memory map", check_boot_memory },
	{ "port i/o", check_ports },
	{ "string port i/o", check_string_ports },
	{ "lapic id and version", check_lapic },
	{ "mmio moves", check_mmio_moves },
	{ "mmio arithmetic", check_mmio_alu },
	{ "mmio string instructions", check_mmio_strings },
	{ "mmio through a segment base", check_mmio_segment },
	{ "real-time clock", check_clock },
	{ NULL, NULL },
};
