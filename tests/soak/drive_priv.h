/* SPDX-License-Identifier: MIT */
/* What the parts of the soak's driver share: drive.c (the run), check.c (the numbers). */
#ifndef RINGSIDE_TESTS_SOAK_DRIVE_PRIV_H
#define RINGSIDE_TESTS_SOAK_DRIVE_PRIV_H

#include <stddef.h>
#include <sys/types.h>

#include "tests/soak/drive.h"

#define SOAK_CPUS    4u
#define SOAK_DEVICES 6u /* and one for the last doorbell */

/* guest/soak/soak.h */
#define SOAK_VEC_COM1     0x30u
#define SOAK_VEC_TIMER    0x40u
#define SOAK_VEC_IPI      0x50u
#define SOAK_VEC_DOORBELL 0x61u
#define SOAK_VEC_LAST     0x71u
#define SOAK_VEC_SPURIOUS 0xffu
#define SOAK_SHM_BASE     0xd0000000u

/* The target of device @d; the last doorbell's is CPU 3. */
#define SOAK_DEVICE_CPU(d)    ((d) % SOAK_CPUS)
#define SOAK_DEVICE_VECTOR(d) (SOAK_VEC_DOORBELL + (d) / SOAK_CPUS)
#define SOAK_LAST_CPU         3u

struct soak_page {
	volatile uint32_t rung, seen;
};

/* What the guest printed at its end. */
struct soak_totals {
	uint64_t handled[SOAK_CPUS][256];
	uint64_t ipis[SOAK_CPUS][SOAK_CPUS]; /* from, to */
	uint32_t seen[SOAK_DEVICES];         /* counts in shared memory */
	uint32_t lines;
	bool passed;
};

struct soak {
	const struct soak_config *cfg;
	struct soak_result *r;
	pid_t pid;
	int in, out, err; /* its standard streams; -1: closed */
	int stats_fd;     /* memfd that the account is written to */
	int bell[SOAK_DEVICES + 1], shm[SOAK_DEVICES];
	struct soak_page *page[SOAK_DEVICES];
	uint32_t rung[SOAK_DEVICES], quiet_rings;
	uint32_t sent, echoed, beats; /* the numbers of the last lines */
	bool quiet;
	bool running; /* the guest has said so */
	struct soak_totals totals;
	char line[256];
	size_t line_len;
	char text[2048], errors[16384]; /* the end of what it printed */
	uint64_t progress_ms;           /* when it last printed something */
};

/* Add a sentence to what is wrong. */
void soak_wrong(struct soak *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A line that the guest printed. */
void soak_line(struct soak *s, const char *line);
/* The guest's totals against the account in s->stats_fd and what the driver did. */
void soak_check(struct soak *s);

#endif
