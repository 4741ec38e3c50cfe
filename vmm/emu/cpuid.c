/* SPDX-License-Identifier: MIT */
/*
 * CPUID as the guest sees it: the host's answer through a whitelist.
 *
 * A feature is offered if its instructions run at ring 3 without the VMM, or if the VMM emulates
 * what it adds.  Not offered, and why:
 *
 * - VME, PVI: no virtual interrupt flag is kept.
 * - LM: never.  PCID is for long mode; SMEP, SMAP, UMIP and PKU are not emulated.
 * - SEP: SYSENTER at ring 3 enters the host kernel, which reads the guest's stack at the guest's
 *   EBP and changes EAX before seccomp stops it.
 * - SYSCALL: loses ECX in 32-bit code on AMD, absent there on Intel.
 * - MONITOR, WAITPKG, TSX, RDPID, VMX, SVM, SMX, FSGSBASE, INVPCID, AMX, XSAVES, XGETBV(1),
 *   performance counters, thermal and power leaves, MCA banks, CET, SGX, PT.
 *
 * Always offered, because the VMM provides them: x2APIC, TSC_DEADLINE, TSC_ADJUST, ARAT, the
 * hypervisor bit, APIC, MTRR, PAT, MCE and MCA (no banks), PSE, PSE-36, PAE, PGE, DE.  The host's
 * values are read once; the APIC id, OSXSAVE, and sizes by XCR0 depend on the vCPU. Source: SDM
 * Vol. 2A, CPUID; AMD APM Vol. 3, appendix E.
 */
#include <cpuid.h>
#include <pthread.h>
#include <string.h>

#include "vmm/activations_abi.h"
#include "vmm/emu/handlers.h"

enum { A, B, C, D };

#define BIT(n) (1u << (n))

#define BASIC_MAX    0x16u
#define EXT_MAX      0x80000008u
#define HYPER_FIRST  0x40000000u
#define XCR0_OFFERED 0xe7ull /* x87 SSE AVX, opmask ZMM_Hi256 Hi16_ZMM */
#define XCOMP_MAX    8       /* state components 0-7 */

/* Leaf 1: user-level instruction sets, and what the VMM provides. */
#define L1_C                                                                                    \
	(BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(19) | BIT(20) | BIT(22) | BIT(23) | BIT(25) | \
	 BIT(26) | BIT(28) | BIT(29) | BIT(30))
#define L1_C_FORCED (BIT(21) | BIT(24) | BIT(31))           /* x2APIC TSC_DEADLINE hypervisor */
#define L1_C_XSAVE  (BIT(12) | BIT(26) | BIT(28) | BIT(29)) /* FMA XSAVE AVX F16C */
#define L1_D                                                                                   \
	(BIT(0) | BIT(4) | BIT(5) | BIT(8) | BIT(15) | BIT(19) | BIT(23) | BIT(24) | BIT(25) | \
	 BIT(26))
/* DE PSE PAE MCE APIC MTRR PGE MCA PAT PSE36 */
#define L1_D_FORCED                                                                           \
	(BIT(2) | BIT(3) | BIT(6) | BIT(7) | BIT(9) | BIT(12) | BIT(13) | BIT(14) | BIT(16) | \
	 BIT(17))
/* Leaf 7. */
#define L7_B                                                                                   \
	(BIT(3) | BIT(5) | BIT(8) | BIT(9) | BIT(16) | BIT(17) | BIT(18) | BIT(19) | BIT(21) | \
	 BIT(23) | BIT(24) | BIT(28) | BIT(29) | BIT(30) | BIT(31))
#define L7_B_FORCED BIT(1) /* TSC_ADJUST */
#define L7_B_AVX    BIT(5)
#define L7_B_AVX512 (BIT(16) | BIT(17) | BIT(21) | BIT(28) | BIT(30) | BIT(31))
#define L7_C                                                                                   \
	(BIT(1) | BIT(6) | BIT(8) | BIT(9) | BIT(10) | BIT(11) | BIT(12) | BIT(14) | BIT(25) | \
	 BIT(27) | BIT(28))
#define L7_C_AVX    (BIT(9) | BIT(10))
#define L7_C_AVX512 (BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14))
#define L7_D        (BIT(2) | BIT(3) | BIT(4) | BIT(8) | BIT(14) | BIT(23))
#define L7_D_AVX512 (BIT(2) | BIT(3) | BIT(8) | BIT(23))
#define L71_A       (BIT(4) | BIT(5)) /* AVX-VNNI, AVX512-BF16 */
/*
 * Leaf 0x80000001: LAHF, LZCNT, SSE4A, misaligned SSE, PREFETCHW, XOP, FMA4, TBM; NX, MMXEXT,
 * RDTSCP.  NX needs the host's: worlds enforce it.
 */
