/* SPDX-License-Identifier: MIT */
/*
 * An assigned device: a host program that rings an eventfd and shares memory with the guest.  The
 * VMM emulates nothing: a ring becomes a posted vector at the target's local APIC, and a kick; the
 * memory is mapped into the guest.  The program is not trusted: it may write, shrink and close what
 * it shares at any time.
 */
#ifndef RINGSIDE_VMM_DEV_ASSIGN_H
#define RINGSIDE_VMM_DEV_ASSIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vm;
struct vcpu;

#define ASSIGN_MAX     8
#define ASSIGN_SHM_MAX (64u << 20) /* bytes of shared memory of one device */

struct assign_config {
	int eventfd;     /* inherited */
	uint8_t vector;  /* 16-255 */
	unsigned vcpu;   /* index */
	const char *shm; /* file; NULL: none */
	uint64_t gpa;    /* where the guest sees it */
	int doorbell;    /* inherited; a Unix socket; -1: none */
};

struct assign {
	struct assign_config cfg;
	struct vcpu *target;
	int shm_fd; /* open for reading and writing; -1: none */
	uint64_t shm_len;
};

/*
 * "eventfd=N,vector=V,vcpu=K[,shm=FILE,gpa=ADDR[,doorbell=S]]", in any order, numbers as in C. Cuts
 * @arg into pieces; *@c keeps pointers to it.  Returns 0, or -EINVAL with a sentence in @err.
 */
int assign_parse(char *arg, struct assign_config *c, char *err, size_t err_size);
/*
 * Check @c against the VM and the host, and open what it names.  Close with assign_close(), also
 * after an error.  Returns 0, or negative errno with a sentence in @err.
 */
int assign_open(struct assign *a, const struct assign_config *c, struct vm *vm, char *err,
		size_t err_size);
/*
 * Put device @number's memory (region.h) and doorbell on @vm's memory bus: the doorbell is the page
 * behind the memory; each write there sends one byte to the socket, reads are 0.  Returns 0, or
 * negative errno with a sentence in @err.
 */
int assign_plug(struct assign *a, unsigned number, struct vm *vm, char *err, size_t err_size);
void assign_close(struct assign *a);
/*
 * The eventfd is readable: post the vector and have the vCPU look.  No lock held; one thread at a
 * time.  Returns how often the device rang since the last time.
 */
uint64_t assign_ring(struct assign *a);

#endif
