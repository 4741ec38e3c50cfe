/* SPDX-License-Identifier: MIT */
/*
 * Model-specific registers, the time-stamp counter, performance counters.  The MSRs are a closed
 * set: one not in the table, a reserved bit or an invalid type in a write is #GP(0). Sources: SDM
 * Vol. 4, "Model-Specific Registers"; Vol. 3A, "Memory Type Range Registers" (11.11), "Page
 * Attribute Table" (11.12), "Time-Stamp Counter" (17.17); AMD APM Vol. 2, appendix A.
 */
#include <x86intrin.h>

#include "vmm/activations.h"
#include "vmm/emu/handlers.h"
#include "vmm/machine.h"
#include "vmm/mmu.h"

#define APIC_BASE_BSP    (1u << 8)
#define APIC_BASE_EXTD   (1u << 10)
#define APIC_BASE_ENABLE (1u << 11)
#define PHYS_MASK        ((1ull << CPUID_PHYS_BITS) - 1)
#define EFER_NXE         (1ull << 11)
#define X2APIC_FIRST     0x800u
#define X2APIC_LAST      0x8ffu
#define MSR_APIC_BASE    0x1bu
#define MSR_TSC_ADJUST   0x3bu
#define MSR_TSC_DEADLINE 0x6e0u

#define MISC_ENABLE_FIXED    0x001800ull /* BTS and PEBS unavailable: read as one */
#define MISC_ENABLE_WRITABLE 0xc10009ull /* fast strings, TCC, EIST, CPUID limit, xTPR */
#define MISC_ENABLE_IGNORED  0x040080ull /* read as zero: EMON, MWAIT */

struct msr {
	uint32_t first, last; /* indices it covers */
	bool amd;             /* only if the CPUID vendor is AMD's (or Hygon's) */
	/* Called with the index relative to @first. */
	uint64_t (*read)(struct vcpu *v, unsigned i);
	int (*write)(struct vcpu *v, unsigned i, uint64_t val);
};

uint64_t vcpu_tsc(const struct vcpu *v)
{
	return __rdtsc() + v->sh.tsc_offset;
}

/* ---- constants and write rules ---- */

static uint64_t zero(struct vcpu *v, unsigned i)
{
	(void)v;
	(void)i;
	return 0;
}

static int ignore(struct vcpu *v, unsigned i, uint64_t val)
{
	(void)v;
	(void)i;
	(void)val;
	return EMU_OK;
}

static int only_zero(struct vcpu *v, unsigned i, uint64_t val)
{
	(void)i;
	return val ? vcpu_gp(v, 0) : EMU_OK;
}

/* A memory type; PAT also has 7, UC- (Vol. 3A, tables 11-8 and 11-10). */
static bool type_valid(unsigned type, bool pat)
{
	return type == 0 || type == 1 || (type >= 4 && type <= 6) || (pat && type == 7);
}

static bool types_valid(uint64_t val, bool pat)
{
	for (int i = 0; i < 8; i++, val >>= 8)
		if (!type_valid(val & 0xff, pat))
			return false;
	return true;
}

/* ---- time ---- */

static uint64_t tsc_read(struct vcpu *v, unsigned i)
{
	(void)i;
	return vcpu_tsc(v);
}

static void move_tsc(struct vcpu *v, uint64_t delta)
{
	/* The I/O thread reads the offset for the deadline timer. */
	__atomic_store_n(&v->sh.tsc_offset, v->sh.tsc_offset + delta, __ATOMIC_RELAXED);
	if (v->vm->machine)
		machine_tsc_changed(v->vm, v);
}

/* Writing the counter moves IA32_TSC_ADJUST by as much (Vol. 3B, 17.17.3). */
static int tsc_write(struct vcpu *v, unsigned i, uint64_t val)
{
	uint64_t delta = val - vcpu_tsc(v);

	(void)i;
	v->sh.tsc_adjust += delta;
	move_tsc(v, delta);
	return EMU_OK;
}

