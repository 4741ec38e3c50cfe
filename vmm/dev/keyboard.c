/* SPDX-License-Identifier: MIT */
#include "vmm/dev/keyboard.h"

#include <string.h>

#define SET1_CTRL  0x1d
#define SET1_SHIFT 0x2a
#define SET1_BREAK 0x80
#define SET2_BREAK 0xf0
#define EXTENDED   0xe0

struct key {
	uint8_t code; /* in set 1; 0: none */
	bool shift, ctrl, extended;
};

struct typing {
	uint8_t *out;
	size_t len;
	unsigned set;
};

/* By the code in set 1, the one in set 2. */
static const uint8_t set2[0x59] = {
	0,    0x76, 0x16, 0x1e, 0x26, 0x25, 0x2e, 0x36, 0x3d, 0x3e, 0x46, 0x45, 0x4e, 0x55, 0x66,
	0x0d, 0x15, 0x1d, 0x24, 0x2d, 0x2c, 0x35, 0x3c, 0x43, 0x44, 0x4d, 0x54, 0x5b, 0x5a, 0x14,
	0x1c, 0x1b, 0x23, 0x2b, 0x34, 0x33, 0x3b, 0x42, 0x4b, 0x4c, 0x52, 0x0e, 0x12, 0x5d, 0x1a,
	0x22, 0x21, 0x2a, 0x32, 0x31, 0x3a, 0x41, 0x49, 0x4a, 0x59, 0x7c, 0x11, 0x29, 0x58, 0x05,
	0x06, 0x04, 0x0c, 0x03, 0x0b, 0x83, 0x0a, 0x01, 0x09, 0x77, 0x7e, 0x6c, 0x75, 0x7d, 0x7b,
	0x6b, 0x73, 0x74, 0x79, 0x69, 0x72, 0x7a, 0x70, 0x71, 0x84, 0,    0x61, 0x78, 0x07,
};

/* Keys by code in set 1, from 0x02 on; a dot that is no key is a 0. */
static const char plain[] = "1234567890-=\b\tqwertyuiop[]\r\0asdfghjkl;'`\0\\zxcvbnm,./";
static const char shifted[] = "!@#$%^&*()_+\0\0QWERTYUIOP{}\0\0ASDFGHJKL:\"~\0|ZXCVBNM<>?";
#define FIRST_KEY 0x02

static uint8_t find(const char *keys, size_t size, uint8_t c)
{
	const char *p = c ? memchr(keys, c, size) : NULL;

	return p ? (uint8_t)(p - keys + FIRST_KEY) : 0;
}

static struct key key_of(uint8_t c)
{
	struct key k = { 0 };

	switch (c) {
	case ' ': k.code = 0x39; return k;
	case '\n': c = '\r'; break;
	case 0x7f: c = '\b'; break; /* what terminals send for the Backspace key */
	case 0x1b: k.code = 0x01; return k;
	default: break;
	}
	k.code = find(plain, sizeof(plain) - 1, c);
	if (k.code)
		return k;
	k.code = find(shifted, sizeof(shifted) - 1, c);
	if (k.code) {
		k.shift = true;
	} else if (c >= 1 && c <= 26) {
		k.code = find(plain, sizeof(plain) - 1, (uint8_t)(c + 'a' - 1));
		k.ctrl = true;
	} else if (c >= 0x1c && c <= 0x1f) {
		k = key_of((uint8_t) "\\]^_"[c - 0x1c]);
		k.ctrl = true;
	}
	return k;
}

/* ESC [ A and the like, at @in.  Returns how many bytes it has, 0 if it is none. */
static size_t sequence(const uint8_t *in, size_t len, struct key *k)
{
	static const struct {
		char final;
		uint8_t code;
	} letters[] = { { 'A', 0x48 }, { 'B', 0x50 }, { 'C', 0x4d },
			{ 'D', 0x4b }, { 'H', 0x47 }, { 'F', 0x4f } },
	  numbers[] = { { '1', 0x47 }, { '2', 0x52 }, { '3', 0x53 },
			{ '4', 0x4f }, { '5', 0x49 }, { '6', 0x51 } };

	if (len < 3 || in[0] != 0x1b || (in[1] != '[' && in[1] != 'O'))
		return 0;
	*k = (struct key){ .extended = true };
	for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++) {
		if (in[2] == letters[i].final) {
			k->code = letters[i].code;
			return 3;
		}
		if (len >= 4 && in[2] == numbers[i].final && in[3] == '~') {
			k->code = numbers[i].code;
			return 4;
		}
	}
	return 0;
}

static void put(struct typing *t, uint8_t code, bool extended, bool release)
{
	if (extended)
		t->out[t->len++] = EXTENDED;
	if (t->set == 1) {
		t->out[t->len++] = release ? code | SET1_BREAK : code;
		return;
	}
	if (release)
		t->out[t->len++] = SET2_BREAK;
	t->out[t->len++] = set2[code];
}

size_t keyboard_encode(const uint8_t *in, size_t len, unsigned set, uint8_t out[KEYBOARD_KEY_MAX],
		       size_t *used)
{
	struct typing t = { .out = out, .set = set };
	struct key k;

	*used = sequence(in, len, &k);
	if (!*used) {
		k = key_of(in[0]);
		*used = 1;
	}
	if (!k.code)
		return 0;
	if (k.ctrl)
		put(&t, SET1_CTRL, false, false);
	if (k.shift)
		put(&t, SET1_SHIFT, false, false);
	put(&t, k.code, k.extended, false);
	put(&t, k.code, k.extended, true);
	if (k.shift)
		put(&t, SET1_SHIFT, false, true);
	if (k.ctrl)
		put(&t, SET1_CTRL, false, true);
	return t.len;
}
