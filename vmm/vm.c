/* SPDX-License-Identifier: MIT */
/* RAM of a VM, and its end. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/activations.h"
#include "vmm/code.h"
#include "vmm/kvm/kvm.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

static uint64_t monotonic_ns(void *arg)
{
	struct timespec ts;

	(void)arg;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int vm_init(struct vm *vm, uint64_t ram_len)
{
	pthread_mutexattr_t recursive;
	void *ram;

	memset(vm, 0, sizeof(*vm));
	vm->ram_fd = -1;
	pthread_mutex_init(&vm->lock, NULL);
	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&vm->mmu_lock, &recursive);
	pthread_mutexattr_destroy(&recursive);
	bus_init(&vm->pio, "pio");
	bus_init(&vm->mmio, "mmio");
	timers_init(&vm->timers, monotonic_ns, NULL);

	if (ram_len < VM_RAM_MIN || ram_len > VM_RAM_MAX || ram_len % PAGE_SIZE) {
		vm_host_fail(vm,
			     "guest memory must be 1 MiB to 3 GiB in whole pages, not %llu bytes",
			     (unsigned long long)ram_len);
		return -EINVAL;
	}
	/*
	 * A memfd, so that worlds can map pieces of it; sealed, so that no world can shrink it
	 * and give the VMM a SIGBUS.  Pages are allocated when first touched.
	 * Behind the RAM, where no guest physical address reaches, is room for the copies of shadow
	 * code pages.
	 */
	vm->ram_fd = memfd_create("ringside-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (vm->ram_fd < 0) {
		vm_host_fail(vm, "memfd_create for guest RAM: %s", strerror(errno));
		return -EIO;
	}
	if (ftruncate(vm->ram_fd, (off_t)(ram_len + VM_COPIES_LEN)) < 0 ||
	    fcntl(vm->ram_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		vm_host_fail(vm, "guest RAM of %llu MiB: %s", (unsigned long long)(ram_len >> 20),
			     strerror(errno));
		return -EIO;
	}
	ram = mmap(NULL, ram_len + VM_COPIES_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, vm->ram_fd,
		   0);
	if (ram == MAP_FAILED) {
		vm_host_fail(vm, "mmap of %llu MiB of guest RAM: %s",
			     (unsigned long long)(ram_len >> 20), strerror(errno));
		return -EIO;
	}
	vm->ram = ram;
	vm->ram_len = ram_len;
	return 0;
}

void vm_destroy(struct vm *vm)
{
	kvm_vm_free(vm);
	code_free(vm->code);
	vm->code = NULL;
	free(vm->model_ram);
	vm->model_ram = NULL;
	free(vm->shadow); /* shadow_free() has emptied it */
	vm->shadow = NULL;
	activations_free(vm->activations);
	vm->activations = NULL;
	if (vm->ram)
		munmap(vm->ram, vm->ram_len + VM_COPIES_LEN);
	if (vm->ram_fd >= 0)
		close(vm->ram_fd);
	vm->ram = NULL;
	vm->ram_fd = -1;
	pthread_mutex_destroy(&vm->lock);
	pthread_mutex_destroy(&vm->mmu_lock);
}

/* The first end wins; then every vCPU is told. */
static bool vm_end_first(struct vm *vm, enum vm_end end)
{
	int running = VM_RUNNING;

	return atomic_compare_exchange_strong(&vm->end, &running, (int)end);
}

static void vm_stop_vcpus(struct vm *vm)
{
	atomic_store(&vm->stop, true);
	for (unsigned i = 0; i < vm->vcpus; i++)
		if (vm->vcpu[i])
			vcpu_kick(vm->vcpu[i]);
}

static void vm_death(struct vm *vm, enum vm_end end, const char *fmt, va_list ap)
{
	if (vm_end_first(vm, end))
		vsnprintf(vm->death, sizeof(vm->death), fmt, ap);
	vm_stop_vcpus(vm);
}

int vm_kill(struct vm *vm, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vm_death(vm, VM_KILLED, fmt, ap);
	va_end(ap);
	return -ECANCELED;
}

int vm_host_fail(struct vm *vm, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vm_death(vm, VM_HOST_FAIL, fmt, ap);
	va_end(ap);
	return -EIO;
}

void vm_end(struct vm *vm, enum vm_end end, int status)
{
	if (vm_end_first(vm, end))
		vm->status = status;
	vm_stop_vcpus(vm);
}