static uint64_t tsc_adjust_read(struct vcpu *v, unsigned i)
{
	(void)i;
	return v->sh.tsc_adjust;
}

static int tsc_adjust_write(struct vcpu *v, unsigned i, uint64_t val)
{
	(void)i;
	move_tsc(v, val - v->sh.tsc_adjust);
	v->sh.tsc_adjust = val;
	return EMU_OK;
}

static uint64_t deadline_read(struct vcpu *v, unsigned i)
{
	(void)i;
	return v->vm->machine ? machine_tsc_deadline(v->vm, v) : 0;
}

static int deadline_write(struct vcpu *v, unsigned i, uint64_t val)
{
	(void)i;
	if (v->vm->machine)
		machine_set_tsc_deadline(v->vm, v, val);
	return EMU_OK;
}

static uint64_t tsc_aux_read(struct vcpu *v, unsigned i)
{
	(void)i;
	return v->sh.tsc_aux;
}

static int tsc_aux_write(struct vcpu *v, unsigned i, uint64_t val)
{
	(void)i;
	if (val >> 32)
		return vcpu_gp(v, 0);
	v->sh.tsc_aux = val;
	return EMU_OK;
}

/* ---- APIC ---- */

static uint64_t apic_base_read(struct vcpu *v, unsigned i)
{
	(void)i;
	return v->sh.apic_base;
}

/* Vol. 3A, "x2APIC State Transitions" (10.12.5), figure 10-27. */
static bool apic_transition_valid(uint64_t from, uint64_t to)
{
	bool was_on = from & APIC_BASE_ENABLE, was_x2 = from & APIC_BASE_EXTD;
	bool on = to & APIC_BASE_ENABLE, x2 = to & APIC_BASE_EXTD;

	if (x2)
		return on && was_on; /* not without EN, and not from disabled */
	return !on || !was_x2;       /* back to xAPIC only through disabled */
}

/* EXTD is reserved unless CPUID offers x2APIC (Vol. 3A, 10.12.1). */
static int apic_base_write(struct vcpu *v, unsigned i, uint64_t val)
{
	uint64_t extd = cpuid_has(v, 1, 2, 21) ? APIC_BASE_EXTD : 0;

	(void)i;
	if (val & ~(APIC_BASE_BSP | extd | APIC_BASE_ENABLE | (PHYS_MASK & ~0xfffull)))
		return vcpu_gp(v, 0);
	if (!apic_transition_valid(v->sh.apic_base, val))
		return vcpu_gp(v, 0);
	if (v->vm->machine)
		machine_set_apic_base(v->vm, v, val);
	v->sh.apic_base = val;
	return EMU_OK;
}

/* MSRs 0x800-0x8ff: #GP outside x2APIC mode and for what it lacks (Vol. 3A, 10.12.1.2). */
static bool is_x2apic(uint32_t index)
{
	return index >= X2APIC_FIRST && index <= X2APIC_LAST;
}

/*
 * With KVM's local APICs their registers, and the counter that their timers follow, are KVM's: what
 * comes here KVM has refused, and this program has no local APIC to ask.
 */
static bool of_kernel_lapic(const struct vcpu *v, uint32_t index)
{
	return v->vm->kernel_irqchip && (is_x2apic(index) || index == MSR_APIC_BASE ||
					 index == MSR_TSC_ADJUST || index == MSR_TSC_DEADLINE);
}

/* ---- memory types ---- */

static uint64_t pat_read(struct vcpu *v, unsigned i)
{
	(void)i;
	return v->sh.pat;
}

static int pat_write(struct vcpu *v, unsigned i, uint64_t val)
{
	(void)i;
	if (!types_valid(val, true))
		return vcpu_gp(v, 0);
	v->sh.pat = val;
	return EMU_OK;
}

/* Eight variable ranges, fixed ranges, write combining. */
static uint64_t mtrr_cap_read(struct vcpu *v, unsigned i)
{
	(void)v;
	(void)i;
	return 8 | 1 << 8 | 1 << 10;
}

