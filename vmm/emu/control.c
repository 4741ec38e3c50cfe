/* SPDX-License-Identifier: MIT */
/*
 * Control and debug registers, the machine status word, caches and TLB, XCR0, MONITOR/MWAIT, PAUSE,
 * CLAC/STAC and the hypercall instructions.  Reads of control registers are in crread.c.
 * Sources: SDM Vol. 3A, "Control Registers" (2.5), "Debug Registers" (17.2); Vol. 2, the
 * instructions.  A control register that does not exist is #UD before any privilege check.
 */
#include "vmm/emu/handlers.h"
#include "vmm/mmu.h"

#define CR0_DEFINED                                                                                \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
	 CR0_PG)

/*
 * Bits of CR4 the guest may set: those whose feature CPUID offers.  VME, PVI, SMEP and the rest are
 * reserved for it.
 */
static uint32_t cr4_allowed(const struct vcpu *v)
{
	uint32_t mask = CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE |
			CR4_OSFXSR | CR4_OSXMMEXCPT;

	if (cpuid_has(v, 1, 2, 26))
		mask |= CR4_OSXSAVE;
	return mask;
}

/*
 * Load the PDPTE registers from @cr3 if PAE paging is in use with @cr0 and @cr4.  Vol. 3A, "PDPTE
 * Registers" (4.4.1): MOV to CR3 does; MOV to CR0 when it changes PG, CD or NW; MOV to CR4 when it
 * changes PAE, PGE or PSE.  #GP(0) for a reserved bit; nothing is loaded then.
 */
static int load_pdptes(struct vcpu *v, uint32_t cr0, uint32_t cr3, uint32_t cr4)
{
	if (!(cr0 & CR0_PG) || !(cr4 & CR4_PAE))
		return EMU_OK;
	return mmu_load_pdptes(v, cr3);
}

/*
 * CR0 := @val.  Reserved bits of CR0[31:0] are ignored, ET reads as one (Vol. 3A, 2.5; Vol. 2B,
 * MOV to control registers).  A change of PG flushes the TLB (Vol. 3A, 4.10.4.1).  One of WP does
 * not, because the CPU's TLB holds the rights of the entries and WP is applied on use; what we map
 * has WP applied already.
 */
static int set_cr0(struct vcpu *v, const struct insn *in, uint32_t val)
{
	uint32_t eip = insn_eip(v, in), changed;

	val = (val & CR0_DEFINED) | CR0_ET;
	if ((val & CR0_PG) && !(val & CR0_PE))
		return vcpu_gp(v, 0);
	if ((val & CR0_NW) && !(val & CR0_CD))
		return vcpu_gp(v, 0);
	if ((v->sh.cr0 & CR0_PE) && !(val & CR0_PE))
		return vm_kill(v->vm,
			       "clearing CR0.PE at eip %#x: going back to real mode is not "
			       "supported yet",
			       eip);
	changed = v->sh.cr0 ^ val;
	if (changed & (CR0_PG | CR0_CD | CR0_NW)) {
		int r = load_pdptes(v, val, v->sh.cr3, v->sh.cr4);

		if (r)
			return r;
	}
	v->sh.cr0 = val;
	if (changed & (CR0_PG | CR0_WP))
		mmu_flush(v);
	return EMU_OK;
}

/* Global pages are flushed with the others, which a CPU is free to do (Vol. 3A, 4.10.4.1). */
static int set_cr3(struct vcpu *v, uint32_t val)
{
	int r = load_pdptes(v, v->sh.cr0, val, v->sh.cr4);

	if (r)
		return r;
	v->sh.cr3 = val; /* no bit is reserved: what has no meaning is kept (Vol. 3A, 2.5) */
	mmu_flush(v);
	return EMU_OK;
}

/*
 * The paging mode may change with paging on: outside IA-32e mode that is no #GP (Vol. 2B, MOV to
 * control registers).
 */
