/* SPDX-License-Identifier: MIT */
/* The Unix-domain sockets of `ringside host`: only its own user (and root) gets through. */
#ifndef RINGSIDE_VMM_HOST_SOCKET_H
#define RINGSIDE_VMM_HOST_SOCKET_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Where the control socket is if nobody says otherwise: $XDG_RUNTIME_DIR/ringside.sock, or
 * /tmp/ringside-UID/ringside.sock in a directory of the user's alone, which is made if @make is
 * set.  Returns a string to free, or NULL with a sentence in @err.
 */
char *socket_default(bool make, char *err, size_t err_size);

/*
 * A non-blocking listening socket at @path, permissions 0600 from the first moment.  A socket that
 * nobody listens on any more is replaced.  Returns the descriptor, or -1 with a sentence in @err.
 * Main thread only (it changes the umask for a moment).
 */
int socket_listen(const char *path, char *err, size_t err_size);
/* Close it and remove its name, unless that is somebody else's by now. */
void socket_unlisten(int fd, const char *path);

/* The next connection (non-blocking), or negative errno: -EPERM for another user's, now closed. */
int socket_accept(int fd);

/* Connect, and make sure that our user or root listens.  -1 with a sentence in @err. */
int socket_connect(const char *path, char *err, size_t err_size);

#endif