static uint64_t mtrr_def_read(struct vcpu *v, unsigned i)
{
	(void)i;
	return v->sh.mtrr_def_type;
}

static int mtrr_def_write(struct vcpu *v, unsigned i, uint64_t val)
{
	(void)i;
	if ((val & ~0xcffull) || !type_valid(val & 0xff, false))
		return vcpu_gp(v, 0);
	v->sh.mtrr_def_type = val;
	return EMU_OK;
}

static uint64_t mtrr_var_read(struct vcpu *v, unsigned i)
{
	return v->sh.mtrr_var[i];
}

/* Even: base and type.  Odd: mask and valid bit. */
static int mtrr_var_write(struct vcpu *v, unsigned i, uint64_t val)
{
	if (i % 2 == 0 && ((val & (~PHYS_MASK | 0xf00)) || !type_valid(val & 0xff, false)))
		return vcpu_gp(v, 0);
	if (i % 2 == 1 && (val & (~PHYS_MASK | 0x7ff)))
		return vcpu_gp(v, 0);
	v->sh.mtrr_var[i] = val;
	return EMU_OK;
}

static int mtrr_fix_write(struct vcpu *v, unsigned i, uint64_t val)
{
	if (!types_valid(val, false))
		return vcpu_gp(v, 0);
	v->sh.mtrr_fix[i] = val;
	return EMU_OK;
}

static uint64_t mtrr_fix64_read(struct vcpu *v, unsigned i)
{
	return v->sh.mtrr_fix[i];
}
static uint64_t mtrr_fix16_read(struct vcpu *v, unsigned i)
{
	return v->sh.mtrr_fix[1 + i];
}
static int mtrr_fix16_write(struct vcpu *v, unsigned i, uint64_t val)
{
	return mtrr_fix_write(v, 1 + i, val);
}
static uint64_t mtrr_fix4_read(struct vcpu *v, unsigned i)
{
	return v->sh.mtrr_fix[3 + i];
}
static int mtrr_fix4_write(struct vcpu *v, unsigned i, uint64_t val)
{
	return mtrr_fix_write(v, 3 + i, val);
}

/* ---- system calls, modes ---- */

static uint64_t sysenter_read(struct vcpu *v, unsigned i)
{
	return i == 0 ? v->sh.sysenter_cs : i == 1 ? v->sh.sysenter_esp : v->sh.sysenter_eip;
}

/* The registers hold 32 bits outside long mode; the upper half of a write is dropped. */
static int sysenter_write(struct vcpu *v, unsigned i, uint64_t val)
{
	if (i == 0)
		v->sh.sysenter_cs = (uint32_t)val;
	else if (i == 1)
		v->sh.sysenter_esp = (uint32_t)val;
	else
		v->sh.sysenter_eip = (uint32_t)val;
	return EMU_OK;
}

static uint64_t misc_enable_read(struct vcpu *v, unsigned i)
{
	(void)i;
	return v->sh.misc_enable | MISC_ENABLE_FIXED;
}

static int misc_enable_write(struct vcpu *v, unsigned i, uint64_t val)
{
	const uint64_t known = MISC_ENABLE_WRITABLE | MISC_ENABLE_FIXED | MISC_ENABLE_IGNORED;

	(void)i;
	if (val & ~known)
		return vcpu_gp(v, 0);
	v->sh.misc_enable = val & MISC_ENABLE_WRITABLE;
	return EMU_OK;
}

static uint64_t efer_read(struct vcpu *v, unsigned i)
{
	(void)i;
	return v->sh.efer;
}

/* Neither SYSCALL nor long mode are offered; NXE only with NX (CPUID 0x80000001 EDX bit 20). */
static int efer_write(struct vcpu *v, unsigned i, uint64_t val)
{
	uint64_t allowed = cpuid_has(v, 0x80000001, 3, 20) ? EFER_NXE : 0;
	bool changed = val != v->sh.efer;

	(void)i;
	if (val & ~allowed)
		return vcpu_gp(v, 0);
	v->sh.efer = val;
	if (changed) /* bit 63 of every entry means something else now */
		mmu_flush(v);
	return EMU_OK;
}

