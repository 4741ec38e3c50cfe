/* SPDX-License-Identifier: MIT */
/*
 * The model: entry formats and access rights as tables, copied from Intel SDM Vol. 3A, "Paging"
 * (4), for MAXPHYADDR = 36, with PAT, PSE-36 and NX, without SMEP, SMAP and protection keys.
 */
#include "tests/mmu_model.h"

#include <string.h>

/* Bits hi:lo of an entry; as an address, they are physical bits from @to upwards. */
struct field {
	int hi, lo, to;
};

#define END                \
	{                  \
		-1, -1, -1 \
	}

/* One row for each kind of entry. */
static const struct format {
	const char *what;
	unsigned page_bits; /* log2 of the page it maps; 0: it refers to a table */
	unsigned len;       /* bytes of an entry */
	struct field addr[3];
	struct field rsvd[4];
} formats[] = {
	/* Table 4-5: 32-bit PDE that references a page table. */
	{ "pde32", 0, 4, { { 31, 12, 12 }, END }, { END } },
	/* Table 4-4: 32-bit PDE that maps a 4-MByte page. */
	{ "pse32", 22, 4, { { 31, 22, 22 }, { 16, 13, 32 }, END }, { { 21, 17, 0 }, END } },
	/* Table 4-6: 32-bit PTE. */
	{ "pte32", 12, 4, { { 31, 12, 12 }, END }, { END } },
	/* Table 4-10: PAE PDE that references a page table.  Bit 63 is XD, or reserved. */
	{ "pdepae", 0, 8, { { 35, 12, 12 }, END }, { { 62, 36, 0 }, END } },
	/* Table 4-9: PAE PDE that maps a 2-MByte page. */
	{ "psepae", 21, 8, { { 35, 21, 21 }, END }, { { 62, 36, 0 }, { 20, 13, 0 }, END } },
	/* Table 4-11: PAE PTE. */
	{ "ptepae", 12, 8, { { 35, 12, 12 }, END }, { { 62, 36, 0 }, END } },
	/* Table 4-8: PAE PDPTE; bit 63 is never XD. */
	{ "pdpte",
	  0,
	  8,
	  { { 35, 12, 12 }, END },
	  { { 63, 36, 0 }, { 8, 5, 0 }, { 2, 1, 0 }, END } },
};

/* SDM Vol. 3A, "Determination of Access Rights" (4.6.1): what all entries must have. */
enum { ALL_RW = 1, ALL_US = 2, NO_XD = 4 };
static const struct {
	bool user;
	enum model_kind kind;
	bool wp;
	unsigned need;
} rights[] = {
	{ false, MODEL_READ, false, 0 },
	{ false, MODEL_READ, true, 0 },
	{ false, MODEL_WRITE, false, 0 },
	{ false, MODEL_WRITE, true, ALL_RW },
	{ false, MODEL_FETCH, false, NO_XD },
	{ false, MODEL_FETCH, true, NO_XD },
	{ true, MODEL_READ, false, ALL_US },
	{ true, MODEL_READ, true, ALL_US },
	{ true, MODEL_WRITE, false, ALL_US | ALL_RW },
	{ true, MODEL_WRITE, true, ALL_US | ALL_RW },
	{ true, MODEL_FETCH, false, ALL_US | NO_XD },
	{ true, MODEL_FETCH, true, ALL_US | NO_XD },
};

static const struct format *format(const char *what)
{
	for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (!strcmp(formats[i].what, what))
			return &formats[i];
	return NULL;
}

static uint64_t bits(uint64_t val, int hi, int lo)
{
	uint64_t out = 0;

	for (int b = hi; b >= lo; b--)
		out = out << 1 | (val >> b & 1);
	return out;
}

static bool reserved(const struct format *f, bool nxe, unsigned bit)
{
	for (const struct field *r = f->rsvd; r->hi >= 0; r++)
		if ((int)bit <= r->hi && (int)bit >= r->lo)
			return true;
	return bit == 63 && f->len == 8 && !nxe;
}

bool model_reserved(const char *what, bool nxe, unsigned bit)
{
	return reserved(format(what), nxe, bit);
}

static bool any_reserved(const struct format *f, bool nxe, uint64_t entry)
{
	for (unsigned bit = 0; bit < f->len * 8; bit++)
		if ((entry >> bit & 1) && reserved(f, nxe, bit))
			return true;
	return false;
}

