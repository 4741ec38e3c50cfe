/* SPDX-License-Identifier: MIT */
/*
 * What the assign guest and the host program that plays its device (tests/assign/device.c) agree
 * on: where the device is, and two rings of messages in the memory they share.  The device sends a
 * request and posts an interrupt; the guest checks it, answers with the payload inverted, and rings
 * the doorbell.
 */
#ifndef GUEST_ASSIGN_RING_H
#define GUEST_ASSIGN_RING_H

#include <stdbool.h>
#include <stdint.h>

/* Device @i interrupts CPU @i with its vector; its memory is here, and its doorbell behind that. */
#define DEVICES_MAX      2u
#define DEVICE_GPA(i)    (0xd0000000u + (i)*0x400000u)
#define DEVICE_VECTOR(i) (0x51u + (i))

#define SHM_MAGIC  0x52444e47u
#define RING_BYTES 8192u       /* a power of two */
#define MSG_MAX    1500u       /* bytes of payload */
#define MSG_END    0xffffffffu /* sequence number of the last message */
#define SHM_ADDS   64u         /* locked additions to shm->sum, by each side, for each request */

/* Free-running counters of bytes: one writes head, the other tail. */
struct ring {
	uint32_t head __attribute__((aligned(64)));
	uint32_t tail __attribute__((aligned(64)));
	uint8_t bytes[RING_BYTES] __attribute__((aligned(64)));
};

struct shm {
	uint32_t magic; /* the device's, once the rest is ready */
	uint32_t ready; /* the guest's: SHM_MAGIC when it can take interrupts */
	uint32_t sum __attribute__((aligned(64)));
	struct ring to_guest, to_device;
} __attribute__((aligned(4096)));

struct msg {
	uint32_t seq, len;
	uint8_t data[MSG_MAX];
};
#define MSG_HEAD 8u

static inline uint32_t ring_used(const struct ring *r)
{
	return __atomic_load_n(&r->head, __ATOMIC_ACQUIRE) -
	       __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE);
}

/* Returns whether there was room. */
static inline bool ring_send(struct ring *r, const struct msg *m)
{
	uint32_t n = MSG_HEAD + m->len, head = r->head, used = ring_used(r);
	const uint8_t *p = (const uint8_t *)m;

	if (used > RING_BYTES || n > RING_BYTES - used)
		return false;
	for (uint32_t i = 0; i < n; i++)
		r->bytes[(head + i) % RING_BYTES] = p[i];
	__atomic_store_n(&r->head, head + n, __ATOMIC_RELEASE);
	return true;
}

/* 1: *@m is the next message; 0: there is none; -1: the other side wrote nonsense. */
static inline int ring_receive(struct ring *r, struct msg *m)
{
	uint32_t used = ring_used(r), tail = r->tail, n = MSG_HEAD;
	uint8_t *p = (uint8_t *)m;

	if (!used)
		return 0;
	if (used > RING_BYTES)
		return -1;
	for (uint32_t i = 0; i < n; i++) {
		p[i] = r->bytes[(tail + i) % RING_BYTES];
		if (i != MSG_HEAD - 1)
			continue;
		/* The length, copied once, is checked before it is used. */
		if (used < MSG_HEAD || m->len > MSG_MAX || m->len > used - MSG_HEAD)
			return -1;
		n += m->len;
	}
	__atomic_store_n(&r->tail, tail + n, __ATOMIC_RELEASE);
	return 1;
}

static inline uint32_t msg_len(uint32_t seq)
{
	return seq * 37 % (MSG_MAX + 1);
}

static inline uint8_t msg_byte(uint32_t seq, uint32_t i)
{
	return (uint8_t)(seq * 7 + (seq >> 8) + i * 13);
}

#endif