/* A microcode revision of one, in the upper half where Intel puts it; AMD's is in the lower. */
static uint64_t ucode_read(struct vcpu *v, unsigned i)
{
	(void)v;
	(void)i;
	return 1ull << 32 | 1;
}

/* AMD DE_CFG: LFENCE is serializing (bit 1). */
static uint64_t de_cfg_read(struct vcpu *v, unsigned i)
{
	(void)v;
	(void)i;
	return 2;
}

/* By index.  A NULL @write means read-only: #GP; a NULL @read write-only. */
static const struct msr msrs[] = {
	{ 0x00000000, 0x00000001, false, zero, ignore },        /* P5_MC_ADDR, P5_MC_TYPE */
	{ 0x00000010, 0x00000010, false, tsc_read, tsc_write }, /* IA32_TIME_STAMP_COUNTER */
	{ 0x00000017, 0x00000017, false, zero, NULL },          /* IA32_PLATFORM_ID */
	{ 0x0000001b, 0x0000001b, false, apic_base_read, apic_base_write },
	{ 0x0000003b, 0x0000003b, false, tsc_adjust_read, tsc_adjust_write },
	{ 0x00000079, 0x00000079, false, NULL, ignore },       /* IA32_BIOS_UPDT_TRIG */
	{ 0x0000008b, 0x0000008b, false, ucode_read, ignore }, /* IA32_BIOS_SIGN_ID */
	{ 0x000000fe, 0x000000fe, false, mtrr_cap_read, NULL },
	{ 0x00000174, 0x00000176, false, sysenter_read, sysenter_write },
	{ 0x00000179, 0x00000179, false, zero, NULL },      /* IA32_MCG_CAP: no banks */
	{ 0x0000017a, 0x0000017a, false, zero, only_zero }, /* IA32_MCG_STATUS */
	{ 0x00000198, 0x00000198, false, zero, NULL },      /* IA32_PERF_STATUS */
	{ 0x00000199, 0x00000199, false, zero, ignore },    /* IA32_PERF_CTL */
	{ 0x000001a0, 0x000001a0, false, misc_enable_read, misc_enable_write },
	{ 0x000001d9, 0x000001d9, false, zero, only_zero }, /* IA32_DEBUGCTL: no BTF, no LBR */
	{ 0x00000200, 0x0000020f, false, mtrr_var_read, mtrr_var_write },
	{ 0x00000250, 0x00000250, false, mtrr_fix64_read, mtrr_fix_write },
	{ 0x00000258, 0x00000259, false, mtrr_fix16_read, mtrr_fix16_write },
	{ 0x00000268, 0x0000026f, false, mtrr_fix4_read, mtrr_fix4_write },
	{ 0x00000277, 0x00000277, false, pat_read, pat_write },
	{ 0x000002ff, 0x000002ff, false, mtrr_def_read, mtrr_def_write },
	{ 0x000006e0, 0x000006e0, false, deadline_read, deadline_write },
	{ SA_MSR, SA_MSR + SA_MSRS - 1, false, activations_read_msr, activations_write_msr },
	{ 0xc0000080, 0xc0000080, false, efer_read, efer_write },
	{ 0xc0000103, 0xc0000103, false, tsc_aux_read, tsc_aux_write },
	{ 0xc0010010, 0xc0010010, true, zero, ignore }, /* SYSCFG */
	{ 0xc0010015, 0xc0010015, true, zero, ignore }, /* HWCR */
	{ 0xc001001f, 0xc001001f, true, zero, ignore }, /* NB_CFG */
	{ 0xc0010055, 0xc0010055, true, zero, ignore }, /* INT_PENDING */
	{ 0xc0011029, 0xc0011029, true, de_cfg_read, ignore },
};