#define E1_C     (BIT(0) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(11) | BIT(16) | BIT(21))
#define E1_C_AVX (BIT(11) | BIT(16))
#define E1_D     (BIT(20) | BIT(22) | BIT(27) | BIT(30) | BIT(31))
/* AMD repeats these bits of leaf 1 EDX there. */
#define E1_D_COPY 0x0183f3ffu

struct host {
	uint32_t basic[BASIC_MAX + 1][4]; /* subleaf 0 */
	uint32_t ext[9][4];               /* 0x80000000 - 0x80000008 */
	uint32_t cache[8][4];             /* leaf 4 by subleaf */
	uint32_t seven1[4];               /* leaf 7 subleaf 1 */
	uint32_t xcomp[XCOMP_MAX][4];     /* leaf 0xd by subleaf */
	uint64_t xcr0;                    /* what the guest may set */
	bool intel;
};

static struct host host;
static pthread_once_t host_once = PTHREAD_ONCE_INIT;

static void native(uint32_t leaf, uint32_t sub, uint32_t out[4])
{
	__cpuid_count(leaf, sub, out[A], out[B], out[C], out[D]);
}

/* XCR0 of the host: what the OS lets this process use. */
static uint64_t host_xcr0(void)
{
	uint32_t lo, hi;

	if (!(host.basic[1][C] & BIT(27)))
		return 0;
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (uint64_t)hi << 32 | lo;
}

static void host_read(void)
{
	uint32_t max, out[4];

	native(0, 0, out);
	max = out[A];
	host.intel = out[C] == 0x6c65746e; /* GenuineIntel */
	for (uint32_t l = 0; l <= BASIC_MAX && l <= max; l++)
		native(l, 0, host.basic[l]);
	native(0x80000000, 0, out);
	for (uint32_t l = 0x80000000; l <= EXT_MAX && l <= out[A]; l++)
		native(l, 0, host.ext[l - 0x80000000]);
	for (uint32_t s = 0; s < 8 && max >= 4; s++)
		native(4, s, host.cache[s]);
	if (max >= 7 && host.basic[7][A] >= 1)
		native(7, 1, host.seven1);
	for (uint32_t s = 0; s < XCOMP_MAX && max >= 0xd; s++)
		native(0xd, s, host.xcomp[s]);
	host.xcr0 = host_xcr0() & XCR0_OFFERED;
	if ((host.xcr0 & 3) != 3)
		host.xcr0 = 0;
	if ((host.xcr0 & 0xe4) != 0xe4) /* AVX-512 is all three parts, and AVX */
		host.xcr0 &= 7;
}

static const struct host *host_get(void)
{
	pthread_once(&host_once, host_read);
	return &host;
}

uint64_t cpuid_xcr0_mask(void)
{
	return host_get()->xcr0;
}

uint64_t cpuid_xcr0(const struct vcpu *v)
{
	return host_get()->xcr0 & (v->vm ? cpuid_mask_xcr0(&v->vm->cpuid_mask) : ~0ull);
}

static unsigned vcpu_count(const struct vcpu *v)
{
	return v->vm && v->vm->vcpus ? v->vm->vcpus : 1;
}

/* Bits of the APIC id that tell the vCPUs of the package apart. */
static unsigned id_bits(const struct vcpu *v)
{
	unsigned bits = 0;

	while (1u << bits < vcpu_count(v))
		bits++;
	return bits;
}

static void leaf_1(const struct vcpu *v, const struct host *h, uint32_t out[4])
{
	out[B] = (h->basic[1][B] & 0xff00) | 1u << id_bits(v) << 16 | (uint32_t)v->id << 24;
	out[C] = (out[C] & L1_C) | L1_C_FORCED;
	if (!h->xcr0)
		out[C] &= ~L1_C_XSAVE;
	else if (!(h->xcr0 & 4))
		out[C] &= ~(L1_C_XSAVE & ~BIT(26));
	if ((out[C] & BIT(26)) && (v->sh.cr4 & CR4_OSXSAVE))
		out[C] |= BIT(27);
	out[D] = (out[D] & L1_D) | L1_D_FORCED;
	if (vcpu_count(v) > 1)
		out[D] |= BIT(28);
	if (!(v->sh.apic_base & BIT(11))) /* a disabled APIC is not reported */
		out[D] &= ~BIT(9);
}

