/* SPDX-License-Identifier: MIT */
/*
 * Names as in /proc/cpuinfo and QEMU.  Source of bits: Intel SDM Vol. 2A, CPUID; AMD APM Vol. 3,
 * appendix E.  What needs what: the same, "Detection" sections of Vol. 1 (13, 14, 15); Linux has
 * the like in arch/x86/kernel/cpu/cpuid-deps.c.
 */
#include "vmm/cpuid_mask.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

/* AMD repeats these bits of leaf 1 EDX in 0x80000001; on Intel they are zero there. */
#define EDX_REPEATED 0x0183f3ffu

static const struct {
	uint32_t leaf, subleaf;
	unsigned reg;
} words[CPUID_WORDS] = {
	[CPUID_1_ECX] = { 1, 0, 2 },
	[CPUID_1_EDX] = { 1, 0, 3 },
	[CPUID_6_EAX] = { 6, 0, 0 },
	[CPUID_7_EBX] = { 7, 0, 1 },
	[CPUID_7_ECX] = { 7, 0, 2 },
	[CPUID_7_EDX] = { 7, 0, 3 },
	[CPUID_7_1_EAX] = { 7, 1, 0 },
	[CPUID_D_1_EAX] = { 0xd, 1, 0 },
	[CPUID_80000001_ECX] = { 0x80000001, 0, 2 },
	[CPUID_80000001_EDX] = { 0x80000001, 0, 3 },
	[CPUID_80000007_EDX] = { 0x80000007, 0, 3 },
};

