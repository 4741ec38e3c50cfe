/* SPDX-License-Identifier: MIT */
/* Birth and death of a world process. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/world/world.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

/* What the stub's exit statuses mean (stub.c, stub_entry.S). */
static const char *stub_refusal(int status)
{
	switch (status) {
	case 120: return "prctl(PR_SET_NO_NEW_PRIVS)";
	case 121: return "sigaltstack";
	case 122: return "sigaction";
	case 123: return "mmap of the share area";
	case 124: return "clone of the mapper thread";
	case 125: return "seccomp of the mapper thread";
	case 126: return "seccomp of the runner";
	case 119: return "execveat of the world stub";
	case 118: return "preparing descriptors for the world stub";
	default: return NULL;
	}
}

/* The stub as an executable memfd.  Returns the descriptor or negative errno. */
static int stub_fd(void)
{
	size_t len = (uintptr_t)world_stub_end - (uintptr_t)world_stub, off = 0;
	int fd = memfd_create("ringside-world", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	while (off < len) {
		ssize_t n = write(fd, world_stub + off, len - off);

		if (n < 0) {
			int err = errno;

			close(fd);
			return -err;
		}
		off += (size_t)n;
	}
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	return fd;
}

/* The descriptors of a world by number: from WORLD_FD_SHARE on. */
struct world_fds {
	int fd[WORLD_FD_REGION - WORLD_FD_SHARE + REGIONS_MAX];
	unsigned count;
};
#define FD_ABOVE 32 /* all of those numbers */
_Static_assert(WORLD_FD_REGION + REGIONS_MAX <= FD_ABOVE, "descriptors in the way");

/*
 * The child between vfork and exec: shares our memory, so only system calls and locals.  Leaves
 * exactly the share area, the RAM, the mapper's eventfd, the windows' files and (close-on-exec) the
 * stub open.
 */
static void child_exec(const struct world_fds *f, pid_t parent) __attribute__((noreturn));
static void child_exec(const struct world_fds *f, pid_t parent)
{
	static char *const argv[] = { (char *)"ringside-world", NULL };
	static char *const envp[] = { NULL };
	static const struct rlimit no_core = { 0, 0 };
	int away[sizeof(f->fd) / sizeof(f->fd[0])];

	/* First out of the way of the numbers they shall get. */
	for (unsigned i = 0; i < f->count; i++)
		if ((away[i] = fcntl(f->fd[i], F_DUPFD, FD_ABOVE)) < 0)
			_exit(118);
	for (unsigned i = 0; i < f->count; i++) {
		int fd = WORLD_FD_SHARE + (int)i;

		if (dup3(away[i], fd, fd == WORLD_FD_STUB ? O_CLOEXEC : 0) < 0)
			_exit(118);
	}
	for (int fd = 0; fd < WORLD_FD_SHARE; fd++)
		close(fd);
	if (close_range(WORLD_FD_SHARE + f->count, ~0u, 0) < 0)
		_exit(118);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) /* it died before the line above */
		_exit(117);
	setsid(); /* the terminal's signals are for the VMM alone */
	setrlimit(RLIMIT_CORE, &no_core);
	syscall(SYS_execveat, WORLD_FD_STUB, "", argv, envp, AT_EMPTY_PATH);
	_exit(119);
}

static pid_t world_fork(const struct world_fds *f) __attribute__((noinline));
static pid_t world_fork(const struct world_fds *f)
{
	pid_t parent = getpid(), pid = vfork();

	if (pid == 0)
		child_exec(f, parent);
	return pid;
}

/* The lowest address mmap may use here: 0 with privilege, else vm.mmap_min_addr. */
static uint64_t lowest_mappable(void)
{
	char buf[32] = "";
	FILE *f;
	/* Not the library's: ThreadSanitizer's takes address 0 for a mistake of ours. */
	long p = syscall(SYS_mmap, NULL, PAGE_SIZE, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p != -1) {
		syscall(SYS_munmap, p, PAGE_SIZE);
		if (!p)
			return 0;
	}
	f = fopen("/proc/sys/vm/mmap_min_addr", "re");
	if (f) {
		if (!fgets(buf, sizeof(buf), f))
			buf[0] = 0;
		fclose(f);
	}
	uint64_t low = strtoull(buf, NULL, 10);

	low = (low + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
	return low ? low : PAGE_SIZE;
}

static int share_create(struct world *w)
{
	int fd = memfd_create("ringside-share", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *p;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, WORLD_SHARE_SIZE) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		goto fail;
	p = mmap(NULL, WORLD_SHARE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		goto fail;
	w->share = p;
	w->ctl = p;
	w->xchg = (struct world_xchg *)(w->share + WORLD_PAGE);
	return fd;
fail:
	int err = errno;

	close(fd);
	return -err;
}

int world_spawn(struct world *w)
{
	struct vm *vm = w->vcpu->vm;
	int share, stub = -1, err = 0;
	struct world_fds fds;
	sigset_t all, old;
	pid_t pid;

	share = share_create(w);
	if (share < 0)
		return vm_host_fail(vm, "share area of a world: %s", strerror(-share));
	stub = stub_fd();
	if (stub < 0) {
		err = vm_host_fail(vm, "memfd of the world stub: %s", strerror(-stub));
		goto out;
	}
	w->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->done_fd < 0) {
		err = vm_host_fail(vm, "eventfd of a world: %s", strerror(errno));
		goto out;
	}
	w->engine.low_limit = lowest_mappable();

	fds = (struct world_fds){ .fd = { share, vm->ram_fd, w->done_fd, stub },
				  .count = WORLD_FD_REGION - WORLD_FD_SHARE };
	for (unsigned i = 0; i < vm->regions; i++)
		fds.fd[fds.count++] = vm->region[i].fd;
	/* Blocked across vfork, so that no handler of ours runs in the child on our memory. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	pid = world_fork(&fds);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (pid < 0) {
		err = vm_host_fail(vm, "cannot start a world process: %s", strerror(errno));
		goto out;
	}
	w->pid = pid;
	w->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (w->pidfd < 0)
		err = vm_host_fail(vm, "pidfd_open of a world: %s", strerror(errno));
out:
	close(share);
	if (stub >= 0)
		close(stub);
	return err;
}

static uint64_t timeval_ns(const struct timeval *tv)
{
	return (uint64_t)tv->tv_sec * 1000000000u + (uint64_t)tv->tv_usec * 1000u;
}

int world_reap(struct world *w)
{
	struct rusage used = { 0 };
	int status = 0;

	if (w->pid > 0) {
		kill(w->pid, SIGKILL);
		while (wait4(w->pid, &status, 0, &used) < 0 && errno == EINTR)
			;
		w->vcpu->vm->worlds_gone_ns += timeval_ns(&used.ru_utime) +
					       timeval_ns(&used.ru_stime);
		if (WIFEXITED(status) && stub_refusal(WEXITSTATUS(status)))
			vm_host_fail(w->vcpu->vm, "a world could not start: the host refused %s",
				     stub_refusal(WEXITSTATUS(status)));
		w->pid = 0;
	}
	if (w->pidfd >= 0)
		close(w->pidfd);
	if (w->done_fd >= 0)
		close(w->done_fd);
	w->pidfd = w->done_fd = -1;
	if (w->share)
		munmap(w->share, WORLD_SHARE_SIZE);
	w->share = NULL;
	return status;
}