/* Deterministic cache parameters: every cache private to its vCPU, all vCPUs one package. */
static void leaf_4(const struct vcpu *v, const struct host *h, uint32_t sub, uint32_t out[4])
{
	memset(out, 0, 16);
	if (sub >= 8)
		return;
	memcpy(out, h->cache[sub], 16);
	if (out[A] & 0x1f)
		out[A] = (out[A] & 0x3fff) | ((1u << id_bits(v)) - 1) << 26;
}

static void leaf_7(const struct host *h, uint32_t sub, uint32_t out[4])
{
	bool avx = h->xcr0 & 4, avx512 = h->xcr0 & 0x20;

	if (sub == 1) {
		out[A] = h->seven1[A] & L71_A & (avx ? ~0u : ~BIT(4)) & (avx512 ? ~0u : ~BIT(5));
		out[B] = out[C] = out[D] = 0;
		return;
	}
	if (sub > 1) {
		memset(out, 0, 16);
		return;
	}
	out[A] = h->basic[7][A] ? 1 : 0;
	out[B] = (out[B] & L7_B) | L7_B_FORCED;
	out[C] &= L7_C;
	out[D] &= L7_D;
	if (!avx) {
		out[B] &= ~L7_B_AVX;
		out[C] &= ~L7_C_AVX;
	}
	if (!avx512) {
		out[B] &= ~L7_B_AVX512;
		out[C] &= ~L7_C_AVX512;
		out[D] &= ~L7_D_AVX512;
	}
}

/* Extended topology: one thread a core, all vCPUs cores of one package. */
static void leaf_b(const struct vcpu *v, uint32_t sub, uint32_t out[4])
{
	memset(out, 0, 16);
	out[C] = sub & 0xff;
	out[D] = v->id;
	if (sub == 0) {
		out[B] = 1;
		out[C] |= 1 << 8; /* SMT */
	} else if (sub == 1) {
		out[A] = id_bits(v);
		out[B] = vcpu_count(v);
		out[C] |= 2 << 8; /* core */
	}
}

/* Bytes of a standard-format XSAVE area with the components @mask. */
static uint32_t xsave_size(const struct host *h, uint64_t mask)
{
	uint32_t size = 512 + 64, end;

	for (unsigned i = 2; i < XCOMP_MAX; i++) {
		end = h->xcomp[i][A] + h->xcomp[i][B];
		if ((mask & BIT(i)) && end > size)
			size = end;
	}
	return size;
}

/* Bytes of a compacted one: components follow one another, 64-byte aligned if ECX bit 1 says so. */
static uint32_t xsavec_size(const struct host *h, uint64_t mask)
{
	uint32_t size = 512 + 64;

	for (unsigned i = 2; i < XCOMP_MAX; i++) {
		if (!(mask & BIT(i)))
			continue;
		if (h->xcomp[i][C] & 2)
			size = (size + 63) & ~63u;
		size += h->xcomp[i][A];
	}
	return size;
}

/*
 * XSAVE itself runs natively with the host's XCR0: a guest that saves with a mask beyond its own
 * XCR0 (all ones, say) also gets the host's other components, and its area reaches beyond the size
 * that is reported here.  Kernels save with the mask they set.
 */
static void leaf_d(const struct vcpu *v, const struct host *h, uint32_t sub, uint32_t out[4])
{
	const uint64_t xcr0 = cpuid_xcr0(v);

	memset(out, 0, 16);
	if (!xcr0)
		return;
	if (sub == 0) {
		out[A] = (uint32_t)xcr0;
		out[B] = xsave_size(h, v->sh.xcr0);
		out[C] = xsave_size(h, xcr0);
	} else if (sub == 1) {
		out[A] = h->xcomp[1][A] & 3; /* XSAVEOPT, XSAVEC */
		out[B] = xsavec_size(h, v->sh.xcr0);
	} else if (sub < XCOMP_MAX && (xcr0 & BIT(sub))) {
		memcpy(out, h->xcomp[sub], 16);
		out[C] &= 2;
	}
}

