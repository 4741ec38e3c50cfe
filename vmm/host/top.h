/* SPDX-License-Identifier: MIT */
/*
 * `ringside top`: what the virtual machines of a host did between two samples.  Taking samples and
 * making rows of them is in top_data.c, the screen in top_screen.c.
 */
#ifndef RINGSIDE_VMM_HOST_TOP_H
#define RINGSIDE_VMM_HOST_TOP_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/host/client.h"
#include "vmm/host/config.h"
#include "vmm/vm.h"

#define TOP_CAUSES 3u
#define TOP_LINE   160u

enum top_sort { TOP_BY_CONFIG, TOP_BY_CPU, TOP_BY_STEAL, TOP_BY_TRAPS, TOP_SORTS };

/* What changed between two samples; @valid: there were two of this run of the VM. */
struct top_rates {
	bool valid;
	double cpu;     /* percent of one pCPU */
	double steal;   /* percent of the time: ready, and another had the pCPU */
	double traps;   /* each second */
	double wake_us; /* mean from wake-up to running; below 0: it was not woken */
};

struct top_vcpu {
	char state[16]; /* the scheduler's, or "held" */
	unsigned pcpu;
	struct top_rates r;
};

struct top_vm {
	char name[HOST_VM_NAME_MAX + 1], state[16];
	unsigned index; /* in the host's order */
	unsigned vcpus;
	struct top_rates r; /* all vCPUs together; steal and wake are means */
	struct {
		char name[32];
		double per_second;
	} cause[TOP_CAUSES]; /* most frequent first; "": there are fewer */
	struct top_vcpu vcpu[VM_VCPUS_MAX];
};

struct top_view {
	struct top_vm *vm;
	unsigned vms, pcpus;
	double seconds; /* between the samples */
};

/* A sample: the answer to "top".  NULL with a sentence in @c->err. */
struct json_object *top_sample(struct ctl_conn *c);
/* Compare two samples (@before may be NULL).  Returns 0 or -ENOMEM; top_view_free() in any case. */
int top_compare(struct json_object *before, struct json_object *after, struct top_view *out);
void top_view_free(struct top_view *v);
void top_view_sort(struct top_view *v, enum top_sort by);
const char *top_sort_name(enum top_sort by);

/* The table, as lines without newline, at most TOP_LINE bytes with the final 0. */
void top_heading(char line[TOP_LINE]);
void top_vm_line(const struct top_vm *vm, char line[TOP_LINE]);
void top_vcpu_line(const struct top_vm *vm, unsigned vcpu, char line[TOP_LINE]);

/* The full screen, until the user quits or the host goes.  Returns an exit status. */
int top_screen(struct ctl_conn *c, double interval);

#endif
