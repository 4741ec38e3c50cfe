/* SPDX-License-Identifier: MIT */
/*
 * What kernel and programs agree on: the system calls.
 *
 * A program puts the number in EAX and up to three arguments in EBX, ECX and EDX, and executes
 * INT 0x80.  The result comes back in EAX, negative for an error; all other registers are kept.
 */
#ifndef MINIOS_ABI_H
#define MINIOS_ABI_H

#include <stdint.h>

enum syscall {
	SYS_EXIT,     /* (status): never returns */
	SYS_FORK,     /* (): the child's pid to the parent, 0 to the child */
	SYS_EXEC,     /* (name, argv): become another program */
	SYS_WAIT,     /* (pid or -1 for any, int *status, nohang): pid of a child that ended */
	SYS_YIELD,    /* (): let others run */
	SYS_SLEEP,    /* (milliseconds) */
	SYS_READ,     /* (0, buf, size): one line from the console; its length */
	SYS_WRITE,    /* (1 or 2, buf, size): to the console */
	SYS_BRK,      /* (address or 0): the new end of the heap */
	SYS_GETPID,   /* () */
	SYS_KILL,     /* (pid) */
	SYS_TIME,     /* (): milliseconds since the start */
	SYS_PROCESS,  /* (slot, struct process_info *): for ps */
	SYS_PROGRAM,  /* (index, char name[NAME_MAX]): for help */
	SYS_FRAMES,   /* (): free page frames */
	SYS_THREAD,   /* (eip, esp): a child in the same address space that begins there; its pid */
	SYS_SLEEPON,  /* (uint32_t *word, value): if it is still that, block until SYS_WAKE */
	SYS_WAKE,     /* (uint32_t *word, count): at most so many of those; how many there were */
	SYS_RENEW,    /* (address): give its page back; the next touch finds a new one */
	SYS_CPUS,     /* (): how many processors there are */
	SYS_ACTIVATE, /* (struct activate *): activation.h; our slot, or ERR_ABSENT */
	SYS_TAKE,     /* (slot or -1 for any, struct taken *): whose it was, or ERR_AGAIN */
	SYS_YIELDTO,  /* (slot): run that process's processor instead, if it is preempted */
	SYS_PROCESSOR, /* (number, struct processor_info *): its times */
	SYS_COUNT
};

/* Errors, numbered as Linux does. */
enum {
	ERR_ABSENT = -2,    /* no such program */
	ERR_PROCESS = -3,   /* no such process */
	ERR_FORMAT = -8,    /* not a program */
	ERR_CHILD = -10,    /* no child to wait for */
	ERR_AGAIN = -11,    /* too many processes */
	ERR_MEMORY = -12,   /* out of memory */
	ERR_POINTER = -14,  /* the program may not access what the pointer points at */
	ERR_ARGUMENT = -22, /* makes no sense */
	ERR_CALL = -38,     /* no such system call */
};

/* How a process ended: its exit status (0 to 255), or one of these. */
#define STATUS_FAULT  0x100 /* + vector: it did something it may not */
#define STATUS_KILLED 0x200 /* by SYS_KILL */

#define NAME_MAX  16  /* of a program, with the final 0 */
#define ARGS_MAX  16  /* arguments of a program, with the final NULL */
#define ARGS_SIZE 512 /* bytes of all arguments together */

enum process_state { UNUSED, READY, RUNNING, BLOCKED, ZOMBIE };

struct process_info {
	int pid, parent; /* parent: a pid */
	enum process_state state;
	uint32_t ticks;           /* of the clock that came while it ran */
	char waits_for[NAME_MAX]; /* if blocked */
	char name[NAME_MAX];
	int cpu; /* that it runs on, or ran on last */
};

#endif
