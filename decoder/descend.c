/* SPDX-License-Identifier: MIT */
/* Recursive descent over one page of code. */
#include <string.h>

#include "decoder/descend.h"
#include "decoder/insn.h"
#include "decoder/sensitive.h"

struct descent {
	const struct scan_input *in;
	struct scan_result *out;
	uint8_t len[SCAN_PAGE];   /* of the instruction that starts there */
	uint16_t todo[SCAN_PAGE]; /* offsets still to be visited, each at most once */
	scan_bitmap queued;
	unsigned todo_count;
};

static void push(struct descent *d, unsigned off)
{
	if (scan_test(d->queued, off))
		return;
	scan_set(d->queued, off);
	d->todo[d->todo_count++] = (uint16_t)off;
}

/* Where the branch @q at page offset @off goes: linear address. */
static uint32_t branch_target(const struct scan_input *in, unsigned off, const struct quick *q)
{
	uint32_t eip = in->linear - in->cs_base + off + q->len + (uint32_t)q->rel;

	if (q->opsize == 2)
		eip &= 0xffff;
	return in->cs_base + eip;
}

static bool needs_patch(const struct scan_input *in, const struct sensitive *sens)
{
	if (!sens)
		return false;
	if (sens->op == OP_PAUSE)
		return in->patch_pause;
	if (!sens->patch)
		return false;
	/*
	 * The host's TSC is the guest's unless an offset or trapping was asked for.  But RDTSCP
	 * reads IA32_TSC_AUX, too, and the host has its own there.
	 */
	return in->patch_tsc || sens->op != OP_RDTSC;
}

/* Must the instruction of @q, at @p, trap? */
static bool must_trap(const struct scan_input *in, const uint8_t *p, size_t avail, size_t here,
		      const struct quick *q)
{
	struct insn insn;

	/*
	 * The next page may change without our notice.  If the bytes there could turn this into
	 * another operation, let it trap and look at what it is then.
	 */
	if (q->decided > here)
		return true;
	if (!q->candidate)
		return false;
	return insn_decode(p, avail, in->bits, &insn) != 0 || needs_patch(in, insn.sens);
}

void scan_look(const struct scan_input *in, unsigned off, struct scan_look *out)
{
	const uint8_t *p = in->bytes + off;
	size_t avail = in->avail - off;
	struct insn insn;
	struct quick q;

	memset(&q, 0, sizeof(q));
	*out = (struct scan_look){ .patch = true };
	if (insn_quick(p, avail, in->bits, &q)) {
		/* A second opinion before bytes are called no instruction. */
		if (insn_decode(p, avail, in->bits, &insn))
			return;
		q.len = insn.len;
		q.flow = FLOW_NEXT;
		q.candidate = 1;
		q.decided = insn.len;
	}
	out->len = q.len;
	out->flow = q.flow;
	out->patch = must_trap(in, p, avail, SCAN_PAGE - off, &q);
	out->privileged = q.traps && !out->patch;
	if (q.flow == FLOW_COND || q.flow == FLOW_JUMP || q.flow == FLOW_CALL)
		out->target = branch_target(in, off, &q);
}

void scan_mark(struct scan_result *out, unsigned off, unsigned len, bool patch)
{
	uint64_t bits = (1ull << len) - 1;
	unsigned w = off / 64, at = off % 64;

	out->body[w] |= bits << at;
	if (at + len > 64 && w + 1 < SCAN_WORDS)
		out->body[w + 1] |= bits >> (64 - at);
	if (off + len > SCAN_PAGE && off + len - SCAN_PAGE > out->tail)
		out->tail = (uint16_t)(off + len - SCAN_PAGE);
	if (patch)
		scan_set(out->patch, off);
}

/* Control can go to @target, a linear address. */
static void branch(struct descent *d, uint32_t target)
{
	if (target - d->in->linear < SCAN_PAGE)
		push(d, target - d->in->linear);
	else if (d->in->external)
		d->in->external(d->in->arg, target);
}

/* Follow control from @off until it leaves the page, stops, or meets what is known. */
static void follow(struct descent *d, unsigned off)
{
	while (off < SCAN_PAGE && !scan_test(d->out->start, off)) {
		struct scan_look look;

		scan_look(d->in, off, &look);
		scan_set(d->out->start, off);
		d->len[off] = look.len ? look.len : 1;
		scan_mark(d->out, off, d->len[off], look.patch);
		if (!look.len)
			return;
		if (look.privileged)
			scan_set(d->out->privileged, off);
		switch (look.flow) {
		case FLOW_COND:
		case FLOW_CALL: branch(d, look.target); break;
		case FLOW_JUMP: branch(d, look.target); return;
		case FLOW_INDIRECT:
		case FLOW_RET:
		case FLOW_STOP: return;
		default: break;
		}
		off += look.len;
	}
	if (off >= SCAN_PAGE && d->in->external)
		d->in->external(d->in->arg, d->in->linear + off);
}

/*
 * Overlapping instructions: a patch byte inside another instruction would change what that one
 * does, so that one must trap as well, and is then emulated from the original bytes.  Downwards,
 * because patching one may put a patch byte inside one that starts before it.
 */
static void settle_overlaps(struct descent *d)
{
	for (unsigned off = SCAN_PAGE; off-- > 0;) {
		if (!d->len[off])
			continue;
		for (unsigned i = off + 1; i < off + d->len[off] && i < SCAN_PAGE; i++)
			if (scan_test(d->out->patch, i)) {
				scan_set(d->out->patch, off);
				break;
			}
	}
}

void scan_descend(const struct scan_input *in, struct scan_result *out)
{
	struct descent d = { .in = in, .out = out };

	for (unsigned off = 0; off < SCAN_PAGE; off++)
		if (scan_test(in->entries, off))
			push(&d, off);
	while (d.todo_count)
		follow(&d, d.todo[--d.todo_count]);
	settle_overlaps(&d);
}
