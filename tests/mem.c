/* SPDX-License-Identifier: MIT */
/* Guest memory by physical, linear and segmented address. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "tests/emu_fixture.h"

/* A device that records its accesses. */
struct probe {
	unsigned reads, writes, n;
	uint64_t off[16];
	unsigned width[16];
	uint32_t val[16];
};

static void note(struct probe *p, uint64_t off, unsigned width, uint32_t val)
{
	if (p->n < 16) {
		p->off[p->n] = off;
		p->width[p->n] = width;
		p->val[p->n++] = val;
	}
}

static uint32_t probe_read(void *dev, uint64_t off, unsigned width)
{
	struct probe *p = dev;

	p->reads++;
	note(p, off, width, 0);
	return 0x03020100u + (uint32_t)off * 0x01010101u;
}

static void probe_write(void *dev, uint64_t off, unsigned width, uint32_t val)
{
	struct probe *p = dev;

	p->writes++;
	note(p, off, width, val);
}

static void probe_add(struct fx *f, struct probe *p, uint64_t base, uint64_t len)
{
	const struct bus_range r = { .name = "probe",
				     .base = base,
				     .len = len,
				     .dev = p,
				     .read = probe_read,
				     .write = probe_write };

	memset(p, 0, sizeof(*p));
	cr_assert_eq(bus_add(&f->vm.mmio, &r), 0);
}

Test(mem, vm_ptr_ends_where_ram_ends)
{
	struct fx f;

	fx_init(&f);
	cr_assert_eq(vm_ptr(&f.vm, 0, 1), f.vm.ram);
	cr_assert_eq(vm_ptr(&f.vm, FX_RAM - 4, 4), f.vm.ram + FX_RAM - 4);
	cr_assert_null(vm_ptr(&f.vm, FX_RAM - 3, 4));
	cr_assert_null(vm_ptr(&f.vm, FX_RAM, 1));
	cr_assert_null(vm_ptr(&f.vm, UINT64_MAX, 1));
	cr_assert_null(vm_ptr(&f.vm, UINT64_MAX - 1, 4));
	cr_assert_null(vm_ptr(&f.vm, 0, (size_t)FX_RAM + 1));
	cr_assert_null(vm_ptr(&f.vm, 1, SIZE_MAX));
	fx_fini(&f);
}

Test(mem, device_access_in_naturally_aligned_pieces)
{
	struct fx f;
	struct probe p;
	uint8_t buf[8];

	fx_init(&f);
	probe_add(&f, &p, 0xd0000000, 0x1000);
	cr_assert_eq(mem_read(&f.v, 0xd0000001, buf, 8, 0), 0);
	cr_assert_eq(p.n, 4);
	cr_assert(p.off[0] == 1 && p.width[0] == 1);
	cr_assert(p.off[1] == 2 && p.width[1] == 2);
	cr_assert(p.off[2] == 4 && p.width[2] == 4);
	cr_assert(p.off[3] == 8 && p.width[3] == 1);
	for (unsigned i = 0; i < 8; i++)
		cr_assert_eq(buf[i], i + 1);

	p.n = 0;
	cr_assert_eq(mem_write(&f.v, 0xd0000002, "\x11\x22\x33\x44", 4, 0), 0);
	cr_assert_eq(p.n, 2);
	cr_assert(p.off[0] == 2 && p.width[0] == 2 && p.val[0] == 0x2211);
	cr_assert(p.off[1] == 4 && p.width[1] == 2 && p.val[1] == 0x4433);
	fx_fini(&f);
}

Test(mem, access_across_the_end_of_ram_is_half_ram_half_bus)
{
	struct fx f;
	struct probe p;
	uint32_t val = 0;

	fx_init(&f);
	probe_add(&f, &p, FX_RAM, 0x1000);
	fx_w16(&f, FX_RAM - 2, 0xbbaa);
	cr_assert_eq(mem_read(&f.v, FX_RAM - 2, &val, 4, 0), 0);
	cr_assert_eq(val, 0x0100bbaa);
	cr_assert_eq(p.reads, 1);
	fx_fini(&f);
}

Test(mem, unclaimed_reads_as_ones_and_addresses_wrap)
{
	struct fx f;
	uint32_t val = 0;

	fx_init(&f);
	fx_w16(&f, 0, 0x1234);
	cr_assert_eq(mem_read(&f.v, 0xfffffffe, &val, 4, 0), 0);
	cr_assert_eq(val, 0x1234ffff);
	val = 0x55667788;
	cr_assert_eq(mem_write(&f.v, 0xfffffffe, &val, 4, 0), 0);
	cr_assert_eq(fx_r16(&f, 0), 0x5566);
	fx_fini(&f);
}

Test(mem, cas_fails_when_memory_changed)
{
	struct fx f;

	fx_init(&f);
	fx_w32(&f, FX_DATA, 5);
	cr_assert_eq(mem_cas(&f.v, FX_DATA, 4, 9, 4, 0), -EAGAIN);
	cr_assert_eq(fx_r32(&f, FX_DATA), 5);
	cr_assert_eq(mem_cas(&f.v, FX_DATA, 5, 9, 4, 0), 0);
	cr_assert_eq(fx_r32(&f, FX_DATA), 9);
	/* Not aligned: a plain write. */
	cr_assert_eq(mem_cas(&f.v, FX_DATA + 2, 0, 0x0000aa00, 4, 0), 0);
	cr_assert_eq(fx_r32(&f, FX_DATA + 2), 0xaa00);
	fx_fini(&f);
}

static bool faults(struct fx *f, int r, unsigned vector)
{
	return r == EMU_FAULT && f->v.fault.vector == vector && f->v.fault.has_error &&
	       f->v.fault.error == 0;
}