static int set_cr4(struct vcpu *v, uint32_t val)
{
	const uint32_t paging = CR4_PAE | CR4_PGE | CR4_PSE;
	uint32_t changed = v->sh.cr4 ^ val;

	if (val & ~cr4_allowed(v))
		return vcpu_gp(v, 0);
	if (changed & paging) {
		int r = load_pdptes(v, v->sh.cr0, v->sh.cr3, val);

		if (r)
			return r;
	}
	v->sh.cr4 = val;
	if (changed & paging)
		mmu_flush(v);
	return EMU_OK;
}

static int mov_to_cr(struct vcpu *v, const struct insn *in, unsigned cr, uint32_t val)
{
	switch (cr) {
	case 0: return set_cr0(v, in, val);
	case 2: v->sh.cr2 = val; return EMU_OK;
	case 3: return set_cr3(v, val);
	default: return set_cr4(v, val);
	}
}

static int clts(struct vcpu *v)
{
	int r = need_cpl0(v);

	if (!r)
		v->sh.cr0 &= ~CR0_TS;
	return r;
}

/* CLTS; MOV to and from CR0, CR2, CR3, CR4; others are #UD.  Always 32 bits wide. */
int emu_cr(struct vcpu *v, const struct insn *in)
{
	unsigned cr = in->opnd[0].reg;
	int r;

	if (in->op == OP_CLTS)
		return clts(v);
	if (in->op == OP_MOV_FROM_CR)
		return emu_cr_read(v, in);
	if (cr != 0 && cr != 2 && cr != 3 && cr != 4)
		return vcpu_ud(v);
	r = need_cpl0(v);
	return r ? r : mov_to_cr(v, in, cr, gpr_read(v, in->opnd[1].reg, 4));
}

/* LMSW loads PE MP EM TS and cannot clear PE. */
static int lmsw(struct vcpu *v, const struct insn *in)
{
	uint32_t val;
	int r = need_cpl0(v);

	if (!r)
		r = op_read(v, in, &in->opnd[0], &val);
	if (r)
		return r;
	val = (val & (CR0_PE | CR0_MP | CR0_EM | CR0_TS)) | (v->sh.cr0 & CR0_PE);
	v->sh.cr0 = (v->sh.cr0 & ~(CR0_PE | CR0_MP | CR0_EM | CR0_TS)) | val;
	return EMU_OK;
}

int emu_msw(struct vcpu *v, const struct insn *in)
{
	switch (in->op) {
	case OP_LMSW: return lmsw(v, in);
	case OP_SMSW: return emu_store_msw(v, in);
	case OP_CLTS: return clts(v);
	default: return vcpu_ud(v);
	}
}

#define DR6_BD       0x2000u
#define DR6_FIXED    0xffff0ff0u /* read as one; bit 12 as zero */
#define DR6_WRITABLE 0x0000e00fu
#define DR7_GD       0x2000u
#define DR7_FIXED    0x400u
#define DR7_WRITABLE 0xffff23ffu

/*
 * Vol. 3B, "Debug Registers DR4 and DR5" (17.2.2): with CR4.DE they are #UD, else they alias DR6
 * and DR7.  DR7.GD turns any access into #DB before it happens, with DR6.BD set.  Breakpoints are
 * stored, not armed: no #DB comes from them yet.
 */
int emu_dr(struct vcpu *v, const struct insn *in)
{
	bool to = in->op == OP_MOV_TO_DR;
	unsigned dr = in->opnd[to ? 0 : 1].reg;
	unsigned reg = in->opnd[to ? 1 : 0].reg;
	uint32_t val;
	int r;

	if (dr > 7)
		return vcpu_ud(v);
	r = need_cpl0(v); /* before DR4 is #UD: measured on an Intel CPU with CR4.DE set */
	if (r)
		return r;
	if (dr == 4 || dr == 5) {
		if (v->sh.cr4 & CR4_DE)
			return vcpu_ud(v);
		dr += 2;
	}
	if (v->sh.dr[7] & DR7_GD) {
		vcpu_fault(v, VEC_DB, false, 0);
		v->fault.dr6 = DR6_BD;
		return EMU_FAULT;
	}
	if (!to) {
		gpr_write(v, reg, 4, v->sh.dr[dr]);
		return EMU_OK;
	}
	val = gpr_read(v, reg, 4);
	if (dr == 6)
		val = (val & DR6_WRITABLE) | DR6_FIXED;
	else if (dr == 7)
		val = (val & DR7_WRITABLE) | DR7_FIXED;
	v->sh.dr[dr] = val;
	return EMU_OK;
}

