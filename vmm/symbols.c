/* SPDX-License-Identifier: MIT */
#include "vmm/symbols.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct symbol {
	uint32_t addr, size;
	uint32_t order; /* of adding: the first of several at one address wins */
	char *name;
	bool function;
	uint64_t reach; /* the furthest end of this and all before it, exclusive */
};

#define PAGE 4096u

struct range {
	uint32_t addr, size, gpa;
	enum symbols_kind kind;
};

struct symbols {
	struct symbol *sym;
	size_t count, room;
	struct range *range;
	size_t ranges;
};

struct symbols *symbols_new(void)
{
	return calloc(1, sizeof(struct symbols));
}

int symbols_add(struct symbols *s, uint32_t addr, uint32_t size, const char *name)
{
	struct symbol *grown;
	char *copy;

	if (s->count == s->room) {
		size_t room = s->room ? 2 * s->room : 64;
		grown = reallocarray(s->sym, room, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		s->sym = grown;
		s->room = room;
	}
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	s->sym[s->count] = (struct symbol){
		.addr = addr, .size = size, .order = (uint32_t)s->count, .name = copy
	};
	s->count++;
	return 0;
}

void symbols_set_function(struct symbols *s)
{
	if (s->count)
		s->sym[s->count - 1].function = true;
}

bool symbols_is_function(const struct symbols *s, size_t i)
{
	return s && i < s->count && s->sym[i].function;
}

int symbols_add_range(struct symbols *s, uint32_t addr, uint32_t size, uint32_t gpa,
		      enum symbols_kind kind)
{
	struct range *grown = reallocarray(s->range, s->ranges + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	s->range = grown;
	s->range[s->ranges++] = (struct range){ addr, size, gpa, kind };
	return 0;
}

enum symbols_kind symbols_range(const struct symbols *s, uint32_t addr)
{
	for (size_t i = 0; s && i < s->ranges; i++)
		if (addr - s->range[i].addr < s->range[i].size)
			return s->range[i].kind;
	return SYMBOLS_UNKNOWN;
}

bool symbols_code_page(const struct symbols *s, uint32_t gpa, uint32_t *addr)
{
	for (size_t i = 0; s && i < s->ranges; i++) {
		const struct range *r = &s->range[i];

		if (r->kind == SYMBOLS_CODE && (r->gpa - gpa < PAGE || gpa - r->gpa < r->size)) {
			*addr = gpa - r->gpa + r->addr;
			return true;
		}
	}
	return false;
}

/* By address; at one address those with a size first, the largest leading. */
static int compare(const void *pa, const void *pb)
{
	const struct symbol *a = pa, *b = pb;
	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	if (a->size != b->size)
		return a->size > b->size ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

void symbols_finish(struct symbols *s)
{
	uint64_t reach = 0, next = (uint64_t)UINT32_MAX + 1;

	if (!s->count)
		return;
	qsort(s->sym, s->count, sizeof(*s->sym), compare);
	/* A symbol without a size reaches up to the next one at another address. */
	for (size_t i = s->count; i-- > 0;) {
		struct symbol *y = &s->sym[i];
		if (i + 1 < s->count && s->sym[i + 1].addr != y->addr)
			next = s->sym[i + 1].addr;
		y->reach = y->size ? (uint64_t)y->addr + y->size : next;
		if (!y->size && next - y->addr <= UINT32_MAX)
			y->size = (uint32_t)(next - y->addr);
	}
	for (size_t i = 0; i < s->count; i++) {
		if (s->sym[i].reach > reach)
			reach = s->sym[i].reach;
		s->sym[i].reach = reach;
	}
}

/* @addr is not below @y.  Size 0 is left only on a symbol that reaches over all 4 GiB. */
static bool holds(const struct symbol *y, uint32_t addr)
{
	return !y->size || addr - y->addr < y->size;
}

const char *symbols_find(const struct symbols *s, uint32_t addr, uint32_t *off)
{
	size_t lo = 0, hi;

	if (!s)
		return NULL;
	/* The number of symbols at or below addr. */
	for (hi = s->count; lo < hi;) {
		size_t mid = lo + (hi - lo) / 2;
		if (s->sym[mid].addr <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	/* The innermost that holds it: walk back while some earlier one reaches this far. */
	while (lo > 0 && s->sym[lo - 1].reach > addr) {
		const struct symbol *y = &s->sym[--lo];
		if (!holds(y, addr))
			continue;
		while (y > s->sym && y[-1].addr == y->addr && holds(y - 1, addr))
			y--; /* the best of several names */
		if (off)
			*off = addr - y->addr;
		return y->name;
	}
	return NULL;
}

int symbols_lookup(const struct symbols *s, const char *name, uint32_t *addr)
{
	if (!s)
		return -ENOENT;
	for (size_t i = 0; i < s->count; i++) {
		if (!strcmp(s->sym[i].name, name)) {
			*addr = s->sym[i].addr;
			return 0;
		}
	}
	return -ENOENT;
}

size_t symbols_count(const struct symbols *s)
{
	return s ? s->count : 0;
}

const char *symbols_get(const struct symbols *s, size_t i, uint32_t *addr, uint32_t *size)
{
	if (!s || i >= s->count)
		return NULL;
	if (addr)
		*addr = s->sym[i].addr;
	if (size)
		*size = s->sym[i].size;
	return s->sym[i].name;
}

void symbols_free(struct symbols *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->count; i++)
		free(s->sym[i].name);
	free(s->sym);
	free(s->range);
	free(s);
}
