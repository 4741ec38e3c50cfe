/* SPDX-License-Identifier: MIT */
/* Expectations: IBM PS/2 Hardware Interface Technical Reference, "Keyboards", scan code tables. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/devices.h"
#include "vmm/dev/devices.h"
#include "vmm/dev/keyboard.h"

/* @text as one key; the codes. */
static void kb_expect(const char *text, unsigned set, const char *codes)
{
	uint8_t out[KEYBOARD_KEY_MAX];
	size_t used, n = keyboard_encode((const uint8_t *)text, strlen(text), set, out, &used);

	cr_expect_eq(n, strlen(codes), "\"%s\": %zu codes", text, n);
	cr_expect_eq(memcmp(out, codes, n < strlen(codes) ? n : strlen(codes)), 0, "\"%s\"", text);
	cr_expect_eq(used, strlen(text));
}

Test(keyboard, keys_in_set_1)
{
	kb_expect("a", 1, "\x1e\x9e");
	kb_expect("A", 1, "\x2a\x1e\x9e\xaa");
	kb_expect("\r", 1, "\x1c\x9c");
	kb_expect("\n", 1, "\x1c\x9c");
	kb_expect("\x7f", 1, "\x0e\x8e");
	kb_expect("\x03", 1, "\x1d\x2e\xae\x9d");
	kb_expect("\x1b", 1, "\x01\x81");
	kb_expect("\t", 1, "\x0f\x8f");
	kb_expect("~", 1, "\x2a\x29\xa9\xaa");
	kb_expect("\x1f", 1, "\x1d\x2a\x0c\x8c\xaa\x9d");
	kb_expect("\033[A", 1, "\xe0\x48\xe0\xc8");
	kb_expect("\033[3~", 1, "\xe0\x53\xe0\xd3");
}

Test(keyboard, keys_in_set_2)
{
	kb_expect("a", 2, "\x1c\xf0\x1c");
	kb_expect("A", 2, "\x12\x1c\xf0\x1c\xf0\x12");
	kb_expect("\r", 2, "\x5a\xf0\x5a");
	kb_expect("\033[D", 2, "\xe0\x6b\xe0\xf0\x6b");
	kb_expect("0", 2, "\x45\xf0\x45");
	kb_expect("\x1f", 2, "\x14\x12\x4e\xf0\x4e\xf0\x12\xf0\x14");
}

/* Every byte, alone and before others: within the bound, and always some progress. */
Test(keyboard, every_byte_is_survived)
{
	for (unsigned a = 0; a < 256; a++) {
		for (unsigned b = 0; b < 256; b++) {
			const uint8_t in[4] = { (uint8_t)a, (uint8_t)b, 'A', '~' };
			uint8_t out[KEYBOARD_KEY_MAX];
			size_t used;

			for (unsigned set = 1; set <= 2; set++) {
				for (size_t len = 1; len <= 4; len++) {
					size_t n = keyboard_encode(in, len, set, out, &used);

					cr_assert_leq(n, KEYBOARD_KEY_MAX);
					cr_assert(used >= 1 && used <= len);
				}
			}
		}
	}
}

Test(keyboard, all_printable_characters_have_a_key)
{
	for (char c = ' '; c < 0x7f; c++) {
		uint8_t out[KEYBOARD_KEY_MAX];
		size_t used;

		cr_expect_gt(keyboard_encode((const uint8_t *)&c, 1, 1, out, &used), 0, "%c", c);
	}
}

static struct i8042 *kb_new(struct bench *b)
{
	bench_init(b);
	return i8042_new(&b->pio, bench_line(b), NULL, NULL);
}

static unsigned kb_rooms;

static void kb_room(void *arg)
{
	(void)arg;
	kb_rooms++;
}

Test(keyboard, nothing_is_typed_before_the_guest_looks)
{
	struct bench b;
	struct i8042 *k = kb_new(&b);

	i8042_on_room(k, kb_room, NULL);
	cr_expect_eq(i8042_type(k, (const uint8_t *)"abc", 3), 0);
	bench_out(&b, 0x64, 0x60); /* command byte: interrupt, translation */
	bench_out(&b, 0x60, 0x45);
	cr_expect_eq(kb_rooms, 1);
	cr_expect_eq(i8042_type(k, (const uint8_t *)"abcdefgh", 8), 4, "the buffer is bounded");
	cr_expect(b.line);
	for (unsigned i = 0; i < 4; i++) {
		static const uint8_t codes[] = { 0x1e, 0x30, 0x2e, 0x20 };

		cr_expect_eq(bench_in(&b, 0x60), codes[i]);
		cr_expect_eq(bench_in(&b, 0x60), codes[i] | 0x80);
	}
	cr_expect_eq(b.edges, 8, "an interrupt for each byte");
	cr_expect_not(b.line);
	cr_expect_eq(kb_rooms, 2);
	i8042_free(k);
}

/* Commands 0xf5 and 0xf4; controller commands 0xad and 0xae. */
Test(keyboard, a_disabled_keyboard_sends_nothing)
{
	struct bench b;
	struct i8042 *k = kb_new(&b);

	bench_out(&b, 0x60, 0xf5);
	cr_expect_eq(bench_in(&b, 0x60), 0xfa);
	cr_expect_eq(i8042_type(k, (const uint8_t *)"a", 1), 0);
	bench_out(&b, 0x60, 0xf4);
	cr_expect_eq(bench_in(&b, 0x60), 0xfa);
	bench_out(&b, 0x64, 0xad);
	cr_expect_eq(i8042_type(k, (const uint8_t *)"a", 1), 0);
	bench_out(&b, 0x64, 0xae);
	cr_expect_eq(i8042_type(k, (const uint8_t *)"a", 1), 1);
	i8042_free(k);
}

/* Without translation the guest gets the keyboard's own set. */
Test(keyboard, scan_code_set_follows_translation)
{
	struct bench b;
	struct i8042 *k = kb_new(&b);

	bench_out(&b, 0x64, 0x60);
	bench_out(&b, 0x60, 0x05);
	cr_expect_eq(i8042_type(k, (const uint8_t *)"a", 1), 1);
	cr_expect_eq(bench_in(&b, 0x60), 0x1c);
	cr_expect_eq(bench_in(&b, 0x60), 0xf0);
	cr_expect_eq(bench_in(&b, 0x60), 0x1c);
	i8042_free(k);
}
