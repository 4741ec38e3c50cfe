/* SPDX-License-Identifier: MIT */
/* The shadow MMU: what shadow*.c share.  All under vm->mmu_lock. */
#ifndef RINGSIDE_VMM_SHADOW_PRIV_H
#define RINGSIDE_VMM_SHADOW_PRIV_H

#include "vmm/engine.h"
#include "vmm/shadow.h"
#include "vmm/shadow_view.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define CHUNK_SHIFT 21 /* a chunk is 2 MiB: one PAE page table, half of a 2-level one */
#define CHUNKS      (1u << (32 - CHUNK_SHIFT))
#define CHUNK_PAGES 512u
#define NONE        0u /* index of no mapping */

/* One page mapped in the world of a space. */
struct mapping {
	uint32_t next, prev; /* of the same guest page: the reverse map; prev NONE: head */
	uint32_t gfn;
	uint32_t gva; /* page address */
	struct space *sp;
	uint8_t prot; /* MAP_* */
	bool copy;    /* a shadow code page's copy, not the page itself */
};

/* 2 MiB of a space: its mappings and the table entries they were made from. */
struct chunk {
	gpa_t pde_gpa;
	uint64_t pde;
	gpa_t pt_gpa; /* of the entry of the chunk's first page */
	bool large;   /* there is no page table: the directory entry maps a large page */
	unsigned pages;
	uint32_t map[CHUNK_PAGES];         /* indices of struct mapping */
	uint8_t snapshot[CHUNK_PAGES * 8]; /* page-table entries, as they were at the fill */
};

struct space {
	struct space *next; /* of the VM */
	struct vcpu *v;
	struct engine *engine;
	uint32_t root; /* CR3, without its flag bits */
	uint32_t mode; /* the bits that change what entries mean, MODE_* */
	bool user;     /* user view */
	uint32_t gen;  /* v->tlb_gen at the last validation */
	uint64_t last_used;
	uint64_t pdpte[4];
	unsigned pages;
	bool behind; /* changed by another vCPU, world not told yet */
	struct chunk *chunk[CHUNKS];
	uint16_t used[CHUNKS]; /* indices of the chunks that exist */
	unsigned used_count;
};

#define MODE_PG  1u
#define MODE_PAE 2u
#define MODE_PSE 4u
#define MODE_NXE 8u
#define MODE_WP  16u

struct shadow_mmu {
	struct vm *vm;
	struct space *spaces;
	struct mapping *pool;
	uint32_t pool_len, pool_room, pool_free; /* free list through next */
	uint32_t *head;                          /* by gfn: first mapping of the page */
	uint64_t clock;
	struct space *current[VM_VCPUS_MAX];
	struct shadow_stats st;
	uint8_t fpu[65536];
};

static inline struct shadow_mmu *shadow_of(const struct vcpu *v)
{
	return v->vm->shadow;
}

static inline struct space *shadow_space(const struct vcpu *v)
{
	return shadow_of(v)->current[v->id];
}

static inline struct view shadow_view(const struct space *sp)
{
	return (struct view){ .root = sp->root, .user = sp->user, .wp = sp->mode & MODE_WP };
}

/* Bytes of a page-table entry. */
static inline unsigned shadow_entry_len(const struct space *sp)
{
	return sp->mode & MODE_PAE ? 8 : 4;
}

/* ---- shadow_map.c; each returns 0 or negative errno ---- */

/* Unmap mapping @i from its world and forget it. */
int shadow_unmap(struct shadow_mmu *m, uint32_t i);
/* Forget the mappings of @c, not touching the world. */
void shadow_chunk_clear(struct shadow_mmu *m, struct chunk *c);
/* Empty the space, world included. */
int shadow_space_clear(struct shadow_mmu *m, struct space *sp);
/* Unmap the whole chunk from the world. */
int shadow_chunk_drop(struct shadow_mmu *m, struct space *sp, unsigned index);
/* Empty the space if it nears the host's limit of mappings. */
int shadow_make_room(struct shadow_mmu *m, struct space *sp);
/* Remember the entries behind @leaf in the chunk of @gva.  NULL: out of memory. */
struct chunk *shadow_note(struct shadow_mmu *m, struct space *sp, gva_t gva,
			  const struct mmu_leaf *leaf);
/* Map @n pages from @gva on to what engine->map() knows as @gpa, and remember each. */
int shadow_map_run(struct shadow_mmu *m, struct space *sp, gva_t gva, gpa_t gpa, uint32_t gfn,
		   unsigned n, unsigned prot, bool copy);

/* ---- shadow_flush.c ---- */

/* After a flush: unmap what the guest's tables do not say any more. */
int shadow_space_validate(struct shadow_mmu *m, struct space *sp);

/* ---- shadow_code.c ---- */

/* Does @sp, without paging, map all of RAM? */
bool shadow_is_flat(const struct space *sp);

#endif
