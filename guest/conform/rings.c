/* SPDX-License-Identifier: MIT */
/*
 * From ring to ring: software interrupts, call gates, IRET and far RET to outer levels, conforming
 * code, code at CPL 1 and 2.
 * Source: SDM Vol. 3A, "Privilege Level Checking when Transferring Program Control Between Code
 * Segments" (5.8), "Exception- and Interrupt-Handler Procedures" (6.12.1); Vol. 2, INT n, CALL,
 * RET, IRET.
 */
#include "ring.h"

#define TO ((uint32_t)user_target)

/* Where a gate of these cases leads: what is on the stack then goes into the line. */
static char text_of_frame[120];

/* The frame that the inner ring @cpl found, from the address where its stack began. */
static const char *frame_of(unsigned cpl, unsigned words)
{
	volatile uint32_t *top = (volatile uint32_t *)RING_STACK(cpl);
	size_t n = 0;

	for (unsigned i = words; i-- > 0;) {
		const char *s = name(" %x", top[-1 - (int)i]);

		while (*s && n + 1 < sizeof(text_of_frame))
			text_of_frame[n++] = *s++;
	}
	text_of_frame[n] = 0;
	return text_of_frame;
}

/* ---- int n ---- */

static const struct {
	const char *what;
	uint16_t sel;
} gate_targets[] = {
	{ "ring 0", SEL_CODE },  { "ring 0, rpl3", SEL_CODE | 3 },
	{ "ring 1", SEL_CODE1 }, { "ring 2", SEL_CODE2 },
	{ "ring 3", SEL_CODE3 }, { "conforming", SEL_CONF },
	{ "np", SEL_CODE_NP },   { "data", SEL_DATA },
	{ "null", 0 },           { "beyond", SEL_BEYOND },
	{ "tss", SEL_TSS32 },
};

/* The target, except at ring 0, is user code that comes back by INT 0x31. */
static void interrupts(void)
{
	for (size_t i = 0; i < sizeof(gate_targets) / sizeof(gate_targets[0]); i++) {
		uint16_t sel = gate_targets[i].sel;
		uint32_t to = (sel & ~3u) == SEL_CODE ? STUB(0x40) : TO;

		for (unsigned dpl = 0; dpl < 4; dpl++) {
			if (i && dpl != 3)
				continue;
			set_vector(0x40, sel, to, 0x8e | dpl << 5);
			URUN(UCODE("int $0x40"),
			     name("ring/int/%s/dpl%u", gate_targets[i].what, dpl), .hide = RF);
			set_vector(0x40, sel, to, 0x8f | dpl << 5);
			URUN(UCODE("int $0x40"),
			     name("ring/int, trap gate/%s/dpl%u", gate_targets[i].what, dpl),
			     .eflags = 2 | ARITH | NT, .hide = RF);
		}
	}
	for (unsigned v = 3; v <= 5; v++) {
		for (unsigned dpl = 0; dpl < 4; dpl += 3) {
			set_vector(v, SEL_CODE, STUB(v), 0x8e | dpl << 5);
			if (v == 3)
				URUN(UCODE("int3"), name("ring/int3/dpl%u", dpl), .hide = RF);
			else if (v == 4)
				URUN(UCODE("into"), name("ring/into/dpl%u", dpl), .eflags = OF | 2,
				     .hide = RF);
			else
				URUN(UCODE("boundl %eax, (%ebx)"), name("ring/bound/dpl%u", dpl),
				     .hide = RF);
		}
	}
	for (unsigned dpl = 0; dpl < 4; dpl += 3) {
		set_vector(0x80, SEL_CODE, STUB(0x80), 0x8e | dpl << 5);
		URUN(UCODE("int $0x80"), name("ring/int 80/dpl%u", dpl), .hide = RF);
		set_vector(13, SEL_CODE, (uint32_t)stub_no_error, 0x8e | dpl << 5);
		if (dpl)
			URUN(UCODE("int $13"), name("ring/int 13/dpl%u", dpl), .hide = RF);
	}
	set_vector(0x40, SEL_CODE, STUB(0x40), 0x6e);
	URUN(UCODE("int $0x40"), "ring/int/gate np", .hide = RF);
	set_vector(0x40, SEL_CODE, STUB(0x40), 0x0e);
	URUN(UCODE("int $0x40"), "ring/int/gate np, dpl0", .hide = RF);
}