/* A feature comes after those it needs: one pass finds all that go with one. */
static const struct feature {
	const char *name;
	uint8_t word, bit;
	const char *needs[2];
} features[] = {
	{ "fpu", CPUID_1_EDX, 0, { NULL } },
	{ "de", CPUID_1_EDX, 2, { NULL } },
	{ "pse", CPUID_1_EDX, 3, { NULL } },
	{ "tsc", CPUID_1_EDX, 4, { NULL } },
	{ "msr", CPUID_1_EDX, 5, { NULL } },
	{ "pae", CPUID_1_EDX, 6, { NULL } },
	{ "mce", CPUID_1_EDX, 7, { NULL } },
	{ "cx8", CPUID_1_EDX, 8, { NULL } },
	{ "apic", CPUID_1_EDX, 9, { NULL } },
	{ "sep", CPUID_1_EDX, 11, { NULL } },
	{ "mtrr", CPUID_1_EDX, 12, { NULL } },
	{ "pge", CPUID_1_EDX, 13, { NULL } },
	{ "mca", CPUID_1_EDX, 14, { "mce" } },
	{ "cmov", CPUID_1_EDX, 15, { NULL } },
	{ "pat", CPUID_1_EDX, 16, { NULL } },
	{ "pse36", CPUID_1_EDX, 17, { "pse" } },
	{ "clflush", CPUID_1_EDX, 19, { NULL } },
	{ "mmx", CPUID_1_EDX, 23, { "fpu" } },
	{ "fxsr", CPUID_1_EDX, 24, { "fpu" } },
	{ "sse", CPUID_1_EDX, 25, { "fxsr" } },
	{ "sse2", CPUID_1_EDX, 26, { "sse" } },
	{ "ht", CPUID_1_EDX, 28, { NULL } },
	{ "sse3", CPUID_1_ECX, 0, { "sse2" } },
	{ "pclmulqdq", CPUID_1_ECX, 1, { "sse2" } },
	{ "ssse3", CPUID_1_ECX, 9, { "sse3" } },
	{ "sse4.1", CPUID_1_ECX, 19, { "ssse3" } },
	{ "sse4.2", CPUID_1_ECX, 20, { "sse4.1" } },
	{ "x2apic", CPUID_1_ECX, 21, { "apic" } },
	{ "movbe", CPUID_1_ECX, 22, { NULL } },
	{ "popcnt", CPUID_1_ECX, 23, { NULL } },
	{ "tsc-deadline", CPUID_1_ECX, 24, { "tsc", "apic" } },
	{ "aes", CPUID_1_ECX, 25, { "sse2" } },
	{ "xsave", CPUID_1_ECX, 26, { "fxsr" } },
	{ "osxsave", CPUID_1_ECX, 27, { "xsave" } },
	{ "avx", CPUID_1_ECX, 28, { "xsave", "sse4.2" } },
	{ "fma", CPUID_1_ECX, 12, { "avx" } },
	{ "f16c", CPUID_1_ECX, 29, { "avx" } },
	{ "rdrand", CPUID_1_ECX, 30, { NULL } },
	{ "hypervisor", CPUID_1_ECX, 31, { NULL } },
	{ "arat", CPUID_6_EAX, 2, { "apic" } },
	{ "tsc-adjust", CPUID_7_EBX, 1, { "tsc" } },
	{ "bmi1", CPUID_7_EBX, 3, { NULL } },
	{ "avx2", CPUID_7_EBX, 5, { "avx" } },
	{ "smep", CPUID_7_EBX, 7, { NULL } },
	{ "bmi2", CPUID_7_EBX, 8, { NULL } },
	{ "erms", CPUID_7_EBX, 9, { NULL } },
	{ "avx512f", CPUID_7_EBX, 16, { "avx2" } },
	{ "avx512dq", CPUID_7_EBX, 17, { "avx512f" } },
	{ "rdseed", CPUID_7_EBX, 18, { NULL } },
	{ "adx", CPUID_7_EBX, 19, { NULL } },
	{ "smap", CPUID_7_EBX, 20, { NULL } },
	{ "avx512ifma", CPUID_7_EBX, 21, { "avx512f" } },
	{ "clflushopt", CPUID_7_EBX, 23, { NULL } },
	{ "clwb", CPUID_7_EBX, 24, { NULL } },
	{ "avx512cd", CPUID_7_EBX, 28, { "avx512f" } },
	{ "sha", CPUID_7_EBX, 29, { "sse2" } },
	{ "avx512bw", CPUID_7_EBX, 30, { "avx512f" } },
	{ "avx512vl", CPUID_7_EBX, 31, { "avx512f" } },
	{ "avx512vbmi", CPUID_7_ECX, 1, { "avx512bw" } },
	{ "avx512vbmi2", CPUID_7_ECX, 6, { "avx512bw" } },
	{ "gfni", CPUID_7_ECX, 8, { "sse2" } },
	{ "vaes", CPUID_7_ECX, 9, { "avx" } },
	{ "vpclmulqdq", CPUID_7_ECX, 10, { "avx" } },
	{ "avx512vnni", CPUID_7_ECX, 11, { "avx512f" } },
	{ "avx512bitalg", CPUID_7_ECX, 12, { "avx512bw" } },
	{ "avx512-vpopcntdq", CPUID_7_ECX, 14, { "avx512f" } },
	{ "cldemote", CPUID_7_ECX, 25, { NULL } },
	{ "movdiri", CPUID_7_ECX, 27, { NULL } },
	{ "movdir64b", CPUID_7_ECX, 28, { NULL } },
	{ "avx512-4vnniw", CPUID_7_EDX, 2, { "avx512f" } },
	{ "avx512-4fmaps", CPUID_7_EDX, 3, { "avx512f" } },
	{ "fsrm", CPUID_7_EDX, 4, { NULL } },
	{ "avx512-vp2intersect", CPUID_7_EDX, 8, { "avx512f" } },
	{ "serialize", CPUID_7_EDX, 14, { NULL } },
	{ "avx512-fp16", CPUID_7_EDX, 23, { "avx512bw" } },
	{ "avx-vnni", CPUID_7_1_EAX, 4, { "avx2" } },
	{ "avx512-bf16", CPUID_7_1_EAX, 5, { "avx512bw" } },
	{ "xsaveopt", CPUID_D_1_EAX, 0, { "xsave" } },
	{ "xsavec", CPUID_D_1_EAX, 1, { "xsave" } },
	{ "lahf-lm", CPUID_80000001_ECX, 0, { NULL } },
	{ "lzcnt", CPUID_80000001_ECX, 5, { NULL } },
	{ "sse4a", CPUID_80000001_ECX, 6, { "sse3" } },
	{ "misalignsse", CPUID_80000001_ECX, 7, { "sse" } },
	{ "3dnowprefetch", CPUID_80000001_ECX, 8, { NULL } },
	{ "xop", CPUID_80000001_ECX, 11, { "avx" } },
	{ "fma4", CPUID_80000001_ECX, 16, { "avx" } },
	{ "tbm", CPUID_80000001_ECX, 21, { NULL } },
	{ "nx", CPUID_80000001_EDX, 20, { "pae" } },
	{ "mmxext", CPUID_80000001_EDX, 22, { "mmx" } },
	{ "rdtscp", CPUID_80000001_EDX, 27, { "tsc" } },
	{ "3dnow", CPUID_80000001_EDX, 31, { "mmx" } },
	{ "3dnowext", CPUID_80000001_EDX, 30, { "3dnow" } },
	{ "invtsc", CPUID_80000007_EDX, 8, { "tsc" } },
};

