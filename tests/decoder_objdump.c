/* SPDX-License-Identifier: MIT */
/*
 * Lengths against an independent decoder: objdump, which comes with gcc.  A few thousand
 * encodings, random but reproducible, each in a slot of its own so that no disagreement can carry
 * over to the next.
 */
#include "decoder/insn.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLOTS    8000
#define SLOT_LEN 32 /* 15 random bytes and 17 nops: objdump is in step again by the next */

struct slot_result {
	unsigned len; /* 0: objdump says it is no instruction */
	char text[64];
};

static uint32_t random_next(uint32_t *state) /* xorshift32 */
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static void fill_slot(uint8_t slot[SLOT_LEN], uint32_t *rnd)
{
	static const uint8_t prefixes[] = { 0x66, 0x67, 0x64, 0x26, 0x36, 0xf2, 0xf3 };
	size_t n = 0;

	memset(slot, 0x90, SLOT_LEN);
	for (size_t i = 0; i < INSN_MAX; i++)
		slot[i] = (uint8_t)(random_next(rnd) >> 11);
	while (random_next(rnd) >> 7 & 1 && n < 3)
		slot[n++] = prefixes[random_next(rnd) % sizeof(prefixes)];
	switch (random_next(rnd) >> 9 & 7) {
	case 0 ... 2: break; /* the one-byte map, mostly */
	case 3 ... 5: slot[n] = 0x0f; break;
	case 6:
		slot[n] = 0x0f;
		slot[n + 1] = random_next(rnd) >> 7 & 1 ? 0x38 : 0x3a;
		break;
	case 7: /* VEX, two bytes */
		slot[0] = 0xc5;
		slot[1] |= 0xc0;
		break;
	}
}

/* Run objdump on @blob; false if there is none. */
static bool objdump(const uint8_t *blob, size_t len, const char *machine, struct slot_result *res)
{
	char path[] = "/tmp/ringside-objdump-XXXXXX", command[160], line[512];
	int fd = mkstemp(path);
	size_t found = 0;
	FILE *f;

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, blob, len), (ssize_t)len);
	close(fd);
	snprintf(command, sizeof(command),
		 "objdump -D -b binary -m i386 -M %s --insn-width=16 %s 2>/dev/null", machine,
		 path);
	f = popen(command, "r");
	cr_assert_not_null(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long offset;
		char *bytes = strchr(line, '\t'), *text = bytes ? strchr(bytes + 1, '\t') : NULL;
		unsigned count = 0;

		if (!text || sscanf(line, "%lx:", &offset) != 1 || offset % SLOT_LEN)
			continue;
		for (char *c = bytes + 1; c < text; c++)
			count += *c == ' ' && c > bytes + 1 && c[-1] != ' ';
		res[offset / SLOT_LEN].len = strstr(text, "(bad)") ? 0 : count;
		snprintf(res[offset / SLOT_LEN].text, sizeof(res->text), "%s", text + 1);
		found++;
	}
	pclose(f);
	unlink(path);
	return found >= len / SLOT_LEN;
}

/* Where the two may differ, and why. */
static bool explainable(const uint8_t *b, int mine, const struct slot_result *r)
{
	size_t n = 0;

	while (strchr("\x66\x67\x64\x26\x36\xf2\xf3\x2e\x3e\x65\xf0", b[n]))
		n++;
	/* prefixes that objdump writes on a line of their own, or that are the whole slot */
	if (n >= r->len)
		return true;
	/* objdump joins FWAIT with the x87 instruction after it, as assemblers write it */
	if (b[n] == 0x9b)
		return true;
	/* objdump does not know LOCK's rules */
	if (memchr(b, 0xf0, n))
		return true;
	if (mine == -EINVAL) {
		uint8_t reg = b[n + 1] >> 3 & 7;

		/* segment registers that do not exist, which it prints as "?" */
		if ((b[n] == 0x8c && reg > 5) || (b[n] == 0x8e && (reg > 5 || reg == SEG_CS)))
			return true;
		if (b[n] != 0x0f && b[n] != 0xc5)
			return false;
		/* it ignores "NP" and "64-bit mode only", and knows VIA's instructions */
		return b[n + 1] == 0x01 || b[n + 1] == 0xae || b[n + 1] == 0xc7 ||
		       b[n + 1] == 0xa6 || b[n + 1] == 0xa7 || b[n] == 0xc5 ||
		       (b[n + 1] >= 0x20 && b[n + 1] <= 0x27);
	}
	return false;
}

static void compare(const char *machine, unsigned bits, uint32_t seed)
{
	uint8_t *blob = malloc(SLOTS * SLOT_LEN);
	struct slot_result *res = calloc(SLOTS, sizeof(*res));
	unsigned agreed = 0;

	cr_assert(blob && res);
	for (size_t i = 0; i < SLOTS; i++)
		fill_slot(blob + i * SLOT_LEN, &seed);
	if (!objdump(blob, SLOTS * SLOT_LEN, machine, res))
		cr_skip_test("no objdump");
	for (size_t i = 0; i < SLOTS; i++) {
		const uint8_t *b = blob + i * SLOT_LEN;
		struct insn in;
		char hex[2 * INSN_MAX + 1];
		int ret = insn_decode(b, INSN_MAX, bits, &in);

		if (!res[i].len) /* objdump refuses what it does not know, too */
			continue;
		if (!ret && in.len == res[i].len) {
			agreed++;
			/* and every shorter piece of it is recognized as incomplete */
			for (size_t cut = 1; cut < in.len; cut++)
				cr_expect_eq(insn_decode(b, cut, bits, &in), -ENODATA,
					     "%s, cut to %zu bytes", res[i].text, cut);
			continue;
		}
		for (size_t k = 0; k < INSN_MAX; k++)
			snprintf(hex + 2 * k, 3, "%02x", b[k]);
		cr_expect(explainable(b, ret, &res[i]), "%s: %s %u, here %d (length %u)", hex,
			  res[i].text, res[i].len, ret, ret ? 0 : in.len);
	}
	cr_expect_gt(agreed, SLOTS / 2, "only %u of %u", agreed, SLOTS);
	free(blob);
	free(res);
}

Test(decoder_objdump, lengths_agree_in_32_bit_code)
{
	compare("i386", 32, 20240131);
}

Test(decoder_objdump, lengths_agree_in_16_bit_code)
{
	compare("i8086", 16, 19850101);
}