/* ---- call gates ---- */

/* The parameters lie above the return address; a 32-bit gate makes words of four bytes. */
static void call_gates(void)
{
	static const struct {
		const char *what;
		uint16_t sel;
		uint8_t cpl;
	} to[] = { { "ring 0", SEL_CODE, 0 },  { "ring 1", SEL_CODE1, 1 },
		   { "ring 2", SEL_CODE2, 2 }, { "conforming", SEL_CONF, 3 },
		   { "ring 3", SEL_CODE3, 3 }, { "np", SEL_CODE_NP, 3 },
		   { "data", SEL_DATA, 3 },    { "null", 0, 3 },
		   { "beyond", SEL_BEYOND, 3 } };

	for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
		for (unsigned count = 0; count <= 4; count++) {
			unsigned words = to[i].cpl < 3 ? 4 + count : 0;

			set_gate(GDT, SEL_CALL_3, to[i].sel, TO, 0xec);
			((volatile uint8_t *)(GDT + SEL_CALL_3))[4] = (uint8_t)count;
			memset((void *)(RING_STACK(to[i].cpl % 3) - 0x80), 0, 0x80);
			URUN(UCODE("lcall $0x173, $0"),
			     name("ring/call gate/%s/%u", to[i].what, count), .hide = RF);
			/* The return address depends on the linker. */
			if (words) {
				volatile uint32_t *top = (volatile uint32_t *)RING_STACK(to[i].cpl);

				top[-(int)words] = 0;
				if (to[i].cpl) /* at 0 the frame of INT 0x31 is in its place */
					line(name("ring/call gate/%s/%u/frame", to[i].what, count),
					     "%s", frame_of(to[i].cpl, words));
			}
		}
	}
}

static void call_gate_checks(void)
{
	for (unsigned dpl = 0; dpl < 4; dpl++) {
		for (unsigned rpl = 0; rpl < 4; rpl++) {
			set_gate(GDT, SEL_CALL_3, SEL_CODE1, TO, 0x8c | dpl << 5);
			*arena(0) = 0;
			*arena(4) = SEL_CALL_3 | rpl;
			URUN(UCODE("lcall *(%ebx)"), name("ring/call gate dpl%u rpl%u", dpl, rpl),
			     .hide = RF);
			set_gate(GDT, SEL_CALL_3, SEL_CODE1, TO, 0x8c | dpl << 5);
			*arena(0) = 0;
			*arena(4) = SEL_CALL_3 | rpl;
			URUN(UCODE("ljmp *(%ebx)"), name("ring/jmp gate dpl%u rpl%u", dpl, rpl),
			     .hide = RF);
		}
	}
	set_gate(GDT, SEL_CALL_3, SEL_CODE3, TO, 0xec);
	URUN(UCODE("ljmp $0x173, $0"), "ring/jmp gate to ring 3", .hide = RF);
	set_gate(GDT, SEL_CALL_3, SEL_CONF, TO, 0xec);
	URUN(UCODE("ljmp $0x173, $0"), "ring/jmp gate to conforming", .hide = RF);
	set_gate(GDT, SEL_CALL_3, SEL_CODE1, TO, 0x6c);
	URUN(UCODE("lcall $0x173, $0"), "ring/call gate np", .hide = RF);
	/* The parameters are the kernel's, or missing. */
	set_gate(GDT, SEL_CALL_3, SEL_CODE1, TO, 0xec);
	((volatile uint8_t *)(GDT + SEL_CALL_3))[4] = 4;
	URUN(UCODE("lcall $0x173, $0"), "ring/call gate, parameters cross into the kernel's",
	     .esp = STACK_TOP + 0x1000 - 8, .hide = RF);
}

#define LOW_CODE 0x6000u /* supervisor page: all that a 16-bit gate to a flat segment can reach */

