/* SPDX-License-Identifier: MIT */
/*
 * A VGA text screen on a terminal: 80x25 cells as ANSI escapes (ECMA-48) and UTF-8.  Only what
 * changed is written.
 */
#ifndef RINGSIDE_VMM_DISPLAY_H
#define RINGSIDE_VMM_DISPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DISPLAY_COLS  80u
#define DISPLAY_ROWS  25u
#define DISPLAY_CELLS (DISPLAY_COLS * DISPLAY_ROWS)
/* What one update can take, in bytes: each cell with a position, colours and three of UTF-8. */
#define DISPLAY_UPDATE_MAX (DISPLAY_CELLS * 28u + 64u)

struct display_screen {
	uint16_t cell[DISPLAY_CELLS]; /* character, attribute << 8 */
	unsigned cursor;              /* cell; DISPLAY_CELLS or more: off the screen */
	bool cursor_on;
	bool blink; /* attribute bit 7 blinks; else it is a bright background */
};

struct display {
	struct display_screen shown;
	bool valid; /* @shown is what the terminal shows */
};

/*
 * Make the terminal that shows what @d says show @s.  Returns the number of bytes in @out, 0 if
 * nothing changed.
 */
size_t display_update(struct display *d, const struct display_screen *s,
		      char out[DISPLAY_UPDATE_MAX]);
/* Leave the screen: the cursor below it, ordinary colours.  Returns the number of bytes in @out. */
size_t display_leave(char out[DISPLAY_UPDATE_MAX]);

#endif
