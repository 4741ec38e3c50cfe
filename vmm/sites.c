/* SPDX-License-Identifier: MIT */
/* Counts by where in the guest something happened. */
#include "vmm/sites.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stdlib.h>

#include "vmm/symbols.h"

#define SITES_START  256u    /* slots; powers of two */
#define SITES_MAX    0x8000u /* a guest can make up as many places as it likes */
#define ROWS_SHOWN   20u     /* in the table; JSON has them all */
#define CAUSES_SHOWN 4u      /* of one row */

static struct site *find_slot(struct site *slot, size_t room, uint32_t eip, uint16_t cause)
{
	size_t i = ((uint64_t)(eip ^ (uint32_t)cause << 20) * 0x9e3779b97f4a7c15u >> 32) &
		   (room - 1);

	while (slot[i].count && (slot[i].eip != eip || slot[i].cause != cause))
		i = (i + 1) & (room - 1);
	return &slot[i];
}

/* At most three quarters full, so that probes stay short. */
static bool make_room(struct sites *s)
{
	size_t room = s->room ? 2 * s->room : SITES_START;
	struct site *slot;

	if (s->used < s->room / 4 * 3)
		return true;
	slot = room <= SITES_MAX ? calloc(room, sizeof(*slot)) : NULL;
	if (!slot)
		return false;
	for (size_t i = 0; i < s->room; i++)
		if (s->slot[i].count)
			*find_slot(slot, room, s->slot[i].eip, s->slot[i].cause) = s->slot[i];
	free(s->slot);
	s->slot = slot;
	s->room = room;
	return true;
}

void sites_add(struct sites *s, uint32_t eip, uint16_t cause, uint64_t count)
{
	struct site *p = s->room ? find_slot(s->slot, s->room, eip, cause) : NULL;

	if (!p || !p->count) {
		if (!make_room(s)) {
			s->lost += count;
			return;
		}
		p = find_slot(s->slot, s->room, eip, cause);
		p->eip = eip;
		p->cause = cause;
		s->used++;
	}
	p->count += count;
}

void sites_merge(struct sites *to, const struct sites *from)
{
	to->lost += from->lost;
	for (size_t i = 0; i < from->room; i++)
		if (from->slot[i].count)
			sites_add(to, from->slot[i].eip, from->slot[i].cause, from->slot[i].count);
}

void sites_free(struct sites *s)
{
	free(s->slot);
	*s = (struct sites){ 0 };
}

/* ---- by symbol ---- */

/* One cause in one symbol, or in none (NULL). */
struct item {
	const char *symbol;
	uint16_t cause;
	uint64_t count, total; /* total: of all its symbol's */
};

/* The same symbol's together, then the same cause's. */
static int by_symbol(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->symbol != y->symbol)
		return (uintptr_t)x->symbol < (uintptr_t)y->symbol ? -1 : 1;
	return (int)x->cause - (int)y->cause;
}

/* The busiest symbol first, and its most frequent cause first. */
static int by_total(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->total != y->total)
		return x->total < y->total ? 1 : -1;
	if (x->symbol != y->symbol)
		return (uintptr_t)x->symbol < (uintptr_t)y->symbol ? -1 : 1;
	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return (int)x->cause - (int)y->cause;
}

/* All of @s in @item[] with room for s->used; returns how many. */
static size_t collect(const struct sites *s, const struct symbols *syms, struct item *item)
{
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < s->room; i++)
		if (s->slot[i].count)
			item[n++] = (struct item){ symbols_find(syms, s->slot[i].eip, NULL),
						   s->slot[i].cause, s->slot[i].count, 0 };
	qsort(item, n, sizeof(*item), by_symbol);
	for (size_t i = 0; i < n; i++) {
		if (kept && !by_symbol(&item[kept - 1], &item[i]))
			item[kept - 1].count += item[i].count;
		else
			item[kept++] = item[i];
	}
	for (size_t i = 0, end; i < kept; i = end) {
		uint64_t total = 0;

		for (end = i; end < kept && item[end].symbol == item[i].symbol; end++)
			total += item[end].count;
		while (i < end)
			item[i++].total = total;
	}
	qsort(item, kept, sizeof(*item), by_total);
	return kept;
}

/* No escape sequence of a hostile image reaches the terminal. */
static const char *plain(const char *name, char buf[81])
{
	if (!name)
		return "(no symbol)";
	snprintf(buf, 81, "%.80s", name);
	for (char *c = buf; *c; c++)
		if (*c <= ' ' || *c > '~')
			*c = '?';
	return buf;
}

/* One symbol's line; @n items are its own. */
static void print_row(const struct item *item, size_t n, const struct sites_style *style, FILE *f)
{
	uint64_t all = style->total;
	char name[81], cause[64];

	fprintf(f, "  %-28.28s %10llu %5.1f %% ", plain(item->symbol, name),
		(unsigned long long)item->total,
		all ? 100.0 * (double)item->total / (double)all : 0.0);
	for (size_t k = 0; k < n && k < CAUSES_SHOWN; k++)
		fprintf(f, "%s%s %llu", k ? ", " : " ",
			style->name(style->arg, item[k].cause, cause, sizeof(cause)),
			(unsigned long long)item[k].count);
	fputs(n > CAUSES_SHOWN ? ", ...\n" : "\n", f);
}

static size_t row_len(const struct item *item, size_t left)
{
	size_t n = 1;

	while (n < left && item[n].symbol == item->symbol)
		n++;
	return n;
}

void sites_print(const struct sites *s, const struct sites_style *style, FILE *f)
{
	struct item *item = calloc(s->used + 1, sizeof(*item));
	size_t n = item ? collect(s, style->symbols, item) : 0, rows = 0;

	if (n && style->symbols)
		fprintf(f, "  %-28s %10s %7s  %s\n", style->title, "count", "share", "causes");
	for (size_t i = 0, len; i < n && style->symbols; i += len, rows++) {
		len = row_len(&item[i], n - i);
		if (rows < ROWS_SHOWN)
			print_row(&item[i], len, style, f);
	}
	if (rows > ROWS_SHOWN)
		fprintf(f, "  and %zu more symbols\n", rows - ROWS_SHOWN);
	if (s->lost)
		fprintf(f, "  %llu %s at more places than are remembered\n",
			(unsigned long long)s->lost, style->what);
	free(item);
}

struct json_object *sites_json(const struct sites *s, const struct sites_style *style)
{
	struct item *item = calloc(s->used + 1, sizeof(*item));
	struct json_object *list = json_object_new_array();
	size_t n = item ? collect(s, style->symbols, item) : 0;
	char name[81], cause[64];

	for (size_t i = 0, len; i < n; i += len) {
		struct json_object *row = json_object_new_object(), *causes;

		len = row_len(&item[i], n - i);
		causes = json_object_new_object();
		for (size_t k = i; k < i + len; k++)
			json_object_object_add(
				causes,
				style->name(style->arg, item[k].cause, cause, sizeof(cause)),
				json_object_new_uint64(item[k].count));
		json_object_object_add(row, "symbol",
				       item[i].symbol
					       ? json_object_new_string(plain(item[i].symbol, name))
					       : NULL);
		json_object_object_add(row, "count", json_object_new_uint64(item[i].total));
		json_object_object_add(row, "causes", causes);
		json_object_array_add(list, row);
	}
	free(item);
	return list;
}