static bool vendor_amd(const struct vcpu *v)
{
	uint32_t out[4];

	cpuid_policy(v, 0, 0, out);
	return out[2] == 0x444d4163 || out[2] == 0x656e6975; /* AuthenticAMD, HygonGenuine */
}

static const struct msr *msr_find(const struct vcpu *v, uint32_t index)
{
	if (index - SA_MSR < SA_MSRS && !v->vm->activations)
		return NULL;
	for (size_t i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++)
		if (index >= msrs[i].first && index <= msrs[i].last)
			return msrs[i].amd && !vendor_amd(v) ? NULL : &msrs[i];
	return NULL;
}

int msr_read(struct vcpu *v, uint32_t index, uint64_t *val)
{
	const struct msr *m;

	if (of_kernel_lapic(v, index))
		return vcpu_gp(v, 0);
	if (is_x2apic(index))
		return v->vm->machine && !machine_x2apic_read(v->vm, v, index, val) ? EMU_OK
										    : vcpu_gp(v, 0);
	m = msr_find(v, index);
	if (!m || !m->read)
		return vcpu_gp(v, 0);
	*val = m->read(v, index - m->first);
	return EMU_OK;
}

int msr_write(struct vcpu *v, uint32_t index, uint64_t val)
{
	const struct msr *m;

	if (of_kernel_lapic(v, index))
		return vcpu_gp(v, 0);
	if (is_x2apic(index))
		return v->vm->machine && !machine_x2apic_write(v->vm, v, index, val)
			       ? EMU_OK
			       : vcpu_gp(v, 0);
	m = msr_find(v, index);
	if (!m || !m->write)
		return vcpu_gp(v, 0);
	return m->write(v, index - m->first, val);
}

/* RDMSR, WRMSR: Vol. 2B and 2D. */
int emu_msr(struct vcpu *v, const struct insn *in)
{
	uint64_t val;
	int r = need_cpl0(v);

	if (r)
		return r;
	if (in->op == OP_WRMSR)
		return msr_write(v, v->regs.gpr[ECX],
				 (uint64_t)v->regs.gpr[EDX] << 32 | v->regs.gpr[EAX]);
	r = msr_read(v, v->regs.gpr[ECX], &val);
	if (r)
		return r;
	v->regs.gpr[EAX] = (uint32_t)val;
	v->regs.gpr[EDX] = (uint32_t)(val >> 32);
	return EMU_OK;
}

/*
 * RDPMC: CPUID offers no counters, so every index is invalid: #GP(0), as for CR4.PCE clear at
 * CPL > 0 (Vol. 2B, RDPMC).
 */
int emu_pmc(struct vcpu *v, const struct insn *in)
{
	(void)in;
	return vcpu_gp(v, 0);
}

/* RDTSC, RDTSCP, RDPID: Vol. 2B.  CR4.TSD makes the first two #GP outside CPL 0. */
int emu_tsc(struct vcpu *v, const struct insn *in)
{
	uint64_t tsc;

	if (in->op == OP_RDPID) {
		if (!cpuid_has(v, 7, 2, 22))
			return vcpu_ud(v);
		gpr_write(v, in->opnd[0].reg, 4, (uint32_t)v->sh.tsc_aux);
		return EMU_OK;
	}
	if (in->op == OP_RDTSCP && !cpuid_has(v, 0x80000001, 3, 27))
		return vcpu_ud(v);
	if ((v->sh.cr4 & CR4_TSD) && vcpu_protected(v) && v->sh.cpl != 0)
		return vcpu_gp(v, 0);
	tsc = vcpu_tsc(v);
	v->regs.gpr[EAX] = (uint32_t)tsc;
	v->regs.gpr[EDX] = (uint32_t)(tsc >> 32);
	if (in->op == OP_RDTSCP)
		v->regs.gpr[ECX] = (uint32_t)v->sh.tsc_aux;
	return EMU_OK;
}