/* INVD, WBINVD: the guest's memory is coherent; nothing to do. */
int emu_cache(struct vcpu *v, const struct insn *in)
{
	(void)in;
	return need_cpl0(v);
}

/*
 * INVLPG: the operand is an address; nothing is read there, so neither the segment's limit nor its
 * type matters and no fault comes from it (Vol. 2A, INVLPG).  INVPCID is not offered by CPUID.
 */
int emu_invlpg(struct vcpu *v, const struct insn *in)
{
	const struct operand *o = &in->opnd[0];
	int r;

	if (in->op != OP_INVLPG || o->kind != OPND_MEM || (unsigned)o->mem.seg >= SEG_COUNT)
		return vcpu_ud(v);
	r = need_cpl0(v);
	if (r)
		return r;
	mmu_flush_page(v, v->regs.seg[o->mem.seg].base + op_offset(v, in, o));
	return EMU_OK;
}

/*
 * XCR0 is shadowed: the guest runs with the host's, which may have more components enabled than the
 * guest asked for.  A guest that saves with a mask beyond its own XCR0 sees that.
 * SDM Vol. 2C, XSETBV: what is #GP.  AVX needs SSE; the three AVX-512 parts go together, on AVX.
 */
static int xsetbv(struct vcpu *v)
{
	const uint64_t avx512 = 0xe0;
	uint64_t val = (uint64_t)v->regs.gpr[EDX] << 32 | v->regs.gpr[EAX];
	int r = need_cpl0(v);

	if (r)
		return r;
	if (v->regs.gpr[ECX] != 0 || !(val & 1) || (val & ~cpuid_xcr0(v)))
		return vcpu_gp(v, 0);
	if ((val & 4) && !(val & 2))
		return vcpu_gp(v, 0);
	if ((val & avx512) && ((val & avx512) != avx512 || !(val & 4)))
		return vcpu_gp(v, 0);
	v->sh.xcr0 = val;
	return EMU_OK;
}

int emu_xcr(struct vcpu *v, const struct insn *in)
{
	if (!(v->sh.cr4 & CR4_OSXSAVE))
		return vcpu_ud(v);
	if (in->op == OP_XSETBV)
		return xsetbv(v);
	if (in->op != OP_XGETBV)
		return vcpu_ud(v);
	if (v->regs.gpr[ECX] != 0) /* XINUSE (ECX = 1) is not offered by CPUID */
		return vcpu_gp(v, 0);
	v->regs.gpr[EAX] = (uint32_t)v->sh.xcr0;
	v->regs.gpr[EDX] = (uint32_t)(v->sh.xcr0 >> 32);
	return EMU_OK;
}

/* MONITOR is not offered by CPUID: #UD (Vol. 2B, MONITOR, MWAIT). */
int emu_mwait(struct vcpu *v, const struct insn *in)
{
	(void)in;
	return vcpu_ud(v);
}

/* SMAP is not offered by CPUID: SDM Vol. 2A, CLAC, "#UD if CPUID.07H.EBX.SMAP = 0". */
int emu_smap(struct vcpu *v, const struct insn *in)
{
	(void)in;
	return vcpu_ud(v);
}

/* Traps only where the scanner was told to patch it (--pause). */
int emu_pause(struct vcpu *v, const struct insn *in)
{
	(void)in;
	vcpu_spin_hint(v);
	return EMU_OK;
}

/* No hypercall is defined: as on a machine without a hypervisor. */
int emu_hypercall(struct vcpu *v, const struct insn *in)
{
	(void)in;
	return vcpu_ud(v);
}
