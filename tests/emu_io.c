/* SPDX-License-Identifier: MIT */
/* IN, OUT, INS, OUTS: widths, rep, permissions, faults in the middle. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/emu_fixture.h"

#define PORT 0x80

/* A port that counts up when read and remembers what was written. */
struct port {
	uint32_t next;
	unsigned reads, writes;
	uint32_t last;
	unsigned width;
};

static uint32_t port_read(void *dev, uint64_t off, unsigned width)
{
	struct port *p = dev;

	(void)off;
	p->reads++;
	p->width = width;
	return p->next++;
}

static void port_write(void *dev, uint64_t off, unsigned width, uint32_t val)
{
	struct port *p = dev;

	(void)off;
	p->writes++;
	p->width = width;
	p->last = val;
}

static void port_init(struct fx *f, struct port *p)
{
	const struct bus_range r = { .name = "port",
				     .base = PORT,
				     .len = 8,
				     .dev = p,
				     .read = port_read,
				     .write = port_write };

	fx_init(f);
	memset(p, 0, sizeof(*p));
	p->next = 0xa1b2c3d4;
	cr_assert_eq(bus_add(&f->vm.pio, &r), 0);
	f->v.regs.gpr[EDX] = 0xffff0000 | PORT;
	f->v.regs.gpr[EDI] = FX_DATA;
	f->v.regs.gpr[ESI] = FX_DATA;
}

Test(emu_io, in_keeps_the_rest_of_eax)
{
	static const struct {
		const char *code;
		unsigned width;
		uint32_t eax;
	} rows[] = { { "e480", 1, 0x112233d4 },   { "ec", 1, 0x112233d4 },
		     { "66e580", 2, 0x1122c3d4 }, { "66ed", 2, 0x1122c3d4 },
		     { "e580", 4, 0xa1b2c3d4 },   { "ed", 4, 0xa1b2c3d4 } };
	struct port p;
	struct fx f;

	port_init(&f, &p);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		p.next = 0xa1b2c3d4;
		f.v.regs.gpr[EAX] = 0x11223344;
		cr_assert_eq(fx_run(&f, rows[i].code), EMU_OK);
		cr_assert_eq(f.v.regs.gpr[EAX], rows[i].eax, "%s", rows[i].code);
		cr_assert_eq(p.width, rows[i].width);
	}
	cr_assert_eq(p.reads, 6);
	fx_fini(&f);
}

Test(emu_io, out_of_every_width)
{
	static const struct {
		const char *code;
		uint32_t val;
	} rows[] = { { "e680", 0x44 },   { "ee", 0x44 },         { "66e780", 0x3344 },
		     { "66ef", 0x3344 }, { "e780", 0x11223344 }, { "ef", 0x11223344 } };
	struct port p;
	struct fx f;

	port_init(&f, &p);
	f.v.regs.gpr[EAX] = 0x11223344;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_assert_eq(fx_run(&f, rows[i].code), EMU_OK);
		cr_assert_eq(p.last, rows[i].val, "%s", rows[i].code);
	}
	fx_fini(&f);
}

Test(emu_io, unclaimed_port_reads_as_ones)
{
	struct port p;
	struct fx f;

	port_init(&f, &p);
	cr_assert_eq(fx_run(&f, "e4f0"), EMU_OK);
	cr_assert_eq(f.v.regs.gpr[EAX], 0xff);
	fx_fini(&f);
}

Test(emu_io, immediate_port_is_not_sign_extended)
{
	struct fx f;

	fx_init(&f);
	cr_assert_eq(fx_run(&f, "e4ff"), EMU_OK);
	cr_assert_eq(f.vm.pio.unclaimed[0].addr, 0xff);
	fx_fini(&f);
}

Test(emu_io, rep_ins_and_outs_follow_df)
{
	struct port p;
	struct fx f;

	port_init(&f, &p);
	p.next = 1;
	f.v.regs.gpr[ECX] = 3;
	cr_assert_eq(fx_run(&f, "f36d"), EMU_OK); /* rep insl */
	cr_assert_eq(fx_r32(&f, FX_DATA), 1);
	cr_assert_eq(fx_r32(&f, FX_DATA + 8), 3);
	cr_assert_eq(f.v.regs.gpr[EDI], FX_DATA + 12);
	cr_assert_eq(f.v.regs.gpr[ECX], 0);
	cr_assert_eq(f.v.regs.eip, FX_CODE + 2);

	f.v.regs.eflags |= FL_DF;
	f.v.regs.gpr[ESI] = FX_DATA + 8;
	f.v.regs.gpr[ECX] = 3;
	cr_assert_eq(fx_run(&f, "f3666f"), EMU_OK); /* rep outsw */
	cr_assert_eq(p.writes, 3);
	cr_assert_eq(p.last, 2); /* at FX_DATA + 4 */
	cr_assert_eq(f.v.regs.gpr[ESI], FX_DATA + 2);
	fx_fini(&f);
}

Test(emu_io, sixteen_bit_addresses_use_si_di_cx)
{
	struct port p;
	struct fx f;

	port_init(&f, &p);
	f.v.regs.gpr[ECX] = 0x50000001;
	f.v.regs.gpr[EDI] = 0x7000ffff;
	p.next = 0x5a;
	cr_assert_eq(fx_run(&f, "f3676c"), EMU_OK); /* rep insb, 67 */
	cr_assert_eq(f.v.regs.gpr[ECX], 0x50000000);
	cr_assert_eq(f.v.regs.gpr[EDI], 0x70000000);
	cr_assert_eq(f.vm.ram[0xffff], 0x5a);
	fx_fini(&f);
}

