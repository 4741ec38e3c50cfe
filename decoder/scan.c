/* SPDX-License-Identifier: MIT */
/*
 * A page of code: what descent reaches (descend.c), and a linear sweep of the gaps, where code is
 * assumed.
 */
#include <string.h>

#include "decoder/descend.h"
#include "decoder/scan.h"

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
static bool sweep_is_code(const struct scan_input *in, const struct scan_result *out, unsigned from,
			  unsigned to)
{
	scan_bitmap starts = { 0 };
	unsigned off;

	for (off = from; off < to;) {
		struct scan_look look;

		scan_look(in, off, &look);
		if (!look.len || is_implausible(in->bytes + off, look.len))
			return false;
		scan_set(starts, off);
		off += look.len;
	}
	if (off != to && to != SCAN_PAGE)
		return false;
	for (off = from; off < to;) {
		struct scan_look look;

		scan_look(in, off, &look);
		if (look.flow == FLOW_COND || look.flow == FLOW_JUMP || look.flow == FLOW_CALL) {
			uint32_t target = look.target - in->linear;

			if (target < SCAN_PAGE && !scan_test(starts, target) &&
			    !scan_test(out->start, target))
				return false;
		}
		off += look.len;
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

static void sweep_gap(const struct scan_input *in, struct scan_result *out, unsigned from,
		      unsigned to)
{
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
	    !sweep_is_code(in, out, from, to)) {
		out->unverified += (uint16_t)len;
		return;
	}
	for (unsigned off = from; off < to;) {
		struct scan_look look;

		scan_look(in, off, &look);
		scan_mark(out, off, look.len, look.patch);
		off += look.len;
	}
	out->assumed += (uint16_t)len;
}

static void sweep(const struct scan_input *in, struct scan_result *out)
{
	unsigned off = in->lead_known ? in->lead : 0;
	scan_bitmap verified;

	memcpy(verified, out->body, sizeof(verified));
	for (unsigned i = 0; i < SCAN_WORDS; i++)
		out->verified += (uint16_t)__builtin_popcountll(verified[i]);
	while (off < SCAN_PAGE) {
		unsigned from;

		while (off < SCAN_PAGE && scan_test(verified, off))
			off++;
		from = off;
		while (off < SCAN_PAGE && !scan_test(verified, off))
			off++;
		if (from < off)
			sweep_gap(in, out, from, off);
	}
}

void scan_page(const struct scan_input *in, struct scan_result *out)
{
	memset(out, 0, sizeof(*out));
	scan_descend(in, out);
	sweep(in, out);
	for (unsigned i = 0; i < SCAN_WORDS; i++)
		out->patches += (uint16_t)__builtin_popcountll(out->patch[i]);
}
