/* SPDX-License-Identifier: MIT */
/* Recursive descent and linear sweep over one page of code. */
#include <errno.h>
#include <string.h>

#include "decoder/insn.h"
#include "decoder/length.h"
#include "decoder/scan.h"
#include "decoder/sensitive.h"

struct scan {
	const struct scan_input *in;
	struct scan_result *out;
	uint8_t len[SCAN_PAGE];   /* of the instruction that starts there */
	uint16_t todo[SCAN_PAGE]; /* offsets still to be visited, each at most once */
	scan_bitmap queued;
	unsigned todo_count;
};

static void push(struct scan *s, unsigned off)
{
	if (scan_test(s->queued, off))
		return;
	scan_set(s->queued, off);
	s->todo[s->todo_count++] = (uint16_t)off;
}

/* Where the branch @q at page offset @off goes: linear address. */
static uint32_t branch_target(const struct scan_input *in, unsigned off, const struct quick *q)
{
	uint32_t eip = in->linear - in->cs_base + off + q->len + (uint32_t)q->rel;

	if (q->opsize == 2)
		eip &= 0xffff;
	return in->cs_base + eip;
}

static void branch(struct scan *s, unsigned off, const struct quick *q)
{
	uint32_t target = branch_target(s->in, off, q);

	if (target - s->in->linear < SCAN_PAGE)
		push(s, target - s->in->linear);
	else if (s->in->external)
		s->in->external(s->in->arg, target);
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

/*
 * Look at the instruction at @off.  Returns its length, 0 if there is none (the CPU would raise #UD
 * or the bytes are not known).  *@patch: it must trap.
 */
static unsigned look(const struct scan_input *in, unsigned off, struct quick *q, bool *patch)
{
	const uint8_t *p = in->bytes + off;
	size_t avail = in->avail - off, here = SCAN_PAGE - off;
	struct insn insn;
	int res;

	*patch = true;
	memset(q, 0, sizeof(*q));
	if (insn_quick(p, avail, in->bits, q)) {
		/* A second opinion before bytes are called no instruction. */
		if (insn_decode(p, avail, in->bits, &insn))
			return 0;
		q->len = insn.len;
		q->flow = FLOW_NEXT;
		q->candidate = 1;
		q->decided = insn.len;
	}
	/*
	 * The next page may change without our notice.  If the bytes there could turn this into
	 * another operation, let it trap and look at what it is then.
	 */
	if (q->decided > here)
		return q->len;
	*patch = false;
	if (!q->candidate)
		return q->len;
	res = insn_decode(p, avail, in->bits, &insn);
	*patch = res != 0 || needs_patch(in, insn.sens);
	return q->len;
}

static void mark(struct scan *s, unsigned off, unsigned len, bool patch)
{
	s->len[off] = (uint8_t)len;
	for (unsigned i = off; i < off + len && i < SCAN_PAGE; i++)
		scan_set(s->out->body, i);
	if (off + len > SCAN_PAGE && off + len - SCAN_PAGE > s->out->tail)
		s->out->tail = (uint16_t)(off + len - SCAN_PAGE);
	if (patch)
		scan_set(s->out->patch, off);
}

/* Follow control from @off until it leaves the page, stops, or meets what is known. */
static void descend(struct scan *s, unsigned off)
{
	while (off < SCAN_PAGE && !scan_test(s->out->start, off)) {
		struct quick q;
		bool patch;
		unsigned len = look(s->in, off, &q, &patch);

		scan_set(s->out->start, off);
		mark(s, off, len ? len : 1, patch);
		if (!len)
			return;
		if (q.traps && !patch)
			scan_set(s->out->privileged, off);
		switch (q.flow) {
		case FLOW_COND:
		case FLOW_CALL: branch(s, off, &q); break;
		case FLOW_JUMP: branch(s, off, &q); return;
		case FLOW_INDIRECT:
		case FLOW_RET:
		case FLOW_STOP: return;
		default: break;
		}
		off += len;
	}
	if (off >= SCAN_PAGE && s->in->external)
		s->in->external(s->in->arg, s->in->linear + off);
}

/* One repeated byte that compilers and linkers fill with: nop, int3, zero. */
static bool is_padding(const uint8_t *p, unsigned len)
{
	if (p[0] != 0x90 && p[0] != 0xcc && p[0] != 0)
		return false;
	for (unsigned i = 1; i < len; i++)
		if (p[i] != p[0])
			return false;
	return true;
}

/*
 * Operations that compiled code does not contain and that text and tables, read as code, are full
 * of
 * ('a' is popa, 'b' bound, 'c' arpl, 'l'-'o' string I/O).
 */
static bool is_implausible(const uint8_t *p, unsigned len)
{
	unsigned i = 0;

	while (i < len - 1 && (p[i] == 0x66 || p[i] == 0x67 || p[i] == 0x64 || p[i] == 0x65 ||
			       p[i] == 0x2e || p[i] == 0x36 || p[i] == 0x3e || p[i] == 0x26))
		i++;
	switch (p[i]) {
	case 0x27:
	case 0x2f:
	case 0x37:
	case 0x3f: /* daa das aaa aas */
	case 0x60:
	case 0x61:
	case 0x62:
	case 0x63: /* pusha popa bound arpl */
	case 0x6c:
	case 0x6d:
	case 0x6e:
	case 0x6f: /* ins outs */
	case 0x9a:
	case 0xea: /* far call and jmp to a constant */
	case 0xc4:
	case 0xc5: /* les lds */
	case 0xce:
	case 0xd4:
	case 0xd5:
	case 0xd6:
	case 0xf1: return true; /* into aam aad salc int1 */
	default: return false;
	}
}

/*
 * Is the gap [@from, @to) between known instructions code that only indirect branches reach?  It
 * must decode without a rest up to the next known instruction (or the page's end), contain nothing
 * implausible, and its branches within the page must go to instructions.
 */
static bool sweep_is_code(const struct scan *s, unsigned from, unsigned to)
{
	scan_bitmap starts = { 0 };
	unsigned off;

	for (off = from; off < to;) {
		struct quick q;
		bool patch;
		unsigned len = look(s->in, off, &q, &patch);

		if (!len || is_implausible(s->in->bytes + off, len))
			return false;
		scan_set(starts, off);
		off += len;
	}
	if (off != to && to != SCAN_PAGE)
		return false;
	for (off = from; off < to;) {
		struct quick q;
		bool patch;
		unsigned len = look(s->in, off, &q, &patch);

		if (q.flow == FLOW_COND || q.flow == FLOW_JUMP || q.flow == FLOW_CALL) {
			uint32_t target = branch_target(s->in, off, &q) - s->in->linear;

			if (target < SCAN_PAGE && !scan_test(starts, target) &&
			    !scan_test(s->out->start, target))
				return false;
		}
		off += len;
	}
	return true;
}

static bool overlaps(const uint64_t *map, unsigned from, unsigned to)
{
	for (unsigned off = from; map && off < to; off++)
		if (scan_test(map, off))
			return true;
	return false;
}

static void sweep_gap(struct scan *s, unsigned from, unsigned to)
{
	const struct scan_input *in = s->in;
	unsigned len = to - from;
	bool sure = in->code && scan_test(in->code, from) && scan_test(in->code, to - 1);

	if (is_padding(in->bytes + from, len)) /* harmless either way */
		return;
	if (overlaps(in->data, from, to))
		return; /* the image says so: no code, nothing to verify */
	/*
	 * At the start of the page the alignment of instructions is unknown; at its end nothing
	 * confirms the decoding, unless the image does.
	 */
	if ((from == 0 && !in->lead_known) || (to == SCAN_PAGE && !sure) ||
	    !sweep_is_code(s, from, to)) {
		s->out->unverified += (uint16_t)len;
		return;
	}
	for (unsigned off = from; off < to;) {
		struct quick q;
		bool patch;
		unsigned n = look(in, off, &q, &patch);

		mark(s, off, n, patch);
		off += n;
	}
	s->out->assumed += (uint16_t)len;
}

static void sweep(struct scan *s)
{
	unsigned off = s->in->lead_known ? s->in->lead : 0;
	scan_bitmap verified;

	memcpy(verified, s->out->body, sizeof(verified));
	for (unsigned i = 0; i < SCAN_WORDS; i++)
		s->out->verified += (uint16_t)__builtin_popcountll(verified[i]);
	while (off < SCAN_PAGE) {
		unsigned from;

		while (off < SCAN_PAGE && scan_test(verified, off))
			off++;
		from = off;
		while (off < SCAN_PAGE && !scan_test(verified, off))
			off++;
		if (from < off)
			sweep_gap(s, from, off);
	}
}

/*
 * Overlapping instructions: a patch byte inside another instruction would change what that one
 * does, so that one must trap as well, and is then emulated from the original bytes.  Downwards,
 * because patching one may put a patch byte inside one that starts before it.
 */
static void settle_overlaps(struct scan *s)
{
	for (unsigned off = SCAN_PAGE; off-- > 0;) {
		if (!s->len[off])
			continue;
		for (unsigned i = off + 1; i < off + s->len[off] && i < SCAN_PAGE; i++)
			if (scan_test(s->out->patch, i)) {
				scan_set(s->out->patch, off);
				break;
			}
	}
}

void scan_page(const struct scan_input *in, struct scan_result *out)
{
	struct scan s = { .in = in, .out = out };

	memset(out, 0, sizeof(*out));
	for (unsigned off = 0; off < SCAN_PAGE; off++)
		if (scan_test(in->entries, off))
			push(&s, off);
	while (s.todo_count)
		descend(&s, s.todo[--s.todo_count]);
	sweep(&s);
	settle_overlaps(&s);
	for (unsigned i = 0; i < SCAN_WORDS; i++)
		out->patches += (uint16_t)__builtin_popcountll(out->patch[i]);
}