Test(emu_io, segment_override_moves_outs_but_not_ins)
{
	struct port p;
	struct fx f;

	port_init(&f, &p);
	f.v.regs.seg[SEG_FS].base = 0x1000;
	fx_w8(&f, FX_DATA + 0x1000, 0x77);
	cr_assert_eq(fx_run(&f, "646e"), EMU_OK);
	cr_assert_eq(p.last, 0x77);
	p.next = 0x66;
	cr_assert_eq(fx_run(&f, "646c"), EMU_OK);
	cr_assert_eq(f.vm.ram[FX_DATA], 0x66);
	fx_fini(&f);
}

/* SDM Vol. 1, "Protected-Mode I/O" (19.5): also with a count of zero (measured). */
Test(emu_io, permission_comes_first)
{
	static const char *const code[] = { "e480", "ec",   "66ed", "e680", "ef",
					    "6c",   "f36d", "6e",   "f36f" };
	struct port p;
	struct fx f;

	port_init(&f, &p);
	fx_cpl(&f, 3);
	f.v.regs.gpr[EDI] = 0xfffffff0;
	for (size_t i = 0; i < sizeof(code) / sizeof(code[0]); i++)
		cr_assert(fx_faults(&f, code[i], VEC_GP, 0), "%s", code[i]);
	f.v.regs.eflags |= FL_IOPL;
	cr_assert_eq(fx_run(&f, "e480"), EMU_OK);
	cr_assert_eq(p.reads, 1);
	cr_assert_eq(p.writes, 0);
	fx_fini(&f);
}

Test(emu_io, a_fault_of_the_memory_operand_leaves_the_port_alone)
{
	struct port p;
	struct fx f;

	port_init(&f, &p);
	f.v.regs.seg[SEG_ES].limit = FX_DATA + 2;
	cr_assert(fx_faults(&f, "6d", VEC_GP, 0));
	f.v.regs.seg[SEG_DS].limit = FX_DATA + 2;
	cr_assert(fx_faults(&f, "6f", VEC_GP, 0));
	cr_assert_eq(p.reads + p.writes, 0);
	fx_fini(&f);
}

Test(emu_io, a_fault_in_the_middle_of_rep_keeps_what_is_done)
{
	struct port p;
	struct fx f;

	port_init(&f, &p);
	f.v.regs.seg[SEG_ES].limit = FX_DATA + 9; /* two dwords and a half */
	f.v.regs.gpr[ECX] = 5;
	cr_assert_eq(fx_run(&f, "f36d"), EMU_OK);
	cr_assert_eq(f.v.regs.eip, FX_CODE); /* still on it */
	cr_assert_eq(f.v.regs.gpr[ECX], 3);
	cr_assert_eq(f.v.regs.gpr[EDI], FX_DATA + 8);
	cr_assert(fx_faults(&f, "f36d", VEC_GP, 0));
	cr_assert_eq(p.reads, 2);
	fx_fini(&f);
}

Test(emu_io, rep_is_cut_so_that_interrupts_get_in)
{
	struct port p;
	struct fx f;

	port_init(&f, &p);
	f.v.regs.gpr[ECX] = REP_MAX + 5;
	cr_assert_eq(fx_run(&f, "f36c"), EMU_OK);
	cr_assert_eq(f.v.regs.eip, FX_CODE);
	cr_assert_eq(f.v.regs.gpr[ECX], 5);
	cr_assert_eq(p.reads, REP_MAX);
	cr_assert_eq(fx_run(&f, "f36c"), EMU_OK);
	cr_assert_eq(f.v.regs.eip, FX_CODE + 2);
	cr_assert_eq(f.v.regs.gpr[ECX], 0);
	fx_fini(&f);
}

/* SDM Vol. 3B, "Single-Step Exception Condition" (17.3.1.4): after each iteration. */
Test(emu_io, single_step_stops_after_each_iteration)
{
	struct port p;
	struct fx f;

	port_init(&f, &p);
	f.v.regs.gpr[ECX] = 2;
	f.v.regs.eflags |= FL_TF;
	cr_assert_eq(fx_run(&f, "f36c"), EMU_OK);
	cr_assert_eq(f.v.regs.gpr[ECX], 1);
	cr_assert_eq(f.v.regs.eip, FX_CODE);
	fx_fini(&f);
}

/* SDM Vol. 1, "I/O Permission Bit Map" (18.5.2): in virtual-8086 mode it is always consulted. */
Test(emu_io, bitmap_decides_in_virtual_8086_mode_whatever_iopl)
{
	struct fx f;

	fx_init(&f);
	fx_cpl(&f, 3);
	f.v.sh.tr.limit = 0x2000;
	fx_w16(&f, FX_TSS + 102, 104);
	fx_w8(&f, FX_TSS + 104 + PORT / 8, 0x01);
	f.v.regs.eflags |= FL_IOPL;
	cr_assert_eq(io_allowed(&f.v, PORT, 1), EMU_OK, "protected mode: IOPL allows it");
	f.v.regs.eflags |= FL_VM;
	cr_assert_eq(io_allowed(&f.v, PORT, 1), EMU_FAULT);
	cr_assert_eq(f.v.fault.vector, VEC_GP);
	cr_assert_eq(io_allowed(&f.v, PORT + 1, 1), EMU_OK);
	f.v.regs.eflags &= ~FL_IOPL;
	cr_assert_eq(io_allowed(&f.v, PORT + 1, 1), EMU_OK, "the bitmap alone decides");
	fx_fini(&f);
}
