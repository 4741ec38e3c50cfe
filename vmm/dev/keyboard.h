/* SPDX-License-Identifier: MIT */
/*
 * What a US keyboard sends when somebody types the bytes a terminal gives.
 * Source: IBM Personal System/2 Hardware Interface Technical Reference, "Keyboards (101- and
 * 102-Key)", scan code sets 1 and 2; control sequences: ECMA-48 and xterm's.
 */
#ifndef RINGSIDE_VMM_DEV_KEYBOARD_H
#define RINGSIDE_VMM_DEV_KEYBOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEYBOARD_KEY_MAX 10 /* bytes that one key can take, with its modifiers and releases */

/*
 * The first key in the @len (at least 1) bytes at @in: pressed and released, with Shift and Control
 * around it as needed, in scan code set @set (1 or 2).  *@used is how many bytes of input it stands
 * for.  Returns the number of bytes in @out; 0 for what is no key.
 */
size_t keyboard_encode(const uint8_t *in, size_t len, unsigned set, uint8_t out[KEYBOARD_KEY_MAX],
		       size_t *used);

#endif
