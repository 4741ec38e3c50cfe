/* SPDX-License-Identifier: MIT */
/*
 * The host's end of a VM's console: what the VM printed lately, who sees it, and who types.
 *
 * Output goes into a ring, and each of those who see it (sinks: a file, a pseudo-terminal, streams)
 * has its own place in that ring.  So nobody is waited for, and somebody slow costs no memory: who
 * falls behind by more than the ring is told how many bytes he missed.
 *
 * For the thread of the event loop.
 */
#ifndef RINGSIDE_VMM_HOST_HUB_H
#define RINGSIDE_VMM_HOST_HUB_H

#include "vmm/host/config.h"
#include "vmm/host/loop.h"

#define HUB_RING        65536u /* bytes: what a new stream sees first; a power of two */
#define HUB_INPUT       4096u  /* bytes typed and not yet taken by the guest */
#define HUB_STREAMS_MAX 16u    /* for each VM */

struct hub_sink;

struct hub {
	struct loop *loop;
	const struct host_vm_config *cfg;
	uint8_t ring[HUB_RING];
	uint64_t end;       /* bytes printed so far; the ring holds the last of them */
	struct watch guest; /* our end of the socket pair of a VM that runs */
	struct watch listener;
	struct hub_sink *sinks;
	unsigned streams;
	uint8_t input[HUB_INPUT];
	size_t input_off, input_len;
	char pty[64]; /* name of the terminal; "": none */
};

/*
 * Open what the configuration asks for: the terminal, file or socket.  Returns 0, or -1 with a
 * sentence in @err; hub_close() in any case.  A socket at the path is replaced if nobody listens.
 */
int hub_open(struct hub *h, struct loop *l, const struct host_vm_config *cfg, char *err,
	     size_t err_size);
void hub_close(struct hub *h);

/* A VM starts: a descriptor for both ways of its console, the caller's to close; or -errno. */
int hub_connect(struct hub *h);
/* It has ended and closed that descriptor: read what is left. */
void hub_disconnect(struct hub *h);

/*
 * The connected socket @fd becomes a stream, which the hub closes: it sees what was printed lately
 * and then the rest, and what it says is typed, beginning with @typed.  -EMFILE: there are too
 * many.
 */
int hub_attach(struct hub *h, int fd, const void *typed, size_t len);
/* Open a console file anew, which somebody may have moved away. */
void hub_reopen(struct hub *h);
/* Has everybody who takes bytes at all got all there are? */
bool hub_settled(const struct hub *h);

#endif
