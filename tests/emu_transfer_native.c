/* SPDX-License-Identifier: MIT */
/* Far jumps, calls, returns and IRET against the real CPU. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/emu_native.h"

/* SDM Vol. 2, JMP, CALL.  0x23 with RPL 3 and the LDT's code segments are allowed. */
Test(emu_seg_native, far_jmp_call_all_descriptors)
{
	NAT_MATRIX("ff2b", "ff1b", "66ff6b08", "66ff5b08");
}

/* The return address and flags at ESP, @width wide, then filler. */
static void frame(unsigned width, uint32_t eip, uint16_t sel, uint32_t flags)
{
	uint32_t val[3] = { eip, 0xfeed0000 | sel, flags };
	uint8_t *p = native_ptr(NATIVE_ESP);

	memset(p - 64, 0x5a, 128);
	for (int i = 0; i < 3; i++, p += width)
		memcpy(p, &val[i], width);
}

static const uint32_t targets[] = { NATIVE_CODE + 0x40, 0x40, 0x7f, 0x80, 0xfff, 0x1000 };
#define TARGETS (sizeof(targets) / sizeof(targets[0]))

/* SDM Vol. 2, RET: same-privilege returns, limit of the target, bytes released. */
Test(emu_seg_native, far_ret_all_descriptors)
{
	static const char *const hex[] = { "cb", "66cb", "ca0800", "66ca0700", "ca0080" };
	unsigned bad = 0;
	struct fx f;
	uint16_t sel;

	NAT_INIT(&f);
	for (size_t i = 0; i < sizeof(hex) / sizeof(hex[0]); i++) {
		for (unsigned n = 0; nat_selector(n, &sel); n++) {
			for (size_t t = 0; t < TARGETS; t++) {
				struct native_state st = native_state();

				frame(hex[i][0] == '6' ? 2 : 4, targets[t], sel, 0);
				bad += !nat_same_hex(&f, hex[i], &st);
			}
		}
	}
	cr_expect_eq(bad, 0, "%u of %lu runs differ", bad, nat_runs);
	fx_fini(&f);
}

/*
 * SDM Vol. 2, IRET: same-privilege returns at CPL 3 with IOPL 0.  Not VM, VIF, VIP in the image,
 * which 64-bit hosts treat alike anyway, and not TF, which would trap.
 */
Test(emu_seg_native, iret_all_descriptors)
{
	static const uint32_t images[] = { 0x002, 0xcd7, 0x246e97, 0x3ce8d5, 0xffddfeff & ~FL_RF };
	unsigned bad = 0;
	struct fx f;
	uint16_t sel;

	NAT_INIT(&f);
	for (unsigned width = 2; width <= 4; width += 2) {
		for (unsigned n = 0; nat_selector(n, &sel); n++) {
			for (size_t t = 0; t < TARGETS; t++) {
				struct native_state st = native_state();

				st.eflags |= n & 8 ? FL_ARITH | FL_DF : FL_ID;
				frame(width, targets[t], sel,
				      images[(n + t) % (sizeof(images) / sizeof(images[0]))]);
				bad += !nat_same_hex(&f, width == 2 ? "66cf" : "cf", &st);
			}
		}
	}
	cr_expect_eq(bad, 0, "%u of %lu runs differ", bad, nat_runs);
	fx_fini(&f);
}

/* SDM Vol. 2, JMP ptr16:16/32, CALL ptr16:16/32: the limit of the target, both widths. */
Test(emu_seg_native, direct_far_transfers_all_descriptors)
{
	unsigned bad = 0;
	struct fx f;
	uint16_t sel;

	NAT_INIT(&f);
	for (unsigned form = 0; form < 4; form++) {
		for (unsigned n = 0; nat_selector(n, &sel); n++) {
			for (size_t t = 0; t < TARGETS; t++) {
				struct native_state st = native_state();
				unsigned wide = form & 1 ? 4 : 2;
				uint8_t code[8];
				size_t len = 0;

				if (wide == 2)
					code[len++] = 0x66;
				code[len++] = form & 2 ? 0x9a : 0xea;
				memcpy(code + len, &targets[t], wide);
				memcpy(code + len + wide, &sel, 2);
				len += wide + 2;
				memset((uint8_t *)native_ptr(NATIVE_ESP) - 64, 0x5a, 128);
				bad += !nat_same(&f, code, len, &st, form & 2 ? "lcall" : "ljmp");
			}
		}
	}
	cr_expect_eq(bad, 0, "%u of %lu runs differ", bad, nat_runs);
	fx_fini(&f);
}

/*
 * What the manual leaves to the processor and the emulator follows: selectors are read from the
 * stack as two bytes, so POP sreg and RET far succeed with two bytes left before an unmapped page.
 */
Test(emu_seg_native, selectors_are_read_as_two_bytes)
{
	const uint32_t end = NATIVE_STACK + NATIVE_STACK_LEN, eip = NATIVE_CODE + 0x40;
	const uint16_t cs = 0x23;
	struct native_state st = native_state();
	struct native_trap trap;
	struct fx f;

	NAT_INIT(&f);
	fx_fini(&f);
	st.gpr[ESP] = end - 2;
	memcpy(native_ptr(end - 2), "\x2b", 2);
	cr_expect_eq(native_run((const uint8_t *)"\x1f", 1, &st, &trap), NATIVE_DONE);
	cr_expect_eq(st.gpr[ESP], end + 2);

	st = native_state();
	st.gpr[ESP] = end - 6;
	memcpy(native_ptr(end - 6), &eip, 4);
	memcpy(native_ptr(end - 2), &cs, 2);
	cr_expect_eq(native_run((const uint8_t *)"\xcb", 1, &st, &trap), NATIVE_TRAPPED);
	cr_expect_eq(trap.trapno, 3);
	cr_expect_eq(st.eip, eip + 1);
}
