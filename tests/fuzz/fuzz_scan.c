/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer target: decoder and scanner on arbitrary bytes.
 *
 * Input: struct header, then code.  The code lies at the start of a page, or such that it ends
 * where the page's known bytes end; the rest of the page is RET.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decoder/length.h"
#include "decoder/scan.h"
#include "decoder/sensitive.h"
#include "tests/decoder_known.h"
#include "tests/fuzz/require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct header {
	uint8_t flags; /* F_* */
	uint8_t lead, follow, entries;
	uint16_t page, base; /* of the page, in pages; of CS, in 16-byte paragraphs */
	uint16_t entry[4];
	uint16_t map[2]; /* where the image's code ends and its data start */
};
#define F_16BIT      0x01
#define F_LEAD_KNOWN 0x02
#define F_TSC        0x04
#define F_MAPS       0x08
#define F_AT_END     0x10

#define DECODED_MAX  16 /* offsets of an input that are decoded one by one */
#define THOROUGH_MAX 3  /* and those where truncation is tried, which is slow */

/* ---- one instruction ---- */

static void check_fields(const uint8_t *p, size_t avail, unsigned bits, const struct insn *in)
{
	char text[128], tiny[3];

	REQUIRE(in->len >= 1 && in->len <= INSN_MAX && in->len <= avail, "length %u", in->len);
	REQUIRE(in->op < OP_COUNT && in->nopnd <= 3 && in->bits == bits, "op %u", in->op);
	REQUIRE(in->opsize == 2 || in->opsize == 4, "operand size %u", in->opsize);
	REQUIRE(in->addrsize == 2 || in->addrsize == 4, "address size %u", in->addrsize);
	REQUIRE(!memcmp(in->bytes, p, in->len), "bytes differ");
	REQUIRE(in->sens == sensitive_find(in), "another row");
	REQUIRE(!in->sens || in->sens->op == in->op, "row of %s", in->sens->mnemonic);
	for (unsigned i = 0; i < in->nopnd; i++) {
		const struct operand *o = &in->opnd[i];
		const struct mem_ref *m = &o->mem;

		REQUIRE(o->kind != OPND_NONE, "operand %u of %u is none", i, in->nopnd);
		REQUIRE(o->kind != OPND_GPR || o->reg < 8, "register %u", o->reg);
		REQUIRE(o->kind != OPND_SEG || o->reg < SEG_COUNT, "segment %u", o->reg);
		if (o->kind != OPND_MEM)
			continue;
		REQUIRE(m->seg < SEG_COUNT, "segment %u", m->seg);
		REQUIRE(m->base < GPR_COUNT || m->base == GPR_NONE, "base %u", m->base);
		REQUIRE(m->index < GPR_COUNT || m->index == GPR_NONE, "index %u", m->index);
		REQUIRE(m->index != ESP, "ESP as index");
		REQUIRE(m->scale == 1 || m->scale == 2 || m->scale == 4 || m->scale == 8, "scale");
	}
	insn_format(in, 0x1000, text, sizeof(text));
	REQUIRE(memchr(text, 0, sizeof(text)) && text[0], "no text");
	tiny[2] = 'x';
	insn_format(in, 0x1000, tiny, 2);
	REQUIRE(tiny[1] == 0 && tiny[2] == 'x', "wrote %02x%02x", tiny[1], tiny[2]);
}

/* The same bytes, given exactly and one too few. */
static void check_length(const uint8_t *p, unsigned bits, const struct insn *in)
{
	uint8_t *exact = malloc(in->len); /* so that ASan sees a read beyond it */
	struct insn again;
	int ret;

	REQUIRE(exact, "memory");
	memcpy(exact, p, in->len);
	ret = insn_decode(exact, in->len, bits, &again);
	REQUIRE(!ret && again.len == in->len && again.op == in->op, "given exactly: %d", ret);
	if (in->len > 1) {
		ret = insn_decode(exact, in->len - 1u, bits, &again);
		REQUIRE(ret == -ENODATA || ret == -EINVAL, "one byte less: %d", ret);
	}
	free(exact);
}

