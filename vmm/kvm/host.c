/* SPDX-License-Identifier: MIT */
/* Is there a KVM that can be used, and which?  Every way of "no" has its sentence. */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/kvm/priv.h"

#define API_VERSION 12 /* KVM_API_VERSION, unchanged since Linux 2.6.22 */

static const struct kvm_need needs[] = {
	{ KVM_CAP_USER_MEMORY, "user memory regions", "2.6.25" },
	{ KVM_CAP_SET_TSS_ADDR, "a place for its TSS", "2.6.24" },
	{ KVM_CAP_EXT_CPUID, "CPUID as a list", "2.6.26" },
	{ KVM_CAP_MP_STATE, "the state of a processor", "2.6.26" },
	{ KVM_CAP_VCPU_EVENTS, "the pending events of a processor", "2.6.33" },
	{ KVM_CAP_DEBUGREGS, "debug registers", "2.6.35" },
	{ KVM_CAP_IMMEDIATE_EXIT, "immediate exits", "4.12" },
};

int kvm_require(int fd, const struct kvm_need *need, size_t n, char *err, size_t size)
{
	for (size_t i = 0; i < n; i++) {
		if (ioctl(fd, KVM_CHECK_EXTENSION, need[i].cap) > 0)
			continue;
		snprintf(err, size,
			 "the KVM of this kernel lacks %s, which came with Linux %s: use a newer "
			 "kernel, or --engine world",
			 need[i].what, need[i].since);
		return -ENOTSUP;
	}
	return 0;
}

static void no_permission(const char *path, char *err, size_t size)
{
	const struct group *g = NULL;
	struct stat st;

	if (!stat(path, &st) && st.st_gid != 0 && st.st_mode & S_IWGRP)
		g = getgrgid(st.st_gid);
	if (g)
		snprintf(err, size,
			 "no permission to open %s: become a member of the group %s, or use "
			 "--engine world",
			 path, g->gr_name);
	else
		snprintf(err, size,
			 "no permission to open %s, which only root may: have its mode changed, or "
			 "use --engine world",
			 path);
}

static int cannot_open(const char *path, int error, char *err, size_t size)
{
	switch (error) {
	case ENOENT:
		snprintf(err, size,
			 "there is no %s: load kvm_intel or kvm_amd (virtualization may be off in "
			 "the firmware), or use --engine world",
			 path);
		break;
	case ENODEV:
	case ENXIO:
		snprintf(err, size,
			 "nothing is behind %s: load kvm_intel or kvm_amd, or use --engine world",
			 path);
		break;
	case EACCES:
	case EPERM: no_permission(path, err, size); break;
	default:
		snprintf(err, size, "cannot open %s: %s; --engine world does without", path,
			 strerror(error));
	}
	return -error;
}

int kvm_open(const char *path, char *err, size_t size)
{
	/* Not blocking: it may be a FIFO, say. */
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK), version, res;

	if (fd < 0)
		return cannot_open(path, errno, err, size);
	version = ioctl(fd, KVM_GET_API_VERSION, 0);
	if (version < 0) {
		snprintf(err, size,
			 "%s is not KVM's device (%s): remove it and load kvm_intel or kvm_amd, or "
			 "use --engine world",
			 path, strerror(errno));
		res = -ENODEV;
	} else if (version != API_VERSION) {
		snprintf(err, size,
			 "%s speaks version %d of KVM's interface and not %d: use another kernel, "
			 "or --engine world",
			 path, version, API_VERSION);
		res = -ENOTSUP;
	} else {
		res = kvm_require(fd, needs, sizeof(needs) / sizeof(needs[0]), err, size);
	}
	if (!res)
		return fd;
	close(fd);
	return res;
}

/* VMX or SVM, as CPUID tells.  Source: SDM Vol. 3C, 23.6; AMD APM Vol. 2, 15.4. */
static bool cpu_has(bool svm)
{
	unsigned a, b, c = 0, d;

	if (!__get_cpuid(svm ? 0x80000001 : 1, &a, &b, &c, &d))
		return false;
	return c >> (svm ? 2 : 5) & 1;
}

/*
 * Compiled into the kernel, a module has its directory even if it found no hardware; so among
 * several the CPU decides.  kvm_pvm is a software back end and needs none.
 */
const char *kvm_module(const char *modules, char *err, size_t size)
{
	static const char *const names[] = { "kvm_intel", "kvm_amd", "kvm_pvm" };
	const char *found = NULL;

	for (size_t i = 0; i < 3; i++) {
		char path[256];

		snprintf(path, sizeof(path), "%s/%s", modules, names[i]);
		if (access(path, F_OK))
			continue;
		if (!found || (i < 2 && cpu_has(i == 1)) ||
		    (i == 2 && !cpu_has(false) && !cpu_has(true)))
			found = names[i];
	}
	if (!found)
		snprintf(err, size,
			 "KVM runs on a module that is none of kvm_intel, kvm_amd and kvm_pvm "
			 "(looked "
			 "in %s): load one of these, or use --engine world",
			 modules);
	return found;
}
