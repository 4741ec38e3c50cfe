/* SPDX-License-Identifier: MIT */
/*
 * A second opinion on paging: the translation as the manual's tables describe it, for the tests of
 * vmm/mmu.c.  It knows nothing of the VMM: RAM is bytes, registers are numbers, and it only says
 * what ought to happen.
 */
#ifndef RINGSIDE_TESTS_MMU_MODEL_H
#define RINGSIDE_TESTS_MMU_MODEL_H

#include <stdbool.h>
#include <stdint.h>

/* What paging depends on. */
struct model_cpu {
	bool pae, pse, wp, nxe, pge;
	uint32_t cr3;
	uint64_t pdpte[4];
	const uint8_t *ram;
	uint64_t ram_len;
};

enum model_kind { MODEL_READ, MODEL_WRITE, MODEL_FETCH };

struct model_result {
	bool fault;
	uint32_t code;     /* #PF error code, if fault */
	uint64_t gpa;      /* the rest is valid if not fault */
	uint32_t page_len; /* bytes */
	bool writable, user, nx, dirty, global;
	/* Entries read, from the top: where, how many, and what each is afterwards. */
	unsigned levels, entry_len;
	uint64_t entry_gpa[2], entry[2];
};

void model_walk(const struct model_cpu *c, uint32_t gva, bool user, enum model_kind kind,
		struct model_result *r);

/* Is bit @bit of an entry reserved?  @what: one of the names in mmu_model.c's formats. */
bool model_reserved(const char *what, bool nxe, unsigned bit);

#endif
