/* SPDX-License-Identifier: MIT */
/* The fixture of the emulator's tests: see emu_fixture.h. */
#include "tests/emu_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

uint64_t fx_desc(uint32_t base, uint32_t limit, unsigned access, unsigned flags)
{
	return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)access << 40 |
	       (uint64_t)(limit >> 16 & 0xf) << 48 | (uint64_t)flags << 52 |
	       (uint64_t)(base >> 24) << 56;
}

uint64_t fx_gate(uint16_t sel, uint32_t off, unsigned access, unsigned count)
{
	return (off & 0xffff) | (uint64_t)sel << 16 | (uint64_t)(count & 0x1f) << 32 |
	       (uint64_t)access << 40 | (uint64_t)(off >> 16) << 48;
}

static void put(struct fx *f, uint32_t gpa, const void *buf, size_t len)
{
	cr_assert(gpa <= f->vm.ram_len - len);
	memcpy(f->vm.ram + gpa, buf, len);
}

static void get(struct fx *f, uint32_t gpa, void *buf, size_t len)
{
	cr_assert(gpa <= f->vm.ram_len - len);
	memcpy(buf, f->vm.ram + gpa, len);
}

uint32_t fx_r32(struct fx *f, uint32_t gpa)
{
	uint32_t val;

	get(f, gpa, &val, 4);
	return val;
}

uint16_t fx_r16(struct fx *f, uint32_t gpa)
{
	uint16_t val;

	get(f, gpa, &val, 2);
	return val;
}

void fx_w32(struct fx *f, uint32_t gpa, uint32_t val)
{
	put(f, gpa, &val, 4);
}

void fx_w16(struct fx *f, uint32_t gpa, uint16_t val)
{
	put(f, gpa, &val, 2);
}

void fx_w8(struct fx *f, uint32_t gpa, uint8_t val)
{
	put(f, gpa, &val, 1);
}

static uint32_t slot(uint16_t sel)
{
	return ((sel & 4) ? FX_LDT : FX_GDT) + (sel & ~7u);
}

void fx_set(struct fx *f, uint16_t sel, uint64_t desc)
{
	cr_assert((sel >> 3) < FX_ENTRIES);
	put(f, slot(sel), &desc, 8);
}

uint64_t fx_get(struct fx *f, uint16_t sel)
{
	uint64_t desc;

	get(f, slot(sel), &desc, 8);
	return desc;
}

void fx_set_idt(struct fx *f, unsigned vector, uint64_t gate)
{
	put(f, FX_IDT + vector * 8, &gate, 8);
}

static void set_seg(struct fx *f, enum seg seg, uint16_t sel)
{
	desc_unpack(fx_get(f, sel), sel, &f->v.regs.seg[seg]);
}

void fx_cpl(struct fx *f, unsigned cpl)
{
	uint16_t cs = (uint16_t)(FX_CS0 + cpl * 0x10 + cpl), ds = (uint16_t)(cs + 8);

	set_seg(f, SEG_CS, cs);
	set_seg(f, SEG_SS, ds);
	set_seg(f, SEG_DS, ds);
	set_seg(f, SEG_ES, ds);
	set_seg(f, SEG_FS, ds);
	set_seg(f, SEG_GS, ds);
	f->v.sh.cpl = (uint8_t)cpl;
}

static void base_init(struct fx *f)
{
	memset(f, 0, sizeof(*f));
	cr_assert_eq(vm_init(&f->vm, FX_RAM), 0);
	f->vm.dead_quietly = true;
	f->v.vm = &f->vm;
	f->vm.vcpu[0] = &f->v;
	f->vm.vcpus = 1;
	vcpu_reset(&f->v);
}