static uint64_t address(const struct format *f, uint64_t entry)
{
	uint64_t addr = 0;

	for (const struct field *a = f->addr; a->hi >= 0; a++)
		addr |= bits(entry, a->hi, a->lo) << a->to;
	return addr;
}

static uint64_t entry_at(const struct model_cpu *c, uint64_t gpa, unsigned len)
{
	uint64_t val = 0;

	if (gpa + len > c->ram_len)
		return 0;
	for (unsigned i = 0; i < len; i++)
		val |= (uint64_t)c->ram[gpa + i] << 8 * i;
	return val;
}

static unsigned needed(bool user, enum model_kind kind, bool wp)
{
	for (unsigned i = 0; i < sizeof(rights) / sizeof(rights[0]); i++)
		if (rights[i].user == user && rights[i].kind == kind && rights[i].wp == wp)
			return rights[i].need;
	return ~0u;
}

/* SDM Vol. 3A, figure 4-12: the error code. */
static void fault(struct model_result *r, const struct model_cpu *c, bool user,
		  enum model_kind kind, bool p, bool rsvd)
{
	r->fault = true;
	r->code = 0;
	if (p)
		r->code += 1;
	if (kind == MODEL_WRITE)
		r->code += 2;
	if (user)
		r->code += 4;
	if (rsvd)
		r->code += 8;
	if (kind == MODEL_FETCH && c->pae && c->nxe)
		r->code += 16;
}

void model_walk(const struct model_cpu *c, uint32_t gva, bool user, enum model_kind kind,
		struct model_result *r)
{
	uint64_t table, rw = 1, us = 1, xd = 0;
	const struct format *f = NULL;
	unsigned need, last;

	memset(r, 0, sizeof(*r));
	r->entry_len = c->pae ? 8 : 4;
	if (c->pae) {
		uint64_t pdpte = c->pdpte[bits(gva, 31, 30)];

		if (!bits(pdpte, 0, 0)) {
			fault(r, c, user, kind, false, false);
			return;
		}
		table = address(format("pdpte"), pdpte);
	} else {
		table = bits(c->cr3, 31, 12) << 12;
	}
	for (unsigned level = 0; level < 2; level++) {
		uint64_t index, e;

		if (c->pae)
			index = level == 0 ? bits(gva, 29, 21) : bits(gva, 20, 12);
		else
			index = level == 0 ? bits(gva, 31, 22) : bits(gva, 21, 12);
		r->entry_gpa[level] = table + index * r->entry_len;
		e = r->entry[level] = entry_at(c, r->entry_gpa[level], r->entry_len);
		r->levels = level + 1;
		if (!bits(e, 0, 0)) {
			fault(r, c, user, kind, false, false);
			return;
		}
		if (level == 1)
			f = format(c->pae ? "ptepae" : "pte32");
		else if (bits(e, 7, 7) && (c->pae || c->pse))
			f = format(c->pae ? "psepae" : "pse32");
		else
			f = format(c->pae ? "pdepae" : "pde32");
		if (any_reserved(f, c->nxe, e)) {
			fault(r, c, user, kind, true, true);
			return;
		}
		rw &= bits(e, 1, 1);
		us &= bits(e, 2, 2);
		if (c->pae && c->nxe)
			xd |= bits(e, 63, 63);
		table = address(f, e);
		if (f->page_bits)
			break;
	}
	need = needed(user, kind, c->wp);
	if (((need & ALL_RW) && !rw) || ((need & ALL_US) && !us) || ((need & NO_XD) && xd)) {
		fault(r, c, user, kind, true, false);
		return;
	}
	/* 4.8: A in every entry used, D in the one that maps the page. */
	last = r->levels - 1;
	for (unsigned i = 0; i <= last; i++)
		r->entry[i] |= 1u << 5;
	if (kind == MODEL_WRITE)
		r->entry[last] |= 1u << 6;
	if (last == 1 && r->entry_gpa[0] == r->entry_gpa[1])
		r->entry[0] = r->entry[1];
	r->page_len = 1u << f->page_bits;
	r->gpa = table + bits(gva, (int)f->page_bits - 1, 0);
	r->writable = rw;
	r->user = us;
	r->nx = xd;
	r->dirty = bits(r->entry[last], 6, 6);
	r->global = c->pge && bits(r->entry[last], 8, 8);
}
