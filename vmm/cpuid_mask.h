/* SPDX-License-Identifier: MIT */
/*
 * CPUID features by name, and those that the user took away (--cpuid -sse2,-avx): one table of
 * names, for parsing, for printing and for the policy in vmm/emu/cpuid.c.
 */
#ifndef RINGSIDE_VMM_CPUID_MASK_H
#define RINGSIDE_VMM_CPUID_MASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The registers of CPUID that hold feature bits. */
enum cpuid_word {
	CPUID_1_ECX,
	CPUID_1_EDX,
	CPUID_6_EAX,
	CPUID_7_EBX,
	CPUID_7_ECX,
	CPUID_7_EDX,
	CPUID_7_1_EAX,
	CPUID_D_1_EAX,
	CPUID_80000001_ECX,
	CPUID_80000001_EDX,
	CPUID_80000007_EDX,
	CPUID_WORDS
};

/* Features that are not offered though they could be; all zero: nothing was taken away. */
struct cpuid_mask {
	uint32_t off[CPUID_WORDS];
};

/*
 * Parse "-sse2,-avx" and "show" (@show becomes true), separated by commas; adds to @m.  A feature
 * takes with it what is built on it: without sse2 there is no avx.  Case does not matter, nor do
 * '.', '_' and '-' within a name.
 * Returns 0, or -EINVAL with one sentence in @err.
 */
int cpuid_mask_parse(const char *text, struct cpuid_mask *m, bool *show, char *err, size_t size);

/* Take the features of @m away from the answer @out (eax ebx ecx edx) to @leaf, @subleaf. */
void cpuid_mask_apply(const struct cpuid_mask *m, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

/* The XSAVE state components that the features left by @m may have. */
uint64_t cpuid_mask_xcr0(const struct cpuid_mask *m);

/* Name of the feature at @bit of @word; NULL: it has none. */
const char *cpuid_feature_name(enum cpuid_word word, unsigned bit);
/* Leaf, subleaf and register (0-3: eax ebx ecx edx) of @word. */
void cpuid_word_at(enum cpuid_word word, uint32_t *leaf, uint32_t *subleaf, unsigned *reg);

/* cpuid_cmd.c: what a guest started with @m sees.  Returns 0 or negative errno. */
int cpuid_print(const struct cpuid_mask *m, bool json, FILE *f);
/* The command `ringside cpuid`; an exit status. */
int cpuid_main(int argc, char **argv);

#endif
