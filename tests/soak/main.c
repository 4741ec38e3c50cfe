/* SPDX-License-Identifier: MIT */
/* `make soak`: soak RINGSIDE|qemu GUEST SECONDS [HZ] */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/soak/drive.h"

int main(int argc, char **argv)
{
	static struct soak_result r;
	struct soak_config c = { .progress = true, .shm = true };

	if (argc < 4 || argc > 5) {
		fprintf(stderr, "usage: %s RINGSIDE|qemu GUEST SECONDS [HZ]\n", argv[0]);
		return 2;
	}
	c.ringside = strcmp(argv[1], "qemu") ? argv[1] : NULL;
	c.guest = argv[2];
	c.seconds = (unsigned)strtoul(argv[3], NULL, 10);
	c.hz = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 0;
	if (!soak_run(&c, &r)) {
		fprintf(stderr, "soak: FAILED\n%s", r.wrong);
		return 1;
	}
	printf("soak: %u s, %" PRIu64 " interrupts handled by the guest, %u lines, %u doorbells\n",
	       c.seconds, r.interrupts, r.lines, r.rings);
	if (c.ringside)
		printf("soak: raised %" PRIu64 " = delivered %" PRIu64 " + coalesced %" PRIu64
		       ", for every vector; none lost\n",
		       r.raised, r.delivered, r.coalesced);
	return 0;
}