static void basic(const struct vcpu *v, const struct host *h, uint32_t leaf, uint32_t sub,
		  uint32_t out[4])
{
	/* IA32_MISC_ENABLE bit 22 limits the basic leaves to 2 (SDM Vol. 4). */
	bool limited = v->sh.misc_enable & BIT(22);

	memcpy(out, h->basic[leaf], 16);
	switch (leaf) {
	case 0:
		/* At least 0xb, for the topology; the leaves the host lacks are zero. */
		if (out[A] > BASIC_MAX)
			out[A] = BASIC_MAX;
		if (out[A] < 0xb)
			out[A] = 0xb;
		if (limited)
			out[A] = 2;
		break;
	case 1: leaf_1(v, h, out); break;
	case 2: break; /* cache descriptors, as they are */
	case 4: leaf_4(v, h, sub, out); break;
	case 6:
		memset(out, 0, 16);
		out[A] = BIT(2); /* ARAT: our APIC timer never stops */
		break;
	case 7: leaf_7(h, sub, out); break;
	case 0xb: leaf_b(v, sub, out); break;
	case 0xd: leaf_d(v, h, sub, out); break;
	case 0x15:
	case 0x16: break; /* TSC and core frequencies, as they are */
	default: memset(out, 0, 16); break;
	}
}

static void extended(const struct vcpu *v, const struct host *h, uint32_t leaf, uint32_t out[4])
{
	uint32_t one[4];

	memcpy(out, h->ext[leaf - 0x80000000], 16);
	switch (leaf) {
	case 0x80000000:
		if (out[A] > EXT_MAX || out[A] < 0x80000000)
			out[A] = EXT_MAX;
		break;
	case 0x80000001:
		out[C] &= E1_C & ((h->xcr0 & 4) ? ~0u : ~E1_C_AVX);
		out[D] &= E1_D;
		if (!h->intel) {
			basic(v, h, 1, 0, one);
			out[D] |= one[D] & E1_D_COPY;
		}
		break;
	case 0x80000007:
		out[A] = out[B] = out[C] = 0;
		out[D] &= BIT(8); /* invariant TSC */
		break;
	case 0x80000008:
		out[A] = 32 << 8 | CPUID_PHYS_BITS; /* linear and physical address bits */
		out[B] = out[D] = 0;
		out[C] = h->intel ? 0 : id_bits(v) << 12 | (vcpu_count(v) - 1);
		break;
	default: break; /* brand string and AMD's cache leaves, as they are */
	}
}

static void hypervisor(const struct vcpu *v, uint32_t eax, uint32_t out[4])
{
	bool activations = v->vm && v->vm->activations;

	if (eax == HYPER_FIRST) {
		out[A] = activations ? SA_CPUID : HYPER_FIRST;
		memcpy(&out[B], "Ringside\0\0\0\0", 12);
	} else if (eax == SA_CPUID && activations) {
		out[A] = SA_CPUID_OFFER;
		out[B] = SA_MSR;
		out[C] = SA_VERSION;
	}
}

static void unmasked(const struct vcpu *v, uint32_t eax, uint32_t ecx, uint32_t out[4])
{
	const struct host *h = host_get();
	uint32_t zero[4];

	memset(out, 0, 16);
	if (eax >= HYPER_FIRST && eax < 0x50000000) { /* reserved for hypervisors */
		hypervisor(v, eax, out);
		return;
	}
	basic(v, h, 0, 0, zero);
	if (eax >= 0x80000000) {
		if (eax <= EXT_MAX) {
			extended(v, h, eax, out);
			return;
		}
	} else if (eax <= zero[A]) {
		basic(v, h, eax, ecx, out);
		return;
	}
	/* Beyond the maximum: Intel answers with the highest basic leaf, AMD with zeros. */
	if (h->intel)
		basic(v, h, zero[A], ecx, out);
}

void cpuid_policy(const struct vcpu *v, uint32_t eax, uint32_t ecx, uint32_t out[4])
{
	unmasked(v, eax, ecx, out);
	if (v->vm)
		cpuid_mask_apply(&v->vm->cpuid_mask, eax, ecx, out);
}

bool cpuid_has(const struct vcpu *v, uint32_t leaf, unsigned reg, unsigned bit)
{
	uint32_t out[4];

	cpuid_policy(v, leaf, 0, out);
	return out[reg & 3] >> (bit & 31) & 1;
}

/* Unprivileged in every mode: SDM Vol. 2A, CPUID. */
int emu_cpuid(struct vcpu *v, const struct insn *in)
{
	uint32_t out[4];

	(void)in;
	cpuid_policy(v, v->regs.gpr[EAX], v->regs.gpr[ECX], out);
	v->regs.gpr[EAX] = out[A];
	v->regs.gpr[EBX] = out[B];
	v->regs.gpr[ECX] = out[C];
	v->regs.gpr[EDX] = out[D];
	return EMU_OK;
}