/* 16-bit gates: words of two bytes. */
static void call_gates16(void)
{
	for (unsigned count = 0; count <= 4; count++) {
		volatile uint32_t *top = (volatile uint32_t *)RING_STACK(1);

		*(volatile uint32_t *)LOW_CODE = 0x909031cd; /* INT 0x31 */
		set_gate(GDT, SEL_CALL_3, SEL_CODE1, LOW_CODE, 0xe4);
		((volatile uint8_t *)(GDT + SEL_CALL_3))[4] = (uint8_t)count;
		memset((void *)(RING_STACK(1) - 0x40), 0, 0x40);
		URUN(UCODE("lcall $0x173, $0"), name("ring/call gate 16/%u", count), .hide = RF);
		*(volatile uint16_t *)(RING_STACK(1) - 8 -
				       2 * count) = 0; /* IP: depends on the linker */
		line(name("ring/call gate 16/%u/frame", count), "%08x %08x %08x %08x", top[-1],
		     top[-2], top[-3], top[-4]);
	}
}

/* ---- far transfers at CPL 3 without a gate ---- */

static const struct {
	const char *what;
	uint16_t sel;
} code_selectors[] = {
	{ "own", SEL_CODE3 | 3 },
	{ "own, rpl0", SEL_CODE3 },
	{ "kernel", SEL_CODE },
	{ "kernel, rpl3", SEL_CODE | 3 },
	{ "conforming", SEL_CONF },
	{ "conforming, rpl3", SEL_CONF | 3 },
	{ "ring 1", SEL_CODE1 | 1 },
	{ "ring 2", SEL_CODE2 | 2 },
	{ "np", SEL_CODE_NP | 3 },
	{ "conforming np", SEL_CONF_NP | 3 },
	{ "data", SEL_DATA3 | 3 },
	{ "null", 0 },
	{ "null3", 3 },
	{ "tss", SEL_TSS_NP | 3 },
	{ "gate", SEL_CALL32 | 3 },
	{ "int gate", SEL_INT32 | 3 },
	{ "ldt", SEL_LDT | 3 },
	{ "beyond", SEL_BEYOND | 3 },
	{ "ti", LDT_CODE | 3 },
};

static void far_at_3(void)
{
	for (size_t i = 0; i < sizeof(code_selectors) / sizeof(code_selectors[0]); i++) {
		const char *w = code_selectors[i].what;
		uint16_t sel = code_selectors[i].sel;

		if ((sel & ~3u) != SEL_CODE1) { /* the host's: JMP and CALL succeed natively */
			*arena(0) = TO;
			*arena(4) = sel;
			URUN(UCODE("ljmpl *(%ebx)"), name("ring/ljmp/%s", w), .hide = RF);
			*arena(0) = TO;
			*arena(4) = sel;
			URUN(UCODE("lcall *(%ebx)"), name("ring/lcall/%s", w), .hide = RF);
		}
		*stack(0) = TO;
		*stack(4) = sel;
		*stack(8) = STACK_TOP + 0x20;
		*stack(12) = SEL_DATA3 | 3;
		URUN(UCODE("lretl"), name("ring/lret at 3/%s", w), .hide = RF);
		*stack(0) = TO;
		*stack(4) = sel;
		*stack(8) = 2;
		*stack(12) = STACK_TOP + 0x20;
		*stack(16) = SEL_DATA3 | 3;
		URUN(UCODE("iretl"), name("ring/iret at 3/%s", w), .hide = RF);
	}
}

/* ---- returns from ring 0, 1 and 2 to outer rings ---- */

static const struct {
	const char *what;
	uint16_t sel;
} stack_selectors[] = {
	{ "ring 3", SEL_DATA3 | 3 },
	{ "null", 0 },
	{ "null3", 3 },
	{ "rpl0", SEL_DATA3 },
	{ "kernel", SEL_DATA },
	{ "kernel, rpl3", SEL_DATA | 3 },
	{ "ring 1", SEL_DATA1 | 1 },
	{ "read-only", SEL_READ | 3 },
	{ "code", SEL_CODE3 | 3 },
	{ "np", SEL_DATA_NP | 3 },
	{ "np dpl3", SEL_SMALL | 3 },
	{ "tss", SEL_TSS32 | 3 },
	{ "beyond", SEL_BEYOND | 3 },
	{ "ti", LDT_DATA3 | 3 },
};

