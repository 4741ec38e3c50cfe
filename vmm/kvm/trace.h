/* SPDX-License-Identifier: MIT */
/*
 * The tracepoint kvm:kvm_exit, which KVM passes at every exit of the hardware, read through perf.
 * Which fields a record has, and how its reasons are called, the kernel says itself.
 * Sources: perf_event_open(2); Linux, Documentation/trace/events.rst, "Event formats".
 */
#ifndef RINGSIDE_VMM_KVM_TRACE_H
#define RINGSIDE_VMM_KVM_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vmm/hw_exit.h"

/* ---- what a record says: trace_format.c ---- */

struct kvm_format;

/*
 * From @text, the tracepoint's file "format".  Returns NULL with a sentence in @err if it is not
 * one that can be counted by.
 */
struct kvm_format *kvm_format_new(const char *text, size_t len, char *err, size_t size);
/*
 * The same of the kernel that runs, from its tracing file system, which may be at @tracefs (NULL:
 * at the usual places).  Writes the number of the tracepoint for perf to *@id.
 */
struct kvm_format *kvm_format_open(const char *tracefs, uint64_t *id, char *err, size_t size);
void kvm_format_free(struct kvm_format *f);

/* Read the record @raw of @len bytes.  Returns whether it is one of kvm_exit, and long enough. */
bool kvm_format_read(const struct kvm_format *f, const void *raw, size_t len, struct hw_exit *x);
/* What the kernel calls the reason of the record @raw: "npf", "EPT_VIOLATION"; else its number. */
void kvm_format_reason(struct kvm_format *f, const void *raw, size_t len, char *buf, size_t size);

/* ---- the records of one thread: trace_ring.c ---- */

struct kvm_ring {
	int fd; /* readable when half of the ring is full */
	void *map;
	size_t len; /* of the mapping: a page and the ring */
};

/*
 * Record every pass of the tracepoint @id by the calling thread from now on.  Returns 0, or
 * negative errno with a sentence in @err.
 */
int kvm_ring_open(struct kvm_ring *r, uint64_t id, char *err, size_t size);
void kvm_ring_close(struct kvm_ring *r);

/*
 * Take all that is in the ring: @sample (NULL: nobody) gets each record's raw part, in order.
 * Returns how many records the kernel had no room for since the last time.  One thread at a time.
 */
uint64_t kvm_ring_drain(struct kvm_ring *r,
			void (*sample)(void *arg, const uint8_t *raw, size_t len), void *arg);

/* ---- the exits of one VM: hardware.c ---- */

struct kvm_hw;
struct kvm_hw_thread;
struct kvm_vm;
struct json_object;

/*
 * Count the exits of @k's vCPUs by reason.  What is missing for that is a sentence of the report,
 * and no failure: returns NULL only if memory ran out.  @tracefs as above.
 */
struct kvm_hw *kvm_hw_new(const struct kvm_vm *k, const char *tracefs);
/* No vCPU runs any more.  NULL is nothing. */
void kvm_hw_free(struct kvm_hw *hw);

/*
 * Around each KVM_RUN, by the thread that makes it: what it exits for in between is of vCPU @vcpu.
 * begin() returns what end() wants; NULL is nothing, and so is @hw of NULL.
 */
struct kvm_hw_thread *kvm_hw_begin(struct kvm_hw *hw, unsigned vcpu);
void kvm_hw_end(struct kvm_hw *hw, struct kvm_hw_thread *t);

/* Why they are not counted, or are not all: a sentence; NULL: they are. */
const char *kvm_hw_why(struct kvm_hw *hw);
/* For kvm_json(): NULL if they are not counted; and the tables of kvm_print(). */
struct json_object *kvm_hw_json(struct kvm_hw *hw);
void kvm_hw_print(struct kvm_hw *hw, FILE *f);

#endif