void fx_init(struct fx *f)
{
	struct vcpu *v = &f->v;

	base_init(f);
	for (unsigned cpl = 0; cpl < 4; cpl++) {
		unsigned access = FX_P | FX_S | FX_DPL(cpl) | FX_ACC;
		uint16_t cs = (uint16_t)(FX_CS0 + cpl * 0x10);

		fx_set(f, cs, fx_desc(0, 0xfffff, access | FX_CODE_X | FX_CODE_R, FX_G | FX_DB));
		fx_set(f, (uint16_t)(cs + 8),
		       fx_desc(0, 0xfffff, access | FX_DATA_RW, FX_G | FX_DB));
	}
	fx_set(f, FX_TR, fx_desc(FX_TSS, 103, FX_P | 0xb, 0));
	fx_set(f, FX_LDTR, fx_desc(FX_LDT, FX_ENTRIES * 8 - 1, FX_P | 0x2, 0));
	for (unsigned cpl = 0; cpl < 3; cpl++) { /* SDM Vol. 3A, "Task-State Segment" (7.2.1) */
		fx_w32(f, FX_TSS + 4 + cpl * 8, FX_RING0_STACK + cpl * 0x10000);
		fx_w16(f, FX_TSS + 8 + cpl * 8, (uint16_t)(FX_DS0 + cpl * 0x10 + cpl));
	}
	fx_w16(f, FX_TSS + 102, 104); /* I/O map base: at the end, so none */

	v->sh.cr0 |= CR0_PE;
	v->sh.gdtr = (struct desc_table){ .base = FX_GDT, .limit = FX_ENTRIES * 8 - 1 };
	v->sh.idtr = (struct desc_table){ .base = FX_IDT, .limit = 256 * 8 - 1 };
	desc_unpack(fx_get(f, FX_TR), FX_TR, &v->sh.tr);
	desc_unpack(fx_get(f, FX_LDTR), FX_LDTR, &v->sh.ldtr);
	fx_cpl(f, 0);
	v->regs.eip = FX_CODE;
	v->regs.eflags = FL_FIXED;
	memset(v->regs.gpr, 0, sizeof(v->regs.gpr));
	v->regs.gpr[ESP] = FX_STACK;
}

void fx_init_real(struct fx *f)
{
	static const uint16_t sel[SEG_COUNT] = {
		[SEG_CS] = 0x1000, [SEG_SS] = 0x3000, [SEG_ES] = 0x2000,
		[SEG_DS] = 0x2000, [SEG_FS] = 0x2000, [SEG_GS] = 0x2000
	};
	struct vcpu *v = &f->v;

	base_init(f);
	v->sh.cr0 &= ~CR0_PE;
	for (int i = 0; i < SEG_COUNT; i++)
		v->regs.seg[i] = (struct segment){ .sel = sel[i],
						   .base = (uint32_t)sel[i] << 4,
						   .limit = 0xffff,
						   .type = 3,
						   .s = true,
						   .present = true };
	v->sh.idtr = (struct desc_table){ .base = FX_IVT, .limit = 0x3ff };
	v->sh.cpl = 0;
	v->regs.eip = 0x100;
	v->regs.eflags = FL_FIXED;
	memset(v->regs.gpr, 0, sizeof(v->regs.gpr));
	v->regs.gpr[ESP] = 0x8000;
}

void fx_fini(struct fx *f)
{
	vm_destroy(&f->vm);
}

size_t fx_hex(const char *hex, uint8_t *buf, size_t max)
{
	size_t n = 0;
	unsigned byte;
	int used;

	while (n < max && sscanf(hex, " %2x%n", &byte, &used) == 1) {
		buf[n++] = (uint8_t)byte;
		hex += used;
	}
	return n;
}

int fx_run_bytes(struct fx *f, const uint8_t *bytes, size_t len)
{
	struct vcpu *v = &f->v;
	const struct segment *cs = &v->regs.seg[SEG_CS];
	uint32_t gva = cs->base + v->regs.eip;
	struct insn in;

	if (gva <= FX_RAM - INSN_MAX)
		memcpy(f->vm.ram + gva, bytes, len);
	if (insn_decode(bytes, len, cs->db ? 32 : 16, &in) || in.len != len)
		return 1000;
	return emulate(v, &in);
}

int fx_run(struct fx *f, const char *hex)
{
	uint8_t bytes[INSN_MAX];

	return fx_run_bytes(f, bytes, fx_hex(hex, bytes, sizeof(bytes)));
}

bool fx_faults(struct fx *f, const char *hex, unsigned vector, int64_t error)
{
	struct cpu_regs regs = f->v.regs;
	struct shadow sh = f->v.sh;
	const struct event *ev = &f->v.fault;
	int ret;

	memset(&f->v.fault, 0, sizeof(f->v.fault));
	ret = fx_run(f, hex);
	if (ret != EMU_FAULT) {
		cr_log_error("%s: no fault, result %d", hex, ret);
		return false;
	}
	if (ev->vector != vector || ev->has_error != (error >= 0) ||
	    (error >= 0 && ev->error != (uint32_t)error)) {
		cr_log_error("%s: vector %u error %d %#x, expected vector %u error %#llx", hex,
			     ev->vector, ev->has_error, ev->error, vector, (long long)error);
		return false;
	}
	if (memcmp(&regs, &f->v.regs, sizeof(regs)) || memcmp(&sh, &f->v.sh, sizeof(sh))) {
		cr_log_error("%s: the fault changed the vCPU", hex);
		return false;
	}
	return true;
}
