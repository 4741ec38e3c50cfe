/* SPDX-License-Identifier: MIT */
#include "vmm/dev/assign.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
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

enum { KEY_EVENTFD, KEY_VECTOR, KEY_VCPU, KEY_SHM, KEY_GPA, KEY_DOORBELL, KEYS };

static int set_key(struct assign_config *c, unsigned key, const char *val)
{
	static const uint64_t max[KEYS] = { INT32_MAX, 255,        VM_VCPUS_MAX - 1,
					    0,         UINT32_MAX, INT32_MAX };
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
	case KEY_GPA: c->gpa = n; break;
	default: c->doorbell = (int)n; break;
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
	static const char *const keys[KEYS] = { "eventfd", "vector", "vcpu",
						"shm",     "gpa",    "doorbell" };
	unsigned seen = 0;
	char *item;

	*c = (struct assign_config){ .eventfd = -1, .doorbell = -1 };
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
				"it is eventfd=N,vector=V,vcpu=K[,shm=FILE,gpa=ADDR[,doorbell=S]], "
				"without ",
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
	if (c->doorbell >= 0 && !c->shm)
		return refuse(err, err_size, "doorbell=S needs shm=FILE, behind which it lies", "");
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

/* A seal may forbid it, which a world would only find out later. */
static bool can_map(int fd)
{
	void *p = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return false;
	munmap(p, PAGE_SIZE); /* never touched */
	return true;
}

static bool is_unix_socket(int fd)
{
	int domain = 0;
	socklen_t len = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX;
}

static int open_shm(struct assign *a, const struct vm *vm, char *err, size_t err_size)
{
	const struct assign_config *c = &a->cfg;
	struct statfs fs;
	struct stat st;
	uint64_t end;
	int ret;

	a->shm_fd = open(c->shm, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (a->shm_fd < 0 || fstat(a->shm_fd, &st) < 0 || fstatfs(a->shm_fd, &fs) < 0) {
		ret = -errno;
		snprintf(err, err_size, "--assign: %s cannot be opened (%s)", c->shm,
			 strerror(-ret));
		return ret;
	}
	/* Elsewhere an access could wait for a disk, a network or another program. */
	if (!S_ISREG(st.st_mode) || fs.f_type != TMPFS_MAGIC || st.st_size <= 0 ||
	    st.st_size % PAGE_SIZE || st.st_size > ASSIGN_SHM_MAX) {
		snprintf(err, err_size,
			 "--assign: %s is not shared memory of 1 to %u whole pages (a file in "
			 "/dev/shm or another tmpfs, or a memfd)",
			 c->shm, ASSIGN_SHM_MAX / PAGE_SIZE);
		return -EINVAL;
	}
	a->shm_len = (uint64_t)st.st_size;
	if (!can_map(a->shm_fd)) {
		ret = -errno;
		snprintf(err, err_size, "--assign: %s cannot be shared for writing (%s)", c->shm,
			 strerror(-ret));
		return ret;
	}
	/* Between the RAM and the interrupt controllers; no sum wraps in 64 bits. */
	end = c->gpa + a->shm_len + (c->doorbell >= 0 ? PAGE_SIZE : 0);
	if (c->gpa < vm->ram_len || end > IOAPIC_BASE) {
		snprintf(
			err, err_size,
			"--assign: %#llx bytes at gpa %#llx are not between the end of RAM, %#llx, "
			"and %#x",
			(unsigned long long)(end - c->gpa), (unsigned long long)c->gpa,
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
	if (c->doorbell >= 0 && !is_unix_socket(c->doorbell)) {
		snprintf(err, err_size,
			 "--assign: descriptor %d, for the doorbell, is not a Unix socket",
			 c->doorbell);
		return -EBADF;
	}
	return c->shm ? open_shm(a, vm, err, err_size) : 0;
}

static uint32_t doorbell_read(void *dev, uint64_t off, unsigned width)
{
	(void)dev;
	(void)off;
	(void)width;
	return 0;
}

/*
 * A socket, because a write to an eventfd waits while its counter is full, which is up to those who
 * share it, as is its O_NONBLOCK; this send never waits.  A full socket has bytes to read, which
 * wake the device as well as one more; and if the device is gone, the guest need not know.
 */
static void doorbell_write(void *dev, uint64_t off, unsigned width, uint32_t val)
{
	const struct assign *a = dev;

	(void)off;
	(void)width;
	(void)val;
	(void)!send(a->cfg.doorbell, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int assign_plug(struct assign *a, unsigned number, struct vm *vm, char *err, size_t err_size)
{
	const struct vm_region r = { .vm = vm,
				     .gpa = a->cfg.gpa,
				     .len = a->shm_len,
				     .fd = a->shm_fd,
				     .device = number,
				     .file = a->cfg.shm };
	const struct bus_range bell = { .name = "doorbell",
					.base = a->cfg.gpa + a->shm_len,
					.len = PAGE_SIZE,
					.dev = a,
					.read = doorbell_read,
					.write = doorbell_write };
	int ret;

	if (!a->cfg.shm)
		return 0;
	ret = region_add(&r);
	if (!ret && a->cfg.doorbell >= 0)
		ret = bus_add(&vm->mmio, &bell);
	if (ret)
		snprintf(err, err_size,
			 "--assign: at gpa %#llx, where %s shall be, there is something else",
			 (unsigned long long)a->cfg.gpa, a->cfg.shm);
	return ret;
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
