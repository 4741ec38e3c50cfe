/* SPDX-License-Identifier: MIT */
/*
 * What a guest image says about its code: named symbols, for traces and reports, and which address
 * ranges are code or data, for the scanner of shadow code pages.
 */
#ifndef RINGSIDE_VMM_SYMBOLS_H
#define RINGSIDE_VMM_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symbols;

struct symbols *symbols_new(void);
/* @addr virtual, @size bytes (0: up to the next symbol); copies @name.  Returns 0 or -ENOMEM. */
int symbols_add(struct symbols *s, uint32_t addr, uint32_t size, const char *name);
/* Is the @i-th a function (an instruction starts there), and not just a label? */
bool symbols_is_function(const struct symbols *s, size_t i);
void symbols_set_function(struct symbols *s); /* the one added last */

enum symbols_kind { SYMBOLS_UNKNOWN, SYMBOLS_CODE, SYMBOLS_DATA };
/* A section linked at @addr and loaded at physical @gpa.  Returns 0 or -ENOMEM. */
int symbols_add_range(struct symbols *s, uint32_t addr, uint32_t size, uint32_t gpa,
		      enum symbols_kind kind);
/* What the image says of the byte at @addr.  @s may be NULL. */
enum symbols_kind symbols_range(const struct symbols *s, uint32_t addr);
/*
 * Was part of a code section loaded into the page at @gpa?  Then *@addr is the address that the
 * page was linked at.
 */
bool symbols_code_page(const struct symbols *s, uint32_t gpa, uint32_t *addr);

/* Sort; call once after the last add. */
void symbols_finish(struct symbols *s);
/* Name and *@off of the symbol that holds @addr, or NULL.  @s may be NULL.  Thread-safe after
 * finish. */
const char *symbols_find(const struct symbols *s, uint32_t addr, uint32_t *off);
/* The symbol with @name: 0 and *@addr, or -ENOENT. */
int symbols_lookup(const struct symbols *s, const char *name, uint32_t *addr);
size_t symbols_count(const struct symbols *s);
/* The @i-th in order of address. */
const char *symbols_get(const struct symbols *s, size_t i, uint32_t *addr, uint32_t *size);
void symbols_free(struct symbols *s);

#endif
