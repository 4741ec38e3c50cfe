/* SPDX-License-Identifier: MIT */
#include "vmm/host/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG 64
/* Somebody else who opens a socket in the same directory needs far less: 1 s in steps of 10 ms. */
#define LOCK_TRIES   100
#define LOCK_STEP_NS 10000000

static int refuse(char *err, size_t err_size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static int refuse(char *err, size_t err_size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, err_size, fmt, ap);
	va_end(ap);
	return -1;
}

/* Anybody can make a directory of that name in /tmp: it has to be ours, and closed to others. */
static bool is_private(const char *dir, char *err, size_t err_size)
{
	struct stat st;

	if (lstat(dir, &st) < 0)
		refuse(err, err_size, "%s: %s", dir, strerror(errno));
	else if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 077)
		refuse(err, err_size, "%s is not a directory of this user alone: name a --socket",
		       dir);
	else
		return true;
	return false;
}

char *socket_default(bool make, char *err, size_t err_size)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	char *dir = NULL, *path = NULL;

	if (run && *run == '/') {
		if (asprintf(&path, "%s/ringside.sock", run) < 0)
			path = NULL;
		return path;
	}
	if (asprintf(&dir, "/tmp/ringside-%u", (unsigned)geteuid()) < 0)
		return NULL;
	if (make && mkdir(dir, 0700) < 0 && errno != EEXIST)
		refuse(err, err_size, "%s: %s", dir, strerror(errno));
	else if (is_private(dir, err, err_size) && asprintf(&path, "%s/ringside.sock", dir) < 0)
		path = NULL;
	free(dir);
	return path;
}

static bool make_address(const char *path, struct sockaddr_un *sun, char *err, size_t err_size)
{
	*sun = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(sun->sun_path)) {
		refuse(err, err_size, "the path %s is too long for a socket", path);
		return false;
	}
	strcpy(sun->sun_path, path);
	return true;
}

/*
 * Looking whether a socket is stale and replacing it is one step: two hosts that start at the same
 * time must not replace each other's.  A lock on the directory leaves no file behind.
 */
static int lock_directory(const char *path)
{
	char *copy = strdup(path);
	int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	const struct timespec step = { .tv_nsec = LOCK_STEP_NS };

	free(copy);
	for (int i = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (errno != EWOULDBLOCK || i == LOCK_TRIES) {
			close(fd);
			return -1;
		}
		nanosleep(&step, NULL);
	}
	return fd;
}

/* Is the name free, or can it be made so?  Under the directory's lock. */
static bool make_room(int fd, const struct sockaddr_un *sun, char *err, size_t err_size)
{
	const char *path = sun->sun_path;
	struct stat st;

	if (lstat(path, &st) < 0) {
		if (errno == ENOENT)
			return true;
		refuse(err, err_size, "%s: %s", path, strerror(errno));
		return false;
	}
	if (!S_ISSOCK(st.st_mode)) {
		refuse(err, err_size, "%s is in the way: it is not a socket", path);
		return false;
	}
	/* Non-blocking: EAGAIN if somebody listens who is too busy to accept. */
	if (connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) == 0 || errno != ECONNREFUSED) {
		refuse(err, err_size, "%s is in use: another ringside host listens there", path);
		return false;
	}
	if (unlink(path) < 0 && errno != ENOENT) {
		refuse(err, err_size, "cannot replace %s: %s", path, strerror(errno));
		return false;
	}
	return true;
}

static int new_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static int bind_private(int fd, const struct sockaddr_un *sun)
{
	mode_t old = umask(0177);
	int res = bind(fd, (const struct sockaddr *)sun, sizeof(*sun));

	umask(old);
	return res;
}

int socket_listen(const char *path, char *err, size_t err_size)
{
	struct sockaddr_un sun;
	int lock, probe, fd;
	bool room;

	if (!make_address(path, &sun, err, err_size))
		return -1;
	lock = lock_directory(path);
	if (lock < 0)
		return refuse(err, err_size, "cannot lock the directory of %s: %s", path,
			      strerror(errno));
	probe = new_socket();
	room = make_room(probe, &sun, err, err_size);
	if (probe >= 0)
		close(probe);
	fd = room ? new_socket() : -1;
	if (room && (fd < 0 || bind_private(fd, &sun) < 0 || listen(fd, BACKLOG) < 0)) {
		refuse(err, err_size, "cannot listen on %s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	close(lock);
	return fd;
}

void socket_unlisten(int fd, const char *path)
{
	struct sockaddr_un sun;
	char why[8];
	int lock, probe;

	close(fd);
	if (!make_address(path, &sun, why, sizeof(why)))
		return;
	/* Nobody listens any more, unless another host has replaced it. */
	lock = lock_directory(path);
	probe = new_socket();
	if (probe >= 0 && connect(probe, (struct sockaddr *)&sun, sizeof(sun)) < 0 &&
	    errno == ECONNREFUSED)
		unlink(path);
	if (probe >= 0)
		close(probe);
	if (lock >= 0)
		close(lock);
}

/* Permissions keep others out; this also holds where somebody has changed them. */
static bool peer_is_ours(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       (peer.uid == geteuid() || peer.uid == 0);
}

int socket_accept(int fd)
{
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (peer < 0)
		return -errno;
	if (peer_is_ours(peer))
		return peer;
	close(peer);
	return -EPERM;
}

int socket_connect(const char *path, char *err, size_t err_size)
{
	struct sockaddr_un sun;
	int fd;

	if (!make_address(path, &sun, err, err_size))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return refuse(err, err_size, "socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		refuse(err, err_size, "no ringside host listens on %s: %s", path, strerror(errno));
	else if (!peer_is_ours(fd))
		refuse(err, err_size, "%s is another user's", path);
	else
		return fd;
	close(fd);
	return -1;
}
