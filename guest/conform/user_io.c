/* SPDX-License-Identifier: MIT */
/*
 * At CPL 3: port I/O by IOPL and by the I/O permission bitmap; what PUSHF shows and POPF changes.
 * Source: SDM Vol. 1, "I/O Permission Bit Map" (18.5.2); Vol. 2B, PUSHF, POPF.
 */
#include "ring.h"

/* A port that takes anything and does nothing; the next ones, too. */
#define PORT 0x80u

static void allow(unsigned first, unsigned count)
{
	for (unsigned port = first; port < first + count; port++)
		*(volatile uint8_t *)(TSS + TSS_IOMAP + port / 8) &= (uint8_t) ~(1u << port % 8);
}

#define IO(bytes, what, how, ...)                                               \
	URUN(UCODE(".byte " bytes), name("user/%s/%s", what, how), .edx = PORT, \
	     .undefined_eax = ~0u, .hide = RF, __VA_ARGS__)

static void all_forms(const char *how, void (*prepare)(void), uint32_t flags)
{
#define FORM(bytes, what)                              \
	do {                                           \
		prepare();                             \
		IO(bytes, what, how, .eflags = flags); \
	} while (0)
	FORM("0xe4, 0x80", "in al, imm");
	FORM("0xe5, 0x80", "in eax, imm");
	FORM("0x66, 0xe5, 0x80", "in ax, imm");
	FORM("0xec", "in al, dx");
	FORM("0xed", "in eax, dx");
	FORM("0xe6, 0x80", "out imm, al");
	FORM("0xe7, 0x80", "out imm, eax");
	FORM("0xee", "out dx, al");
	FORM("0xef", "out dx, eax");
	FORM("0x66, 0xef", "out dx, ax");
	FORM("0x6e", "outsb");
	FORM("0x6f", "outsd");
#undef FORM
}

static void nothing(void)
{
}

static void whole_port(void)
{
	allow(PORT, 4);
}

static void one_byte(void)
{
	allow(PORT, 1);
}

static void second_byte(void)
{
	allow(PORT + 1, 3);
}

static void no_map(void)
{
	*(volatile uint16_t *)(TSS + 102) = 0xffff;
}

/* The last byte of the map is in the segment, the one behind it, which is also read, is not. */
static void map_at_limit(void)
{
	*(volatile uint16_t *)(TSS + 102) = (uint16_t)(TSS_IOMAP + 0xff - PORT / 8);
	memset((void *)(TSS + TSS_IOMAP), 0, 0x200);
}

static void map_before_limit(void)
{
	*(volatile uint16_t *)(TSS + 102) = (uint16_t)(TSS_IOMAP + 0xfe - PORT / 8);
	memset((void *)(TSS + TSS_IOMAP), 0, 0x200);
}

static void ins(void)
{
	allow(PORT, 4);
	URUN(UCODE("insb; movb $0x11, (%esi); movb $0x11, -1(%edi)"), "user/insb/allowed",
	     .edx = PORT, .hide = RF);
	URUN(UCODE("insb"), "user/insb/not allowed", .edx = PORT, .hide = RF);
	allow(PORT, 4);
	URUN(UCODE("rep insb"), "user/rep insb/none", .edx = PORT, .ecx = 0, .hide = RF);
	URUN(UCODE("rep insb"), "user/rep insb/none, not allowed", .edx = PORT, .ecx = 0,
	     .hide = RF);
	allow(PORT, 4);
	URUN(UCODE("rep outsb"), "user/rep outsb/allowed", .edx = PORT, .ecx = 5, .hide = RF);
	/* The data are the kernel's, or missing: #PF, and nothing moves. */
	allow(PORT, 4);
	URUN(UCODE("outsb"), "user/outsb/kernel data", .edx = PORT, .esi = GDT, .hide = RF);
	allow(PORT, 4);
	URUN(UCODE("insb"), "user/insb/kernel data", .edx = PORT, .edi = GDT, .hide = RF);
	URUN(UCODE("insb"), "user/insb/kernel data, not allowed", .edx = PORT, .edi = GDT,
	     .hide = RF);
	allow(PORT, 4);
	URUN(UCODE("rep outsl"), "user/rep outsl/into absent", .edx = PORT, .ecx = 5,
	     .esi = STACK_TOP + 0xff8, .hide = RF);
}

/* The ports of one byte of the map, and accesses over its end. */
static void bits(void)
{
	for (unsigned bit = 6; bit < 10; bit++) {
		allow(PORT + 7, 2);
		URUN(UCODE("inb %dx, %al"), name("user/in bit %u/8", bit), .edx = PORT + bit,
		     .undefined_eax = ~0u, .hide = RF);
		allow(PORT + 7, 2);
		URUN(UCODE("inw %dx, %ax"), name("user/in bit %u/16", bit), .edx = PORT + bit,
		     .undefined_eax = ~0u, .hide = RF);
		allow(PORT + 6, 3);
		URUN(UCODE("inl %dx, %eax"), name("user/in bit %u/32", bit), .edx = PORT + bit,
		     .undefined_eax = ~0u, .hide = RF);
	}
}

static void tss_types(void)
{
	ring_reset();
	set_descriptor(GDT, SEL_TSS32, TSS, 0x67, 0x89, 0);
	__asm__ volatile("ltr %%ax" : : "a"(SEL_TSS32));
	allow(PORT, 4);
	URUN(UCODE("inb $0x80, %al"), "user/in/tss ends before the map", .hide = RF);
	ring_tables();
}

static void flags(void)
{
	static const uint32_t images[] = { 2,      0x8d7,  0xad7,   IF | 2,  IOPL3 | 2, NT | 2,
					   AC | 2, ID | 2, VIF | 2, VIP | 2, VM | 2 };

	for (unsigned iopl = 0; iopl < 4; iopl += 3) {
		for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++) {
			*stack(0) = images[i];
			URUN(UCODE("popfl"), name("user/popf32/iopl%u/%08x", iopl, images[i]),
			     .eflags = 2 | iopl << 12);
			*stack(0) = images[i];
			URUN(UCODE("popfw"), name("user/popf16/iopl%u/%08x", iopl, images[i]),
			     .eflags = 2 | iopl << 12);
			URUN(UCODE("pushfl; popl %eax"),
			     name("user/pushf/iopl%u/%08x", iopl, images[i]),
			     .eflags = (images[i] & ~(VM | VIF | VIP | IOPL3)) | iopl << 12);
		}
		*stack(0) = 2;
		URUN(UCODE("popfl"), name("user/popf32/iopl%u/clear", iopl),
		     .eflags = 0xad7 | AC | ID | iopl << 12);
		URUN(UCODE("cli; sti; cli"), name("user/cli,sti,cli/iopl%u", iopl),
		     .eflags = 2 | iopl << 12, .hide = RF);
		URUN(UCODE("lahf; sahf; cld; std; clc; cmc"), name("user/lahf/iopl%u", iopl),
		     .eflags = 2 | iopl << 12);
	}
}

void cases_user_io(void)
{
	rings_on();
	all_forms("not allowed", nothing, 2);
	all_forms("iopl1", nothing, 2 | IOPL1);
	all_forms("iopl3", nothing, 2 | IOPL3);
	all_forms("allowed", whole_port, 2);
	all_forms("first byte only", one_byte, 2);
	all_forms("but the first byte", second_byte, 2);
	all_forms("map beyond limit", no_map, 2);
	all_forms("map at limit", map_at_limit, 2);
	all_forms("map before limit", map_before_limit, 2);
	ins();
	bits();
	tss_types();
	flags();
	rings_off();
}
