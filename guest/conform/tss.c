/* SPDX-License-Identifier: MIT */
/*
 * The task-state segment: what is wrong with the stack it names or with itself; LTR; double faults
 * of which another ring recovers.
 * Source: SDM Vol. 3A, "Interrupt 10" and "Interrupt 8" (6.15), "Task-State Segment" (7.2.1),
 * "16-Bit TSS" (7.6); Vol. 2, INT n, CALL, LTR.
 */
#include "ring.h"

static volatile uint32_t *tss32(unsigned off)
{
	return (volatile uint32_t *)(TSS + off);
}

static volatile uint16_t *tss16(unsigned off)
{
	return (volatile uint16_t *)(TSS + off);
}

/* ---- a bad stack for ring 1; the exception about it is handled at ring 0 ---- */

static const struct {
	const char *what;
	uint16_t sel;
} stacks[] = {
	{ "good", SEL_DATA1 | 1 },
	{ "null", 0 },
	{ "null1", 1 },
	{ "rpl0", SEL_DATA1 },
	{ "rpl3", SEL_DATA1 | 3 },
	{ "ring 0", SEL_DATA },
	{ "ring 0, rpl1", SEL_DATA | 1 },
	{ "ring 3, rpl1", SEL_DATA3 | 1 },
	{ "read-only", SEL_READ | 1 },
	{ "code", SEL_CODE1 | 1 },
	{ "np", SEL_SMALL | 1 },
	{ "tss", SEL_TSS32 | 1 },
	{ "beyond", SEL_BEYOND | 1 },
	{ "ti", LDT_DATA | 1 },
};

static void bad_stacks(void)
{
	for (size_t i = 0; i < sizeof(stacks) / sizeof(stacks[0]); i++) {
		const char *w = stacks[i].what;

		for (unsigned gate = 0; gate < 2; gate++) {
			set_descriptor(GDT, SEL_SMALL, 0, 0xfffff, 0x33, FLAG_G | FLAG_D);
			*tss32(16) = stacks[i].sel;
			set_vector(0x41, SEL_CODE1, (uint32_t)user_target, GATE32 | 0x60);
			set_gate(GDT, SEL_CALL_3, SEL_CODE1, (uint32_t)user_target, 0xec);
			if (gate)
				URUN(UCODE("lcall $0x173, $0"), name("tss/ss1 %s/call", w),
				     .hide = RF);
			else
				URUN(UCODE("int $0x41"), name("tss/ss1 %s/int", w), .hide = RF);
		}
		/* The same for an exception: EXT is set. */
		set_descriptor(GDT, SEL_SMALL, 0, 0xfffff, 0x33, FLAG_G | FLAG_D);
		*tss32(16) = stacks[i].sel;
		set_vector(6, SEL_CODE1, (uint32_t)user_target, GATE32);
		URUN(UCODE("ud2"), name("tss/ss1 %s/#UD", w), .hide = RF);
	}
}

/* ---- stacks with limits ---- */

static void stack_limits(void)
{
	/* Room for the frame: 20 bytes for INT; expand-up up to 0x1000 from the stack's page. */
	for (unsigned esp = 16; esp <= 24; esp += 4) {
		set_descriptor(GDT, SEL_SMALL, RING_STACK(1) - 0x1000, 0xfff, 0xb3, FLAG_D);
		*tss32(12) = esp;
		*tss32(16) = SEL_SMALL | 1;
		set_vector(0x41, SEL_CODE1, (uint32_t)user_target, GATE32 | 0x60);
		URUN(UCODE("int $0x41"), name("tss/stack of %u bytes", esp), .hide = RF);
	}
	set_descriptor(GDT, SEL_SMALL, RING_STACK(1) - 0x1000, 0xff, 0xb3, FLAG_D);
	*tss32(12) = 0x104;
	*tss32(16) = SEL_SMALL | 1;
	set_vector(0x41, SEL_CODE1, (uint32_t)user_target, GATE32 | 0x60);
	URUN(UCODE("int $0x41"), "tss/stack over limit", .hide = RF);
	/* A 16-bit stack: SP wraps at 64 KiB. */
	set_descriptor(GDT, SEL_SMALL, RING_STACK(1) - 0x1000, 0xffff, 0xb3, 0);
	*tss32(12) = 0xabcd1000;
	*tss32(16) = SEL_SMALL | 1;
	set_vector(0x41, SEL_CODE1, (uint32_t)user_target, GATE32 | 0x60);
	URUN(UCODE("int $0x41"), "tss/16-bit stack", .hide = RF);
}

/* ---- the limit of the TSS itself ---- */

static void load_tss(uint32_t limit, unsigned type)
{
	set_descriptor(GDT, SEL_TSS32, TSS, limit, 0x80 | type, 0);
	__asm__ volatile("ltr %%ax" : : "a"(SEL_TSS32));
}

