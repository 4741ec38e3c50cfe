/* SPDX-License-Identifier: MIT */
/* Loads, stores and probes of segments, and BOUND, against the real CPU. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/emu_native.h"
#include "vmm/emu/seg.h"

/* SDM Vol. 2, MOV; Vol. 3A, 5.6. */
Test(emu_seg_native, mov_to_seg_all_descriptors)
{
	NAT_MATRIX("8ed8", "8ec0", "8ee0", "8ee8", "8ed0", /* mov %ax, ds es fs gs ss */
		   "668ed8", "8e5b04", "8e4304", "8e5304", "668e6304");
}

/* SDM Vol. 2, POP. */
Test(emu_seg_native, pop_seg_all_descriptors)
{
	NAT_MATRIX("1f", "07", "17", "0fa1", "0fa9", "661f", "6607", "6617", "660fa1", "660fa9");
}

/* SDM Vol. 2, "LDS/LES/LFS/LGS/LSS". */
Test(emu_seg_native, far_pointer_loads_all_descriptors)
{
	NAT_MATRIX("c50b", "c40b", "0fb40b", "0fb50b", "0fb20b", "66c54b08", "66c44b08",
		   "660fb44b08", "660fb54b08", "660fb24b08");
}

/* SDM Vol. 2, LAR, LSL: the table of valid types, DPL and RPL. */
Test(emu_seg_native, lar_lsl_all_descriptors)
{
	NAT_MATRIX("0f02c8", "0f03c8", "660f02c8", "660f03c8", "0f024b04", "0f034b04");
}

/* SDM Vol. 2, "VERR/VERW". */
Test(emu_seg_native, verr_verw_all_descriptors)
{
	NAT_MATRIX("0f00e0", "0f00e8", "0f006304", "0f006b04");
}

/* SDM Vol. 2, MOV, PUSH: widths of what is stored. */
Test(emu_seg_native, stores_of_segment_registers)
{
	static const char *const hex[] = {
		"8cd8", "668cd8", "8cc1", "668cc1", "8ce2", "8cea",   "8cd0",   "8cc8", "668cc8",
		"8c1b", "668c1b", "8c03", "8c6304", "1e",   "06",     "16",     "0e",   "0fa0",
		"0fa8", "661e",   "6606", "6616",   "660e", "660fa0", "660fa8",
	};
	static const uint16_t sels[] = { 0x2b, LDT_SEL(LDT_RW), LDT_SEL(LDT_CODE_XR),
					 LDT_SEL(LDT_BYTE) };
	unsigned bad = 0;
	struct fx f;

	NAT_INIT(&f);
	for (size_t i = 0; i < sizeof(hex) / sizeof(hex[0]); i++) {
		for (unsigned k = 0; k < 64; k++) {
			struct native_state st = native_state();

			for (int r = 0; r < GPR_COUNT; r++)
				if (r != ESP)
					st.gpr[r] = 0x87654321;
			st.gpr[EBX] = NATIVE_DATA;
			/* DS addresses the data, so flat. */
			st.sreg[SEG_ES] = sels[k & 3];
			st.sreg[SEG_FS] = sels[k >> 2 & 3];
			st.sreg[SEG_GS] = sels[k >> 4 & 3];
			memset(native_ptr(NATIVE_DATA), 0xa5, 64);
			memset((uint8_t *)native_ptr(NATIVE_ESP) - 64, 0x5a, 128);
			bad += !nat_same_hex(&f, hex[i], &st);
		}
	}
	cr_expect_eq(bad, 0, "%u of %lu runs differ", bad, nat_runs);
	fx_fini(&f);
}

/* SDM Vol. 2, ARPL: every pair of RPLs, register and memory. */
Test(emu_seg_native, arpl_all_rpls)
{
	unsigned bad = 0;
	struct fx f;

	NAT_INIT(&f);
	for (unsigned n = 0; n < 64; n++) {
		struct native_state st = native_state();
		uint32_t *data = native_ptr(NATIVE_DATA);

		st.gpr[EAX] = 0x11112220 | (n & 3);
		st.gpr[ECX] = 0x33334440 | (n >> 2 & 3);
		st.gpr[EBX] = NATIVE_DATA;
		st.eflags |= n & 16 ? FL_ARITH : 0;
		data[0] = 0x55556660 | (n & 3);
		bad += !nat_same_hex(&f, n & 32 ? "630b" : "63c8", &st);
	}
	cr_expect_eq(bad, 0, "%u of %lu runs differ", bad, nat_runs);
	fx_fini(&f);
}

/* SDM Vol. 2, BOUND: signed, both bounds inclusive. */
Test(emu_seg_native, bound_edges)
{
	static const uint32_t val[] = { 0,          1,          2,          0x7fff,
					0x8000,     0xffff,     0x80000000, 0x7fffffff,
					0xffffffff, 0xfffffffe, 0xfffe8001 };
	const unsigned count = sizeof(val) / sizeof(val[0]);
	unsigned bad = 0;
	struct fx f;

	NAT_INIT(&f);
	for (unsigned n = 0; n < count * count * count; n++) {
		struct native_state st = native_state();
		uint32_t *data = native_ptr(NATIVE_DATA);

		st.gpr[ECX] = val[n % count];
		st.gpr[EBX] = NATIVE_DATA;
		data[0] = val[n / count % count];
		data[1] = val[n / count / count];
		bad += !nat_same_hex(&f, "620b", &st);
		bad += !nat_same_hex(&f, "66620b", &st);
	}
	cr_expect_eq(bad, 0, "%u of %lu runs differ", bad, nat_runs);
	fx_fini(&f);
}

/* An IRET to an outer level (here the host kernel's) makes null selectors zero. */
Test(emu_seg_native, return_to_ring3_zeroes_null_selectors)
{
	struct native_state st = native_state();
	struct fx f;

	NAT_INIT(&f);
	st.gpr[EAX] = 3;
	cr_expect_eq(native_run((const uint8_t *)"\x8e\xc0", 2, &st, NULL), NATIVE_DONE);
	cr_expect_eq(st.sreg[SEG_ES], 0);

	fx_cpl(&f, 0);
	f.v.regs.seg[SEG_ES] = (struct segment){ .sel = 3, .unusable = true };
	seg_drop_privileged(&f.v, 3);
	cr_expect_eq(f.v.regs.seg[SEG_ES].sel, 0);
	fx_fini(&f);
}
