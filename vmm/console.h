/* SPDX-License-Identifier: MIT */
/*
 * The far end of COM1 and of the debug console: host descriptors.
 *
 * Output goes into a bounded buffer under the VM's device lock and is written by the I/O thread
 * without it, so that a slow reader never holds the lock; when the buffer is full the vCPU that
 * prints waits (machine.c), and nothing is lost.  Descriptors are never switched to O_NONBLOCK:
 * that flag belongs to the open file, which the user's shell shares.  A pipe or terminal is opened
 * a second time instead; where that is refused, poll() and small writes have to do.
 */
#ifndef RINGSIDE_VMM_CONSOLE_H
#define RINGSIDE_VMM_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONSOLE_OUT_SIZE 65536u /* bytes; a power of two */
#define CONSOLE_IN_SIZE  4096u

/* How a descriptor can be used without blocking. */
enum console_kind {
	CONSOLE_NONE,     /* no descriptor: output discarded, no input */
	CONSOLE_NONBLOCK, /* our own open file, O_NONBLOCK */
	CONSOLE_SOCKET,   /* MSG_DONTWAIT */
	CONSOLE_POLLED,   /* shared open file: poll first, small pieces */
	CONSOLE_DIRECT,   /* regular file or such: always ready, epoll refuses it */
};

struct console_out {
	int fd;
	enum console_kind kind;
	bool own_fd;  /* opened or duplicated here */
	bool blocked; /* wait for EPOLLOUT before the next write */
	int error;    /* errno of the write that ended it; output is discarded from then on */
	uint32_t head, count;
	uint8_t buf[CONSOLE_OUT_SIZE];
};

struct console_in {
	int fd;
	enum console_kind kind;
	bool own_fd;
	bool eof;
	bool escape;       /* Ctrl-A commands are on */
	bool after_ctrl_a; /* the last byte was Ctrl-A */
	uint32_t head, count;
	uint8_t buf[CONSOLE_IN_SIZE]; /* read, not yet taken by the UART */
};

enum console_command { CONSOLE_NOTHING, CONSOLE_QUIT, CONSOLE_HELP };

/* @fd -1: discard.  Never fails: at worst the descriptor is used as CONSOLE_POLLED. */
void console_out_open(struct console_out *o, int fd);
void console_out_close(struct console_out *o);
/* Append; what does not fit is dropped, so look at console_out_room() first.  Returns bytes taken.
 */
size_t console_out_put(struct console_out *o, const void *buf, size_t len);
size_t console_out_room(const struct console_out *o);
/* The next piece to write, in place; it stays valid until console_out_advance(). */
size_t console_out_peek(const struct console_out *o, const uint8_t **buf);
/*
 * Write such a piece, without the lock.  Returns bytes written, -EAGAIN if it would block, or
 * another negative errno (-EPIPE: the reader has gone).
 */
long console_out_write(const struct console_out *o, const uint8_t *buf, size_t len);
void console_out_advance(struct console_out *o, size_t len);

void console_in_open(struct console_in *c, int fd, bool escape);
void console_in_close(struct console_in *c);
/*
 * Read once, at most @want bytes (with escapes on: as much as there is, so that Ctrl-A x works
 * however busy the guest is; typing beyond the buffer is dropped then).  Sets eof.
 * Returns what the escape sequences asked for.
 */
enum console_command console_in_read(struct console_in *c, size_t want);
/* Take up to @len bytes out for the UART: peek, then advance by what it took. */
size_t console_in_peek(const struct console_in *c, const uint8_t **buf);
void console_in_advance(struct console_in *c, size_t len);

/* Put the terminal @fd into raw mode (output processing stays).  Returns 0 or negative errno. */
int console_raw(int fd);
/* Undo console_raw(), if it is in effect.  Async-signal-safe, any number of times. */
void console_restore(void);

#endif
