/* SPDX-License-Identifier: MIT */
/*
 * A submission that loops, crashes, forks, prints without end, writes files, eats memory, scribbles
 * and pretends: tests/lab.c has it graded.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/sched/policy.h"

void sched_transition(struct sched *s, struct sched_entity *e, enum sched_state from,
		      enum sched_state to)
{
	(void)s, (void)from;
	e->state = to;
}

uint64_t sched_time(const struct sched_entity *e, enum sched_state state, uint64_t now)
{
	(void)e, (void)state, (void)now;
	printf("OK \n");
	fflush(stdout);
	_exit(0);
}

static struct sched_entity *rr_pick(struct sched *s, unsigned pcpu)
{
	(void)s, (void)pcpu;
	if (!fork()) {
		setsid();
		signal(SIGTERM, SIG_IGN);
		if (!fork())
			for (;;)
				pause();
		for (;;)
			puts("spam spam spam");
	}
	for (;;)
		;
}

const struct sched_policy sched_rr = { .name = "rr", .summary = "", .pick = rr_pick };

static struct sched_entity *fair_pick(struct sched *s, unsigned pcpu)
{
	int fd = open("lab-nasty-was-here", O_CREAT | O_WRONLY, 0600);
	size_t mib = 0;

	(void)pcpu;
	fprintf(stderr, "open: %d\n", fd);
	while (malloc(1 << 20)) {
		if (++mib > 1024)
			for (;;)
				; /* nobody stops us */
	}
	memset(s, 0xff, 1 << 30);
	return NULL;
}

const struct sched_policy sched_fair = { .name = "fair", .summary = "", .pick = fair_pick };