/* Frame for IRET or, without flags, LRET: to @cs with @ss. */
static void outer_frame(bool iret, uint16_t cs, uint16_t ss, uint32_t flags)
{
	int i = 0;

	*stack(i) = TO;
	*stack(i += 4) = cs;
	if (iret)
		*stack(i += 4) = flags;
	*stack(i += 4) = STACK_TOP + 0x20;
	*stack(i + 4) = ss;
	set_descriptor(GDT, SEL_SMALL, 0, 0xfffff, 0x73, FLAG_G | FLAG_D);
}

/* From ring 0: a case of RUN that ends at ring 3 in INT 0x31. */
#define OUTER(insn, name_, ...)                                                               \
	do {                                                                                  \
		run_outer((const struct test){ TEST_DEFAULT, .code = UCODE(insn), .hide = RF, \
					       __VA_ARGS__ },                                 \
			  name_);                                                             \
		ring_reset();                                                                 \
	} while (0)

static void run_outer(struct test t, const char *what)
{
	t.from0 = true;
	run(t, what);
}

static void returns(void)
{
	for (size_t i = 0; i < sizeof(code_selectors) / sizeof(code_selectors[0]); i++) {
		const char *w = code_selectors[i].what;
		uint16_t sel = code_selectors[i].sel;

		if (!(sel & 3))
			continue;
		outer_frame(true, sel, SEL_DATA3 | 3, 2);
		OUTER("iretl", name("ring/iret/cs %s", w));
		outer_frame(false, sel, SEL_DATA3 | 3, 2);
		OUTER("lretl", name("ring/lret/cs %s", w));
	}
	for (size_t i = 0; i < sizeof(stack_selectors) / sizeof(stack_selectors[0]); i++) {
		const char *w = stack_selectors[i].what;
		uint16_t sel = stack_selectors[i].sel;

		outer_frame(true, SEL_CODE3 | 3, sel, 2);
		OUTER("iretl", name("ring/iret/ss %s", w));
		outer_frame(false, SEL_CODE3 | 3, sel, 2);
		OUTER("lretl", name("ring/lret/ss %s", w));
	}
	/* Data segments that the outer ring may not have become null. */
	outer_frame(true, SEL_CODE3 | 3, SEL_DATA3 | 3, 2);
	OUTER("iretl", "ring/iret/ds, es, fs, gs", .ds = DS3, .es = SEL_DATA, .fs = SEL_CONF,
	      .gs = SEL_DATA1 | 1);
	outer_frame(false, SEL_CODE3 | 3, SEL_DATA3 | 3, 2);
	OUTER("lretl", "ring/lret/ds, es, fs, gs", .ds = DS3, .es = SEL_DATA, .fs = SEL_CONF,
	      .gs = SEL_DATA1 | 1);
	outer_frame(false, SEL_CODE3 | 3, SEL_DATA3 | 3, 2);
	*stack(16) = STACK_TOP + 0x20;
	*stack(20) = DS3;
	OUTER("lretl $8", "ring/lret 8");
}

static void return_flags(void)
{
	static const uint32_t images[] = { 0,      2,      0xad7,  IF | 2,  IOPL1 | 2, IOPL3 | 2,
					   NT | 2, AC | 2, ID | 2, VIF | 2, VIP | 2,   0x3ed7 };

	for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++) {
		outer_frame(true, SEL_CODE3 | 3, SEL_DATA3 | 3, images[i]);
		OUTER("iretl", name("ring/iret/flags %08x", images[i]));
		for (unsigned iopl = 0; iopl < 4; iopl += 3) {
			*stack(0) = TO;
			*stack(4) = CS3;
			*stack(8) = images[i];
			if (!(images[i] & NT))
				URUN(UCODE("iretl"),
				     name("ring/iret at 3/iopl%u/flags %08x", iopl, images[i]),
				     .eflags = 2 | iopl << 12, .hide = RF);
		}
	}
}

void cases_rings(void)
{
	rings_on();
	interrupts();
	call_gates();
	call_gate_checks();
	call_gates16();
	far_at_3();
	returns();
	return_flags();
	rings_off();
}
