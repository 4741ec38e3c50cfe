/* SPDX-License-Identifier: MIT */
/*
 * Counts by where in the guest something happened, and what.  A count costs one probe of a hash
 * table by EIP and cause; what symbol an EIP belongs to is looked up only for the report.
 */
#ifndef RINGSIDE_VMM_SITES_H
#define RINGSIDE_VMM_SITES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json_object;
struct symbols;

/* What happened of one cause at one place. */
struct site {
	uint32_t eip;
	uint16_t cause; /* a number of the user's */
	uint64_t count; /* 0: the slot is free */
};

/* A hash table with linear probing.  All zero: empty. */
struct sites {
	struct site *slot;
	size_t room, used;
	uint64_t lost; /* counts for whose place there was no room */
};

/* @count more of @cause at @eip. */
void sites_add(struct sites *s, uint32_t eip, uint16_t cause, uint64_t count);
void sites_merge(struct sites *to, const struct sites *from);
void sites_free(struct sites *s);

/* How they are shown. */
struct sites_style {
	const char *title; /* "exits by symbol" */
	const char *what;  /* "exits" */
	uint64_t total;    /* shares are of this */
	const struct symbols *symbols;
	const char *(*name)(const void *arg, unsigned cause, char *buf, size_t size);
	const void *arg;
};

/* The busiest symbols with their causes; nothing if the image has no symbols. */
void sites_print(const struct sites *s, const struct sites_style *style, FILE *f);
/* All of them: "symbol" (or null), "count", "causes". */
struct json_object *sites_json(const struct sites *s, const struct sites_style *style);

#endif