#define FEATURES (sizeof(features) / sizeof(features[0]))

static bool is_off(const struct cpuid_mask *m, const struct feature *f)
{
	return m->off[f->word] >> f->bit & 1;
}

/* "SSE4_1" of length @len, against "sse4.1": separators and case aside. */
static bool same_name(const char *text, size_t len, const char *name)
{
	for (;;) {
		while (len && strchr("-_.", *text)) {
			text++;
			len--;
		}
		name += strspn(name, "-_.");
		if (!len || !*name)
			return !len && !*name;
		if (tolower((unsigned char)*text++) != *name++)
			return false;
		len--;
	}
}

static const struct feature *find(const char *text, size_t len)
{
	for (size_t i = 0; i < FEATURES; i++)
		if (same_name(text, len, features[i].name))
			return &features[i];
	return NULL;
}

/* Whatever needs a feature that is off is off too. */
static void close_over(struct cpuid_mask *m)
{
	for (size_t i = 0; i < FEATURES; i++) {
		for (int n = 0; n < 2; n++) {
			const char *need = features[i].needs[n];

			if (need && is_off(m, find(need, strlen(need))))
				m->off[features[i].word] |= 1u << features[i].bit;
		}
	}
}

static int refuse_name(const char *text, size_t len, char *err, size_t size)
{
	size_t used = (size_t)snprintf(err, size, "--cpuid: no feature %.*s; there are ", (int)len,
				       text);

	for (size_t i = 0; i < FEATURES && used < size; i++)
		used += (size_t)snprintf(err + used, size - used, "%s%s", i ? ", " : "",
					 features[i].name);
	return -EINVAL;
}

int cpuid_mask_parse(const char *text, struct cpuid_mask *m, bool *show, char *err, size_t size)
{
	for (;; text++) {
		size_t len = strcspn(text, ",");
		const struct feature *f;

		if (len == 4 && !memcmp(text, "show", 4)) {
			*show = true;
		} else if (*text != '-' || len < 2) {
			snprintf(err, size,
				 "--cpuid %.*s: write -NAME to take a feature away, or show",
				 (int)len, text);
			return -EINVAL;
		} else {
			f = find(text + 1, len - 1);
			if (!f)
				return refuse_name(text + 1, len - 1, err, size);
			m->off[f->word] |= 1u << f->bit;
		}
		text += len;
		if (!*text)
			break;
	}
	close_over(m);
	return 0;
}

void cpuid_mask_apply(const struct cpuid_mask *m, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	for (int w = 0; w < CPUID_WORDS; w++)
		if (words[w].leaf == leaf &&
		    (words[w].subleaf == subleaf || (leaf != 7 && leaf != 0xd)))
			out[words[w].reg] &= ~m->off[w];
	if (leaf == 0x80000001)
		out[3] &= ~(m->off[CPUID_1_EDX] & EDX_REPEATED);
}

uint64_t cpuid_mask_xcr0(const struct cpuid_mask *m)
{
	if (m->off[CPUID_1_ECX] >> 26 & 1)
		return 0;
	if (m->off[CPUID_1_ECX] >> 28 & 1)
		return 0x3;
	return m->off[CPUID_7_EBX] >> 16 & 1 ? 0x7 : ~0ull;
}

const char *cpuid_feature_name(enum cpuid_word word, unsigned bit)
{
	for (size_t i = 0; i < FEATURES; i++)
		if (features[i].word == word && features[i].bit == bit)
			return features[i].name;
	return NULL;
}

void cpuid_word_at(enum cpuid_word word, uint32_t *leaf, uint32_t *subleaf, unsigned *reg)
{
	*leaf = words[word].leaf;
	*subleaf = words[word].subleaf;
	*reg = words[word].reg;
}
