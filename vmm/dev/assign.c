/* SPDX-License-Identifier: MIT */
#include "vmm/dev/assign.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "vmm/dev/devices.h"
#include "vmm/tsc.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define EVENTFD_LINK "anon_inode:[eventfd]"

/* A number up to @max; the whole of @text. */
static bool number(const char *text, uint64_t max, uint64_t *val)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*val = strtoull(text, &end, 0);
	return !errno && !*end && *val <= max;
}

enum { KEY_EVENTFD, KEY_VECTOR, KEY_VCPU, KEY_SHM, KEY_GPA, KEYS };

static int set_key(struct assign_config *c, unsigned key, const char *val)
{
	static const uint64_t max[KEYS] = { INT32_MAX, 255, VM_VCPUS_MAX - 1, 0, UINT32_MAX };
	uint64_t n = 0;

	if (key == KEY_SHM) {
		c->shm = val;
		return *val ? 0 : -EINVAL;
	}
	if (!number(val, max[key], &n))
		return -EINVAL;
	switch (key) {
	case KEY_EVENTFD: c->eventfd = (int)n; break;
	case KEY_VECTOR: c->vector = (uint8_t)n; break;
	case KEY_VCPU: c->vcpu = (unsigned)n; break;
	default: c->gpa = n; break;
	}
	return 0;
}

static int refuse(char *err, size_t err_size, const char *what, const char *item)
{
	snprintf(err, err_size, "--assign: %s%s", what, item);
	return -EINVAL;
}

int assign_parse(char *arg, struct assign_config *c, char *err, size_t err_size)
{
	static const char *const keys[KEYS] = { "eventfd", "vector", "vcpu", "shm", "gpa" };
	unsigned seen = 0;
	char *item;

	*c = (struct assign_config){ .eventfd = -1 };
	while ((item = strsep(&arg, ","))) {
		char *val = strchr(item, '=');
		unsigned key = 0;

		if (val)
			*val++ = '\0';
		while (key < KEYS && strcmp(keys[key], item))
			key++;
		if (!val || key == KEYS)
			return refuse(
				err, err_size,
				"it is eventfd=N,vector=V,vcpu=K[,shm=FILE,gpa=ADDR], without ",
				item);
		if (seen & 1u << key)
			return refuse(err, err_size, "given twice: ", item);
		seen |= 1u << key;
		if (set_key(c, key, val))
			return refuse(err, err_size, "not a value that it can have: ", item);
	}
	if ((seen & 7) != 7)
		return refuse(err, err_size, "needs eventfd=N, vector=V and vcpu=K", "");
	if (c->vector < 16)
		return refuse(err, err_size, "a vector is 16 to 255", "");
	if (!(seen & 1u << KEY_SHM) != !(seen & 1u << KEY_GPA))
		return refuse(err, err_size, "shm=FILE and gpa=ADDR go together", "");
	if (c->gpa % PAGE_SIZE)
		return refuse(err, err_size, "gpa is the address of a page, a multiple of 4096",
			      "");
	return 0;
}

/* Anything else could block whoever reads it, or be readable forever. */
static bool is_eventfd(int fd)
{
	char path[32], link[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return false;
	link[n] = '\0';
	return !strcmp(link, EVENTFD_LINK);
}

static int open_shm(struct assign *a, const struct vm *vm, char *err, size_t err_size)
{
	const struct assign_config *c = &a->cfg;
	struct stat st;
	int ret;

	a->shm_fd = open(c->shm, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (a->shm_fd < 0 || fstat(a->shm_fd, &st) < 0) {
		ret = -errno;
		snprintf(err, err_size, "--assign: %s cannot be opened (%s)", c->shm,
			 strerror(-ret));
		return ret;
	}
	if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size % PAGE_SIZE ||
	    st.st_size > ASSIGN_SHM_MAX) {
		snprintf(
			err, err_size,
			"--assign: %s is not shared memory of 1 to %u whole pages (a file, such as "
			"one in /dev/shm)",
			c->shm, ASSIGN_SHM_MAX / PAGE_SIZE);
		return -EINVAL;
	}
	a->shm_len = (uint64_t)st.st_size;
	/* Between the RAM and the interrupt controllers; no sum wraps in 64 bits. */
	if (c->gpa < vm->ram_len || c->gpa + a->shm_len > IOAPIC_BASE) {
		snprintf(
			err, err_size,
			"--assign: %#llx bytes at gpa %#llx are not between the end of RAM, %#llx, "
			"and %#x",
			(unsigned long long)a->shm_len, (unsigned long long)c->gpa,
			(unsigned long long)vm->ram_len, IOAPIC_BASE);
		return -EINVAL;
	}
	return 0;
}

int assign_open(struct assign *a, const struct assign_config *c, struct vm *vm, char *err,
		size_t err_size)
{
	*a = (struct assign){ .cfg = *c, .shm_fd = -1 };
	if (c->vcpu >= vm->vcpus) {
		snprintf(err, err_size, "--assign: there is no vCPU %u, only 0 to %u", c->vcpu,
			 vm->vcpus - 1);
		return -EINVAL;
	}
	a->target = vm->vcpu[c->vcpu];
	if (!is_eventfd(c->eventfd)) {
		snprintf(err, err_size, "--assign: descriptor %d is not an open eventfd",
			 c->eventfd);
		return -EBADF;
	}
	return c->shm ? open_shm(a, vm, err, err_size) : 0;
}

void assign_close(struct assign *a)
{
	if (a->shm_fd >= 0)
		close(a->shm_fd);
	a->shm_fd = -1;
}

uint64_t assign_ring(struct assign *a)
{
	struct vcpu *v = a->target;
	uint64_t count = 0;
	struct iovec iov = { &count, sizeof(count) };

	/*
	 * The device has the same open file, whose O_NONBLOCK is its own to choose.  Should
	 * somebody else have been faster at reading, this does not wait.
	 */
	if (preadv2(a->cfg.eventfd, &iov, 1, -1, RWF_NOWAIT) != (ssize_t)sizeof(count))
		return 0;
	if (!lapic_post(v->lapic, a->cfg.vector, count, host_ns()))
		return count;
	atomic_store(&v->irq_pending, true);
	vcpu_kick(v);
	return count;
}