static void small_tss(void)
{
	/* SS1 is in bytes 16 and 17.  QEMU asks for two more, and SS0 must be there for #TS. */
	for (uint32_t limit = 11; limit <= 20; limit++) {
		load_tss(limit, 9);
		set_vector(0x41, SEL_CODE1, (uint32_t)user_target, GATE32 | 0x60);
		set_gate(GDT, SEL_CALL_3, SEL_CODE1, (uint32_t)user_target, 0xec);
		URUN(UCODE("int $0x41"), name("tss/limit %u/int", limit), .hide = RF);
		load_tss(limit, 9);
		set_gate(GDT, SEL_CALL_3, SEL_CODE1, (uint32_t)user_target, 0xec);
		URUN(UCODE("lcall $0x173, $0"), name("tss/limit %u/call", limit), .hide = RF);
	}
	/* 16-bit: SP1 in bytes 6 and 7, SS1 in 8 and 9; rings 0's in 2 to 5. */
	for (uint32_t limit = 7; limit <= 10; limit++) {
		*tss16(2) = (uint16_t)RING_STACK(0);
		*tss16(4) = SEL_STACK0;
		*tss16(6) = 0x1000;
		*tss16(8) = SEL_SMALL | 1;
		set_descriptor(GDT, SEL_SMALL, RING_STACK(1) - 0x1000, 0xffff, 0xb3, FLAG_D);
		set_descriptor(GDT, SEL_STACK0, RING_STACK(0) & ~0xffffu, 0xfffff, 0x93,
			       FLAG_G | FLAG_D);
		load_tss(limit, 1);
		set_vector(0x41, SEL_CODE1, (uint32_t)user_target, GATE32 | 0x60);
		URUN(UCODE("int $0x41"), name("tss/16-bit, limit %u/int", limit), .hide = RF);
	}
	*tss16(2) = (uint16_t)RING_STACK(0);
	*tss16(4) = SEL_STACK0;
	set_descriptor(GDT, SEL_STACK0, RING_STACK(0) & ~0xffffu, 0xfffff, 0x93, FLAG_G | FLAG_D);
	load_tss(0x2b, 1);
	URUN(UCODE("ud2"), "tss/16-bit/#UD", .hide = RF);
	ring_tables();
	*tss16(2) = (uint16_t)RING_STACK(0);
	*tss16(4) = SEL_STACK0;
	set_descriptor(GDT, SEL_STACK0, RING_STACK(0) & ~0xffffu, 0xfffff, 0x93, FLAG_G | FLAG_D);
	load_tss(0x2b, 1);
	URUN(UCODE("inb $0x80, %al"), "tss/16-bit/in", .hide = RF);
	ring_tables();
}

/* ---- LTR ---- */

static void ltr(void)
{
	static const struct {
		const char *what;
		uint16_t sel;
	} tss[] = { { "null", 0 },
		    { "tss16", SEL_TSS16 },
		    { "tss16 busy", SEL_TSS16_BUSY },
		    { "tss32 busy", SEL_TSS32_BUSY },
		    { "np", SEL_TSS_NP },
		    { "ldt", SEL_LDT },
		    { "data", SEL_DATA },
		    { "gate", SEL_CALL32 },
		    { "beyond", SEL_BEYOND },
		    { "ti", LDT_DATA },
		    { "rpl3", SEL_TSS32 | 3 } };

	for (size_t i = 0; i < sizeof(tss) / sizeof(tss[0]); i++) {
		ring_reset();
		set_descriptor(GDT, SEL_TSS32, TSS, 0x67, 0x89, 0);
		RUN(CODE("ltr %cx; str %eax"), name("tss/ltr %s", tss[i].what), .ecx = tss[i].sel);
	}
	ring_tables();
}

/* ---- double faults ---- */

/* At ring 1: give ring 0 its stack back, and report. */
extern char df_rescue[];
__asm__(".pushsection user_code, \"ax\"\n"
	"df_rescue:\n"
	"	movl	$0x20a000, %ss:0x205004\n" /* ESP0: RING_STACK(0) */
	"	movl	$0x10, %ss:0x205008\n"     /* SS0: SEL_DATA */
	"	int	$0x48\n"
	".popsection\n");

/*
 * An exception at CPL 3 whose handler's stack is bad: #TS, #SS or #PF for that cannot be delivered
 * either, and the #DF that follows goes to ring 1, whose stack is good.  The error code lies there.
 */
static void double_faults(void)
{
	static const struct {
		const char *what;
		uint32_t esp, ss;
	} bad[] = { { "ss0 null", RING_STACK(0), 0 },
		    { "ss0 rpl3", RING_STACK(0), SEL_DATA3 | 3 },
		    { "ss0 np", RING_STACK(0), SEL_DATA_NP },
		    { "ss0 beyond", RING_STACK(0), SEL_BEYOND },
		    { "esp0 absent", 0x0f001000, SEL_DATA },
		    { "esp0 wraps", 0, SEL_DATA } };
	volatile uint32_t *top = (volatile uint32_t *)RING_STACK(1);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		for (unsigned what = 0; what < 4; what++) {
			static const char *const names[] = { "#UD", "#GP", "#PF", "int" };
			struct code c = what == 0   ? UCODE("ud2")
					: what == 1 ? UCODE("hlt")
					: what == 2 ? UCODE("movl 0x0f000000, %eax")
						    : UCODE("int $0x42");

			*tss32(4) = bad[i].esp;
			*tss32(8) = bad[i].ss;
			set_vector(8, SEL_CODE1, (uint32_t)df_rescue, GATE32);
			set_vector(0x42, SEL_CODE, STUB(0x42), GATE32 | 0x60);
			set_vector(0x48, SEL_CODE, STUB(0x48), GATE32 | 0x20);
			top[-6] = 0x55555555;
			URUN(c, name("df/%s/%s", bad[i].what, names[what]), .hide = RF,
			     .no_eip = true);
			line(name("df/%s/%s/frame", bad[i].what, names[what]),
			     "error %x cs %x esp %x", top[-6], top[-4], top[-2]);
		}
	}
}

void cases_tss(void)
{
	rings_on();
	bad_stacks();
	stack_limits();
	small_tss();
	ltr();
	double_faults();
	rings_off();
}
