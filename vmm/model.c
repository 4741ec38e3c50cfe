/* SPDX-License-Identifier: MIT */
/* From counts and answers to numbers of exits; and the RAM that the guest touched. */
#include "vmm/model.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm/account.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

/* ---- RAM ---- */

#define CHUNK  (2u << 20) /* a large page of EPT and NPT */
#define CHUNKS (VM_RAM_MAX / CHUNK)

struct model_ram {
	bool known;             /* the host could tell */
	uint16_t pages[CHUNKS]; /* 4 KiB pages in each chunk, 0-512 */
};

/*
 * Which pages of the RAM memfd have memory: those that were ever touched, by the guest or for it.
 * Holes are what the file system says they are (lseek(2)).  Returns 0 or negative errno.
 */
static int ram_look(const struct vm *vm, struct model_ram *out)
{
	off_t len = (off_t)vm->ram_len;

	if (vm->ram_fd < 0)
		return -ENOENT;
	for (off_t at = 0; at < len;) {
		off_t data = lseek(vm->ram_fd, at, SEEK_DATA), hole;

		if (data < 0 && errno != ENXIO)
			return -errno;
		if (data < 0 || data >= len)
			break;
		hole = lseek(vm->ram_fd, data, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		for (at = data; at < hole && at < len; at += PAGE_SIZE)
			out->pages[at / CHUNK]++;
	}
	return 0;
}

void model_ram_start(struct vm *vm)
{
	if (vm->model_ram)
		return;
	vm->model_ram = calloc(1, sizeof(*vm->model_ram));
	if (vm->model_ram)
		vm->model_ram->known = !ram_look(vm, vm->model_ram);
}

void model_pages(const struct vm *vm, struct model_pages *out)
{
	struct model_ram *now = calloc(1, sizeof(*now));

	*out = (struct model_pages){ 0 };
	if (now && vm->model_ram && vm->model_ram->known && !ram_look(vm, now)) {
		out->known = true;
		for (unsigned i = 0; i < CHUNKS; i++) {
			out->before += vm->model_ram->pages[i];
			out->after += now->pages[i];
			out->chunks += now->pages[i] > vm->model_ram->pages[i];
		}
	}
	free(now);
}

/* ---- exits ---- */

static struct model_range by_pages(const struct model *m, bool open)
{
	/* It cannot run without touching one page. */
	struct model_range r = { m->pages.chunks ? m->pages.chunks : 1, MODEL_UNKNOWN };

	if (m->pages.known && !open)
		r.max = m->pages.after;
	return r;
}

static struct model_range apply(const struct model *m, enum model_verdict v, uint64_t n)
{
	switch (v) {
	case MODEL_NO: return (struct model_range){ 0, 0 };
	case MODEL_YES: return (struct model_range){ n, n };
	case MODEL_MAYBE: return (struct model_range){ 0, n };
	case MODEL_TWICE: return (struct model_range){ n, 2 * n };
	case MODEL_FIRST: return (struct model_range){ n != 0, n };
	default: return by_pages(m, v == MODEL_OPEN);
	}
}

/* Of all that share a first time, only one has it: of the accesses to debug registers, say. */
static bool had_first(const struct model *m, enum model_event event)
{
	for (size_t i = 0; i < m->rows; i++)
		if (m->row[i].event == event)
			return true;
	return false;
}

/* A table of one row for each event and cause would be mostly empty, so rows come as needed. */
static int add_row(struct model *m, unsigned cause, enum model_event event, uint64_t count)
{
	const struct model_answer *a = model_answer(event);
	bool first = !had_first(m, event);
	struct model_row *row;

	if (m->rows % 16 == 0) {
		row = realloc(m->row, (m->rows + 16) * sizeof(*row));
		if (!row)
			return -ENOMEM;
		m->row = row;
	}
	row = &m->row[m->rows++];
	*row = (struct model_row){ .cause = cause, .event = event, .count = count };
	for (unsigned c = 0; c < MODEL_CONFIGS; c++) {
		struct model_range *sum = &m->total[c];
		struct model_range r = apply(m, a->verdict[c], count);

		if (a->verdict[c] == MODEL_FIRST && !first)
			r.min = 0;
		row->exits[c] = r;
		sum->min += r.min;
		if (sum->max != MODEL_UNKNOWN)
			sum->max = r.max == MODEL_UNKNOWN ? MODEL_UNKNOWN : sum->max + r.max;
	}
	return 0;
}

static uint64_t sum_events(const struct vm *vm, unsigned cause, enum model_event event)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < vm->vcpus; i++)
		if (vm->vcpu[i] && vm->vcpu[i]->account)
			n += model_count(account_model(vm->vcpu[i]->account), cause, event);
	return n;
}

static uint64_t sum_exits(const struct vm *vm, unsigned cause)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < vm->vcpus; i++)
		if (vm->vcpu[i])
			n += account_count(vm->vcpu[i]->account, cause);
	return n;
}

/* One cause, by its events.  What the account has beyond them, nobody classified. */
static int add_cause(struct model *m, const struct vm *vm, unsigned cause)
{
	uint64_t exits = sum_exits(vm, cause), seen = 0, n;
	int err = 0;

	m->world += exits;
	for (unsigned e = EV_NONE + 1; e < EV_COUNT && !err; e++) {
		n = sum_events(vm, cause, e);
		seen += n;
		if (n)
			err = add_row(m, cause, e, n);
	}
	if (!err && exits > seen)
		err = add_row(m, cause, EV_NONE, exits - seen);
	return err;
}

static int by_count(const void *x, const void *y)
{
	const struct model_row *a = x, *b = y;
	bool a_extra = a->cause == CAUSE_COUNT, b_extra = b->cause == CAUSE_COUNT;

	if (a_extra != b_extra)
		return a_extra ? 1 : -1;
	if (a->count != b->count && !a_extra)
		return a->count < b->count ? 1 : -1;
	if (a->cause != b->cause)
		return a->cause < b->cause ? -1 : 1;
	return a->event < b->event ? -1 : 1;
}

struct model *model_compute(const struct vm *vm)
{
	struct model *m = calloc(1, sizeof(*m));
	int err = 0;

	if (!m)
		return NULL;
	model_pages(vm, &m->pages);
	for (unsigned cause = 0; cause <= CAUSE_COUNT && !err; cause++)
		err = add_cause(m, vm, cause);
	if (!err)
		err = add_row(m, CAUSE_COUNT, EV_RAM, m->pages.after);
	if (err) {
		model_free(m);
		return NULL;
	}
	qsort(m->row, m->rows, sizeof(*m->row), by_count);
	return m;
}

void model_free(struct model *m)
{
	if (m)
		free(m->row);
	free(m);
}