/* What follows the first @q->decided bytes must not matter for what the scanner wants to know. */
static void check_decided(const uint8_t *p, size_t avail, unsigned bits, const struct quick *q)
{
	uint8_t other[INSN_MAX];
	size_t n = avail < INSN_MAX ? avail : INSN_MAX;
	struct quick q2;

	REQUIRE(q->decided >= 1 && q->decided <= q->len, "decided %u of %u", q->decided, q->len);
	for (unsigned fill = 0; fill < 256; fill += 51) {
		memcpy(other, p, n);
		if (q->decided < n)
			memset(other + q->decided, (int)fill, n - q->decided);
		if (insn_quick(other, n, bits, &q2))
			continue; /* #UD, or it ends too early: it traps, or is looked at again */
		REQUIRE(q2.candidate == q->candidate && q2.flow == q->flow,
			"%u bytes decide, but with %02x behind them candidate %u flow %u, not %u "
			"%u",
			q->decided, fill, q2.candidate, q2.flow, q->candidate, q->flow);
	}
}

static bool long_enough(const uint8_t *p, size_t avail, uint8_t b[INSN_MAX])
{
	memset(b, 0, INSN_MAX);
	memcpy(b, p, avail < INSN_MAX ? avail : INSN_MAX);
	return avail >= INSN_MAX;
}

static void check_instruction(const uint8_t *p, size_t avail, unsigned bits, bool thorough)
{
	uint8_t b[INSN_MAX];
	struct quick q;
	struct insn in;
	int full = insn_decode(p, avail, bits, &in), quick = insn_quick(p, avail, bits, &q);
	bool known = long_enough(p, avail, b) ? capstone_is_wrong(b) || capstone_takes_too_much(b)
					      : capstone_takes_too_much(b) || b[0] == 0x62;

	if (!full) {
		check_fields(p, avail, bits, &in);
		if (thorough)
			check_length(p, bits, &in);
	}
	if (!quick) {
		REQUIRE(q.len >= 1 && q.len <= INSN_MAX && q.len <= avail, "length %u", q.len);
		check_decided(p, avail, bits, &q);
	}
	if (full || quick)
		return;
	REQUIRE(q.len == in.len || known, "%02x%02x%02x%02x in %u-bit code: %u and %u bytes", b[0],
		b[1], b[2], b[3], bits, q.len, in.len);
	REQUIRE(q.candidate || !in.sens || !in.sens->patch, "%s is no candidate",
		in.sens->mnemonic);
}

/* ---- a page ---- */

struct externals {
	const struct scan_input *in;
	unsigned count;
};

static void on_external(void *arg, uint32_t linear)
{
	struct externals *x = arg;

	REQUIRE(linear - x->in->linear >= SCAN_PAGE, "%#x is in the page", linear);
	x->count++;
}

static unsigned count_bits(const scan_bitmap b)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SCAN_WORDS; i++)
		n += (unsigned)__builtin_popcountll(b[i]);
	return n;
}

static bool wants_patch(const struct scan_input *in, const struct insn *i)
{
	return i->sens && i->sens->patch && (i->op != OP_RDTSC || in->patch_tsc);
}

/* The verified instruction at @off. */
static void check_start(const struct scan_input *in, const struct scan_result *r, unsigned off)
{
	const uint8_t *p = in->bytes + off;
	size_t avail = in->avail - off;
	struct quick q = { 0 };
	struct insn i;
	bool patched = scan_test(r->patch, off);
	int quick = insn_quick(p, avail, in->bits, &q);
	unsigned len = quick ? 0 : q.len;

	REQUIRE(scan_test(r->body, off), "start %#x is not in the body", off);
	if (quick || q.candidate) {
		int full = insn_decode(p, avail, in->bits, &i);

		REQUIRE(patched || !full, "%#x is no instruction and runs", off);
		REQUIRE(patched || !wants_patch(in, &i), "%#x: %s runs", off, i.sens->mnemonic);
		if (!full && quick)
			len = i.len;
	}
	/* Were the bytes of the next page others, it could be another instruction. */
	REQUIRE(patched || q.decided <= SCAN_PAGE - off, "%#x depends on the next page", off);
	if (patched)
		return;
	for (unsigned k = 1; k < len && off + k < SCAN_PAGE; k++) {
		REQUIRE(scan_test(r->body, off + k), "byte %#x of %#x is not in the body", off + k,
			off);
		REQUIRE(!scan_test(r->patch, off + k), "byte %#x of %#x is patched", off + k, off);
	}
	if (q.flow != FLOW_JUMP && q.flow != FLOW_INDIRECT && q.flow != FLOW_RET &&
	    q.flow != FLOW_STOP && off + len < SCAN_PAGE)
		REQUIRE(scan_test(r->start, off + len), "%#x falls through to nothing", off);
	if (q.flow == FLOW_COND || q.flow == FLOW_JUMP || q.flow == FLOW_CALL) {
		uint32_t eip = in->linear - in->cs_base + off + len + (uint32_t)q.rel;
		uint32_t at = in->cs_base + (q.opsize == 2 ? eip & 0xffff : eip) - in->linear;

		REQUIRE(at >= SCAN_PAGE || scan_test(r->start, at), "%#x goes to nothing", off);
	}
}

