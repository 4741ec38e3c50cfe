/* SPDX-License-Identifier: MIT */
/*
 * The memory that the VMM and a world share, and the addresses inside a world.  Included by the
 * freestanding stub: no libc here.
 *
 *   page 0        struct world_ctl    written by the VMM, mapped read-only in the world
 *   page 1        struct world_xchg   written by both; hostile input for the VMM
 *   pages 2..     the runner's signal stack: the kernel builds the signal frame here, so the FPU
 *                 state of the guest (the frame's XSAVE image) is visible to the VMM without a copy
 */
#ifndef RINGSIDE_WORLD_SHARE_H
#define RINGSIDE_WORLD_SHARE_H

/*
 * Everything of the world's own lives far above the 4 GiB a 32-bit guest can address.
 * WORLD_VDSO_ADDR: the vDSO is moved here at start.  SYSENTER enters the host kernel even from a
 * deprivileged guest, and if the kernel cannot read the guest's stack it resumes at the vDSO's
 * address truncated to 32 bits; this address makes that a page no guest has (see classify.c).
 */
#define WORLD_STUB_ADDR  0x7d0000000000
#define WORLD_SHARE_ADDR 0x7d1000000000
#define WORLD_VDSO_ADDR  0x7d20ffffc000

#define WORLD_FD_SHARE  3
#define WORLD_FD_RAM    4
#define WORLD_FD_DONE   5 /* eventfd, the mapper's report, which the runner cannot forge */
#define WORLD_FD_STUB   6 /* close-on-exec */
#define WORLD_FD_REGION 7 /* and following: what is behind vm->region[0] and following */

#define WORLD_PAGE         4096
#define WORLD_STACK_PAGES  16
#define WORLD_SHARE_PAGES  (2 + WORLD_STACK_PAGES)
#define WORLD_SHARE_SIZE   (WORLD_SHARE_PAGES * WORLD_PAGE)
#define WORLD_STACK_OFFSET (2 * WORLD_PAGE)
#define WORLD_STACK_SIZE   (WORLD_STACK_PAGES * WORLD_PAGE)

#define WORLD_KICK_SIGNAL 10 /* SIGUSR1 */

/* Offsets used by the mapper's assembly; checked by static asserts in stub.c. */
#define CTL_MAP_SEQ    0
#define CTL_MAP_COUNT  4
#define CTL_REQ        64
#define CTL_REQ_SIZE   56
#define XCHG_MAP_ERROR 192
#define XCHG_MAP_INDEX 196
#define MAP_DONE       1 /* what the mapper adds to the eventfd */
#define MAP_FAILED_AT  2 /* map_error and map_index say more */

#ifndef __ASSEMBLER__
#include <stdint.h>

#define WORLD_BATCH 48 /* mapping requests in one go */
#define WORLD_DESCS 16 /* LDT descriptors in one go */

/* One system call for the mapper to make. */
struct world_request {
	uint64_t nr;
	uint64_t arg[6];
};

struct world_ctl {
	uint32_t map_seq; /* futex: incremented to start a batch */
	uint32_t map_count;
	uint32_t runner_spin; /* polls of turn before the runner sleeps */
	uint32_t reserved[13];
	struct world_request req[WORLD_BATCH];
	struct { /* struct user_desc of <asm/ldt.h>, for modify_ldt requests */
		uint32_t word[4];
	} desc[WORLD_DESCS];
};

enum world_turn { TURN_RUNNER, TURN_VMM };

/*
 * The exchange page.  Laid out by cache line, because when VMM and runner are on two CPUs every
 * line that changes hands costs a transfer: the first holds the turn and all registers, the second
 * what the VMM must know about the exit, the third belongs to the mapper.
 */
struct world_regs {
	uint32_t gpr[8]; /* by enum gpr of decoder/insn.h */
	uint32_t eip, eflags;
	uint16_t seg[6]; /* real selectors by enum seg */
};

struct world_exit {
	int32_t signo, code;
	uint32_t trapno, error;
	uint64_t cr2;
	uint32_t rip_high; /* bits 32-63 of RIP: not zero outside 32-bit code */
	int32_t sys_nr;
	uint32_t sys_arch;
	uint32_t fpu_offset; /* of the frame's XSAVE image in the share area */
	uint64_t tsc_trap;   /* TSC when the handler began */
	uint64_t tsc_resume; /* TSC when the runner last saw its turn */
};

struct world_xchg {
	uint32_t turn;         /* futex, enum world_turn: whose move it is */
	uint8_t runner_sleeps; /* set while the runner is in FUTEX_WAIT on turn */
	uint8_t vmm_sleeps;

	struct world_regs regs __attribute__((aligned(64)));
	struct world_exit exit __attribute__((aligned(64)));

	int32_t map_error __attribute__((aligned(64))); /* -errno of the request that failed */
	uint32_t map_index;                             /* which request that was */
	uint32_t mapper_tid;                            /* set before the first exit */
};
#endif
#endif
