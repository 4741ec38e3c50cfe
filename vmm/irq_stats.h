/* SPDX-License-Identifier: MIT */
/*
 * The interrupt account of a vCPU: per vector and per delivery path what was raised, coalesced (it
 * was pending already), delivered and dropped (by INIT or reset), and how long it took from raise
 * to the first instruction of the handler.  raised = delivered + coalesced + dropped + pending.
 *
 * Everything but irq_stats_delivered() is called under the device lock; that one by the vCPU's
 * thread, which is also the one that acknowledges.
 */
#ifndef RINGSIDE_VMM_IRQ_STATS_H
#define RINGSIDE_VMM_IRQ_STATS_H

#include <stdint.h>
#include <stdio.h>

#include "vmm/hist.h"

struct vm;
struct vcpu;
struct json_object;

/* How an interrupt came. */
enum irq_path {
	IRQ_PATH_EXTERNAL, /* a device's line, through PIC or IOAPIC */
	IRQ_PATH_SYSTEM,   /* the local APIC's own: timer, error, thermal, performance */
	IRQ_PATH_IPI,      /* another processor's (or its own) interrupt command */
	IRQ_PATH_ASSIGNED, /* posted by an assigned device */
	IRQ_PATH_UPCALL,   /* the VMM's own: scheduler activations */
	IRQ_PATHS
};

struct irq_counts {
	uint64_t raised, coalesced, delivered, dropped;
};

struct irq_vector {
	struct irq_counts n;
	uint64_t since_ns;    /* of the raise that is pending; 0: none is */
	uint64_t taken_ns;    /* of the one acknowledged whose handler has not begun; 0: none */
	struct hist *latency; /* allocated with the first delivery; NULL: none, or no memory */
	enum irq_path path;   /* of the last raise that was not coalesced */
	enum irq_path taken_path;
};

struct irq_stats {
	struct irq_vector vector[256];
	struct irq_counts path[IRQ_PATHS];
	struct hist latency[IRQ_PATHS];
};

/* NULL if memory ran out. */
struct irq_stats *irq_stats_new(void);
void irq_stats_free(struct irq_stats *s);

void irq_stats_raised(struct irq_stats *s, uint8_t vector, enum irq_path path, uint64_t now_ns);
/* @times raises at once, the first at @since_ns. */
void irq_stats_raised_many(struct irq_stats *s, uint8_t vector, enum irq_path path, uint64_t times,
			   uint64_t since_ns);
/* @times raises that were coalesced with one that is counted already. */
void irq_stats_coalesced(struct irq_stats *s, uint8_t vector, enum irq_path path, uint64_t times);
/* The vCPU takes it. */
void irq_stats_acked(struct irq_stats *s, uint8_t vector);
/* What was pending is forgotten. */
void irq_stats_dropped(struct irq_stats *s, uint8_t vector);
/*
 * The first instruction of @vector's handler is about to execute on @v: the vCPU resumes after the
 * injection.  @now_ns: CLOCK_MONOTONIC.  Nothing happens if none was acknowledged.
 */
void irq_stats_delivered(struct vcpu *v, uint8_t vector, uint64_t now_ns);

const char *irq_path_name(enum irq_path path);
/* Tables by path and by vector; prints nothing if there was no interrupt. */
void irq_stats_print(const struct vm *vm, FILE *f);
/*
 * { "paths": [...], "vectors": [...] }, all times in ns; NULL if memory ran out.  The vCPUs may
 * run: then under the device lock.
 */
struct json_object *irq_stats_json(const struct vm *vm);

#endif