static void check_page(const struct scan_input *in, const struct scan_result *r)
{
	unsigned body = count_bits(r->body);

	REQUIRE(body == r->verified + r->assumed, "%u bytes, %u and %u counted", body, r->verified,
		r->assumed);
	REQUIRE(body + r->unverified <= SCAN_PAGE, "%u and %u bytes", body, r->unverified);
	REQUIRE(r->patches == count_bits(r->patch), "%u patches counted", r->patches);
	REQUIRE(r->tail < INSN_MAX, "tail %u", r->tail);
	for (unsigned off = 0; off < SCAN_PAGE; off++) {
		REQUIRE(!scan_test(r->patch, off) || scan_test(r->body, off),
			"patched %#x, which is no code", off);
		REQUIRE(!scan_test(in->entries, off) || scan_test(r->start, off),
			"entry %#x was not followed", off);
		if (scan_test(r->start, off))
			check_start(in, r, off);
	}
}

static void check_scan(const struct header *h, const uint8_t *code, size_t size)
{
	scan_bitmap entries = { 0 }, is_code = { 0 }, is_data = { 0 };
	size_t avail = SCAN_PAGE + h->follow % INSN_MAX;
	uint8_t *page = malloc(avail); /* exactly, for ASan */
	struct externals x = { 0 };
	struct scan_result r, again;
	struct scan_input in = { .bytes = page,
				 .avail = avail,
				 .linear = (uint32_t)h->page << 12,
				 .cs_base = (uint32_t)h->base << 4,
				 .bits = h->flags & F_16BIT ? 16 : 32,
				 .lead = h->lead % INSN_MAX,
				 .lead_known = h->flags & F_LEAD_KNOWN,
				 .patch_tsc = h->flags & F_TSC,
				 .entries = entries,
				 .external = on_external,
				 .arg = &x };

	REQUIRE(page, "memory");
	if (size > avail)
		size = avail;
	memset(page, 0xc3, avail);
	memcpy(h->flags & F_AT_END ? page + avail - size : page, code, size);
	for (unsigned i = 0; i < h->entries % 5u; i++)
		scan_set(entries, h->entry[i] % SCAN_PAGE);
	if (h->flags & F_MAPS) {
		for (unsigned i = 0; i < h->map[0] % SCAN_PAGE; i++)
			scan_set(is_code, i);
		for (unsigned i = h->map[1] % SCAN_PAGE; i < SCAN_PAGE; i++)
			scan_set(is_data, i);
		in.code = is_code;
		in.data = is_data;
	}
	x.in = &in;
	scan_page(&in, &r);
	check_page(&in, &r);
	in.external = NULL; /* may be NULL, and changes nothing */
	scan_page(&in, &again);
	REQUIRE(!memcmp(&r, &again, sizeof(r)), "another result");
	free(page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct header h;

	if (size <= sizeof(h))
		return 0;
	memcpy(&h, data, sizeof(h));
	data += sizeof(h);
	size -= sizeof(h);
	for (size_t off = 0; off < size && off < DECODED_MAX; off++)
		check_instruction(data + off, size - off, h.flags & F_16BIT ? 16 : 32,
				  off < THOROUGH_MAX);
	check_scan(&h, data, size);
	return 0;
}