/* SDM Vol. 3A, "Limit Checking" (5.3). */
Test(mem, limit_of_an_expand_up_segment)
{
	struct fx f;
	struct segment *ds = &f.v.regs.seg[SEG_DS];
	gva_t gva;

	fx_init(&f);
	ds->base = 0x1000;
	ds->limit = 0xff;
	cr_assert_eq(seg_linear(&f.v, SEG_DS, 0xfc, 4, false, &gva), 0);
	cr_assert_eq(gva, 0x10fc);
	cr_assert_eq(seg_linear(&f.v, SEG_DS, 0xff, 1, true, &gva), 0);
	cr_assert(faults(&f, seg_linear(&f.v, SEG_DS, 0xfd, 4, false, &gva), VEC_GP));
	cr_assert(faults(&f, seg_linear(&f.v, SEG_DS, 0x100, 1, false, &gva), VEC_GP));
	cr_assert(faults(&f, seg_linear(&f.v, SEG_DS, 0xffffffff, 2, false, &gva), VEC_GP));
	f.v.regs.seg[SEG_SS].limit = 0xff;
	cr_assert(faults(&f, seg_linear(&f.v, SEG_SS, 0x100, 1, false, &gva), VEC_SS));
	fx_fini(&f);
}

Test(mem, limit_of_an_expand_down_segment)
{
	struct fx f;
	struct segment *ds = &f.v.regs.seg[SEG_DS];
	gva_t gva;

	fx_init(&f);
	ds->type = 7; /* data, expand-down, writable, accessed */
	ds->limit = 0xfff;
	cr_assert(faults(&f, seg_linear(&f.v, SEG_DS, 0xfff, 1, false, &gva), VEC_GP));
	cr_assert_eq(seg_linear(&f.v, SEG_DS, 0x1000, 4, false, &gva), 0);
	cr_assert_eq(seg_linear(&f.v, SEG_DS, 0xfffffffc, 4, false, &gva), 0);
	cr_assert(faults(&f, seg_linear(&f.v, SEG_DS, 0xfffffffd, 4, false, &gva), VEC_GP));
	ds->db = false; /* the upper bound is 0xffff then */
	cr_assert_eq(seg_linear(&f.v, SEG_DS, 0xfffc, 4, false, &gva), 0);
	cr_assert(faults(&f, seg_linear(&f.v, SEG_DS, 0xfffd, 4, false, &gva), VEC_GP));
	cr_assert(faults(&f, seg_linear(&f.v, SEG_DS, 0x10000, 1, false, &gva), VEC_GP));
	fx_fini(&f);
}

/* SDM Vol. 3A, "Type Checking" (5.5). */
Test(mem, types_allow_or_refuse)
{
	static const struct {
		uint8_t type;
		bool read, write;
	} rows[] = { { 0, true, false },   { 2, true, true },   { 4, true, false },
		     { 6, true, true },    { 8, false, false }, { 10, true, false },
		     { 12, false, false }, { 14, true, false } };
	struct fx f;
	struct segment *ds = &f.v.regs.seg[SEG_DS];
	gva_t gva;

	fx_init(&f);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ds->type = rows[i].type;
		ds->limit = rows[i].type == 4 || rows[i].type == 6 ? 0 : 0xffffffff;
		cr_assert_eq(!seg_linear(&f.v, SEG_DS, 16, 4, false, &gva), rows[i].read);
		cr_assert_eq(!seg_linear(&f.v, SEG_DS, 16, 4, true, &gva), rows[i].write);
	}
	ds->type = 3;
	ds->unusable = true;
	cr_assert(faults(&f, seg_linear(&f.v, SEG_DS, 0, 1, false, &gva), VEC_GP));
	fx_fini(&f);
}

Test(mem, real_mode_has_limits_but_no_types)
{
	struct fx f;
	gva_t gva;

	fx_init_real(&f);
	f.v.regs.seg[SEG_CS].type = 0xb;
	cr_assert_eq(seg_linear(&f.v, SEG_CS, 0x10, 2, true, &gva), 0);
	cr_assert_eq(gva, 0x10010);
	cr_assert(faults(&f, seg_linear(&f.v, SEG_DS, 0xffff, 2, false, &gva), VEC_GP));
	cr_assert(faults(&f, seg_linear(&f.v, SEG_SS, 0xffff, 2, false, &gva), VEC_SS));
	fx_fini(&f);
}

Test(mem, code_fetch_stops_at_the_limit)
{
	struct fx f;
	uint8_t buf[15];

	fx_init(&f);
	fx_w32(&f, FX_CODE, 0x44332211);
	cr_assert_eq(code_fetch(&f.v, FX_CODE, buf, 15), 15);
	cr_assert_eq(buf[3], 0x44);
	f.v.regs.seg[SEG_CS].limit = FX_CODE + 2;
	cr_assert_eq(code_fetch(&f.v, FX_CODE, buf, 15), 3);
	cr_assert_eq(code_fetch(&f.v, FX_CODE + 3, buf, 15), 0);
	cr_assert_eq(f.v.fault.vector, VEC_GP);
	f.v.regs.seg[SEG_CS].limit = 0xffffffff;
	cr_assert_eq(code_fetch(&f.v, 0xfffffffc, buf, 15), 4);
	fx_fini(&f);
}

Test(mem, code_fetch_does_not_touch_devices)
{
	struct fx f;
	struct probe p;
	uint8_t buf[15];

	fx_init(&f);
	probe_add(&f, &p, 0xd0000000, 0x1000);
	cr_assert_eq(code_fetch(&f.v, 0xd0000000, buf, 15), 15);
	cr_assert_eq(p.n, 0);
	cr_assert_eq(buf[0], 0xff);
	fx_fini(&f);
}
